//! The auth-phase gateway, a module of our own: other servers ask it whether a request may
//! be made, and applications behind us are told who makes one. The phases are those of
//! every request ([`crate::run`]); this module makes the request that they are run for,
//! and the answer that the caller understands.
//!
//! **Invariant: only [`Decision::allowed`] is ever answered with a status that a caller
//! takes for consent**, and only the end of the auth phases sets it.

mod admin;
mod answer;
pub mod audit;
pub mod cache;
mod decision;
mod grpc;
pub mod identity;
mod message;
mod original;
mod service;

use bytes::Bytes;

pub use admin::Admin;
pub use answer::{answer, seal};
pub use audit::{AuditLog, audit};
pub use decision::{
    Decision, Findings, OUTCOMES, consent, deny, is_preflight, is_undecided, stops,
};
pub use service::{Caller, Dialect, Service};

pub use grpc::{is_refusal, refusal};

pub(crate) use admin::admin;
pub(crate) use grpc::{called, opens};
pub(crate) use original::{become_original, is_service};

use crate::merge::Merge;
use crate::modules::authz_host::Address;
use crate::phase::{Phase, first, last};
use crate::schema::Module;

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    /// `GatewayService`.
    pub service: Option<Service>,
    /// `GatewayTrust`.
    trust: Option<Vec<Address>>,
    /// `GatewayPreflight`.
    preflight: Option<bool>,
    /// `GatewayHeader`, by header in lower case.
    headers: Vec<identity::Named>,
    /// `GatewayPassHeader`.
    pass: Option<Vec<Bytes>>,
    /// `GatewayCacheKey`.
    key: Option<cache::Inputs>,
    /// `GatewayCacheTTL`.
    ttl: Option<cache::Ttl>,
}

impl Merge for Dir {
    // A header that an inner section names again has another source there; the others are
    // inherited: what upstream servers rely on does not vanish with a new section.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let mut headers = outer.headers.clone();
        headers
            .retain(|named| !inner.headers.iter().any(|own| own.header == named.header));
        headers.extend(inner.headers.iter().cloned());
        Dir {
            service: inner.service.clone().or_else(|| outer.service.clone()),
            trust: inner.trust.clone().or_else(|| outer.trust.clone()),
            preflight: inner.preflight.or(outer.preflight),
            headers,
            pass: inner.pass.clone().or_else(|| outer.pass.clone()),
            key: inner.key.clone().or_else(|| outer.key.clone()),
            ttl: inner.ttl.or(outer.ttl),
        }
    }
}

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    /// `GatewayLog`.
    pub logs: Vec<AuditLog>,
}

impl Merge for Server {
    // As with `CustomLog`: a host that has logs of its own does not write to the main
    // server's.
    fn merge(main: &Server, own: &Server) -> Server {
        let logs = if own.logs.is_empty() { &main.logs } else { &own.logs };
        Server { logs: logs.clone() }
    }
}

/// Settings of the whole process.
#[derive(Debug, Default)]
pub struct Process {
    /// `GatewayAdmin`.
    pub admin: Vec<Admin>,
    /// `GatewayCacheSize`: how many answers are kept.
    cache_size: Option<usize>,
    /// Somebody is answered, or something is kept: there is something to report.
    pub is_used: bool,
    /// The headers that some section names: clients may send none of them.
    headers: Vec<String>,
}

impl Process {
    /// How many answers of authorizers are kept.
    pub fn cache_size(&self) -> usize {
        self.cache_size.unwrap_or(cache::DEFAULT_SIZE)
    }
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_gateway.c",
    id: "gateway_module",
    directives: &[
        &service::GATEWAY_SERVICE,
        &service::GATEWAY_TRUST,
        &service::GATEWAY_PREFLIGHT,
        &identity::GATEWAY_HEADER,
        &identity::GATEWAY_PASS_HEADER,
        &cache::GATEWAY_CACHE_KEY,
        &cache::GATEWAY_CACHE_TTL,
        &cache::GATEWAY_CACHE_SIZE,
        &audit::GATEWAY_LOG,
        &admin::GATEWAY_ADMIN,
    ],
    hooks: &[
        first(Phase::Received, identity::strip)
            .where_set(|at| !at.process.gateway.headers.is_empty()),
        last(Phase::Fixups, identity::tell)
            .where_set(|at| !at.dir.gateway.headers.is_empty()),
    ],
};
