//! What a virtual host asks of TLS: the part of its settings by which two hosts are told
//! apart when a client names one in the handshake and another in a request.

use std::sync::Arc;

use super::{Given, Server, Verify};

/// `SSLVHostSNIPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SniPolicy {
    /// Only the very host of the handshake.
    Strict,
    /// Hosts with the same settings.
    #[default]
    Secure,
    /// Hosts that ask clients for the same certificates.
    AuthOnly,
    /// Any host.
    Insecure,
}

/// `SSLCARevocationCheck`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revocation {
    /// The client's own certificate is looked up.
    pub leaf: bool,
    /// Those of its issuers, too.
    pub chain: bool,
    /// `no_crl_for_cert_ok`: who has no list has revoked nothing.
    pub no_list_is_ok: bool,
}

/// What a virtual host asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `SSLVerifyClient`.
    pub verify: Verify,
    /// `SSLVerifyDepth`.
    pub depth: u32,
    /// The authorities that clients' certificates come from: PEM texts.
    pub authorities: Vec<Arc<[u8]>>,
    /// The lists of revoked certificates: PEM texts.
    pub revoked: Vec<Arc<[u8]>>,
    /// How they are used.
    pub revocation: Revocation,
    /// `SSLProtocol`: TLS 1.2, TLS 1.3.
    pub protocols: (bool, bool),
    /// TLS 1.2's suites, then TLS 1.3's.
    pub suites: Vec<u16>,
    /// The server's own certificates: PEM texts.
    pub certificates: Vec<Arc<[u8]>>,
}

impl Policy {
    /// Of a server's settings.
    pub fn of(server: &Server) -> Policy {
        let texts =
            |given: &[Given]| given.iter().map(|file| file.bytes.clone()).collect();
        let (first, second) = (server.suites12(), server.suites13());
        Policy {
            verify: server.verify(),
            depth: server.depth(),
            authorities: texts(server.authorities()),
            revoked: texts(&server.revoked),
            revocation: server.revocation.unwrap_or_default(),
            protocols: server.protocols(),
            suites: [first, second].concat(),
            certificates: texts(&server.certificates),
        }
    }

    /// May a client that was let in under `other` ask for a host with this policy?
    pub fn accepts(&self, other: &Policy, rule: SniPolicy) -> bool {
        match rule {
            SniPolicy::Insecure => true,
            // Which host it is has been compared before.
            SniPolicy::Strict => false,
            SniPolicy::Secure => self == other,
            SniPolicy::AuthOnly => {
                let asked = |policy: &Policy| policy.verify != Verify::None;
                self.verify == other.verify
                    && (!asked(self)
                        || self.depth == other.depth
                            && self.authorities == other.authorities
                            && self.revoked == other.revoked
                            && self.revocation == other.revocation)
            }
        }
    }
}
