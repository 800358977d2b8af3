//! What a query string makes the probe do: its directives, one after the other.
//!
//! | directive | does |
//! |---|---|
//! | `status=404 Gone` | a `Status` line of the head |
//! | `header=Name: value` | a line of the head as it is |
//! | `headers=1000 Name: value` | so many of them, numbered behind the value |
//! | `env` | the body is the parameters, sorted, a line each |
//! | `echo` | the body is the request's |
//! | `size=n` | the body is so many bytes |
//! | `text=words` | the body is this |
//! | `records` | the body is role, flags, and the records that came, as `type:length` |
//! | `stderr=text` | a line for the error log |
//! | `stdout=text` | standard output without a head before it |
//! | `chop=n` | records of standard output hold so many bytes from here on |
//! | `sleep=ms` | waits |
//! | `note=file` | a line in that file: the parameters, with tabs between |
//! | `unless=NAME value` | ends the directives here if a parameter has that value |
//! | `raw=hex` | bytes that need not be a record |
//! | `exit=code` | the process ends here |
//! | `close` | the connection ends here, without `FCGI_END_REQUEST` |
//! | `end=app,protocol` | what `FCGI_END_REQUEST` is to say |
//!
//! The head is finished by the first directive that makes a body, or at the end.

use std::fs::File;
use std::io::{Read, Result, Write};
use std::time::Duration;

use crate::wire::{Connection, Request, STDERR, STDOUT};

/// The most that a record holds.
const MOST: usize = 0xffff;

/// An answer being made.
struct Answer<'a, I, O> {
    connection: &'a mut Connection<I, O>,
    id: u16,
    head: Vec<u8>,
    has_type: bool,
    head_is_sent: bool,
    chop: usize,
}

/// Answers a request; says whether the connection stays.
pub fn answer<I: Read, O: Write>(
    connection: &mut Connection<I, O>,
    request: &Request,
    directives: &str,
) -> Result<bool> {
    let mut answer = Answer {
        connection,
        id: request.id,
        head: Vec::new(),
        has_type: false,
        head_is_sent: false,
        chop: MOST,
    };
    let (mut app, mut protocol) = (0, 0);
    for directive in directives.split('&') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let value = decode(value);
        let text = String::from_utf8_lossy(&value).into_owned();
        match name {
            "status" => answer.line(format!("Status: {text}").as_bytes()),
            "header" => answer.line(&value),
            "headers" => {
                let (count, line) = text.split_once(' ').unwrap_or((&text, "X: "));
                for i in 0..number(count) {
                    answer.line(format!("{line}{i}").as_bytes());
                }
            }
            "env" => answer.body(&environment(request))?,
            "echo" => answer.body(&request.body)?,
            "size" => answer.body(&pattern(number(&text) as usize))?,
            "text" => answer.body(&value)?,
            "records" => answer.body(records(request).as_bytes())?,
            "stderr" => answer.connection.write(STDERR, request.id, &value)?,
            "stdout" => {
                answer.head_is_sent = true;
                answer.stdout(&value)?;
            }
            "chop" => answer.chop = number(&text).clamp(1, MOST as u64) as usize,
            "sleep" => std::thread::sleep(Duration::from_millis(number(&text))),
            "note" => note(&text, request)?,
            "unless" if has(request, &text) => break,
            "unless" => {}
            "raw" => answer.connection.raw(&hex(&text))?,
            "exit" => std::process::exit(number(&text) as i32),
            "close" => return Ok(false),
            "end" => {
                let (first, second) = text.split_once(',').unwrap_or((&text, "0"));
                (app, protocol) = (number(first) as u32, number(second) as u8);
            }
            "" => {}
            _ => {
                let unknown = format!("probe: there is no directive {name}\n");
                answer.connection.write(STDERR, request.id, unknown.as_bytes())?;
                answer.line(b"Status: 500");
            }
        }
    }
    answer.finish_head()?;
    answer.connection.write(STDOUT, request.id, b"")?;
    answer.connection.end(request.id, app, protocol)?;
    Ok(true)
}

impl<I: Read, O: Write> Answer<'_, I, O> {
    fn line(&mut self, line: &[u8]) {
        self.has_type |= line.to_ascii_lowercase().starts_with(b"content-type");
        self.head.extend(line);
        self.head.extend(b"\r\n");
    }

    fn finish_head(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.head_is_sent, true) {
            return Ok(());
        }
        if !self.has_type {
            self.line(b"Content-Type: text/plain");
        }
        self.head.extend(b"\r\n");
        let head = std::mem::take(&mut self.head);
        self.stdout(&head)
    }

    fn body(&mut self, bytes: &[u8]) -> Result<()> {
        self.finish_head()?;
        self.stdout(bytes)
    }

    fn stdout(&mut self, bytes: &[u8]) -> Result<()> {
        for piece in bytes.chunks(self.chop) {
            self.connection.write(STDOUT, self.id, piece)?;
        }
        Ok(())
    }
}

fn environment(request: &Request) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = request
        .params
        .iter()
        .map(|(name, value)| [&name[..], b"=", value, b"\n"].concat())
        .collect();
    lines.sort();
    lines.concat()
}

/// Who reads the file beside the probe's writing sees whole lines.
fn note(file: &str, request: &Request) -> Result<()> {
    let mut line = format!("role={}\n", request.role).into_bytes();
    line.extend(environment(request));
    for byte in line.iter_mut().filter(|byte| **byte == b'\n') {
        *byte = b'\t';
    }
    line.push(b'\n');
    File::options().create(true).append(true).open(file)?.write_all(&line)
}

/// Has a parameter that value? `NAME value`.
fn has(request: &Request, text: &str) -> bool {
    let (name, value) = text.split_once(' ').unwrap_or((text, ""));
    request.params.iter().any(|(n, v)| n == name.as_bytes() && v == value.as_bytes())
}

fn records(request: &Request) -> String {
    let records: Vec<String> =
        request.records.iter().map(|(kind, length)| format!("{kind}:{length}")).collect();
    format!(
        "id={} role={} flags={} {}\n",
        request.id,
        request.role,
        request.flags,
        records.join(" ")
    )
}

/// Bytes that show where one was lost: a prime number of letters, again and again.
fn pattern(length: usize) -> Vec<u8> {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwABCDEFGH";
    // Figures are made with this: it is copied, not counted out.
    let mut bytes = LETTERS.repeat(length.div_ceil(LETTERS.len()));
    bytes.truncate(length);
    bytes
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// The escapes of a URL; `+` is a blank.
fn decode(value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after
            .get(..2)
            .filter(|_| first == b'%')
            .map(|digits| hex(&String::from_utf8_lossy(digits)));
        match escaped {
            Some(byte) if byte.len() == 1 => {
                out.extend(byte);
                rest = &after[2..];
            }
            _ => {
                out.push(if first == b'+' { b' ' } else { first });
                rest = after;
            }
        }
    }
    out
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}
