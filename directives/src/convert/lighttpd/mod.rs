//! lighttpd's configuration as httpd's.

mod parse;
mod write;

use super::ledger::Entry;
use crate::bundle::Files;

/// What was read, as httpd says it.
#[derive(Debug)]
pub struct Read {
    /// A configuration of this server.
    pub text: String,
    /// Every option of the original, those of an application included, and what became of
    /// it.
    pub entries: Vec<Entry>,
}

/// Reads a configuration. The error is a sentence with its place.
pub fn read(name: &str, bytes: &[u8], files: &dyn Files) -> Result<Read, String> {
    let statements = parse::parse(name, bytes, files)?;
    Ok(write::write(&statements))
}
