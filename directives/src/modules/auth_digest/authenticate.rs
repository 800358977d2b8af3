//! `authenticate_digest_user`: is it who it says? And the question to the client, which
//! needs a nonce of the world's, and so is put where a phase has ended with a refusal.

use std::sync::Arc;

use bytes::Bytes;

use super::header::{self, Fields, Given};
use super::nonce::{Challenge, Client, Opaque, Question, Said, Use, Used, Want};
use super::proof::{Claim, Proof};
use super::uri::{self, Mismatch};
use crate::effect::{Answer, Effect};
use crate::log::Level;
use crate::modules::auth_basic::{Checked, Provider};
use crate::modules::authn_core;
use crate::phase::{DECLINED, DONE, OK, Verdict};
use crate::request::Request;

/// The module's token in the log.
const MODULE: &str = "auth_digest";

/// What is known of a request that is asked for a digest; its sub-requests and those that it
/// is redirected to know the same (`digest_header_rec`).
#[derive(Clone)]
pub(crate) struct State {
    /// What the client sent.
    pub(super) given: Given,
    /// The time in its nonce, once that was accepted.
    pub(super) accepted: Option<i64>,
    /// `rspauth`.
    pub(super) answer: Bytes,
    /// The client is to be asked, in reply to a stale nonce or not.
    due: Option<bool>,
    /// The status to go on with once it is known how.
    behind: Option<u16>,
}

/// The request's, from its field where there is none yet.
fn state(r: &mut Request) -> &mut State {
    let given = match r.digest {
        Some(_) => Given::Nothing,
        None => header::parse(r.header(http::header::AUTHORIZATION).as_deref()),
    };
    r.digest.get_or_insert_with(|| {
        let (accepted, answer) = (None, Bytes::new());
        Box::new(State { given, accepted, answer, due: None, behind: None })
    })
}

/// What the client sent, if that has all its parts.
pub(super) fn fields(r: &Request) -> Option<Arc<Fields>> {
    match &r.digest.as_ref()?.given {
        Given::Fields(fields) => Some(fields.clone()),
        _ => None,
    }
}

/// A question about a nonce, for the section of a request.
pub(super) fn question(r: &mut Request, opaque: Option<Opaque>, want: Want) -> Effect {
    let realm = authn_core::auth_name(r).unwrap_or_default();
    let (rules, now) = (r.dir.auth_digest.rules, r.request_time);
    Effect::Nonce(Box::new(Question { realm, opaque, rules, now, want }))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The hook.
pub fn authenticate(r: &mut Request) -> Verdict {
    if !authn_core::is_digest(r) {
        return DECLINED;
    }
    let uri = text(&r.uri);
    let Some(realm) = authn_core::auth_name(r) else {
        r.log(Level::Error, MODULE, 1780, format!("need AuthName: {uri}"));
        return Verdict::Status(500);
    };
    let fields = match &state(r).given {
        Given::Nothing => return refuse(r, false),
        Given::Other(scheme) => {
            let scheme = text(scheme);
            let line =
                format!("client used wrong authentication scheme `{scheme}': {uri}");
            r.log(Level::Error, MODULE, 1781, line);
            return refuse(r, false);
        }
        Given::Malformed => {
            let line = format!(
                "missing user, realm, nonce, uri, digest, cnonce, or nonce_count in \
                 authorization header: {uri}"
            );
            r.log(Level::Error, MODULE, 1782, line);
            return refuse(r, false);
        }
        Given::Fields(fields) => fields.clone(),
    };
    r.user = Some(fields.username.clone());
    r.auth_type = Some(Bytes::from_static(b"Digest"));
    if let Err(refusal) = check(r, &fields, &realm) {
        return refusal;
    }
    ask(r, &fields, realm, 0)
}

/// What can be said without a password.
fn check(r: &mut Request, fields: &Fields, realm: &Bytes) -> Result<(), Verdict> {
    match uri::compare(r, &fields.uri) {
        Ok(false) => {}
        Ok(true) => {
            let target = text(&r.unparsed_uri);
            let line =
                format!("applying AuthDigestEnableQueryStringHack to uri <{target}>");
            r.log(Level::Info, MODULE, 1784, line);
        }
        Err(Mismatch::Invalid) => {
            let said = text(&fields.uri);
            let line = format!("invalid uri <{said}> in Authorization header");
            r.log(Level::Error, MODULE, 1783, line);
            return Err(Verdict::Status(400));
        }
        Err(Mismatch::Other) => {
            let (said, target) = (text(&fields.uri), text(&r.unparsed_uri));
            let line =
                format!("uri mismatch - <{said}> does not match request-uri <{target}>");
            r.log(Level::Error, MODULE, 1786, line);
            return Err(Verdict::Status(400));
        }
    }
    let (number, line) = if let Some(opaque) = &fields.opaque
        && opaque.client == 0
    {
        (1787, format!("received invalid opaque - got `{}'", text(&opaque.text)))
    } else if fields.realm != realm {
        let (got, expected) = (text(&fields.realm), text(realm));
        (1788, format!("realm mismatch - got `{got}' but expected `{expected}'"))
    } else if let Some(algorithm) = &fields.algorithm
        && !algorithm.eq_ignore_ascii_case(b"MD5")
    {
        let (algorithm, uri) = (text(algorithm), text(&r.uri));
        (1789, format!("unknown algorithm `{algorithm}' received: {uri}"))
    } else {
        return Ok(());
    };
    r.log(Level::Error, MODULE, number, line);
    Err(refuse(r, false))
}

/// Asks the provider at `index`: `get_hash`.
fn ask(r: &mut Request, fields: &Fields, realm: Bytes, index: usize) -> Verdict {
    let dir = r.dir.clone();
    let providers = match &dir.auth_digest.providers[..] {
        [] => &[Provider::File][..],
        some => some,
    };
    let Some(provider) = providers.get(index) else {
        let (user, realm, uri) = (text(&fields.username), text(&realm), text(&r.uri));
        let line = format!("user `{user}' in realm `{realm}' not found: {uri}");
        r.log(Level::Error, MODULE, 1790, line);
        return refuse(r, false);
    };
    r.asking = index;
    let Some(file) = provider.file(&dir.authn_file) else {
        let line = "AuthUserFile not specified in the configuration";
        r.log(Level::Error, "authn_file", 1621, line);
        return Verdict::Status(500);
    };
    let claim = Claim {
        file: file.clone(),
        user: fields.username.clone(),
        realm,
        proof: Proof::of_digest(fields, r.original_method.as_str().as_bytes()),
    };
    Verdict::Ask(Effect::RealmHash(Box::new(claim)), proved)
}

/// What the provider found.
fn proved(r: &mut Request, answer: Answer) -> Verdict {
    let (Answer::RealmHash(proved), Some(fields)) = (answer, fields(r)) else {
        return Verdict::Status(500);
    };
    match proved.checked {
        Checked::Granted => {}
        // Others may know the user.
        Checked::NoUser => {
            let Some(realm) = authn_core::auth_name(r) else {
                return Verdict::Status(500);
            };
            return ask(r, &fields, realm, r.asking + 1);
        }
        Checked::Denied => {
            let (user, uri) = (text(&fields.username), text(&r.uri));
            let qop = fields.qop.as_ref();
            let (number, line) = match qop.filter(|qop| qop.eq_ignore_ascii_case(b"auth"))
            {
                Some(_) => (1794, format!("user {user}: password mismatch: {uri}")),
                None => {
                    let qop = qop.map_or("(null)".to_owned(), |qop| text(qop));
                    let line = format!(
                        "invalid or missing qop value '{qop}', RFC 2069 is no longer \
                         supported: {uri}"
                    );
                    (10_560, line)
                }
            };
            r.log(Level::Error, MODULE, number, line);
            return refuse(r, false);
        }
        Checked::Failed(error) => {
            let dir = r.dir.clone();
            let provider = dir.auth_digest.providers.get(r.asking);
            let file = provider.unwrap_or(&Provider::File).file(&dir.authn_file);
            let file = text(file.map_or(&b""[..], |file| file));
            let line = format!("Could not open password file: {file}");
            r.log_os(Level::Error, "authn_file", 1622, Some(error), line);
            return Verdict::Status(500);
        }
    }
    let state = state(r);
    state.answer = proved.answer;
    // What has counted does not count again.
    let count = fields.nc.clone().filter(|_| state.accepted.is_none());
    let want = Want::Use { nonce: fields.nonce.clone(), count };
    let question = question(r, fields.opaque.clone(), want);
    Verdict::Ask(question, used)
}

/// What is said about the nonce.
fn used(r: &mut Request, answer: Answer) -> Verdict {
    let (Answer::Nonce(Said::Used(used)), Some(fields)) = (answer, fields(r)) else {
        return no_secret(r);
    };
    let (user, nonce) = (text(&fields.username), text(&fields.nonce));
    let (level, number, stale, line) = match used {
        Used::Accepted(time) => {
            state(r).accepted = Some(time);
            return OK;
        }
        // What it should be is not said: the log is not for everybody who makes nonces.
        Used::Forged => {
            let line = format!("invalid nonce {nonce} received - hash is not right");
            (Level::Error, 1776, true, line)
        }
        Used::Later => {
            let line =
                format!("invalid nonce {nonce} received - user attempted time travel");
            (Level::Error, 1777, true, line)
        }
        Used::Expired(age) => {
            let lifetime = r.dir.auth_digest.rules.lifetime;
            let line = format!(
                "user {user}: nonce expired ({}.00 seconds old - max lifetime {}.00) - \
                 sending new nonce",
                age / super::MICROSECONDS,
                lifetime / super::MICROSECONDS
            );
            (Level::Info, 1778, true, line)
        }
        Used::NoCount => {
            let count = text(fields.nc.as_deref().unwrap_or_default());
            let line = format!("invalid nc {count} received - not a number");
            (Level::Error, 1773, false, line)
        }
        Used::Refused(Use::Again) => {
            let line = format!(
                "user {user}: one-time-nonce {nonce} already used - sending new nonce"
            );
            (Level::Info, 1779, true, line)
        }
        Used::Refused(Use::NotAbove(seen)) => {
            let count = fields.nc.as_deref().unwrap_or_default();
            let count = header::strtol(count, 16).0 as u64;
            let line = format!(
                "Warning, possible replay attack: nonce-count check failed: {count} is not \
                 above {seen} for nonce {nonce}"
            );
            (Level::Error, 1774, false, line)
        }
        Used::Refused(Use::Unknown | Use::Accepted) => {
            let client = fields.opaque.as_ref().map_or(0, |opaque| opaque.client);
            let line = format!("client {client} is no longer known - sending new nonce");
            (Level::Info, 10_618, true, line)
        }
    };
    r.log(level, MODULE, number, line);
    refuse(r, stale)
}

/// No nonce can be made or looked at.
fn no_secret(r: &mut Request) -> Verdict {
    r.log(Level::Crit, MODULE, 1758, "error generating secret");
    Verdict::Status(500)
}

/// No, and the client is asked again.
fn refuse(r: &mut Request, stale: bool) -> Verdict {
    challenge(r, stale);
    Verdict::Status(401)
}

/// The client is to be asked: `hook_note_digest_auth_failure`.
pub(crate) fn challenge(r: &mut Request, stale: bool) {
    state(r).due = Some(stale);
}

/// A phase has ended with this. If the client is to be asked, a nonce is: the verdict comes
/// again behind it.
pub(crate) fn settle(r: &mut Request, said: &Verdict) -> Option<Verdict> {
    let state = r.digest.as_deref_mut()?;
    state.due?;
    state.behind = match said {
        Verdict::Status(status) => Some(*status),
        Verdict::Done => None,
        _ => return None,
    };
    if r.main.is_some() {
        // Nobody sees what a sub-request is asked.
        state.due = None;
        return None;
    }
    let opaque = match &state.given {
        Given::Fields(fields) => fields.opaque.clone(),
        _ => None,
    };
    let question = question(r, opaque, Want::Challenge);
    Some(Verdict::Ask(question, challenged))
}

/// Asks the client: `note_digest_auth_failure`.
fn challenged(r: &mut Request, answer: Answer) -> Verdict {
    let state = state(r);
    let (stale, behind) = (state.due.take().unwrap_or_default(), state.behind.take());
    let Answer::Nonce(Said::Challenge(Challenge { nonce, opaque, client })) = answer
    else {
        return no_secret(r);
    };
    let known = match client {
        Client::None | Client::New(_) => None,
        Client::Known(number) => Some((1764, format!("client {number} found"))),
        Client::Renewed { old, .. } => Some((1765, format!("client {old} not found"))),
    };
    if let Some((number, line)) = known {
        r.log(Level::Debug, MODULE, number, line);
    }
    if let Client::New(number) | Client::Renewed { new: number, .. } = client {
        let line = format!("allocated new client {number}");
        r.log_server(Level::Debug, MODULE, 1768, None, line);
    }
    let stale = stale || matches!(client, Client::Renewed { .. });
    let realm = authn_core::auth_name(r).unwrap_or_default();
    let mut value =
        [b"Digest realm=\"", &realm[..], b"\", nonce=\"", &nonce[..], b"\""].concat();
    value.extend_from_slice(b", algorithm=MD5");
    let mut add = |name: &[u8], text: &[u8]| {
        value.extend_from_slice(&[b", ", name, b"=\"", text, b"\""].concat());
    };
    if let Some(opaque) = &opaque {
        add(b"opaque", opaque);
    }
    let domain = r.dir.auth_digest.domain.join(&b' ');
    if !domain.is_empty() {
        add(b"domain", &domain);
    }
    if stale {
        value.extend_from_slice(b", stale=true");
    }
    value.extend_from_slice(b", qop=\"auth\"");
    r.err_headers_out.merge("WWW-Authenticate", &value);
    behind.map_or(DONE, Verdict::Status)
}
