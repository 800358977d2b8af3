//! Records of FastCGI 1.0, read and written one after the other (sections 3 to 5 of the
//! specification).

use std::io::{Error, ErrorKind, Read, Result, Write};

/// `FCGI_BEGIN_REQUEST`.
const BEGIN_REQUEST: u8 = 1;
/// `FCGI_ABORT_REQUEST`.
const ABORT_REQUEST: u8 = 2;
/// `FCGI_END_REQUEST`.
const END_REQUEST: u8 = 3;
/// `FCGI_PARAMS`.
const PARAMS: u8 = 4;
/// `FCGI_STDIN`.
const STDIN: u8 = 5;
/// `FCGI_STDOUT`.
pub const STDOUT: u8 = 6;
/// `FCGI_STDERR`.
pub const STDERR: u8 = 7;
/// `FCGI_GET_VALUES`.
const GET_VALUES: u8 = 9;
/// `FCGI_GET_VALUES_RESULT`.
const GET_VALUES_RESULT: u8 = 10;
/// `FCGI_UNKNOWN_TYPE`.
const UNKNOWN_TYPE: u8 = 11;

/// `FCGI_AUTHORIZER`, which gets no standard input.
pub const AUTHORIZER: u16 = 2;

/// One record.
struct Record {
    kind: u8,
    id: u16,
    content: Vec<u8>,
}

/// A request as it came.
#[derive(Debug, Default)]
pub struct Request {
    /// Its number on the connection.
    pub id: u16,
    /// 1 responder, 2 authorizer, 3 filter.
    pub role: u16,
    /// The flags of `FCGI_BEGIN_REQUEST`.
    pub flags: u8,
    /// Names and values in their order.
    pub params: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// Types and content lengths of its records, in their order.
    pub records: Vec<(u8, usize)>,
}

impl Request {
    /// `FCGI_KEEP_CONN`.
    pub fn keeps_connection(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// A connection with a server.
pub struct Connection<I, O> {
    input: I,
    output: O,
}

impl<I: Read, O: Write> Connection<I, O> {
    /// Nothing read, nothing written.
    pub fn new(input: I, output: O) -> Connection<I, O> {
        Connection { input, output }
    }

    /// The next request, read to its end. `None` when the server has closed.
    pub fn request(&mut self) -> Result<Option<Request>> {
        let mut request: Option<Request> = None;
        let mut params = Vec::new();
        let mut has_params = false;
        while let Some(record) = self.record()? {
            if record.id == 0 {
                self.management(&record)?;
                continue;
            }
            if record.kind == BEGIN_REQUEST {
                let &[high, low, flags, ..] = &record.content[..] else {
                    return Err(broken("FCGI_BEGIN_REQUEST is short"));
                };
                let role = u16::from_be_bytes([high, low]);
                request =
                    Some(Request { id: record.id, role, flags, ..Request::default() });
            }
            let Some(open) = request.as_mut().filter(|open| open.id == record.id) else {
                return Err(broken("a record of no request"));
            };
            open.records.push((record.kind, record.content.len()));
            match record.kind {
                BEGIN_REQUEST => {}
                PARAMS if record.content.is_empty() => {
                    open.params = pairs(&params)?;
                    has_params = true;
                    if open.role == AUTHORIZER {
                        return Ok(request);
                    }
                }
                PARAMS => params.extend(record.content),
                STDIN if record.content.is_empty() && has_params => return Ok(request),
                STDIN => open.body.extend(record.content),
                ABORT_REQUEST => return Ok(None),
                _ => return Err(broken("a type that has no place here")),
            }
        }
        Ok(None)
    }

    fn record(&mut self) -> Result<Option<Record>> {
        let mut header = [0; 8];
        match self.input.read_exact(&mut header) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let [version, kind, id1, id0, length1, length0, padding, _] = header;
        if version != 1 {
            return Err(broken("another version"));
        }
        let mut content = vec![0; usize::from(u16::from_be_bytes([length1, length0]))];
        self.input.read_exact(&mut content)?;
        let mut skipped = vec![0; usize::from(padding)];
        self.input.read_exact(&mut skipped)?;
        Ok(Some(Record { kind, id: u16::from_be_bytes([id1, id0]), content }))
    }

    /// Answers what is about no request.
    fn management(&mut self, record: &Record) -> Result<()> {
        if record.kind != GET_VALUES {
            return self.write(UNKNOWN_TYPE, 0, &[record.kind, 0, 0, 0, 0, 0, 0, 0]);
        }
        let mut values = Vec::new();
        for (name, _) in pairs(&record.content)? {
            let value: &[u8] = match &name[..] {
                b"FCGI_MAX_CONNS" | b"FCGI_MAX_REQS" => b"100",
                b"FCGI_MPXS_CONNS" => b"0",
                _ => continue,
            };
            values.extend([name.len() as u8, value.len() as u8]);
            values.extend(name);
            values.extend(value);
        }
        self.write(GET_VALUES_RESULT, 0, &values)
    }

    /// Writes a record, padded to eight bytes as the specification recommends.
    pub fn write(&mut self, kind: u8, id: u16, content: &[u8]) -> Result<()> {
        let length = u16::try_from(content.len()).map_err(|_| broken("too long"))?;
        let padding = content.len().wrapping_neg() % 8;
        let ([id1, id0], [length1, length0]) = (id.to_be_bytes(), length.to_be_bytes());
        let mut bytes = vec![1, kind, id1, id0, length1, length0, padding as u8, 0];
        bytes.extend(content);
        bytes.extend(&[0; 8][..padding]);
        self.raw(&bytes)
    }

    /// Writes bytes that need not be a record.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.write_all(bytes)?;
        self.output.flush()
    }

    /// Ends a request.
    pub fn end(&mut self, id: u16, app_status: u32, protocol_status: u8) -> Result<()> {
        let [a, b, c, d] = app_status.to_be_bytes();
        self.write(END_REQUEST, id, &[a, b, c, d, protocol_status, 0, 0, 0])
    }
}

/// Name-value pairs (section 3.4).
fn pairs(bytes: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut at = 0;
    let mut found = Vec::new();
    while at < bytes.len() {
        let name = length(bytes, &mut at)?;
        let value = length(bytes, &mut at)?;
        let name = part(bytes, &mut at, name)?.to_vec();
        found.push((name, part(bytes, &mut at, value)?.to_vec()));
    }
    Ok(found)
}

/// One byte, or four with the highest bit set.
fn length(bytes: &[u8], at: &mut usize) -> Result<usize> {
    let first = part(bytes, at, 1)?[0];
    if first & 0x80 == 0 {
        return Ok(usize::from(first));
    }
    let rest = part(bytes, at, 3)?;
    Ok(u32::from_be_bytes([first & 0x7f, rest[0], rest[1], rest[2]]) as usize)
}

fn part<'a>(bytes: &'a [u8], at: &mut usize, length: usize) -> Result<&'a [u8]> {
    let found =
        bytes.get(*at..*at + length).ok_or_else(|| broken("a pair is cut off"))?;
    *at += length;
    Ok(found)
}

fn broken(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, id: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1, kind, 0, id, 0, content.len() as u8, 3, 0];
        bytes.extend(content);
        bytes.extend([9, 9, 9]);
        bytes
    }

    #[test]
    fn an_authorizer_does_not_wait_for_a_body() {
        let bytes = [
            record(GET_VALUES, 0, b"\x0f\0FCGI_MPXS_CONNS\x01\0X"),
            record(BEGIN_REQUEST, 1, &[0, 2, 1, 0, 0, 0, 0, 0]),
            record(PARAMS, 1, b"\x01\x80\0\0"),
            record(PARAMS, 1, b"\x02Nva"),
            record(PARAMS, 1, b""),
        ];
        let mut connection = Connection::new(&*bytes.concat().leak(), Vec::new());
        let request = connection.request().unwrap().unwrap();
        assert_eq!((request.role, request.keeps_connection()), (AUTHORIZER, true));
        assert_eq!(request.params, [(b"N".to_vec(), b"va".to_vec())]);
        assert_eq!(request.records, [(1, 8), (4, 4), (4, 4), (4, 0)]);
        // 18 bytes of content and 6 of padding.
        assert_eq!(connection.output[..8], [1, GET_VALUES_RESULT, 0, 0, 0, 18, 6, 0]);
        assert_eq!(connection.output[8..26], *b"\x0f\x01FCGI_MPXS_CONNS0");
        assert!(connection.request().unwrap().is_none());
    }

    #[test]
    fn records_that_are_none_are_refused() {
        for bytes in [&b"\x02\x01\0\x01\0\0\0\0"[..], &record(STDIN, 1, b"x")] {
            assert!(Connection::new(bytes, Vec::new()).request().is_err());
        }
    }
}
