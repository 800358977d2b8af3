//! What the client accepts: the items of its `Accept` fields, with their qualities.

use bytes::Bytes;

use crate::request::Request;

/// The media type under which negotiation knows programs: httpd's `CGI_MAGIC_TYPE`.
pub const PROGRAM_TYPE: &[u8] = b"application/x-httpd-cgi";

/// One item, or a media type with its parameters: `accept_rec`.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// In lower case.
    pub name: Bytes,
    /// `q` or `qs`, 0 to 1.
    pub quality: f32,
    /// `level`, of HTML.
    pub level: f32,
    /// `charset`; empty if there is none.
    pub charset: Bytes,
}

/// The client's fields; `None` for one that it did not send.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// `Accept`.
    pub types: Option<Vec<Accepted>>,
    /// `Accept-Encoding`.
    pub encodings: Option<Vec<Accepted>>,
    /// `Accept-Charset`.
    pub charsets: Option<Vec<Accepted>>,
    /// `Accept-Language`.
    pub languages: Option<Vec<Accepted>>,
    /// An item of `Accept` has a quality below 1.
    pub has_qualities: bool,
}

impl Fields {
    /// Of a request: `parse_accept_headers`.
    pub fn of(r: &Request) -> Fields {
        let read = |name: &str| r.header(name).map(|line| items(&line));
        let types = read("accept");
        let has_qualities = types
            .as_ref()
            .is_some_and(|types| types.iter().any(|item| item.quality < 1.0));
        Fields {
            has_qualities,
            types,
            encodings: read("accept-encoding"),
            charsets: read("accept-charset"),
            languages: read("accept-language"),
        }
    }
}

/// The items of a line: `do_header_line`. Blanks separate them, too.
pub fn items(line: &[u8]) -> Vec<Accepted> {
    let mut rest = line;
    let mut items = Vec::new();
    while !rest.is_empty() {
        items.push(item(&mut rest));
    }
    items
}

/// One item, and what stands behind it: `get_entry`.
pub fn item(rest: &mut &[u8]) -> Accepted {
    let name = token(rest, false).to_ascii_lowercase();
    let level = match &name[..] {
        b"text/html" | b"text/x-server-parsed-html" => 2.0,
        b"text/x-server-parsed-html3" => 3.0,
        _ => 0.0,
    };
    let mut item =
        Accepted { name: name.into(), quality: 1.0, level, charset: Bytes::new() };
    while let Some(behind) = rest.strip_prefix(b";") {
        *rest = behind;
        let parameter = token(rest, true);
        let end = parameter.iter().position(|b| b.is_ascii_whitespace() || *b == b'=');
        let Some(end) = end else { continue };
        let name = parameter[..end].to_ascii_lowercase();
        let value = value(&parameter[end..]);
        match &name[..] {
            b"q" | b"qs" => item.quality = quality(&value),
            b"level" => item.level = level_of(&value),
            b"charset" => item.charset = value.into(),
            _ => {}
        }
    }
    if let Some(behind) = rest.strip_prefix(b",") {
        *rest = behind;
    }
    item
}

/// The next word up to a comma or semicolon, and the blanks behind it: `ap_get_token`.
pub fn token<'a>(rest: &mut &'a [u8], with_blanks: bool) -> &'a [u8] {
    let text = rest.trim_ascii_start();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if matches!(byte, b';' | b',') || !with_blanks && byte.is_ascii_whitespace() {
            break;
        }
        at += 1;
        if byte == b'"' {
            let quoted = text[at..].iter().position(|&b| b == b'"');
            at = quoted.map_or(text.len(), |length| at + length + 1);
        }
    }
    *rest = text[at..].trim_ascii_start();
    &text[..at]
}

/// The value behind a parameter's equals sign, in lower case.
fn value(text: &[u8]) -> Vec<u8> {
    let start = text.iter().position(|b| !b.is_ascii_whitespace() && *b != b'=');
    let text = &text[start.unwrap_or(text.len())..];
    let (text, ends): (_, fn(u8) -> bool) = match text.strip_prefix(b"\"") {
        Some(quoted) => (quoted, |b| matches!(b, b'"' | b'\r' | b'\n')),
        None => (text, |b| b.is_ascii_whitespace()),
    };
    let end = text.iter().position(|&b| ends(b)).unwrap_or(text.len());
    text[..end].to_ascii_lowercase()
}

/// A quality in thousandths; what is none is 1: `atoq`.
fn quality(text: &[u8]) -> f32 {
    let text = text.trim_ascii_start();
    let fraction = match text {
        [b'.', fraction @ ..] | [b'0', b'.', fraction @ ..] => fraction,
        [b'0', ..] => return 0.0,
        _ => return 1.0,
    };
    let digits = fraction.iter().take(3).take_while(|digit| digit.is_ascii_digit());
    let thousandths: u16 = digits
        .zip([100, 10, 1])
        .map(|(digit, unit)| u16::from(digit - b'0') * unit)
        .sum();
    f32::from(thousandths) / 1000.0
}

fn level_of(text: &[u8]) -> f32 {
    let digits = text.iter().take(4).take_while(|digit| digit.is_ascii_digit());
    f32::from(digits.fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0')))
}

/// What `Negotiate` says of the client: RFC 2295, section 8.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiate {
    /// The client can choose by itself.
    pub is_transparent: bool,
    /// It wants to know what there is.
    pub send_alternates: bool,
    /// The server may choose for it.
    pub may_choose: bool,
    /// By RVSA/1.0 (RFC 2296).
    pub use_rvsa: bool,
    /// The client's fields mean exactly what they say.
    pub is_strict: bool,
}

impl Negotiate {
    /// A client that says nothing.
    pub const SILENT: Negotiate = Negotiate {
        is_transparent: false,
        send_alternates: false,
        may_choose: true,
        use_rvsa: false,
        is_strict: false,
    };

    /// Of a request: `parse_negotiate_header`.
    pub fn of(r: &Request) -> Negotiate {
        let Some(line) = r.header("negotiate") else { return Negotiate::SILENT };
        // Lynx says so, and cannot do it.
        let is_lynx =
            || r.header("user-agent").is_some_and(|name| name.starts_with(b"Lynx"));
        if &line[..] == b"trans" && is_lynx() {
            return Negotiate::SILENT;
        }
        let mut said = Negotiate { may_choose: false, ..Negotiate::SILENT };
        for word in line.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            let word = word.to_ascii_lowercase();
            let is_known =
                matches!(&word[..], b"trans" | b"vlist" | b"guess-small" | b"*");
            if !is_known && !word.first().is_some_and(u8::is_ascii_digit) {
                continue;
            }
            said.is_transparent = true;
            said.send_alternates = true;
            if matches!(&word[..], b"1.0" | b"*") {
                said.may_choose = true;
                said.is_strict = true;
                said.use_rvsa |= word == b"1.0";
            }
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_are_read_generously() {
        let cases: [(&str, f32); 9] = [
            ("0.5", 0.5),
            ("0", 0.0),
            ("1", 1.0),
            ("1.0", 1.0),
            (".25", 0.25),
            ("0.1234", 0.123),
            ("x", 1.0),
            ("0.x", 0.0),
            ("2", 1.0),
        ];
        for (text, expected) in cases {
            assert!((quality(text.as_bytes()) - expected).abs() < 1e-6, "{text}");
        }
    }

    #[test]
    fn items_are_separated_by_commas_or_blanks() {
        let found = items(b"Text/HTML;level=3 ; q=\"0.5\", a/b c/d;charset=X;q=0");
        let names: Vec<&[u8]> = found.iter().map(|item| &item.name[..]).collect();
        assert_eq!(names, [&b"text/html"[..], b"a/b", b"c/d"]);
        assert!(
            (found[0].level - 3.0).abs() < 1e-6 && (found[0].quality - 0.5).abs() < 1e-6
        );
        assert_eq!(&found[2].charset[..], b"x");
    }
}
