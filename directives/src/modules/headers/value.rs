//! The values of `Header`: texts with `%` in them, or expressions.

use std::sync::Arc;

use bytes::Bytes;

use crate::compile::Scope;
use crate::expr::{Rules, Template, Want};
use crate::request::Request;
use crate::schema::{Context, Problem, Result, Word};

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
    /// `%{NAME}s`: nothing is known of TLS here.
    Nothing,
}

/// Reads a value: `parse_format_string`.
pub fn parse(at: &Scope, word: &Word) -> Result<Value> {
    if let Some(text) = word.bytes.strip_prefix(b"expr=") {
        let rules =
            Rules { restricted: at.place.context == Context::HTACCESS, dont_vary: true };
        let template = Template::parse(text, rules).map_err(|why| {
            Problem::from(format!("Can't parse value expression : {why}")).at(word.span)
        })?;
        return Ok(Value::Filled(Arc::new(template)));
    }
    let text = &word.bytes;
    let mut pieces = Vec::new();
    let mut plain = Vec::new();
    let mut i = 0;
    while let Some(&byte) = text.get(i) {
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
                    (Some(end), Some(b's')) => (Piece::Nothing, end + 3),
                    _ => return Err(unknown(word)),
                }
            }
            _ => return Err(unknown(word)),
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

fn unknown(word: &Word) -> Problem {
    let help = "known are %%, %t, %{NAME}e and %{NAME}s";
    Problem::from("Unrecognized Header or RequestHeader directive %-format").at(word.span).help(help)
}

impl Value {
    /// The text for a request; an expression that fails gives none.
    pub fn of(&self, r: &mut Request) -> std::result::Result<Option<Vec<u8>>, Want> {
        let pieces = match self {
            Value::Pieces(pieces) => pieces,
            Value::Filled(template) => {
                return Ok(template.fill(r)?.ok().map(|text| text.to_vec()));
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
                Piece::Nothing => out.extend_from_slice(b"(null)"),
            }
        }
        Ok(Some(out))
    }
}
