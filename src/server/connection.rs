//! One client's connection: hyper on one side, [`Run`] on the other.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use directives::effect::Role;
use directives::reply::{Body, Reply};
use directives::request::{Connection, Head, Request};
use directives::run::Run;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::{AppOutput, Cut, Kind, ReplyBody};
use super::drive::{Answered, World, drive};
use super::file::FileParts;
use super::finish::{Guard, Held};
use super::request_body::RequestBody;
use super::socket::{Phase, Shared, Socket};
use super::{Live, Stop};
use crate::disk::Disk;
use crate::fcgi::Event;

/// How long a closed connection waits for the client's next byte, and in all: httpd's
/// `SECONDS_TO_LINGER` and `MAX_SECS_TO_LINGER`.
const SECONDS_TO_LINGER: Duration = Duration::from_secs(2);
const MAX_LINGER: Duration = Duration::from_secs(30);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Serves a connection to its end, or until the server drains.
pub async fn serve(
    stream: TcpStream,
    client: SocketAddr,
    live: Rc<Live>,
    mut stop: Stop,
) {
    let Ok(local) = stream.local_addr() else { return };
    // Without it small responses would wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let shared = {
        // Not kept for the connection's life: an old configuration is released when the
        // last request with it is over.
        let generation = live.load();
        let server = generation.snapshot.default_server(local);
        let banner = generation.snapshot.process.core.banner().clone();
        let tally = live.seats.tally.clone();
        Shared::new(stream, client, tally, server.config.core.timeout(), banner)
    };
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let _seat = live.seats.take(id, &shared);
    let service = service_fn({
        let shared = shared.clone();
        move |request| answer(request, shared.clone(), live.clone(), client, local, id)
    });
    let connection = http1::Builder::new()
        .title_case_headers(true)
        .auto_date_header(false)
        .half_close(false)
        .max_headers(4096)
        .serve_connection(TokioIo::new(Socket::new(shared.clone())), service);
    {
        let mut connection = std::pin::pin!(connection);
        let mut ended = false;
        tokio::select! {
            // How it ended is in the logs already.
            _ = connection.as_mut() => ended = true,
            () = stop.draining() => {}
        }
        if !ended {
            // hyper would close what has not said anything yet.
            tokio::select! {
                _ = connection.as_mut() => return linger(&shared).await,
                () = first_request(&shared) => {}
            }
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = connection => {}
                () = stop.now() => return,
            }
        }
    }
    shared.phase.set(Phase::Closing);
    tokio::select! {
        () = linger(&shared) => {}
        () = stop.now() => {}
    }
}

/// Waits for a connection's first request; not long: it may have none.
async fn first_request(shared: &Shared) {
    for _ in 0..50 {
        if shared.requests.get() > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// `ap_lingering_close`: what the client still sends is read and thrown away for a while.
/// A socket closed before that would take the end of the response with it.
async fn linger(shared: &Shared) {
    // A response that was cut has not ended the stream yet.
    if socket2::SockRef::from(&shared.stream).shutdown(std::net::Shutdown::Write).is_err()
    {
        return;
    }
    let deadline = tokio::time::Instant::now() + MAX_LINGER;
    let mut buffer = [0; 512];
    loop {
        let until = deadline.min(tokio::time::Instant::now() + SECONDS_TO_LINGER);
        match tokio::time::timeout_at(until, shared.stream.readable()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
        match shared.stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        if tokio::time::Instant::now() >= deadline {
            return;
        }
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    shared: Rc<Shared>,
    live: Rc<Live>,
    client: SocketAddr,
    local: SocketAddr,
    id: u64,
) -> Result<hyper::Response<ReplyBody>, Cut> {
    let generation = live.load();
    let (parts, incoming) = request.into_parts();
    shared.phase.set(Phase::Busy);
    let keepalives = shared.requests.get();
    shared.requests.set(keepalives + 1);
    let version = match parts.version {
        hyper::Version::HTTP_09 => 9,
        hyper::Version::HTTP_10 => 10,
        hyper::Version::HTTP_2 => 20,
        _ => 11,
    };
    shared.mend_version.set(version == 10);
    let written_before = shared.written.get();
    let head = Head {
        method: parts.method,
        target: target(&parts.uri),
        version,
        headers: parts.headers,
    };
    let connection =
        Arc::new(Connection { client, local, secure: false, keepalives, id });
    let snapshot = generation.snapshot.clone();
    let now = crate::log::now();
    let core = &snapshot.process.core;
    let keep = core.extended_status.then_some(core.see_request_tail);
    shared.record.borrow_mut().begin(&head, now, keep);
    let r = Request::new(snapshot, Arc::new(Disk), connection, head, now);
    let timeout = r.server.config.core.timeout();
    let expects = r.header("expect").is_some();
    let mut world = World {
        generation: generation.clone(),
        registry: live.registry.clone(),
        board: live.board.clone(),
        live: live.clone(),
        shared: shared.clone(),
        body: RequestBody::new(incoming, timeout),
        answered: None,
        file: None,
    };
    let mut run = Run::new(r);
    let mut reply = drive(&mut run, &mut world).await;
    let request = run.into_request();
    if let Some(decision) = &request.decision {
        live.registry.decisions.count(decision);
    }
    shared.record.borrow_mut().host(&request);
    let core = &request.server.config.core;
    shared.timeout.set(core.timeout());
    shared.keep_alive_timeout.set(core.keep_alive_timeout());

    let streams = matches!(reply.body, Body::Stream | Body::Raw) && !reply.header_only;
    if !streams {
        world.drop_answer();
    }
    let has_body = |answered: &Answered| answered.role == Role::Responder;
    if !world.answered.as_ref().is_some_and(has_body) {
        // A body that nobody wanted stands before the next request. A client that waits
        // to be told to send it is not told, and one that asks about somebody else's
        // request is not kept waiting for it.
        let at_once = expects || reply.close || request.gateway.is_some();
        if !world.body.is_read() && (at_once || !world.body.discard().await) {
            reply.close = true;
            reply.headers.set("Connection", "close");
        }
    }
    if live.is_leaving() {
        reply.close = true;
        reply.headers.set("Connection", "close");
    }
    let held = Box::new(Held {
        request,
        generation,
        body: 0,
        written_before,
        received: world.body.read,
        kept: !reply.close,
        cut: false,
    });
    let mut guard = Guard::new(held, shared.clone());
    if reply.body == Body::Raw {
        if !reply.header_only {
            pass_raw(&mut world, &shared, &mut guard).await;
        }
        shared.raw.set(true);
        reply.headers.set("Connection", "close");
        return Ok(response(&mut reply, version, Kind::None, guard));
    }
    let kind = body(&mut reply, &mut world);
    Ok(response(&mut reply, version, kind, guard))
}

/// The target as it was sent.
fn target(uri: &hyper::Uri) -> Bytes {
    if uri.scheme().is_some() || uri.path_and_query().is_none() {
        return Bytes::from(uri.to_string());
    }
    let text = uri.path_and_query().map_or("", |target| target.as_str());
    Bytes::copy_from_slice(text.as_bytes())
}

/// Output of `-nph`: to the socket as it comes.
async fn pass_raw(world: &mut World, shared: &Shared, guard: &mut Guard) {
    let Some(mut answered) = world.answered.take() else { return };
    loop {
        let event = std::future::poll_fn(|cx| answered.source.poll_event(cx)).await;
        if let Some(held) = guard.held() {
            answered.source.write_lines(&held.generation, &held.request);
        }
        match event {
            Ok(Event::Stdout(bytes)) => {
                guard.count(bytes.len() as u64);
                if shared.write_raw(&bytes).await.is_err() {
                    return;
                }
            }
            Ok(Event::End) => return,
            Err(failure) => {
                answered.source.failed(&failure);
                return;
            }
        }
    }
}

fn body(reply: &mut Reply, world: &mut World) -> Kind {
    if reply.header_only {
        return Kind::None;
    }
    match std::mem::take(&mut reply.body) {
        Body::None | Body::Raw => Kind::None,
        Body::Bytes(bytes) => Kind::Bytes(bytes),
        Body::File { parts, .. } => match world.file.take() {
            Some(file) => Kind::File(FileParts::new(file, parts)),
            None => Kind::None,
        },
        Body::Stream => match world.answered.take() {
            Some(answered) => Kind::App(Box::new(AppOutput::new(answered))),
            None => Kind::None,
        },
    }
}

fn response(
    reply: &mut Reply,
    version: u8,
    kind: Kind,
    mut guard: Guard,
) -> hyper::Response<ReplyBody> {
    let announced = reply.headers.get("Content-Length").map(|value| {
        std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok())
    });
    if announced == Some(None) {
        // A length that is none would leave the client to guess.
        reply.headers.unset("Content-Length");
    }
    let announced = announced.flatten().filter(|_| matches!(kind, Kind::App(_)));
    let mut headers = HeaderMap::with_capacity(reply.headers.iter().len());
    for (name, value) in reply.headers.iter() {
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_maybe_shared(value.clone());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    if let Some(held) = guard.held() {
        // The log formats can ask for them.
        held.request.headers_out = std::mem::take(&mut reply.headers);
    }
    let mut response = hyper::Response::new(ReplyBody::new(kind, guard, announced));
    *response.headers_mut() = headers;
    if version == 10 {
        // hyper would promise an HTTP/1.0 client to keep the connection.
        *response.version_mut() = hyper::Version::HTTP_10;
    }
    let status = hyper::StatusCode::from_u16(reply.status);
    let status = status.unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    *response.status_mut() = status;
    let reason = match &reply.reason {
        // `404 Gone Fishing`: the code stands before the reason.
        Some(line) => line.get(4..).map(<[u8]>::to_vec),
        None => match directives::status::reason(reply.status) {
            // What hyper says by itself.
            Some(reason) if status.canonical_reason() == Some(reason) => None,
            Some(reason) => Some(reason.as_bytes().to_vec()),
            None => Some(format!("Status {}", reply.status).into_bytes()),
        },
    };
    if let Some(reason) = reason.and_then(|reason| ReasonPhrase::try_from(reason).ok()) {
        response.extensions_mut().insert(reason);
    }
    response
}
