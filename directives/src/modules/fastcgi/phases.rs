//! The three phases in which an application decides: section 8 of the specification.
//!
//! **Invariant: whatever is not the application's clear consent denies**, unless the
//! configuration leaves the decision to others (`...Authoritative Off`); the log then
//! says so.

use std::sync::Arc;

use bytes::Bytes;

use super::app::{App, Kind};
use super::authorizers::{Authorizer, Dir};
use super::response::Field;
use super::{handler, identity, response};
use crate::cgi;
use crate::effect::{Answer, Call, Effect, Failure, Role};
use crate::log::Level;
use crate::modules::DirConfig;
use crate::modules::access_compat::Satisfy;
use crate::modules::authn_core::{self, Numbers};
use crate::modules::gateway::{self, cache};
use crate::phase::{DECLINED, OK, Verdict};
use crate::request::Request;

/// Whose directives name the application.
pub trait Family {
    /// What the names of directives begin with.
    const PREFIX: &'static str;
    /// The token of the module in the log.
    const MODULE: &'static str;
    /// A Location with a status of 200 or none is a refusal.
    const REDIRECT_DENIES: bool;

    /// The settings of a request.
    fn settings(dir: &DirConfig) -> &Dir;
    /// The application for this request, with the time of its program where that matters.
    fn resolve(
        r: &mut Request,
        authorizer: &Authorizer,
    ) -> Result<(Arc<App>, Option<i64>), u16>;
    /// Says that the application of this name failed; the status that this leads to.
    fn failed(r: &mut Request, name: &str, failure: &Failure, received: u64) -> u16;
    /// Variables beside those of the phase.
    fn extra(r: &Request) -> Vec<Field>;
    /// The status of a denial by the access checker.
    const ACCESS_DENIED: u16;
    /// The application has denied: with this status, or by a redirect.
    fn denied(r: &mut Request, status: u16, redirects: bool);
    /// The line about a request that a phase refuses with a status.
    fn refusal(r: &Request, phase: &Words, status: u16) -> String;
    /// The line about the refusal of an application whose word is not final.
    fn passed_on(
        r: &Request,
        directive: &str,
        phase: &Words,
        status: u16,
    ) -> (Level, String);
    /// Says that a line of an application's head is none.
    fn malformed(r: &mut Request, name: &str, line: &str);
}

/// How a phase is called in the log.
pub struct Words {
    /// By mod_fastcgi.
    pub failed: &'static str,
    /// By mod_fcgid.
    pub fcgid: &'static str,
    /// It is about a user.
    pub is_of_user: bool,
}

/// mod_fastcgi's.
struct FastCgi;

impl Family for FastCgi {
    const PREFIX: &'static str = "FastCgi";
    const MODULE: &'static str = "fastcgi";
    const REDIRECT_DENIES: bool = false;

    fn settings(dir: &DirConfig) -> &Dir {
        &dir.fastcgi
    }

    fn resolve(
        r: &mut Request,
        authorizer: &Authorizer,
    ) -> Result<(Arc<App>, Option<i64>), u16> {
        resolve(r, authorizer)
    }

    fn failed(r: &mut Request, name: &str, failure: &Failure, received: u64) -> u16 {
        let is_dynamic = r.snapshot.process.fastcgi.matches(name.as_bytes()).is_none();
        response::log_failure(r, name, failure, received, is_dynamic);
        response::failure_status(failure)
    }

    fn extra(_: &Request) -> Vec<Field> {
        Vec::new()
    }

    const ACCESS_DENIED: u16 = 403;

    fn denied(_: &mut Request, _: u16, _: bool) {}

    fn refusal(r: &Request, phase: &Words, _: u16) -> String {
        let uri = String::from_utf8_lossy(&r.uri);
        let failed = phase.failed;
        if !phase.is_of_user {
            return format!("FastCGI: {failed}: {uri}");
        }
        let user = String::from_utf8_lossy(r.user.as_deref().unwrap_or_default());
        format!("FastCGI: {failed} for user \"{user}\": {uri}")
    }

    fn passed_on(r: &Request, directive: &str, _: &Words, _: u16) -> (Level, String) {
        let (uri, prefix) = (String::from_utf8_lossy(&r.uri), Self::PREFIX);
        let text =
            format!("{prefix}{directive} did not agree, and is not authoritative: {uri}");
        (Level::Warn, text)
    }

    fn malformed(r: &mut Request, name: &str, line: &str) {
        r.log(Level::Error, Self::MODULE, 0, response::malformed(name, line));
    }
}

/// What the phases differ in.
trait Phase {
    /// `FCGI_APACHE_ROLE`.
    const ROLE: &'static str;
    /// The directive, without the family's prefix.
    const DIRECTIVE: &'static str;
    /// The status of a denial; that of an access checker is its family's.
    const DENIED: Option<u16>;
    /// How it is called.
    const WORDS: Words;
    /// It is about a user: a denial asks the client for credentials.
    const IS_OF_USER: bool;

    fn authorizer(dir: &Dir) -> Option<&Authorizer>;
    fn is_authoritative(dir: &Dir) -> bool;
}

struct Access;
struct Authentication;
struct Authorization;

impl Phase for Access {
    const ROLE: &'static str = "ACCESS_CHECKER";
    const DIRECTIVE: &'static str = "AccessChecker";
    const WORDS: Words =
        Words { failed: "access denied", fcgid: "Access check", is_of_user: false };
    const DENIED: Option<u16> = None;
    const IS_OF_USER: bool = false;

    fn authorizer(dir: &Dir) -> Option<&Authorizer> {
        dir.access_checker.as_ref()
    }

    fn is_authoritative(dir: &Dir) -> bool {
        dir.access_checker_authoritative.unwrap_or(true)
    }
}

impl Phase for Authentication {
    const ROLE: &'static str = "AUTHENTICATOR";
    const DIRECTIVE: &'static str = "Authenticator";
    const WORDS: Words = Words {
        failed: "authentication failed",
        fcgid: "Authentication",
        is_of_user: true,
    };
    const DENIED: Option<u16> = Some(401);
    const IS_OF_USER: bool = true;

    fn authorizer(dir: &Dir) -> Option<&Authorizer> {
        dir.authenticator.as_ref()
    }

    fn is_authoritative(dir: &Dir) -> bool {
        dir.authenticator_authoritative.unwrap_or(true)
    }
}

impl Phase for Authorization {
    const ROLE: &'static str = "AUTHORIZER";
    const DIRECTIVE: &'static str = "Authorizer";
    const WORDS: Words = Words {
        failed: "authorization failed",
        fcgid: "Authorization",
        is_of_user: true,
    };
    const DENIED: Option<u16> = Some(401);
    const IS_OF_USER: bool = true;

    fn authorizer(dir: &Dir) -> Option<&Authorizer> {
        dir.authorizer.as_ref()
    }

    fn is_authoritative(dir: &Dir) -> bool {
        dir.authorizer_authoritative.unwrap_or(true)
    }
}

/// The access checker.
pub fn access(r: &mut Request) -> Verdict {
    access_of::<FastCgi>(r)
}

/// The access checker of a family.
pub fn access_of<F: Family>(r: &mut Request) -> Verdict {
    ask::<Access, F>(r, Vec::new())
}

/// The authenticator: asked about credentials, and about nothing without them.
pub fn authenticate(r: &mut Request) -> Verdict {
    authenticate_of::<FastCgi>(r)
}

/// The authenticator of a family.
pub fn authenticate_of<F: Family>(r: &mut Request) -> Verdict {
    const NUMBERS: Numbers = Numbers { name: 572, scheme: 573, module: "core" };
    if F::settings(&r.dir).authenticator.is_none() {
        return DECLINED;
    }
    match authn_core::credentials(r, NUMBERS) {
        Ok(Some(given)) => {
            ask::<Authentication, F>(r, vec![("REMOTE_PASSWD".into(), given.password)])
        }
        Ok(None) => DECLINED,
        Err(status) => Verdict::Status(status),
    }
}

/// The authorizer. Its consent is final: `Require` is not looked at.
pub fn authorize(r: &mut Request) -> Verdict {
    authorize_of::<FastCgi>(r)
}

/// The authorizer of a family.
pub fn authorize_of<F: Family>(r: &mut Request) -> Verdict {
    ask::<Authorization, F>(r, Vec::new())
}

/// Variables that an authorizer does not get (4.3).
const WITHOUT: &[&str] = &["PATH_TRANSLATED"];
/// The same with `-compat`.
const WITHOUT_COMPAT: &[&str] =
    &["PATH_TRANSLATED", "CONTENT_LENGTH", "SCRIPT_NAME", "PATH_INFO"];

fn ask<P: Phase, F: Family>(r: &mut Request, mut extra: Vec<Field>) -> Verdict {
    let dir = r.dir.clone();
    let Some(authorizer) = P::authorizer(F::settings(&dir)) else { return DECLINED };
    let (app, newest) = match F::resolve(r, authorizer) {
        Ok(found) => found,
        Err(status) => return refuse::<P, F>(r, status),
    };
    extra.extend(F::extra(r));
    extra.push(("FCGI_APACHE_ROLE".into(), P::ROLE.into()));
    let without = if authorizer.compat { WITHOUT_COMPAT } else { WITHOUT };
    // An unparsed answer would be none.
    let role = Role::Authorizer;
    let call = Call {
        app,
        role,
        extra,
        without,
        variables: None,
        hold: None,
        nph: false,
        newest,
    };
    r.findings.application = Some(call.app.path.clone());
    r.findings.cached = None;
    r.findings.pending = None;
    let Some(key) = cache::key(r, P::ROLE, &call) else {
        return Verdict::Ask(Effect::FastCgi(call), answered::<P, F>);
    };
    let pending = cache::Pending { key: key.clone(), call, head: Bytes::new() };
    r.findings.pending = Some(Box::new(pending));
    Verdict::Ask(Effect::Recall(key), recalled::<P, F>)
}

/// What the application said to the same question before; it is asked if that is nothing.
fn recalled<P: Phase, F: Family>(r: &mut Request, answer: Answer) -> Verdict {
    if let Answer::Recalled(Some(head)) = answer {
        r.findings.cached = Some(true);
        r.findings.pending = None;
        return judge::<P, F>(r, &head);
    }
    r.findings.cached = Some(false);
    match &r.findings.pending {
        Some(pending) => {
            Verdict::Ask(Effect::FastCgi(pending.call.clone()), answered::<P, F>)
        }
        None => refuse::<P, F>(r, 500),
    }
}

/// The application for this request: with a wrapper it depends on the user.
fn resolve(
    r: &mut Request,
    authorizer: &Authorizer,
) -> Result<(Arc<App>, Option<i64>), u16> {
    if authorizer.app.kind != Kind::Dynamic {
        let path = &authorizer.app.path;
        let ids = identity(r).map(|identity| (identity.uid, identity.gid));
        let found = r.snapshot.process.fastcgi.find(path, ids).cloned();
        return Ok((found.unwrap_or_else(|| authorizer.app.clone()), None));
    }
    handler::program(r, &authorizer.app.path)
}

fn name<P: Phase, F: Family>(r: &Request) -> String {
    let app = P::authorizer(F::settings(&r.dir)).map(|authorizer| &authorizer.app.path);
    String::from_utf8_lossy(app.map_or(&b""[..], |path| path)).into_owned()
}

fn answered<P: Phase, F: Family>(r: &mut Request, answer: Answer) -> Verdict {
    let dir = r.dir.clone();
    if P::authorizer(F::settings(&dir)).is_none() {
        return Verdict::Status(500);
    }
    let head = match answer {
        Answer::Head(head) => head,
        Answer::Failed { failure, received } => {
            let name = name::<P, F>(r);
            let status = F::failed(r, &name, &failure, received);
            if is_final::<P, F>(r) {
                response::add_retry_after(r, &failure);
            }
            return refuse::<P, F>(r, status);
        }
        _ => return refuse::<P, F>(r, 500),
    };
    if let Some(pending) = &mut r.findings.pending {
        pending.head = head.clone();
    }
    judge::<P, F>(r, &head)
}

/// What the head of an answer means.
fn judge<P: Phase, F: Family>(r: &mut Request, head: &[u8]) -> Verdict {
    let dir = r.dir.clone();
    let Some(authorizer) = P::authorizer(F::settings(&dir)) else {
        return Verdict::Status(500);
    };
    let name = name::<P, F>;
    let heard = response::authorizers(r, F::MODULE, name, head, F::malformed);
    let Some((mut status, fields)) = heard else { return refuse::<P, F>(r, 500) };
    let redirects = || fields.iter().any(is_location);
    let is_consent = matches!(status, None | Some((200, _)));
    if status.is_none() && authorizer.pass_response && redirects()
        || is_consent && F::REDIRECT_DENIES && redirects()
    {
        // Also where it is not authoritative, and not passed on: a redirect is no consent.
        F::denied(r, 200, true);
        status = Some((302, None));
    } else if let Some((said, _)) = &status
        && !is_consent
    {
        F::denied(r, *said, false);
    }
    let passes = authorizer.pass_response && is_final::<P, F>(r);
    match status {
        None | Some((200, _)) if r.findings.cached == Some(true) => {
            remember_variables(r, fields, authorizer.compat);
            OK
        }
        None | Some((200, _)) => {
            // Consent counts once all of it has come.
            r.held = fields;
            Verdict::Ask(Effect::Finish, finished::<P, F>)
        }
        Some(said) if passes => {
            log::<P, F>(r, said.0);
            response::pass_on(r, said, fields, P::IS_OF_USER)
        }
        Some((401 | 403, _)) => match cache::keep(r, &fields, false) {
            Some(keep) => {
                r.held = fields;
                Verdict::Ask(keep, kept::<P, F>)
            }
            None => deny::<P, F>(r, fields),
        },
        Some(_) => deny::<P, F>(r, fields),
    }
}

/// A refusal has been kept.
fn kept<P: Phase, F: Family>(r: &mut Request, _: Answer) -> Verdict {
    let fields = std::mem::take(&mut r.held);
    deny::<P, F>(r, fields)
}

fn is_location((name, _): &Field) -> bool {
    name.eq_ignore_ascii_case(b"Location")
}

fn finished<P: Phase, F: Family>(r: &mut Request, answer: Answer) -> Verdict {
    let fields = std::mem::take(&mut r.held);
    let dir = r.dir.clone();
    match answer {
        Answer::Finished(Ok(())) => {
            let compat = P::authorizer(F::settings(&dir)).is_some_and(|a| a.compat);
            let keep = cache::keep(r, &fields, true);
            remember_variables(r, fields, compat);
            keep.map_or(OK, |keep| Verdict::Ask(keep, |_, _| OK))
        }
        Answer::Finished(Err(failure)) => {
            let name = name::<P, F>(r);
            let (level, module, error, text) =
                response::failure_line(&name, &failure, false);
            r.log_os(level, module, 0, error, text);
            refuse::<P, F>(r, 500)
        }
        _ => refuse::<P, F>(r, 500),
    }
}

/// Fields of a consent become variables (8.5).
pub fn remember_variables(r: &mut Request, fields: Vec<Field>, compat: bool) {
    const PREFIX: &[u8] = b"Variable-";
    for (name, value) in fields {
        let marked = name
            .get(..PREFIX.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(PREFIX));
        if !marked {
            gateway::identity::pass(r, &name, &value);
        }
        if !marked && compat {
            continue;
        }
        let name = if marked { name.slice(PREFIX.len()..) } else { name };
        if cgi::is_fact(&name) {
            let name = name.escape_ascii();
            let text = format!(
                "FastCGI: an authorizer sets {name}, which the server says itself: left out"
            );
            r.log(Level::Warn, "fastcgi", 0, text);
            continue;
        }
        strip(r, &name, marked);
        if marked {
            gateway::identity::remember(r, &name, &value);
        }
        r.env.set(name, value);
    }
}

/// What an application says about a user, the client must not be able to say: its field
/// of that name, or behind `HTTP_`, goes. A field that is not `marked` as a variable and
/// not named as one of the client's, like `Date`, says nothing about a user.
fn strip(r: &mut Request, variable: &[u8], marked: bool) {
    // Names as applications see them.
    let of_client =
        variable.split_at_checked(5).filter(|(head, _)| cgi::is_spelling(head, b"HTTP_"));
    if !marked && of_client.is_none() {
        return;
    }
    // The request's own framing and host are not a user's.
    let framing = |name: &http::HeaderName| {
        matches!(
            name.as_str(),
            "host" | "content-length" | "content-type" | "transfer-encoding"
        )
    };
    let mut found = cgi::spellings(r, of_client.map_or(variable, |(_, name)| name));
    found.retain(|name| !framing(name));
    if found.is_empty() {
        return;
    }
    let headers = Arc::make_mut(&mut r.headers_in);
    for name in found {
        headers.remove(name);
    }
}

/// Does a no end the request? With `Satisfy Any` that of the access checker does not: a
/// user may still be let in, and then gets nothing of it.
fn is_final<P: Phase, F: Family>(r: &Request) -> bool {
    let may_be_satisfied =
        !P::IS_OF_USER && r.dir.access_compat.satisfy(&r.method) == Some(Satisfy::Any);
    P::is_authoritative(F::settings(&r.dir)) && !may_be_satisfied
}

/// A clear no: its fields go with the server's own page (8.4; repeated ones stay, and
/// they go only with a denial, Q-46).
fn deny<P: Phase, F: Family>(r: &mut Request, fields: Vec<Field>) -> Verdict {
    if is_final::<P, F>(r)
        && let Some(verdict) = response::add_fields(r, fields)
    {
        log::<P, F>(r, 500);
        return verdict;
    }
    refuse::<P, F>(r, P::DENIED.unwrap_or(F::ACCESS_DENIED))
}

/// No consent: the end, or the next module's turn.
fn refuse<P: Phase, F: Family>(r: &mut Request, status: u16) -> Verdict {
    let dir = r.dir.clone();
    if !P::is_authoritative(F::settings(&dir)) {
        // Fails open where the configuration says so; then it is said.
        let (level, text) = F::passed_on(r, P::DIRECTIVE, &P::WORDS, status);
        r.log(level, F::MODULE, 0, text);
        return DECLINED;
    }
    log::<P, F>(r, status);
    if P::IS_OF_USER && (authn_core::is_basic(r) || authn_core::is_digest(r)) {
        authn_core::challenge(r);
    }
    Verdict::Status(status)
}

fn log<P: Phase, F: Family>(r: &mut Request, status: u16) {
    let line = F::refusal(r, &P::WORDS, status);
    r.log(Level::Error, F::MODULE, 0, line);
}
