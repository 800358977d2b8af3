//! The server's own certificates and keys.

use std::sync::Arc;

use directives::modules::ssl::{self, Given, Key, pem};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer,
    PrivateSec1KeyDer,
};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Problem, of_key};

/// Certificates with their keys, in the order of the configuration.
#[derive(Debug)]
pub struct Keys(Vec<Arc<CertifiedKey>>);

impl Keys {
    /// Of a server's settings; `shown` is its name. The numbers are httpd's, see
    /// `ssl_init_server_certs`.
    pub fn new(ssl: &ssl::Server, shown: &str) -> Result<Keys, Problem> {
        if ssl.certificates.is_empty() {
            return Err(Problem::new(format!(
                "AH02572: Failed to configure at least one certificate and key for {shown}"
            )));
        }
        let pairs = ssl.certificates.iter().enumerate();
        let keys = pairs.map(|(i, given)| pair(ssl, shown, i, given).map(Arc::new));
        Ok(Keys(keys.collect::<Result<_, _>>()?))
    }

    /// The first whose signatures a client can check.
    pub fn choose(&self, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        self.0.iter().find(|key| key.key.choose_scheme(schemes).is_some())
    }
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.signature_schemes()).cloned()
    }
}

fn pair(
    ssl: &ssl::Server,
    shown: &str,
    i: usize,
    given: &Given,
) -> Result<CertifiedKey, Problem> {
    let id = format!("{shown}:{i}");
    let file = String::from_utf8_lossy(&given.path).into_owned();
    let wrong = |text: String| Problem::new(text).at(given.span, given.line);
    let mut chain = certificates(&given.bytes);
    let good = |der: &CertificateDer<'_>| ParsedCertificate::try_from(der).is_ok();
    if chain.is_empty() || !chain.iter().all(good) {
        return Err(wrong(format!(
            "AH02561: Failed to configure certificate {id}, check {file}"
        )));
    }
    if let Some(more) = ssl.chain.as_ref().filter(|_| chain.len() == 1) {
        let issuers = certificates(&more.bytes);
        if issuers.is_empty() || !issuers.iter().all(good) {
            let text = "AH01903: Failed to configure CA certificate chain!".to_owned();
            return Err(Problem::new(text).at(more.span, more.line));
        }
        chain.extend(issuers);
    }
    let (key, key_file) = match ssl.keys.get(i) {
        Some(key) => {
            let place = |problem: Problem| problem.at(key.span, key.line);
            (private_key(key.secret.bytes(), &id, key).map_err(place)?, of_key(key))
        }
        None => {
            (private_key_within(&given.bytes, &id, &file).map_err(wrong)?, file.clone())
        }
    };
    let key = any_supported_type(&key).map_err(|error| {
        let text =
            format!("AH10130: Failed to configure private key {id} from {key_file}");
        wrong(format!("{text} ({error})"))
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(())
        | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(_) => Err(wrong(format!(
            "AH02565: Certificate and private key {id} from {file} and {key_file} do not \
             match"
        ))),
    }
}

/// The certificates of a text of PEM, or the one that is there as DER.
pub(super) fn certificates(bytes: &[u8]) -> Vec<CertificateDer<'static>> {
    if !is_pem(bytes) {
        return vec![CertificateDer::from(bytes.to_vec())];
    }
    let parts = pem::blocks(bytes).into_iter().map(part);
    let found = parts.filter_map(|part| match part {
        Part::Certificate(der) => Some(der),
        _ => None,
    });
    found.collect()
}

/// What a block of PEM is.
pub(super) enum Part {
    /// A certificate.
    Certificate(CertificateDer<'static>),
    /// A private key.
    Key(PrivateKeyDer<'static>),
    /// A private key behind a pass phrase.
    Encrypted,
    /// Something else.
    Other,
}

/// See there.
pub(super) fn part(block: pem::Block) -> Part {
    let contents = block.contents;
    match block.label.as_str() {
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
            Part::Certificate(CertificateDer::from(contents))
        }
        "PRIVATE KEY" => Part::Key(PrivatePkcs8KeyDer::from(contents).into()),
        "RSA PRIVATE KEY" if !block.has_headers => {
            Part::Key(PrivatePkcs1KeyDer::from(contents).into())
        }
        "EC PRIVATE KEY" if !block.has_headers => {
            Part::Key(PrivateSec1KeyDer::from(contents).into())
        }
        "ENCRYPTED PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => Part::Encrypted,
        _ => Part::Other,
    }
}

pub(super) fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|part| part == b"-----BEGIN ")
}

fn private_key(
    bytes: &[u8],
    id: &str,
    key: &Key,
) -> Result<PrivateKeyDer<'static>, Problem> {
    if is_pem(bytes) {
        return private_key_within(bytes, id, &of_key(key)).map_err(Problem::new);
    }
    let der = PrivateKeyDer::try_from(bytes).map(|der| der.clone_key());
    der.map_err(|_| {
        let file = of_key(key);
        Problem::new(format!("AH10130: Failed to configure private key {id} from {file}"))
    })
}

/// The private key in a text of PEM.
fn private_key_within(
    bytes: &[u8],
    id: &str,
    file: &str,
) -> Result<PrivateKeyDer<'static>, String> {
    for block in pem::blocks(bytes) {
        match part(block) {
            Part::Key(key) => return Ok(key),
            Part::Encrypted => {
                return Err(format!(
                    "AH02564: Failed to configure encrypted (?) private key {id}, check \
                     {file}; take the pass phrase away: openssl pkey -in OLD -out NEW"
                ));
            }
            Part::Certificate(_) | Part::Other => {}
        }
    }
    Err(format!(
        "AH10130: Failed to configure private key {id} from {file}: there is none"
    ))
}
