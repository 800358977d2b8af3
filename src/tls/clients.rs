//! Certificates that clients show.

use std::sync::Arc;

use directives::modules::ssl::{self, Verified, Verify};
use rustls::DistinguishedName;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use webpki::KeyUsage;

use super::Problem;
use super::keys::certificates;
use super::trust::{Trust, is_about_issuers, refusal, verified_signatures};

/// Who looks at them.
pub struct Clients {
    verify: Verify,
    trust: Trust,
    names: Vec<DistinguishedName>,
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
        let algorithms = provider.signature_verification_algorithms;
        let mut trust = Trust::new(ssl.depth(), ssl.revocation(), algorithms);
        for given in ssl.authorities() {
            trust.add(given, "SSLCACertificateFile")?;
        }
        let mut names: Vec<DistinguishedName> =
            trust.anchors.iter().map(name_of).collect();
        if ssl.verify() == Verify::Require && trust.anchors.is_empty() {
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
        if ssl.revocation().leaf && ssl.revoked.is_empty() {
            return Err(Problem::new(format!(
                "AH01899: Host {shown}: CRL checking has been enabled, but neither \
                 SSLCARevocationFile nor SSLCARevocationPath is configured"
            )));
        }
        for given in &ssl.revoked {
            trust.revoke(given, shown)?;
        }
        Ok(Clients { verify: ssl.verify(), trust, names })
    }

    /// What became of a certificate that was let in.
    pub fn verdict(&self, chain: &[CertificateDer<'static>]) -> Verified {
        if self.verify != Verify::OptionalNoCa {
            return Verified::Success;
        }
        let good = chain.split_first().is_some_and(|(own, issuers)| {
            let usage = KeyUsage::client_auth();
            self.trust.check(own, issuers, UnixTime::now(), usage).is_ok()
        });
        if good { Verified::Success } else { Verified::Generous }
    }
}

/// The name of an authority, whole.
fn name_of(anchor: &TrustAnchor<'_>) -> DistinguishedName {
    DistinguishedName::in_sequence(&anchor.subject)
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
        match self.trust.check(own, issuers, now, KeyUsage::client_auth()) {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err(error) if lenient && is_about_issuers(&error) => {
                Ok(ClientCertVerified::assertion())
            }
            Err(error) => Err(refusal(&error)),
        }
    }

    verified_signatures!();
}
