//! Every feature of every package compiles without any other.

use std::collections::BTreeMap;

use crate::command;
use crate::workspace::Workspace;

/// Checks each package that has features with none of them and with each alone, warnings denied.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let mut checked = 0;
    for package in workspace.members() {
        for selection in selections(&package.features) {
            let mut cargo = command::cargo(workspace);
            cargo.args([
                "clippy",
                "--quiet",
                "--package",
                &package.name,
                "--no-default-features",
            ]);
            if let Some(feature) = selection {
                cargo.args(["--features", feature]);
            }
            command::run(cargo.args(["--", "-D", "warnings"]))?;
            checked += 1;
        }
    }
    println!("{checked} selections of features compile");
    Ok(())
}

/// No feature at all (`None`), then each alone; nothing where there are no features.
fn selections(features: &BTreeMap<String, Vec<String>>) -> Vec<Option<&str>> {
    if features.is_empty() {
        return Vec::new();
    }
    let named = features
        .keys()
        .map(String::as_str)
        .filter(|name| *name != "default");
    std::iter::once(None).chain(named.map(Some)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(names: &[&str]) -> BTreeMap<String, Vec<String>> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), Vec::new()))
            .collect()
    }

    #[test]
    fn each_feature_is_checked_alone_and_so_is_their_absence() {
        let features = features(&["redis", "default", "metrics"]);
        assert_eq!(
            selections(&features),
            [None, Some("metrics"), Some("redis")]
        );
    }

    #[test]
    fn a_package_without_features_is_left_to_the_other_steps() {
        assert_eq!(selections(&features(&[])), [] as [Option<&str>; 0]);
    }
}
