//! Who may have issued a certificate, and which are revoked: the same for certificates that
//! clients show and for those of upstreams. rustls' own verifiers know no limit like
//! `SSLVerifyDepth`, and none that takes a certificate from anybody.

use directives::modules::ssl::{self, Given, Revocation};
use rustls::CertificateError;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime,
};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy, VerifiedPath,
};

use super::Problem;
use super::keys::{certificates, is_pem};

/// The methods of rustls' two verifier traits that are about signatures, for a type with a
/// field `trust`.
macro_rules! verified_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            own: &rustls::pki_types::CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.trust.algorithms;
            rustls::crypto::verify_tls12_signature(message, own, signed, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            own: &rustls::pki_types::CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.trust.algorithms;
            rustls::crypto::verify_tls13_signature(message, own, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            self.trust.algorithms.supported_schemes()
        }
    };
}

pub(super) use verified_signatures;

/// Authorities, and what they have taken back.
pub struct Trust {
    /// The authorities.
    pub anchors: Vec<TrustAnchor<'static>>,
    /// How many certificates may stand above the one that is shown.
    pub depth: usize,
    /// How lists of revoked certificates are used.
    pub revocation: Revocation,
    revoked: Vec<CertRevocationList<'static>>,
    /// Signatures that are understood.
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    /// Nobody yet.
    pub fn new(
        depth: u32,
        revocation: Revocation,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Trust {
        let depth = depth as usize;
        Trust { anchors: Vec::new(), depth, revocation, revoked: Vec::new(), algorithms }
    }

    /// Takes in the authorities of a file; the error names the directive.
    pub fn add(&mut self, given: &Given, directive: &str) -> Result<(), Problem> {
        for der in certificates(&given.bytes) {
            let Ok(anchor) = webpki::anchor_from_trusted_cert(&der) else {
                let file = String::from_utf8_lossy(&given.path);
                let text = format!("AH02210: Failed to load {directive}: {file}");
                return Err(Problem::new(text).at(given.span, given.line));
            };
            self.anchors.push(anchor.to_owned());
        }
        Ok(())
    }

    /// Takes in the lists of a file; `shown` is the server's name.
    pub fn revoke(&mut self, given: &Given, shown: &str) -> Result<(), Problem> {
        for der in lists(&given.bytes) {
            let Ok(list) = OwnedCertRevocationList::from_der(&der) else {
                let file = String::from_utf8_lossy(&given.path);
                let text = format!(
                    "AH01901: Host {shown}: unable to configure X.509 CRL storage for \
                     certificate revocation: {file}"
                );
                return Err(Problem::new(text).at(given.span, given.line));
            };
            self.revoked.push(list.into());
        }
        Ok(())
    }

    /// Does a certificate come from one of the authorities, and is it good for its use?
    pub fn check(
        &self,
        own: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), webpki::Error> {
        let lists: Vec<&CertRevocationList<'_>> = self.revoked.iter().collect();
        let revocation = match RevocationOptionsBuilder::new(&lists) {
            Ok(builder) if self.revocation.leaf => {
                let depth = if self.revocation.chain {
                    RevocationCheckDepth::Chain
                } else {
                    RevocationCheckDepth::EndEntity
                };
                let unknown = if self.revocation.no_list_is_ok {
                    UnknownStatusPolicy::Allow
                } else {
                    UnknownStatusPolicy::Deny
                };
                let builder = builder.with_depth(depth).with_status_policy(unknown);
                Some(builder.with_expiration_policy(ExpirationPolicy::Enforce).build())
            }
            _ => None,
        };
        if self.revocation.leaf && revocation.is_none() {
            return Err(webpki::Error::UnknownRevocationStatus);
        }
        let short = |path: &VerifiedPath<'_>| {
            // The authority's own certificate stands above these.
            if path.intermediate_certificates().count() < self.depth {
                Ok(())
            } else {
                Err(webpki::Error::MaximumPathDepthExceeded)
            }
        };
        let own = EndEntityCert::try_from(own)?;
        let found = own.verify_for_usage(
            self.algorithms.all,
            &self.anchors,
            issuers,
            now,
            usage,
            revocation,
            Some(&short),
        );
        found.map(|_| ())
    }
}

/// Is nothing wrong with a certificate but who issued it? See
/// `ssl_verify_error_is_optional`.
pub fn is_about_issuers(error: &webpki::Error) -> bool {
    use webpki::Error::{CaUsedAsEndEntity, UnknownIssuer};
    matches!(error, UnknownIssuer | CaUsedAsEndEntity)
}

/// In rustls' words.
pub fn refusal(error: &webpki::Error) -> rustls::Error {
    rustls::Error::InvalidCertificate(match error {
        webpki::Error::CertExpired { .. } => CertificateError::Expired,
        webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
        webpki::Error::CertRevoked => CertificateError::Revoked,
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        webpki::Error::UnknownRevocationStatus => {
            CertificateError::UnknownRevocationStatus
        }
        _ => CertificateError::ApplicationVerificationFailure,
    })
}

/// The lists in a text of PEM, or the one that is there as DER.
fn lists(bytes: &[u8]) -> Vec<CertificateRevocationListDer<'static>> {
    if !is_pem(bytes) {
        return vec![CertificateRevocationListDer::from(bytes.to_vec())];
    }
    let blocks = ssl::pem::blocks(bytes).into_iter();
    let found = blocks.filter(|block| block.label == "X509 CRL");
    found.map(|block| CertificateRevocationListDer::from(block.contents)).collect()
}
