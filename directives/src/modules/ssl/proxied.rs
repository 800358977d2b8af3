//! TLS towards upstreams: what is asked of them, and what their certificates have to say.
//! See `ssl_io_filter_handshake` and `ssl_config_proxy_merge`.

use std::sync::Arc;

use super::x509::{self, AltName, COMMON_NAME, Certificate};
use super::{Given, Key, Revocation, Verify, suites};

/// The `SSLProxy...` settings of a server or of a `<Proxy>` section.
#[derive(Clone, Debug, Default)]
pub struct Proxied {
    /// `SSLProxyEngine`.
    pub(super) engine: Option<bool>,
    pub(super) verify: Option<Verify>,
    pub(super) depth: Option<u32>,
    pub(super) check_expire: Option<bool>,
    pub(super) check_name: Option<bool>,
    pub(super) check_cn: Option<bool>,
    /// `SSLProxyCACertificateFile`: one file, the last one.
    pub(super) file: Option<Given>,
    /// `SSLProxyCACertificatePath`.
    pub(super) path: Vec<Given>,
    pub(super) revocation: Option<Revocation>,
    pub(super) revoked_file: Option<Given>,
    pub(super) revoked_path: Vec<Given>,
    /// `SSLProxyMachineCertificateFile`: certificates and their keys.
    pub(super) machine: Option<Key>,
    /// `SSLProxyMachineCertificateChainFile`.
    pub(super) chain: Option<Given>,
    pub(super) protocols: Option<(bool, bool)>,
    pub(super) suites12: Option<Vec<u16>>,
    pub(super) suites13: Option<Vec<u16>>,
}

/// A connection to an upstream that is secured.
#[derive(Clone, Debug)]
pub struct Secured {
    /// How.
    pub settings: Arc<Proxied>,
    /// The host that is named in the handshake, and that the certificate has to name.
    pub host: String,
}

impl PartialEq for Secured {
    fn eq(&self, other: &Secured) -> bool {
        let same = Arc::ptr_eq(&self.settings, &other.settings);
        self.host == other.host && (same || *self.settings == *other.settings)
    }
}

/// The same for TLS: what is in the files counts, and not where they were named.
impl PartialEq for Proxied {
    fn eq(&self, other: &Proxied) -> bool {
        let texts = |one: &Proxied| -> Vec<Arc<[u8]>> {
            let files = one.file.iter().chain(&one.path).chain(&one.revoked_file);
            let files = files.chain(&one.revoked_path).chain(&one.chain);
            files.map(|given| given.bytes.clone()).collect()
        };
        let counts = |one: &Proxied| {
            let (a, b) = (one.file.is_some(), one.path.len());
            (a, b, one.revoked_file.is_some(), one.revoked_path.len())
        };
        let key = |one: &Proxied| one.machine.as_ref().map(|key| key.secret.clone());
        let keys = match (key(self), key(other)) {
            (None, None) => true,
            (Some(one), Some(two)) => one.bytes() == two.bytes(),
            _ => false,
        };
        self.is_on() == other.is_on()
            && self.verify() == other.verify()
            && self.depth() == other.depth()
            && self.checks() == other.checks()
            && self.revocation() == other.revocation()
            && self.protocols() == other.protocols()
            && self.suites() == other.suites()
            && counts(self) == counts(other)
            && keys
            && texts(self) == texts(other)
    }
}

/// How a certificate's names are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// Not at all.
    Unchecked,
    /// The common name alone (`SSLProxyCheckPeerCN`).
    Common,
    /// All of them (`SSLProxyCheckPeerName`).
    All,
}

impl Proxied {
    /// An inner section's settings over an outer one's.
    pub(crate) fn merge(outer: &Proxied, inner: &Proxied) -> Proxied {
        let path = |of: fn(&Proxied) -> &Vec<Given>| {
            if of(inner).is_empty() { of(outer).clone() } else { of(inner).clone() }
        };
        let given = |of: fn(&Proxied) -> &Option<Given>| {
            of(inner).clone().or_else(|| of(outer).clone())
        };
        Proxied {
            engine: inner.engine.or(outer.engine),
            verify: inner.verify.or(outer.verify),
            depth: inner.depth.or(outer.depth),
            check_expire: inner.check_expire.or(outer.check_expire),
            check_name: inner.check_name.or(outer.check_name),
            check_cn: inner.check_cn.or(outer.check_cn),
            file: given(|one| &one.file),
            path: path(|one| &one.path),
            revocation: inner.revocation.or(outer.revocation),
            revoked_file: given(|one| &one.revoked_file),
            revoked_path: path(|one| &one.revoked_path),
            machine: inner.machine.clone().or_else(|| outer.machine.clone()),
            chain: given(|one| &one.chain),
            protocols: inner.protocols.or(outer.protocols),
            suites12: inner.suites12.clone().or_else(|| outer.suites12.clone()),
            suites13: inner.suites13.clone().or_else(|| outer.suites13.clone()),
        }
    }

    /// The same for settings that most sections do not have.
    pub(crate) fn over(
        outer: Option<&Arc<Proxied>>,
        inner: Option<&Arc<Proxied>>,
    ) -> Option<Arc<Proxied>> {
        match (outer, inner) {
            (Some(outer), Some(inner)) => Some(Arc::new(Proxied::merge(outer, inner))),
            (one, other) => other.or(one).cloned(),
        }
    }

    /// `SSLProxyEngine`.
    pub fn is_on(&self) -> bool {
        self.engine.unwrap_or(false)
    }

    /// `SSLProxyVerify`.
    pub fn verify(&self) -> Verify {
        self.verify.unwrap_or_default()
    }

    /// `SSLProxyVerifyDepth`.
    pub fn depth(&self) -> u32 {
        self.depth.unwrap_or(1)
    }

    /// The authorities that certificates come from.
    pub fn authorities(&self) -> impl Iterator<Item = &Given> {
        self.file.iter().chain(&self.path)
    }

    /// `SSLProxyCARevocationCheck`.
    pub fn revocation(&self) -> Revocation {
        self.revocation.unwrap_or_default()
    }

    /// Lists of revoked certificates.
    pub fn revoked(&self) -> impl Iterator<Item = &Given> {
        self.revoked_file.iter().chain(&self.revoked_path)
    }

    /// Our own certificates and their keys.
    pub fn machine(&self) -> Option<&Key> {
        self.machine.as_ref()
    }

    /// The issuers of our own certificates.
    pub fn chain(&self) -> Option<&Given> {
        self.chain.as_ref()
    }

    /// `SSLProxyProtocol`: TLS 1.2, TLS 1.3.
    pub fn protocols(&self) -> (bool, bool) {
        self.protocols.unwrap_or((true, true))
    }

    /// The cipher suites, the preferred one first; TLS 1.3's are first.
    pub fn suites(&self) -> Vec<u16> {
        let all = |table: &[suites::Suite]| table.iter().map(|suite| suite.id).collect();
        let first = self.suites13.clone().unwrap_or_else(|| all(&suites::TLS13));
        let second: Vec<u16> =
            self.suites12.clone().unwrap_or_else(|| all(&suites::TLS12));
        [first, second].concat()
    }

    fn checks(&self) -> (bool, Names) {
        let (name, cn) = (self.check_name, self.check_cn);
        let names = if name != Some(false) && (cn != Some(false) || name == Some(true)) {
            Names::All
        } else if cn == Some(true) {
            Names::Common
        } else {
            Names::Unchecked
        };
        (self.check_expire != Some(false), names)
    }

    /// Is a certificate (DER) one that the upstream `host` may show now (seconds since
    /// 1970)? Who issued it is another question. The error is httpd's number and sentence.
    pub fn accepts(&self, der: &[u8], host: &str, now: i64) -> Result<(), String> {
        let Some(certificate) = Certificate::parse(der) else {
            return Err("SSL Proxy: the peer's certificate cannot be read".to_owned());
        };
        let (expire, names) = self.checks();
        if expire && (now < certificate.not_before || now > certificate.not_after) {
            return Err("AH02004: SSL Proxy: Peer certificate is expired".to_owned());
        }
        let common: Vec<String> = x509::attributes(certificate.subject)
            .iter()
            .filter(|attribute| attribute.kind == COMMON_NAME)
            .map(x509::Attribute::text)
            .collect();
        match names {
            Names::Unchecked => Ok(()),
            Names::All => {
                let mut all = certificate.alt_names(AltName::Dns);
                all.extend(common);
                if all.iter().any(|name| names_host(name, host)) {
                    return Ok(());
                }
                Err(format!(
                    "AH02411: SSL Proxy: Peer certificate does not match for hostname {host}"
                ))
            }
            Names::Common => {
                let name = common.first().cloned().unwrap_or_default();
                if names_host(&name, host) {
                    return Ok(());
                }
                Err(format!(
                    "AH02005: SSL Proxy: Peer certificate CN mismatch: Certificate CN: {name} \
                     Requested hostname: {host}"
                ))
            }
        }
    }
}

/// Who issued a certificate (DER): the contents of the name.
pub fn issuer(der: &[u8]) -> Option<&[u8]> {
    Certificate::parse(der).map(|certificate| certificate.issuer.value)
}

/// Is a name of a certificate that of a host? `*.` stands for one label.
/// `modssl_X509_match_name`.
fn names_host(name: &str, host: &str) -> bool {
    if name.is_empty() || name.contains('\0') {
        return false;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(rest) = name.strip_prefix("*.") else { return false };
    let Some((first, behind)) = host.split_once('.') else { return false };
    // An address has no labels.
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    !is_address && !first.is_empty() && rest.eq_ignore_ascii_case(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label() {
        for (name, host, fits) in [
            ("One.test", "one.TEST", true),
            ("*.one.test", "www.one.test", true),
            ("*.one.test", "one.test", false),
            ("*.one.test", "a.b.one.test", false),
            ("*.0.0.1", "127.0.0.1", false),
            ("*", "host", false),
            ("", "", false),
            ("one.test", "one.test.", true),
        ] {
            assert_eq!(names_host(name, host), fits, "{name} {host}");
        }
    }

    #[test]
    fn names_are_checked_unless_both_say_no() {
        let checks = |check_name, check_cn| {
            let settings = Proxied { check_name, check_cn, ..Proxied::default() };
            settings.checks().1
        };
        assert_eq!(checks(None, None), Names::All);
        assert_eq!(checks(None, Some(false)), Names::Unchecked);
        assert_eq!(checks(Some(true), Some(false)), Names::All);
        assert_eq!(checks(Some(false), None), Names::Unchecked);
        assert_eq!(checks(Some(false), Some(true)), Names::Common);
    }
}
