//! Where lines go: a file or a pipe that the parent opened.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// An open log. Each line is one `write`, so that lines of several processes do not mix.
#[derive(Debug)]
pub struct Sink(File);

impl Sink {
    /// Over an open descriptor.
    pub fn new(fd: OwnedFd) -> Sink {
        Sink(File::from(fd))
    }

    /// Would a line be taken at once? Not by a pipe that is full.
    pub fn has_room(&self) -> bool {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Writes a whole line, its end included. On overload it blocks; what cannot be
    /// written at all is lost, since there is nowhere to say so.
    pub fn line(&self, line: &[u8]) {
        let _ = (&self.0).write_all(line);
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
