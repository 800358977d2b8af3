//! Certificates of clients: who is let in.

use anyhow::{Result, ensure};
use compat_tests::server::Kind;

use crate::site::{Site, hosts};

/// Who asks: the certificate's file and its key's.
const WHO: [Option<(&str, &str)>; 5] = [
    None,
    Some(("client.pem", "client.key")),
    Some(("revoked.pem", "revoked.key")),
    Some(("wrong.pem", "wrong.key")),
    Some(("deep-chain.pem", "deep.key")),
];

/// The status for each of them, 0 if the handshake fails, with both versions of TLS.
fn statuses(kind: Kind, conf: &str, path: &str) -> Result<Vec<u16>> {
    let site = Site::start(kind, &hosts(conf))?;
    let mut all = Vec::new();
    for version in [["--tls-max", "1.2"], ["--tls-max", "1.3"]] {
        for who in WHO {
            let mut args = version.to_vec();
            if let Some((certificate, key)) = who {
                args.extend(["--cert", certificate, "--key", key]);
            }
            all.push(site.curl("one.test", path, &args)?.status);
        }
    }
    Ok(all)
}

const CA: &str = "SSLCACertificateFile {ca}/ca.pem\n";
const CRL: &str = "SSLCARevocationFile {ca}/ca.crl\n";
const CRLS: &str = "SSLCARevocationPath {ca}/crls\n";

#[test]
fn certificates_are_looked_at() -> Result<()> {
    for (conf, expected) in [
        (format!("SSLVerifyClient optional\n{CA}"), [200, 200, 200, 0, 0]),
        (format!("SSLVerifyClient require\n{CA}"), [0, 200, 200, 0, 0]),
        (
            format!("SSLVerifyClient require\nSSLVerifyDepth 2\n{CA}"),
            [0, 200, 200, 0, 200],
        ),
        (
            format!("SSLVerifyClient require\nSSLCARevocationCheck chain\n{CA}{CRL}"),
            [0, 200, 0, 0, 0],
        ),
        (
            format!("SSLVerifyClient require\nSSLCARevocationCheck leaf\n{CA}{CRLS}"),
            [0, 200, 0, 0, 0],
        ),
        (
            format!("SSLVerifyClient require\nSSLCARevocationCheck none\n{CA}{CRL}"),
            [0, 200, 200, 0, 0],
        ),
        (
            // Nobody has a list of what the authority in the middle has revoked.
            format!(
                "SSLVerifyClient require\nSSLVerifyDepth 2\nSSLCARevocationCheck leaf\n\
                 {CA}{CRL}"
            ),
            [0, 200, 0, 0, 0],
        ),
        (
            format!(
                "SSLVerifyClient require\nSSLVerifyDepth 2\n\
                 SSLCARevocationCheck chain no_crl_for_cert_ok\n{CA}{CRL}"
            ),
            [0, 200, 0, 0, 200],
        ),
        (format!("SSLVerifyClient optional_no_ca\n{CA}"), [200, 200, 200, 200, 0]),
    ] {
        let expected = [expected, expected].concat();
        let ours = statuses(Kind::Ours, &conf, "/a.txt")?;
        ensure!(ours == expected, "{conf}\nours: {ours:?}");
        let theirs = statuses(Kind::Apache, &conf, "/a.txt")?;
        ensure!(ours == theirs, "{conf}\nours: {ours:?}, apache2: {theirs:?}");
    }
    Ok(())
}

#[test]
fn conditions_of_requests() -> Result<()> {
    let base = format!("SSLVerifyClient optional_no_ca\nSSLVerifyDepth 2\n{CA}");
    let location = |inner: &str| format!("{base}<Location /a.txt>\n{inner}</Location>\n");
    for (inner, expected) in [
        ("Require ssl\n", [200, 200, 200, 200, 200]),
        ("Require ssl-verify-client\n", [403, 200, 200, 403, 200]),
        ("SSLRequireSSL\n", [200, 200, 200, 200, 200]),
        ("SSLRequire %{SSL_CLIENT_S_DN_CN} eq \"Joe Doe\"\n", [403, 200, 403, 403, 403]),
        (
            "SSLRequire %{SSL_CLIENT_S_DN_CN} in {\"Revoked\", \"Wrong\"} and \
             %{SSL_CLIENT_VERIFY} == \"SUCCESS\"\n",
            [403, 403, 200, 403, 403],
        ),
        (
            "Require expr %{SSL_CLIENT_I_DN_CN} == 'Other Root'\n",
            [403, 403, 403, 200, 403],
        ),
        (
            // A user who is none gets in nowhere, whoever else would be let in.
            "SSLOptions +FakeBasicAuth\nAuthType Basic\nAuthName x\n\
             AuthUserFile {root}/conf/users\nRequire valid-user\n",
            [401, 200, 401, 401, 401],
        ),
        (
            "SSLOptions +StrictRequire\nSSLRequire %{SSL_CLIENT_VERIFY} == \"SUCCESS\"\n\
             Satisfy Any\nRequire all granted\n",
            [403, 200, 200, 403, 200],
        ),
    ] {
        let conf = location(inner);
        let run = |kind| -> Result<Vec<u16>> {
            let root = crate::site::configured(kind, &hosts(&conf))?;
            // `password`, as mod_ssl's manual has it.
            let user = "/C=DE/O=Clients <x>/OU=Staff/CN=Joe Doe/UID=joe/serialNumber=77";
            root.write("conf/users", format!("{user}:xxj31ZMTZzkVA\n").as_bytes())?;
            let server = compat_tests::server::Server::start(kind, &root)?;
            let site = Site { server, root };
            let mut all = Vec::new();
            for who in WHO {
                let mut args = Vec::new();
                if let Some((certificate, key)) = who {
                    args.extend(["--cert", certificate, "--key", key]);
                }
                all.push(site.curl("one.test", "/a.txt", &args)?.status);
            }
            Ok(all)
        };
        let ours = run(Kind::Ours)?;
        ensure!(ours == expected, "{inner}\nours: {ours:?}");
        if !inner.contains("StrictRequire") {
            let theirs = run(Kind::Apache)?;
            ensure!(ours == theirs, "{inner}\nours: {ours:?}, apache2: {theirs:?}");
        }
    }
    Ok(())
}

#[test]
fn a_section_may_want_what_the_handshake_has_asked_for() -> Result<()> {
    let conf = format!(
        "SSLVerifyClient optional\n{CA}<Location /a.txt>\nSSLVerifyClient require\n\
         </Location>\n"
    );
    let ours = statuses(Kind::Ours, &conf, "/a.txt")?;
    let expected = [403, 200, 200, 0, 0];
    ensure!(ours == [expected, expected].concat(), "{ours:?}");
    let elsewhere = statuses(Kind::Ours, &conf, "/none")?;
    ensure!(elsewhere[0] == 404, "{elsewhere:?}");
    Ok(())
}

#[test]
fn a_name_that_only_certificates_have_is_no_login() -> Result<()> {
    let inner = "SSLOptions +FakeBasicAuth\nAuthType Basic\nAuthName x\n\
                 AuthUserFile {root}/conf/users\nRequire valid-user\n";
    let conf = format!("<Location /a.txt>\n{inner}</Location>\n");
    for kind in [Kind::Ours, Kind::Apache] {
        let root = crate::site::configured(kind, &hosts(&conf))?;
        root.write("conf/users", b"/CN=x:xxj31ZMTZzkVA\n")?;
        let server = compat_tests::server::Server::start(kind, &root)?;
        let site = Site { server, root };
        let said = site.curl("one.test", "/a.txt", &["-u", "/CN=x:password"])?;
        ensure!(said.status == 403, "{kind:?}: {said:?}");
    }
    Ok(())
}

#[test]
fn without_tls_nobody_gets_what_wants_it() -> Result<()> {
    let conf = "<Location /a.txt>\nSSLRequireSSL\n</Location>\n\
                <Location /b.txt>\nRequire ssl\n</Location>\n";
    let site = Site::start(Kind::Ours, &(conf.to_owned() + &hosts("")))?;
    for path in ["/a.txt", "/b.txt"] {
        let mut client = compat_tests::http::Client::connect(site.root.port)?;
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
        ensure!(client.response("GET")?.status == 403, "{path}");
    }
    Ok(())
}
