//! What an application writes to FCGI_STDERR, cut into lines for the log (section 6.8).

/// The longest line, bytes; the original's FCGI_SERVER_MAX_STDERR_LINE_LEN.
const MAX_LINE: usize = 1023;

/// A line for the log, or a complaint about the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// A line.
    Line(Vec<u8>),
    /// A line had to be cut.
    TooLong,
    /// So many bytes were dropped at a NUL.
    Null(usize),
}

/// The line that is being gathered.
#[derive(Debug, Default)]
pub struct Stderr {
    line: Vec<u8>,
}

impl Stderr {
    /// Takes bytes, and says what lines they complete.
    pub fn take(&mut self, mut bytes: &[u8], mut say: impl FnMut(Said)) {
        while !bytes.is_empty() {
            let room = MAX_LINE - self.line.len();
            let piece = &bytes[..bytes.len().min(room)];
            match piece.iter().position(|b| matches!(b, b'\r' | b'\n' | 0)) {
                Some(end) if piece[end] == 0 => {
                    say(Said::Null(self.line.len() + end + 1));
                    self.line.clear();
                    bytes = &bytes[end + 1..];
                }
                Some(end) => {
                    self.line.extend_from_slice(&piece[..end]);
                    self.flush(&mut say);
                    bytes = &bytes[end + 1..];
                }
                None => {
                    self.line.extend_from_slice(piece);
                    bytes = &bytes[piece.len()..];
                    if self.line.len() == MAX_LINE {
                        self.flush(&mut say);
                        say(Said::TooLong);
                    }
                }
            }
        }
    }

    /// Says the rest, at the end of the request.
    pub fn flush(&mut self, say: &mut impl FnMut(Said)) {
        if !self.line.is_empty() {
            say(Said::Line(std::mem::take(&mut self.line)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&[u8]]) -> Vec<Said> {
        let (mut stderr, mut out) = (Stderr::default(), Vec::new());
        for piece in pieces {
            stderr.take(piece, |said| out.push(said));
        }
        stderr.flush(&mut |said| out.push(said));
        out
    }

    #[test]
    fn lines_are_cut_at_ends_nulls_and_the_limit() {
        let line = |text: &[u8]| Said::Line(text.to_vec());
        assert_eq!(
            said(&[b"a\r\n\nb", b"c\nrest"]),
            [line(b"a"), line(b"bc"), line(b"rest")]
        );
        assert_eq!(said(&[b"ab\0c\n"]), [Said::Null(3), line(b"c")]);
        let long = vec![b'x'; 1030];
        assert_eq!(
            said(&[&long]),
            [line(&long[..1023]), Said::TooLong, line(&long[..7])]
        );
    }
}
