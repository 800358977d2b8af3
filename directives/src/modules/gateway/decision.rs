//! What the auth phases decided about a request, for the answer to a caller and for the
//! audit log.

use std::net::IpAddr;

use bytes::Bytes;
use http::Method;

use super::cache::Pending;
use crate::log::Level;
use crate::modules::DirConfig;
use crate::phase::Phase;
use crate::request::Request;

/// The end of the auth phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// All phases have let the request in.
    pub allowed: bool,
    /// The status of a refusal; 200 for none.
    pub status: u16,
    /// Which phase ended it: `access`, `authentication`, `authorization`; `preflight` for
    /// one that nobody was asked about, `request` for what came before all of them.
    pub phase: &'static str,
    /// The application that was asked last.
    pub application: Option<Bytes>,
    /// Its answer was one that had been kept; `None` where none is kept.
    pub cached: Option<bool>,
    /// How long it took, microseconds.
    pub took: u64,
    /// The server that asked, and not the client itself.
    pub caller: Option<(&'static str, IpAddr)>,
}

impl Decision {
    /// `allow`, `deny`, `redirect` or `error`.
    pub fn outcome(&self) -> &'static str {
        OUTCOMES[self.class()]
    }

    /// The place of its outcome among [`OUTCOMES`].
    pub fn class(&self) -> usize {
        match self.status {
            _ if self.allowed => 0,
            300..400 => 2,
            500.. => 3,
            _ => 1,
        }
    }
}

/// How a decision can come out.
pub const OUTCOMES: [&str; 4] = ["allow", "deny", "redirect", "error"];

/// What applications said in the auth phases so far.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The variables that they set, as they spell them.
    pub variables: Vec<(Bytes, Bytes)>,
    /// The application that was asked last.
    pub application: Option<Bytes>,
    /// Its answer was one that had been kept.
    pub cached: Option<bool>,
    /// The question whose answer may be kept.
    pub pending: Option<Box<Pending>>,
}

/// Does anybody want to know what is decided about a request?
fn is_recorded(r: &Request) -> bool {
    r.main.is_none() && (r.gateway.is_some() || !r.server.config.gateway.logs.is_empty())
}

/// Is this a caller's request that nothing has been decided about?
pub fn is_undecided(r: &Request) -> bool {
    r.gateway.is_some() && r.decision.is_none()
}

/// Is a refusal answered without a body? Nobody has to make one then.
pub fn stops(r: &Request) -> bool {
    r.gateway.as_ref().is_some_and(|caller| !caller.dialect.takes_body())
}

/// A browser's question whether it may ask, in a section that lets those pass.
pub fn is_preflight(r: &Request) -> bool {
    is_undecided(r)
        && r.dir.gateway.preflight == Some(true)
        && r.method == Method::OPTIONS
        && r.headers_in.contains_key("origin")
        && r.headers_in.contains_key("access-control-request-method")
}

/// The auth phases have let a request in, `at` being the last of them. True if that was all
/// that is wanted; an error is the status of a refusal.
pub fn consent(r: &mut Request, at: Phase) -> Result<bool, u16> {
    if !is_recorded(r) {
        return Ok(false);
    }
    let phase = if is_preflight(r) { "preflight" } else { name(at) };
    if is_undecided(r) && phase != "preflight" && !has_rules(&r.dir) {
        // To let in what nobody thought of is no decision.
        let uri = String::from_utf8_lossy(&r.uri).into_owned();
        let text = format!("gateway: no section says who may have it: {uri}");
        r.log(Level::Error, "gateway", 0, text);
        return Err(403);
    }
    if r.gateway.is_some() || has_rules(&r.dir) {
        record(r, true, 200, phase);
    }
    Ok(r.gateway.is_some())
}

/// Something other than consent came out of phase `at`.
pub fn deny(r: &mut Request, at: Phase, status: u16) {
    let is_auth = (Phase::Access..=Phase::Authz).contains(&at);
    if is_recorded(r) && (is_auth || is_undecided(r)) {
        record(r, false, status, name(at));
    }
}

fn record(r: &mut Request, allowed: bool, status: u16, phase: &'static str) {
    // A refusal stands; and what was decided stands, whatever becomes of an error document.
    let is_for_error = r.prev.as_ref().is_some_and(|prev| prev.status != 200);
    if r.decision.as_ref().is_some_and(|decision| !decision.allowed || is_for_error) {
        return;
    }
    let caller = r.gateway.as_ref().map(|caller| caller.dialect.name());
    let peer = r.connection.client.ip().to_canonical();
    r.decision = Some(Box::new(Decision {
        allowed,
        status,
        phase,
        application: r.findings.application.clone(),
        cached: r.findings.cached,
        took: u64::try_from(r.now - r.request_time).unwrap_or(0),
        caller: caller.map(|dialect| (dialect, peer)),
    }));
}

fn name(at: Phase) -> &'static str {
    match at {
        Phase::Access | Phase::AccessEx => "access",
        Phase::Authn => "authentication",
        Phase::Authz => "authorization",
        _ => "request",
    }
}

/// Does a section say who may have it?
fn has_rules(dir: &DirConfig) -> bool {
    let fastcgi = &dir.fastcgi;
    dir.authz_core.has_rules()
        || dir.access_compat.has_rules()
        || fastcgi.access_checker.is_some()
        || fastcgi.authenticator.is_some()
        || fastcgi.authorizer.is_some()
}
