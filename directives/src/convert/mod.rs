//! From other servers to this one, from older spellings to today's, and from here to other
//! servers. Nothing is dropped in silence: an edit says why it is one, and what cannot be
//! carried over is listed with its place.

pub mod diff;
pub mod edit;
pub mod ledger;
pub mod lighttpd;
pub mod model;
mod read;
mod shield;
pub mod target;
pub mod to;

use crate::expand::Item;
use crate::syntax::Text;

/// A directive's name in lower case.
pub(crate) fn name_of(item: &Item) -> String {
    String::from_utf8_lossy(&item.name).to_ascii_lowercase()
}

/// The words behind a directive's name; of a container without its bracket.
pub(crate) fn words_of(args: &Text) -> Vec<crate::schema::Word> {
    let bytes = args.bytes();
    let end = match bytes.iter().rposition(|&b| b == b'>') {
        Some(end) if bytes[end + 1..].iter().all(u8::is_ascii_whitespace) => end,
        _ => bytes.len(),
    };
    crate::schema::Word::all(&args.part(0..end))
}

/// A word as httpd's grammar needs it: in quotes if it has to be. Ends of lines, which no
/// directive can hold, become blanks.
pub fn quoted(word: &str) -> String {
    let word = word.replace(['\n', '\r'], " ");
    let plain =
        |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\' | '<' | '>');
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}
