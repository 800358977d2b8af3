//! The request that an HTTP upstream gets: `ap_proxy_create_hdrbrgd`.

use std::borrow::Cow;

use bytes::Bytes;

use super::handler::{current, pool, timeouts};
use super::section;
use super::url::{Parts, bracketed};
use super::worker::Worker;
use super::{Forward, Framing, Via, answer, url_of};
use crate::effect::Effect;
use crate::log::Level;
use crate::modules::ssl::Secured;
use crate::phase::Verdict;
use crate::reply::Headers;
use crate::request::Request;
use crate::response::has_token;

/// What is said hop by hop, and never passed on.
pub(super) const HOP_BY_HOP: [&str; 5] =
    ["keep-alive", "proxy-connection", "te", "trailer", "upgrade"];

/// Asks the upstream that was chosen.
pub(super) fn ask(r: &mut Request) -> Verdict {
    let attempt = current(r).clone();
    let (Some(parts), Some(address)) = (attempt.parts, attempt.address) else {
        return Verdict::Status(500);
    };
    let worker = attempt.worker.as_deref();
    let params = worker.map(|worker| worker.params.clone()).unwrap_or_default();
    let old = r.env.has(b"force-proxy-request-1.0");
    let expects = r
        .header(http::header::EXPECT)
        .is_some_and(|expect| has_token(&expect, b"100-continue"));
    if old && expects {
        return super::handler::settle(r, 417);
    }
    let forwards_100 = r.dir.proxy.forward_100.unwrap_or(true);
    let expects =
        !old && (expects && forwards_100 || params.ping.is_some() && r.has_body());
    let secured = match secured(r, &parts) {
        Ok(secured) => secured,
        Err(status) => return super::handler::settle(r, status),
    };
    let upgrade = upgrade(r, worker, &parts.scheme);
    match upgrade {
        Some(_) => r.notes.set("proxy-tunnel", "1"),
        None => r.notes.unset(b"proxy-tunnel"),
    }
    let reuse = params.reuse != Some(false)
        && worker.is_some_and(Worker::may_reuse)
        && !old
        && !r.env.has(b"proxy-nokeepalive")
        && !(r.connection.keepalives == 0 && r.env.has(b"proxy-initial-not-pooled"));
    let (timeout, connect_timeout) = timeouts(r);
    let url = url_of(r).unwrap_or_default();
    let start = url.windows(3).position(|three| three == b"://").map_or(0, |i| i + 3);
    let slash =
        url[start..].iter().position(|&b| b == b'/').map_or(url.len(), |n| start + n);
    let target = if slash == url.len() { b"/".to_vec() } else { url[slash..].to_vec() };
    let host = match parts.port.filter(|port| *port != 80) {
        Some(port) => format!("{}:{port}", bracketed(&parts.host)),
        None => bracketed(&parts.host),
    };
    let spools = r.env.has(b"proxy-sendcl")
        && !r.env.has(b"proxy-sendchunked")
        && !r.env.has(b"proxy-sendchunks");
    let forward = Forward {
        pool: pool(r).filter(|_| reuse),
        address,
        secured,
        place: format!("{}:{}", parts.host, parts.port()),
        method: r.method.clone(),
        target: target.into(),
        headers: headers(r, &host, expects, upgrade.as_ref()),
        old,
        says_length: r.headers_in.contains_key(http::header::CONTENT_LENGTH)
            || r.headers_in.contains_key(http::header::TRANSFER_ENCODING),
        framing: if old || spools { Framing::Length } else { Framing::AsSent },
        max: params.max,
        acquire: params.acquire,
        ttl: params.ttl,
        connect_timeout,
        timeout,
        expects,
        upgrade,
        ignores_bad: r.server.config.proxy.ignore_bad_headers == Some(true),
        head_limit: params.field_size.unwrap_or(8192),
        hold: attempt.hold,
    };
    Verdict::Ask(Effect::Upstream(Box::new(forward)), answer::answered)
}

/// TLS, where the URL asks for it. It is not left away where `SSLProxyEngine` is off.
fn secured(r: &mut Request, parts: &Parts) -> Result<Option<Secured>, u16> {
    if !matches!(parts.scheme.as_str(), "https" | "wss") {
        return Ok(None);
    }
    let settings = section::secured(r).filter(|settings| settings.is_on());
    let Some(settings) = settings else {
        let (host, port) = (&parts.host, parts.port());
        let text = format!(
            "SSL Proxy requested for {host}:{port} but not enabled [Hint: SSLProxyEngine]"
        );
        r.log_server(Level::Error, "ssl", 1961, None, text);
        let text = format!("HTTPS: failed to enable ssl support for {host}:{port}");
        r.log_server(Level::Error, "proxy", 961, None, text);
        return Err(500);
    };
    let preserved = r.dir.proxy.preserve_host == Some(true);
    let sent = r.hostname.clone().filter(|_| preserved);
    let host = sent.unwrap_or_else(|| parts.host.clone());
    Ok(Some(Secured { settings, host }))
}

/// The protocol that the client wants to change to, if it may:
/// `ap_proxy_worker_can_upgrade`.
fn upgrade(r: &Request, worker: Option<&Worker>, scheme: &str) -> Option<Bytes> {
    if r.version < 11 || r.version >= 20 {
        return None;
    }
    let wanted = r.header(http::header::UPGRADE)?;
    let allowed =
        worker.and_then(|worker| worker.params.upgrade.as_ref()).map(|name| &name[..]);
    let allowed = allowed.or(matches!(scheme, "ws" | "wss").then_some(b"WebSocket"))?;
    (allowed == b"*" || has_token(&wanted, allowed)).then(|| wanted.into_owned().into())
}

/// The fields, in their order. **The place where identity headers are decided**: what a
/// client may not say about itself is to be taken out here.
fn headers(
    r: &mut Request,
    host: &str,
    expects: bool,
    upgrade: Option<&Bytes>,
) -> Headers {
    let dir = r.dir.clone();
    let mut out = Headers::default();
    let sent_host = r.header(http::header::HOST).map(Cow::into_owned);
    let preserved = (dir.proxy.preserve_host == Some(true)).then_some(&sent_host);
    let host = match preserved {
        None => Bytes::copy_from_slice(host.as_bytes()),
        Some(Some(sent)) => Bytes::copy_from_slice(sent),
        Some(None) => {
            let name = r.server.config.core.server_name.clone().unwrap_or_default();
            let uri = String::from_utf8_lossy(&r.uri).into_owned();
            let text = format!(
                "no HTTP 0.9 request (with no host line) on incoming request and preserve host set \
                 forcing hostname to be {name} for uri {uri}"
            );
            r.log(Level::Warn, "proxy", 1092, text);
            name.into()
        }
    };
    out.set("Host", host);
    let connection = r.header(http::header::CONNECTION).unwrap_or_default();
    let authenticated = r.user.is_some() && !r.env.has(b"Proxy-Chain-Auth");
    // Several of a name are one, as httpd reads them.
    for name in r.headers_in.keys() {
        let name = name.as_str();
        let own = match name {
            "host" | "connection" | "transfer-encoding" | "content-length" | "expect" => {
                true
            }
            "proxy-authorization" => authenticated,
            _ => HOP_BY_HOP.contains(&name) || has_token(&connection, name.as_bytes()),
        };
        if !own && let Some(value) = r.header(name) {
            out.add(Bytes::copy_from_slice(name.as_bytes()), value.into_owned());
        }
    }
    via(r, &mut out);
    if expects {
        out.merge("Expect", b"100-Continue");
    }
    if dir.proxy.add_headers.unwrap_or(true) {
        join(&mut out, "X-Forwarded-For", r.useragent_ip.to_string().as_bytes());
        if let Some(sent) = &sent_host {
            join(&mut out, "X-Forwarded-Host", sent);
        }
        let name = r.server.config.core.server_name.clone().unwrap_or_default();
        join(&mut out, "X-Forwarded-Server", name.as_bytes());
    }
    if let Some(protocol) = upgrade {
        out.set("Upgrade", protocol.clone());
        out.set("Connection", "Upgrade");
    }
    out
}

/// Adds to what a field says already; several of its name become one.
fn join(headers: &mut Headers, name: &'static str, value: &[u8]) {
    let mut all: Vec<Bytes> = Vec::new();
    for (known, value) in headers.iter() {
        if known.eq_ignore_ascii_case(name.as_bytes()) {
            all.push(value.clone());
        }
    }
    all.push(Bytes::copy_from_slice(value));
    headers.set(name, all.join(&b", "[..]));
}

fn via(r: &Request, headers: &mut Headers) {
    match r.server.config.proxy.via.unwrap_or_default() {
        Via::Off => {}
        Via::Block => headers.unset("Via"),
        Via::On | Via::Full => join(headers, "Via", via_of(r).as_bytes()),
    }
}

/// This server's part of a `Via` field.
pub(super) fn via_of(r: &Request) -> String {
    let (major, minor) = (r.version / 10, r.version % 10);
    let core = &r.server.config.core;
    // A name that the client chose says nothing.
    let name = core.server_name.clone().unwrap_or_default();
    let port = super::handler::own_port(r);
    match r.server.config.proxy.via {
        Some(Via::Full) => {
            format!("{major}.{minor} {name}{port} ({})", crate::version::BASE)
        }
        _ => format!("{major}.{minor} {name}{port}"),
    }
}
