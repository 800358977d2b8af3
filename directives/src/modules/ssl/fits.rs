//! What a check of certificates needs to know of them, without a library for keys.

use super::der::{Reader, tag};
use super::x509::Certificate;

/// Since when and until when a certificate (DER) is good, seconds since 1970.
pub fn validity(certificate: &[u8]) -> Option<(i64, i64)> {
    let certificate = Certificate::parse(certificate)?;
    Some((certificate.not_before, certificate.not_after))
}

/// The kind of an Ed25519 key (RFC 8410), as its certificate says it, too: DER.
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// Is a private key (DER: PKCS#1, SEC 1 or PKCS#8) that of a certificate? `None` where the
/// key does not say what its public half is.
///
/// An RSA key names its modulus, a key of a curve mostly its point: the certificate's key
/// has to hold the same bytes. An Ed25519 key is a seed that mostly stands alone, and
/// the certificate has to be of its kind at least.
pub fn fits(certificate: &[u8], key: &[u8]) -> Option<bool> {
    let holds = |part: &[u8]| certificate.windows(part.len()).any(|found| found == part);
    let is_ed25519 = key.windows(ED25519.len()).take(16).any(|found| found == ED25519);
    if is_ed25519 && !holds(ED25519) {
        return Some(false);
    }
    let public = public_half(key)?;
    // Shorter would be found by chance.
    (public.len() >= 32).then(|| holds(public))
}

fn public_half(key: &[u8]) -> Option<&[u8]> {
    let mut parts = Reader(key).tagged(tag::SEQUENCE)?.inner();
    parts.tagged(tag::INTEGER)?;
    let mut second = parts.clone();
    // PKCS#8: the key's kind, then the key in a string.
    if second.tagged(tag::SEQUENCE).is_some() {
        let inner = second.tagged(tag::OCTET_STRING)?.value;
        // The second version (RFC 5958) has a place for the public half beside it.
        let beside = second.find(|element| element.tag == 0x81);
        return beside
            .and_then(|bits| bits.value.get(1..))
            .or_else(|| public_half(inner));
    }
    // PKCS#1: the modulus follows.
    if let Some(modulus) = parts.clone().tagged(tag::INTEGER) {
        return Some(modulus.value);
    }
    // SEC 1: the private number, perhaps the curve, perhaps the point as a bit string.
    parts.tagged(tag::OCTET_STRING)?;
    let point = parts.find(|element| element.tag == 0xa1)?;
    let bits = point.inner().tagged(0x03)?;
    // The first byte counts unused bits.
    bits.value.get(1..)
}
