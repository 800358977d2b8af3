//! The CGI variables of a request: `ap_add_common_vars` and `ap_add_cgi_vars`.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;

use crate::path::escape_html;
use crate::request::{Lookup, Request};
use crate::status;

/// What a call adds to or takes from a request's variables.
#[derive(Clone, Debug, Default)]
pub struct Extras<'a> {
    /// What comes before all others, and in place of others of these names.
    pub first: &'a [(Bytes, Bytes)],
    /// Request header fields to export although they would not be: `-pass-header`.
    pub pass_headers: &'a [Bytes],
    /// The length of a body whose length the client did not announce.
    pub content_length: Option<u64>,
    /// Names in the environment stay as they are.
    pub raw_names: bool,
    /// Variables to leave out, unless they are the call's own.
    pub without: &'a [&'a str],
}

/// Calls `emit` with every variable that an application gets for a request: the call's
/// own, the request's environment, its header fields, then the server's and CGI's own. No name comes twice.
pub fn variables(r: &Request, extras: &Extras, mut emit: impl FnMut(&[u8], &[u8])) {
    for (name, value) in extras.first {
        emit(name, value);
    }
    let mut emit = |name: &[u8], value: &[u8]| {
        let left_out = extras.without.iter().any(|without| without.as_bytes() == name);
        if !left_out {
            emit(name, value);
        }
    };
    if !r.env.is_empty() {
        environment(r, extras, &mut emit);
    }
    let passed: Vec<Vec<u8>> =
        extras.pass_headers.iter().map(|name| passed_name(name)).collect();
    headers(r, |name, value| {
        if !passed.iter().any(|passed| passed == name) {
            emit(name, value);
        }
    });
    if let Some(length) = extras.content_length {
        emit(b"CONTENT_LENGTH", length.to_string().as_bytes());
    }
    for (i, name) in extras.pass_headers.iter().enumerate() {
        if !passed[..i].contains(&passed[i])
            && let Some(value) = field(r, name)
        {
            emit(&passed[i], &value);
        }
    }
    own(r, emit);
}

/// The request's environment, but for what has a variable of its own.
fn environment(r: &Request, extras: &Extras, emit: &mut impl FnMut(&[u8], &[u8])) {
    let name =
        |name: &Bytes| if extras.raw_names { name.clone() } else { sanitized(name) };
    let mut names: Vec<(Bytes, bool)> =
        r.env.iter().map(|(known, _)| (name(known), false)).collect();
    // It is a handful beside the others: those are held against it, and not kept.
    let mut take = |name: &[u8]| {
        for (own, taken) in &mut names {
            *taken |= *own == name;
        }
    };
    headers(r, |name, _| take(name));
    for name in extras.pass_headers {
        if field(r, name).is_some() {
            take(&passed_name(name));
        }
    }
    if extras.content_length.is_some() {
        take(b"CONTENT_LENGTH");
    }
    own(r, |name, _| take(name));
    for (name, _) in extras.first {
        take(name);
    }
    for (i, (_, value)) in r.env.iter().enumerate() {
        let (name, taken) = &names[i];
        // Of names that have become one, the last one's value counts.
        if !taken && !names[i + 1..].iter().any(|(later, _)| later == name) {
            emit(name, value);
        }
    }
}

/// Puts the variables into the request's environment, where an internal redirect finds
/// them again as `REDIRECT_*` (E-16).
pub fn populate(r: &mut Request) {
    // TZ is not the request's: `ap_create_environment` adds it for a program.
    fill(r, &Extras { without: &["TZ"], ..Extras::default() });
}

/// The same, with the names that modules gave and without what `ap_create_environment` adds
/// for programs: what mod_proxy_fcgi sends.
pub fn populate_raw(r: &mut Request) {
    fill(r, &Extras { raw_names: true, without: &["TZ"], ..Extras::default() });
}

fn fill(r: &mut Request, extras: &Extras) {
    let mut all = Vec::new();
    variables(r, extras, |name, value| {
        all.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)));
    });
    for (name, value) in all {
        r.env.set(name, value);
    }
}

fn field<'r>(r: &'r Request, name: &[u8]) -> Option<Cow<'r, [u8]>> {
    r.header(http::HeaderName::from_bytes(name).ok()?)
}

/// What the server says about a request by itself, and nobody else: which file is meant, who
/// is connected, how the request was made.
const FACTS: &[&str] = &[
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "CONTEXT_DOCUMENT_ROOT",
    "CONTEXT_PREFIX",
    "DOCUMENT_ROOT",
    "FCGI_APACHE_ROLE",
    "FCGI_ROLE",
    "GATEWAY_INTERFACE",
    "HTTPS",
    "HTTP_PROXY",
    "LD_LIBRARY_PATH",
    "PATH",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "REQUEST_METHOD",
    "REQUEST_SCHEME",
    "REQUEST_URI",
    "SCRIPT_FILENAME",
    "SCRIPT_NAME",
    "SERVER_ADDR",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
];

/// Does a variable say what only the server may say, whatever stands between its letters?
pub fn is_fact(name: &[u8]) -> bool {
    let plain = |b: &u8| if b.is_ascii_alphanumeric() { *b } else { b'_' };
    let mut facts = FACTS.iter().filter(|fact| fact.len() == name.len());
    facts.any(|fact| name.iter().map(plain).eq(fact.bytes()))
}

/// Are two names one for applications? They see `_` in place of everything but letters and
/// digits.
pub fn is_spelling(name: &[u8], of: &[u8]) -> bool {
    let plain =
        |b: &u8| if b.is_ascii_alphanumeric() { b.to_ascii_lowercase() } else { b'-' };
    name.len() == of.len() && name.iter().map(plain).eq(of.iter().map(plain))
}

/// The request's fields that applications could take for `name`.
pub fn spellings(r: &Request, name: &[u8]) -> Vec<http::HeaderName> {
    let keys = r.headers_in.keys();
    keys.filter(|key| is_spelling(key.as_str().as_bytes(), name)).cloned().collect()
}

/// `HTTP_` and the name in capitals; every character but letters and digits becomes `_`
/// (E-12).
fn passed_name(name: &[u8]) -> Vec<u8> {
    let mut out = b"HTTP_".to_vec();
    out.extend(name.iter().map(|&b| match b {
        b if b.is_ascii_alphanumeric() => b.to_ascii_uppercase(),
        _ => b'_',
    }));
    out
}

/// The request's header fields as variables. A name with other characters than letters,
/// digits and `-` becomes none: it could pass for another field's (E-9). Repeated fields
/// are joined.
fn headers(r: &Request, mut emit: impl FnMut(&[u8], &[u8])) {
    let pass_auth = r.dir.core.cgi_pass_auth == Some(true);
    let is_repeated = r.headers_in.len() > r.headers_in.keys_len();
    let mut name = Vec::with_capacity(64);
    let mut before = None;
    for (key, value) in &*r.headers_in {
        // A name's values follow each other.
        if is_repeated && before.replace(key) == Some(key) {
            continue;
        }
        let text = key.as_str();
        match text {
            "content-type" => name = b"CONTENT_TYPE".to_vec(),
            "content-length" => name = b"CONTENT_LENGTH".to_vec(),
            "authorization" | "proxy-authorization" if !pass_auth => continue,
            "proxy" => continue,
            _ if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
                continue;
            }
            _ => {
                name.clear();
                name.extend_from_slice(b"HTTP_");
                name.extend(
                    text.bytes()
                        .map(|b| if b == b'-' { b'_' } else { b.to_ascii_uppercase() }),
                );
            }
        }
        if is_repeated {
            let joined = r.header(key).unwrap_or_default();
            emit(&name, &joined);
        } else {
            emit(&name, value.as_bytes());
        }
    }
}

/// A name as `ap_create_environment` lets it be (E-13).
pub(crate) fn sanitized(name: &Bytes) -> Bytes {
    let good = |(i, b): (usize, &u8)| {
        b.is_ascii_alphanumeric() && (i > 0 || !b.is_ascii_digit()) || *b == b'_'
    };
    if name.iter().enumerate().all(good) {
        return name.clone();
    }
    let fixed =
        name.iter().enumerate().map(|(i, b)| if good((i, b)) { *b } else { b'_' });
    fixed.collect::<Vec<u8>>().into()
}

/// The server's and CGI's variables. Every request to an application comes through here:
/// nothing is copied that need not be.
fn own(r: &Request, mut add: impl FnMut(&[u8], &[u8])) {
    let process = &r.snapshot.process.core;
    let core = &r.server.config.core;
    // One that a directive sets is kept.
    add(b"PATH", r.env.get(b"PATH").unwrap_or(&process.path_variable));
    if let Some(path) = &process.library_path {
        add(b"LD_LIBRARY_PATH", path);
    }
    if let Some(zone) = &process.time_zone {
        add(b"TZ", zone);
    }
    add(b"SERVER_SIGNATURE", &status::signature(r, b""));
    add(b"SERVER_SOFTWARE", process.banner());
    let name = r.server_name();
    if name.bytes().any(|b| b"<>&\"".contains(&b)) {
        add(b"SERVER_NAME", &escape_html(name.as_bytes()));
    } else {
        add(b"SERVER_NAME", name.as_bytes());
    }
    let mut text = Text::default();
    add(b"SERVER_ADDR", text.address(r.connection.local.ip().to_canonical()));
    add(b"SERVER_PORT", text.number(r.server_port()));
    if let Lookup::Known(host) = &r.remote_host {
        add(b"REMOTE_HOST", host.as_bytes());
    }
    add(b"REMOTE_ADDR", text.address(r.useragent_ip));
    add(b"DOCUMENT_ROOT", r.document_root());
    add(b"REQUEST_SCHEME", r.scheme().as_bytes());
    add(b"CONTEXT_PREFIX", &r.context_prefix);
    let root = r.context_document_root.as_ref().unwrap_or_else(|| r.document_root());
    add(b"CONTEXT_DOCUMENT_ROOT", root);
    let admin = core.server_admin.as_deref().unwrap_or("[no address given]");
    add(b"SERVER_ADMIN", admin.as_bytes());
    add(b"SCRIPT_FILENAME", &r.filename);
    add(b"REMOTE_PORT", text.number(r.connection.client.port()));
    if let Some(user) = &r.user {
        add(b"REMOTE_USER", user);
    } else if let Some(user) = r.prev.as_ref().and_then(|prev| prev.user.as_ref()) {
        add(b"REDIRECT_REMOTE_USER", user);
    }
    if let Some(kind) = &r.auth_type {
        add(b"AUTH_TYPE", kind);
    }
    if let Some(prev) = &r.prev {
        if let Some(args) = &prev.args {
            add(b"REDIRECT_QUERY_STRING", args);
        }
        if r.dir.core.qualify_redirect_url == Some(true) {
            add(b"REDIRECT_URL", &r.construct_url(&prev.uri));
        } else {
            add(b"REDIRECT_URL", &prev.uri);
        }
    }
    add(b"GATEWAY_INTERFACE", b"CGI/1.1");
    let included = r.main.is_some();
    let protocol = if included { "INCLUDED" } else { r.protocol() };
    add(b"SERVER_PROTOCOL", protocol.as_bytes());
    add(b"REQUEST_METHOD", r.method.as_str().as_bytes());
    add(b"QUERY_STRING", r.args.as_deref().unwrap_or_default());
    add(b"REQUEST_URI", &request_uri(r));
    let script =
        if included { r.uri.len() } else { script_name_length(&r.uri, &r.path_info) };
    add(b"SCRIPT_NAME", &r.uri[..script]);
    if !r.path_info.is_empty() {
        add(b"PATH_INFO", &r.path_info);
        if let Some(translated) = r.notes.get(b"path-translated") {
            add(b"PATH_TRANSLATED", translated);
        }
    }
}

/// Writes a number's digits at the end of `room`, which has five bytes for every number; says
/// where they begin.
pub fn put_decimal(room: &mut [u8], mut number: u16) -> usize {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return at;
        }
    }
}

/// Addresses and numbers as `Display` writes them, at a tenth of its cost for what most are.
#[derive(Default)]
struct Text {
    /// From the back: room for every IPv4 address and for every port.
    short: [u8; 15],
    long: String,
}

impl Text {
    fn address(&mut self, address: IpAddr) -> &[u8] {
        match address {
            IpAddr::V4(address) => {
                let mut at = self.short.len();
                for (i, octet) in address.octets().into_iter().rev().enumerate() {
                    if i > 0 {
                        at -= 1;
                        self.short[at] = b'.';
                    }
                    at = put_decimal(&mut self.short[..at], octet.into());
                }
                &self.short[at..]
            }
            IpAddr::V6(_) => {
                self.long = address.to_string();
                self.long.as_bytes()
            }
        }
    }

    fn number(&mut self, number: u16) -> &[u8] {
        let at = put_decimal(&mut self.short, number);
        &self.short[at..]
    }
}

/// The target as the client sent it, or with `CGIVar` the path as it is now, which httpd gives
/// without a query.
fn request_uri(r: &Request) -> Cow<'_, [u8]> {
    if r.dir.core.request_uri_current == Some(true) {
        return Cow::Borrowed(&r.uri);
    }
    Cow::Borrowed(&r.unparsed_uri)
}

/// Where PATH_INFO begins in the URL path: `ap_find_path_info`.
fn script_name_length(uri: &[u8], path_info: &[u8]) -> usize {
    if path_info.is_empty() {
        return uri.len();
    }
    let (mut u, mut p) = (uri.len(), path_info.len());
    while u > 0 && p > 0 && uri[u - 1] == path_info[p - 1] {
        if path_info[p - 1] == b'/' {
            while u > 1 && uri[u - 2] == b'/' {
                u -= 1;
            }
        }
        u -= 1;
        p -= 1;
    }
    while u < uri.len() && uri[u] != b'/' {
        u += 1;
    }
    u
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_info_is_cut_off() {
        assert_eq!(script_name_length(b"/app/a/b", b"/a/b"), 4);
        assert_eq!(script_name_length(b"/app//a", b"/a"), 4);
        assert_eq!(script_name_length(b"/app", b""), 4);
        assert_eq!(script_name_length(b"/x", b"/x"), 0);
    }

    #[test]
    fn numbers_and_addresses_are_those_of_display() {
        let mut text = Text::default();
        for number in 0..=u16::MAX {
            assert_eq!(text.number(number), number.to_string().as_bytes());
        }
        for address in [
            "0.0.0.0",
            "127.0.0.1",
            "255.255.255.255",
            "192.168.10.5",
            "::1",
            "2001:db8::7",
        ] {
            assert_eq!(text.address(address.parse().unwrap()), address.as_bytes());
        }
    }
}
