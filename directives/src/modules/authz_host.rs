//! mod_authz_host: addresses and host names of clients, and the `Require` providers `ip`,
//! `host`, `forward-dns` and `local`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::schema::Module;

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

impl Address {
    /// `10.1`, `10.1.2.3`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `2001:db8::/32`. `None` if
    /// the text is no address at all; an error if it is a broken one. See
    /// `apr_ipsubnet_create`.
    pub fn parse(text: &str) -> Result<Option<Address>, String> {
        let looks_numeric = text.bytes().all(|b| b.is_ascii_digit() || b".:/".contains(&b))
            || text.contains(':');
        let (base, length) = match text.split_once('/') {
            Some((base, length)) => (base, Some(length)),
            None => (text, None),
        };
        if !looks_numeric && length.is_none() {
            return Ok(None);
        }
        let broken = || format!("An IP address is expected, not '{text}'");
        if let Ok(ip) = base.parse::<Ipv6Addr>() {
            let bits = match length {
                Some(length) => length.parse::<u32>().ok().filter(|n| *n <= 128).ok_or_else(broken)?,
                None => 128,
            };
            return Ok(Some(Address { ip: IpAddr::V6(ip), mask: prefix(bits, 128) }));
        }
        let parts: Vec<&str> = base.split('.').filter(|part| !part.is_empty()).collect();
        let mut octets = [0_u8; 4];
        if parts.is_empty() || parts.len() > 4 {
            return if looks_numeric { Err(broken()) } else { Ok(None) };
        }
        for (octet, part) in octets.iter_mut().zip(&parts) {
            match part.parse() {
                Ok(number) => *octet = number,
                Err(_) if looks_numeric => return Err(broken()),
                Err(_) => return Ok(None),
            }
        }
        let mask = match length {
            None => prefix(parts.len() as u32 * 8, 32),
            Some(length) => match (length.parse::<u32>(), length.parse::<Ipv4Addr>()) {
                (Ok(bits), _) if bits <= 32 => prefix(bits, 32),
                (_, Ok(mask)) => u128::from(u32::from(mask)),
                _ => return Err(broken()),
            },
        };
        Ok(Some(Address { ip: IpAddr::V4(Ipv4Addr::from(octets)), mask }))
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
            Some(rest) => rest.is_empty() || rest.ends_with('.') || self.0.starts_with('.'),
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
        Address::parse(range).unwrap().unwrap().contains(ip.parse().unwrap())
    }

    #[test]
    fn ranges_hold_addresses() {
        assert!(holds("10", "10.2.3.4") && !holds("10", "11.2.3.4"));
        assert!(holds("10.1.", "10.1.3.4") && !holds("10.1", "10.2.3.4"));
        assert!(holds("192.0.2.0/25", "192.0.2.127") && !holds("192.0.2.0/25", "192.0.2.128"));
        assert!(holds("10.0.0.0/255.0.0.0", "10.9.9.9"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::"));
        assert!(holds("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(holds("0.0.0.0/0", "8.8.8.8"));
        assert_eq!(Address::parse("example.org"), Ok(None));
        assert!(Address::parse("10.0.0.0/33").is_err());
        assert!(Address::parse("300.1").is_err());
    }

    #[test]
    fn domains_match_at_dots() {
        let rule = HostRule::new("example.org");
        assert!(rule.matches("www.Example.org") && rule.matches("example.org"));
        assert!(!rule.matches("badexample.org"));
    }
}
