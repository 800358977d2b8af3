//! A connection of HTTP/2: hyper's server with httpd's limits, and requests in the form
//! that everything else knows from HTTP/1.

use std::rc::Rc;
use std::time::Duration;

use directives::reply::Reply;
use directives::snapshot::Server;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::about::About;
use super::connection::{MAX_LINGER, answer, first_request, linger};
use super::socket::{Phase, Shared, Socket};
use super::streams::{Streams, Tasks};
use super::upgrade::{Beginning, Changed};
use super::{Live, Stop};

/// The most that the fields of a request may be, bytes; httpd's own limits come after that.
pub const MAX_FIELDS: u32 = 256 * 1024;
/// How long a client has to confirm that it is told to leave.
const GOODBYE: Duration = Duration::from_secs(5);

/// The streams of a new connection to an address whose default host is `server`.
pub fn streams(server: &Server) -> Streams {
    let (h2, core) = (&server.config.http2, &server.config.core);
    Streams::new(h2.max_errors(), h2.stream_timeout().unwrap_or(core.timeout()))
}

/// Serves a connection to its end, or until the server drains. Limits that nobody sets are
/// h2's: 20 streams that are reset before they are taken, 1024 errors that the client
/// causes; then the connection is closed. `beginning` is that of a connection that was one of
/// HTTP/1.1 before.
pub async fn serve(
    shared: Rc<Shared>,
    live: Rc<Live>,
    about: About,
    beginning: Option<Box<Beginning>>,
    mut stop: Stop,
) {
    let Some(streams) = shared.streams.get() else { return };
    let connection = {
        let generation = live.load();
        let server = about.default_server(&generation);
        let h2 = &server.config.http2;
        let service = service_fn({
            let shared = shared.clone();
            move |request| answer(request, shared.clone(), live.clone(), about)
        });
        let io = Changed { socket: Socket::new(shared.clone()), beginning };
        http2::Builder::new(Tasks(shared.clone()))
            .auto_date_header(false)
            .max_concurrent_streams(h2.max_streams())
            .initial_stream_window_size(h2.window())
            .initial_connection_window_size(h2.window().max(1 << 20))
            .max_send_buf_size(h2.stream_memory() as usize)
            .max_header_list_size(MAX_FIELDS)
            .serve_connection(TokioIo::new(io), service)
    };
    {
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            // How it ended is in the logs already.
            _ = connection.as_mut() => true,
            // Its streams go on; the client begins no further ones.
            () = stop.leaving() => false,
            () = shared.idle.notified() => false,
            () = streams.abused() => return,
        };
        if !ended {
            // hyper would close what has not said anything yet.
            tokio::select! {
                _ = connection.as_mut() => return linger(&shared, MAX_LINGER).await,
                () = first_request(&shared) => {}
            }
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = connection.as_mut() => {}
                () = stop.now() => return,
                () = streams.abused() => return,
                () = silence(&shared) => return,
            }
        }
    }
    shared.phase.set(Phase::Closing);
    tokio::select! {
        () = linger(&shared, MAX_LINGER) => {}
        () = stop.now() => {}
    }
}

/// Waits until nothing has been under way for a while: a client that has been told to
/// leave, and has nothing left to wait for, need not be waited for.
async fn silence(shared: &Shared) {
    loop {
        let before = (shared.read.get(), shared.written.get());
        tokio::time::sleep(GOODBYE).await;
        let is_quiet = before == (shared.read.get(), shared.written.get());
        if is_quiet && shared.phase.get() != Phase::Busy {
            return;
        }
    }
}

/// Gives a request the form that it would have had with HTTP/1: a path for a target, `Host`
/// for an authority, and `Transfer-Encoding` for a body of unknown length. See
/// `h2_request_create_rec`.
pub fn as_before(parts: &mut Parts, has_body: bool) {
    if let Some(authority) = parts.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        parts.headers.insert(header::HOST, host);
    }
    if parts.method != hyper::Method::CONNECT {
        let path = parts.uri.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        parts.uri = path.into();
    }
    if has_body && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        let chunked = HeaderValue::from_static("chunked");
        parts.headers.insert(header::TRANSFER_ENCODING, chunked);
    }
}

/// How long a head would have been with HTTP/1: HPACK's length is nobody's business.
pub fn head_length(reply: &Reply) -> u64 {
    let fields = reply.headers.iter().map(|(name, value)| name.len() + value.len() + 4);
    fields.sum::<usize>() as u64 + 2
}
