//! mod_authz_host: addresses and host names of clients, and the `Require` providers `ip`,
//! `host`, `forward-dns` and `local`.

use std::net::{IpAddr, Ipv4Addr};

use crate::schema::{Module, Problem, Word};

/// Settings of a section: none of its own.
pub type Dir = ();
/// Settings of a server: none.
pub type Server = ();

/// A range of addresses: an address and how many of its first bits count, or a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    ip: IpAddr,
    mask: u128,
}

/// Why a text is no range of addresses, in APR's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAddress {
    /// It looks like something else: a host name.
    Other,
    /// `APR_EBADIP`.
    Ip,
    /// `APR_EBADMASK`.
    Mask,
}

impl NoAddress {
    /// APR's sentence, where it has one.
    pub fn sentence(self) -> Option<&'static str> {
        match self {
            NoAddress::Other => None,
            NoAddress::Ip => Some("The specified IP address is invalid."),
            NoAddress::Mask => Some("The specified network mask is invalid."),
        }
    }
}

impl Address {
    /// `10.1`, `10.1.2.3`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `2001:db8::/32`. See
    /// `apr_ipsubnet_create`.
    pub fn parse(text: &str) -> Result<Address, NoAddress> {
        let (base, length) = match text.split_once('/') {
            Some((base, length)) => (base, Some(length)),
            None => (text, None),
        };
        let dotted = base.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !dotted && !base.contains(':') {
            return Err(NoAddress::Other);
        }
        let ip: IpAddr = match base.parse() {
            // Addresses of clients are never of this form.
            Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => {
                return Err(NoAddress::Ip);
            }
            Ok(ip) => ip,
            Err(_) if length.is_none() => return network(base),
            Err(_) => return Err(NoAddress::Ip),
        };
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let mask = match length {
            None => prefix(width, width),
            Some(length) => match (length.parse::<u32>(), length.parse::<Ipv4Addr>()) {
                (Ok(bits), _) if (1..=width).contains(&bits) => prefix(bits, width),
                (_, Ok(mask)) if ip.is_ipv4() => u128::from(u32::from(mask)),
                _ => return Err(NoAddress::Mask),
            },
        };
        Ok(Address { ip, mask })
    }

    /// A directive's word that has to be one, since a name would not say who somebody is.
    pub fn of_word(directive: &str, word: &Word) -> crate::schema::Result<Address> {
        Address::parse(&word.lossy()).map_err(|why| {
            let sentence = match why {
                NoAddress::Other => "a host name proves nothing: give its address",
                other => other.sentence().unwrap_or_default(),
            };
            let message =
                format!("{directive}: \"{}\" is no address: {sentence}", word.lossy());
            Problem::from(message).at(word.span)
        })
    }

    /// Is this address within the range?
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let bits = |ip: Ipv4Addr| u128::from(u32::from(ip)) & self.mask;
                bits(own) == bits(ip)
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                u128::from(own) & self.mask == u128::from(ip) & self.mask
            }
            _ => false,
        }
    }
}

/// The first bytes of an address, each with a period or none behind it.
fn network(text: &str) -> Result<Address, NoAddress> {
    let parts = text.strip_suffix('.').unwrap_or(text).split('.');
    let mut octets = [0_u8; 4];
    let mut bits = 0;
    for part in parts {
        let digits = part.bytes().all(|b| b.is_ascii_digit());
        let octet = part.parse().ok().filter(|_| digits);
        match (octets.get_mut(bits as usize / 8), octet) {
            (Some(place), Some(octet)) => *place = octet,
            _ if text.is_empty() => break,
            _ => return Err(NoAddress::Ip),
        }
        bits += 8;
    }
    Ok(Address { ip: IpAddr::V4(Ipv4Addr::from(octets)), mask: prefix(bits, 32) })
}

/// The `bits` highest of `width` bits.
fn prefix(bits: u32, width: u32) -> u128 {
    (0..bits).fold(0, |mask, bit| mask | 1 << (width - 1 - bit))
}

/// A host name, or the end of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule(String);

impl HostRule {
    /// `example.org` also matches what ends in `.example.org`.
    pub fn new(text: &str) -> HostRule {
        HostRule(text.to_ascii_lowercase())
    }

    /// See `in_domain`.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        match name.strip_suffix(&self.0) {
            Some(rest) => {
                rest.is_empty() || rest.ends_with('.') || self.0.starts_with('.')
            }
            None => false,
        }
    }
}

/// The module; its providers are used by `Require`.
pub static MODULE: Module = Module {
    name: "mod_authz_host.c",
    id: "authz_host_module",
    directives: &[],
    hooks: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(range: &str, ip: &str) -> bool {
        Address::parse(range).unwrap().contains(ip.parse().unwrap())
    }

    #[test]
    fn ranges_hold_addresses() {
        assert!(holds("10", "10.2.3.4") && !holds("10", "11.2.3.4"));
        assert!(holds("10.1.", "10.1.3.4") && !holds("10.1", "10.2.3.4"));
        assert!(
            holds("192.0.2.0/25", "192.0.2.127") && !holds("192.0.2.0/25", "192.0.2.128")
        );
        assert!(holds("10.0.0.0/255.0.0.0", "10.9.9.9"));
        assert!(
            holds("2001:db8::/32", "2001:db8:1::1")
                && !holds("2001:db8::/32", "2001:db9::")
        );
        assert!(holds("127.0.0.1", "::ffff:127.0.0.1"));
        let wrong = |text: &str| Address::parse(text).unwrap_err();
        assert_eq!(wrong("example.org"), NoAddress::Other);
        assert_eq!(wrong("10.0.0.0/33"), NoAddress::Mask);
        assert_eq!(wrong("0.0.0.0/0"), NoAddress::Mask);
        assert_eq!(wrong("10/8"), NoAddress::Ip);
        assert_eq!(wrong("300.1"), NoAddress::Ip);
        assert_eq!(wrong("10..1"), NoAddress::Ip);
        assert_eq!(wrong("1.2.3.4.5"), NoAddress::Ip);
    }

    #[test]
    fn domains_match_at_dots() {
        let rule = HostRule::new("example.org");
        assert!(rule.matches("www.Example.org") && rule.matches("example.org"));
        assert!(!rule.matches("badexample.org"));
    }
}
