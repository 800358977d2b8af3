//! What an application writes to its standard output and error: whole lines, with its
//! name and process number before them, for the main error log.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// A longer line is cut, bytes.
const MAX_LINE: usize = 8 * 1024;
/// So much is read before others have their turn, bytes.
const MAX_TURN: usize = 64 * 1024;

/// The reading end of a process's output.
#[derive(Debug)]
pub struct Output {
    pipe: std::fs::File,
    line: Vec<u8>,
    /// Before each line: which application, which process.
    prefix: Vec<u8>,
}

/// What [`Output::read`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// More may come.
    Open,
    /// The last process that could write has ended.
    Ended,
}

/// A pipe: what the parent reads, and what the application writes to.
pub fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (reading, writing) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    // Only the parent's end: the application's may block.
    fcntl(&reading, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reading, writing))
}

impl Output {
    /// Of a process: `name` is that of the application.
    pub fn new(pipe: OwnedFd, name: &[u8], pid: nix::unistd::Pid) -> Output {
        let prefix =
            [b"server \"", name, format!("\" (pid {pid}): ").as_bytes()].concat();
        Output { pipe: pipe.into(), line: Vec::new(), prefix }
    }

    /// Reads what is there, and hands out the lines.
    pub fn read(&mut self, mut say: impl FnMut(Vec<u8>)) -> State {
        let mut buffer = [0; 4096];
        let mut turn = 0;
        while turn < MAX_TURN {
            match self.pipe.read(&mut buffer) {
                Ok(0) => {
                    self.flush(&mut say);
                    return State::Ended;
                }
                Ok(n) => {
                    turn += n;
                    self.take(&buffer[..n], &mut say);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return State::Ended,
            }
        }
        State::Open
    }

    fn take(&mut self, mut bytes: &[u8], say: &mut impl FnMut(Vec<u8>)) {
        while !bytes.is_empty() {
            let room = MAX_LINE - self.line.len();
            match bytes.iter().take(room).position(|&b| b == b'\n') {
                Some(end) => {
                    self.line.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                    self.flush(say);
                }
                None => {
                    let piece = bytes.len().min(room);
                    self.line.extend_from_slice(&bytes[..piece]);
                    bytes = &bytes[piece..];
                    if self.line.len() == MAX_LINE {
                        self.flush(say);
                    }
                }
            }
        }
    }

    fn flush(&mut self, say: &mut impl FnMut(Vec<u8>)) {
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        if !self.line.is_empty() {
            say([&self.prefix[..], &self.line].concat());
            self.line.clear();
        }
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_come_whole_with_their_origin() {
        let (reading, writing) = pipe().unwrap();
        let mut output = Output::new(reading, b"/srv/app", nix::unistd::Pid::from_raw(7));
        let mut writing = std::fs::File::from(writing);
        let mut lines = Vec::new();
        let mut read = |output: &mut Output| {
            let state = output.read(|line| lines.push(String::from_utf8(line).unwrap()));
            (state, std::mem::take(&mut lines))
        };
        writing.write_all(b"one\r\n\ntw").unwrap();
        let prefix = "server \"/srv/app\" (pid 7): ";
        assert_eq!(read(&mut output), (State::Open, vec![format!("{prefix}one")]));
        writing.write_all(b"o\n").unwrap();
        writing.write_all(&[b'x'; MAX_LINE + 3]).unwrap();
        let (_, lines) = read(&mut output);
        assert_eq!(lines[0], format!("{prefix}two"));
        assert_eq!(lines[1].len(), prefix.len() + MAX_LINE);
        drop(writing);
        assert_eq!(read(&mut output), (State::Ended, vec![format!("{prefix}xxx")]));
    }
}
