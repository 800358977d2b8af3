//! `IndexOptions`: keywords that are named outright, or added to and taken from what the
//! enclosing sections say.

use bytes::Bytes;

use super::Settings;
use crate::schema::{Context, Directive, Override, Problem, Result, Set, Word};

/// A set of keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits(pub u32);

impl Bits {
    /// `None`.
    pub const NONE: Bits = Bits(1);
    /// `IconsAreLinks`.
    pub const ICONS_ARE_LINKS: Bits = Bits(1 << 1);
    /// `ScanHTMLTitles`.
    pub const SCAN_HTML_TITLES: Bits = Bits(1 << 2);
    /// `SuppressIcon`.
    pub const SUPPRESS_ICON: Bits = Bits(1 << 3);
    /// `SuppressLastModified`.
    pub const SUPPRESS_LAST_MOD: Bits = Bits(1 << 4);
    /// `SuppressSize`.
    pub const SUPPRESS_SIZE: Bits = Bits(1 << 5);
    /// `SuppressDescription`.
    pub const SUPPRESS_DESC: Bits = Bits(1 << 6);
    /// `SuppressHTMLPreamble`.
    pub const SUPPRESS_PREAMBLE: Bits = Bits(1 << 7);
    /// `SuppressColumnSorting`.
    pub const SUPPRESS_COLSORT: Bits = Bits(1 << 8);
    /// `SuppressRules`.
    pub const SUPPRESS_RULES: Bits = Bits(1 << 9);
    /// `FoldersFirst`.
    pub const FOLDERS_FIRST: Bits = Bits(1 << 10);
    /// `VersionSort`.
    pub const VERSION_SORT: Bits = Bits(1 << 11);
    /// `TrackModified`.
    pub const TRACK_MODIFIED: Bits = Bits(1 << 12);
    /// `FancyIndexing`.
    pub const FANCY: Bits = Bits(1 << 13);
    /// `HTMLTable`.
    pub const TABLE: Bits = Bits(1 << 14);
    /// `IgnoreClient`.
    pub const IGNORE_CLIENT: Bits = Bits(1 << 15);
    /// `IgnoreCase`.
    pub const IGNORE_CASE: Bits = Bits(1 << 16);
    /// `XHTML`.
    pub const XHTML: Bits = Bits(1 << 17);
    /// `ShowForbidden`.
    pub const SHOW_FORBIDDEN: Bits = Bits(1 << 18);
    /// `AddAltClass`.
    pub const ADD_ALT_CLASS: Bits = Bits(1 << 19);
    /// No keyword without a sign was given.
    pub const UNSET: Bits = Bits(1 << 20);

    /// The keyword called `name`, if it is one that stands for a bit.
    fn named(name: &str) -> Option<Bits> {
        Some(match name {
            "fancyindexing" => Bits::FANCY,
            "foldersfirst" => Bits::FOLDERS_FIRST,
            "htmltable" => Bits::TABLE,
            "iconsarelinks" => Bits::ICONS_ARE_LINKS,
            "ignorecase" => Bits::IGNORE_CASE,
            "ignoreclient" => Bits::IGNORE_CLIENT,
            "scanhtmltitles" => Bits::SCAN_HTML_TITLES,
            "suppresscolumnsorting" => Bits::SUPPRESS_COLSORT,
            "suppressdescription" => Bits::SUPPRESS_DESC,
            "suppresshtmlpreamble" => Bits::SUPPRESS_PREAMBLE,
            "suppressicon" => Bits::SUPPRESS_ICON,
            "suppresslastmodified" => Bits::SUPPRESS_LAST_MOD,
            "suppresssize" => Bits::SUPPRESS_SIZE,
            "suppressrules" => Bits::SUPPRESS_RULES,
            "trackmodified" => Bits::TRACK_MODIFIED,
            "versionsort" => Bits::VERSION_SORT,
            "xhtml" => Bits::XHTML,
            "showforbidden" => Bits::SHOW_FORBIDDEN,
            "addaltclass" => Bits::ADD_ALT_CLASS,
            _ => return None,
        })
    }

    /// Is one of `other` among these?
    pub fn any(self, other: Bits) -> bool {
        self.0 & other.0 != 0
    }

    /// These and `other`.
    #[must_use]
    pub fn with(self, other: Bits) -> Bits {
        Bits(self.0 | other.0)
    }

    /// These without `other`.
    #[must_use]
    pub fn without(self, other: Bits) -> Bits {
        Bits(self.0 & !other.0)
    }
}

/// The keywords of a section: what holds, and what changes the enclosing section's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keywords {
    /// What holds.
    pub set: Bits,
    add: Bits,
    remove: Bits,
}

impl Default for Keywords {
    fn default() -> Keywords {
        Keywords { set: Bits::UNSET, add: Bits(0), remove: Bits(0) }
    }
}

impl Keywords {
    /// An inner section's over an outer one's: see `merge_autoindex_configs`. A keyword
    /// without a sign ends all inheritance, and with it what the same section says with
    /// signs.
    pub fn merge(outer: &Keywords, inner: &Keywords) -> Keywords {
        if inner.set == Bits::NONE {
            return Keywords { set: Bits::NONE, add: Bits(0), remove: Bits(0) };
        }
        if inner.set != Bits::UNSET {
            return Keywords { set: inner.set, add: Bits(0), remove: Bits(0) };
        }
        let add = outer.add.with(inner.add).without(inner.remove);
        let remove = outer.remove.with(inner.remove);
        let set = outer.set.without(Bits::NONE).with(add).without(remove);
        Keywords { set, add, remove }
    }
}

/// How wide a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// So many bytes.
    Fixed(usize),
    /// As wide as the longest entry: `*`.
    Adjust,
}

/// The width of names and descriptions where nothing is said.
pub const DEFAULT_WIDTH: usize = 23;
const DEFAULT_ICON: (i64, i64) = (20, 22);

pub static INDEX_OPTIONS: Directive = Directive {
    name: "IndexOptions",
    syntax: "[+|-]option [[+|-]option] ...",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    summary: "one or more index options [+|-][]",
    docs: r"
How listings look: `FancyIndexing` for columns, `HTMLTable` to make them a table, `XHTML`;
`NameWidth=` and `DescriptionWidth=` (bytes, or `*`), `IconWidth[=pixels]` and
`IconHeight[=pixels]`, `IconsAreLinks`; `FoldersFirst`, `IgnoreCase`, `VersionSort`,
`IgnoreClient` (the client may not sort), `SuppressColumnSorting`; `SuppressIcon`,
`SuppressLastModified`, `SuppressSize`, `SuppressDescription`, `SuppressRules`,
`SuppressHTMLPreamble`; `ScanHTMLTitles`, `TrackModified`, `ShowForbidden`, `AddAltClass`,
`UseOldDateFormat`, `Type=`, `Charset=`; `None`.

Keywords with `+` or `-` change what the enclosing sections say. One without a sign ends
inheritance, and what the same directive says with signs is lost with it.

## Example
    IndexOptions FancyIndexing VersionSort HTMLTable NameWidth=* Charset=UTF-8
",
    set: Set::Words(|at, words| {
        let dir = super::dir(at);
        let mut keywords = dir.keywords;
        for word in words {
            apply(dir, &mut keywords, word)?;
        }
        if keywords.set.any(Bits::NONE) && keywords.set != Bits::NONE {
            return Err("Cannot combine other IndexOptions keywords with 'None'".into());
        }
        dir.keywords = keywords;
        Ok(())
    }),
    ..Directive::EXACT
};

fn apply(dir: &mut Settings, keywords: &mut Keywords, word: &Word) -> Result {
    let fail = |message: &str| Err(Problem::from(message).at(word.span));
    let (sign, text) = match word.bytes.first() {
        Some(sign @ (b'+' | b'-')) => (Some(*sign), &word.bytes[1..]),
        _ => (None, &word.bytes[..]),
    };
    let taken = sign == Some(b'-');
    let mut option = Bits(0);
    let lower = String::from_utf8_lossy(text).to_ascii_lowercase();
    let (name, value) = match lower.split_once('=') {
        Some((name, _)) => (name, Some(&text[name.len() + 1..])),
        None => (&lower[..], None),
    };
    match (name, value) {
        ("none", None) => {
            if sign.is_some() {
                return fail("Cannot combine '+' or '-' with 'None' keyword");
            }
            *keywords = Keywords { set: Bits::NONE, ..Keywords::default() };
        }
        ("iconwidth" | "iconheight", _) => {
            let is_width = name == "iconwidth";
            let default = if is_width { DEFAULT_ICON.0 } else { DEFAULT_ICON.1 };
            let size = match value {
                Some(_) if taken => {
                    let shown = if is_width { "IconWidth" } else { "IconHeight" };
                    return fail(&format!("Cannot combine '-' with {shown}=n"));
                }
                Some(value) => number(value),
                None if taken => 0,
                None => default,
            };
            if is_width {
                dir.icon_width = size;
            } else {
                dir.icon_height = size;
            }
        }
        ("namewidth", _) => {
            dir.name_width = Some(width("NameWidth", 5, value, taken, word)?);
        }
        ("descriptionwidth", _) => {
            dir.desc_width = Some(width("DescriptionWidth", 12, value, taken, word)?);
        }
        ("type", Some(value)) => dir.kind = Some(Bytes::copy_from_slice(value)),
        ("charset", Some(value)) => dir.charset = Some(Bytes::copy_from_slice(value)),
        ("useolddateformat", None) => dir.old_dates = Some(true),
        (name, None) => match Bits::named(name) {
            Some(found) => option = found,
            None => return fail("Invalid directory indexing option"),
        },
        _ => return fail("Invalid directory indexing option"),
    }
    match sign {
        None => {
            keywords.set = keywords.set.with(option);
            (keywords.add, keywords.remove) = (Bits(0), Bits(0));
        }
        Some(b'+') => {
            keywords.add = keywords.add.with(option);
            keywords.remove = keywords.remove.without(option);
        }
        Some(_) => {
            keywords.remove = keywords.remove.with(option);
            keywords.add = keywords.add.without(option);
        }
    }
    Ok(())
}

fn width(
    name: &str,
    least: i64,
    value: Option<&[u8]>,
    taken: bool,
    word: &Word,
) -> Result<Width> {
    let fail = |message: String| Err(Problem::from(message).at(word.span));
    match value {
        None if taken => Ok(Width::Fixed(DEFAULT_WIDTH)),
        None => fail(format!("{name} with no value may only appear as '-{name}'")),
        Some(_) if taken => fail(format!("Cannot combine '-' with {name}=n")),
        Some([b'*', ..]) => Ok(Width::Adjust),
        Some(value) => match number(value) {
            few if few != 0 && few < least => {
                fail(format!("{name} value must be greater than {least}"))
            }
            bytes => Ok(Width::Fixed(bytes as usize)),
        },
    }
}

/// `atoi`, without signs and not beyond what a page may hold.
fn number(text: &[u8]) -> i64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(100_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keywords(set: u32, add: u32, remove: u32) -> Keywords {
        Keywords { set: Bits(set), add: Bits(add), remove: Bits(remove) }
    }

    #[test]
    fn a_keyword_without_a_sign_ends_inheritance() {
        let unset = Bits::UNSET.0;
        let outer = keywords(unset | Bits::FANCY.0, 0, 0);
        let plus = Keywords::merge(&outer, &keywords(unset, Bits::TABLE.0, 0));
        assert!(plus.set.any(Bits::TABLE) && plus.set.any(Bits::FANCY));
        let named =
            Keywords::merge(&plus, &keywords(unset | Bits::XHTML.0, Bits::FANCY.0, 0));
        assert!(named.set.any(Bits::XHTML) && !named.set.any(Bits::FANCY));
        let none = Keywords::merge(&plus, &keywords(Bits::NONE.0, 0, 0));
        assert_eq!(none, keywords(Bits::NONE.0, 0, 0));
    }
}
