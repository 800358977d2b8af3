//! What is asked of an HTTP upstream, and what it says: the words between the phases and
//! whoever speaks HTTP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::worker::Hold;
use crate::modules::fastcgi::Address;
use crate::modules::ssl::Secured;
use crate::reply::Headers;

/// A request to an HTTP upstream.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The upstream's name: connections are shared by it. `None` shares none.
    pub pool: Option<Bytes>,
    /// Where it listens.
    pub address: Address,
    /// It is spoken to over TLS.
    pub secured: Option<Secured>,
    /// `host:port`, for the log.
    pub place: String,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: Bytes,
    /// The fields, without those about the body's length and the connection.
    pub headers: Headers,
    /// It is asked in HTTP/1.0 (`force-proxy-request-1.0`).
    pub old: bool,
    /// The length of a body is said even if it is 0.
    pub says_length: bool,
    /// How a body is sent that does not come at once.
    pub framing: Framing,
    /// The most connections at the same time (`max`).
    pub max: Option<u32>,
    /// How long to wait for one of them (`acquire`).
    pub acquire: Option<Duration>,
    /// How long a connection is kept without a request (`ttl`).
    pub ttl: Option<Duration>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long it may say nothing.
    pub timeout: Duration,
    /// The body waits for its `100 Continue`.
    pub expects: bool,
    /// The protocol to change to, if it agrees.
    pub upgrade: Option<Bytes>,
    /// Lines of its head that are no fields are passed over.
    pub ignores_bad: bool,
    /// The most of its head that is read, bytes.
    pub head_limit: usize,
    /// It is busy with this.
    pub hold: Option<Arc<Hold>>,
}

/// How a body goes on that does not end within the first 16 kB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// As the client sends it.
    #[default]
    AsSent,
    /// With its length, for which it is gathered first (`proxy-sendcl`).
    Length,
}

/// The head of an upstream's answer.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Its status.
    pub status: u16,
    /// The reason, where it is not the standard one.
    pub reason: Option<Bytes>,
    /// 9, 10 or 11: HTTP/0.9 to HTTP/1.1.
    pub version: u8,
    /// Its fields.
    pub headers: Headers,
}
