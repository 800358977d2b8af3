//! From a [`Reply`] to what hyper sends: fields, reason, body.

use directives::reply::{Body, Reply};
use directives::run::Run;
use directives::status::is_bodyless;
use hyper::Method;

use super::body::{AppOutput, Kind, ReplyBody};
use super::drive::World;
use super::file::FileParts;
use super::filter::{Filtered, Source, Tools};
use super::finish::Guard;
use super::head;
use super::socket::Shared;
use crate::fcgi::Event;

/// Output of `-nph`: to the socket as it comes.
pub async fn pass_raw(world: &mut World, shared: &Shared, guard: &mut Guard) {
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

/// The body of a reply, as whoever sends it takes it.
pub fn body(reply: &mut Reply, world: &mut World) -> Kind {
    if reply.header_only {
        return Kind::None;
    }
    match std::mem::take(&mut reply.body) {
        Body::None | Body::Raw | Body::Tunnel | Body::Http2(_) => Kind::None,
        Body::Bytes(bytes) => Kind::Bytes(bytes),
        Body::File { parts, .. } => match world.file.take() {
            Some(file) => Kind::File(FileParts::new(file, parts)),
            None => Kind::None,
        },
        Body::Stream => match (world.upstream.take(), world.answered.take()) {
            (Some(upstream), _) => Kind::Upstream(upstream),
            (None, Some(answered)) => Kind::App(Box::new(AppOutput::new(answered))),
            (None, None) => Kind::None,
        },
    }
}

/// A body that filters look at; `None` if there is none.
pub fn source(reply: &mut Reply, world: &mut World) -> Option<Source> {
    source_of(body(reply, world))
}

/// The same of a body that is there.
pub fn source_of(kind: Kind) -> Option<Source> {
    match kind {
        Kind::Bytes(bytes) => Some(Source::bytes(bytes)),
        Kind::File(file) => Some(Source::file(file)),
        Kind::App(app) => Some(Source::app(app)),
        Kind::Upstream(upstream) => Some(Source::upstream(upstream)),
        Kind::Filtered(filtered) => Some(Source::filtered(filtered)),
        Kind::None => None,
    }
}

/// The body behind its filters. If it is short enough, its length is known before the head
/// is sent; also for a HEAD request, which gets no more than the head.
pub async fn filtered(reply: &mut Reply, world: &mut World, guard: &mut Guard) -> Kind {
    let header_only = std::mem::replace(&mut reply.header_only, false);
    let filters = std::mem::take(&mut reply.filters);
    let Some(source) = source(reply, world) else { return Kind::None };
    let mut filtered = Filtered::new(source, filters, tools(world));
    let whole = filtered.prime().await;
    guard.heard(filtered.pipe());
    if let Some(whole) = &whole {
        reply.headers.set("Content-Length", whole.len().to_string());
    }
    match whole {
        _ if header_only => Kind::None,
        Some(whole) => Kind::Bytes(whole),
        None => Kind::Filtered(Box::new(filtered)),
    }
}

/// What filters that ask the world need.
fn tools(world: &World) -> Tools {
    Tools {
        generation: world.generation.clone(),
        registry: world.registry.clone(),
        board: world.board.clone(),
        shared: world.shared.clone(),
        live: world.live.clone(),
    }
}

/// Reads an answer's body to its end, through its filters, and hands its pieces over.
pub async fn read_out(
    mut reply: Reply,
    world: &mut World,
    run: &mut Run,
    mut take: impl FnMut(&[u8]),
) {
    if reply.body == Body::Raw {
        let Some(mut answered) = world.answered.take() else { return };
        loop {
            let event = std::future::poll_fn(|cx| answered.source.poll_event(cx)).await;
            answered.source.write_lines(&world.generation, run.request());
            match event {
                Ok(Event::Stdout(bytes)) => take(&bytes),
                Ok(Event::End) => return,
                Err(failure) => {
                    answered.source.failed(&failure);
                    return;
                }
            }
        }
    }
    let filters = std::mem::take(&mut reply.filters);
    let Some(source) = source(&mut reply, world) else {
        // Nothing, or a protocol that is not changed to.
        world.shared.tunnel.set(false);
        return;
    };
    let mut filtered = Filtered::new(source, filters, tools(world));
    while let Some(Ok(bytes)) = std::future::poll_fn(|cx| filtered.poll_next(cx)).await {
        take(&bytes);
    }
    let lines = std::mem::take(&mut *filtered.pipe().lines.borrow_mut());
    run.request_mut().lines.extend(lines);
}

/// The reply in hyper's words, and its head in ours. Its fields go back to the request, for
/// the logs.
pub fn response(
    reply: &mut Reply,
    version: u8,
    kind: Kind,
    mut guard: Guard,
    shared: &Shared,
) -> hyper::Response<ReplyBody> {
    // hyper would say it without zeros or a sign before it.
    let mut is_plain = false;
    let announced = reply.headers.get("Content-Length").map(|value| {
        is_plain = matches!(value.first(), Some(b'1'..=b'9'));
        std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok())
    });
    if announced == Some(None) {
        // A length that is none would leave the client to guess.
        reply.headers.unset("Content-Length");
    }
    let announced = announced.flatten();
    let headers = if version == 20 || shared.raw.get() {
        head::fields(&reply.headers, version == 20)
    } else {
        let implied = announced.is_some_and(|length| {
            version == 11 && is_plain && is_implied(length, reply, &kind, &mut guard)
        });
        let (ours, theirs) = head::begin(reply, implied);
        shared.our_head.replace(Some(ours));
        theirs
    };
    let announced =
        announced.filter(|_| matches!(kind, Kind::App(_) | Kind::Filtered(_)));
    if let Some(held) = guard.held() {
        // The log formats can ask for them.
        held.request.headers_out = std::mem::take(&mut reply.headers);
    }
    let mut response =
        hyper::Response::new(ReplyBody::new(kind, guard, announced).and(reply.trailers));
    *response.headers_mut() = headers;
    if version == 10 {
        // hyper would promise an HTTP/1.0 client to keep the connection.
        *response.version_mut() = hyper::Version::HTTP_10;
    }
    let status = hyper::StatusCode::from_u16(reply.status);
    *response.status_mut() = status.unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// Does hyper say this length by itself? It knows it of the body.
fn is_implied(length: u64, reply: &Reply, kind: &Kind, guard: &mut Guard) -> bool {
    let known = match kind {
        Kind::Bytes(bytes) => bytes.len() as u64,
        Kind::File(file) => file.left(),
        _ => return false,
    };
    known == length
        && !is_bodyless(reply.status)
        && guard.held().is_some_and(|held| held.request.method != Method::CONNECT)
}
