//! What a listing's query asks for: the column to sort by, the direction, the form.

use super::options::Bits;
use crate::path::{self, EncodedSlashes};

/// A column to sort by; its letter in queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `N`.
    Name,
    /// `M`.
    LastModified,
    /// `S`.
    Size,
    /// `D`.
    Description,
}

impl Key {
    fn of(letter: u8) -> Option<Key> {
        Some(match letter {
            b'N' => Key::Name,
            b'M' => Key::LastModified,
            b'S' => Key::Size,
            b'D' => Key::Description,
            _ => return None,
        })
    }

    /// Its letter.
    pub fn letter(self) -> char {
        match self {
            Key::Name => 'N',
            Key::LastModified => 'M',
            Key::Size => 'S',
            Key::Description => 'D',
        }
    }
}

/// How a listing is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The column to sort by.
    pub key: Key,
    /// From small to large.
    pub ascending: bool,
    /// The options, with what the client wants.
    pub options: Bits,
    /// Only names that match.
    pub pattern: Option<Vec<u8>>,
    /// What the links of the columns repeat.
    pub column_args: Vec<u8>,
}

impl Query {
    /// Reads a query, as far as it can be understood: see `index_directory`.
    pub fn read(order: (Key, bool), options: Bits, args: Option<&[u8]>) -> Query {
        let mut query = Query {
            key: order.0,
            ascending: order.1,
            options,
            pattern: None,
            column_args: Vec::new(),
        };
        if options.any(Bits::IGNORE_CLIENT) {
            query.options = options.with(Bits::SUPPRESS_COLSORT);
            return query;
        }
        let (mut form, mut version, mut pattern) = (Vec::new(), Vec::new(), Vec::new());
        for part in args.unwrap_or_default().split(|&b| b == b'&' || b == b';') {
            match *part {
                [b'C', b'=', letter] if Key::of(letter).is_some() => {
                    query.key = Key::of(letter).unwrap_or(query.key);
                }
                [b'O', b'=', direction @ (b'A' | b'D')] => {
                    query.ascending = direction == b'A';
                }
                [b'F', b'=', digit @ b'0'..=b'2'] => {
                    let both = Bits::FANCY.with(Bits::TABLE);
                    query.options = match digit {
                        b'0' => query.options.without(both),
                        b'1' => query.options.without(both).with(Bits::FANCY),
                        _ => query.options.with(both),
                    };
                    form = [b";F=", &[digit][..]].concat();
                }
                [b'V', b'=', digit @ (b'0' | b'1')] => {
                    query.options = match digit {
                        b'0' => query.options.without(Bits::VERSION_SORT),
                        _ => query.options.with(Bits::VERSION_SORT),
                    };
                    version = [b";V=", &[digit][..]].concat();
                }
                [b'P', b'=', ref wanted @ ..] => {
                    query.pattern = match path::unescape(wanted, EncodedSlashes::Off) {
                        Ok(wanted) if !wanted.is_empty() => Some(wanted),
                        _ => None,
                    };
                    if let Some(wanted) = &query.pattern {
                        let shown = path::escape_html(&path::escape_uri(wanted));
                        pattern = [b";P=", &shown[..]].concat();
                    }
                }
                // What httpd cannot read ends its reading.
                _ => break,
            }
        }
        query.column_args = [form, version, pattern].concat();
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &str) -> Query {
        Query::read((Key::Name, true), Bits(0), Some(args.as_bytes()))
    }

    #[test]
    fn reading_ends_at_what_is_not_understood() {
        let query = read("C=S;O=D&F=2;V=1;P=a%2a");
        assert_eq!((query.key, query.ascending), (Key::Size, false));
        assert_eq!(query.pattern.as_deref(), Some(&b"a*"[..]));
        assert_eq!(query.column_args, b";F=2;V=1;P=a*");
        assert!(query.options.any(Bits::TABLE));
        let query = read("C=X;O=D");
        assert_eq!((query.key, query.ascending), (Key::Name, true));
    }
}
