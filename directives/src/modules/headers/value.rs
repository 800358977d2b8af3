//! The values of `Header`: texts with `%` in them, or expressions.

use std::sync::Arc;

use bytes::Bytes;

use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::expr::{Template, Want};
use crate::log::Level;
use crate::modules::ssl;
use crate::request::Request;
use crate::schema::{Problem, Result, Word};

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Pieces of text.
    Pieces(Vec<Piece>),
    /// Behind `expr=`.
    Filled(Arc<Template>),
}

/// A piece of a text.
#[derive(Clone, Debug)]
pub enum Piece {
    /// As it stands.
    Plain(Bytes),
    /// `%{NAME}e`.
    Env(Bytes),
    /// `%t`: microseconds since 1970.
    Time,
    /// `%D`: how long the request took so far, microseconds.
    Duration,
    /// `%l`: the system's load.
    Load,
    /// `%{NAME}s`: one of mod_ssl's variables.
    Ssl(Option<ssl::Name>),
}

/// Reads a value: `parse_format_string`.
pub fn parse(at: &Scope, word: &Word) -> Result<Value> {
    if let Some(text) = word.bytes.strip_prefix(b"expr=") {
        let template = Template::parse(text, at.rules()).map_err(|why| {
            Problem::from(format!("Can't parse value expression : {why}")).at(word.span)
        })?;
        return Ok(Value::Filled(Arc::new(template)));
    }
    let text = &word.bytes;
    let mut pieces = Vec::new();
    let mut plain = Vec::new();
    let mut i = 0;
    while let Some(&byte) = text.get(i) {
        let escaped =
            text.get(i + 1).filter(|_| byte == b'\\').and_then(|next| match next {
                b'\\' => Some(b'\\'),
                b'r' => Some(b'\r'),
                b'n' => Some(b'\n'),
                b't' => Some(b'\t'),
                _ => None,
            });
        if let Some(byte) = escaped {
            plain.push(byte);
            i += 2;
            continue;
        }
        if byte != b'%' {
            plain.push(byte);
            i += 1;
            continue;
        }
        let rest = &text[i + 1..];
        let (piece, length) = match rest {
            // A lone sign at the end is one.
            [] | [b'%', ..] => {
                plain.push(b'%');
                i += 2;
                continue;
            }
            [b't', ..] => (Piece::Time, 1),
            [b'{', inner @ ..] => {
                let end = inner.iter().position(|&b| b == b'}');
                let kind = end.and_then(|end| inner.get(end + 1));
                match (end, kind) {
                    (Some(end), Some(b'e')) => {
                        (Piece::Env(Bytes::copy_from_slice(&inner[..end])), end + 3)
                    }
                    (Some(end), Some(b's')) => {
                        let name = String::from_utf8_lossy(&inner[..end]);
                        (Piece::Ssl(ssl::Name::parse(&name)), end + 3)
                    }
                    (Some(_), Some(letter)) => return Err(unknown(word, &[*letter])),
                    _ => return Err(unknown(word, b"")),
                }
            }
            [b'D', ..] => (Piece::Duration, 1),
            [b'l', ..] => (Piece::Load, 1),
            [letter @ (b'i' | b'b'), ..] => {
                let message = format!(
                    "%{} is refused: there are no workers to count",
                    char::from(*letter)
                );
                return Err(Problem::new(&codes::REFUSED, message).at(word.span));
            }
            [letter, ..] => return Err(unknown(word, &[*letter])),
        };
        if !plain.is_empty() {
            pieces.push(Piece::Plain(std::mem::take(&mut plain).into()));
        }
        pieces.push(piece);
        i += 1 + length;
    }
    if !plain.is_empty() {
        pieces.push(Piece::Plain(plain.into()));
    }
    Ok(Value::Pieces(pieces))
}

fn unknown(word: &Word, letter: &[u8]) -> Problem {
    let help = "known are %%, %t, %D, %l, %{NAME}e and %{NAME}s";
    let letter = String::from_utf8_lossy(letter);
    Problem::from(format!("Unrecognized header format %{letter}"))
        .at(word.span)
        .help(help)
}

impl Value {
    /// The text for a request; an expression that fails gives an empty one.
    pub fn of(&self, r: &mut Request) -> std::result::Result<Vec<u8>, Want> {
        let pieces = match self {
            Value::Pieces(pieces) => pieces,
            Value::Filled(template) => {
                return Ok(match template.fill(r)? {
                    Ok(text) => text.to_vec(),
                    Err(why) => {
                        let text = format!("Can't evaluate value expression: {why}");
                        r.log(Level::Error, "headers", 2557, text);
                        Vec::new()
                    }
                });
            }
        };
        let mut out = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Plain(text) => out.extend_from_slice(text),
                Piece::Env(name) => {
                    let value = r.env.get(name).map_or(&b"(null)"[..], |value| value);
                    out.extend_from_slice(value);
                }
                Piece::Time => {
                    out.extend_from_slice(format!("t={}", r.request_time).as_bytes());
                }
                Piece::Duration => {
                    out.extend_from_slice(
                        format!("D={}", r.now - r.request_time).as_bytes(),
                    );
                }
                Piece::Load => {
                    let text = r.files.read(b"/proc/loadavg").unwrap_or_default();
                    let words = text.split(|&b| b == b' ').take(3);
                    out.extend_from_slice(b"l=");
                    out.extend(words.collect::<Vec<_>>().join(&b' '));
                }
                Piece::Ssl(name) => {
                    let value = name.and_then(|name| ssl::variable(r, name));
                    // `unwrap_header`: the lines of a certificate are no lines of a field.
                    let value = value.unwrap_or_else(|| Bytes::from_static(b"(null)"));
                    out.extend(value.iter().map(|&b| if b == b'\n' { b' ' } else { b }));
                }
            }
        }
        Ok(out)
    }
}
