//! What an upstream says about itself, turned into what holds for this server:
//! `ProxyPassReverse` and its kin. `ap_proxy_location_reverse_map`,
//! `ap_proxy_cookie_reverse_map`.

use bytes::Bytes;

use super::balancer::Balancer;
use crate::path;
use crate::request::Request;

/// One replacement: what this server calls it, and what the upstream does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reverse {
    /// For a URL, the path here; for a cookie, what the upstream says.
    pub fake: Bytes,
    /// For a URL, the upstream's; for a cookie, what it becomes.
    pub real: Bytes,
}

fn starts(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

/// A URL of an answer's `Location` and the like.
pub fn location(r: &Request, url: &Bytes) -> Bytes {
    let dir = r.dir.clone();
    for reverse in &dir.proxy.reverses {
        let found = if Balancer::is_url(&reverse.real) {
            of_balancer(r, reverse, url)
        } else {
            plain(reverse, url)
        };
        if let Some(new) = found {
            return if path::is_url(&new) {
                new.into()
            } else {
                r.construct_url(&new).into()
            };
        }
    }
    url.clone()
}

fn plain(reverse: &Reverse, url: &[u8]) -> Option<Vec<u8>> {
    let mut part = url;
    if reverse.real.first() == Some(&b'/') {
        // Only a path is compared, wherever the URL leads.
        let behind = url.windows(3).position(|three| three == b"://").map(|i| i + 3);
        let slash =
            behind.and_then(|at| Some(at + url[at..].iter().position(|&b| b == b'/')?));
        part = &url[slash.unwrap_or(0)..];
    }
    let fits = !reverse.real.is_empty() && starts(part, &reverse.real);
    fits.then(|| [&reverse.fake[..], &part[reverse.real.len()..]].concat())
}

/// The URL may be any member's.
fn of_balancer(r: &Request, reverse: &Reverse, url: &[u8]) -> Option<Vec<u8>> {
    let balancer = r.server.config.proxy.balancer(&reverse.real)?.clone();
    let rest = reverse.real.get(11..)?;
    let path =
        rest.iter().position(|&b| b == b'/').map_or(&b""[..], |slash| &rest[slash..]);
    balancer.members.iter().find_map(|member| {
        let name = member.name.as_bytes();
        if path.len() > 1 {
            let name = name.strip_suffix(b"/").unwrap_or(name);
            let fits = starts(url, name) && url[name.len()..].starts_with(path);
            return fits
                .then(|| [&reverse.fake[..], &url[name.len() + path.len()..]].concat());
        }
        starts(url, name).then(|| {
            let rest = &url[name.len()..];
            if &reverse.fake[..] == b"/" && rest.first() == Some(&b'/') {
                rest.to_vec()
            } else {
                [&reverse.fake[..], rest].concat()
            }
        })
    })
}

/// The path and the domain of a `Set-Cookie`.
pub fn cookie(r: &Request, cookie: &Bytes) -> Bytes {
    let dir = &r.dir.proxy;
    if dir.cookie_paths.is_empty() && dir.cookie_domains.is_empty() {
        return cookie.clone();
    }
    let pieces = cookie.split(|&b| b == b';').map(|piece| {
        let blanks = piece.len() - piece.trim_ascii_start().len();
        let (before, token) = piece.split_at(blanks);
        let replaced = if starts(token, b"path=") {
            let value = &token[5..];
            let of = dir.cookie_paths.iter().find(|one| value.starts_with(&one.fake));
            of.map(|one| [before, &token[..5], &one.real].concat())
        } else if starts(token, b"domain=") {
            let value = &token[7..];
            let of = dir.cookie_domains.iter().find(|one| starts(value, &one.fake));
            of.map(|one| [before, &token[..7], &one.real].concat())
        } else {
            None
        };
        replaced.unwrap_or_else(|| piece.to_vec())
    });
    pieces.collect::<Vec<_>>().join(&b';').into()
}
