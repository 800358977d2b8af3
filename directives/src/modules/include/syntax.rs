//! Finding elements in a page: `find_start_sequence` and what follows it, for pages that
//! come in pieces.

use bytes::Bytes;

/// An element: `<!--#name argument="value" -->`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name, lower case.
    pub name: Bytes,
    /// Names, lower case, and values as written, quotes taken off.
    pub args: Vec<(Bytes, Option<Bytes>)>,
    /// It is not one: what the log says.
    pub mistake: Option<Mistake>,
}

/// What makes an element none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// There is no name.
    NoName,
    /// A value without a name before it.
    NoArgument,
    /// The same, for a value in quotes.
    OnlyValue,
}

/// What stands next in a page.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Text up to here, from the beginning.
    Text(usize),
    /// An element, and where it ends.
    Element(Element, usize),
    /// Nothing can be said before more is there.
    More,
}

/// Looks at the beginning of what is left of a page.
pub fn next(text: &[u8], start: &[u8], end: &[u8]) -> Next {
    match find(text, start) {
        Some(0) => element(text, start.len(), end),
        Some(at) => Next::Text(at),
        None => {
            // The end may be the beginning of the mark.
            let longest = start.len().saturating_sub(1).min(text.len());
            let tail = (1..=longest).rev().find(|&n| text.ends_with(&start[..n]));
            match text.len() - tail.unwrap_or(0) {
                0 => Next::More,
                plain => Next::Text(plain),
            }
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|&b| b == first) {
        if text[from + at..].starts_with(what) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// What the next characters are.
enum At {
    End,
    Other,
    Unknown,
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    end: &'a [u8],
}

impl Reader<'_> {
    fn skip_blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn look(&self) -> At {
        let rest = &self.text[self.at..];
        match () {
            () if rest.starts_with(self.end) => At::End,
            () if self.end.starts_with(rest) => At::Unknown,
            () => At::Other,
        }
    }

    /// Up to a blank, the end mark or `stop`; `None` if that is not there yet.
    fn word(&mut self, stop: Option<u8>) -> Option<Bytes> {
        let from = self.at;
        loop {
            let byte = *self.text.get(self.at)?;
            if byte.is_ascii_whitespace() || Some(byte) == stop {
                break;
            }
            match self.look() {
                At::End => break,
                At::Unknown => return None,
                At::Other => self.at += 1,
            }
        }
        Some(Bytes::copy_from_slice(&self.text[from..self.at]))
    }

    /// A value in quotes; a backslash takes the quote's meaning away.
    fn quoted(&mut self, quote: u8) -> Option<Bytes> {
        let mut value = Vec::new();
        self.at += 1;
        loop {
            let byte = *self.text.get(self.at)?;
            self.at += 1;
            if byte == quote {
                return Some(value.into());
            }
            if byte == b'\\' && *self.text.get(self.at)? == quote {
                value.push(quote);
                self.at += 1;
            } else {
                value.push(byte);
            }
        }
    }
}

fn element(text: &[u8], from: usize, end: &[u8]) -> Next {
    let mut reader = Reader { text, at: from, end };
    read(&mut reader).map_or(Next::More, |element| Next::Element(element, reader.at))
}

fn read(reader: &mut Reader<'_>) -> Option<Element> {
    let mut element = Element::default();
    match reader.look() {
        // Also where a blank stands before it.
        _ if reader.text.get(reader.at).is_some_and(u8::is_ascii_whitespace) => {
            element.mistake = Some(Mistake::NoName);
        }
        At::End => element.mistake = Some(Mistake::NoName),
        At::Unknown => return None,
        At::Other => element.name = reader.word(None)?.to_ascii_lowercase().into(),
    }
    loop {
        reader.skip_blanks();
        match reader.look() {
            At::End => {
                reader.at += reader.end.len();
                return Some(element);
            }
            At::Unknown => return None,
            At::Other => {}
        }
        if let quote @ (b'"' | b'\'' | b'`') = *reader.text.get(reader.at)? {
            reader.quoted(quote)?;
            element.mistake = Some(Mistake::OnlyValue);
            continue;
        }
        let name: Bytes = reader.word(Some(b'='))?.to_ascii_lowercase().into();
        reader.skip_blanks();
        if *reader.text.get(reader.at)? != b'=' {
            element.args.push((name, None));
            continue;
        }
        reader.at += 1;
        reader.skip_blanks();
        let value = match *reader.text.get(reader.at)? {
            quote @ (b'"' | b'\'' | b'`') => reader.quoted(quote)?,
            _ => reader.word(None)?,
        };
        if name.is_empty() {
            element.mistake = Some(Mistake::NoArgument);
        }
        element.args.push((name, Some(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Next {
        next(text.as_bytes(), b"<!--#", b"-->")
    }

    fn parsed(text: &str) -> Element {
        match look(text) {
            Next::Element(element, end) if end == text.len() => element,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn text_ends_where_an_element_may_begin() {
        assert_eq!(look("abc"), Next::Text(3));
        assert_eq!(look("abc<!-"), Next::Text(3));
        assert_eq!(look("abc<!-x"), Next::Text(7));
        assert_eq!(look("<!--"), Next::More);
        assert_eq!(look("<<!--#"), Next::Text(1));
        assert_eq!(look(""), Next::More);
    }

    #[test]
    fn elements_are_read_whole_or_not_at_all() {
        let text = r#"<!--#Echo  VAR="a\"-->b" other='c' bare x=y-->"#;
        for cut in 5..text.len() {
            assert_eq!(look(&text[..cut]), Next::More, "{}", &text[..cut]);
        }
        let found = parsed(text);
        assert_eq!(found.name, "echo");
        let arg = |n: usize| (found.args[n].0.clone(), found.args[n].1.clone());
        assert_eq!(arg(0), ("var".into(), Some("a\"-->b".into())));
        assert_eq!(arg(1), ("other".into(), Some("c".into())));
        assert_eq!(arg(2), ("bare".into(), None));
        assert_eq!(arg(3), ("x".into(), Some("y".into())));
        assert_eq!(parsed("<!--#endif-->").name, "endif");
    }

    #[test]
    fn mistakes_are_known() {
        assert_eq!(parsed("<!--# -->").mistake, Some(Mistake::NoName));
        assert_eq!(parsed("<!--#echo =\"x\" -->").mistake, Some(Mistake::NoArgument));
    }
}
