//! What rewriting does to URLs: queries, schemes, our own host.

use bytes::Bytes;

use super::flags::Flags;
use super::trace;
use crate::path;
use crate::request::Request;

/// Schemes that make a URL absolute, with the length of what stands before the rest:
/// `is_absolute_uri`.
const SCHEMES: &[&str] = &[
    "ajp://",
    "balancer://",
    "fcgi://",
    "ftp://",
    "gopher://",
    "h2://",
    "h2c://",
    "http://",
    "https://",
    "ldap://",
    "mailto:",
    "news:",
    "nntp://",
    "scgi://",
    "ws://",
    "wss://",
];

/// The length of a known scheme at the beginning.
pub fn scheme(url: &[u8]) -> Option<usize> {
    let known = SCHEMES.iter().find(|scheme| {
        url.get(..scheme.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()))
    });
    known.map(|scheme| scheme.len())
}

/// Cuts the query off `r.filename` and makes it the request's: `splitout_queryargs`.
pub fn split_query(r: &mut Request, flags: &Flags) {
    // Some schemes have no query.
    let plain = [&b"ldap:"[..], b"mailto:", b"news:", b"nntp:"];
    if scheme(&r.filename).is_some()
        && plain
            .iter()
            .any(|s| r.filename.get(..s.len()).is_some_and(|h| h.eq_ignore_ascii_case(s)))
    {
        r.args = None;
        return;
    }
    if flags.discard_query {
        r.args = None;
        trace(r, 2, None, |_| "discarding query string".to_owned());
    }
    let mark = if flags.last_question_mark {
        r.filename.iter().rposition(|&b| b == b'?')
    } else {
        r.filename.iter().position(|&b| b == b'?')
    };
    let Some(mark) = mark else { return };
    let whole = String::from_utf8_lossy(&r.filename).into_owned();
    let mut args = r.filename.split_off(mark)[1..].to_vec();
    if flags.append_query
        && let Some(old) = &r.args
    {
        args.push(b'&');
        args.extend_from_slice(old);
        if args.first() == Some(&b'&') {
            args.remove(0);
        }
    }
    if args.last() == Some(&b'&') {
        args.pop();
    }
    r.args = (!args.is_empty()).then(|| Bytes::from(args));
    trace(r, 3, None, |r| {
        let args = r.args.as_deref().map_or("<none>".into(), String::from_utf8_lossy);
        let name = String::from_utf8_lossy(&r.filename);
        format!("split uri={whole} -> uri={name}, args={args}")
    });
}

/// Makes a path a URL of this server: `fully_qualify_uri`.
pub fn qualify(r: &mut Request) {
    if scheme(&r.filename).is_some() {
        return;
    }
    let path = if r.filename.first() == Some(&b'/') {
        r.filename.clone()
    } else {
        [b"/", &r.filename[..]].concat()
    };
    r.filename = r.construct_url(&path);
}

/// Makes a URL of this very server a path again: `reduce_uri`.
pub fn reduce(r: &mut Request, per_dir: Option<&[u8]>) {
    let own = format!("{}://", r.scheme());
    let Some(rest) = r
        .filename
        .get(..own.len())
        .filter(|head| head.eq_ignore_ascii_case(own.as_bytes()))
        .map(|_| &r.filename[own.len()..])
    else {
        return;
    };
    let end = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
    let (authority, path) = (&rest[..end], &rest[end..]);
    let authority = String::from_utf8_lossy(authority).into_owned();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (authority.as_str(), None),
    };
    let default = if r.connection.secure { 443 } else { 80 };
    let port = port.unwrap_or(default);
    if port != r.server_port() || !is_this_host(r, host) {
        return;
    }
    let path = if path.is_empty() { b"/".to_vec() } else { path.to_vec() };
    let old = std::mem::replace(&mut r.filename, path);
    trace(r, 3, per_dir, |r| {
        let (old, new) =
            (String::from_utf8_lossy(&old), String::from_utf8_lossy(&r.filename));
        format!("reduce {old} -> {new}")
    });
}

/// `ap_matches_request_vhost`, for the names.
fn is_this_host(r: &Request, host: &str) -> bool {
    let core = &r.server.config.core;
    host.eq_ignore_ascii_case(&r.server_name())
        || core.server_name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(host))
        || core.aliases.iter().any(|alias| {
            let rules =
                crate::fnmatch::Rules { path: false, period: false, ignore_case: true };
            crate::fnmatch::matches(alias.as_bytes(), host.as_bytes(), rules)
        })
}

/// Escapes the path of an absolute URL: `escape_absolute_uri`.
pub fn escape(url: &[u8], scheme: usize) -> Vec<u8> {
    if url.get(scheme.wrapping_sub(1)) != Some(&b'/') {
        return [&url[..scheme], &path::escape_path(&url[scheme..])].concat();
    }
    let Some(slash) = url[scheme..].iter().position(|&b| b == b'/') else {
        return url.to_vec();
    };
    let start = scheme + slash + 1;
    [&url[..start], &path::escape_path(&url[start..])].concat()
}
