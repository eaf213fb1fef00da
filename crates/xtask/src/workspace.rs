//! The workspace that the command was started in, as cargo describes it.

use std::path::Path;

use anyhow::Context;
use cargo_metadata::{Metadata, MetadataCommand, Package};

/// The root, the target directory and the members, without any dependency.
#[derive(Debug)]
pub(crate) struct Workspace {
    metadata: Metadata,
}

impl Workspace {
    /// Asks cargo for the workspace of the current directory.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let metadata = MetadataCommand::new()
            .no_deps()
            .exec()
            .context("cargo could not describe the workspace")?;
        Ok(Self { metadata })
    }

    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    pub(crate) fn target(&self) -> &Path {
        self.metadata.target_directory.as_std_path()
    }

    /// The package at the root: the facade, which states what holds for the whole workspace.
    pub(crate) fn facade(&self) -> anyhow::Result<&Package> {
        self.metadata
            .root_package()
            .context("the workspace has no package at its root")
    }

    pub(crate) fn members(&self) -> Vec<&Package> {
        self.metadata.workspace_packages()
    }
}
