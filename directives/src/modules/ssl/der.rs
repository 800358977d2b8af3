//! Reading DER (X.690), as far as certificates need it. What is cut short or of another
//! shape is `None`: a certificate may come from anybody.

/// Universal tags, with the bit of constructed ones.
pub mod tag {
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    /// UTF8String.
    pub const UTF8: u8 = 0x0c;
    /// IA5String.
    pub const IA5: u8 = 0x16;
    /// UTCTime.
    pub const UTC_TIME: u8 = 0x17;
    /// GeneralizedTime.
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// UniversalString.
    pub const UNIVERSAL: u8 = 0x1c;
    /// BMPString.
    pub const BMP: u8 = 0x1e;
    /// SEQUENCE.
    pub const SEQUENCE: u8 = 0x30;
    /// SET.
    pub const SET: u8 = 0x31;
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its tag, of one byte.
    pub tag: u8,
    /// Its contents.
    pub value: &'a [u8],
    /// All of it.
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// Its contents as elements.
    pub fn inner(self) -> Reader<'a> {
        Reader(self.value)
    }
}

/// Elements that follow each other.
#[derive(Clone, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next element, which must have this tag.
    pub fn tagged(&mut self, tag: u8) -> Option<Element<'a>> {
        let mut ahead = Reader(self.0);
        let found = ahead.next().filter(|element| element.tag == tag)?;
        *self = ahead;
        Some(found)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first & 0x80 != 0 {
            let (bytes, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if bytes.is_empty() || bytes.len() > 4 {
                return None;
            }
            length = bytes.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            rest = behind;
        }
        let (value, behind) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - behind.len()];
        self.0 = behind;
        Some(Element { tag, value, whole })
    }
}

/// An object identifier with dots.
pub fn oid(bytes: &[u8]) -> String {
    let mut numbers: Vec<u128> = Vec::new();
    let mut number: u128 = 0;
    for byte in bytes {
        number = number << 7 | u128::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.push(first);
                number -= first * 40;
            }
            numbers.push(number);
            number = 0;
        }
    }
    numbers.iter().map(u128::to_string).collect::<Vec<_>>().join(".")
}

/// A string of any of ASN.1's kinds as UTF-8; `None` for what is no string.
pub fn text(element: Element<'_>) -> Option<String> {
    let bytes = element.value;
    Some(match element.tag {
        tag::UTF8 => String::from_utf8_lossy(bytes).into_owned(),
        tag::BMP => {
            let units =
                bytes.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]]));
            char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect()
        }
        tag::UNIVERSAL => {
            let points = bytes
                .chunks_exact(4)
                .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
            points.map(|point| char::from_u32(point).unwrap_or('\u{fffd}')).collect()
        }
        // Printable, numeric, IA5, visible, and T61, which everybody reads as Latin 1.
        0x12 | 0x13 | 0x14 | tag::IA5 | 0x1a => {
            bytes.iter().map(|&b| char::from(b)).collect()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_and_cut_ones_are_not() {
        let mut reader = Reader(&[0x30, 3, 2, 1, 5, 0x0c, 1, b'x']);
        assert_eq!(reader.tagged(tag::SET), None);
        let sequence = reader.tagged(tag::SEQUENCE).unwrap();
        assert_eq!(sequence.inner().tagged(tag::INTEGER).unwrap().value, [5]);
        assert_eq!(text(reader.next().unwrap()).as_deref(), Some("x"));
        for bytes in
            [&[0x30][..], &[0x30, 5, 1], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x1f, 1, 1]]
        {
            assert_eq!(Reader(bytes).next(), None);
        }
        let long = [&[4, 0x81, 0x80][..], &[7; 0x80]].concat();
        assert_eq!(Reader(&long).next().unwrap().value.len(), 0x80);
    }

    #[test]
    fn identifiers_have_dots() {
        assert_eq!(
            oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11]),
            "1.2.840.113549.1.1.11"
        );
        assert_eq!(oid(&[0x55, 4, 3]), "2.5.4.3");
        assert_eq!(oid(&[0x88, 0x37, 1]), "2.999.1");
    }
}
