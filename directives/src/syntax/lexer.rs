//! Logical lines and words, as `ap_cfg_getline` and `ap_getword_conf` cut them.
//!
//! A backslash before a line's end joins the next line, in comments too. Words are
//! separated by blanks; a word that begins with a quote ends at the next one.

use nom::bytes::complete::{tag, take_till, take_while};
use nom::combinator::{opt, recognize};
use nom::{IResult, Parser};

use super::span::FileId;
use super::text::Text;

/// One logical line: where it stands, and its text without line ends, continuation
/// marks and surrounding blanks.
#[derive(Clone, Debug)]
pub struct Line {
    /// First byte in the file.
    pub start: u32,
    /// One past the last byte, the line's end included.
    pub end: u32,
    /// One-based number of the last physical line: httpd reports this one.
    pub last_line: u32,
    /// The text.
    pub text: Text,
}

/// What httpd takes for white space (C's `isspace`).
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}

/// A physical line: its content, then its line end (empty at the end of the file).
fn physical(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    (take_till(|b| b == b'\n'), recognize(opt(tag(&b"\n"[..])))).parse(input)
}

/// Cuts a file into logical lines. Concatenating their ranges gives the file back.
pub fn lines(file: FileId, source: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut rest = source;
    let mut number = 0;
    while !rest.is_empty() {
        let start = source.len() - rest.len();
        let mut joined = Text::new(file);
        loop {
            let at = (source.len() - rest.len()) as u32;
            let (next, (content, end)) = physical(rest).unwrap_or((b"", (rest, b"")));
            rest = next;
            number += 1;
            let ended = !end.is_empty();
            // A carriage return belongs to the line's end, also before a backslash's.
            let content = if ended {
                content.strip_suffix(b"\r").unwrap_or(content)
            } else {
                content
            };
            match content.strip_suffix(b"\\") {
                Some(content) if ended => {
                    joined.push_verbatim(content, at);
                    if rest.is_empty() {
                        break;
                    }
                }
                _ => {
                    joined.push_verbatim(content, at);
                    break;
                }
            }
        }
        let text = trim(&joined);
        let (start, end) = (start as u32, (source.len() - rest.len()) as u32);
        lines.push(Line { start, end, last_line: number, text });
    }
    lines
}

fn trim(text: &Text) -> Text {
    let bytes = text.bytes();
    let from = bytes.iter().position(|&b| !is_space(b)).unwrap_or(bytes.len());
    let to = bytes.iter().rposition(|&b| !is_space(b)).map_or(from, |i| i + 1);
    text.part(from..to)
}

/// A word cut from a text: its place there, its bytes with escapes undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawWord {
    /// The range in the text, quotes included.
    pub range: std::ops::Range<usize>,
    /// The bytes that are meant.
    pub bytes: Vec<u8>,
    /// Written in quotes.
    pub quoted: bool,
}

/// The next word of `text` at or after `at`, and the offset behind it and the blanks
/// that follow. `None` at the end. An empty quoted word is a word.
pub fn word(text: &[u8], at: usize) -> Option<(RawWord, usize)> {
    let input = text.get(at..)?;
    let (input, _) = blanks(input).ok()?;
    let first = *input.first()?;
    let start = text.len() - input.len();
    let (rest, raw, quoted) = match first {
        b'"' | b'\'' => {
            let (rest, raw) = quoted_body(&input[1..], first);
            (rest, raw, true)
        }
        _ => {
            let (rest, raw) = bare(input).ok()?;
            (rest, raw, false)
        }
    };
    let quote = quoted.then_some(first);
    let end = text.len() - rest.len();
    let (rest, _) = blanks(rest).ok()?;
    let word = RawWord { range: start..end, bytes: unescape(raw, quote), quoted };
    Some((word, text.len() - rest.len()))
}

/// All words of `text`.
pub fn words(text: &[u8]) -> Vec<RawWord> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((next, after)) = word(text, at) {
        found.push(next);
        at = after;
    }
    found
}

fn blanks(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while(is_space).parse(input)
}

fn bare(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_till(is_space).parse(input)
}

/// The inside of a quoted word, to the next unescaped `quote` or the end of the line.
fn quoted_body(input: &[u8], quote: u8) -> (&[u8], &[u8]) {
    let mut i = 0;
    while i < input.len() {
        match input[i] {
            b'\\' if input.get(i + 1).is_some_and(|&c| c == quote || c == b'\\') => {
                i += 2;
            }
            c if c == quote => return (&input[i + 1..], &input[..i]),
            _ => i += 1,
        }
    }
    (b"", input)
}

/// Undoes `\\`, and inside quotes an escaped quote; other backslashes stay.
fn unescape(raw: &[u8], quote: Option<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut i = 0;
    while i < raw.len() {
        let escaped = raw[i] == b'\\'
            && raw.get(i + 1).is_some_and(|&c| c == b'\\' || Some(c) == quote);
        if escaped {
            i += 1;
        }
        out.push(raw[i]);
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        words(text.as_bytes())
            .into_iter()
            .map(|w| String::from_utf8_lossy(&w.bytes).into_owned())
            .collect()
    }

    #[test]
    fn words_follow_ap_getword_conf() {
        assert_eq!(cut(r#""x"-processes 2"#), ["x", "-processes", "2"]);
        assert_eq!(cut(r"a\ b"), [r"a\", "b"]);
        assert_eq!(cut(r#"Z="q""#), [r#"Z="q""#]);
        assert_eq!(cut(r#""a \" \\ \n b" ''"#), [r#"a " \ \n b"#, ""]);
        assert_eq!(cut(r#""open end"#), ["open end"]);
    }

    #[test]
    fn lines_join_and_keep_their_place() {
        let source = b"# c \\\nFoo\r\nA b\\\n  c\\\r\n d\nlast\\";
        let found = lines(FileId(0), source);
        let texts: Vec<_> = found
            .iter()
            .map(|l| String::from_utf8_lossy(l.text.bytes()).into_owned())
            .collect();
        assert_eq!(texts, ["# c Foo", "A b  c d", "last\\"]);
        assert_eq!(found.iter().map(|l| l.last_line).collect::<Vec<_>>(), [2, 5, 6]);
        let c = found[1].text.bytes().iter().position(|&b| b == b'c').unwrap();
        assert_eq!(&source[found[1].text.span(c..c + 1).range()], b"c");
        assert_eq!(found.last().unwrap().end as usize, source.len());
    }
}
