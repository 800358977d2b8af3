//! The tables of `RewriteMap txt:` and `rnd:`: lines of key and value, read again when the
//! file has changed. See `lookup_map_txtfile` and its cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::bundle::{Meta, OsError};
use crate::log::Level;
use crate::request::Request;

/// A table in a file.
#[derive(Debug)]
pub struct Table {
    file: Bytes,
    /// The file as it was read last; one configuration's requests share it.
    kept: Mutex<Option<(Meta, Arc<Lines>)>>,
}

/// Values by key.
type Lines = HashMap<Box<[u8]>, Box<[u8]>>;

impl Table {
    /// One that was not read yet.
    pub fn new(file: Bytes) -> Table {
        Table { file, kept: Mutex::default() }
    }

    /// The value for a key. A file that cannot be read has none, and the log says so.
    pub fn value(&self, r: &mut Request, key: &[u8]) -> Option<Vec<u8>> {
        match self.lines(r) {
            Ok(lines) => lines.get(key).map(|value| value.to_vec()),
            Err(error) => {
                let what = b"mod_rewrite: can't access text RewriteMap file ";
                let text = [&what[..], &self.file].concat();
                r.log_os(Level::Error, "rewrite", 661, Some(error), text);
                None
            }
        }
    }

    fn lines(&self, r: &Request) -> Result<Arc<Lines>, OsError> {
        let meta = r.files.stat(&self.file)?;
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, lines)) = &*kept()
            && *of == meta
        {
            return Ok(lines.clone());
        }
        let lines = Arc::new(read(&r.files.read(&self.file)?));
        // A file changed just now may change again without its time telling.
        *kept() = meta.is_settled(r.now).then(|| (meta, lines.clone()));
        Ok(lines)
    }
}

/// Lines of two words; the first of a key holds.
fn read(text: &[u8]) -> Lines {
    let mut lines = Lines::new();
    for line in text.split(|&b| b == b'\n').filter(|line| !line.starts_with(b"#")) {
        let Some(end) = line.iter().position(u8::is_ascii_whitespace) else { continue };
        let rest = line[end..].trim_ascii_start();
        let length = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        if end > 0 && length > 0 {
            lines.entry(line[..end].into()).or_insert_with(|| rest[..length].into());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn tables_are_lines_of_two_words() {
        let text = b"# old new\nold new extra\n key  a|b\r\nlone\nold second\ncr x\r\n";
        let lines = read(text);
        let of = |key: &[u8]| lines.get(key).map(|value| &value[..]);
        assert_eq!(of(b"old"), Some(&b"new"[..]));
        assert_eq!(of(b"cr"), Some(&b"x"[..]));
        for none in [&b"key"[..], b"lone", b"#", b""] {
            assert_eq!(of(none), None);
        }
    }
}
