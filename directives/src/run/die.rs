//! What an error status leads to: an `ErrorDocument`, or httpd's own page. `ap_die` and
//! `ap_send_error_response`.

use bytes::Bytes;

use crate::modules::core::ErrorKind as Kind;
use crate::phase::Redirect;
use crate::reply::{Body, Headers};
use crate::request::Request;
use crate::status;

/// How it goes on.
pub(super) enum Fate {
    /// The reply is in the request.
    Respond,
    /// An error document answers.
    Redirect(Redirect),
}

pub(super) fn die(r: &mut Request, kind: u16) -> Fate {
    // An error of the error document: the first error is reported, and the second beside.
    if r.status != 200 {
        let also = r.status;
        r.status = kind;
        while r.prev.as_ref().is_some_and(|prev| prev.status != 200) {
            let Some(prev) = r.prev.take() else { break };
            let err_headers = std::mem::take(&mut r.err_headers_out);
            let lines = std::mem::take(&mut r.lines);
            let script_log = std::mem::take(&mut r.script_log);
            let mut failed = std::mem::replace(r, *prev);
            r.err_headers_out = err_headers;
            r.gateway = failed.gateway.take();
            r.decision = failed.decision.take();
            r.lines.extend(lines);
            r.script_log.extend(script_log);
            r.failed = failed.failed.take().or_else(|| Some(Box::new(failed)));
        }
        let status = r.status;
        canned(r, status, Some(also));
        return Fate::Respond;
    }
    let kind = if (100..1000).contains(&kind) { kind } else { 500 };
    r.status = kind;
    let document = r.dir.core.error_documents.get(&kind).cloned().flatten();
    let document = document.and_then(|document| Some((document.kind, document.text(r)?)));
    match document {
        Some((Kind::Url, url)) => {
            r.status = 302;
            r.headers_out.set("Location", url);
            canned(r, 302, None);
            Fate::Respond
        }
        Some((Kind::Path, uri)) => {
            r.no_local_copy = true;
            r.env.set(
                "REQUEST_METHOD",
                Bytes::copy_from_slice(r.method.as_str().as_bytes()),
            );
            if let Some(notes) = r.notes.get(b"error-notes").cloned() {
                r.env.set("ERROR_NOTES", notes);
            }
            r.method = http::Method::GET;
            Fate::Redirect(Redirect { uri, content_type: None })
        }
        Some((Kind::Text, text)) => {
            prepare(r, kind);
            r.body = Body::Bytes(text);
            Fate::Respond
        }
        None => {
            canned(r, kind, None);
            Fate::Respond
        }
    }
}

/// httpd's own page.
pub(super) fn canned(r: &mut Request, status: u16, also: Option<u16>) {
    prepare(r, status);
    if status::is_bodyless(status) || r.header_only {
        r.body = Body::None;
        return;
    }
    let mut shown = status;
    if r.reason.is_none() && status::reason(status).is_none() {
        // The log keeps the number; the client gets one that there are words for.
        shown = 500;
        r.reason = Some(status::line(shown).into());
    }
    let page = status::page(r, shown, also);
    r.body = Body::Bytes(page.into());
}

/// What survives of the response so far: error headers, and where to go.
fn prepare(r: &mut Request, status: u16) {
    r.status = status;
    r.is_error_page = true;
    r.filters.clear();
    if r.reason
        .as_ref()
        .is_none_or(|line| !line.starts_with(status.to_string().as_bytes()))
    {
        r.reason = None;
    }
    let location = r.headers_out.get("Location").cloned();
    let mut headers = Headers::default();
    if status == 304 {
        std::mem::swap(&mut headers, &mut r.headers_out);
        headers.unset("Content-Length");
    } else if let Some(location) =
        location.filter(|_| status::is_redirect(status) || status == 201)
    {
        headers.set("Location", location);
    }
    r.headers_out = headers;
    if !status::is_bodyless(status) {
        r.content_encoding = None;
        r.content_languages.clear();
        let suppress = r.env.has(b"suppress-error-charset")
            && r.dir.core.add_default_charset.is_none();
        let kind = if suppress { "text/html" } else { "text/html; charset=iso-8859-1" };
        r.content_type = Some(Bytes::from_static(kind.as_bytes()));
    }
    if matches!(status, 405 | 501) {
        let allow = crate::content::allow(r);
        r.headers_out.set("Allow", allow);
    }
}
