//! Certificates that clients show. rustls' own verifier knows no `SSLVerifyDepth`, and none
//! that lets anybody in (`optional_no_ca`).

use std::sync::Arc;

use directives::modules::ssl::{self, Revocation, Verified, Verify};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme,
};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy, VerifiedPath,
};

use super::Problem;
use super::keys::{certificates, is_pem};

/// Who looks at them.
pub struct Clients {
    verify: Verify,
    depth: usize,
    revocation: Revocation,
    anchors: Vec<TrustAnchor<'static>>,
    revoked: Vec<CertRevocationList<'static>>,
    names: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").field("verify", &self.verify).finish_non_exhaustive()
    }
}

impl Clients {
    /// Of a server's settings; `shown` is its name.
    pub fn new(
        ssl: &ssl::Server,
        provider: &Arc<CryptoProvider>,
        shown: &str,
    ) -> Result<Clients, Problem> {
        let mut anchors = Vec::new();
        let mut names = Vec::new();
        for given in ssl.authorities() {
            for der in certificates(&given.bytes) {
                let Ok(anchor) = webpki::anchor_from_trusted_cert(&der) else {
                    let file = String::from_utf8_lossy(&given.path);
                    let text =
                        format!("AH02210: Failed to load SSLCACertificateFile: {file}");
                    return Err(Problem::new(text).at(given.span, given.line));
                };
                names.push(name_of(&anchor));
                anchors.push(anchor.to_owned());
            }
        }
        if ssl.verify() == Verify::Require && anchors.is_empty() {
            let text = format!(
                "AH01897: Init: Oops, you want to request client authentication, but no CAs \
                 are known for verification!?  [Hint: SSLCACertificate*] ({shown})"
            );
            return Err(Problem::new(text));
        }
        if !ssl.asked_names.is_empty() {
            names.clear();
            for given in &ssl.asked_names {
                let all = certificates(&given.bytes);
                let anchors = all.iter().filter_map(|der| {
                    webpki::anchor_from_trusted_cert(der)
                        .ok()
                        .map(|anchor| name_of(&anchor))
                });
                names.extend(anchors);
            }
        }
        let revocation = ssl.revocation();
        if revocation.leaf && ssl.revoked.is_empty() {
            return Err(Problem::new(format!(
                "AH01899: Host {shown}: CRL checking has been enabled, but neither \
                 SSLCARevocationFile nor SSLCARevocationPath is configured"
            )));
        }
        let mut revoked = Vec::new();
        for given in &ssl.revoked {
            for der in lists(&given.bytes) {
                let Ok(list) = OwnedCertRevocationList::from_der(&der) else {
                    let file = String::from_utf8_lossy(&given.path);
                    let text = format!(
                        "AH01901: Host {shown}: unable to configure X.509 CRL storage for \
                         certificate revocation: {file}"
                    );
                    return Err(Problem::new(text).at(given.span, given.line));
                };
                revoked.push(list.into());
            }
        }
        Ok(Clients {
            verify: ssl.verify(),
            depth: ssl.depth() as usize,
            revocation,
            anchors,
            revoked,
            names,
            algorithms: provider.signature_verification_algorithms,
        })
    }

    /// What became of a certificate that was let in.
    pub fn verdict(&self, chain: &[CertificateDer<'static>]) -> Verified {
        if self.verify != Verify::OptionalNoCa {
            return Verified::Success;
        }
        let good = chain.split_first().is_some_and(|(own, issuers)| {
            self.check(own, issuers, UnixTime::now()).is_ok()
        });
        if good { Verified::Success } else { Verified::Generous }
    }

    fn check(
        &self,
        own: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
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
            KeyUsage::client_auth(),
            revocation,
            Some(&short),
        );
        found.map(|_| ())
    }
}

/// Is nothing wrong with a certificate but who issued it? See
/// `ssl_verify_error_is_optional`.
fn is_about_issuers(error: &webpki::Error) -> bool {
    use webpki::Error::{CaUsedAsEndEntity, UnknownIssuer};
    matches!(error, UnknownIssuer | CaUsedAsEndEntity)
}

/// The name of an authority, whole.
fn name_of(anchor: &TrustAnchor<'_>) -> DistinguishedName {
    DistinguishedName::in_sequence(&anchor.subject)
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

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verify == Verify::Require
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let lenient = self.verify == Verify::OptionalNoCa;
        match self.check(own, issuers, now) {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err(error) if lenient && is_about_issuers(&error) => {
                Ok(ClientCertVerified::assertion())
            }
            Err(error) => Err(rustls::Error::InvalidCertificate(match error {
                webpki::Error::CertExpired { .. } => CertificateError::Expired,
                webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
                webpki::Error::CertRevoked => CertificateError::Revoked,
                webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
                webpki::Error::UnknownRevocationStatus => {
                    CertificateError::UnknownRevocationStatus
                }
                _ => CertificateError::ApplicationVerificationFailure,
            })),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, own, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, own, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
