//! What the answer of an HTTP upstream becomes: `ap_proxy_http_process_response`.

use bytes::Bytes;
use http::Method;

use super::forward::{HOP_BY_HOP, via_of};
use super::handler::{after, current, error, settle, unreachable};
use super::{Heard, Via, reverse};
use crate::content::conditions;
use crate::effect::{Answer, Failure};
use crate::log::Level;
use crate::phase::{OK, Verdict};
use crate::reply::{Body, Headers};
use crate::request::Request;
use crate::response::has_token;
use crate::status;

/// The answer, or why there is none.
pub(super) fn answered(r: &mut Request, answer: Answer) -> Verdict {
    match answer {
        Answer::Heard(heard) => {
            // Whoever reads the rest says when the upstream is no longer busy with it.
            current(r).hold = None;
            take(r, *heard)
        }
        Answer::Failed { failure, .. } => {
            let status = failed(r, &failure);
            settle(r, status)
        }
        _ => Verdict::Status(500),
    }
}

fn place(r: &mut Request) -> String {
    let parts = current(r).parts.clone();
    parts.map_or_else(String::new, |parts| format!("{}:{}", parts.host, parts.port()))
}

/// The lines and the status of a failure.
fn failed(r: &mut Request, failure: &Failure) -> u16 {
    let says = |r: &mut Request, status: u16, why: &str| {
        let _ = error(r, status, why);
        status
    };
    if let Some(status) = failure.of_body() {
        return status;
    }
    match failure {
        Failure::Connect(os) | Failure::Socket(os) => {
            unreachable(r, "http", Some(os.clone()));
            not_connected(r)
        }
        Failure::ConnectTimeout(_) => {
            unreachable(r, "http", None);
            not_connected(r)
        }
        Failure::NotStarted => {
            let place = place(r);
            let text = format!("HTTP: failed to acquire connection for ({place})");
            r.log_server(Level::Error, "proxy", 941, None, text);
            503
        }
        Failure::Handshake(why) => {
            let text = format!("TLS handshake with upstream {} failed: {why}", place(r));
            r.log_server(Level::Error, "ssl", 0, None, text);
            says(r, 500, "Error during SSL Handshake with remote server")
        }
        Failure::Protocol(why) if why.starts_with("Corrupt") => says(r, 502, why),
        Failure::Protocol(_) | Failure::HeadTooLong => {
            let uri = String::from_utf8_lossy(&r.uri).into_owned();
            let text = format!("bad HTTP/1.1 header returned by {uri} ({})", r.method);
            r.log(Level::Warn, "proxy_http", 1106, text);
            502
        }
        other => {
            if matches!(other, Failure::Idle(_)) {
                r.notes.set("proxy_timedout", "1");
            }
            let text =
                format!("error reading status line from remote server {}", place(r));
            r.log(Level::Error, "proxy_http", 1102, text);
            says(r, 502, "Error reading from remote server")
        }
    }
}

fn not_connected(r: &mut Request) -> u16 {
    let host =
        current(r).parts.as_ref().map(|parts| parts.host.clone()).unwrap_or_default();
    let text = format!("HTTP: failed to make connection to backend: {host}");
    r.log(Level::Error, "proxy_http", 1114, text);
    503
}

/// Takes an answer over into the request.
fn take(r: &mut Request, heard: Heard) -> Verdict {
    let before = r.status;
    r.status = heard.status;
    r.reason = heard.reason;
    let connection = joined(&heard.headers, "connection");
    let chunked = heard.headers.has("Transfer-Encoding");
    let mut out = Headers::default();
    for (name, value) in heard.headers.iter() {
        let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
        let hop = HOP_BY_HOP.contains(&lower.as_str())
            || matches!(
                lower.as_str(),
                "connection" | "transfer-encoding" | "proxy-authenticate"
            )
            || has_token(&connection, name);
        // A length beside chunks is none.
        if hop || chunked && lower == "content-length" {
            continue;
        }
        let value = match lower.as_str() {
            "location" | "content-location" | "uri" | "destination" => {
                reverse::location(r, value)
            }
            "set-cookie" => reverse::cookie(r, value),
            "date" | "expires" | "last-modified" => date(value),
            "content-type" if !status::is_bodyless(r.status) => {
                r.content_type = Some(value.clone());
                continue;
            }
            _ => value.clone(),
        };
        out.add(name.clone(), value);
    }
    let via = r.server.config.proxy.via.unwrap_or_default();
    if matches!(via, Via::On | Via::Full) {
        let own = via_of(r);
        out.add("Via", own);
    }
    let status = r.status;
    if status == 101 {
        return changed_protocol(r, &heard.headers);
    }
    r.headers_out = out;
    after(r, status);
    if r.dir.clone().proxy.overrides(status) {
        if status == 401
            && let Some(challenge) = r.headers_out.get("WWW-Authenticate").cloned()
        {
            r.err_headers_out.set("WWW-Authenticate", challenge);
        }
        (r.status, r.reason) = (200, None);
        return Verdict::Status(status);
    }
    // An error document may be proxied itself: the error remains.
    if r.dir.proxy.error_override == Some(true) && before >= 400 && status < 400 {
        (r.status, r.reason) = (before, None);
    }
    r.no_local_copy = true;
    let has_body =
        !r.header_only && !status::is_bodyless(status) && r.method != Method::HEAD;
    r.body = if has_body { Body::Stream } else { Body::None };
    OK
}

/// A change of protocols that the client asked for; the fields name it again.
fn changed_protocol(r: &mut Request, headers: &Headers) -> Verdict {
    let wanted = r.header(http::header::UPGRADE).unwrap_or_default().into_owned();
    let given = headers.get("Upgrade").cloned().unwrap_or_default();
    r.headers_out.clear();
    for (name, value) in headers.iter() {
        let own = [
            &b"connection"[..],
            b"upgrade",
            b"keep-alive",
            b"transfer-encoding",
            b"content-length",
        ];
        if !own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            r.headers_out.add(name.clone(), value.clone());
        }
    }
    let is_asked = current(r).worker.is_some() || !wanted.is_empty();
    if is_asked
        && !given.is_empty()
        && has_token(&wanted, &given)
        && r.notes.has(b"proxy-tunnel")
    {
        r.headers_out.set("Upgrade", given);
        r.headers_out.set("Connection", "Upgrade");
        r.body = Body::Tunnel;
        return OK;
    }
    r.headers_out.clear();
    (r.status, r.reason) = (200, None);
    let expecting = if r.notes.has(b"proxy-tunnel") {
        String::from_utf8_lossy(&wanted).into_owned()
    } else {
        "n/a".to_owned()
    };
    let given =
        if given.is_empty() { "n/a".into() } else { String::from_utf8_lossy(&given) };
    let why = format!("Unexpected Upgrade: {given} (expecting {expecting})");
    let _ = error(r, 502, &why);
    settle(r, 502)
}

fn joined(headers: &Headers, name: &str) -> Bytes {
    let values = headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
    values.map(|(_, value)| value.clone()).collect::<Vec<_>>().join(&b", "[..]).into()
}

/// A date in one of the old forms gets today's: `date_canon`.
fn date(value: &Bytes) -> Bytes {
    match conditions::parse_date(value) {
        Some(seconds) => conditions::http_date(seconds),
        None => value.clone(),
    }
}
