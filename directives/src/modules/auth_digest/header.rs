//! The client's `Authorization` field: `parse_digest_header`.

use std::sync::Arc;

use bytes::Bytes;

use super::nonce::{self, Opaque};

/// What the client sent.
#[derive(Clone)]
pub enum Given {
    /// No such field.
    Nothing,
    /// One of another scheme: this one.
    Other(Bytes),
    /// One that lacks something.
    Malformed,
    /// One to be looked at.
    Fields(Arc<Fields>),
}

/// The parts of a field, without their quotes.
#[derive(Clone, Default)]
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub struct Fields {
    /// The user.
    pub username: Bytes,
    /// For which realm the client takes this.
    pub realm: Bytes,
    /// Our nonce, of the right length and form.
    pub nonce: Bytes,
    /// What it asks for.
    pub uri: Bytes,
    /// What the password was made into: 32 characters.
    pub response: Bytes,
    /// `algorithm`.
    pub algorithm: Option<Bytes>,
    /// The client's own nonce; there, if `qop` is.
    pub cnonce: Option<Bytes>,
    /// What was sent along with our nonce.
    pub opaque: Option<Opaque>,
    /// `qop`.
    pub qop: Option<Bytes>,
    /// `nc`, hexadecimal; there, if `qop` is.
    pub nc: Option<Bytes>,
}

/// Takes a field to pieces. The last part of a name counts.
pub fn parse(field: Option<&[u8]>) -> Given {
    let Some(field) = field else { return Given::Nothing };
    let end = field.iter().position(|&b| is_space(b)).unwrap_or(field.len());
    let (scheme, rest) = field.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"digest") {
        return Given::Other(Bytes::copy_from_slice(scheme));
    }
    let mut parts = Parts { rest };
    let mut named: [Option<Bytes>; NAMES.len()] = Default::default();
    while let Some((name, value)) = parts.next() {
        let place =
            NAMES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name));
        if let Some(place) = place {
            named[place] = Some(value.into());
        }
    }
    match fields(named) {
        Some(fields) => Given::Fields(Arc::new(fields)),
        None => Given::Malformed,
    }
}

/// The parts that mean something, in the order of [`fields`].
const NAMES: [&str; 10] = [
    "username",
    "realm",
    "nonce",
    "uri",
    "response",
    "algorithm",
    "cnonce",
    "opaque",
    "qop",
    "nc",
];

/// All of them, if none is missing that is needed.
fn fields(named: [Option<Bytes>; NAMES.len()]) -> Option<Fields> {
    let [username, realm, nonce, uri, response, algorithm, cnonce, opaque, qop, nc] =
        named;
    let fields = Fields {
        username: username?,
        realm: realm?,
        nonce: nonce.filter(|nonce| nonce::is_wellformed(nonce))?,
        uri: uri?,
        response: response.filter(|response| response.len() == 32)?,
        algorithm,
        cnonce,
        opaque: opaque.map(Opaque::read),
        qop,
        nc,
    };
    let is_whole = fields.qop.is_none() || fields.cnonce.is_some() && fields.nc.is_some();
    is_whole.then_some(fields)
}

/// `name=value` or `name="value"`, separated by commas.
struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn next(&mut self) -> Option<(&'a [u8], Vec<u8>)> {
        if self.rest.is_empty() {
            return None;
        }
        self.skip(is_space);
        let name = self.take(|b| b != b'=' && b != b',' && !is_space(b));
        self.skip(is_space);
        let mut value = Vec::new();
        if self.rest.first() == Some(&b'=') {
            self.rest = &self.rest[1..];
            self.skip(is_space);
            if self.rest.first() == Some(&b'"') {
                self.rest = &self.rest[1..];
                value = self.quoted();
            } else {
                value = self.take(|b| b != b',' && !is_space(b)).to_vec();
            }
        }
        self.skip(|b| b != b',');
        self.rest = self.rest.get(1..).unwrap_or_default();
        Some((name, value))
    }

    /// What stands before the closing quote; behind a backslash everything is itself.
    fn quoted(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        loop {
            self.rest = match self.rest {
                [b'\\', escaped, rest @ ..] => {
                    value.push(*escaped);
                    rest
                }
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return value;
                }
                [byte, rest @ ..] => {
                    value.push(*byte);
                    rest
                }
                [] => return value,
            };
        }
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&b| !wanted(b)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, unwanted: impl Fn(u8) -> bool) {
        self.take(unwanted);
    }
}

/// `apr_isspace`.
pub fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// A number as C reads it, and what stands behind it; too large ones are the largest. Where
/// there is none, it is 0 and all of the text is left.
pub fn strtol(text: &[u8], base: u32) -> (i64, &[u8]) {
    let start = text.iter().position(|&b| !is_space(b)).unwrap_or(text.len());
    let (negative, digits) = match &text[start..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(base);
    let digits = match digits {
        [b'0', b'x' | b'X', rest @ ..]
            if base == 16 && rest.first().and_then(digit).is_some() =>
        {
            rest
        }
        digits => digits,
    };
    let end = digits.iter().position(|b| digit(b).is_none()).unwrap_or(digits.len());
    if end == 0 {
        return (0, text);
    }
    let number = digits[..end].iter().filter_map(digit).fold(0_i64, |number, digit| {
        number.saturating_mul(base.into()).saturating_add(digit.into())
    });
    (if negative { -number } else { number }, &digits[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "AAAAAAAAAAA=0123456789012345678901234567890123456789";
    const RESPONSE: &str = "0123456789abcdef0123456789abcdef";

    fn given(field: &str) -> Option<Fields> {
        match parse(Some(field.as_bytes())) {
            Given::Fields(fields) => Some((*fields).clone()),
            _ => None,
        }
    }

    #[test]
    fn parts_are_found() {
        let field = format!(
            "dIgEsT username = \"a\\\"n\\\\n\" , realm=\"x, y\",uri=/a?b=c , Nonce={NONCE}, \
             response=\"{RESPONSE}\", qop=auth, nc=00000001,cnonce=\"\", other=1, opaque=\"0x1f\""
        );
        let found = given(&field).expect("fields");
        assert_eq!(&found.username[..], br#"a"n\n"#);
        assert_eq!(&found.realm[..], b"x, y");
        assert_eq!(&found.uri[..], b"/a?b=c");
        assert_eq!(&found.nonce[..], NONCE.as_bytes());
        assert_eq!(found.cnonce.as_deref(), Some(&b""[..]));
        assert_eq!(found.nc.as_deref(), Some(&b"00000001"[..]));
        assert_eq!(found.opaque.map(|opaque| opaque.client), Some(0x1f));
        assert_eq!(found.algorithm, None);
    }

    #[test]
    fn what_lacks_something_is_malformed() {
        let parts = [
            "username=a".to_owned(),
            "realm=b".to_owned(),
            format!("nonce={NONCE}"),
            "uri=/".to_owned(),
            format!("response={RESPONSE}"),
        ];
        assert!(given(&format!("Digest {}", parts.join(","))).is_some());
        for left_out in 0..parts.len() {
            let mut parts = parts.to_vec();
            parts.remove(left_out);
            assert!(given(&format!("Digest {}", parts.join(","))).is_none());
        }
        for more in
            ["qop=auth", "qop=auth,nc=1", "qop=auth,cnonce=a", "response=x", "nonce=x"]
        {
            assert!(
                given(&format!("Digest {},{more}", parts.join(","))).is_none(),
                "{more}"
            );
        }
    }

    #[test]
    fn other_schemes_are_others() {
        assert!(matches!(parse(None), Given::Nothing));
        for (field, scheme) in [
            ("Basic YTpi", "Basic"),
            ("Digestive x", "Digestive"),
            ("", ""),
            (" Digest a", ""),
        ] {
            let Given::Other(found) = parse(Some(field.as_bytes())) else {
                panic!("{field}")
            };
            assert_eq!(found, scheme);
        }
        assert!(matches!(parse(Some(b"Digest")), Given::Malformed));
    }

    /// Whatever a client sends, there is an end to reading it, and no panic.
    #[test]
    fn hostile_fields_end() {
        let pieces: [&[u8]; 16] = [
            b"username",
            b"=",
            b"\"",
            b"\\",
            b",",
            b" ",
            b"\t",
            b"\x0b",
            b"nc",
            b"opaque",
            b"\xff\xfe",
            b"-",
            b"0x",
            b"nonce=",
            NONCE.as_bytes(),
            RESPONSE.as_bytes(),
        ];
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let mut field = b"Digest ".to_vec();
            for _ in 0..16 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                field.extend_from_slice(pieces[(seed >> 60) as usize]);
            }
            let mut parts = Parts { rest: &field };
            let mut count = 0;
            while parts.next().is_some() {
                count += 1;
            }
            assert!(count <= field.len());
            assert!(!matches!(parse(Some(&field)), Given::Nothing));
        }
    }

    #[test]
    fn numbers_are_c_s() {
        assert_eq!(strtol(b"1f", 16), (0x1f, &b""[..]));
        assert_eq!(strtol(b" 0x1F,", 16), (0x1f, &b","[..]));
        assert_eq!(strtol(b"0x", 16), (0, &b"x"[..]));
        assert_eq!(strtol(b"-2", 16), (-2, &b""[..]));
        assert_eq!(strtol(b"", 16), (0, &b""[..]));
        assert_eq!(strtol(b" zz", 16), (0, &b" zz"[..]));
        assert_eq!(strtol(b"ffffffffffffffffffff", 16).0, i64::MAX);
    }
}
