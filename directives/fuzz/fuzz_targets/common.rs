//! What the targets have in common: a world in memory, and requests that run through all
//! phases there.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use directives::effect::Failure;
use directives::modules::auth_basic::Checked;
use directives::modules::auth_digest::nonce::Said;
use directives::modules::ssl::Security;
use directives::reply::Reply;
use directives::request::{Connection, Head};
use directives::{Answer, Effect, Next, Request, Run, Snapshot, compile};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

#[path = "../../tests/common/world.rs"]
pub mod world;

pub use world::World;

/// Microseconds since 1970.
const NOW: i64 = 1_772_366_400_000_000;
/// More effects than these, and a request is going round in circles.
const MAX_EFFECTS: usize = 2000;

/// A configuration that has to compile.
pub fn compiled(world: &World) -> Arc<Snapshot> {
    let compiled = compile(&World::entry(&[]), world);
    let errors: Vec<_> = compiled.diagnostics.iter().filter(|found| found.is_error()).collect();
    compiled.snapshot.unwrap_or_else(|| panic!("the configuration is wrong: {errors:?}"))
}

/// A request from its head: method and target, then a field in each line. `None` for what
/// hyper would not let in.
pub fn request(snapshot: &Arc<Snapshot>, world: &Arc<World>, head: &[u8]) -> Option<Box<Request>> {
    let mut lines = head.split(|&b| b == b'\n');
    let (method, target) = split(lines.next()?, b' ')?;
    let method = Method::from_bytes(method).ok()?;
    let plain = |b: &u8| *b > b' ' && *b != 0x7f;
    if target.is_empty() || !target.iter().all(plain) {
        return None;
    }
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        let (name, value) = split(line, b':')?;
        let name = HeaderName::from_bytes(name).ok()?;
        headers.append(name, HeaderValue::from_bytes(value.trim_ascii()).ok()?);
    }
    let address = |last, port| SocketAddr::from(([192, 0, 2, last], port));
    let connection = Connection {
        client: address(1, 40_000),
        local: address(10, 80),
        reported: None,
        secure: false,
        security: Security::Plain,
        keepalives: 1,
        id: 1,
    };
    let target = Bytes::copy_from_slice(target);
    let head = Head { method, target, version: 11, headers };
    Some(Request::new(snapshot.clone(), world.clone(), Arc::new(connection), head, NOW))
}

/// What stands before and behind the first `at`.
pub fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&b| b == at)?;
    Some((&text[..end], &text[end + 1..]))
}

/// Runs a request to its reply; `None` for a sub-request that was looked up. Applications
/// say `said`.
pub fn serve(run: &mut Run, said: &[u8]) -> Option<Reply> {
    let mut answer = None;
    for _ in 0..MAX_EFFECTS {
        let effect = match run.step(answer.take()) {
            Next::Reply(reply) => return Some(*reply),
            Next::Looked => return None,
            Next::Effect(effect) => effect,
        };
        answer = Some(match effect {
            Effect::Resolve { .. } => Answer::Name(Some("client.example.org".into())),
            Effect::Addresses { .. } => Answer::Addresses(Vec::new()),
            Effect::Open { path } => Answer::Opened(run.request().files.stat(&path)),
            Effect::Password { given, .. } if given.user == given.password => {
                Answer::Password(Checked::Granted)
            }
            Effect::Password { .. } => Answer::Password(Checked::Denied),
            Effect::RealmHash(claim) => Answer::RealmHash(claim.proof.weigh(Some(said))),
            Effect::Nonce(question) => Answer::Nonce(Said::assumed(&question)),
            Effect::Finish => Answer::Finished(Ok(())),
            Effect::Status => Answer::Status(Arc::default()),
            Effect::Wait(_) => Answer::Waited,
            Effect::Recall(_) => Answer::Recalled(None),
            Effect::Keep { .. } => Answer::Kept,
            Effect::Forget => Answer::Forgotten(0),
            Effect::Ready => Answer::Ready(true),
            Effect::FastCgi(call) => {
                call.each_variable(run.request(), None, |name, _| assert!(!name.is_empty()));
                Answer::Head(Bytes::copy_from_slice(said))
            }
            Effect::Cgi(_) => Answer::Head(Bytes::copy_from_slice(said)),
            // A program that says what it heard, and knows no empty key.
            Effect::Map { key, .. } => Answer::Mapped((!key.is_empty()).then_some(key)),
            Effect::Body { .. } => Answer::Body(Ok(Bytes::copy_from_slice(said))),
            Effect::Upstream(_) => {
                Answer::Failed { failure: Failure::Incomplete, received: 0 }
            }
        });
    }
    panic!("the request does not end");
}
