//! Who makes a request, as headers: for applications and servers behind us, and in the
//! answer to a caller. Clients cannot say it: their fields of these names are taken out of
//! every request before anything looks at it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::cgi;
use crate::compile::Scope;
use crate::log::Level;
use crate::phase::{DECLINED, Verdict};
use crate::request::Request;
use crate::schema::{Context, Directive, Problem, Result, Set, Word};

/// `GatewayHeader`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The header, as it is written.
    pub(super) header: Bytes,
    /// The variable.
    variable: Bytes,
}

/// What is about the request itself, and nobody's name.
const NOT_FOR_USERS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "proxy",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) static GATEWAY_HEADER: Directive = Directive {
    name: "GatewayHeader",
    syntax: "header variable",
    context: Context::CONFIG,
    summary: "a request header for what stands behind this server, and the variable that it shows",
    docs: r"
Tells what stands behind this server who makes a request: applications get the header as a
variable `HTTP_...`, other servers as a header, and the callers of a `GatewayService` in
the answer that lets a request in. The variable is one that an authorizer or `SetEnv` has set,
or `REMOTE_USER` or `AUTH_TYPE`; where it is not set, there is no such header.

Clients cannot send it: a header that any section names is taken out of all clients' requests
before the first phase, however they spell it (`X_Remote_User` is `X-Remote-User` for applications).

## Example
    FastCgiExternalServer /virtual/auth -host 127.0.0.1:9009
    <Location /app>
        FastCgiAuthorizer /virtual/auth -compat
        GatewayHeader X-Remote-User REMOTE_USER
        GatewayHeader X-Groups groups
    </Location>
",
    set: Set::Two(header),
    ..Directive::EXACT
};

fn header(at: &mut Scope, word: &Word, variable: &Word) -> Result {
    let name = word.lossy().to_ascii_lowercase();
    // Other names would not become variables of an application.
    let plain =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !plain {
        let message = "GatewayHeader: a header's name is letters, digits and hyphens";
        return Err(Problem::from(message).at(word.span));
    }
    if NOT_FOR_USERS.contains(&name.as_str()) {
        let message =
            format!("GatewayHeader: {} is not a header about users", word.lossy());
        return Err(Problem::from(message).at(word.span));
    }
    let names = &mut at.process().gateway.headers;
    if !names.contains(&name) {
        names.push(name);
    }
    let named = Named { header: word.bytes.clone(), variable: variable.bytes.clone() };
    let headers = &mut at.dir.gateway().headers;
    headers.retain(|other| !other.header.eq_ignore_ascii_case(&named.header));
    headers.push(named);
    Ok(())
}

pub(super) static GATEWAY_PASS_HEADER: Directive = Directive {
    name: "GatewayPassHeader",
    syntax: "header [header] ...",
    context: Context::CONFIG,
    summary: "header fields of a consent that go with the answer to a caller",
    docs: r"
Header fields of an application that lets a request in are variables, or nothing (`-compat`).
These go with the answer to the caller of a `GatewayService` as well: a cookie that an
authorizer renews, which the caller may hand on to the client.

## Example
    GatewayPassHeader Set-Cookie
",
    set: Set::Each(|at, word| {
        if HeaderName::from_bytes(&word.bytes).is_err() {
            let message = "GatewayPassHeader: this is no header's name";
            return Err(Problem::from(message).at(word.span));
        }
        at.dir.gateway().pass.get_or_insert_default().push(word.bytes.clone());
        Ok(())
    }),
    ..Directive::EXACT
};

/// Takes out of a request what its client must not say, before anything looks at it; after
/// an internal redirect that is what another section has told.
pub fn strip(r: &mut Request) -> Verdict {
    if r.snapshot.process.gateway.headers.is_empty() {
        return DECLINED;
    }
    let snapshot = r.snapshot.clone();
    unname(r, &snapshot.process.gateway.headers);
    for name in &snapshot.process.gateway.headers {
        let found = cgi::spellings(r, name.as_bytes());
        if !found.is_empty() {
            let headers = Arc::make_mut(&mut r.headers_in);
            for name in found {
                headers.remove(name);
            }
        }
    }
    DECLINED
}

/// A client that calls one of ours its own connection's (`Connection: X-Remote-User`) would
/// have a proxy leave it out: it does not say so any more.
fn unname(r: &mut Request, ours: &[String]) {
    let said = r.header(http::header::CONNECTION).map(Cow::into_owned);
    let Some(said) = said else { return };
    let is_ours =
        |token: &[u8]| ours.iter().any(|name| cgi::is_spelling(token, name.as_bytes()));
    let tokens: Vec<&[u8]> = said.split(|&b| b == b',').map(<[u8]>::trim_ascii).collect();
    if !tokens.iter().any(|token| is_ours(token)) {
        return;
    }
    let kept: Vec<&[u8]> = tokens.into_iter().filter(|token| !is_ours(token)).collect();
    let headers = Arc::make_mut(&mut r.headers_in);
    match HeaderValue::from_bytes(&kept.join(&b", "[..])) {
        Ok(value) if !value.is_empty() => {
            headers.insert(http::header::CONNECTION, value);
        }
        _ => {
            headers.remove(http::header::CONNECTION);
        }
    }
}

/// Tells whoever makes the response.
pub fn tell(r: &mut Request) -> Verdict {
    if r.main.is_some() || r.dir.gateway.headers.is_empty() {
        return DECLINED;
    }
    let dir = r.dir.clone();
    for Named { header, variable } in &dir.gateway.headers {
        let Some(value) = value(r, variable) else { continue };
        match (HeaderName::from_bytes(header), HeaderValue::from_maybe_shared(value)) {
            (Ok(name), Ok(value)) => {
                Arc::make_mut(&mut r.headers_in).insert(name, value);
            }
            _ => {
                let name = String::from_utf8_lossy(header).into_owned();
                let text = format!("gateway: the value of {name} cannot be a header's");
                r.log(Level::Error, "gateway", 0, text);
            }
        }
    }
    DECLINED
}

/// Keeps what an authorizer said of a user, for a caller and for keys of kept answers.
pub fn remember(r: &mut Request, name: &Bytes, value: &Bytes) {
    if r.gateway.is_none() && r.dir.gateway.key.is_none() {
        return;
    }
    let variables = &mut r.findings.variables;
    variables.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    variables.push((name.clone(), value.clone()));
}

/// Keeps a field of a consent that goes with the answer to a caller.
pub fn pass(r: &mut Request, name: &Bytes, value: &Bytes) {
    let Some(caller) = &mut r.gateway else { return };
    let passes = r.dir.gateway.pass.iter().flatten();
    if passes.into_iter().any(|passed| passed.eq_ignore_ascii_case(name)) {
        caller.passed.push((name.clone(), value.clone()));
    }
}

/// The fields that say who makes a request, and the headers that it has none for.
pub(super) fn identity(r: &Request) -> (Vec<(Bytes, Bytes)>, Vec<String>) {
    let mut told = Vec::new();
    let of_user = Bytes::from_static(b"Remote-User");
    let named = r.dir.gateway.headers.iter();
    let all = named.map(|named| (&named.header, &named.variable));
    for (header, variable) in all {
        if let Some(value) = value(r, variable) {
            told.push((header.clone(), value));
        }
    }
    let is_told = |name: &[u8], told: &[(Bytes, Bytes)]| {
        told.iter().any(|(header, _)| header.eq_ignore_ascii_case(name))
    };
    if let Some(user) = value(r, b"REMOTE_USER")
        && !is_told(&of_user, &told)
    {
        told.push((of_user, user));
    }
    let headers = r.snapshot.process.gateway.headers.iter().map(String::as_str);
    let all = headers.filter(|name| *name != "remote-user").chain(["remote-user"]);
    let silent =
        all.filter(|name| !is_told(name.as_bytes(), &told)).map(str::to_owned).collect();
    (told, silent)
}

/// A variable's value, under its name or as applications see that.
fn value(r: &Request, name: &[u8]) -> Option<Bytes> {
    match name {
        b"REMOTE_USER" if r.user.is_some() => return r.user.clone(),
        b"AUTH_TYPE" if r.auth_type.is_some() => return r.auth_type.clone(),
        _ => {}
    }
    let same = |other: &Bytes| cgi::is_spelling(other, name);
    let found = r.env.get(name).cloned();
    found.or_else(|| {
        r.env.iter().find(|(other, _)| same(other)).map(|(_, value)| value.clone())
    })
}
