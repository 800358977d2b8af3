//! Which answers of authorizers are kept, under which key and for how long. What is kept is
//! an application's answer and not the decision: `Require` and its like are weighed for
//! every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;

use crate::compile::Scope;
use crate::effect::{Call, Effect};
use crate::request::Request;
use crate::schema::word::Unit;
use crate::schema::{Context, Directive, Problem, Result, Set, Word};

/// How many answers are kept where nothing is said.
pub const DEFAULT_SIZE: usize = 4096;

/// How long a head is that is kept, at most, bytes.
const MAX_HEAD: usize = 8 * 1024;

/// What decisions of a section depend on. The number is that of the directive: sections
/// that declare for themselves share nothing.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    id: u32,
    inputs: Arc<[Input]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Input {
    Cookie(Bytes),
    Header(HeaderName),
    Address,
    Uri,
    Path,
}

/// `GatewayCacheTTL`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ttl {
    positive: Duration,
    negative: Option<Duration>,
}

/// A question whose answer may be kept.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What it depends on.
    pub key: Bytes,
    /// The question.
    pub call: Call,
    /// The head of the answer, once it has come.
    pub head: Bytes,
}

static NEXT_ID: AtomicU32 = AtomicU32::new(0);

pub(super) static GATEWAY_CACHE_KEY: Directive = Directive {
    name: "GatewayCacheKey",
    syntax: "cookie:name|header:name|address|uri|path ...",
    context: Context::CONTAINERS,
    summary: "everything in a request that the answers of this section's authorizers depend on",
    docs: r"
What the answers of this section's FastCgiAccessChecker, FastCgiAuthenticator and
FastCgiAuthorizer depend on; with `GatewayCacheTTL` they are kept and not asked for again as long as
all of it is the same. **Name everything the application looks at to tell one user, or one
resource, from another:** it is not asked whether there is more. `uri` is path and query, `address` the
client's.

Always part of it are the application and its phase, the virtual host, scheme, host, method, the
user, Authorization and Proxy-Authorization, and what applications of earlier phases said. A request
that lacks one of the cookies or header fields named here, or has a cookie twice, is not answered
from what is kept, and its answer is not kept. Sections that have this directive themselves share
nothing with each other.

Kept is what lets a request in, and with a second time in `GatewayCacheTTL` what refuses one with
401 or 403; never redirects, errors, refusals in the application's own words
(`-pass-response`), and what sets a cookie. The application's Cache-Control is
obeyed: `no-store`, `no-cache` and `private` keep an answer out, `s-maxage` and `max-age` shorten its
time; so is Vary. A reload forgets everything.

## Example
    FastCgiExternalServer /virtual/auth -host 127.0.0.1:9009
    <Location /members>
        FastCgiAuthorizer /virtual/auth -compat
        GatewayCacheKey cookie:session uri
        GatewayCacheTTL 60 5
    </Location>
",
    set: Set::Words(|at, words| {
        let inputs = words.iter().map(input).collect::<Result<Vec<_>>>()?;
        if inputs.is_empty() {
            return Err("GatewayCacheKey: name what answers depend on".into());
        }
        at.process().gateway.is_used = true;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        at.dir.gateway().key = Some(Inputs { id, inputs: inputs.into() });
        Ok(())
    }),
    ..Directive::EXACT
};

fn input(word: &Word) -> Result<Input> {
    let text = word.text()?;
    let invalid = |message: String| Problem::from(message).at(word.span);
    match text.split_once(':') {
        Some(("cookie", name)) if !name.is_empty() => {
            Ok(Input::Cookie(Bytes::copy_from_slice(name.as_bytes())))
        }
        Some(("header", name)) => {
            HeaderName::from_bytes(name.as_bytes()).map(Input::Header).map_err(|_| {
                invalid(format!("GatewayCacheKey: \"{name}\" is no header's name"))
            })
        }
        None if word.is("address") => Ok(Input::Address),
        None if word.is("uri") => Ok(Input::Uri),
        None if word.is("path") => Ok(Input::Path),
        _ => Err(invalid(format!("GatewayCacheKey: unknown input \"{text}\""))
            .help("inputs are cookie:name, header:name, address, uri and path")),
    }
}

pub(super) static GATEWAY_CACHE_TTL: Directive = Directive {
    name: "GatewayCacheTTL",
    syntax: "time [time]",
    context: Context::CONTAINERS,
    summary: "how long answers that let a request in are kept, and those that refuse one",
    docs: r"
How long an authorizer's answer is kept at most (seconds, or with a unit: `500ms`, `1min`): the
first time is for answers that let a request in, the second for those that refuse one with 401 or
403. Without a second time refusals are not kept. It needs `GatewayCacheKey`.

## Example
    <Location /members>
        GatewayCacheKey cookie:session
        GatewayCacheTTL 60 5
    </Location>
",
    set: Set::OneOrTwo(|at, positive, negative| {
        let time = |word: &Word| {
            let time = word.duration(Unit::Seconds).filter(|time| !time.is_zero());
            let message = "GatewayCacheTTL: a time is a number of seconds above zero, or has a unit";
            time.ok_or_else(|| Problem::from(message).at(word.span))
        };
        let ttl =
            Ttl { positive: time(positive)?, negative: negative.map(time).transpose()? };
        at.dir.gateway().ttl = Some(ttl);
        Ok(())
    }),
    ..Directive::EXACT
};

pub(super) static GATEWAY_CACHE_SIZE: Directive = Directive {
    name: "GatewayCacheSize",
    syntax: "count",
    context: Context::SERVER,
    default: "4096",
    summary: "how many answers of authorizers are kept",
    docs: r"
How many answers of authorizers are kept, in all sections together; for one more the oldest goes.
An answer takes up to 8 kilobytes, most take less than one.

## Example
    GatewayCacheSize 100000
",
    set: Set::One(|at: &mut Scope, word| {
        let count = word.integer().and_then(|count| usize::try_from(count).ok());
        let count = count.filter(|count| (1..=10_000_000).contains(count));
        let message = "GatewayCacheSize must be between 1 and 10000000";
        at.process().gateway.cache_size =
            Some(count.ok_or_else(|| Problem::from(message).at(word.span))?);
        Ok(())
    }),
    ..Directive::EXACT
};

/// What the answer to a question depends on; `None` if it is not to be kept.
pub fn key(r: &Request, role: &str, call: &Call) -> Option<Bytes> {
    let gateway = &r.dir.gateway;
    let (Inputs { id, inputs }, _) = (gateway.key.as_ref()?, gateway.ttl.as_ref()?);
    let mut key = Vec::with_capacity(512);
    // Lengths stand before the pieces, so that no two lists of them are the same bytes.
    let mut piece = |bytes: &[u8]| {
        key.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        key.extend_from_slice(bytes);
    };
    let server =
        r.snapshot.servers.iter().position(|server| Arc::ptr_eq(server, &r.server));
    piece(&id.to_be_bytes());
    piece(&server.unwrap_or(usize::MAX).to_be_bytes());
    piece(role.as_bytes());
    piece(&call.app.path);
    piece(r.scheme().as_bytes());
    piece(&r.header(http::header::HOST).unwrap_or_default());
    piece(r.method.as_str().as_bytes());
    for field in ["authorization", "proxy-authorization"] {
        piece(&[u8::from(r.headers_in.contains_key(field))]);
        piece(&r.header(field).unwrap_or_default());
    }
    piece(&[u8::from(r.user.is_some())]);
    piece(r.user.as_deref().unwrap_or_default());
    piece(&r.findings.variables.len().to_be_bytes());
    for (name, value) in &r.findings.variables {
        piece(name);
        piece(value);
    }
    for input in &**inputs {
        match input {
            Input::Cookie(name) => piece(&cookie(r, name)?),
            Input::Header(name) => piece(&r.header(name)?),
            Input::Address => piece(r.useragent_ip.to_string().as_bytes()),
            Input::Uri => piece(&r.unparsed_uri),
            Input::Path => piece(&r.uri),
        }
    }
    Some(key.into())
}

/// A cookie's value; none if there are several: who knows which one the application takes.
fn cookie(r: &Request, name: &[u8]) -> Option<Vec<u8>> {
    let mut found = None;
    for field in r.headers_in.get_all("cookie") {
        for pair in field.as_bytes().split(|&b| b == b';').map(<[u8]>::trim_ascii) {
            let Some(value) =
                pair.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"="))
            else {
                continue;
            };
            if found.replace(value.to_vec()).is_some() {
                return None;
            }
        }
    }
    found
}

/// Keeps the answer to the pending question, if it may be: its fields, and whether they
/// let the request in.
pub fn keep(r: &mut Request, fields: &[(Bytes, Bytes)], allowed: bool) -> Option<Effect> {
    let Pending { key, head, .. } = *r.findings.pending.take()?;
    let ttl = r.dir.gateway.ttl?;
    let limit = if allowed { ttl.positive } else { ttl.negative? };
    let time = lifetime(r, fields, limit)?;
    (head.len() <= MAX_HEAD).then_some(Effect::Keep { key, head, time })
}

/// How long an answer may be kept, by what it says of itself.
fn lifetime(r: &Request, fields: &[(Bytes, Bytes)], limit: Duration) -> Option<Duration> {
    let mut shared = None;
    let mut own = None;
    for (name, value) in fields {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("Set-Cookie") || is("Location") {
            return None;
        }
        let items = || {
            value.split(|&b| b == b',').map(|item| item.trim_ascii().to_ascii_lowercase())
        };
        if is("Vary") && !items().all(|item| item.is_empty() || is_declared(r, &item)) {
            return None;
        }
        if is("Pragma") && items().any(|item| item == b"no-cache") {
            return None;
        }
        if !is("Cache-Control") {
            continue;
        }
        for item in items() {
            let (token, argument) = match item.iter().position(|&b| b == b'=') {
                Some(at) => (item[..at].trim_ascii(), Some(&item[at + 1..])),
                None => (&item[..], None),
            };
            // An age that is no number is none at all.
            let age = || {
                let text = argument.map(<[u8]>::trim_ascii);
                let text =
                    std::str::from_utf8(text.unwrap_or_default()).unwrap_or_default();
                Some(Duration::from_secs(text.trim_matches('"').parse().unwrap_or(0)))
            };
            match token {
                b"no-store" | b"no-cache" | b"private" => return None,
                b"s-maxage" => shared = age(),
                b"max-age" => own = age(),
                _ => {}
            }
        }
    }
    let time = shared.or(own).map_or(limit, |age| age.min(limit));
    (!time.is_zero()).then_some(time)
}

/// Is a request field part of the key?
fn is_declared(r: &Request, field: &[u8]) -> bool {
    let Some(Inputs { inputs, .. }) = &r.dir.gateway.key else { return false };
    matches!(field, b"authorization" | b"host")
        || inputs.iter().any(|input| match input {
            Input::Header(name) => name.as_str().as_bytes() == field,
            Input::Cookie(_) => field == b"cookie",
            _ => false,
        })
}
