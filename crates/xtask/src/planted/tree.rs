//! The copy of the workspace that bugs are planted in.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, bail};

use crate::command;
use crate::workspace::Workspace;

/// What git tracks, and what it would track but for `git add`, as it is in the working tree.
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Brings the copy up to date. A file that is the same already is left alone, or cargo would
    /// take it for a change and compile it again.
    pub(super) fn copy_of(workspace: &Workspace) -> anyhow::Result<Self> {
        let root = workspace.target().join("planted").join("tree");
        let mut wanted = BTreeSet::new();
        for file in files(workspace)? {
            let content = match fs::read(workspace.root().join(&file)) {
                Ok(content) => content,
                // Deleted, and git was not told yet.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error).context(format!("could not read {file}")),
            };
            let copy = root.join(&file);
            write_if_different(&copy, &content)
                .with_context(|| format!("could not write {}", copy.display()))?;
            wanted.insert(copy);
        }
        remove_all_but(&wanted, &root)?;
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

fn files(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let output = command::at_root(workspace, "git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .context("could not start git")?;
    if !output.status.success() {
        bail!(
            "git could not list the files: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

fn write_if_different(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, content)
}

/// A file that is gone from the workspace might still be found by cargo: a test, an example.
fn remove_all_but(wanted: &BTreeSet<PathBuf>, directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_all_but(wanted, &path)?;
        } else if !wanted.contains(&path) && !path.ends_with("Cargo.lock") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
