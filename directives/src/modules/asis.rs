//! mod_asis: files that bring the fields of their response with them.

use bytes::Bytes;
use http::Method;

use super::fastcgi::response;
use crate::log::Level;
use crate::phase::{DECLINED, OK, Phase, Redirect, Verdict, on};
use crate::reply::Body;
use crate::request::Request;
use crate::schema::Module;
use crate::status;

/// Settings of a section: none.
pub type Dir = ();
/// Settings of a server: none.
pub type Server = ();

/// The module: a handler, `send-as-is`.
pub static MODULE: Module = Module {
    name: "mod_asis.c",
    id: "asis_module",
    directives: &[],
    hooks: &[on(Phase::Handle, handle).of_handlers(HANDLERS)],
};

/// `asis_handler`.
/// By name and by type.
const HANDLERS: &[&[u8]] = &[b"send-as-is", b"httpd/send-as-is"];

fn handle(r: &mut Request) -> Verdict {
    if !r.has_handler(HANDLERS) {
        return DECLINED;
    }
    crate::content::allow_methods(r, &[Method::GET]);
    if !matches!(r.method, Method::GET | Method::HEAD) {
        return DECLINED;
    }
    if r.finfo.is_none() {
        let text = [b"File does not exist: ", &r.filename[..]].concat();
        r.log(Level::Info, "asis", 1233, text);
        return Verdict::Status(404);
    }
    let bytes = match r.files.read(&r.filename) {
        Ok(bytes) => bytes,
        Err(error) => {
            let text =
                [b"file permissions deny server access: ", &r.filename[..]].concat();
            r.log_os(Level::Error, "asis", 1234, Some(error), text);
            return Verdict::Status(403);
        }
    };
    let end = response::head_end(&bytes, 0).unwrap_or(bytes.len());
    let fields = match response::parse(&bytes[..end]) {
        Ok(fields) => fields,
        Err(response::Malformed { line, .. }) => {
            let text = format!("malformed header '{line}': ").into_bytes();
            r.log(Level::Error, "asis", 2428, [&text[..], &r.filename].concat());
            return Verdict::Status(500);
        }
    };
    for (name, value) in fields {
        if name.eq_ignore_ascii_case(b"Status") {
            let Some((number, reason)) = response::status(&value) else {
                let text = [b"invalid Status in ", &r.filename[..]].concat();
                r.log(Level::Error, "asis", 0, text);
                return Verdict::Status(500);
            };
            (r.status, r.reason) = (number, reason);
        } else if name.eq_ignore_ascii_case(b"Content-Type") {
            r.content_type = Some(value);
        } else if is_of_head(&name) {
            r.headers_out.set(name, value);
        } else {
            r.err_headers_out.add(name, value);
        }
    }
    if let Some(verdict) = response::invalid_fields(r) {
        return verdict;
    }
    let location = r.headers_out.get("Location").filter(|url| url.first() == Some(&b'/'));
    if let Some(uri) = location.cloned()
        && (r.status == 200 || status::is_redirect(r.status))
    {
        (r.status, r.reason) = (200, None);
        r.method = Method::GET;
        return Verdict::Redirect(Redirect { uri, content_type: None });
    }
    if !r.header_only {
        r.body = Body::Bytes(Bytes::copy_from_slice(&bytes[end..]));
    }
    OK
}

/// Does a field belong to this response alone, and not to an error's?
fn is_of_head(name: &[u8]) -> bool {
    let own = [&b"Location"[..], b"Content-Length", b"Content-Range", b"Last-Modified"];
    own.iter().any(|own| own.eq_ignore_ascii_case(name))
}
