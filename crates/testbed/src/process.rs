//! A child process that can be paused.

use std::{io, process::Child};

/// A child process that does not outlive its owner.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }
}

#[cfg(unix)]
impl Process {
    pub(crate) fn pause(&self) -> io::Result<()> {
        use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::STOP)?;
        // The signal is only on its way until the system says so. An end counts too, or there would
        // be nothing to wait for; neither is taken from those who wait for the end.
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), stopped)?;
        Ok(())
    }

    pub(crate) fn resume(&self) -> io::Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        Ok(kill_process(Pid::from_child(&self.0), Signal::CONT)?)
    }
}

#[cfg(not(unix))]
impl Process {
    pub(crate) fn pause(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn resume(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has ended, which is how it should be.
        let _ = self.end();
    }
}
