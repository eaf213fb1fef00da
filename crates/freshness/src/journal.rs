//! What a node has to report, on its way to the coordinator.

use std::{io, process};

use crate::wire::{self, Report};

/// The node's standard output. Reports of several threads do not mix.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Journal;

impl Journal {
    /// Reports, and blocks while the coordinator has no room for it.
    ///
    /// A node without a coordinator ends.
    pub(crate) fn report(self, report: &Report) {
        if wire::send(io::stdout().lock(), report).is_err() {
            process::exit(1);
        }
    }
}
