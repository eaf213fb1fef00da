//! The workspace's `rust-version` is one version, and no dependency asks for a newer one.

use std::fmt;

use anyhow::Context;
use cargo_metadata::semver::Version;
use cargo_metadata::{CargoOpt, MetadataCommand};
use thiserror::Error;

use crate::workspace::Workspace;

/// Packages that break the promise. All of them, since one `cargo update` often mends several.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not every package holds to Rust {promised}:{}", list(broken))]
pub(crate) struct MsrvError {
    promised: Version,
    broken: Vec<Broken>,
}

/// How one package breaks it.
#[derive(Debug, Error, PartialEq, Eq)]
enum Broken {
    /// Add `rust-version.workspace = true` to its manifest.
    #[error("{package} states no rust-version; it is to inherit the workspace's")]
    Missing { package: String },
    /// Replace what its manifest says by `rust-version.workspace = true`.
    #[error("{package} states Rust {stated}; it is to inherit the workspace's")]
    Differs { package: String, stated: Version },
    /// Choose an older release in `Cargo.lock`, or raise the workspace's `rust-version`.
    #[error("{package} needs Rust {needed}")]
    TooNew { package: String, needed: Version },
}

fn list(broken: &[Broken]) -> String {
    use fmt::Write as _;
    broken.iter().fold(String::new(), |mut list, broken| {
        let _ = write!(list, "\n  {broken}");
        list
    })
}

/// A package of ours or one that we depend on, with the version it states.
struct Stated {
    package: String,
    rust_version: Option<Version>,
    ours: bool,
}

/// Compares what the members and all their dependencies state, on every platform and with every
/// feature.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let promised = workspace
        .facade()?
        .rust_version
        .clone()
        .context("the facade states no rust-version")?;
    let metadata = MetadataCommand::new()
        .current_dir(workspace.root())
        .features(CargoOpt::AllFeatures)
        .exec()
        .context("cargo could not list the dependencies")?;
    let stated: Vec<_> = metadata
        .packages
        .iter()
        .map(|package| Stated {
            package: format!("{} {}", package.name, package.version),
            rust_version: package.rust_version.clone(),
            ours: metadata.workspace_members.contains(&package.id),
        })
        .collect();
    compare(promised, &stated)?;
    println!("{} packages hold to it", stated.len());
    Ok(())
}

fn compare(promised: Version, packages: &[Stated]) -> Result<(), MsrvError> {
    let broken: Vec<_> = packages
        .iter()
        .filter_map(|stated| breaks(&promised, stated))
        .collect();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(MsrvError { promised, broken })
    }
}

/// A dependency that states nothing breaks nothing: the tests on that version would show it.
fn breaks(promised: &Version, stated: &Stated) -> Option<Broken> {
    let package = stated.package.clone();
    match &stated.rust_version {
        None if stated.ours => Some(Broken::Missing { package }),
        Some(version) if stated.ours && version != promised => Some(Broken::Differs {
            package,
            stated: version.clone(),
        }),
        Some(version) if version > promised => Some(Broken::TooNew {
            package,
            needed: version.clone(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMISED: Version = Version::new(1, 88, 0);

    fn breaks(ours: bool, rust_version: Option<Version>) -> Option<String> {
        let stated = Stated {
            package: "x 1.0.0".to_owned(),
            rust_version,
            ours,
        };
        super::breaks(&PROMISED, &stated).map(|broken| broken.to_string())
    }

    #[test]
    fn a_member_states_exactly_what_the_workspace_promises() {
        let broken = |version| breaks(true, version).unwrap();
        assert_eq!(breaks(true, Some(PROMISED)), None);
        assert!(broken(None).starts_with("x 1.0.0 states no rust-version"));
        assert!(broken(Some(Version::new(1, 85, 0))).starts_with("x 1.0.0 states Rust 1.85.0"));
        assert!(broken(Some(Version::new(1, 90, 0))).starts_with("x 1.0.0 states Rust 1.90.0"));
    }

    #[test]
    fn a_dependency_may_be_older_or_silent_but_not_newer() {
        assert_eq!(breaks(false, None), None);
        assert_eq!(breaks(false, Some(Version::new(1, 9, 0))), None);
        assert_eq!(breaks(false, Some(PROMISED)), None);
        assert_eq!(
            breaks(false, Some(Version::new(1, 88, 1))).unwrap(),
            "x 1.0.0 needs Rust 1.88.1"
        );
    }

    #[test]
    fn all_packages_that_break_the_promise_are_named() {
        let newer = |package: &str| Stated {
            package: package.to_owned(),
            rust_version: Some(Version::new(1, 90, 0)),
            ours: false,
        };
        let error = compare(PROMISED, &[newer("a 1.0.0"), newer("b 2.0.0")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not every package holds to Rust 1.88.0:\n  \
             a 1.0.0 needs Rust 1.90.0\n  b 2.0.0 needs Rust 1.90.0"
        );
    }
}
