//! Records: the eight-byte header, and a decoder that cuts a stream into contents without
//! copying them. See the FastCGI specification, section 3.3.

use bytes::{Bytes, BytesMut};

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
#[derive(Debug)]
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
                    let _ = input.split_to(HEADER);
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
                    let body = input.split_to(left);
                    self.state = State::Padding(padding);
                    let status = body[4];
                    if status != 0 {
                        return Err(format!(
                            "invalid FCGI_END_REQUEST status: {status} != FCGI_REQUEST_COMPLETE(0)"
                        ));
                    }
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
                    let piece = input.split_to(left.min(input.len()));
                    self.state = State::Padding(left - piece.len());
                }
            }
        }
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
