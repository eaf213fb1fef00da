//! A child process that can be paused.

use std::{io, process::Child};

#[cfg(unix)]
use crate::PATIENCE;

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
    /// Asks it to end at once with all its children, and ends it if it does not.
    pub(crate) fn quit(&mut self) -> io::Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        kill_process(Pid::from_child(&self.0), Signal::QUIT)?;
        let begun = std::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.0.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        self.end()
    }

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
    pub(crate) fn quit(&mut self) -> io::Result<()> {
        self.end()
    }

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
