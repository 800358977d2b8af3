//! One client's connection: hyper on one side, [`Run`] on the other.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use directives::effect::Role;
use directives::log::{Level, Line};
use directives::modules::core::Protocol;
use directives::modules::explain;
use directives::modules::gateway;
use directives::modules::reqtimeout;
use directives::modules::ssl::{self, Security};
use directives::reply::{Body, Reply};
use directives::request::{Head, Request};
use directives::run::Run;
use directives::snapshot::Server;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::header::{EXPECT, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::about::About;
use super::body::{COURTESY, Cut, Kind, MAX_DENIAL, ReplyBody};
use super::drive::{Answered, World, drive};
use super::explained;
use super::filter::Filtered;
use super::finish::{Guard, Held};
use super::live::Generation;
use super::proxy_header;
use super::refused;
use super::request_body::RequestBody;
use super::respond::{body, filtered, pass_raw, read_out, response, source_of};
use super::socket::{Phase, Shared, Socket};
use super::tunnel;
use super::upgrade::{self, Beginning};
use super::wire::{self, Failed, Opened};
use super::{Live, Stop, h2};
use crate::disk;

/// How long a closed connection waits for the client's next byte, and in all: httpd's
/// `SECONDS_TO_LINGER` and `MAX_SECS_TO_LINGER`.
const SECONDS_TO_LINGER: Duration = Duration::from_secs(2);
pub(super) const MAX_LINGER: Duration = Duration::from_secs(30);

/// More header fields than this are refused whatever `LimitRequestFields` says.
const MOST_FIELDS: usize = 4096;
/// hyper's own limit. One field more is refused by it, with httpd's page and status.
const FIELDS_ON_STACK: usize = 100;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A number that no other connection has, of this process or of an earlier one: the time,
/// and a count.
fn next_id() -> u64 {
    let count = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    (crate::log::now() as u64) << 12 | count & 0xfff
}

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
    let mut reported = None;
    let most_fields;
    let shared = {
        // Not kept for the connection's life: an old configuration is released when the
        // last request with it is over.
        let generation = live.load();
        most_fields = room_for_fields(generation.snapshot.most_fields);
        let server = generation.snapshot.default_server(local);
        let banner = generation.snapshot.process.core.banner().clone();
        let tally = live.seats.tally.clone();
        let timeout = server.config.core.timeout();
        if server.config.remoteip.wants_proxy_header(client.ip().to_canonical()) {
            reported = tokio::select! {
                said = proxied(&stream, timeout, client, &generation) => match said {
                    Some(said) => said,
                    None => return,
                },
                () = stop.now() => return,
            };
        }
        let opened = if may_begin_otherwise(&generation, &server) {
            let received = Cell::new(0);
            let limit = || {
                let stage = server.config.reqtimeout.handshake();
                stage.map_or(timeout, |stage| stage.allows(received.get()).min(timeout))
            };
            let opening = Box::pin(open(&stream, &generation, &server, &received));
            let opened = tokio::select! {
                opened = within(limit, opening) => opened,
                () = too_late(&mut stop) => return,
            };
            match opened {
                Some(Some(opened)) => opened,
                Some(None) => return,
                None => {
                    log_overdue(
                        &generation,
                        &server,
                        reported.unwrap_or(client),
                        "handshake",
                    );
                    return;
                }
            }
        } else {
            Opened::PLAIN
        };
        let is_h2 = opened.is_h2;
        let shared = Shared::new(stream, opened, client, tally, timeout, banner);
        if is_h2 {
            let _ = shared.streams.set(h2::streams(&server));
        }
        shared.head_stage.set(server.config.reqtimeout.header(&generation.snapshot));
        shared
    };
    let id = next_id();
    let _seat = live.seats.take(id, &shared);
    let about = About { client, local, reported, id };
    if shared.streams.get().is_some() {
        // Apart: a connection of HTTP/1, idle most of the time, has no room for it.
        return Box::pin(h2::serve(shared, live, about, None, stop)).await;
    }
    let service = service_fn({
        let (shared, live) = (shared.clone(), live.clone());
        move |request: hyper::Request<Incoming>| {
            shared.is_whole.set(request.body().is_end_stream());
            shared.phase.set(Phase::Busy);
            // Apart: hyper would keep room for it while the connection is idle.
            Box::pin(answer_client(request, shared.clone(), live.clone(), about))
        }
    });
    let mut http = http1::Builder::new();
    // Whether the client is still there is the socket's to say: `Shared::poll_gone`.
    http.auto_date_header(false).half_close(true);
    if let Some(most) = most_fields {
        http.max_headers(most);
    }
    let mut connection =
        http.serve_connection(TokioIo::new(Socket::new(shared.clone())), service);
    let mut ended = false;
    tokio::select! {
        // How it ended is in the logs already.
        _ = &mut connection => ended = true,
        () = stop.draining() => {}
    }
    let mut is_silent = false;
    if !ended {
        // hyper would close what has not said anything yet.
        tokio::select! {
            _ = &mut connection => is_silent = true,
            () = first_request(&shared) => {
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                tokio::select! {
                    _ = &mut connection => {}
                    () = stop.now() => return,
                }
            }
        }
    }
    let changes = shared.changes.take();
    if let Some(mut beginning) = changes {
        let parts = connection.into_parts();
        let behind = parts.io.into_inner().into_behind();
        if beginning.follows(&[&parts.read_buf[..], &behind].concat()) {
            let _ = shared.streams.set(h2::streams(&about.default_server(&live.load())));
            Box::pin(h2::serve(shared, live, about, Some(beginning), stop)).await;
        }
        return;
    }
    drop(connection);
    if is_silent {
        return linger(&shared, MAX_LINGER).await;
    }
    shared.phase.set(Phase::Closing);
    let goodbye = async {
        let is_overdue = shared.is_overdue.get();
        if is_overdue {
            overdue(&shared, about, &live).await;
        }
        if let Some(refusal) = shared.refused.take() {
            refused::log(refusal, &shared, about, &live);
        }
        // Who was too slow once is not waited for again: httpd's `short-lingering-close`.
        let most = if is_overdue { SECONDS_TO_LINGER } else { MAX_LINGER };
        linger(&shared, most).await;
    };
    tokio::select! {
        () = goodbye => {}
        () = stop.now() => {}
    }
}

/// How many header fields hyper is to make room for, with each request, where it is more than
/// what it has on the stack: `directives::run` counts them.
fn room_for_fields(most: u64) -> Option<usize> {
    match usize::try_from(most).unwrap_or(MOST_FIELDS) {
        0 => Some(MOST_FIELDS),
        1..=FIELDS_ON_STACK => None,
        most => Some((most + 1).min(MOST_FIELDS)),
    }
}

/// Are there other ways to begin than with HTTP/1's first request?
fn may_begin_otherwise(generation: &Generation, server: &Arc<Server>) -> bool {
    let begins_with_h2 = || {
        server.config.core.protocols().contains(&Protocol::H2c)
            && server.config.http2.is_direct()
    };
    // Most configurations have no TLS at all.
    !generation.tls.is_empty() && ssl::is_on(&generation.snapshot, server)
        || begins_with_h2()
}

/// Waits until the server has been draining for so long that who has not begun by then
/// is not waited for.
async fn too_late(stop: &mut Stop) {
    stop.draining().await;
    tokio::time::sleep(SECONDS_TO_LINGER).await;
}

/// Waits for something within a limit that may grow while it is waited for.
async fn within<T>(
    limit: impl Fn() -> Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let begun = tokio::time::Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout_at(begun + limit(), work.as_mut()).await {
            Ok(done) => return Some(done),
            Err(_) if begun.elapsed() < limit() => {}
            Err(_) => return None,
        }
    }
}

/// Finds out what a client begins with, and makes TLS's handshake.
async fn open(
    stream: &TcpStream,
    generation: &Generation,
    server: &Arc<Server>,
    received: &Cell<u64>,
) -> Option<Opened> {
    if !ssl::is_on(&generation.snapshot, server) {
        let is_h2 = wire::begins_with_h2(stream).await.ok()?;
        return Some(Opened { is_h2, ..Opened::PLAIN });
    }
    match wire::handshake(stream, generation, server, received).await {
        Ok(opened) => {
            if matches!(opened.security, Security::NotSpoken) {
                let text = "SSL handshake failed: HTTP spoken on HTTPS port; trying to \
                            send HTML error page";
                generation.write_wanted(Level::Info, "ssl", 1996, text);
            }
            Some(opened)
        }
        Err(Failed::Gone) => None,
        Err(Failed::Handshake(server, why)) => {
            let text = format!("TLS handshake failed (server {server}): {why}");
            generation.write_wanted(Level::Info, "ssl", 2008, &text);
            // What the client was told is to reach it.
            let _ = socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write);
            drain(stream, MAX_LINGER).await;
            None
        }
    }
}

/// The client that a PROXY header names; `None` if there is none where one has to be.
async fn proxied(
    stream: &TcpStream,
    limit: Duration,
    client: SocketAddr,
    generation: &Generation,
) -> Option<Option<SocketAddr>> {
    let why = match tokio::time::timeout(limit, proxy_header::read(stream)).await {
        Ok(Ok(said)) => return Some(said),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it did not come in time".to_owned(),
    };
    let text = format!("RemoteIPProxyProtocol: no PROXY header from {client}: {why}");
    generation.write_plain(Level::Error, "remoteip", 0, &text);
    None
}

/// A request did not come in time (`RequestReadTimeout`).
async fn overdue(shared: &Shared, about: About, live: &Live) {
    let generation = live.load();
    let server = about.default_server(&generation);
    let client = about.reported.unwrap_or(about.client);
    log_overdue(&generation, &server, client, "header");
    shared.refuse_overdue().await;
}

/// Writes that a client took too long for a stage of a request.
fn log_overdue(
    generation: &Generation,
    server: &Arc<Server>,
    client: SocketAddr,
    stage: &str,
) {
    let text = format!("Request {stage} read timeout").into();
    let (level, module) = (Level::Info, "reqtimeout");
    let line = Line { level, module, ah: 1382, error: None, text, of_server: false };
    generation.write_client(server, client, &line);
}

/// Waits for a connection's first request; not long: it may have none.
pub(super) async fn first_request(shared: &Shared) {
    for _ in 0..50 {
        if shared.requests.get() > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// `ap_lingering_close`: what the client still sends is read and thrown away for a while.
/// A socket closed before that would take the end of the response with it.
pub(super) async fn linger(shared: &Shared, most: Duration) {
    // A response that was cut has not ended the stream yet.
    if socket2::SockRef::from(&shared.stream).shutdown(std::net::Shutdown::Write).is_err()
    {
        return;
    }
    drain(&shared.stream, most).await;
}

/// Reads and throws away, for a while.
async fn drain(stream: &TcpStream, most: Duration) {
    let deadline = tokio::time::Instant::now() + most;
    let mut buffer = [0; 512];
    loop {
        let until = deadline.min(tokio::time::Instant::now() + SECONDS_TO_LINGER);
        match tokio::time::timeout_at(until, stream.readable()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
        match stream.try_read(&mut buffer) {
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

/// Answers a request, unless its client goes away while somebody works for it.
async fn answer_client(
    request: hyper::Request<Incoming>,
    shared: Rc<Shared>,
    live: Rc<Live>,
    about: About,
) -> Result<hyper::Response<ReplyBody>, Cut> {
    let mut answering = std::pin::pin!(answer(request, shared.clone(), live, about));
    std::future::poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Pending => shared.poll_gone(cx).map(|()| Err(Cut)),
        done @ Poll::Ready(_) => done,
    })
    .await
}

/// Answers a request.
pub(super) async fn answer(
    request: hyper::Request<Incoming>,
    shared: Rc<Shared>,
    live: Rc<Live>,
    about: About,
) -> Result<hyper::Response<ReplyBody>, Cut> {
    let generation = live.load();
    let (mut parts, incoming) = request.into_parts();
    shared.phase.set(Phase::Busy);
    let keepalives = shared.requests.get();
    shared.requests.set(keepalives + 1);
    let version = match parts.version {
        hyper::Version::HTTP_09 => 9,
        hyper::Version::HTTP_10 => 10,
        hyper::Version::HTTP_2 => 20,
        _ => 11,
    };
    if version == 20 {
        h2::as_before(&mut parts, !incoming.is_end_stream());
    }
    let written_before = shared.written.get();
    let mut target = target(&parts.uri);
    let mut stream = None;
    if shared.streams.get().is_none() {
        let mut reader = shared.reader.borrow_mut();
        let taken = reader.target(&target);
        if generation.snapshot.speaks_h2c && version == 11 {
            let may = taken.is_none() && !live.is_leaving();
            stream = upgrade::first_stream(&mut parts, may);
        }
        if let Some(taken) = taken {
            target = taken;
        }
        // A request that is there already, behind this one, is not to have its line.
        reader.reset();
    }
    let head = Head { method: parts.method, target, version, headers: parts.headers };
    let connection = about.connection(&shared, keepalives);
    let snapshot = generation.snapshot.clone();
    let now = crate::log::now();
    let core = &snapshot.process.core;
    let keep = core.extended_status.then_some(core.see_request_tail);
    shared.record.borrow_mut().begin(&head, now, keep);
    let mut r = Request::new(snapshot, disk::shared(), connection, head, now);
    let timeout = r.server.config.core.timeout();
    let stage = reqtimeout::body(&r);
    let has_body = !incoming.is_end_stream();
    let expects = has_body && r.headers_in.contains_key(EXPECT);
    let may_have_trailers =
        has_body && (version == 20 || r.headers_in.contains_key(TRANSFER_ENCODING));
    let mut world = World {
        generation: generation.clone(),
        registry: live.registry.clone(),
        board: live.board.clone(),
        live: live.clone(),
        shared: shared.clone(),
        body: RequestBody::new(incoming, timeout, stage, may_have_trailers),
        answered: None,
        upstream: None,
        file: None,
        counted: None,
    };
    let trailers = world.body.trailers();
    let form = explain::claim(&mut r);
    let mut run = Run::new(r);
    let reply = match form {
        None => drive(&mut run, &mut world).await,
        Some(form) => Box::pin(explained::drive(&mut run, &mut world, form)).await,
    };
    // Only a sub-request has none.
    let mut reply = reply.ok_or(Cut)?;
    if gateway::is_refusal(run.request()) {
        reply = Box::pin(told(reply, &mut world, &mut run)).await;
    }
    let request = run.into_request();
    if let Some(decision) = &request.decision {
        live.registry.decisions.count(decision);
    }
    shared.record.borrow_mut().host(&request);
    let core = &request.server.config.core;
    shared.timeout.set(core.timeout());
    shared.keep_alive_timeout.set(core.keep_alive_timeout());

    let tunnels = reply.body == Body::Tunnel;
    let streams =
        tunnels || matches!(reply.body, Body::Stream | Body::Raw) && !reply.header_only;
    if !streams {
        world.drop_answer();
    }
    let got_body = |answered: &Answered| answered.role == Role::Responder;
    let is_held = world.upstream.as_ref().is_some_and(|upstream| upstream.sent.is_held());
    if version == 20 {
        if !streams && !world.body.is_read() {
            // It is in nobody's way.
            let _ = tokio::time::timeout(COURTESY, world.body.discard()).await;
        }
    } else if is_held && !tunnels {
        // The upstream did not want the body, and the client was not told to send it.
        reply.close = true;
        reply.headers.set("Connection", "close");
    } else if world.upstream.is_none() && !world.answered.as_ref().is_some_and(got_body) {
        // A body that nobody wanted stands before the next request. A client that waits
        // to be told to send it is not told, and one that asks about somebody else's
        // request is not kept waiting for it.
        let at_once = expects || reply.close || request.gateway.is_some();
        if !world.body.is_read() && (at_once || !world.body.discard().await) {
            reply.close = true;
            reply.headers.set("Connection", "close");
        }
    }
    let changes = matches!(reply.body, Body::Http2(_));
    if live.is_leaving() && !changes {
        reply.close = true;
        reply.headers.set("Connection", "close");
    }
    let held = Box::new(Held {
        request,
        generation,
        head: if version == 20 { h2::head_length(&reply) } else { 0 },
        body: 0,
        written_before,
        received: world.body.read,
        kept: !reply.close,
        cut: false,
        trailers,
    });
    let mut guard = Guard::new(held, shared.clone());
    if version != 20 {
        // A request may come before the answer to the last one has gone.
        std::future::poll_fn(|cx| shared.poll_sent(cx)).await;
    }
    if tunnels {
        if let Some(upstream) = world.upstream.take() {
            tunnel::run(*upstream, &shared, &reply, &mut guard).await;
        }
        shared.raw.set(true);
        reply.headers.set("Connection", "close");
        reply.status = 200;
        return Ok(response(&mut reply, version, Kind::None, guard, &shared));
    }
    if let (Body::Http2(settings), Some(stream)) = (&reply.body, stream) {
        *shared.changes.borrow_mut() = Some(Box::new(Beginning::new(settings, &stream)));
        return Ok(response(&mut reply, version, Kind::None, guard, &shared));
    }
    if reply.body == Body::Raw {
        if !reply.header_only {
            pass_raw(&mut world, &shared, &mut guard).await;
        }
        shared.raw.set(true);
        reply.headers.set("Connection", "close");
        return Ok(response(&mut reply, version, Kind::None, guard, &shared));
    }
    let mut kind = if reply.filters.is_empty() {
        body(&mut reply, &mut world)
    } else {
        filtered(&mut reply, &mut world, &mut guard).await
    };
    if let Some(rate) = reply.rate {
        kind = match source_of(kind) {
            Some(source) => Kind::Filtered(Box::new(Filtered::rated(source, rate))),
            None => Kind::None,
        };
    }
    Ok(response(&mut reply, version, kind, guard, &shared))
}

/// A refusal as a message, with as much of its body as is passed on.
async fn told(reply: Reply, world: &mut World, run: &mut Run) -> Reply {
    let mut body = BytesMut::new();
    read_out(reply.clone(), world, run, |piece| {
        let left = MAX_DENIAL - body.len();
        body.extend_from_slice(&piece[..piece.len().min(left)]);
    })
    .await;
    world.generation.clone().write_lines(run.request_mut());
    gateway::refusal(reply, &body)
}

/// The target as it was sent.
fn target(uri: &hyper::Uri) -> Bytes {
    if uri.scheme().is_some() || uri.path_and_query().is_none() {
        return Bytes::from(uri.to_string());
    }
    let text = uri.path_and_query().map_or("", |target| target.as_str());
    Bytes::copy_from_slice(text.as_bytes())
}
