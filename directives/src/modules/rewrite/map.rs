//! `RewriteMap`: tables from which a text takes a value for a key.

use std::sync::Arc;

use bytes::Bytes;

use super::program::{self, Program};
use super::table::Table;
use super::text::Need;
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::path;
use crate::request::Request;
use crate::schema::{Problem, Result, Word};

/// A map.
#[derive(Clone, Debug)]
pub enum Map {
    /// `txt`: lines of key and value.
    Text(Arc<Table>),
    /// `rnd`: the same, with alternatives between bars.
    Random(Arc<Table>),
    /// `int`: a function of ours.
    Function(Function),
    /// `prg`: a program is asked.
    Program(Arc<Program>),
}

/// The functions of `int` maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `tolower`.
    Lower,
    /// `toupper`.
    Upper,
    /// `escape`.
    Escape,
    /// `unescape`.
    Unescape,
}

/// Reads the type and source of a map, and for whom its program runs: `cmd_rewritemap`.
pub fn parse(
    at: &Scope,
    name: &Word,
    word: &Word,
    account: Option<&Word>,
) -> Result<Map> {
    let text = &word.bytes;
    let (kind, rest) = match text.iter().position(|&b| b == b':') {
        Some(colon) => (&text[..colon], &text[colon + 1..]),
        None => (&b"txt"[..], &text[..]),
    };
    let table = |path: Vec<u8>| Arc::new(Table::new(path.into()));
    let file = |what: &str| -> Result<Arc<Table>> {
        let path = at.server_relative(rest).ok_or_else(|| {
            Problem::from(format!("RewriteMap: bad path to {what} map: {}", word.lossy()))
                .at(word.span)
        })?;
        if at.files().stat(&path).is_err() {
            return Err(missing(name, word, &path));
        }
        Ok(table(path))
    };
    Ok(match kind {
        b"txt" => Map::Text(file("txt")?),
        b"rnd" => Map::Random(file("rnd")?),
        b"int" => Map::Function(match rest {
            b"tolower" => Function::Lower,
            b"toupper" => Function::Upper,
            b"escape" => Function::Escape,
            b"unescape" => Function::Unescape,
            _ => {
                let shown = String::from_utf8_lossy(rest);
                let message = format!("RewriteMap: internal map not found:{shown}");
                return Err(Problem::from(message).at(word.span));
            }
        }),
        b"dbm" | b"dbd" | b"fastdbd" => {
            let message =
                format!("RewriteMap {} is refused: databases are not read", word.lossy());
            let help = "write the table into a text file, for txt:";
            return Err(Problem::new(&codes::REFUSED, message).at(word.span).help(help));
        }
        b"prg" => Map::Program(Arc::new(program::parse(at, name, word, rest, account)?)),
        _ => {
            let path = at.server_relative(text).ok_or_else(|| {
                let message =
                    format!("RewriteMap: bad path to txt map: {}", word.lossy());
                Problem::from(message).at(word.span)
            })?;
            Map::Text(table(path))
        }
    })
}

/// There is no such file.
pub(super) fn missing(name: &Word, word: &Word, path: &[u8]) -> Problem {
    let (name, path) = (name.lossy(), String::from_utf8_lossy(path));
    let message = format!("RewriteMap: file for map {name} not found:{path}");
    Problem::from(message).at(word.span)
}

/// The value for a key: `lookup_map`.
pub fn look_up(
    r: &mut Request,
    name: &Bytes,
    key: &[u8],
) -> std::result::Result<Option<Vec<u8>>, Need> {
    let server = r.server.clone();
    let Some(map) = server.config.rewrite.maps.get(name) else { return Ok(None) };
    Ok(match &**map {
        Map::Program(program) => return program::look_up(r, program, key),
        Map::Function(function) => Some(match function {
            Function::Lower => key.to_ascii_lowercase(),
            Function::Upper => key.to_ascii_uppercase(),
            Function::Escape => path::escape_path(key),
            Function::Unescape => path::unescape_lenient(key),
        }),
        Map::Text(table) => table.value(r, key),
        Map::Random(table) => table.value(r, key).and_then(|values| {
            let choices: Vec<&[u8]> = values.split(|&b| b == b'|').collect();
            // Nothing here rolls dice: the moment and the connection choose.
            let seed = r.request_time as u64
                ^ r.connection.id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (seed ^ (seed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33;
            choices.get(mixed as usize % choices.len()).map(|choice| choice.to_vec())
        }),
    })
}
