//! Names of addresses and addresses of names, for `HostnameLookups` and rules by host name.

use std::net::{IpAddr, ToSocketAddrs};

/// The name of an address; with `confirm` only one that leads back to it. This waits for
/// the resolver.
pub fn name(ip: IpAddr, confirm: bool) -> Option<String> {
    let name = dns_lookup::lookup_addr(&ip).ok()?;
    // What comes back without an answer is the address itself.
    if name.parse::<IpAddr>().is_ok() {
        return None;
    }
    if confirm {
        let mut found = (name.as_str(), 0).to_socket_addrs().ok()?;
        found.find(|address| address.ip() == ip)?;
    }
    Some(name)
}

/// The addresses of a host; none if it is not known. This waits for the resolver.
pub fn addresses(name: &str) -> Vec<IpAddr> {
    let found = (name, 0).to_socket_addrs();
    found.map_or_else(
        |_| Vec::new(),
        |all| all.map(|one| one.ip().to_canonical()).collect(),
    )
}
