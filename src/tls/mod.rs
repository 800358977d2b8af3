//! What handshakes are made with, from the settings of mod_ssl: one set of rustls'
//! configurations for each virtual host that speaks TLS. The parent makes them to see
//! whether they can be made, the server to use them.

mod clients;
mod keys;
mod sessions;
mod trust;
pub mod upstreams;

use std::sync::Arc;

use bytes::Bytes;
use directives::Snapshot;
use directives::diagnostic::{Diagnostic, codes};
use directives::modules::core::Protocol;
use directives::modules::ssl::{
    self, Group, Key, Policy, Security, Tls, Verified, Verify,
};
use directives::snapshot::{HostAddress, Server};
use directives::syntax::Span;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ServerConfig};
use rustls::{ServerConnection, SupportedProtocolVersion};

use clients::Clients;
use keys::Keys;

/// What is wrong with a server's settings, and where.
#[derive(Debug)]
pub struct Problem {
    message: String,
    place: Option<(Span, u32)>,
}

impl Problem {
    fn new(message: String) -> Problem {
        Problem { message, place: None }
    }

    fn at(mut self, span: Span, line: u32) -> Problem {
        self.place = Some((span, line));
        self
    }

    /// As a finding about the configuration.
    pub fn diagnostic(self) -> Diagnostic {
        match self.place {
            Some((span, line)) => {
                Diagnostic::new(&codes::SSL_INIT, self.message, span, line)
            }
            None => Diagnostic::global(&codes::SSL_INIT, self.message),
        }
    }
}

/// One virtual host's configurations: they differ in what is agreed on beside TLS.
#[derive(Debug)]
pub struct Host {
    /// For a client that offers no protocol that is spoken.
    silent: Arc<ServerConfig>,
    http11: Arc<ServerConfig>,
    h2: Arc<ServerConfig>,
    keys: Arc<Keys>,
    clients: Option<Arc<Clients>>,
    policy: Arc<Policy>,
    name: String,
    addresses: Vec<HostAddress>,
    strict: bool,
}

/// The virtual hosts that speak TLS, by their place in the configuration.
#[derive(Debug, Default)]
pub struct Hosts {
    all: Vec<Option<Host>>,
    /// There is one: most configurations have none, and every connection asks.
    any: bool,
}

impl Hosts {
    /// Of a configuration.
    pub fn new(snapshot: &Snapshot) -> Result<Hosts, Problem> {
        upstreams::check(&snapshot.process.ssl)?;
        let servers = snapshot.servers.iter();
        let hosts = servers.map(|server| {
            if !ssl::is_on(snapshot, server) || is_only_default(snapshot, server) {
                return Ok(None);
            }
            host(snapshot, server).map(Some)
        });
        let all = hosts.collect::<Result<Vec<_>, _>>()?;
        let any = all.iter().any(Option::is_some);
        Ok(Hosts { all, any })
    }

    /// Does nobody speak TLS?
    pub fn is_empty(&self) -> bool {
        !self.any
    }

    /// A virtual host's.
    pub fn of(&self, snapshot: &Snapshot, server: &Arc<Server>) -> Option<&Host> {
        let mut all = snapshot.servers.iter();
        let place = all.position(|other| Arc::ptr_eq(other, server))?;
        self.all.get(place)?.as_ref()
    }
}

/// The main server says `SSLEngine on` for its virtual hosts, has no certificate, and no
/// address that it would serve itself is without a host.
fn is_only_default(snapshot: &Snapshot, server: &Arc<Server>) -> bool {
    let ssl = &server.config.ssl;
    Arc::ptr_eq(server, snapshot.main())
        && ssl.certificates.is_empty()
        && !snapshot.by_address.is_empty()
}

fn host(snapshot: &Snapshot, server: &Arc<Server>) -> Result<Host, Problem> {
    let ssl = &server.config.ssl;
    let core = &server.config.core;
    let name = core.server_name.clone().unwrap_or_default();
    let port = server.addresses.iter().find_map(|address| address.port);
    let shown = format!("{name}:{}", port.or(core.port).unwrap_or(443));
    let keys = Arc::new(Keys::new(ssl, &shown)?);
    let provider = Arc::new(CryptoProvider {
        cipher_suites: suites(&[ssl.suites13(), ssl.suites12()].concat()),
        kx_groups: groups(ssl),
        ..ring::default_provider()
    });
    let clients = match ssl.verify() {
        Verify::None => None,
        _ => Some(Arc::new(Clients::new(ssl, &provider, &shown)?)),
    };
    let failed = |error: rustls::Error| Problem::new(format!("{shown}: {error}"));
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(ssl.protocols()))
        .map_err(failed)?;
    let builder = match &clients {
        Some(clients) => builder.with_client_cert_verifier(clients.clone()),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(keys.clone());
    config.ignore_client_order = ssl.honors_own_order();
    sessions::configure(&mut config, ssl, &snapshot.process.ssl).map_err(failed)?;
    let agreed = |protocol: Protocol| {
        let mut agreed = config.clone();
        agreed.alpn_protocols = vec![protocol.name().as_bytes().to_vec()];
        Arc::new(agreed)
    };
    Ok(Host {
        http11: agreed(Protocol::Http11),
        h2: agreed(Protocol::H2),
        silent: Arc::new(config.clone()),
        keys,
        clients,
        policy: ssl.policy().clone(),
        strict: ssl.is_strict(),
        name,
        addresses: server.addresses.clone(),
    })
}

/// TLS 1.2 and TLS 1.3, as far as they are to be spoken.
fn versions((tls12, tls13): (bool, bool)) -> Vec<&'static SupportedProtocolVersion> {
    let mut versions = Vec::new();
    versions.extend(tls13.then_some(&rustls::version::TLS13));
    versions.extend(tls12.then_some(&rustls::version::TLS12));
    versions
}

/// Cipher suites, in this order.
fn suites(ids: &[u16]) -> Vec<rustls::SupportedCipherSuite> {
    let all = ring::ALL_CIPHER_SUITES;
    let by_id = |id: &u16| all.iter().find(|suite| u16::from(suite.suite()) == *id);
    ids.iter().filter_map(by_id).copied().collect()
}

fn groups(ssl: &ssl::Server) -> Vec<&'static dyn rustls::crypto::SupportedKxGroup> {
    let Some(groups) = &ssl.groups else { return ring::default_provider().kx_groups };
    let group = |group: &Group| match group {
        Group::X25519 => ring::kx_group::X25519,
        Group::P256 => ring::kx_group::SECP256R1,
        Group::P384 => ring::kx_group::SECP384R1,
    };
    groups.iter().map(group).collect()
}

impl Host {
    /// The configuration for a client that offers these protocols, and what was agreed.
    pub fn choose(
        &self,
        server: &Server,
        hello: &ClientHello<'_>,
    ) -> (Arc<ServerConfig>, Protocol) {
        let offered = hello.alpn().into_iter().flatten();
        match server.config.core.select_protocol(offered) {
            Some(Protocol::H2) => (self.h2.clone(), Protocol::H2),
            Some(_) => (self.http11.clone(), Protocol::Http11),
            None => (self.silent.clone(), Protocol::Http11),
        }
    }

    /// The certificate that such a client gets.
    pub fn certificate(&self, hello: &ClientHello<'_>) -> Bytes {
        let chosen = self.keys.choose(hello.signature_schemes());
        let leaf = chosen.and_then(|key| key.cert.first());
        leaf.map_or(Bytes::new(), |leaf| Bytes::copy_from_slice(leaf))
    }

    /// What a finished handshake has settled.
    pub fn security(
        &self,
        connection: &ServerConnection,
        sni: Option<String>,
        own: Bytes,
    ) -> Security {
        let peer = connection.peer_certificates().unwrap_or_default();
        let resumed = connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        let suite = connection.negotiated_cipher_suite();
        let verified = match &self.clients {
            Some(clients) if !peer.is_empty() => clients.verdict(peer),
            _ => Verified::None,
        };
        let mut tls =
            Tls::new(self.policy.clone(), self.name.clone(), self.addresses.clone());
        tls.strict = self.strict;
        tls.sni = sni;
        tls.protocol = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        };
        tls.suite = suite.map_or(0, |suite| u16::from(suite.suite()));
        tls.resumed = resumed;
        tls.own = own;
        tls.peer = peer.iter().map(|der| Bytes::copy_from_slice(der)).collect();
        tls.verified = verified;
        Security::Tls(Arc::new(tls))
    }
}

/// Keeps the memory of this process, which has keys in it, out of core files and of other
/// processes' sight.
pub fn hide_memory() {
    // Where the kernel does not know this there is nothing to be done.
    let _ = nix::sys::prctl::set_dumpable(false);
}

fn of_key(key: &Key) -> String {
    String::from_utf8_lossy(&key.path).into_owned()
}
