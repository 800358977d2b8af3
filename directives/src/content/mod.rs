//! What httpd's core does with a file: `default_handler`, TRACE and OPTIONS, conditions,
//! ranges. The file itself is opened by whoever runs the phases.

pub mod coding;
pub mod conditions;
pub mod etag;
pub mod ranges;

use bytes::Bytes;
use http::Method;

use crate::bundle::{Kind, Meta, OsError};
use crate::effect::{Answer, Effect, Failure};
use crate::log::Level;
use crate::phase::{DECLINED, DONE, Verdict};
use crate::reply::Body;
use crate::request::Request;

/// Sends the file that the request was mapped to.
pub fn default_handler(r: &mut Request) -> Verdict {
    if body_is_too_large(r) {
        return Verdict::Status(413);
    }
    let readable = matches!(r.method, Method::GET | Method::HEAD | Method::POST);
    if !readable {
        allow_methods(r, &[Method::GET, Method::OPTIONS, Method::POST]);
        return unusual_method(r);
    }
    let missing = |r: &mut Request, ah: u32| {
        let text = [b"File does not exist: ", &r.filename[..], &r.path_info].concat();
        r.log(Level::Info, "core", ah, text);
        Verdict::Status(404)
    };
    match r.finfo.map(|meta| meta.kind) {
        None => return missing(r, 128),
        Some(Kind::Directory) => {
            let text = [b"Attempt to serve directory: ", &r.filename[..]].concat();
            r.log(Level::Info, "core", 129, text);
            return Verdict::Status(404);
        }
        Some(_) => {}
    }
    if !r.path_info.is_empty() && !accepts_path_info(r, false) {
        return missing(r, 130);
    }
    let path = Bytes::copy_from_slice(&r.filename);
    Verdict::Ask(Effect::Open { path }, opened)
}

fn opened(r: &mut Request, answer: Answer) -> Verdict {
    match answer {
        Answer::Opened(Ok(meta)) => {
            r.finfo = Some(meta);
            send_file(r, meta);
            Verdict::Ok
        }
        Answer::Opened(Err(error)) => {
            let status = if error.code == OsError::NOT_FOUND { 404 } else { 403 };
            let text =
                [b"file permissions deny server access: ", &r.filename[..]].concat();
            r.log_os(Level::Error, "core", 132, Some(error), text);
            Verdict::Status(status)
        }
        _ => Verdict::Status(500),
    }
}

/// Puts the file's validators and length into the response, and its bytes unless a
/// condition says otherwise.
pub fn send_file(r: &mut Request, meta: Meta) {
    let modified = meta.mtime.min(r.request_time / 1_000_000);
    r.headers_out.set("Last-Modified", conditions::http_date(modified));
    if let Some(tag) = etag::make(r, &meta) {
        r.headers_out.set("ETag", tag);
    }
    r.headers_out.set("Accept-Ranges", "bytes");
    if let Some(status) = conditions::check(r, modified) {
        r.status = status;
        if status != 304 {
            return;
        }
        r.body = Body::None;
        return;
    }
    r.headers_out.set("Content-Length", meta.size.to_string());
    let whole = crate::reply::Part { head: Bytes::new(), start: 0, end: meta.size };
    r.body = Body::File { size: meta.size, parts: vec![whole] };
}

/// Does the client announce more than `LimitRequestBody`? The log says so.
pub fn body_is_too_large(r: &mut Request) -> bool {
    let (length, limit) = match (r.content_length(), r.dir.core.body_limit()) {
        (Some(length), Some(limit)) if length > limit => (length, limit),
        _ => return false,
    };
    let text = format!(
        "Requested content-length of {length} is larger than the configured limit of \
         {limit}"
    );
    r.log(Level::Info, "http", 1588, text);
    true
}

/// The status where the client's body is why there is no answer; the log is told of one that
/// is too long.
pub fn body_failed(r: &mut Request, failure: &Failure) -> Option<u16> {
    let status = failure.of_body()?;
    if *failure == Failure::BodyTooLong {
        let limit = r.dir.core.body_limit().unwrap_or(0);
        let text =
            format!("Read content length larger than the configured limit of {limit}");
        r.log(Level::Error, "http", 1591, text);
    }
    Some(status)
}

/// May there be a rest of the path? `AcceptPathInfo`, a handler's wish, or `default`.
pub fn accepts_path_info(r: &Request, default: bool) -> bool {
    r.dir.core.accept_path_info.flatten().or(r.used_path_info).unwrap_or(default)
}

/// `ap_allow_standard_methods`.
pub fn allow_methods(r: &mut Request, methods: &[Method]) {
    for method in methods {
        if !r.allowed.contains(method) {
            r.allowed.push(method.clone());
        }
    }
}

/// The value of `Allow`: `make_allow`. Methods are listed in httpd's own order.
pub fn allow(r: &Request) -> Bytes {
    let mut listed: Vec<&str> = Vec::new();
    for method in KNOWN {
        if r.allowed.iter().any(|m| m.as_str() == *method) {
            listed.push(method);
        }
    }
    for method in &r.allowed {
        if !KNOWN.contains(&method.as_str()) {
            listed.push(method.as_str());
        }
    }
    if listed.contains(&"GET") {
        listed.push("HEAD");
    }
    if r.server.config.core.traces() {
        listed.push("TRACE");
    }
    listed.join(",").into()
}

/// The methods that httpd knows by number, in that order; GET stands for HEAD.
const KNOWN: &[&str] = &[
    "GET",
    "PUT",
    "POST",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "PATCH",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "VERSION-CONTROL",
    "CHECKOUT",
    "UNCHECKOUT",
    "CHECKIN",
    "UPDATE",
    "LABEL",
    "REPORT",
    "MKWORKSPACE",
    "MKACTIVITY",
    "BASELINE-CONTROL",
    "MERGE",
];

/// Does httpd know this method?
pub fn is_known_method(method: &str) -> bool {
    matches!(method, "HEAD" | "TRACE") || KNOWN.contains(&method)
}

/// Is the request's method one of those, or named by `RegisterHttpMethod` or `<Limit>`?
pub(crate) fn is_registered_method(r: &Request) -> bool {
    let method = r.method.as_str();
    is_known_method(method)
        || r.snapshot.process.core.methods.iter().any(|known| known == method)
}

pub(crate) fn unusual_method(r: &mut Request) -> Verdict {
    if !is_registered_method(r) {
        let line = String::from_utf8_lossy(&r.the_request()).into_owned();
        r.log(Level::Error, "core", 135, format!("Invalid method in request {line}"));
        return Verdict::Status(501);
    }
    if r.method == Method::OPTIONS {
        let allow = allow(r);
        r.headers_out.set("Allow", allow);
        r.headers_out.set("Content-Length", "0");
        r.body = Body::None;
        return Verdict::Ok;
    }
    Verdict::Status(405)
}

/// TRACE and `OPTIONS *` are answered before a file is looked for: `ap_send_http_trace`
/// and `http_send_options`.
pub fn before_storage(r: &mut Request) -> Verdict {
    // Whom it is for answers it.
    if r.proxyreq {
        return DECLINED;
    }
    if r.method == Method::OPTIONS && r.uri == b"*" {
        r.headers_out.set("Content-Length", "0");
        return DONE;
    }
    if r.method != Method::TRACE {
        return DECLINED;
    }
    if !r.server.config.core.traces() {
        r.notes.set("error-notes", "TRACE denied by server configuration");
        return Verdict::Status(405);
    }
    if r.has_body() && !r.server.config.core.traces_body() {
        r.notes.set("error-notes", "TRACE with a request body is not allowed");
        return Verdict::Status(413);
    }
    let mut body = r.the_request();
    body.extend_from_slice(b"\r\n");
    for (name, value) in r.headers_in.iter() {
        body.extend_from_slice(title_case(name.as_str()).as_bytes());
        body.extend_from_slice(b": ");
        body.extend_from_slice(value.as_bytes());
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"\r\n");
    r.content_type = Some(Bytes::from_static(b"message/http"));
    r.body = Body::Bytes(body.into());
    DONE
}

/// `content-type` as `Content-Type`: the case that most clients send.
pub fn title_case(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let shown = if upper { c.to_ascii_uppercase() } else { c };
            upper = c == '-';
            shown
        })
        .collect()
}
