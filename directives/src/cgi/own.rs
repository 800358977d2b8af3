//! The server's and CGI's own variables. Every request to an application comes through here:
//! nothing is copied that need not be, and what does not depend on the request is encoded once
//! for each merged configuration.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::Method;

use super::{Sink, put_decimal};
use crate::fcgi::params::Pairs;
use crate::modules::core::Signature;
use crate::path::escape_html;
use crate::request::{Lookup, Request};
use crate::status;

/// The variables that depend on a request's settings only.
#[derive(Debug)]
pub struct Constants {
    /// The address of the virtual host that they were made for.
    server: usize,
    /// With TLS.
    secure: bool,
    /// Those about the program; `None` if the signature names the host as the client does.
    program: Option<Pairs>,
    /// Those about the site, as long as nothing has been mapped to another place.
    site: Pairs,
    /// Those about a GET of HTTP/1.1.
    get: Pairs,
}

impl Constants {
    /// Those of a request's settings.
    fn of(r: &Request) -> Option<&Constants> {
        let found = r.dir.constants.get_or_init(|| Constants::new(r));
        // Settings belong to one server. Whatever led to those of another: make them anew.
        let same = found.server == Arc::as_ptr(&r.server) as usize
            && found.secure == r.connection.secure;
        same.then_some(found)
    }

    #[cold]
    fn new(r: &Request) -> Constants {
        let (mut about_program, mut about_site, mut get) =
            <(Pairs, Pairs, Pairs)>::default();
        program(r, None, |name, value| about_program.push(name, value));
        let root = &r.server.config.core.document_root;
        site(r, root, b"", root, |name, value| about_site.push(name, value));
        call("HTTP/1.1", "GET", |name, value| get.push(name, value));
        let signature = r.dir.core.server_signature.unwrap_or_default();
        Constants {
            server: Arc::as_ptr(&r.server) as usize,
            secure: r.connection.secure,
            program: (signature == Signature::Off).then_some(about_program),
            site: about_site,
            get,
        }
    }
}

fn program(r: &Request, own_path: Option<&[u8]>, mut add: impl FnMut(&[u8], &[u8])) {
    let process = &r.snapshot.process.core;
    // One that a directive sets is kept.
    add(b"PATH", own_path.unwrap_or(&process.path_variable));
    if let Some(path) = &process.library_path {
        add(b"LD_LIBRARY_PATH", path);
    }
    if let Some(zone) = &process.time_zone {
        add(b"TZ", zone);
    }
    add(b"SERVER_SIGNATURE", &status::signature(r, b""));
    add(b"SERVER_SOFTWARE", process.banner());
}

fn site(
    r: &Request,
    root: &[u8],
    prefix: &[u8],
    context: &[u8],
    mut add: impl FnMut(&[u8], &[u8]),
) {
    add(b"DOCUMENT_ROOT", root);
    add(b"REQUEST_SCHEME", r.scheme().as_bytes());
    add(b"CONTEXT_PREFIX", prefix);
    add(b"CONTEXT_DOCUMENT_ROOT", context);
    let admin = r.server.config.core.server_admin.as_deref();
    add(b"SERVER_ADMIN", admin.unwrap_or("[no address given]").as_bytes());
}

fn call(protocol: &str, method: &str, mut add: impl FnMut(&[u8], &[u8])) {
    add(b"GATEWAY_INTERFACE", b"CGI/1.1");
    add(b"SERVER_PROTOCOL", protocol.as_bytes());
    add(b"REQUEST_METHOD", method.as_bytes());
}

/// Gives them all to `sink`.
pub(super) fn variables(r: &Request, sink: &mut impl Sink) {
    let constants = Constants::of(r);
    let own_path = r.env.get(b"PATH");
    match constants.and_then(|known| known.program.as_ref()) {
        Some(known) if own_path.is_none() => sink.pairs(known),
        _ => program(r, own_path.map(|path| &path[..]), |name, value| {
            sink.pair(name, value);
        }),
    }
    let name = r.server_name();
    if name.bytes().any(|b| b"<>&\"".contains(&b)) {
        sink.pair(b"SERVER_NAME", &escape_html(name.as_bytes()));
    } else {
        sink.pair(b"SERVER_NAME", name.as_bytes());
    }
    let mut text = Text::default();
    sink.pair(b"SERVER_ADDR", text.address(r.connection.local.ip().to_canonical()));
    sink.pair(b"SERVER_PORT", text.number(r.server_port()));
    if let Lookup::Known(host) = &r.remote_host {
        sink.pair(b"REMOTE_HOST", host.as_bytes());
    }
    sink.pair(b"REMOTE_ADDR", text.address(r.useragent_ip));
    let is_here = r.own_document_root.is_none()
        && r.context_prefix.is_empty()
        && r.context_document_root.is_none();
    if let Some(known) = constants.filter(|_| is_here) {
        sink.pairs(&known.site);
    } else {
        let root = r.document_root();
        let context = r.context_document_root.as_ref().unwrap_or(root);
        site(r, root, &r.context_prefix, context, |name, value| sink.pair(name, value));
    }
    sink.pair(b"SCRIPT_FILENAME", &r.filename);
    sink.pair(b"REMOTE_PORT", text.number(r.connection.client.port()));
    if let Some(user) = &r.user {
        sink.pair(b"REMOTE_USER", user);
    } else if let Some(user) = r.prev.as_ref().and_then(|prev| prev.user.as_ref()) {
        sink.pair(b"REDIRECT_REMOTE_USER", user);
    }
    if let Some(kind) = &r.auth_type {
        sink.pair(b"AUTH_TYPE", kind);
    }
    if let Some(prev) = &r.prev {
        if let Some(args) = &prev.args {
            sink.pair(b"REDIRECT_QUERY_STRING", args);
        }
        if r.dir.core.qualify_redirect_url == Some(true) {
            sink.pair(b"REDIRECT_URL", &r.construct_url(&prev.uri));
        } else {
            sink.pair(b"REDIRECT_URL", &prev.uri);
        }
    }
    let included = r.main.is_some();
    let is_get = r.version == 11 && r.method == Method::GET && !included;
    if let Some(known) = constants.filter(|_| is_get) {
        sink.pairs(&known.get);
    } else {
        let protocol = if included { "INCLUDED" } else { r.protocol() };
        call(protocol, r.method.as_str(), |name, value| sink.pair(name, value));
    }
    sink.pair(b"QUERY_STRING", r.args.as_deref().unwrap_or_default());
    sink.pair(b"REQUEST_URI", &request_uri(r));
    let script =
        if included { r.uri.len() } else { script_name_length(&r.uri, &r.path_info) };
    sink.pair(b"SCRIPT_NAME", &r.uri[..script]);
    if !r.path_info.is_empty() {
        sink.pair(b"PATH_INFO", &r.path_info);
        if let Some(translated) = r.notes.get(b"path-translated") {
            sink.pair(b"PATH_TRANSLATED", translated);
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
