//! Codings of values in pages: `decoding=` and `encoding=`, entities, sizes, times.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::{Offset, TimeZone};

use crate::path;

/// Entities with names, beside those of ASCII: from ISO 8859-1.
const ENTITIES: &[(&str, u8)] = &[
    ("lt", b'<'),
    ("gt", b'>'),
    ("amp", b'&'),
    ("quot", b'"'),
    ("ETH", 0o320),
    ("eth", 0o360),
    ("Auml", 0o304),
    ("Euml", 0o313),
    ("Iuml", 0o317),
    ("Ouml", 0o326),
    ("Uuml", 0o334),
    ("auml", 0o344),
    ("euml", 0o353),
    ("iuml", 0o357),
    ("ouml", 0o366),
    ("uuml", 0o374),
    ("yuml", 0o377),
    ("Acirc", 0o302),
    ("Aring", 0o305),
    ("AElig", 0o306),
    ("Ecirc", 0o312),
    ("Icirc", 0o316),
    ("Ocirc", 0o324),
    ("Ucirc", 0o333),
    ("THORN", 0o336),
    ("szlig", 0o337),
    ("acirc", 0o342),
    ("aring", 0o345),
    ("aelig", 0o346),
    ("ecirc", 0o352),
    ("icirc", 0o356),
    ("ocirc", 0o364),
    ("ucirc", 0o373),
    ("thorn", 0o376),
    ("Agrave", 0o300),
    ("Aacute", 0o301),
    ("Atilde", 0o303),
    ("Ccedil", 0o307),
    ("Egrave", 0o310),
    ("Eacute", 0o311),
    ("Igrave", 0o314),
    ("Iacute", 0o315),
    ("Ntilde", 0o321),
    ("Ograve", 0o322),
    ("Oacute", 0o323),
    ("Otilde", 0o325),
    ("Oslash", 0o330),
    ("Ugrave", 0o331),
    ("Uacute", 0o332),
    ("Yacute", 0o335),
    ("agrave", 0o340),
    ("aacute", 0o341),
    ("atilde", 0o343),
    ("ccedil", 0o347),
    ("egrave", 0o350),
    ("eacute", 0o351),
    ("igrave", 0o354),
    ("iacute", 0o355),
    ("ntilde", 0o361),
    ("ograve", 0o362),
    ("oacute", 0o363),
    ("otilde", 0o365),
    ("oslash", 0o370),
    ("ugrave", 0o371),
    ("uacute", 0o372),
    ("yacute", 0o375),
];

/// Entities as characters; what is none stays: `decodehtml`.
pub fn decode_entities(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&b| b == b'&') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let end = rest.iter().position(|&b| b == b';');
        match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            Some((byte, end)) => {
                out.push(byte);
                rest = &rest[end + 1..];
            }
            None => {
                out.push(b'&');
                rest = &rest[1..];
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

fn entity(name: &[u8]) -> Option<u8> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some(number) = name.strip_prefix('#') {
        let number: u8 = number.parse().ok()?;
        // Control characters have no place in HTML.
        let good = matches!(number, 9 | 10 | 13 | 32..=126 | 160..=255);
        return good.then_some(number);
    }
    ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, byte)| *byte)
}

/// Takes codings off a value, one after the other; the error is one that is unknown.
pub fn decode(codings: &[u8], mut value: Vec<u8>) -> Result<Vec<u8>, ()> {
    for coding in names(codings) {
        value = match coding {
            "none" => value,
            "url" => path::unescape_lenient(&value),
            "urlencoded" => {
                let plus = value.iter().map(|&b| if b == b'+' { b' ' } else { b });
                path::unescape_lenient(&plus.collect::<Vec<u8>>())
            }
            "entity" => decode_entities(&value),
            "base64" => STANDARD.decode(&value).unwrap_or_default(),
            _ => return Err(()),
        };
    }
    Ok(value)
}

/// Puts codings on a value.
pub fn encode(codings: &[u8], mut value: Vec<u8>) -> Result<Vec<u8>, ()> {
    for coding in names(codings) {
        value = match coding {
            "none" => value,
            "url" => path::escape_path(&value),
            "urlencoded" => urlencoded(&value),
            "entity" => path::escape_html(&value),
            "base64" => STANDARD.encode(&value).into_bytes(),
            _ => return Err(()),
        };
    }
    Ok(value)
}

fn names(codings: &[u8]) -> impl Iterator<Item = &str> {
    let names = codings.split(|b| b", \t".contains(b)).filter(|name| !name.is_empty());
    names.map(|name| match () {
        () if name.eq_ignore_ascii_case(b"none") => "none",
        () if name.eq_ignore_ascii_case(b"url") => "url",
        () if name.eq_ignore_ascii_case(b"urlencoded") => "urlencoded",
        () if name.eq_ignore_ascii_case(b"entity") => "entity",
        () if name.eq_ignore_ascii_case(b"base64") => "base64",
        () => "",
    })
}

/// `ap_escape_urlencoded`.
fn urlencoded(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for &byte in value {
        match byte {
            b' ' => out.push(b'+'),
            b if b.is_ascii_alphanumeric() || b".-*_".contains(&b) => out.push(b),
            b => out.extend_from_slice(format!("%{b:02x}").as_bytes()),
        }
    }
    out
}

/// A size in four characters: `apr_strfsize`.
pub fn short_size(size: u64) -> String {
    if size < 973 {
        return format!("{size:3} ");
    }
    let mut size = size;
    for unit in "KMGTPE".chars() {
        let rest = size & 1023;
        size >>= 10;
        if size >= 973 {
            continue;
        }
        if size < 9 || size == 9 && rest < 973 {
            let tenths = (rest * 5 + 256) / 512;
            return match tenths {
                10.. => format!("{}.0{unit}", size + 1),
                _ => format!("{size}.{tenths}{unit}"),
            };
        }
        return format!("{:3}{unit}", size + u64::from(rest >= 512));
    }
    "****".to_owned()
}

/// A size in bytes, with a comma before every three digits.
pub fn long_size(size: u64) -> String {
    let digits = size.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A moment, seconds since 1970, on a clock that is so many seconds from UTC and has this
/// name; `None` is Greenwich. `ap_ht_time`.
pub fn time(seconds: i64, format: &[u8], zone: Option<(i32, String)>) -> Vec<u8> {
    let format = String::from_utf8_lossy(format).into_owned();
    let format = match &zone {
        None => format.replace("%Z", "GMT").replace("%z", "+0000"),
        Some((_, name)) => format.replace("%Z", name),
    };
    let zone = zone.and_then(|(offset, _)| Offset::from_seconds(offset).ok());
    let zone = zone.map_or(TimeZone::UTC, TimeZone::fixed);
    let Ok(time) = jiff::Timestamp::from_second(seconds) else { return Vec::new() };
    let shown = jiff::fmt::strtime::format(&format, &time.to_zoned(zone));
    shown.map_or_else(|_| format.into_bytes(), String::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_four_characters() {
        let cases = [
            (0, "  0 "),
            (972, "972 "),
            (973, "1.0K"),
            (1024, "1.0K"),
            (1536, "1.5K"),
            (9 * 1024, "9.0K"),
            (10 * 1024, " 10K"),
            (1 << 20, "1.0M"),
            (972 << 10, "972K"),
        ];
        for (size, shown) in cases {
            assert_eq!(short_size(size), shown);
        }
        assert_eq!(long_size(1_234_567), "1,234,567");
        assert_eq!(long_size(123), "123");
    }

    #[test]
    fn entities_are_characters() {
        assert_eq!(decode_entities(b"&lt;&#65;&auml;&x;&"), b"<A\xe4&x;&");
        assert_eq!(decode_entities(b"&#0;&#300;"), b"&#0;&#300;");
    }

    #[test]
    fn codings_go_on_and_off() {
        let text = b"a b&<\"/+".to_vec();
        for coding in ["none", "url", "urlencoded", "entity", "base64", "entity,url"] {
            let there = encode(coding.as_bytes(), text.clone()).unwrap();
            let reversed: Vec<&str> = coding.rsplit(',').collect();
            let back = decode(reversed.join(",").as_bytes(), there).unwrap();
            assert_eq!(back, text, "{coding}");
        }
        assert!(encode(b"rot13", text).is_err());
    }
}
