//! TLS towards upstreams (`SSLProxy...`): what handshakes are made with, and what is
//! expected of the certificates that upstreams show.
//!
//! No session is ever gone on with: a certificate is looked at in every handshake, also
//! after it has expired.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use directives::effect::Failure;
use directives::modules::ssl::{self, Given, Key, Proxied, Secured, Verify};
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DistinguishedName, InconsistentKeys, SignatureScheme};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::KeyUsage;

use super::keys::{Part, certificates, part};
use super::trust::{Trust, is_about_issuers, refusal, verified_signatures};
use super::{Problem, suites, versions};
use crate::fcgi::connect::Stream;

thread_local! {
    /// What was made for settings that are in use.
    static MADE: RefCell<Vec<(Arc<Proxied>, Arc<ClientConfig>)>> =
        const { RefCell::new(Vec::new()) };
}

/// Makes the handshake with an upstream.
pub async fn secure(
    secured: &Secured,
    stream: Stream,
    patience: Duration,
) -> Result<TlsStream<Stream>, Failure> {
    let config = config(&secured.settings)
        .map_err(|problem| Failure::Handshake(problem.message))?;
    let host = secured.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|_| {
        Failure::Handshake(format!("{} cannot be the name of a server", secured.host))
    })?;
    match timeout(patience, TlsConnector::from(config).connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Failure::Handshake(sentence(&error))),
        Err(_) => Err(Failure::Handshake("it did not come about in time".to_owned())),
    }
}

/// What is wrong, without rustls' words around our own.
fn sentence(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::General(ours)) => ours.clone(),
        _ => error.to_string(),
    }
}

/// Looks at the files that any section names.
pub fn check(process: &ssl::Process) -> Result<(), Problem> {
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let mut trust = Trust::new(1, ssl::Revocation::default(), algorithms);
    for given in &process.trusted {
        trust.add(given, FILE)?;
    }
    process.machines.iter().try_for_each(|key| machines(key, None).map(|_| ()))
}

const FILE: &str = "SSLProxyCACertificateFile";

/// What handshakes with such settings are made with.
fn config(settings: &Arc<Proxied>) -> Result<Arc<ClientConfig>, Problem> {
    MADE.with_borrow_mut(|made| {
        // Those of a member of a balancer are merged for each request.
        let same =
            |known: &Arc<Proxied>| Arc::ptr_eq(known, settings) || known == settings;
        let known = made.iter().find(|(known, _)| same(known));
        if let Some((_, config)) = known {
            return Ok(config.clone());
        }
        // What only this list still knows belongs to a configuration that is over.
        made.retain(|(known, _)| Arc::strong_count(known) > 1);
        let config = Arc::new(make(settings)?);
        made.push((settings.clone(), config.clone()));
        Ok(config)
    })
}

fn make(settings: &Arc<Proxied>) -> Result<ClientConfig, Problem> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: suites(&settings.suites()),
        ..ring::default_provider()
    });
    let algorithms = provider.signature_verification_algorithms;
    let mut trust = Trust::new(settings.depth(), settings.revocation(), algorithms);
    for given in settings.authorities() {
        trust.add(given, FILE)?;
    }
    for given in settings.revoked() {
        trust.revoke(given, "of an upstream")?;
    }
    let verifier = Servers { settings: settings.clone(), trust };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(settings.protocols()))
        .map_err(|error| Problem::new(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match settings.machine() {
        Some(key) => {
            let all = machines(key, settings.chain())?;
            builder.with_client_cert_resolver(Arc::new(Machines(all)))
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Who looks at the certificates of upstreams. That these are not looked at unless
/// `SSLProxyVerify` says so is httpd's default; names and times are looked at always, unless
/// somebody has said otherwise.
struct Servers {
    settings: Arc<Proxied>,
    trust: Trust,
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Servers")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verify = self.settings.verify();
        if verify != Verify::None {
            let lenient = verify == Verify::OptionalNoCa;
            match self.trust.check(own, issuers, now, KeyUsage::server_auth()) {
                Err(error) if !(lenient && is_about_issuers(&error)) => {
                    return Err(refusal(&error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        match self.settings.accepts(own, &host.to_str(), now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(why) => Err(rustls::Error::General(why)),
        }
    }

    verified_signatures!();
}

/// Our own certificates, for upstreams that ask for one: `ssl_callback_proxy_cert`.
#[derive(Debug)]
struct Machines(Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Machines {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let named = |key: &CertifiedKey| {
            authorities.is_empty()
                || key.cert.iter().any(|der| {
                    ssl::issuer(der).is_some_and(|issuer| {
                        let issuer = DistinguishedName::in_sequence(issuer);
                        authorities.iter().any(|name| *name == issuer.as_ref())
                    })
                })
        };
        let fitting = self
            .0
            .iter()
            .find(|key| named(key) && key.key.choose_scheme(schemes).is_some());
        fitting.cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// The certificates of a file with their keys, in whichever order they stand:
/// `ssl_init_proxy_certs`.
fn machines(
    file: &Key,
    chain: Option<&Given>,
) -> Result<Vec<Arc<CertifiedKey>>, Problem> {
    let wrong = |text: String| Problem::new(text).at(file.span, file.line);
    let shown = String::from_utf8_lossy(&file.path).into_owned();
    let incomplete = || {
        wrong(format!(
            "AH02252: incomplete client cert configured for SSL proxy (missing or encrypted \
             private key?): {shown}"
        ))
    };
    let issuers = chain.map(|given| certificates(&given.bytes)).unwrap_or_default();
    let mut pairs = vec![(None, None)];
    for block in ssl::pem::blocks(file.secret.bytes()) {
        let last = pairs.last_mut();
        match (part(block), last) {
            (Part::Certificate(own), Some((place @ None, _))) => *place = Some(own),
            (Part::Certificate(own), _) => pairs.push((Some(own), None)),
            (Part::Key(key), Some((_, place @ None))) => *place = Some(key),
            (Part::Key(key), _) => pairs.push((None, Some(key))),
            (Part::Encrypted, _) => return Err(incomplete()),
            (Part::Other, _) => {}
        }
    }
    let mut all = Vec::new();
    for pair in pairs {
        let (Some(own), Some(key)) = pair else { return Err(incomplete()) };
        let key = any_supported_type(&key).map_err(|_| incomplete())?;
        let mut certificates = vec![own];
        certificates.extend(issuers.iter().cloned());
        let certified = CertifiedKey::new(certificates, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(_) => {
                let text =
                    "AH02253: proxy client certificate and private key do not match";
                return Err(wrong(format!("{text}: {shown}")));
            }
        }
        all.push(Arc::new(certified));
    }
    Ok(all)
}
