//! The request that a caller describes, made from the fields of its dialect.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method};

use super::service::{Caller, Dialect, Service};
use crate::log::Level;
use crate::modules::authz_host::Address;
use crate::modules::ssl::{self, Security};
use crate::request::{Connection, Head, Request};
use crate::response::has_token;

/// What is about the call, or is only a caller's to say, and not the original request's:
/// other fields that a client could have slipped in are among them.
const OF_CALLERS: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-uri",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-replaced-path",
];

/// Hop by hop, or about the call's own body.
const OF_THE_CALL: &[&str] = &[
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Is this a call, and not yet the request that it describes?
pub(crate) fn is_service(r: &Request) -> bool {
    r.dir.gateway.service.is_some()
        && r.gateway.is_none()
        && r.main.is_none()
        && r.prev.is_none()
}

/// The request that a caller describes, in the call's place. An error is the status of a
/// refusal; that the request is a caller's is known then as well.
pub(crate) fn become_original(r: &mut Request) -> Result<(), u16> {
    admit(r)?;
    let dir = r.dir.clone();
    let Some(service) = &dir.gateway.service else { return Err(500) };
    let trusted = dir.gateway.trust.as_deref().unwrap_or_default();
    let original = read(r, service, trusted).map_err(|why| refused(r, &why))?;
    replace(r, original, &r.headers_in.clone());
    Ok(())
}

/// Is a call one of somebody's who may ask? That the request is a caller's is known then.
pub(super) fn admit(r: &mut Request) -> Result<(), u16> {
    let dir = r.dir.clone();
    let Some(service) = &dir.gateway.service else { return Err(500) };
    let handshake = r.connection.security.tls().map(|tls| tls.policy.clone());
    let dialect = service.dialect;
    let caller = Caller { dialect, passed: Vec::new(), described: false, handshake };
    r.gateway = Some(Box::new(caller));
    let peer = r.connection.client.ip().to_canonical();
    let trusted = dir.gateway.trust.as_deref().unwrap_or_default();
    if !is_trusted(trusted, peer) {
        let text =
            format!("gateway: {peer} is not named by GatewayTrust: its call is refused");
        r.log(Level::Error, "gateway", 0, text);
        return Err(403);
    }
    ssl::check_call(r)
}

/// A call that does not say what it has to; the status of its refusal.
pub(super) fn refused(r: &mut Request, why: &str) -> u16 {
    let peer = r.connection.client.ip().to_canonical();
    let name = r.gateway.as_ref().map_or("", |caller| caller.dialect.name());
    let text = format!("gateway: the call of {peer} ({name}) is refused: {why}");
    r.log(Level::Error, "gateway", 0, text);
    400
}

/// Puts the original request, with the fields that came with it, into the call's place.
pub(super) fn replace(r: &mut Request, original: Original, said: &HeaderMap) {
    let headers = fields(said, &original.host);
    // The call's own TLS is the caller's: neither its certificate nor its cipher says
    // anything about the client of the original request.
    let connection = Connection {
        secure: original.secure,
        security: Security::Plain,
        ..(*r.connection).clone()
    };
    let head = Head {
        method: original.method,
        target: original.uri,
        version: r.version,
        headers,
    };
    let mut new = Request::new(
        r.snapshot.clone(),
        r.files.clone(),
        Arc::new(connection),
        head,
        r.request_time,
    );
    new.useragent_ip = original.client;
    // Whether there may be a body is the caller's method's business.
    new.header_only = r.header_only;
    new.now = r.now;
    new.gateway = r.gateway.take();
    if let Some(caller) = &mut new.gateway {
        caller.described = true;
    }
    new.lines = std::mem::take(&mut r.lines);
    if original.secure {
        new.env.set("HTTPS", "on");
    }
    *r = *new;
}

fn is_trusted(trusted: &[Address], ip: IpAddr) -> bool {
    trusted.iter().any(|address| address.contains(ip))
}

/// What a caller says of the request that it asks about.
pub(super) struct Original {
    pub method: Method,
    /// Path and query.
    pub uri: Bytes,
    pub host: HeaderValue,
    pub secure: bool,
    pub client: IpAddr,
}

impl Original {
    /// From a scheme as well, if everything is what it has to be.
    pub fn checked(
        method: Method,
        uri: Bytes,
        host: HeaderValue,
        scheme: &[u8],
        client: IpAddr,
    ) -> Result<Original, String> {
        if uri.first() != Some(&b'/')
            || uri.iter().any(|b| *b <= b' ' || *b == 0x7f || *b == b'#')
        {
            return Err("the original path is none".to_owned());
        }
        let secure = match scheme {
            b"https" | b"wss" => true,
            b"http" | b"ws" => false,
            _ => return Err("the original scheme is neither http nor https".to_owned()),
        };
        Ok(Original { method, uri, host, secure, client })
    }
}

/// What is said about the original request; the error says what is not, or not well.
fn read(r: &Request, service: &Service, trusted: &[Address]) -> Result<Original, String> {
    let headers = &r.headers_in;
    let (method, uri, host, client) = match service.dialect {
        Dialect::Nginx => (
            method(one(headers, "X-Original-Method")?)?,
            Bytes::copy_from_slice(one(headers, "X-Original-URI")?.as_bytes()),
            one(headers, "X-Forwarded-Host")?,
            address(one(headers, "X-Real-IP")?.as_bytes())
                .ok_or("X-Real-IP is no address")?,
        ),
        Dialect::Forward => (
            method(one(headers, "X-Forwarded-Method")?)?,
            Bytes::copy_from_slice(one(headers, "X-Forwarded-Uri")?.as_bytes()),
            one(headers, "X-Forwarded-Host")?,
            client(r, trusted, true)?,
        ),
        Dialect::Envoy => (
            r.method.clone(),
            without_prefix(&r.unparsed_uri, &service.prefix)?,
            one(headers, "Host")?,
            // Envoy may have put its own address behind the others: alone it is nobody's.
            client(r, trusted, false)?,
        ),
        Dialect::Grpc => return Err("it is no message".to_owned()),
    };
    let scheme = one(headers, "X-Forwarded-Proto")?;
    Original::checked(method, uri, host.clone(), scheme.as_bytes(), client)
}

/// A field that has to be there, once, and say something.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a HeaderValue, String> {
    let mut values = headers.get_all(name.to_ascii_lowercase().as_str()).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value),
        (Some(_), None) => Err(format!("{name} is empty")),
        (Some(_), Some(_)) => Err(format!("{name} comes more than once")),
        (None, _) => Err(format!("{name} is missing")),
    }
}

fn method(value: &HeaderValue) -> Result<Method, String> {
    Method::from_bytes(value.as_bytes())
        .map_err(|_| "the original method is none".to_owned())
}

fn without_prefix(target: &Bytes, prefix: &Bytes) -> Result<Bytes, String> {
    let rest = target.strip_prefix(&prefix[..]).map(|rest| target.slice_ref(rest));
    rest.filter(|rest| rest.first() == Some(&b'/'))
        .ok_or_else(|| "the call's path is not below the service's prefix".to_owned())
}

/// The last address of X-Forwarded-For that is nobody's whom we trust: mod_remoteip's rule.
/// If there is none, the first one is the client where the caller `names` it always.
fn client(r: &Request, trusted: &[Address], names: bool) -> Result<IpAddr, String> {
    let list = r.header("x-forwarded-for").ok_or("X-Forwarded-For is missing")?;
    let mut leftmost = None;
    for item in list.rsplit(|&b| b == b',') {
        let ip = address(item.trim_ascii());
        let ip = ip.ok_or("X-Forwarded-For has something in it that is no address")?;
        if !is_trusted(trusted, ip) {
            return Ok(ip);
        }
        leftmost = Some(ip);
    }
    let none = "X-Forwarded-For names no client";
    leftmost.filter(|_| names).ok_or_else(|| none.to_owned())
}

/// An address, with brackets or without.
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare =
        text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// The original request's fields: the call's without those that are the call's own.
fn fields(call: &HeaderMap, host: &HeaderValue) -> HeaderMap {
    let mut headers = call.clone();
    for name in OF_CALLERS.iter().chain(OF_THE_CALL) {
        headers.remove(*name);
    }
    let envoys: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-envoy-"))
        .cloned()
        .collect();
    for name in envoys {
        headers.remove(name);
    }
    // How the caller's connection goes on is said by the rest of the field.
    let said = headers.remove("connection");
    let says = |token: &str| {
        said.as_ref().is_some_and(|s| has_token(s.as_bytes(), token.as_bytes()))
    };
    if let Some(token) = ["close", "keep-alive"].into_iter().find(|token| says(token)) {
        headers.insert("connection", HeaderValue::from_static(token));
    }
    headers.insert(HOST, host.clone());
    headers
}
