//! Copies of the workspace, in which the code may be made wrong.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, bail};

use crate::command;
use crate::workspace::Workspace;

/// Files by their paths from the root.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// What git tracks, and what it would track but for `git add`, as it is in the working tree.
pub(crate) fn files(workspace: &Workspace) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for file in names(workspace)? {
        match fs::read(workspace.root().join(&file)) {
            Ok(content) => files.insert(file, content),
            // Deleted, and git was not told yet.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).context(format!("could not read {file}")),
        };
    }
    Ok(files)
}

/// Makes these the files below `root`, and all of them but a `Cargo.lock`. A file that is the same
/// already is left alone, or cargo would take it for a change and compile it again.
pub(crate) fn write(files: &Files, root: &Path) -> anyhow::Result<()> {
    for (file, content) in files {
        let copy = root.join(file);
        write_if_different(&copy, content)
            .with_context(|| format!("could not write {}", copy.display()))?;
    }
    remove_all_but(files, root, root)?;
    Ok(())
}

fn names(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
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
fn remove_all_but(files: &Files, root: &Path, directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path: PathBuf = entry.path();
        if entry.file_type()?.is_dir() {
            remove_all_but(files, root, &path)?;
        } else if !is_one_of(files, root, &path) && !path.ends_with("Cargo.lock") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn is_one_of(files: &Files, root: &Path, path: &Path) -> bool {
    let name = path.strip_prefix(root).ok().and_then(Path::to_str);
    // Git names the parts of a path as Unix does.
    name.is_some_and(|name| files.contains_key(&name.replace(std::path::MAIN_SEPARATOR, "/")))
}
