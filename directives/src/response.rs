//! The last touches of a response: `ap_http_header_filter` and `ap_set_keepalive`.

use bytes::Bytes;
use http::header::{CONNECTION, VIA};

use crate::content::{conditions, ranges};
use crate::reply::{Body, Headers, Reply};
use crate::request::Request;
use crate::status;

/// The reply that a finished request stands for. The request stays for the log; whoever
/// sends the reply gives it the fields back.
pub fn finish(r: &mut Request) -> Reply {
    if let Body::Http2(_) = &r.body {
        return change(r);
    }
    let mut filters = std::mem::take(&mut r.body_filters);
    if status::is_bodyless(r.status) || matches!(r.body, Body::None | Body::Raw) {
        filters.clear();
    }
    if filters.is_empty() {
        ranges::apply(r);
    }
    if r.status == 416 {
        let page = status::page(r, 416, None);
        r.content_type = Some(Bytes::from_static(b"text/html; charset=iso-8859-1"));
        r.headers_out.clear();
        r.body = if r.header_only { Body::None } else { Body::Bytes(page.into()) };
    }
    let raw = matches!(r.body, Body::Raw | Body::Tunnel);
    let body = std::mem::take(&mut r.body);
    let mut own = std::mem::take(&mut r.err_headers_out);
    if own.is_empty() {
        own = std::mem::take(&mut r.headers_out);
    } else {
        own.extend(std::mem::take(&mut r.headers_out));
    }
    let mut date = conditions::http_date(r.request_time / 1_000_000);
    let mut server = r.snapshot.process.core.banner().clone();
    // What an upstream says of itself stays.
    if r.proxyreq {
        for (name, value) in [("Date", &mut date), ("Server", &mut server)] {
            if let Some(said) = own.get(name).cloned() {
                *value = said;
                own.unset(name);
            }
        }
    }
    let bodyless = status::is_bodyless(r.status);
    if !filters.is_empty() {
        own.unset("Content-Length");
    } else if let Body::Bytes(bytes) = &body
        && !bodyless
    {
        own.set("Content-Length", bytes.len().to_string());
    }
    // Who answers HEAD without a body may not have counted what GET would give.
    if r.header_only && own.get("Content-Length").is_some_and(|length| length == "0") {
        own.unset("Content-Length");
    }
    if bodyless {
        own.unset("Content-Length");
        own.unset("Transfer-Encoding");
    }
    if !r.content_languages.is_empty() && !bodyless {
        own.set("Content-Language", r.content_languages.join(&b", "[..]));
    }
    if let Some(encoding) = &r.content_encoding
        && !bodyless
    {
        own.set("Content-Encoding", encoding.clone());
    }
    if let Some(kind) = content_type(r)
        && (!bodyless || r.status == 204)
    {
        own.set("Content-Type", kind);
    }
    if r.no_cache && !own.has("Expires") {
        own.set("Expires", conditions::http_date(r.request_time / 1_000_000));
    }
    vary(r, &mut own);
    let close = !keep_alive(r, &mut own);
    own.put_first([
        (Bytes::from_static(b"Date"), date),
        (Bytes::from_static(b"Server"), server),
    ]);
    let body = if bodyless && !raw { Body::None } else { body };
    // `404 Gone Fishing`: the line says what the client is told.
    let told = r.reason.as_deref().and_then(|line| line.get(..3));
    let told = told.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
    Reply {
        status: told.unwrap_or(r.status),
        reason: r.reason.clone(),
        headers: own,
        body,
        trailers: r.trailers,
        filters,
        rate: r.rate,
        close,
        header_only: r.header_only,
    }
}

/// The word for a change of protocols: nothing else is said of it, as by
/// `ap_send_interim_response`.
fn change(r: &mut Request) -> Reply {
    let mut headers = Headers::default();
    headers.set("Upgrade", "h2c");
    headers.set("Connection", "Upgrade");
    Reply {
        status: 101,
        reason: None,
        headers,
        body: std::mem::take(&mut r.body),
        trailers: &[],
        filters: Vec::new(),
        rate: None,
        close: true,
        header_only: true,
    }
}

/// What a page includes: a sub-request's body, whose head nobody sees.
pub fn finish_included(r: &mut Request) -> Reply {
    Reply {
        status: r.status,
        reason: None,
        headers: Headers::default(),
        body: std::mem::take(&mut r.body),
        trailers: &[],
        filters: std::mem::take(&mut r.body_filters),
        rate: None,
        close: false,
        header_only: false,
    }
}

/// What the response depends on, each once: `fixup_vary`.
fn vary(r: &Request, headers: &mut Headers) {
    if r.env.has(b"force-no-vary") {
        headers.unset("Vary");
        return;
    }
    let mut names: Vec<&[u8]> = Vec::new();
    for (_, value) in
        headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"vary"))
    {
        for name in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
            if !name.is_empty()
                && !names.iter().any(|known| known.eq_ignore_ascii_case(name))
            {
                names.push(name);
            }
        }
    }
    if !names.is_empty() {
        let joined = names.join(&b',');
        headers.set("Vary", joined);
    }
}

/// `ap_make_content_type`: a text type without a character set gets the default one.
fn content_type(r: &Request) -> Option<Bytes> {
    let kind = r.content_type.clone()?;
    let Some(charset) = r.dir.core.add_default_charset.clone().flatten() else {
        return Some(kind);
    };
    let starts = |with: &[u8]| {
        kind.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    let wants = starts(b"text/plain") || starts(b"text/html");
    if !wants || kind.windows(8).any(|w| w.eq_ignore_ascii_case(b"charset=")) {
        return Some(kind);
    }
    Some(Bytes::from([&kind[..], b"; charset=", &charset].concat()))
}

/// Has the client said that no request of its own follows on the connection?
pub fn is_last(r: &Request) -> bool {
    let connection = r.header(CONNECTION).unwrap_or_default();
    has_token(&connection, b"close")
        || r.version < 11 && !has_token(&connection, b"keep-alive")
}

/// Does the connection go on? The fields that say so are put into the response.
fn keep_alive(r: &Request, headers: &mut Headers) -> bool {
    if r.version >= 20 {
        // HTTP/2's connections go on in their own way.
        return true;
    }
    let core = &r.server.config.core;
    let connection = r.header(CONNECTION).unwrap_or_default();
    let says = |token: &[u8]| has_token(&connection, token);
    let keep_sent = says(b"keep-alive");
    let left = core
        .max_keep_alive_requests()
        .map(|max| i64::from(max) - i64::from(r.connection.keepalives));
    let length_known = r.header_only
        || status::is_bodyless(r.status)
        || headers.has("Content-Length")
        || r.version >= 11;
    let dropped =
        headers.get("Connection").is_some_and(|value| has_token(value, b"close"));
    let keep = length_known
        && !dropped
        && core.keep_alive.unwrap_or(true)
        && !core.keep_alive_timeout().is_zero()
        && left.is_none_or(|left| left > 0)
        && !status::drops_connection(r.status)
        && !says(b"close")
        && (!r.env.has(b"nokeepalive") || r.headers_in.contains_key(VIA))
        && (keep_sent || r.version >= 11);
    if !keep {
        if !dropped {
            headers.merge("Connection", b"close");
        }
        return false;
    }
    if keep_sent {
        let timeout = core.keep_alive_timeout().as_secs();
        let value = match left {
            Some(left) => format!("timeout={timeout}, max={left}"),
            None => format!("timeout={timeout}"),
        };
        headers.set("Keep-Alive", value);
        headers.merge("Connection", b"Keep-Alive");
    }
    true
}

/// Is `token` among the comma-separated tokens of a field?
pub fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&b| b == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}
