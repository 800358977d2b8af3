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
pub fn make(r: &Request, meta: &Meta) -> Option<String> {
    let parts = r.dir.core.file_etag();
    if parts == Components::NONE {
        return None;
    }
    // A file changed within this very second may change again: the tag is weak.
    let mtime = meta.mtime as u64 * 1_000_000 + u64::from(meta.mtime_nanos / 1000);
    let weak = (r.request_time as u64).saturating_sub(mtime) <= 1_000_000;
    let mut fields = Vec::new();
    if parts.inode {
        fields.push(format!("{:x}", meta.inode));
    }
    if parts.size {
        fields.push(format!("{:x}", meta.size));
    }
    if parts.mtime {
        fields.push(format!("{mtime:x}"));
    }
    // A choice among variants has a tag of two parts.
    let list = r.vlist_validator.as_deref().and_then(|tag| std::str::from_utf8(tag).ok());
    let (weak, end) = match list {
        Some(list) => match list.strip_prefix("W/\"") {
            Some(rest) => (true, format!(";{rest}")),
            None => (weak, format!(";{}", list.trim_start_matches('"'))),
        },
        None => (weak, "\"".to_owned()),
    };
    let prefix = if weak { "W/" } else { "" };
    Some(format!("{prefix}\"{}{end}", fields.join("-")))
}
