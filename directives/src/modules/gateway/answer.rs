//! A decision in the words of the caller's dialect.

use bytes::Bytes;

use super::service::Dialect;
use super::{Decision, grpc, identity};
use crate::log::Level;
use crate::reply::Body;
use crate::request::Request;

/// Makes the answer to a caller, before the hooks that change heads of responses see it.
/// Other requests stay as they are.
pub fn answer(r: &mut Request) {
    let Some(dialect) = r.gateway.as_ref().map(|caller| caller.dialect) else { return };
    // The number is the dialect's, not the application's.
    r.reason = None;
    match r.decision.take() {
        Some(decision) if decision.allowed => {
            allow(r, dialect);
            r.decision = Some(decision);
        }
        decision => {
            refuse(r, dialect, decision.as_deref());
            r.decision = decision;
        }
    }
}

/// Whatever the hooks made of it: a refusal has no status that lets anybody in.
pub fn seal(r: &mut Request) {
    if r.gateway.is_none() {
        return;
    }
    let allowed = r.decision.as_ref().is_some_and(|decision| decision.allowed);
    r.reason = None;
    if !allowed && r.status < 300 {
        r.status = 403;
    }
}

fn allow(r: &mut Request, dialect: Dialect) {
    r.status = if dialect == Dialect::Nginx { 204 } else { 200 };
    r.err_headers_out.clear();
    r.headers_out.clear();
    r.content_type = None;
    r.content_encoding = None;
    r.content_languages.clear();
    r.body = Body::Bytes(Bytes::new());
    let (told, mut silent) = identity::identity(r);
    for (name, value) in told {
        let lower = String::from_utf8_lossy(&name).to_ascii_lowercase();
        if !send(r, dialect, name, value) {
            // What we cannot say the client must not say in our place.
            silent.push(lower);
        }
    }
    if dialect == Dialect::Grpc {
        // What it says goes to the upstream unasked, or to the client.
        return grpc::allow(r, silent);
    }
    for (name, value) in std::mem::take(&mut r.findings.variables) {
        send(r, dialect, Bytes::from([b"Variable-", &name[..]].concat()), value);
    }
    let passed = r.gateway.as_mut().map(|caller| std::mem::take(&mut caller.passed));
    for (name, value) in passed.into_iter().flatten() {
        send(r, dialect, name, value);
    }
    if dialect == Dialect::Envoy && !silent.is_empty() {
        r.headers_out.set("x-envoy-auth-headers-to-remove", silent.join(","));
    }
    // Who may have something is not to be kept by whoever carries the answer.
    r.headers_out.set("Cache-Control", "no-store");
}

/// Adds a field, unless it cannot be one; says whether it could. gRPC's values are UTF-8: what
/// would be put in the place of other bytes would make one user of two.
fn send(r: &mut Request, dialect: Dialect, name: Bytes, value: Bytes) -> bool {
    if http::HeaderName::from_bytes(&name).is_ok()
        && http::HeaderValue::from_bytes(&value).is_ok()
        && (dialect != Dialect::Grpc || std::str::from_utf8(&value).is_ok())
    {
        r.headers_out.add(name, value);
        return true;
    }
    let name = name.escape_ascii().to_string();
    let text = format!("gateway: \"{name}\" cannot be sent as a header, and is left out");
    r.log(Level::Error, "gateway", 0, text);
    false
}

fn refuse(r: &mut Request, dialect: Dialect, decision: Option<&Decision>) {
    let decided = decision.map_or(500, |decision| decision.status);
    // What an error document, or an application, says beside a refusal's status.
    let status = if r.status < 300 { decided } else { r.status };
    let status = if status < 300 { 403 } else { status };
    make_absolute(r);
    r.status = status;
    if dialect.takes_body() {
        return;
    }
    r.status = match status {
        401 | 403 => status,
        500.. => status,
        300..=399 if has_location(r) => 401,
        _ => 403,
    };
    if r.status != status {
        r.headers_out.set("X-Auth-Status", status.to_string());
    }
    r.headers_out.unset("Content-Length");
    r.content_type = None;
    r.body = Body::Bytes(Bytes::new());
}

fn has_location(r: &Request) -> bool {
    r.headers_out.has("Location") || r.err_headers_out.has("Location")
}

/// A redirect leads to the original request's host, not to that of the call.
fn make_absolute(r: &mut Request) {
    let relative =
        |value: &Bytes| value.first() == Some(&b'/') && value.get(1) != Some(&b'/');
    let of = |headers: &crate::reply::Headers| {
        headers.get("Location").filter(|v| relative(v)).cloned()
    };
    if let Some(location) = of(&r.headers_out) {
        let url = r.construct_url(&location);
        r.headers_out.set("Location", url);
    }
    if let Some(location) = of(&r.err_headers_out) {
        let url = r.construct_url(&location);
        r.err_headers_out.set("Location", url);
    }
}
