//! mod_ssl: TLS for clients, certificates that clients show, and what a request may ask of
//! both. The handshakes themselves are rustls', in the server; what stands here is what
//! they are to be made with, and what follows from them.

mod access;
mod certificates;
mod clients;
mod der;
mod fits;
mod hooks;
mod old;
pub mod pem;
mod policy;
mod protocol;
mod proxied;
mod proxy;
mod require;
mod session;
mod sessions;
pub mod suites;
mod variables;
mod x509;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

pub use certificates::Key;
pub use fits::{fits, validity};
pub use hooks::{check_call, variable};
pub use policy::{Policy, Revocation, SniPolicy};
pub use protocol::Group;
pub use proxied::{Proxied, Secured, issuer};
pub use session::{Security, Tls, Verified};
pub use variables::Name;

use crate::diagnostic::{Diagnostic, codes};
use crate::merge::Merge;
use crate::phase::{Phase, first, on};
use crate::schema::Module;
use crate::snapshot::Snapshot;
use crate::syntax::Span;

/// A file that a directive named, as it was when the configuration was read.
#[derive(Clone, Debug)]
pub struct Given {
    /// Its path.
    pub path: Bytes,
    /// What is in it.
    pub bytes: Arc<[u8]>,
    /// Where the directive's argument stands.
    pub span: Span,
    /// The line of the directive.
    pub line: u32,
}

/// `SSLVerifyClient`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// No certificate is asked for.
    #[default]
    None,
    /// One may be shown, and has to be good then.
    Optional,
    /// A good one has to be shown.
    Require,
    /// One may be shown, and nobody looks who issued it.
    OptionalNoCa,
}

/// `SSLOptions`: what is switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `StdEnvVars`.
    pub std_env_vars: bool,
    /// `ExportCertData`.
    pub export_cert_data: bool,
    /// `FakeBasicAuth`.
    pub fake_basic_auth: bool,
    /// `StrictRequire`.
    pub strict_require: bool,
    /// `LegacyDNStringFormat`.
    pub legacy_dn: bool,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    /// `SSLRequireSSL`.
    require_ssl: bool,
    /// `SSLRequire`, in the order of merging.
    requires: Vec<Arc<require::Requirement>>,
    /// `SSLOptions` that are set or cleared: values and which of them were mentioned.
    options: Options,
    mentioned: Options,
    /// `SSLUserName`.
    user_name: Option<Name>,
    /// `SSLVerifyClient`.
    verify: Option<Verify>,
    /// The `SSLProxy...` directives.
    pub(crate) proxied: Option<Arc<Proxied>>,
}

impl Merge for Dir {
    // See ssl_config_perdir_merge.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let pick = |of: fn(&Options) -> bool| {
            if of(&inner.mentioned) { of(&inner.options) } else { of(&outer.options) }
        };
        let either =
            |of: fn(&Options) -> bool| of(&inner.mentioned) || of(&outer.mentioned);
        let all = |pick: &dyn Fn(fn(&Options) -> bool) -> bool| Options {
            std_env_vars: pick(|o| o.std_env_vars),
            export_cert_data: pick(|o| o.export_cert_data),
            fake_basic_auth: pick(|o| o.fake_basic_auth),
            strict_require: pick(|o| o.strict_require),
            legacy_dn: pick(|o| o.legacy_dn),
        };
        Dir {
            require_ssl: outer.require_ssl || inner.require_ssl,
            requires: outer.requires.iter().chain(&inner.requires).cloned().collect(),
            options: all(&pick),
            mentioned: all(&either),
            user_name: inner.user_name.or(outer.user_name),
            verify: inner.verify.or(outer.verify),
            proxied: Proxied::over(outer.proxied.as_ref(), inner.proxied.as_ref()),
        }
    }
}

/// Settings of a server.
#[derive(Clone, Debug, Default)]
pub struct Server {
    engine: Option<bool>,
    /// `SSLCertificateFile`.
    pub certificates: Vec<Given>,
    /// `SSLCertificateKeyFile`.
    pub keys: Vec<Key>,
    /// `SSLCertificateChainFile`.
    pub chain: Option<Given>,
    authorities: Vec<Given>,
    /// `SSLCADNRequestFile` and `SSLCADNRequestPath`.
    pub asked_names: Vec<Given>,
    /// `SSLCARevocationFile` and `SSLCARevocationPath`.
    pub revoked: Vec<Given>,
    revocation: Option<Revocation>,
    verify: Option<Verify>,
    depth: Option<u32>,
    protocols: Option<(bool, bool)>,
    suites12: Option<Vec<u16>>,
    suites13: Option<Vec<u16>>,
    honor_order: Option<bool>,
    /// `SSLOpenSSLConfCmd Groups`: names of groups that there are here.
    pub groups: Option<Vec<Group>>,
    strict_sni: Option<bool>,
    tickets: Option<bool>,
    /// Sections that ask for a certificate: where they do.
    sections: Vec<(Verify, Span, u32)>,
    /// What all that comes to.
    policy: OnceLock<Arc<Policy>>,
}

impl Merge for Server {
    fn merge(main: &Server, own: &Server) -> Server {
        let list = |of: fn(&Server) -> &Vec<Given>| {
            if of(own).is_empty() { of(main).clone() } else { of(own).clone() }
        };
        Server {
            engine: own.engine.or(main.engine),
            certificates: list(|server| &server.certificates),
            keys: if own.certificates.is_empty() && own.keys.is_empty() {
                main.keys.clone()
            } else {
                own.keys.clone()
            },
            chain: own.chain.clone().or_else(|| main.chain.clone()),
            authorities: list(|server| &server.authorities),
            asked_names: list(|server| &server.asked_names),
            revoked: list(|server| &server.revoked),
            revocation: own.revocation.or(main.revocation),
            verify: own.verify.or(main.verify),
            depth: own.depth.or(main.depth),
            protocols: own.protocols.or(main.protocols),
            suites12: own.suites12.clone().or_else(|| main.suites12.clone()),
            suites13: own.suites13.clone().or_else(|| main.suites13.clone()),
            honor_order: own.honor_order.or(main.honor_order),
            groups: own.groups.clone().or_else(|| main.groups.clone()),
            strict_sni: own.strict_sni.or(main.strict_sni),
            tickets: own.tickets.or(main.tickets),
            policy: OnceLock::new(),
            sections: main.sections.iter().chain(&own.sections).copied().collect(),
        }
    }
}

impl Server {
    /// `SSLVerifyClient`.
    pub fn verify(&self) -> Verify {
        self.verify.unwrap_or_default()
    }

    /// What handshakes for this server are made with.
    pub fn policy(&self) -> &Arc<Policy> {
        self.policy.get_or_init(|| Arc::new(Policy::of(self)))
    }

    /// `SSLVerifyDepth`: how many certificates may stand above the client's own.
    pub fn depth(&self) -> u32 {
        self.depth.unwrap_or(1)
    }

    /// `SSLCACertificateFile` and `SSLCACertificatePath`.
    pub fn authorities(&self) -> &[Given] {
        &self.authorities
    }

    /// `SSLCARevocationCheck`.
    pub fn revocation(&self) -> Revocation {
        self.revocation.unwrap_or_default()
    }

    /// `SSLProtocol`: TLS 1.2, TLS 1.3.
    pub fn protocols(&self) -> (bool, bool) {
        self.protocols.unwrap_or((true, true))
    }

    /// TLS 1.2's cipher suites, the preferred one first.
    pub fn suites12(&self) -> Vec<u16> {
        let all = || suites::TLS12.iter().map(|suite| suite.id).collect();
        self.suites12.clone().unwrap_or_else(all)
    }

    /// TLS 1.3's.
    pub fn suites13(&self) -> Vec<u16> {
        let all = || suites::TLS13.iter().map(|suite| suite.id).collect();
        self.suites13.clone().unwrap_or_else(all)
    }

    /// `SSLHonorCipherOrder`.
    pub fn honors_own_order(&self) -> bool {
        self.honor_order.unwrap_or(false)
    }

    /// `SSLStrictSNIVHostCheck`.
    pub fn is_strict(&self) -> bool {
        self.strict_sni.unwrap_or(false)
    }

    /// `SSLSessionTickets`.
    pub fn gives_tickets(&self) -> bool {
        self.tickets.unwrap_or(true)
    }
}

/// Settings of the whole process.
#[derive(Debug)]
pub struct Process {
    /// `SSLSessionCache`: are sessions kept?
    pub keeps_sessions: bool,
    /// `SSLSessionCacheTimeout`.
    pub session_time: Duration,
    /// `SSLVHostSNIPolicy`.
    pub sni_policy: SniPolicy,
    /// Authorities of upstreams that any section names, to be looked at when it starts.
    pub trusted: Vec<Given>,
    /// Certificates with keys for upstreams, likewise.
    pub machines: Vec<Key>,
}

impl Default for Process {
    fn default() -> Process {
        Process {
            keeps_sessions: false,
            session_time: Duration::from_mins(5),
            sni_policy: SniPolicy::default(),
            trusted: Vec::new(),
            machines: Vec::new(),
        }
    }
}

/// Is TLS spoken where this server is the first of its address? With `SSLEngine` it is;
/// without, on a port of `Listen ... https` if there is a certificate. See
/// `ssl_init_Module`.
pub fn is_on(snapshot: &Snapshot, server: &crate::snapshot::Server) -> bool {
    let ssl = &server.config.ssl;
    ssl.engine.unwrap_or_else(|| {
        let mut listens = snapshot.process.core.listen.iter();
        let is_own = |port: u16| {
            let mut own = server.addresses.iter();
            server.addresses.is_empty() || own.any(|a| a.port.is_none_or(|p| p == port))
        };
        !ssl.certificates.is_empty()
            && server.config.core.is_https.unwrap_or_else(|| {
                listens.any(|listen| listen.protocol == "https" && is_own(listen.port))
            })
    })
}

/// What can only be said of a configuration as a whole: sections that ask for
/// certificates where no handshake does.
pub fn check(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let mut sections: Vec<(Span, u32, bool)> = Vec::new();
    for server in snapshot.servers.iter().filter(|server| is_on(snapshot, server)) {
        let ssl = &server.config.ssl;
        let asks = ssl.verify() != Verify::None;
        for (_, span, line) in
            ssl.sections.iter().filter(|(verify, ..)| *verify != Verify::None)
        {
            // What stands outside of virtual hosts is for all of them.
            match sections.iter_mut().find(|(known, ..)| known == span) {
                Some((.., asked)) => *asked |= asks,
                None => sections.push((*span, *line, asks)),
            }
        }
    }
    let unasked = sections.into_iter().filter(|(.., asked)| !asked);
    let refuse = |(span, line, _): (Span, u32, bool)| {
        let message = "SSLVerifyClient in a section is refused: the handshake is over by then, \
                       and is not made again; put SSLVerifyClient optional into the virtual \
                       host, and leave this as it is";
        Diagnostic::new(&codes::REFUSED, message.to_owned(), span, line)
    };
    unasked.map(refuse).collect()
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_ssl.c",
    id: "ssl_module",
    directives: &[
        &protocol::ENGINE,
        &certificates::CERTIFICATE_FILE,
        &certificates::CERTIFICATE_KEY_FILE,
        &certificates::CERTIFICATE_CHAIN_FILE,
        &protocol::PROTOCOL,
        &protocol::CIPHER_SUITE,
        &protocol::HONOR_CIPHER_ORDER,
        &protocol::OPENSSL_CONF_CMD,
        &clients::CA_CERTIFICATE_FILE,
        &clients::CA_CERTIFICATE_PATH,
        &clients::CADN_REQUEST_FILE,
        &clients::CADN_REQUEST_PATH,
        &clients::CA_REVOCATION_FILE,
        &clients::CA_REVOCATION_PATH,
        &clients::CA_REVOCATION_CHECK,
        &clients::VERIFY_CLIENT,
        &clients::VERIFY_DEPTH,
        &access::OPTIONS,
        &access::REQUIRE_SSL,
        &require::REQUIRE,
        &access::USER_NAME,
        &access::STRICT_SNI,
        &access::SNI_POLICY,
        &sessions::SESSION_CACHE,
        &sessions::SESSION_CACHE_TIMEOUT,
        &sessions::SESSION_TICKETS,
        &sessions::SESSION_TICKET_KEY_FILE,
        &proxy::ENGINE,
        &proxy::VERIFY,
        &proxy::VERIFY_DEPTH,
        &proxy::CHECK_PEER_EXPIRE,
        &proxy::CHECK_PEER_NAME,
        &proxy::CHECK_PEER_CN,
        &proxy::CA_CERTIFICATE_FILE,
        &proxy::CA_CERTIFICATE_PATH,
        &proxy::CA_REVOCATION_FILE,
        &proxy::CA_REVOCATION_PATH,
        &proxy::CA_REVOCATION_CHECK,
        &proxy::MACHINE_CERTIFICATE_FILE,
        &proxy::MACHINE_CERTIFICATE_CHAIN_FILE,
        &proxy::PROTOCOL,
        &proxy::CIPHER_SUITE,
        &old::PASS_PHRASE_DIALOG,
        &old::FIPS,
        &old::OCSP_ENABLE,
    ],
    hooks: &[
        first(Phase::Received, hooks::compare_names),
        on(Phase::Access, hooks::check_access),
        first(Phase::AccessEx, hooks::stay_forbidden),
        first(Phase::Authn, hooks::fake_basic_auth),
        on(Phase::Fixups, hooks::set_variables),
    ],
};
