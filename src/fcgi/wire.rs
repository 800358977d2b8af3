//! `testdata/wire`: what goes to an application and what comes from one, as bytes in hex.
//!
//! A file begins with its input: lines of bytes (hex, or text in quotes, `*n` behind one
//! repeats it, `#` begins a comment), or `request` lines that are encoded. Behind the line
//! `--` stands what comes of it; `UPDATE_EXPECT=1` writes that anew. Answers are fed in
//! every split into two, and in pieces of every size: what comes of them is the same.

use std::fmt::Write;

use bytes::BytesMut;
use directives::modules::fastcgi::response::{head_end, parse};

use super::params::Opening;
use super::record::{Decoder, Record};
use super::stderr::{Said, Stderr};

/// Pieces of at most this size are tried as sizes of all pieces.
const MAX_PIECE: usize = 64;

/// What an answer comes to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    stdout: Vec<u8>,
    said: Vec<Said>,
    end: Option<Result<(), String>>,
    left: usize,
}

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Heard {
    let mut heard = Heard::default();
    let (mut decoder, mut stderr) = (Decoder::default(), Stderr::default());
    let mut input = BytesMut::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        while heard.end.is_none() {
            match decoder.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Record::Stdout(bytes))) => heard.stdout.extend_from_slice(&bytes),
                Ok(Some(Record::Stderr(bytes))) => {
                    stderr.take(&bytes, |said| heard.said.push(said));
                }
                Ok(Some(Record::End)) => heard.end = Some(Ok(())),
                Err(why) => heard.end = Some(Err(why)),
            }
        }
    }
    stderr.flush(&mut |said| heard.said.push(said));
    // Behind an error nothing is read any more, so how much is left is the split's.
    heard.left = if heard.end == Some(Ok(())) { input.len() } else { 0 };
    heard
}

fn answer(bytes: &[u8]) -> String {
    let heard = decode(std::iter::once(bytes));
    for at in 0..=bytes.len() {
        let halves = [&bytes[..at], &bytes[at..]];
        assert_eq!(decode(halves.into_iter()), heard, "split at {at}");
    }
    for size in 1..=bytes.len().min(MAX_PIECE) {
        assert_eq!(decode(bytes.chunks(size)), heard, "pieces of {size}");
    }
    let mut out = String::new();
    match head_end(&heard.stdout, 0) {
        Some(end) => {
            match parse(&heard.stdout[..end]) {
                Ok(fields) => {
                    for (name, value) in fields {
                        let (name, value) = (name.escape_ascii(), value.escape_ascii());
                        writeln!(out, "field {name}: {value}").expect("a string");
                    }
                }
                Err(bad) => writeln!(out, "malformed {}", bad.line).expect("a string"),
            }
            let body = &heard.stdout[end..];
            writeln!(out, "body {}", shown(body)).expect("a string");
        }
        None => writeln!(out, "no head {}", shown(&heard.stdout)).expect("a string"),
    }
    for said in heard.said {
        match said {
            Said::Line(line) => writeln!(out, "stderr {}", shown(&line)),
            other => writeln!(out, "stderr {other:?}"),
        }
        .expect("a string");
    }
    match heard.end {
        Some(Ok(())) => writeln!(out, "end, {} bytes left", heard.left),
        Some(Err(why)) => writeln!(out, "error {why}"),
        None => writeln!(out, "not ended"),
    }
    .expect("a string");
    out
}

/// Text in quotes; a long one by its ends.
fn shown(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=100 => format!("\"{}\"", bytes.escape_ascii()),
        length => format!(
            "\"{}\"…\"{}\" ({length} bytes)",
            bytes[..20].escape_ascii(),
            bytes[length - 20..].escape_ascii()
        ),
    }
}

/// The bytes of an input line.
fn bytes(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let line = line.split('#').next().unwrap_or_default().trim();
    let (mut rest, mut last) = (line, Vec::new());
    while !rest.is_empty() {
        if let Some(text) = rest.strip_prefix('"') {
            let (text, behind) = text.split_once('"').expect("the end of a text");
            last = text
                .replace("\\n", "\n")
                .replace("\\r", "\r")
                .replace("\\0", "\0")
                .into();
            rest = behind;
        } else {
            let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            match word.strip_prefix('*') {
                Some(times) => {
                    let times: usize = times.parse().expect("a number");
                    last = last.repeat(times - 1);
                }
                None => last = vec![u8::from_str_radix(word, 16).expect("two digits")],
            }
            rest = behind;
        }
        out.extend_from_slice(&last);
        rest = rest.trim_start();
    }
    out
}

/// `request ROLE keep|close NAME=VALUE…`, encoded: a line of hex for each record. A value
/// `*n` is n times `x`.
fn request(words: &str) -> String {
    let mut words = words.split(' ');
    let role = words.next().and_then(|role| role.parse().ok()).expect("a role");
    let keep = words.next() == Some("keep");
    let mut opening = Opening::new(role, keep, Vec::new());
    for pair in words {
        let (name, value) = pair.split_once('=').expect("NAME=VALUE");
        match value.strip_prefix('*').and_then(|times| times.parse().ok()) {
            Some(times) => opening.pair(name.as_bytes(), "x".repeat(times).as_bytes()),
            None => opening.pair(name.as_bytes(), value.as_bytes()),
        }
    }
    let (bytes, mut at, mut out) = (opening.finish(), 0, String::new());
    while at < bytes.len() {
        let length = usize::from(u16::from_be_bytes([bytes[at + 4], bytes[at + 5]]));
        let (head, content) = (&bytes[at..at + 8], &bytes[at + 8..at + 8 + length]);
        let hex = |bytes: &[u8]| {
            bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
        };
        let content = if length > 64 {
            format!("{} … ({length} bytes)", hex(&content[..16]))
        } else {
            hex(content)
        };
        writeln!(out, "{}", format!("{} | {content}", hex(head)).trim_end())
            .expect("a string");
        at += 8 + length;
    }
    out
}

fn check(name: &str) {
    let path = format!("{}/testdata/wire/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("a file");
    let input = text.split("--\n").next().unwrap_or_default();
    let mut out = format!("{input}--\n");
    let mut answered = Vec::new();
    for line in input.lines() {
        match line.strip_prefix("request ") {
            Some(words) => out += &request(words),
            None => answered.extend(bytes(line)),
        }
    }
    if !answered.is_empty() {
        out += &answer(&answered);
    }
    expect_test::expect_file![path].assert_eq(&out);
}

macro_rules! wire {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        #[test]
        fn every_file_is_read() {
            let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/wire");
            let known = [$(stringify!($name)),*];
            for entry in std::fs::read_dir(directory).expect("testdata/wire") {
                let name = entry.expect("an entry").file_name();
                let name = name.to_string_lossy().replace(".txt", "");
                assert!(known.contains(&&*name), "{name} is not on the list");
            }
        }
    };
}

wire! {
    requests long_pairs simple_answer many_pieces stderr_lines stderr_without_ends
    foreign_requests bad_version bad_type bad_end refused cut_short cut_in_head
    behind_the_end malformed_head folded_fields empty_stdout padded
}
