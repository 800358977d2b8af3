//! The entries of a listing, and their order.

use std::cmp::Ordering;

use bytes::Bytes;

use super::options::Bits;
use super::query::{Key, Query};

/// One line of a listing: `struct ent`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its name; a directory's ends with a slash. The parent's is its whole path.
    pub name: Vec<u8>,
    /// The URL of its icon.
    pub icon: Option<Bytes>,
    /// What is said in the icon's place.
    pub alt: Option<Bytes>,
    /// Its description, which is HTML.
    pub desc: Option<Bytes>,
    /// Bytes; `None` for directories.
    pub size: Option<u64>,
    /// When it was changed, microseconds since 1970.
    pub modified: Option<i64>,
    /// It stands before the files.
    pub is_folder: bool,
}

impl Entry {
    /// Is it the way up?
    pub fn is_parent(&self) -> bool {
        self.name.first() == Some(&b'/')
    }
}

/// Brings entries into the order that is asked for: `dsortf`.
pub fn sort(entries: &mut [Entry], query: &Query) {
    entries.sort_by(|a, b| {
        b.is_parent().cmp(&a.is_parent()).then(b.is_folder.cmp(&a.is_folder)).then_with(
            || {
                if query.ascending { compare(a, b, query) } else { compare(b, a, query) }
            },
        )
    });
}

fn compare(a: &Entry, b: &Entry, query: &Query) -> Ordering {
    let by_version = query.options.any(Bits::VERSION_SORT);
    let by_key = match query.key {
        Key::Name => Ordering::Equal,
        // What has no time is older than everything, what has no size smaller.
        Key::LastModified => a.modified.unwrap_or(-1).cmp(&b.modified.unwrap_or(-1)),
        Key::Size => a.size.cmp(&b.size),
        Key::Description => {
            let text = |entry: &Entry| entry.desc.clone().unwrap_or_default();
            if by_version {
                natural(&text(a), &text(b), false)
            } else {
                text(a).cmp(&text(b))
            }
        }
    };
    // Names that are equal in one respect are told apart in the next: the order is always
    // the same.
    let any_case = query.options.any(Bits::IGNORE_CASE);
    by_key
        .then_with(|| match (by_version, any_case) {
            (true, true) => natural(&a.name, &b.name, true),
            _ => Ordering::Equal,
        })
        .then_with(|| {
            if by_version { natural(&a.name, &b.name, false) } else { Ordering::Equal }
        })
        .then_with(|| {
            let lower = |entry: &Entry| entry.name.to_ascii_lowercase();
            if any_case { lower(a).cmp(&lower(b)) } else { Ordering::Equal }
        })
        .then_with(|| a.name.cmp(&b.name))
}

/// Compares with numbers taken for what they are worth: `apr_strnatcmp`.
fn natural(left: &[u8], right: &[u8], any_case: bool) -> Ordering {
    let skip_blanks = |text: &[u8], mut at: usize| {
        while text.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        at
    };
    let fold = |byte: u8| if any_case { byte.to_ascii_uppercase() } else { byte };
    let (mut i, mut j) = (0, 0);
    loop {
        (i, j) = (skip_blanks(left, i), skip_blanks(right, j));
        let (x, y) = (left.get(i).copied(), right.get(j).copied());
        let (Some(x), Some(y)) = (x, y) else { return x.is_some().cmp(&y.is_some()) };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (one, other) = (digits(&left[i..]), digits(&right[j..]));
            // A leading zero makes it a fraction, which is compared digit by digit.
            let order = if x == b'0' || y == b'0' {
                one.cmp(other)
            } else {
                one.len().cmp(&other.len()).then_with(|| one.cmp(other))
            };
            if order.is_ne() {
                return order;
            }
        }
        match fold(x).cmp(&fold(y)) {
            Ordering::Equal => (i, j) = (i + 1, j + 1),
            order => return order,
        }
    }
}

fn digits(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    &text[..end.unwrap_or(text.len())]
}

/// A size in four characters: `apr_strfsize`.
pub fn size(bytes: Option<u64>) -> String {
    let Some(mut size) = bytes else { return "  - ".to_owned() };
    if size < 973 {
        return format!("{size:3} ");
    }
    for unit in "KMGTPE".chars() {
        let rest = size & 1023;
        size >>= 10;
        if size >= 973 {
            continue;
        }
        if size < 9 || (size == 9 && rest < 973) {
            let tenths = (rest * 5 + 256) / 512;
            let (whole, tenths) =
                if tenths >= 10 { (size + 1, 0) } else { (size, tenths) };
            return format!("{whole}.{tenths}{unit}");
        }
        return format!("{:3}{unit}", size + u64::from(rest >= 512));
    }
    "****".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_four_characters() {
        let cases = [
            (0, "  0 "),
            (972, "972 "),
            (973, "1.0K"),
            (1024, "1.0K"),
            (1536, "1.5K"),
            (10_188, "9.9K"),
            (10_189, " 10K"),
            (996_352, "1.0M"),
            (5 << 30, "5.0G"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(size(Some(bytes)), shown, "{bytes}");
        }
        assert_eq!(size(None), "  - ");
    }

    #[test]
    fn numbers_count() {
        let less = |a: &str, b: &str| natural(a.as_bytes(), b.as_bytes(), false).is_lt();
        assert!(less("a2", "a10") && less("a 2", "a10") && less("1.001", "1.01"));
        assert!(less("1.01", "1.1") && less("a", "ab") && !less("b2", "a10"));
        assert!(natural(b"A2", b"a2", true).is_eq());
    }
}
