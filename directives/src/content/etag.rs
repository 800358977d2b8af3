//! `FileETag`: see `ap_make_etag_ex`.

use crate::bundle::Meta;
use crate::request::Request;

/// What an entity tag is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Components {
    /// The inode number.
    pub inode: bool,
    /// The time of the last change.
    pub mtime: bool,
    /// The size.
    pub size: bool,
}

impl Components {
    /// httpd's default: `MTime Size`.
    pub const DEFAULT: Components = Components { inode: false, mtime: true, size: true };
    /// Nothing: no tag.
    pub const NONE: Components = Components { inode: false, mtime: false, size: false };
}

/// The tag of a file; `None` where the configuration wants none.
pub fn make(r: &Request, meta: &Meta) -> Option<Vec<u8>> {
    let parts = r.dir.core.file_etag();
    if parts == Components::NONE || r.notes.has(b"no-etag") {
        return None;
    }
    // A file changed within this very second may change again: the tag is weak.
    let mtime = meta.mtime as u64 * 1_000_000 + u64::from(meta.mtime_nanos / 1000);
    let weak = (r.request_time as u64).saturating_sub(mtime) <= 1_000_000;
    // A choice among variants has a tag of two parts.
    let list = r.vlist_validator.as_deref();
    let weak = weak || list.is_some_and(|list| list.starts_with(b"W/"));
    let mut tag = Vec::with_capacity(56 + list.map_or(0, <[u8]>::len));
    tag.extend_from_slice(if weak { b"W/\"" } else { b"\"" });
    let fields =
        [(parts.inode, meta.inode), (parts.size, meta.size), (parts.mtime, mtime)];
    for (i, (_, value)) in fields.iter().filter(|(wanted, _)| *wanted).enumerate() {
        if i > 0 {
            tag.push(b'-');
        }
        push_hex(&mut tag, *value);
    }
    match list {
        Some(list) => {
            let list = list.strip_prefix(b"W/").unwrap_or(list);
            tag.push(b';');
            tag.extend_from_slice(list.strip_prefix(b"\"").unwrap_or(list));
        }
        None => tag.push(b'"'),
    }
    Some(tag)
}

/// As `%x`.
fn push_hex(out: &mut Vec<u8>, value: u64) {
    let mut digits = [b'0'; 16];
    let mut first = digits.len();
    let mut left = value;
    while left > 0 || first == digits.len() {
        first -= 1;
        digits[first] = b"0123456789abcdef"[(left & 15) as usize];
        left >>= 4;
    }
    out.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_that_of_printf() {
        for value in [0, 1, 15, 16, 255, 256, 0x1234_5678_9abc_def0, u64::MAX] {
            let mut out = Vec::new();
            push_hex(&mut out, value);
            assert_eq!(out, format!("{value:x}").into_bytes());
        }
    }
}
