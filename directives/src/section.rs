//! What one `<Directory>`, `<Files>`, `<Location>` or `.htaccess` sets, and for which
//! paths.

use std::sync::Arc;

use bytes::Bytes;

use crate::fnmatch::{self, Rules};
use crate::modules::DirPart;
use crate::pattern::{Groups, Pattern};
use crate::syntax::Span;

/// Distinguishes sections; an edge of the merge tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SectionId(pub u32);

/// The container that a section came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `<Directory>` and `<DirectoryMatch>`.
    Directory,
    /// `<Files>` and `<FilesMatch>`.
    Files,
    /// `<Location>` and `<LocationMatch>`.
    Location,
    /// A `.htaccess` file.
    Htaccess,
    /// `<If>`, `<ElseIf>` and `<Else>`.
    If,
    /// `<Proxy>` and `<ProxyMatch>`.
    Proxy,
}

/// How a section chooses paths.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// The path itself; of locations and directories also what lies below.
    Literal(Bytes),
    /// A glob.
    Glob(Bytes),
    /// A regular expression.
    Regex(Pattern),
}

impl Matcher {
    /// The path or pattern as written.
    pub fn source(&self) -> &[u8] {
        match self {
            Matcher::Literal(text) | Matcher::Glob(text) => text,
            Matcher::Regex(pattern) => pattern.source(),
        }
    }

    /// A literal, or a glob if it has glob characters.
    pub fn plain(text: Bytes) -> Matcher {
        if fnmatch::is_glob(&text) { Matcher::Glob(text) } else { Matcher::Literal(text) }
    }

    /// Does a whole text match? For `<Files>`, and for one level of `<Directory>`.
    pub fn matches(&self, text: &[u8]) -> Option<Groups> {
        let hit = match self {
            Matcher::Literal(literal) => literal == text,
            Matcher::Glob(glob) => fnmatch::matches(glob, text, Rules::PATH),
            Matcher::Regex(pattern) => return self.regex(pattern, text),
        };
        hit.then(Groups::default)
    }

    /// Does a URL path match, or lie below? `raw` has its slashes, `merged` has them
    /// joined: regular expressions look at the former. See `ap_location_walk`.
    pub fn matches_location(&self, raw: &[u8], merged: &[u8]) -> Option<Groups> {
        let hit = match self {
            Matcher::Literal(literal) => {
                merged.strip_prefix(&literal[..]).is_some_and(|rest| {
                    literal.is_empty()
                        || literal.ends_with(b"/")
                        || matches!(rest.first(), None | Some(b'/'))
                })
            }
            Matcher::Glob(glob) => fnmatch::matches(glob, merged, Rules::PATH),
            Matcher::Regex(pattern) => return self.regex(pattern, raw),
        };
        hit.then(Groups::default)
    }

    #[allow(clippy::unused_self)]
    fn regex(&self, pattern: &Pattern, text: &[u8]) -> Option<Groups> {
        if pattern.named().is_empty() {
            pattern.is_match(text).then(Groups::default)
        } else {
            pattern.captures(text)
        }
    }
}

/// A section.
#[derive(Debug)]
pub struct Section {
    /// Its identity.
    pub id: SectionId,
    /// Its container.
    pub kind: Kind,
    /// The paths it is for.
    pub matcher: Matcher,
    /// What it sets.
    pub part: DirPart,
    /// Where it stands.
    pub span: Span,
    /// The `.htaccess` file that it stands in, into which `span` then points; `None` for
    /// the server's own files.
    pub htaccess: Option<Arc<str>>,
    /// The line of its tag; of a `.htaccess` file itself its first.
    pub line: u32,
}
