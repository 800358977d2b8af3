//! Requests that are refused before anybody sees them: hyper, or a client's clock, said so.
//! The access log has them all the same, as httpd's has.

use std::sync::Arc;

use bytes::Bytes;
use directives::request::{Connection, Head, Request};
use hyper::{HeaderMap, Method};

use super::Live;
use super::connection::About;
use super::finish::{Finished, Held};
use super::socket::Shared;
use crate::disk::Disk;

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
    let mut request = Request::new(snapshot, Arc::new(Disk), connection, head, now);
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    request.uri = path.to_vec();
    request.status = refusal.status;
    request.refused_line = Some(line);
    let written = shared.written.get();
    let held = Held {
        request: Box::new(request),
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
