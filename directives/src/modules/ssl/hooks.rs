//! What TLS has to say about a request: does it belong to this connection, may it come in,
//! and what its application is told.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;

use super::session::{Security, Tls, Verified};
use super::variables::{self, Name};
use super::{SniPolicy, Verify, x509};
use crate::log::Level;
use crate::modules::authn_core;
use crate::modules::core::expr_wants;
use crate::modules::gateway::Caller;
use crate::phase::{DECLINED, Verdict};
use crate::request::Request;

/// The page of a client that speaks HTTP to a port of TLS.
const NOT_SPOKEN: &str = "Reason: You're speaking plain HTTP to an SSL-enabled server port.\
                          <br />\n Instead use the HTTPS scheme to access this URL, please.<br />\n";
/// The page of a client that names no host in its handshake.
const NO_SNI: &str = "Reason: The client software did not provide a hostname using Server Name \
                      Indication (SNI), which is required to access this server.<br />\n";
/// The note of a request that `StrictRequire` does not let in by any other way.
const FORBIDDEN: &[u8] = b"ssl-access-forbidden";

/// A variable's value for a request.
pub fn variable(r: &Request, name: Name) -> Option<Bytes> {
    let Some(tls) = r.connection.security.tls() else { return name.constant() };
    name.value(tls, r.request_time, r.dir.ssl.options.legacy_dn)
}

/// `ssl_hook_ReadReq`: is the host of the request one that the handshake was good for?
pub fn compare_names(r: &mut Request) -> Verdict {
    let tls = match &r.connection.security {
        Security::Plain => return DECLINED,
        Security::NotSpoken => {
            r.notes.set("error-notes", NOT_SPOKEN);
            return Verdict::Status(400);
        }
        Security::Tls(tls) => tls.clone(),
    };
    let server = r.server.clone();
    if tls.sni.is_some() && r.hostname.is_none() {
        let sni = tls.sni.as_deref().unwrap_or_default();
        let text = format!(
            "Hostname {sni} provided via SNI, but no hostname provided in HTTP request"
        );
        r.log(Level::Error, "ssl", 2031, text);
        return Verdict::Status(400);
    }
    if tls.sni.is_none() && (tls.strict || server.config.ssl.is_strict()) {
        let text = "No hostname was provided via SNI for a name based virtual host";
        r.log(Level::Error, "ssl", 2033, text);
        r.notes.set("error-notes", NO_SNI);
        return Verdict::Status(403);
    }
    match compare_policies(r, &tls) {
        Some(status) => Verdict::Status(status),
        None => DECLINED,
    }
}

/// May a call of a gateway come over this connection? What it describes is checked by
/// nobody else: the connection says nothing about that.
pub fn check_call(r: &mut Request) -> Result<(), u16> {
    match r.connection.security.clone() {
        Security::Plain => Ok(()),
        Security::NotSpoken => Err(400),
        Security::Tls(tls) => compare_policies(r, &tls).map_or(Ok(()), Err),
    }
}

/// Does the request's host ask no more of a client than the handshake's?
fn compare_policies(r: &mut Request, tls: &Arc<Tls>) -> Option<u16> {
    let server = r.server.clone();
    let own = server.config.ssl.policy();
    // A connection may be older than the configuration. Its host is still the same one; but
    // what it asks of clients may have changed.
    let is_same = server.addresses == tls.addresses
        && server.config.core.server_name.as_ref() == Some(&tls.host);
    let rule =
        if is_same { SniPolicy::AuthOnly } else { r.snapshot.process.ssl.sni_policy };
    if !Arc::ptr_eq(own, &tls.policy) && !own.accepts(&tls.policy, rule) {
        let (name, how) = match &tls.sni {
            Some(sni) => (sni.as_str(), "provided via SNI"),
            None => (tls.host.as_str(), "(default host as no SNI was provided)"),
        };
        let rule = match rule {
            SniPolicy::Strict => "strict",
            SniPolicy::Secure => "secure",
            SniPolicy::AuthOnly => "authonly",
            SniPolicy::Insecure => "insecure",
        };
        let host = r.hostname.clone().unwrap_or_default();
        let text = format!(
            "Hostname {name} {how} and hostname {host} provided via HTTP have no compatible \
             SSL setup for policy '{rule}'"
        );
        r.log(Level::Error, "ssl", 2032, text);
        return Some(421);
    }
    None
}

/// `ssl_hook_Access`.
pub fn check_access(r: &mut Request) -> Verdict {
    if r.gateway.as_ref().is_some_and(|caller| wants_certificate(r, caller)) {
        let why =
            "a client certificate is required, and no caller of a gateway shows one";
        return forbid(r, 0, why);
    }
    let ssl = &r.dir.ssl;
    if !ssl.require_ssl && ssl.verify.is_none() && ssl.requires.is_empty() {
        return DECLINED;
    }
    let dir = r.dir.clone();
    let ssl = &dir.ssl;
    if ssl.require_ssl && !r.connection.secure {
        return forbid(r, 2219, "SSL connection required");
    }
    if let (Some(Verify::Require), Some(tls)) = (ssl.verify, r.connection.security.tls())
        && tls.verified != Verified::Success
    {
        return forbid(r, 0, "a client certificate is required, and none was verified");
    }
    for requirement in &ssl.requires {
        match requirement.condition.holds(r) {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                let client = r.useragent_ip;
                let file = String::from_utf8_lossy(&r.filename).into_owned();
                let text = format!(
                    "Access to {file} denied for {client} (requirement expression not fulfilled)"
                );
                r.log(Level::Info, "ssl", 2266, text);
                let text = format!("Failed expression: {}", requirement.text);
                r.log(Level::Info, "ssl", 2228, text);
                return forbid(r, 2229, "SSL requirement expression not fulfilled");
            }
            Ok(Err(why)) => {
                let why = format!("Failed to execute SSL requirement expression: {why}");
                return forbid(r, 2265, &why);
            }
            Err(want) => return expr_wants(r, want, check_access),
        }
    }
    DECLINED
}

/// Is a client without a good certificate not let in? What a host asks for in handshakes
/// its caller may have shown; what a section asks for is the client's own.
fn wants_certificate(r: &Request, caller: &Caller) -> bool {
    let host = &r.server.config.ssl;
    let has_shown = || {
        let policy = host.policy();
        let shown = caller.handshake.as_ref();
        shown.is_some_and(|shown| policy.accepts(shown, SniPolicy::AuthOnly))
    };
    r.dir.ssl.verify == Some(Verify::Require)
        || host.verify() == Verify::Require
            && super::is_on(&r.snapshot, &r.server)
            && !has_shown()
}

fn forbid(r: &mut Request, number: u32, why: &str) -> Verdict {
    let file = String::from_utf8_lossy(&r.filename).into_owned();
    r.log(Level::Error, "ssl", number, format!("access to {file} failed, reason: {why}"));
    if r.dir.ssl.options.strict_require {
        r.notes.set(FORBIDDEN, "1");
    }
    Verdict::Status(403)
}

/// `SSLOptions +StrictRequire`: with `Satisfy Any` a user would be let in all the same.
pub fn stay_forbidden(r: &mut Request) -> Verdict {
    if r.notes.has(FORBIDDEN) { Verdict::Status(403) } else { DECLINED }
}

/// `ssl_hook_UserCheck`: the subject of the client's certificate as a user's name.
pub fn fake_basic_auth(r: &mut Request) -> Verdict {
    let fakes = r.dir.ssl.options.fake_basic_auth;
    if !r.connection.secure && !fakes {
        return DECLINED;
    }
    if is_spoof(r) {
        let text = "Encountered FakeBasicAuth spoof";
        r.log(Level::Error, "ssl", 2035, text);
        return Verdict::Status(403);
    }
    if !fakes {
        return DECLINED;
    }
    let Some(tls) = r.connection.security.tls().cloned() else { return DECLINED };
    let Some(certificate) = tls.peer.first() else { return DECLINED };
    if tls.verified != Verified::Success {
        let text = "FakeBasicAuth: the client's certificate was not verified";
        r.log(Level::Error, "ssl", 0, text);
        return DECLINED;
    }
    let Some(subject) = x509::Certificate::parse(certificate) else { return DECLINED };
    let subject = x509::name_oneline(subject.subject);
    if subject.contains(':') {
        // What stands behind it would be a password.
        r.log(
            Level::Error,
            "ssl",
            0,
            format!("FakeBasicAuth: no user's name: {subject}"),
        );
        return Verdict::Status(403);
    }
    let encoded = authn_core::encode_base64(format!("{subject}:password").as_bytes());
    if let Ok(value) = HeaderValue::from_str(&format!("Basic {encoded}")) {
        Arc::make_mut(&mut r.headers_in).insert(AUTHORIZATION, value);
    }
    DECLINED
}

/// A client that sends by itself what a certificate would have been turned into.
fn is_spoof(r: &Request) -> bool {
    let field = r.headers_in.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let basic =
        field.filter(|_| r.prev.is_none() && r.main.is_none()).and_then(|field| {
            let (scheme, rest) = field.split_at_checked(6)?;
            scheme.eq_ignore_ascii_case(b"basic ").then_some(rest)
        });
    let given = basic.map(|encoded| authn_core::decode_base64(encoded.trim_ascii()));
    given.is_some_and(|given| given.starts_with(b"/") && given.ends_with(b":password"))
}

/// `ssl_hook_Fixup`: what applications are told.
pub fn set_variables(r: &mut Request) -> Verdict {
    let Some(tls) = r.connection.security.tls().cloned() else { return DECLINED };
    // What an unverified certificate says of itself is nobody's name.
    let good = tls.verified == Verified::Success;
    let named = r.dir.ssl.user_name.filter(|name| good || !name.is_of_client());
    if let Some(user) = named.and_then(|name| variable(r, name)) {
        r.user = Some(user);
    }
    r.env.set("HTTPS", "on");
    if let Some(sni) = &tls.sni {
        r.env.set("SSL_TLS_SNI", sni.clone());
    }
    let options = r.dir.ssl.options;
    if options.std_env_vars {
        each_standard(&tls, r, options.legacy_dn);
    }
    if options.export_cert_data {
        for (name, value) in variables::certificates(&tls) {
            r.env.set(name, value);
        }
    }
    DECLINED
}

/// `+StdEnvVars`. They are made once for a connection, unless somebody wants them otherwise.
fn each_standard(tls: &Arc<Tls>, r: &mut Request, legacy: bool) {
    let made;
    let all = if legacy {
        made = variables::standard(tls, r.request_time, true);
        &made
    } else {
        tls.standard.get_or_init(|| variables::standard(tls, r.request_time, false))
    };
    for (name, value) in all {
        r.env.set(name.clone(), value.clone());
    }
}
