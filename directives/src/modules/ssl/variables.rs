//! mod_ssl's variables: `SSL_PROTOCOL`, `SSL_CLIENT_S_DN_CN` and the like. See
//! `ssl_var_lookup` and the table in mod_ssl's manual.

use bytes::Bytes;

use super::pem;
use super::session::{Tls, Verified};
use super::suites;
use super::x509::{self, AltName, Attribute, Certificate};

/// What `SSL_VERSION_INTERFACE` says.
const INTERFACE: &str = concat!("fcgi-httpd/", env!("CARGO_PKG_VERSION"));
/// What `SSL_VERSION_LIBRARY` says.
const LIBRARY: &str = "rustls/0.23";
/// How many seconds there are in a day.
const DAY: i64 = 86_400;

/// Parts of names that have variables: their names in variables, and their kinds.
const PARTS: [(&str, &[u8]); 14] = [
    ("C", &[0x55, 4, 6]),
    ("ST", &[0x55, 4, 8]),
    ("SP", &[0x55, 4, 8]),
    ("L", &[0x55, 4, 7]),
    ("O", &[0x55, 4, 10]),
    ("OU", &[0x55, 4, 11]),
    ("CN", &[0x55, 4, 3]),
    ("T", &[0x55, 4, 12]),
    ("I", &[0x55, 4, 43]),
    ("G", &[0x55, 4, 42]),
    ("S", &[0x55, 4, 4]),
    ("D", &[0x55, 4, 13]),
    ("UID", x509::UID),
    ("Email", x509::EMAIL),
];

/// A variable, its name read when the configuration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `HTTPS`.
    Https,
    /// `SSL_PROTOCOL`.
    Protocol,
    /// `SSL_CIPHER`.
    Cipher,
    /// `SSL_CIPHER_EXPORT`.
    CipherExport,
    /// `SSL_CIPHER_USEKEYSIZE` and `SSL_CIPHER_ALGKEYSIZE`.
    KeySize,
    /// `SSL_COMPRESS_METHOD`.
    Compression,
    /// `SSL_SECURE_RENEG`.
    SecureRenegotiation,
    /// `SSL_SESSION_RESUMED`.
    Resumed,
    /// `SSL_TLS_SNI`.
    Sni,
    /// `SSL_VERSION_INTERFACE`.
    Interface,
    /// `SSL_VERSION_LIBRARY`.
    Library,
    /// `SSL_CLIENT_VERIFY`.
    Verify,
    /// `SSL_CLIENT_CERT_CHAIN_n`.
    Chain(u8),
    /// What a certificate says: the client's, or the server's.
    Of(Whose, Field),
    /// One that nothing here has a value for: `SSL_SESSION_ID`, `SSL_SRP_USER`.
    Nothing,
}

/// Whose certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The client's.
    Client,
    /// The server's.
    Server,
}

/// What a certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `M_VERSION`.
    Version,
    /// `M_SERIAL`.
    Serial,
    /// `V_START`.
    Start,
    /// `V_END`.
    End,
    /// `V_REMAIN`: days.
    Remain,
    /// `S_DN`.
    Subject,
    /// `I_DN`.
    Issuer,
    /// `S_DN_CN_0` and the like: which of [`PARTS`], and which of several.
    SubjectPart(u8, u8),
    /// The same of the issuer.
    IssuerPart(u8, u8),
    /// `SAN_Email_n` and the like.
    AltName(AltKind, u8),
    /// `A_KEY`.
    Key,
    /// `A_SIG`.
    Signature,
    /// `CERT`.
    Pem,
    /// `CERT_RFC4523_CEA`.
    Assertion,
}

/// The kinds of further names, in variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AltKind {
    /// `SAN_Email`.
    Email,
    /// `SAN_DNS`.
    Dns,
    /// `SAN_OTHER_msUPN`, of clients.
    Upn,
    /// `SAN_OTHER_dnsSRV`, of servers.
    DnsSrv,
}

impl AltKind {
    fn kind(self) -> AltName {
        match self {
            AltKind::Email => AltName::Email,
            AltKind::Dns => AltName::Dns,
            AltKind::Upn => AltName::Upn,
            AltKind::DnsSrv => AltName::DnsSrv,
        }
    }

    fn name(self) -> &'static str {
        match self {
            AltKind::Email => "SAN_Email",
            AltKind::Dns => "SAN_DNS",
            AltKind::Upn => "SAN_OTHER_msUPN",
            AltKind::DnsSrv => "SAN_OTHER_dnsSRV",
        }
    }
}

/// The variables that are the same for every connection's TLS, in mod_ssl's order.
const PLAIN: [(&str, Name); 12] = [
    ("VERSION_INTERFACE", Name::Interface),
    ("VERSION_LIBRARY", Name::Library),
    ("PROTOCOL", Name::Protocol),
    ("SECURE_RENEG", Name::SecureRenegotiation),
    ("COMPRESS_METHOD", Name::Compression),
    ("CIPHER", Name::Cipher),
    ("CIPHER_EXPORT", Name::CipherExport),
    ("CIPHER_USEKEYSIZE", Name::KeySize),
    ("CIPHER_ALGKEYSIZE", Name::KeySize),
    ("CLIENT_VERIFY", Name::Verify),
    ("SESSION_RESUMED", Name::Resumed),
    ("TLS_SNI", Name::Sni),
];

/// What is exported of both certificates, in mod_ssl's order.
const FIELDS: [(&str, Field); 11] = [
    ("M_VERSION", Field::Version),
    ("M_SERIAL", Field::Serial),
    ("V_START", Field::Start),
    ("V_END", Field::End),
    ("V_REMAIN", Field::Remain),
    ("S_DN", Field::Subject),
    ("I_DN", Field::Issuer),
    ("A_KEY", Field::Key),
    ("A_SIG", Field::Signature),
    ("CERT_RFC4523_CEA", Field::Assertion),
    ("CERT", Field::Pem),
];

impl Name {
    /// The variable of a name; `None` for what is none of mod_ssl's.
    pub fn parse(name: &str) -> Option<Name> {
        if name.eq_ignore_ascii_case("HTTPS") {
            return Some(Name::Https);
        }
        let rest = strip(name, "SSL_")?;
        if let Some((_, name)) =
            PLAIN.iter().find(|(own, _)| own.eq_ignore_ascii_case(rest))
        {
            return Some(*name);
        }
        if let Some(number) = strip(rest, "CLIENT_CERT_CHAIN_") {
            return Some(number.parse().map_or(Name::Nothing, Name::Chain));
        }
        let field =
            |whose, rest| Field::parse(whose, rest).map(|field| Name::Of(whose, field));
        let found = match (strip(rest, "CLIENT_"), strip(rest, "SERVER_")) {
            (Some(rest), _) => field(Whose::Client, rest),
            (_, Some(rest)) => field(Whose::Server, rest),
            _ => None,
        };
        Some(found.unwrap_or(Name::Nothing))
    }

    /// Is it about the client's certificate?
    pub fn is_of_client(self) -> bool {
        matches!(self, Name::Of(Whose::Client, _) | Name::Chain(_))
    }

    /// Its value where there is no TLS: that of the few that are about the server.
    pub fn constant(self) -> Option<Bytes> {
        match self {
            Name::Interface => Some(Bytes::from_static(INTERFACE.as_bytes())),
            Name::Library => Some(Bytes::from_static(LIBRARY.as_bytes())),
            Name::Https => Some(Bytes::from_static(b"off")),
            _ => None,
        }
    }

    /// Its value on a connection. `now` is the time, microseconds since 1970; `legacy` is
    /// `SSLOptions +LegacyDNStringFormat`.
    pub fn value(self, tls: &Tls, now: i64, legacy: bool) -> Option<Bytes> {
        let text = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        let suite = || suites::by_id(tls.suite);
        match self {
            Name::Https => text("on"),
            Name::Protocol => text(tls.protocol),
            Name::Cipher => text(suite()?.name),
            Name::CipherExport => text("false"),
            Name::KeySize => text(&suite()?.bits.to_string()),
            Name::Compression => text("NULL"),
            // What rustls does not do at all is not done insecurely.
            Name::SecureRenegotiation => text("true"),
            Name::Resumed => text(if tls.resumed { "Resumed" } else { "Initial" }),
            Name::Sni => text(tls.sni.as_ref()?),
            Name::Interface | Name::Library => self.constant(),
            Name::Verify => text(match tls.verified {
                Verified::None => "NONE",
                Verified::Success => "SUCCESS",
                Verified::Generous => "GENEROUS",
            }),
            Name::Chain(n) => {
                let found = tls.peer.get(usize::from(n) + 1)?;
                Some(pem::encode("CERTIFICATE", found).into())
            }
            Name::Of(whose, Field::Pem) => {
                Some(pem::encode("CERTIFICATE", certificate(tls, whose)?).into())
            }
            Name::Of(whose, field) => {
                let found = Certificate::parse(certificate(tls, whose)?)?;
                field.value(&found, now, legacy).map(Bytes::from)
            }
            Name::Nothing => None,
        }
    }
}

fn certificate(tls: &Tls, whose: Whose) -> Option<&Bytes> {
    match whose {
        Whose::Client => tls.peer.first(),
        Whose::Server => Some(&tls.own).filter(|own| !own.is_empty()),
    }
}

fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

impl Field {
    fn parse(whose: Whose, text: &str) -> Option<Field> {
        if text.eq_ignore_ascii_case("CERT_RFC4523_CEA") && whose == Whose::Server {
            return None;
        }
        let known = FIELDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        if let Some((_, field)) = known {
            return Some(*field);
        }
        for kind in [AltKind::Email, AltKind::Dns, AltKind::Upn, AltKind::DnsSrv] {
            if let Some(number) =
                strip(text, kind.name()).and_then(|n| n.strip_prefix('_'))
            {
                return Some(Field::AltName(kind, number.parse().ok()?));
            }
        }
        let (of_subject, rest) = match (strip(text, "S_DN_"), strip(text, "I_DN_")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return None,
        };
        let (name, index) = match rest.rsplit_once('_') {
            Some((name, index)) => (name, index.parse().ok()?),
            None => (rest, 0),
        };
        // As in mod_ssl these are told apart by case: `Email`, not `EMAIL`.
        let part = PARTS.iter().position(|(own, _)| *own == name)? as u8;
        let field = if of_subject { Field::SubjectPart } else { Field::IssuerPart };
        Some(field(part, index))
    }

    fn value(self, of: &Certificate<'_>, now: i64, legacy: bool) -> Option<String> {
        let name = if legacy { x509::name_oneline } else { x509::name_rfc2253 };
        Some(match self {
            Field::Version => of.version.to_string(),
            Field::Serial => of.serial_hex(),
            Field::Start => x509::shown(of.not_before),
            Field::End => x509::shown(of.not_after),
            Field::Remain => ((of.not_after - now / 1_000_000) / DAY).max(0).to_string(),
            Field::Subject => name(of.subject),
            Field::Issuer => name(of.issuer),
            Field::SubjectPart(part, n) => {
                nth_part(&x509::attributes(of.subject), part, n)?
            }
            Field::IssuerPart(part, n) => {
                nth_part(&x509::attributes(of.issuer), part, n)?
            }
            Field::AltName(kind, n) => {
                of.alt_names(kind.kind()).into_iter().nth(usize::from(n))?
            }
            Field::Key => of.key(),
            Field::Signature => of.signature(),
            Field::Assertion => of.exact_assertion(),
            // Needs the certificate as a whole: see `Name::value`.
            Field::Pem => return None,
        })
    }
}

fn nth_part(parts: &[Attribute<'_>], part: u8, n: u8) -> Option<String> {
    let (_, kind) = PARTS.get(usize::from(part))?;
    parts.iter().filter(|own| own.kind == *kind).nth(usize::from(n)).map(Attribute::text)
}

/// The variables of `SSLOptions +StdEnvVars`.
pub fn standard(tls: &Tls, now: i64, legacy: bool) -> Vec<(Bytes, Bytes)> {
    let mut all: Vec<(Bytes, Bytes)> = Vec::with_capacity(48);
    let mut add = |name: String, value: Option<Bytes>| {
        if let Some(value) = value {
            all.push((name.into(), value));
        }
    };
    for (name, which) in PLAIN {
        if which != Name::Sni {
            add(format!("SSL_{name}"), which.value(tls, now, legacy));
        }
    }
    for whose in [Whose::Server, Whose::Client] {
        let prefix = match whose {
            Whose::Client => "SSL_CLIENT",
            Whose::Server => "SSL_SERVER",
        };
        let Some(found) =
            certificate(tls, whose).and_then(|bytes| Certificate::parse(bytes))
        else {
            continue;
        };
        for (name, field) in FIELDS {
            let is_clients = matches!(field, Field::Remain | Field::Assertion);
            if field != Field::Pem && (whose == Whose::Client || !is_clients) {
                let value = field.value(&found, now, legacy);
                add(format!("{prefix}_{name}"), value.map(Bytes::from));
            }
        }
        for (of, name) in [("S_DN", found.subject), ("I_DN", found.issuer)] {
            each_part(&x509::attributes(name), |part, value| {
                add(format!("{prefix}_{of}_{part}"), Some(value.into()));
            });
        }
        let other = if whose == Whose::Client { AltKind::Upn } else { AltKind::DnsSrv };
        for kind in [AltKind::Email, AltKind::Dns, other] {
            for (n, value) in found.alt_names(kind.kind()).into_iter().enumerate() {
                add(format!("{prefix}_{}_{n}", kind.name()), Some(value.into()));
            }
        }
    }
    all
}

/// The parts of a name as variables: the first of a kind without a number. See
/// `extract_dn`.
fn each_part(parts: &[Attribute<'_>], mut emit: impl FnMut(String, String)) {
    let mut counts = [0_u32; PARTS.len()];
    for part in parts {
        let Some(i) = PARTS.iter().position(|(_, kind)| *kind == part.kind) else {
            continue;
        };
        let name = PARTS[i].0;
        match counts[i] {
            0 => emit(name.to_owned(), part.text()),
            n => emit(format!("{name}_{n}"), part.text()),
        }
        counts[i] += 1;
    }
}

/// The variables of `SSLOptions +ExportCertData`.
pub fn certificates(tls: &Tls) -> Vec<(Bytes, Bytes)> {
    let mut all = Vec::new();
    let mut add = |name: String, contents: &[u8]| {
        all.push((Bytes::from(name), Bytes::from(pem::encode("CERTIFICATE", contents))));
    };
    add("SSL_SERVER_CERT".to_owned(), &tls.own);
    if let Some((own, issuers)) = tls.peer.split_first() {
        add("SSL_CLIENT_CERT".to_owned(), own);
        for (n, issuer) in issuers.iter().enumerate() {
            add(format!("SSL_CLIENT_CERT_CHAIN_{n}"), issuer);
        }
    }
    all
}
