//! Records: the eight-byte header, and a decoder that cuts a stream into contents without
//! copying them. See the FastCGI specification, section 3.3.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of a record's header.
pub const HEADER: usize = 8;
/// The only version.
const VERSION: u8 = 1;
/// The request id of every request: connections are not shared.
pub const REQUEST_ID: u16 = 1;
/// The most content of a record.
pub const MAX_CONTENT: usize = 0xffff;

/// Types of records.
pub mod kind {
    /// Begins a request.
    pub const BEGIN_REQUEST: u8 = 1;
    /// Ends a request.
    pub const END_REQUEST: u8 = 3;
    /// Name-value pairs.
    pub const PARAMS: u8 = 4;
    /// The request's body.
    pub const STDIN: u8 = 5;
    /// The response.
    pub const STDOUT: u8 = 6;
    /// Words for the log.
    pub const STDERR: u8 = 7;
    /// What a filter is to filter.
    pub const DATA: u8 = 8;
    /// The highest known type.
    pub const MAX: u8 = 11;
}

/// A header for `length` bytes of content, without padding.
pub fn header(kind: u8, length: u16) -> [u8; HEADER] {
    let [id_high, id_low] = REQUEST_ID.to_be_bytes();
    let [high, low] = length.to_be_bytes();
    [VERSION, kind, id_high, id_low, high, low, 0, 0]
}

/// What a decoder finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A piece of the response.
    Stdout(Bytes),
    /// A piece for the log.
    Stderr(Bytes),
    /// The end of the request.
    End,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    /// Content of a type, so many bytes to come, then so many of padding.
    Content {
        kind: u8,
        wanted: bool,
        left: usize,
        padding: usize,
    },
    Padding(usize),
}

/// Cuts a stream of bytes into records. Content is handed on as it arrives, without
/// waiting for the end of its record.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    state: State,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { state: State::Header }
    }
}

impl Decoder {
    /// The next record, or a part of one, from the front of `input`; `None` if more bytes
    /// are needed. The error is the sentence for the log.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Record>, String> {
        loop {
            match self.state {
                State::Header => {
                    let Some((head, _)) = input.split_first_chunk::<HEADER>() else {
                        return Ok(None);
                    };
                    self.state = begin(head)?;
                    input.advance(HEADER);
                }
                State::Content {
                    kind: kind::END_REQUEST,
                    wanted: true,
                    left,
                    padding,
                } => {
                    if input.len() < left {
                        return Ok(None);
                    }
                    let said = ended(&input[..left]);
                    input.advance(left);
                    self.state = State::Padding(padding);
                    said?;
                    return Ok(Some(Record::End));
                }
                State::Content { left: 0, padding, .. } => {
                    self.state = State::Padding(padding);
                }
                State::Content { kind, wanted, left, padding } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let piece = input.split_to(left.min(input.len()));
                    let left = left - piece.len();
                    self.state = State::Content { kind, wanted, left, padding };
                    if wanted && kind == kind::STDOUT {
                        return Ok(Some(Record::Stdout(piece.freeze())));
                    }
                    if wanted && kind == kind::STDERR {
                        return Ok(Some(Record::Stderr(piece.freeze())));
                    }
                }
                State::Padding(0) => self.state = State::Header,
                State::Padding(left) => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let skipped = left.min(input.len());
                    input.advance(skipped);
                    self.state = State::Padding(left - skipped);
                }
            }
        }
    }
}

impl Decoder {
    /// Looks at what `input` goes on with, up to the end of the request, without taking
    /// anything: how much of FCGI_STDOUT is there, in bytes, and whether the end of the request
    /// is there with nothing behind it, or what [`Decoder::next`] will fail with.
    pub fn check(mut self, mut input: &[u8]) -> (u64, Result<bool, String>) {
        let mut stdout = 0;
        loop {
            match self.state {
                State::Header => {
                    let Some((head, rest)) = input.split_first_chunk::<HEADER>() else {
                        return (stdout, Ok(false));
                    };
                    match begin(head) {
                        Ok(state) => self.state = state,
                        Err(why) => return (stdout, Err(why)),
                    }
                    input = rest;
                }
                State::Content { kind, wanted, left, padding } => {
                    let whole = input.len() >= left;
                    let (content, rest) = input.split_at(left.min(input.len()));
                    if wanted && kind == kind::END_REQUEST {
                        let said = if whole { ended(content) } else { Ok(()) };
                        let is_last = whole && rest.len() == padding;
                        return (stdout, said.map(|()| is_last));
                    }
                    if wanted && kind == kind::STDOUT {
                        stdout += content.len() as u64;
                    }
                    if !whole {
                        return (stdout, Ok(false));
                    }
                    (self.state, input) = (State::Padding(padding), rest);
                }
                State::Padding(left) => {
                    let Some(rest) = input.get(left..) else {
                        return (stdout, Ok(false));
                    };
                    (self.state, input) = (State::Header, rest);
                }
            }
        }
    }
}

/// A complete END_REQUEST.
fn ended(body: &[u8]) -> Result<(), String> {
    match body.get(4) {
        Some(0) => Ok(()),
        status => Err(format!(
            "invalid FCGI_END_REQUEST status: {} != FCGI_REQUEST_COMPLETE(0)",
            status.copied().unwrap_or_default()
        )),
    }
}

fn begin(head: &[u8; HEADER]) -> Result<State, String> {
    let [version, kind, id_high, id_low, high, low, padding, _] = *head;
    if version != VERSION {
        return Err(format!("invalid version: {version} != FCGI_VERSION(1)"));
    }
    if kind > kind::MAX {
        return Err(format!("invalid type: {kind} > FCGI_MAXTYPE(11)"));
    }
    let left = usize::from(u16::from_be_bytes([high, low]));
    // A record of another request cannot be meant for this connection's only one.
    let wanted = u16::from_be_bytes([id_high, id_low]) == REQUEST_ID;
    if kind == kind::END_REQUEST && wanted && left != 8 {
        return Err(format!(
            "invalid FCGI_END_REQUEST size: {left} != sizeof(FCGI_EndRequestBody)(8)"
        ));
    }
    Ok(State::Content { kind, wanted, left, padding: usize::from(padding) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, id: u8, content: &[u8], padding: u8) -> Vec<u8> {
        let mut out = vec![1, kind, 0, id, 0, content.len() as u8, padding, 0];
        out.extend_from_slice(content);
        out.extend(std::iter::repeat_n(0, usize::from(padding)));
        out
    }

    fn decode(bytes: &[u8], step: usize) -> (Vec<u8>, Vec<u8>, bool, Option<String>) {
        let (mut out, mut err, mut ended) = (Vec::new(), Vec::new(), false);
        let mut decoder = Decoder::default();
        let mut input = BytesMut::new();
        for piece in bytes.chunks(step) {
            input.extend_from_slice(piece);
            loop {
                match decoder.next(&mut input) {
                    Ok(None) => break,
                    Ok(Some(Record::Stdout(b))) => out.extend_from_slice(&b),
                    Ok(Some(Record::Stderr(b))) => err.extend_from_slice(&b),
                    Ok(Some(Record::End)) => ended = true,
                    Err(why) => return (out, err, ended, Some(why)),
                }
            }
        }
        (out, err, ended, None)
    }

    #[test]
    fn records_come_in_any_pieces() {
        let bytes = [
            record(6, 1, b"hello ", 3),
            record(7, 1, b"oops", 0),
            record(6, 2, b"foreign", 1),
            record(11, 1, b"unknown", 0),
            record(6, 1, b"", 8),
            record(6, 1, b"world", 0),
            record(3, 1, &[0; 8], 0),
        ]
        .concat();
        for step in 1..bytes.len() {
            let (out, err, ended, why) = decode(&bytes, step);
            assert_eq!(
                (&out[..], &err[..], ended, why),
                (&b"hello world"[..], &b"oops"[..], true, None)
            );
        }
    }

    /// What is seen beforehand is what comes then, wherever the look is taken.
    #[test]
    fn a_look_ahead_sees_what_comes() {
        let end = |status| record(3, 1, &[0, 0, 0, 0, status, 0, 0, 0], 2);
        let begin = [
            record(6, 1, b"hello ", 3),
            record(6, 2, b"foreign", 1),
            record(7, 1, b"oops", 0),
            record(6, 1, b"world", 0),
        ]
        .concat();
        for last in [end(0), end(1), record(3, 1, b"abc", 0), record(12, 1, b"", 0)] {
            let bytes = [&begin[..], &last].concat();
            for length in 0..=bytes.len() {
                let (mut input, mut decoder) = (BytesMut::new(), Decoder::default());
                input.extend_from_slice(&bytes[..length]);
                let mut heard = Vec::new();
                let mut seen = vec![decoder.check(&input)];
                let failed = loop {
                    match decoder.next(&mut input) {
                        Ok(None) => break Ok(false),
                        // The padding is what is left.
                        Ok(Some(Record::End)) => break Ok(input.len() == 2),
                        Ok(Some(Record::Stdout(piece))) => heard.push(piece.len() as u64),
                        Ok(Some(Record::Stderr(_))) => {}
                        Err(why) => break Err(why),
                    }
                    if seen.len() <= heard.len() {
                        seen.push(decoder.check(&input));
                    }
                };
                let mut left: u64 = heard.iter().sum();
                for (i, seen) in seen.into_iter().enumerate() {
                    assert_eq!(seen, (left, failed.clone()), "{length} bytes, look {i}");
                    left -= heard.get(i).copied().unwrap_or_default();
                }
            }
        }
    }

    #[test]
    fn what_is_no_fastcgi_is_named() {
        let why = |bytes: &[u8]| decode(bytes, 4).3.unwrap();
        assert_eq!(
            why(&[2, 6, 0, 1, 0, 0, 0, 0]),
            "invalid version: 2 != FCGI_VERSION(1)"
        );
        assert_eq!(
            why(&[1, 12, 0, 1, 0, 0, 0, 0]),
            "invalid type: 12 > FCGI_MAXTYPE(11)"
        );
        assert!(
            why(&record(3, 1, &[0; 3], 0))
                .starts_with("invalid FCGI_END_REQUEST size: 3")
        );
        let refused = record(3, 1, &[0, 0, 0, 0, 2, 0, 0, 0], 0);
        assert!(why(&refused).starts_with("invalid FCGI_END_REQUEST status: 2"));
    }
}
