//! Where lines go: a file or a pipe that the parent opened.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// An open log. Each line is one `write`, so that lines of several processes do not mix.
#[derive(Debug)]
pub struct Sink(File);

impl Sink {
    /// Over an open descriptor.
    pub fn new(fd: OwnedFd) -> Sink {
        Sink(File::from(fd))
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
