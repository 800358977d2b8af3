//! Calls of a gateway over TLS: the connection is the caller's, and says nothing about the
//! client whose request it describes.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Result, ensure};
use compat_tests::application::Application;
use compat_tests::server::{Kind, Server};

use crate::site::{Said, Site, configured, write};

/// A service on the first host of the address; the second host asks nobody for a certificate.
fn site(verify: &str) -> Result<(Site, Application)> {
    let root = configured(Kind::Ours, "")?;
    let note = format!("note={}", root.join("logs/auth").display());
    let auth = Application::probe(&root, "auth", &[&note])?;
    let conf = format!(
        "FastCgiExternalServer {{root}}/virtual/auth -socket {{root}}/run/auth\n\
         <VirtualHost *:{{port2}}>\nServerName one.test\nSSLEngine on\n\
         SSLCertificateFile {{ca}}/one.pem\nSSLCertificateKeyFile {{ca}}/one.key\n\
         SSLVerifyClient {verify}\nSSLCACertificateFile {{ca}}/ca.pem\n\
         SSLOptions +StdEnvVars +ExportCertData\nSSLUserName SSL_CLIENT_S_DN_CN\n\
         GatewayService forward\nGatewayTrust 127.0.0.1\n\
         <Location />\nFastCgiAuthorizer {{root}}/virtual/auth -compat\n</Location>\n\
         <Location /certified>\nSSLVerifyClient require\n</Location>\n\
         <Location /verified>\nRequire ssl-verify-client\n</Location>\n\
         <Location /secret>\nSSLRequireSSL\n</Location>\n</VirtualHost>\n\
         <VirtualHost *:{{port2}}>\nServerName two.test\nSSLEngine on\n\
         SSLCertificateFile {{ca}}/two.pem\nSSLCertificateKeyFile {{ca}}/two.key\n\
         </VirtualHost>\n"
    );
    write(&root, Kind::Ours, &conf)?;
    Ok((Site { server: Server::start(Kind::Ours, &root)?, root }, auth))
}

const CERTIFICATE: [&str; 4] = ["--cert", "client.pem", "--key", "client.key"];

fn call(site: &Site, host: &str, uri: &str, proto: &str, more: &[&str]) -> Result<Said> {
    let own = [
        "X-Forwarded-Method: GET".to_owned(),
        format!("X-Forwarded-Uri: {uri}"),
        "X-Forwarded-Host: one.test".to_owned(),
        format!("X-Forwarded-Proto: {proto}"),
        "X-Forwarded-For: 203.0.113.7".to_owned(),
    ];
    let mut args = more.to_vec();
    for field in &own {
        args.extend(["-H", field]);
    }
    site.curl(host, "/", &args)
}

#[test]
fn the_callers_tls_is_not_the_clients() -> Result<()> {
    let (site, _auth) = site("optional")?;
    for version in ["--http1.1", "--http2"] {
        let args = [&[version], &CERTIFICATE[..]].concat();
        let said = call(&site, "one.test", "/a", "https", &args)?;
        ensure!(said.status == 200, "{said:?}");
        ensure!(said.field("remote-user").is_none(), "{said:?}");
        // A certificate of the caller lets nobody in who needs one himself.
        for path in ["/certified/a", "/verified/a"] {
            let said = call(&site, "one.test", path, "https", &args)?;
            ensure!(matches!(said.status, 401 | 403), "{path}: {said:?}");
        }
        let said = call(&site, "one.test", "/secret/a", "https", &args)?;
        ensure!(said.status == 200, "{said:?}");
        let said = call(&site, "one.test", "/secret/a", "http", &args)?;
        ensure!(said.status == 403, "{said:?}");
    }
    let calls = site.root.log("auth");
    ensure!(calls.contains("HTTPS=on") && !calls.contains("SSL_"), "{calls}");
    ensure!(!calls.contains("Joe"), "{calls}");
    site.server.stop()
}

/// Another name in the handshake is no way around what the service's host asks of callers,
/// and neither is no handshake.
#[test]
fn callers_are_who_the_services_host_lets_in() -> Result<()> {
    let (site, _auth) = site("require")?;
    let said = call(&site, "two.test", "/a", "https", &[])?;
    ensure!(said.status == 421, "{said:?}");
    let said = call(&site, "one.test", "/a", "https", &[])?;
    ensure!(said.status == 0, "{said:?}");
    let mut plain = TcpStream::connect(("127.0.0.1", site.root.other_port))?;
    plain.write_all(
        b"GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\
        X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /a\r\nX-Forwarded-Host: one.test\r\n\
        X-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n",
    )?;
    let mut answer = String::new();
    plain.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    ensure!(site.root.log("auth").is_empty(), "the authorizer was asked");
    // Who shows a certificate may ask; that is not the client's, whom a section asks for one.
    let said = call(&site, "one.test", "/a", "https", &CERTIFICATE)?;
    ensure!(said.status == 200 && !site.root.log("auth").contains("SSL_"), "{said:?}");
    let said = call(&site, "one.test", "/certified/a", "https", &CERTIFICATE)?;
    ensure!(said.status == 403, "{said:?}");
    site.server.stop()
}
