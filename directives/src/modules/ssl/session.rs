//! What a handshake has settled: facts about a connection that TLS secures.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::policy::Policy;
use crate::snapshot::HostAddress;

/// What became of the client's certificate: `SSL_CLIENT_VERIFY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// There is none.
    None,
    /// It is good.
    Success,
    /// Nobody looked who issued it: `SSLVerifyClient optional_no_ca`.
    Generous,
}

/// A connection's TLS.
#[derive(Debug)]
pub struct Tls {
    /// What the virtual host of the handshake asks of clients.
    pub policy: Arc<Policy>,
    /// `SSLStrictSNIVHostCheck` of that virtual host.
    pub strict: bool,
    /// The name of that virtual host.
    pub host: String,
    /// The addresses of that virtual host.
    pub addresses: Vec<HostAddress>,
    /// The name that the client asked for.
    pub sni: Option<String>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: &'static str,
    /// The cipher suite: its number at IANA.
    pub suite: u16,
    /// An earlier session was gone on with.
    pub resumed: bool,
    /// The server's certificate, DER.
    pub own: Bytes,
    /// The client's certificate and those that came with it, DER.
    pub peer: Vec<Bytes>,
    /// What became of it.
    pub verified: Verified,
    /// The variables of `+StdEnvVars`, once they were wanted.
    pub(super) standard: OnceLock<Vec<(Bytes, Bytes)>>,
}

impl Tls {
    /// Facts about a connection, before anybody has asked for variables.
    pub fn new(policy: Arc<Policy>, host: String, addresses: Vec<HostAddress>) -> Tls {
        Tls {
            addresses,
            policy,
            strict: false,
            host,
            sni: None,
            protocol: "",
            suite: 0,
            resumed: false,
            own: Bytes::new(),
            peer: Vec::new(),
            verified: Verified::None,
            standard: OnceLock::new(),
        }
    }
}

/// How a connection is secured, or why it is not.
#[derive(Clone, Debug, Default)]
pub enum Security {
    /// It is not.
    #[default]
    Plain,
    /// By TLS.
    Tls(Arc<Tls>),
    /// The client speaks HTTP where TLS is spoken.
    NotSpoken,
}

impl Security {
    /// The facts, where there is TLS.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        match self {
            Security::Tls(tls) => Some(tls),
            Security::Plain | Security::NotSpoken => None,
        }
    }
}
