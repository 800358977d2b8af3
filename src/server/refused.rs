//! Requests that are refused before anybody sees them: hyper, or a client's clock, said so.
//! The access log has them all the same, as httpd's has.

use std::sync::Arc;

use bytes::Bytes;
use directives::request::{Connection, Head, Request};
use hyper::{HeaderMap, Method};

use super::Live;
use super::about::About;
use super::finish::{Finished, Held};
use super::socket::Shared;
use crate::disk;

/// What a client was told in the place of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Bytes of the page.
    pub body: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Writes the access logs' lines.
pub fn log(refusal: Refusal, shared: &Shared, about: About, live: &Live) {
    let generation = live.load();
    let line = Bytes::copy_from_slice(shared.reader.borrow().line());
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let method = words.next().and_then(|method| Method::from_bytes(method).ok());
    let target = words.next().map_or_else(Bytes::new, Bytes::copy_from_slice);
    let version = if words.next() == Some(b"HTTP/1.1") { 11 } else { 10 };
    let head = Head {
        method: method.unwrap_or_default(),
        target: target.clone(),
        version,
        headers: HeaderMap::new(),
    };
    let connection: Arc<Connection> = about.connection(shared, shared.requests.get());
    let now = crate::log::now();
    let snapshot = generation.snapshot.clone();
    let mut request = Request::new(snapshot, disk::shared(), connection, head, now);
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    request.uri = path.to_vec();
    request.status = refusal.status;
    request.refused_line = Some(line);
    let written = shared.written.get();
    let held = Held {
        request,
        generation,
        head: 0,
        body: refusal.body,
        written_before: written.saturating_sub(refusal.total),
        received: 0,
        kept: false,
        cut: false,
        trailers: None,
    };
    // What it cost is nobody's business: nothing was served.
    let _ = Finished::new(Box::new(held)).log(written, false);
}

/// httpd's page in the place of hyper's empty answer, with its head.
pub fn page(theirs: &[u8], banner: &[u8]) -> (Refusal, Vec<u8>) {
    let status: u16 = std::str::from_utf8(theirs.get(9..12).unwrap_or_default())
        .ok()
        .and_then(|code| code.parse().ok())
        .unwrap_or(400);
    // hyper counts and measures where httpd says 400.
    let (status, sentence) = match status {
        408 => {
            (408, "<p>Server timeout waiting for the HTTP request from the client.</p>\n")
        }
        414 => (
            414,
            "<p>The requested URL's length exceeds the capacity\nlimit for this server.<br />\n</p>\n",
        ),
        _ => (
            400,
            "<p>Your browser sent a request that this server could not understand.<br />\n</p>\n",
        ),
    };
    let reason = directives::status::reason(status).unwrap_or("Bad Request");
    let page = format!(
        "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \
         \"http://www.w3.org/TR/html4/strict.dtd\">\n<html><head>\n<title>{status} {reason}</title>\n\
         </head><body>\n<h1>{reason}</h1>\n{sentence}</body></html>\n"
    );
    let date = directives::content::conditions::http_date(crate::log::now() / 1_000_000);
    let date = String::from_utf8_lossy(&date);
    let server = String::from_utf8_lossy(banner);
    let answer = format!(
        "HTTP/1.1 {status} {reason}\r\nDate: {date}\r\nServer: {server}\r\nContent-Length: {}\r\n\
         Connection: close\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n{page}",
        page.len()
    )
    .into_bytes();
    let (body, total) = (page.len() as u64, answer.len() as u64);
    (Refusal { status, body, total }, answer)
}
