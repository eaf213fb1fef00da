//! Every example builds, and those that end by themselves run.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::workspace::Workspace;
use crate::{command, system_packages};

/// One file or directory of `examples/`.
struct Example {
    name: &'static str,
    /// What to run it with. `None` where building it is all that CI can do: it waits for a user.
    arguments: Option<&'static [&'static str]>,
}

/// All of them: an example that is missing here fails the step.
const EXAMPLES: &[Example] = &[
    Example {
        name: "console",
        arguments: Some(&[]),
    },
    Example {
        name: "double_booking",
        arguments: Some(&["--json"]),
    },
    Example {
        name: "quickstart",
        arguments: Some(&[]),
    },
    // Starts a redis-server.
    Example {
        name: "two_nodes",
        arguments: Some(&[]),
    },
];

/// The table and the directory disagree.
#[derive(Debug, Error, PartialEq, Eq)]
enum TableError {
    /// Say in the table how it is run.
    #[error("the example `{0}` is not in the table of xtask's examples.rs")]
    Unlisted(String),
    /// It was renamed or removed.
    #[error("the table of xtask's examples.rs names `{0}`, which is not an example")]
    Gone(String),
}

/// Builds and runs the facade's examples, and sees to it that there is the server that one of them needs.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let facade = workspace.facade()?;
    let existing: BTreeSet<_> = facade
        .targets
        .iter()
        .filter(|target| target.is_example())
        .map(|target| target.name.as_str())
        .collect();
    compare(
        &existing,
        &EXAMPLES.iter().map(|example| example.name).collect(),
    )?;

    system_packages::ensure(workspace, &[system_packages::REDIS])?;
    let on_facade = |task| {
        let mut cargo = command::cargo(workspace);
        cargo.args([task, "--quiet", "--package", &facade.name, "--all-features"]);
        cargo
    };
    command::run(on_facade("build").arg("--examples"))?;
    for Example { name, arguments } in EXAMPLES {
        if let Some(arguments) = arguments {
            command::run(
                on_facade("run")
                    .args(["--example", name, "--"])
                    .args(*arguments),
            )?;
        }
    }
    Ok(())
}

fn compare(existing: &BTreeSet<&str>, listed: &BTreeSet<&str>) -> Result<(), TableError> {
    if let Some(name) = existing.difference(listed).next() {
        return Err(TableError::Unlisted((*name).to_owned()));
    }
    match listed.difference(existing).next() {
        Some(name) => Err(TableError::Gone((*name).to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_directory_name_the_same_examples() {
        let one = BTreeSet::from(["a"]);
        let two = BTreeSet::from(["a", "b"]);
        assert_eq!(compare(&two, &two), Ok(()));
        assert_eq!(
            compare(&two, &one),
            Err(TableError::Unlisted("b".to_owned()))
        );
        assert_eq!(compare(&one, &two), Err(TableError::Gone("b".to_owned())));
    }
}
