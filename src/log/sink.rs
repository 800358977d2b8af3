//! Where lines go: a file or a pipe that the parent opened.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What `BufferedLogs` gathers, bytes: httpd's `LOG_BUFSIZE`, which a pipe takes whole.
const GATHERED: usize = 4096;

/// An open log. Each line is one `write`, so that lines of several processes do not mix.
#[derive(Debug)]
pub struct Sink {
    file: File,
    /// Lines that wait for others (`BufferedLogs`).
    gathered: Option<Mutex<Vec<u8>>>,
}

impl Sink {
    /// Over an open descriptor.
    pub fn new(fd: OwnedFd) -> Sink {
        Sink { file: File::from(fd), gathered: None }
    }

    /// One that gathers lines, and writes many at once.
    pub fn gathering(fd: OwnedFd) -> Sink {
        let gathered = Mutex::new(Vec::with_capacity(GATHERED));
        Sink { file: File::from(fd), gathered: Some(gathered) }
    }

    /// Would a line be taken at once? Not by a pipe that is full.
    pub fn has_room(&self) -> bool {
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Writes a whole line, its end included. On overload it blocks; what cannot be
    /// written at all is lost, since there is nowhere to say so.
    pub fn line(&self, line: &[u8]) {
        let Some(gathered) = &self.gathered else {
            let _ = (&self.file).write_all(line);
            return;
        };
        let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
        if gathered.len() + line.len() > GATHERED {
            let _ = (&self.file).write_all(&gathered);
            gathered.clear();
        }
        if line.len() >= GATHERED {
            let _ = (&self.file).write_all(line);
        } else {
            gathered.extend_from_slice(line);
        }
    }

    /// Writes what was gathered.
    pub fn flush(&self) {
        if let Some(gathered) = &self.gathered {
            let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = (&self.file).write_all(&gathered);
            gathered.clear();
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.flush();
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn lines_are_gathered_in_order() {
        let mut file = tempfile::tempfile().unwrap();
        let sink = Sink::gathering(file.try_clone().unwrap().into());
        let mut written = |expected: &str| {
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
        };
        let line = |letter: &str| letter.repeat(1499) + "\n";
        sink.line(line("a").as_bytes());
        sink.line(line("b").as_bytes());
        written("");
        sink.line(line("c").as_bytes());
        written(&(line("a") + &line("b")));
        let long = "d".repeat(GATHERED) + "\n";
        sink.line(long.as_bytes());
        written(&(line("a") + &line("b") + &line("c") + &long));
        sink.line(b"e\n");
        drop(sink);
        written(&(line("a") + &line("b") + &line("c") + &long + "e\n"));
    }
}
