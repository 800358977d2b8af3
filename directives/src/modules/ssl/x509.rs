//! Certificates (RFC 5280), as far as mod_ssl shows what is in them.

use std::fmt::Write;

use super::der::{self, Element, Reader, tag};

/// A certificate that has been cut into its parts.
#[derive(Clone, Debug)]
pub struct Certificate<'a> {
    /// The version as people count: 3.
    pub version: u8,
    /// The serial number, big-endian.
    pub serial: &'a [u8],
    /// Who issued it: all of the name.
    pub issuer: Element<'a>,
    /// Whom it is about.
    pub subject: Element<'a>,
    /// Since when it is good, seconds since 1970.
    pub not_before: i64,
    /// Until when.
    pub not_after: i64,
    signature: &'a [u8],
    key: &'a [u8],
    extensions: Option<Element<'a>>,
}

/// One part of a name.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// What it says, as an object identifier.
    pub kind: &'a [u8],
    value: Element<'a>,
    /// Together with the one before it: joined by `+`.
    joined: bool,
}

impl Attribute<'_> {
    /// Its value; empty for what is no string.
    pub fn text(&self) -> String {
        der::text(self.value).unwrap_or_default()
    }
}

/// The kinds of names that a certificate has beside its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AltName {
    /// An address of electronic mail.
    Email,
    /// A host.
    Dns,
    /// Microsoft's user principal name.
    Upn,
    /// The name of a service (RFC 4985).
    DnsSrv,
}

const UPN: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x14, 2, 3];
const DNS_SRV: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 8, 7];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

impl<'a> Certificate<'a> {
    /// Cuts a certificate up.
    pub fn parse(bytes: &'a [u8]) -> Option<Certificate<'a>> {
        let mut body =
            Reader(bytes).tagged(tag::SEQUENCE)?.inner().tagged(tag::SEQUENCE)?.inner();
        let version = match body.tagged(0xa0) {
            Some(version) => version
                .inner()
                .tagged(tag::INTEGER)?
                .value
                .last()
                .copied()?
                .checked_add(1)?,
            None => 1,
        };
        let serial = body.tagged(tag::INTEGER)?.value;
        let signature = body.tagged(tag::SEQUENCE)?.inner().tagged(tag::OID)?.value;
        let issuer = body.tagged(tag::SEQUENCE)?;
        let mut validity = body.tagged(tag::SEQUENCE)?.inner();
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = body.tagged(tag::SEQUENCE)?;
        let key = body.tagged(tag::SEQUENCE)?.inner().tagged(tag::SEQUENCE)?;
        let key = key.inner().tagged(tag::OID)?.value;
        let extensions = body.find(|element| element.tag == 0xa3);
        Some(Certificate {
            version,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            signature,
            key,
            extensions,
        })
    }

    /// How the certificate was signed, in OpenSSL's words.
    pub fn signature(&self) -> String {
        algorithm(self.signature)
    }

    /// What kind of key it is about, in OpenSSL's words.
    pub fn key(&self) -> String {
        algorithm(self.key)
    }

    /// The serial number in hexadecimal, as `i2a_ASN1_INTEGER` writes it.
    pub fn serial_hex(&self) -> String {
        let digits = self.serial_digits();
        if digits.is_empty() {
            return "00".to_owned();
        }
        digits.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    fn serial_digits(&self) -> &'a [u8] {
        let zeros = self.serial.iter().take_while(|&&byte| byte == 0).count();
        &self.serial[zeros..]
    }

    /// RFC 4523's assertion of exactly this certificate.
    pub fn exact_assertion(&self) -> String {
        let serial = decimal(self.serial_digits());
        format!(
            "{{ serialNumber {serial}, issuer rdnSequence:\"{}\" }}",
            name_rfc2253(self.issuer)
        )
    }

    /// The further names of a kind.
    pub fn alt_names(&self, wanted: AltName) -> Vec<String> {
        let mut found = Vec::new();
        for name in self.general_names().into_iter().flatten() {
            match (name.tag, wanted) {
                (0x81, AltName::Email) | (0x82, AltName::Dns) => {
                    found.push(String::from_utf8_lossy(name.value).into_owned());
                }
                (0xa0, AltName::Upn | AltName::DnsSrv) => {
                    let kind = if wanted == AltName::Upn { UPN } else { DNS_SRV };
                    found.extend(other_name(name, kind));
                }
                _ => {}
            }
        }
        found
    }

    fn general_names(&self) -> Option<Reader<'a>> {
        let list = self.extensions?.inner().tagged(tag::SEQUENCE)?;
        for extension in list.inner() {
            let mut parts = extension.inner();
            if parts.tagged(tag::OID)?.value == SUBJECT_ALT_NAME {
                parts.tagged(tag::BOOLEAN);
                let value = parts.tagged(tag::OCTET_STRING)?.value;
                return Some(Reader(value).tagged(tag::SEQUENCE)?.inner());
            }
        }
        None
    }
}

fn other_name(name: Element<'_>, kind: &[u8]) -> Option<String> {
    let mut parts = name.inner();
    if parts.tagged(tag::OID)?.value != kind {
        return None;
    }
    let value = parts.tagged(0xa0)?.inner().next()?;
    (value.tag == tag::UTF8 || value.tag == tag::IA5).then(|| der::text(value)).flatten()
}

/// A number of any length (big-endian) in decimal.
fn decimal(bytes: &[u8]) -> String {
    let mut digits = vec![0_u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
}

/// The parts of a name, in its order.
pub fn attributes(name: Element<'_>) -> Vec<Attribute<'_>> {
    let mut all = Vec::new();
    for set in name.inner().filter(|set| set.tag == tag::SET) {
        for (i, pair) in set.inner().enumerate() {
            let mut pair = pair.inner();
            if let (Some(kind), Some(value)) = (pair.tagged(tag::OID), pair.next()) {
                all.push(Attribute { kind: kind.value, value, joined: i > 0 });
            }
        }
    }
    all
}

/// A name as RFC 2253 writes it: `CN=x,O=y`. See OpenSSL's `XN_FLAG_RFC2253`, with
/// characters beyond ASCII as they are.
pub fn name_rfc2253(name: Element<'_>) -> String {
    let mut out = String::new();
    let parts = attributes(name);
    for (i, part) in parts.iter().enumerate().rev() {
        if let Some(after) = parts.get(i + 1) {
            out.push(if after.joined { '+' } else { ',' });
        }
        let short = short_name(part.kind);
        out += short.map_or_else(|| der::oid(part.kind), str::to_owned).as_str();
        out.push('=');
        match der::text(part.value).filter(|_| short.is_some()) {
            Some(text) => escape_rfc2253(&text, &mut out),
            None => {
                out.push('#');
                for byte in part.value.whole {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "{byte:02X}");
                }
            }
        }
    }
    out
}

fn escape_rfc2253(text: &str, out: &mut String) {
    let last = text.chars().count().saturating_sub(1);
    for (i, c) in text.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', c]),
            '#' if i == 0 => out.push_str("\\#"),
            ' ' if i == 0 || i == last => out.push_str("\\ "),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\{:02X}", c as u32);
            }
            c => out.push(c),
        }
    }
}

/// A name as `X509_NAME_oneline` writes it: `/C=de/CN=x`. What is no printable ASCII
/// stands as `\xNN`, byte by byte as it is in the certificate.
pub fn name_oneline(name: Element<'_>) -> String {
    let mut out = String::new();
    for part in attributes(name) {
        out.push('/');
        out += short_name(part.kind)
            .map_or_else(|| der::oid(part.kind), str::to_owned)
            .as_str();
        out.push('=');
        for &byte in part.value.value {
            if (b' '..=b'~').contains(&byte) {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "\\x{byte:02X}");
            }
        }
    }
    out
}

/// OpenSSL's short names.
fn short_name(kind: &[u8]) -> Option<&'static str> {
    Some(match kind {
        [0x55, 4, last] => match last {
            3 => "CN",
            4 => "SN",
            5 => "serialNumber",
            6 => "C",
            7 => "L",
            8 => "ST",
            9 => "street",
            10 => "O",
            11 => "OU",
            12 => "title",
            13 => "description",
            15 => "businessCategory",
            16 => "postalAddress",
            17 => "postalCode",
            20 => "telephoneNumber",
            41 => "name",
            42 => "GN",
            43 => "initials",
            44 => "generationQualifier",
            45 => "x500UniqueIdentifier",
            46 => "dnQualifier",
            65 => "pseudonym",
            97 => "organizationIdentifier",
            _ => return None,
        },
        EMAIL => "emailAddress",
        UID => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        _ => return None,
    })
}

/// `commonName`.
pub const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// `emailAddress`.
pub const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
/// `userId`.
pub const UID: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1];

/// OpenSSL's long names of keys and signatures; the number for others.
fn algorithm(kind: &[u8]) -> String {
    let number = der::oid(kind);
    let name = match number.as_str() {
        "1.2.840.113549.1.1.1" => "rsaEncryption",
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.113549.1.1.14" => "sha224WithRSAEncryption",
        "1.2.840.10045.2.1" => "id-ecPublicKey",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.1" => "ecdsa-with-SHA224",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "ED25519",
        "1.3.101.113" => "ED448",
        "1.2.840.10040.4.1" => "dsaEncryption",
        _ => return number,
    };
    name.to_owned()
}

/// A time as seconds since 1970.
fn time(element: Element<'_>) -> Option<i64> {
    let text = std::str::from_utf8(element.value).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let text = match element.tag {
        // RFC 5280, 4.1.2.5.1.
        tag::UTC_TIME if text.len() == 12 && text < "5" => format!("20{text}"),
        tag::UTC_TIME if text.len() == 12 => format!("19{text}"),
        tag::GENERALIZED_TIME if text.len() == 14 => text.to_owned(),
        _ => return None,
    };
    let number = |from: usize, to: usize| text[from..to].parse::<i8>().ok();
    let date = jiff::civil::DateTime::new(
        text[..4].parse().ok()?,
        number(4, 6)?,
        number(6, 8)?,
        number(8, 10)?,
        number(10, 12)?,
        number(12, 14)?.min(59),
        0,
    );
    Some(date.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// A time as `ASN1_TIME_print` writes it: `Nov 21 16:31:26 2026 GMT`.
pub fn shown(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    time.strftime("%b %e %H:%M:%S %Y GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_long() {
        assert_eq!(decimal(&[]), "0");
        assert_eq!(decimal(&[1, 0]), "256");
        assert_eq!(decimal(&[0xff; 16]), u128::MAX.to_string());
    }

    #[test]
    fn times_are_read_and_shown() {
        let element =
            |tag: u8, value: &'static [u8]| Element { tag, value, whole: value };
        let utc = |text| time(element(tag::UTC_TIME, text)).map(shown);
        assert_eq!(utc(b"261121163126Z").as_deref(), Some("Nov 21 16:31:26 2026 GMT"));
        assert_eq!(utc(b"500101000000Z").as_deref(), Some("Jan  1 00:00:00 1950 GMT"));
        assert_eq!(utc(b"26112116312Z"), None);
        assert_eq!(utc(b"261321163126Z"), None);
        let long = time(element(tag::GENERALIZED_TIME, b"20500101000000Z")).map(shown);
        assert_eq!(long.as_deref(), Some("Jan  1 00:00:00 2050 GMT"));
    }

    #[test]
    fn names_are_escaped() {
        let mut out = String::new();
        escape_rfc2253(" a,b+c\"d\x01 #e ", &mut out);
        assert_eq!(out, "\\ a\\,b\\+c\\\"d\\01 #e\\ ");
    }

    #[test]
    fn what_is_cut_is_no_certificate() {
        // A made-up certificate of version 1: as short as they get.
        let name: &[u8] = b"\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x";
        let body = [
            &b"\x02\x01\x07\x30\x05\x06\x03\x2b\x65\x70"[..],
            name,
            b"\x30\x1e\x17\x0d200101000000Z\x17\x0d300101000000Z",
            name,
            b"\x30\x0a\x30\x05\x06\x03\x2b\x65\x70\x03\x01\x00",
        ]
        .concat();
        let wrap =
            |bytes: &[u8]| [&[tag::SEQUENCE, bytes.len() as u8][..], bytes].concat();
        let whole = wrap(&wrap(&body));
        let found = Certificate::parse(&whole).unwrap();
        assert_eq!((found.version, found.serial_hex().as_str()), (1, "07"));
        assert_eq!(
            (found.key().as_str(), found.signature().as_str()),
            ("ED25519", "ED25519")
        );
        assert_eq!(name_rfc2253(found.subject), "CN=x");
        assert_eq!(name_oneline(found.issuer), "/CN=x");
        assert_eq!(
            found.exact_assertion(),
            "{ serialNumber 7, issuer rdnSequence:\"CN=x\" }"
        );
        for cut in 0..whole.len() {
            assert!(Certificate::parse(&whole[..cut]).is_none());
        }
    }
}
