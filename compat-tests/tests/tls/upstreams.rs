//! Upstreams over TLS: the server is its own upstream, under names whose certificates are
//! good, or not. `ProxyPreserveHost` makes the name of the request the upstream's.

use anyhow::{Result, ensure};
use compat_tests::server::{Kind, Server};

use crate::relay::Relay;
use crate::site::{PROXY, Site, configured};

/// The upstreams: name of the host, name of its certificate.
const HOSTS: [(&str, &str); 8] = [
    ("one.test", "one"),
    ("www.star.test", "star"),
    ("a.b.star.test", "star"),
    ("common.test", "common"),
    ("apart.test", "apart"),
    ("wrong.test", "one"),
    ("stranger.test", "stranger"),
    ("expired.test", "expired"),
];

/// What a `<Proxy>` section says beside `SSLProxyEngine on` around it.
const SETTINGS: [&str; 13] = [
    "",
    "SSLProxyCheckPeerName off\n",
    "SSLProxyCheckPeerName off\nSSLProxyCheckPeerCN on\n",
    "SSLProxyCheckPeerCN off\n",
    "SSLProxyCheckPeerName on\nSSLProxyCheckPeerCN off\n",
    "SSLProxyVerify require\nSSLProxyCACertificateFile {ca}/ca.pem\n",
    "SSLProxyVerify require\n",
    "SSLProxyVerify optional\nSSLProxyCACertificateFile {ca}/other.pem\n",
    "SSLProxyVerify optional_no_ca\nSSLProxyCACertificateFile {ca}/ca.pem\n",
    "SSLProxyCheckPeerExpire off\n",
    "SSLProxyEngine off\n",
    "SSLProxyProtocol TLSv1.2\n",
    "SSLProxyVerify require\nSSLProxyCACertificateFile {ca}/ca.pem\n\
     SSLProxyVerifyDepth 0\n",
];

fn upstream(name: &str, certificate: &str, more: &str) -> String {
    format!(
        "<VirtualHost *:{{port2}}>\nServerName {name}\nSSLEngine on\n\
         SSLCertificateFile {{ca}}/{certificate}.pem\n\
         SSLCertificateKeyFile {{ca}}/{certificate}.key\n{more}</VirtualHost>\n"
    )
}

fn site(kind: Kind, front: &str, hosts: &str) -> Result<Site> {
    let conf = format!(
        "{PROXY}{hosts}<VirtualHost *:{{port}}>\nServerName front.test\n\
         SSLProxyEngine on\n{front}</VirtualHost>\n"
    );
    let root = configured(kind, &conf)?;
    for i in 0..SETTINGS.len() {
        root.write(&format!("htdocs/s{i}/a.txt"), b"hello\n")?;
    }
    Ok(Site { server: Server::start(kind, &root)?, root })
}

#[test]
fn certificates_of_upstreams_are_looked_at_as_apache_does() -> Result<()> {
    let mut front = "ProxyPreserveHost on\n".to_owned();
    for (i, settings) in SETTINGS.iter().enumerate() {
        let url = format!("https://127.0.0.1:{{port2}}/s{i}/");
        front += &format!("ProxyPass /s{i}/ {url}\n<Proxy {url}>\n{settings}</Proxy>\n");
    }
    let hosts: String =
        HOSTS.iter().map(|(name, certificate)| upstream(name, certificate, "")).collect();
    let (theirs, ours) =
        (site(Kind::Apache, &front, &hosts)?, site(Kind::Ours, &front, &hosts)?);
    let (mut good, mut bad, mut different) = (0, 0, String::new());
    for (i, settings) in SETTINGS.iter().enumerate() {
        for (host, _) in HOSTS {
            let path = format!("/s{i}/a.txt");
            let expected = theirs.plain(host, &path, "")?;
            let answer = ours.plain(host, &path, "")?;
            if answer.status != expected.status {
                let (is, was) = (answer.status, expected.status);
                different += &format!("{host} {settings:?}: {is}, apache2 {was}\n");
            }
            if expected.status == 200 {
                ensure!(answer.text() == "hello\n", "{host} {path}: {answer}");
                good += 1;
            } else {
                bad += 1;
            }
        }
    }
    ensure!(different.is_empty(), "{different}{}", ours.root.log("error_log"));
    ensure!(good > 20 && bad > 20, "{good} good, {bad} bad: this says nothing");
    let log = ours.root.log("error_log");
    for text in [
        "AH02411: SSL Proxy: Peer certificate does not match for hostname wrong.test",
        "AH02005: SSL Proxy: Peer certificate CN mismatch",
        "AH02004: SSL Proxy: Peer certificate is expired",
        "AH01961: SSL Proxy requested for 127.0.0.1",
        "UnknownIssuer",
    ] {
        ensure!(log.contains(text), "{text}: {log}");
    }
    theirs.server.stop()?;
    ours.server.stop()
}

/// A name is its own connection: one that was opened for a good name does not serve another.
#[test]
fn a_kept_connection_is_for_its_name_alone() -> Result<()> {
    let front = "ProxyPreserveHost on\nProxyPass / https://127.0.0.1:{port2}/\n";
    let site = site(Kind::Ours, front, &upstream("one.test", "one", ""))?;
    for _ in 0..2 {
        ensure!(site.plain("one.test", "/a.txt", "")?.status == 200);
        ensure!(site.plain("evil.test", "/a.txt", "")?.status == 500);
    }
    site.server.stop()
}

#[test]
fn our_own_certificate_is_shown() -> Result<()> {
    let asks = "SSLVerifyClient require\nSSLCACertificateFile {ca}/ca.pem\n\
                Header set Who %{SSL_CLIENT_S_DN_CN}s\n";
    let front = "ProxyPreserveHost on\n\
        SSLProxyVerify require\nSSLProxyCACertificateFile {ca}/ca.pem\n\
        <Proxy https://127.0.0.1:{port2}/s0/>\n\
        SSLProxyMachineCertificateFile {ca}/machine.pem\n</Proxy>\n\
        ProxyPass /s0/ https://127.0.0.1:{port2}/s0/\n\
        ProxyPass /s1/ https://127.0.0.1:{port2}/s1/\n";
    let mut said = Vec::new();
    for kind in [Kind::Apache, Kind::Ours] {
        let site = site(kind, front, &upstream("one.test", "one", asks))?;
        let shown = site.plain("one.test", "/s0/a.txt", "")?;
        let none = site.plain("one.test", "/s1/a.txt", "")?;
        ensure!(shown.header("who") == Some("Joe Doe"), "{kind:?}: {shown}");
        said.push((shown.status, none.status >= 500));
        site.server.stop()?;
    }
    ensure!(said == [(200, true), (200, true)], "{said:?}");
    Ok(())
}

/// A member's own section has the last word, the balancer's holds for the others.
#[test]
fn members_of_a_balancer_are_secured() -> Result<()> {
    let front = "ProxyPreserveHost on\n\
        ProxyPass /s0/ balancer://good/s0/\nProxyPass /s1/ balancer://strict/s1/\n\
        <Proxy balancer://good>\nBalancerMember https://127.0.0.1:{port2}\n</Proxy>\n\
        <Proxy balancer://strict>\nBalancerMember https://localhost:{port2}\n\
        SSLProxyCheckPeerName off\n</Proxy>\n\
        <Proxy https://localhost:{port2}>\n\
        SSLProxyVerify require\nSSLProxyCACertificateFile {ca}/other.pem\n</Proxy>\n";
    let site = site(Kind::Ours, front, &upstream("one.test", "one", ""))?;
    ensure!(site.plain("one.test", "/s0/a.txt", "")?.status == 200);
    let refused = site.plain("one.test", "/s1/a.txt", "")?;
    ensure!(refused.status == 500, "{refused}");
    site.server.stop()
}

/// What `SSLProxyCARevocationCheck` and its lists say, with a good certificate and with one
/// that was taken back.
#[test]
fn certificates_that_were_taken_back_are_refused_as_apache_does() -> Result<()> {
    const LISTS: [&str; 8] = [
        "",
        "SSLProxyCARevocationFile {ca}/ca.crl\n",
        "SSLProxyCARevocationFile {ca}/ca.crl\nSSLProxyCARevocationCheck none\n",
        "SSLProxyCARevocationFile {ca}/ca.crl\nSSLProxyCARevocationCheck leaf\n",
        "SSLProxyCARevocationFile {ca}/ca.crl\nSSLProxyCARevocationCheck chain\n",
        "SSLProxyCARevocationPath {ca}/crls\nSSLProxyCARevocationCheck leaf\n",
        "SSLProxyCARevocationCheck leaf\n",
        "SSLProxyCARevocationPath {ca}/crls\n",
    ];
    let hosts =
        [upstream("one.test", "one", ""), upstream("gone.test", "gone", "")].concat();
    let mut said: Vec<Vec<(u16, u16)>> = Vec::new();
    for kind in [Kind::Apache, Kind::Ours] {
        let mut statuses = Vec::new();
        for lists in LISTS {
            let front = format!(
                "ProxyPreserveHost on\nProxyPass / https://127.0.0.1:{{port2}}/\n\
                 SSLProxyVerify require\nSSLProxyCACertificateFile {{ca}}/ca.pem\n{lists}"
            );
            let conf = format!(
                "{PROXY}{hosts}<VirtualHost *:{{port}}>\nServerName front.test\n\
                 SSLProxyEngine on\n{front}</VirtualHost>\n"
            );
            let root = configured(kind, &conf)?;
            let site = Site { server: Server::start(kind, &root)?, root };
            // httpd's child may go down with a list that it does not like.
            let status =
                |host| site.plain(host, "/a.txt", "").map_or(0, |answer| answer.status);
            statuses.push((status("one.test"), status("gone.test")));
            site.server.stop()?;
        }
        said.push(statuses);
    }
    for ((lists, theirs), ours) in LISTS.iter().zip(&said[0]).zip(&said[1]) {
        let good = |(one, gone): &(u16, u16)| (*one == 200, *gone == 200);
        ensure!(good(theirs) == good(ours), "{lists}: apache2 {theirs:?}, ours {ours:?}");
    }
    ensure!(said[1][0] == (200, 200) && said[1][3] == (200, 500), "{:?}", said[1]);
    Ok(())
}

/// TLS over a Unix socket: its upstream's name is still that of the URL.
#[test]
fn tls_is_spoken_over_unix_sockets_too() -> Result<()> {
    let mut said = Vec::new();
    for kind in [Kind::Apache, Kind::Ours] {
        let front = "ProxyPreserveHost on\n\
            SSLProxyVerify require\nSSLProxyCACertificateFile {ca}/ca.pem\n\
            ProxyPass /s0/ unix:{root}/run/tls.sock|https://one.test/s0/\n\
            ProxyPass /s1/ unix:{root}/run/none.sock|https://one.test/s1/\n\
            ProxyPass /s2/ unix:{root}/run/tls.sock|http://one.test/s2/\n";
        let hosts = upstream("one.test", "one", "");
        let site = site(kind, front, &hosts)?;
        let relay = Relay::start(&site.root.join("run/tls.sock"), site.root.other_port)?;
        let status =
            |host, path| Ok::<u16, anyhow::Error>(site.plain(host, path, "")?.status);
        let good = site.plain("one.test", "/s0/a.txt", "")?;
        ensure!(
            good.text() == "hello\n",
            "{kind:?}: {good}{}",
            site.root.log("error_log")
        );
        said.push([
            status("one.test", "/s0/a.txt")?,
            status("wrong.test", "/s0/a.txt")?,
            status("one.test", "/s1/a.txt")?,
            status("one.test", "/s2/a.txt")?,
        ]);
        ensure!(relay.connections() > 1, "nobody came to the socket");
        site.server.stop()?;
    }
    ensure!(said[0] == said[1], "apache2 {:?}, ours {:?}", said[0], said[1]);
    ensure!(said[1][..3] == [200, 500, 503], "{:?}", said[1]);
    Ok(())
}

#[test]
fn what_cannot_be_meant_does_not_start() -> Result<()> {
    for (lines, why) in [
        ("SSLProxyMachineCertificateFile {ca}/client.pem\n", "AH02252"),
        ("SSLProxyMachineCertificateFile {ca}/encrypted.key\n", "AH02252"),
        ("SSLProxyMachineCertificateFile {ca}/mixed.pem\n", "AH02253"),
        ("SSLProxyCACertificateFile {ca}/ca.conf\n", "AH02210"),
        ("SSLProxyProtocol -all +TLSv1\n", "SSLProxyProtocol leaves nothing"),
        ("SSLProxyCipherSuite NULL\n", "SSLProxyCipherSuite selects none"),
        ("<Location /x>\nSSLProxyVerify none\n</Location>\n", "not allowed here"),
    ] {
        let root = configured(Kind::Ours, lines)?;
        let said = Server::check(Kind::Ours, &root)?;
        ensure!(said.contains(why), "{lines}: {said}");
    }
    Ok(())
}
