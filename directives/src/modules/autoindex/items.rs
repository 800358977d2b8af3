//! Lists that are looked through for each entry: icons, words in their place,
//! descriptions, and what is left out.

use bytes::Bytes;

use crate::fnmatch::{self, Rules};
use crate::path;
use crate::pattern::wild_match;

/// The name under which `AddIcon` and `AddAlt` know a directory.
pub const DIRECTORY: &[u8] = b"^^DIRECTORY^^";
/// The name of the icon that fills the heading's first column.
pub const BLANK_ICON: &[u8] = b"^^BLANKICON^^";

/// What an item is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The file's name.
    Path,
    /// Its media type.
    Type,
    /// Its content encoding.
    Encoding,
}

/// An icon's URL or a text, and what it is for: `struct item`.
#[derive(Clone, Debug)]
pub struct Item {
    by: By,
    /// The section it was written in, as a pattern.
    below: Bytes,
    to: Bytes,
    value: Bytes,
}

impl Item {
    /// `value` for what `to` names, below the section's `path`: `push_item`.
    pub fn new(by: By, path: Option<&Bytes>, to: &[u8], value: &[u8]) -> Item {
        let to = match by {
            By::Path if to == b"**DIRECTORY**" => DIRECTORY.to_vec(),
            By::Path => to.to_vec(),
            By::Encoding => to.to_ascii_lowercase(),
            By::Type => to.to_vec(),
        };
        let to = if by == By::Path { suffix(&to) } else { to };
        Item {
            by,
            below: below(path),
            to: to.into(),
            value: Bytes::copy_from_slice(value),
        }
    }

    /// Is it for this file?
    fn suits(&self, file: &File<'_>) -> bool {
        let special = file.path.first() == Some(&b'^');
        if !special && !wild_match(&self.below, file.path) {
            return false;
        }
        if self.to.is_empty() {
            return true;
        }
        if self.by == By::Path || special {
            return wild_match(&self.to, file.path);
        }
        let is = |value: &[u8]| {
            wild_match(&self.to.to_ascii_lowercase(), &value.to_ascii_lowercase())
        };
        match (self.by, file.encoding, file.kind) {
            _ if file.path_only => false,
            (By::Encoding, Some(encoding), _) => is(encoding),
            (By::Type, None, Some(kind)) => is(kind),
            _ => false,
        }
    }
}

/// A file as items are chosen for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct File<'a> {
    /// Its whole path, or a name such as [`DIRECTORY`].
    pub path: &'a [u8],
    /// Its media type without parameters.
    pub kind: Option<&'a [u8]>,
    /// Its content encoding.
    pub encoding: Option<&'a [u8]>,
    /// Only names count.
    pub path_only: bool,
}

impl<'a> File<'a> {
    /// Something that is known by its name alone.
    pub fn named(path: &'a [u8]) -> File<'a> {
        File { path, path_only: true, ..File::default() }
    }
}

/// The value of the first item that is for a file: `find_item`.
pub fn find<'a>(items: &'a [Item], file: &File<'_>) -> Option<&'a Bytes> {
    items.iter().find(|item| item.suits(file)).map(|item| &item.value)
}

/// A pattern of `IndexIgnore`, and the section it was written in.
#[derive(Clone, Debug)]
pub struct Ignored {
    below: Bytes,
    name: Bytes,
}

impl Ignored {
    /// `name` below the section's `path`.
    pub fn new(path: Option<&Bytes>, name: &[u8]) -> Ignored {
        // Only the part behind the last slash is looked at.
        Ignored {
            below: below(path),
            name: Bytes::copy_from_slice(path::base_name(name)),
        }
    }
}

/// Is a file left out? `ignore_entry`.
pub fn is_ignored(list: &[Ignored], file: &[u8]) -> bool {
    let name = path::base_name(file);
    list.iter().any(|item| wild_match(&item.below, file) && wild_match(&item.name, name))
}

/// A text of `AddDescription`, and what it describes.
#[derive(Clone, Debug)]
pub struct Description {
    pattern: Bytes,
    text: Bytes,
    /// The pattern has a slash: it is compared with the whole path.
    full_path: bool,
    is_glob: bool,
}

impl Description {
    /// `text` for files that `to` names.
    pub fn new(to: &[u8], text: &[u8]) -> Description {
        let full_path = to.contains(&b'/');
        let is_glob = full_path || fnmatch::is_glob(to);
        let pattern = match (is_glob, full_path) {
            (true, true) => [b"*/", to, b"*"].concat(),
            (true, false) => [b"*", to, b"*"].concat(),
            _ => to.to_vec(),
        };
        let text = Bytes::copy_from_slice(text);
        Description { pattern: pattern.into(), text, full_path, is_glob }
    }
}

/// The first description that fits a file: `find_desc`.
pub fn describe<'a>(list: &'a [Description], file: &[u8]) -> Option<&'a Bytes> {
    let found = list.iter().find(|item| {
        let name = if item.full_path { file } else { path::base_name(file) };
        if item.is_glob {
            fnmatch::matches(&item.pattern, name, Rules::default())
        } else {
            contains(name, &item.pattern)
        }
    });
    found.map(|item| &item.text)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

/// A name without wildcards stands for all names that end so.
fn suffix(to: &[u8]) -> Vec<u8> {
    if to.contains(&b'*') || to.contains(&b'?') {
        to.to_vec()
    } else {
        [b"*", to].concat()
    }
}

fn below(path: Option<&Bytes>) -> Bytes {
    [path.map_or(&b""[..], |path| path), b"*"].concat().into()
}
