//! Signals as descriptors to read from.

use std::os::fd::AsFd;

use anyhow::Result;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals that the parent answers to.
const TAKEN: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
];

/// The parent's signals.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// From now on signals wait here instead of interrupting.
    pub fn take() -> Result<Signals> {
        let mut set = SigSet::empty();
        for signal in TAKEN {
            set.add(signal);
        }
        set.thread_block()?;
        Ok(Signals(SignalFd::with_flags(
            &set,
            SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
        )?))
    }

    /// The next signal that has come, if one has.
    pub fn next(&mut self) -> Result<Option<Signal>> {
        match self.0.read_signal()? {
            Some(info) => Ok(Signal::try_from(info.ssi_signo as i32).ok()),
            None => Ok(None),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// In the serving half: what a terminal sends to all processes is the parent's business.
pub fn leave_to_parent() -> Result<()> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGWINCH] {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(())
}
