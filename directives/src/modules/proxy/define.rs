//! Upstreams and balancers while the configuration is read: they are defined by the first
//! directive that names them, and other directives change their settings.

use std::sync::Arc;

use bytes::Bytes;

use super::balancer::Balancer;
use super::params::Outcome;
use super::worker::{self, Worker};
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::schema::{Problem, Result, Word};

/// What settings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The upstream at this place of the server's list.
    Worker(usize),
    /// An upstream that takes no settings: it was defined before, or cannot have a name.
    Fixed,
    /// The balancer at this place.
    Balancer(usize),
    /// A balancer's member.
    Member(usize, usize),
}

/// `key=value`, as a name and a word.
pub fn split(word: &Word) -> Option<(String, Word)> {
    let equals = word.bytes.iter().position(|&b| b == b'=')?;
    let key = String::from_utf8_lossy(&word.bytes[..equals]).into_owned();
    Some((key, Word { bytes: word.bytes.slice(equals + 1..), ..word.clone() }))
}

impl Balancer {
    /// Is it `balancer://…`?
    pub fn is_url(url: &[u8]) -> bool {
        url.get(..11).is_some_and(|start| start.eq_ignore_ascii_case(b"balancer://"))
    }

    /// The name of a balancer's URL: `balancer://name`.
    pub fn name_of(url: &[u8]) -> String {
        let end = url.get(11..).and_then(|rest| rest.iter().position(|&b| b == b'/'));
        let name = &url[..end.map_or(url.len(), |n| 11 + n)];
        String::from_utf8_lossy(name).to_ascii_lowercase()
    }
}

/// The balancer of a URL, defined if it is not yet.
pub fn balancer(at: &mut Scope, url: &[u8]) -> usize {
    let name = Balancer::name_of(url);
    let balancers = &mut at.server.proxy().balancers;
    match balancers.iter().position(|balancer| balancer.name == name) {
        Some(known) => known,
        None => {
            balancers.push(Arc::new(Balancer::new(name)));
            balancers.len() - 1
        }
    }
}

/// The upstream of a URL, defined if it is not yet: one that stands for it already is
/// shared, and keeps its settings.
pub fn worker(
    at: &mut Scope,
    url: &Word,
    is_match: bool,
    has_params: bool,
) -> Result<Target> {
    let worker = Worker::define(at, &url.bytes, is_match)
        .map_err(|why| Problem::from(format!("{} {why}", at.cmd.name)).at(url.span))?;
    let workers = &mut at.server.proxy().workers;
    if let Some(known) = worker::shared(workers, &url.bytes, is_match).cloned() {
        let other_socket = known.socket != worker.socket;
        if has_params || other_socket {
            let what = if other_socket { "the socket" } else { "its parameters" };
            let message = format!(
                "{} is {} that was defined before: {what} of this one counts for nothing",
                worker.shown, known.shown
            );
            let help =
                "a host of its own behind unix:…| or fcgi:// makes an upstream its own";
            at.note(Problem::new(&codes::WORKER_SHARED, message).at(url.span).help(help));
        }
        return Ok(Target::Fixed);
    }
    if is_match
        && worker.name.len() < url.bytes.len()
        && worker.parts.path.is_empty()
        && has_group_in_host(&url.bytes)
    {
        return Ok(Target::Fixed);
    }
    workers.push(Arc::new(worker));
    Ok(Target::Worker(workers.len() - 1))
}

/// Does `$1` stand where the host is?
fn has_group_in_host(url: &[u8]) -> bool {
    let start = url.windows(3).position(|three| three == b"://").map_or(0, |i| i + 3);
    let end =
        url[start..].iter().position(|&b| b == b'/').map_or(url.len(), |n| start + n);
    url[start..end].contains(&b'$')
}

/// Sets parameters.
pub fn set(
    at: &mut Scope,
    target: &Target,
    params: &[(String, Word)],
    who: &str,
) -> Result {
    for (key, value) in params {
        let outcome: Outcome = match *target {
            Target::Fixed => Ok(None),
            Target::Worker(i) => {
                Arc::make_mut(&mut at.server.proxy().workers[i]).params.set(key, value)
            }
            Target::Balancer(i) => {
                Arc::make_mut(&mut at.server.proxy().balancers[i]).params.set(key, value)
            }
            Target::Member(i, n) => {
                let balancer = Arc::make_mut(&mut at.server.proxy().balancers[i]);
                Arc::make_mut(&mut balancer.members[n]).params.set(key, value)
            }
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(why)) => {
                let message = format!("{key} has no effect here: {why}");
                at.note(Problem::new(&codes::IGNORED, message).at(value.span));
            }
            Err(why) => return Err(Problem::from(format!("{who}{why}")).at(value.span)),
        }
    }
    // A member that is to begin as one that failed has failed already.
    if let Target::Member(i, n) = *target {
        let member = &at.server.proxy().balancers[i].members[n];
        if member.params.status.error {
            member.fail(1);
        }
    }
    Ok(())
}

/// A balancer's member, defined if it is not yet.
pub fn member(at: &mut Scope, balancer: usize, url: &Word) -> Result<Target> {
    let worker = Worker::define(at, &url.bytes, false)
        .map_err(|why| Problem::from(format!("BalancerMember {why}")).at(url.span))?;
    let balancer_of = |at: &mut Scope| at.server.proxy().balancers[balancer].clone();
    if balancer_of(at)
        .members
        .iter()
        .any(|member| member.name == worker.name && member.socket == worker.socket)
    {
        let message =
            format!("{} is a member already: this line counts for nothing", worker.shown);
        at.note(Problem::new(&codes::WORKER_SHARED, message).at(url.span));
        return Ok(Target::Fixed);
    }
    let balancer_ref = Arc::make_mut(&mut at.server.proxy().balancers[balancer]);
    balancer_ref.members.push(Arc::new(worker));
    Ok(Target::Member(balancer, balancer_ref.members.len() - 1))
}

/// The name of a `<Proxy>` section without `proxy:` before it.
pub fn bare(name: &Bytes) -> Bytes {
    match name.get(..6) {
        Some(start) if start.eq_ignore_ascii_case(b"proxy:") => name.slice(6..),
        _ => name.clone(),
    }
}
