//! Versions, suites, protocols, and what is no TLS at all.

use anyhow::{Result, ensure};
use compat_tests::http::Client;
use compat_tests::server::Kind;

use crate::site::{Site, hosts};

#[test]
fn versions_and_suites_are_those_of_the_configuration() -> Result<()> {
    let conf = "SSLProtocol -all +TLSv1.2\nSSLCipherSuite ECDHE+AES128\n";
    let site = Site::start(Kind::Ours, &hosts(conf))?;
    let old = site.curl("one.test", "/a.txt", &["--tls-max", "1.2"])?;
    ensure!(old.status == 200, "{old:?}");
    for (args, why) in [
        (&["--tlsv1.3"][..], "TLS 1.3 is off"),
        (&["--tls-max", "1.1"], "there is no TLS 1.1"),
        (
            &["--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES256-GCM-SHA384"],
            "only AES-128 is on",
        ),
    ] {
        let said = site.curl("one.test", "/a.txt", args)?;
        ensure!(said.code == 35 && said.status == 0, "{why}: {said:?}");
    }
    // The other host says nothing of that.
    let said = site.curl("two.test", "/a.txt", &["--tlsv1.3"])?;
    ensure!(said.status == 200, "{said:?}");
    let said = site.handshake("one.test", &["-tls1_2"])?;
    ensure!(said.contains("ECDHE-RSA-AES128-GCM-SHA256"), "{said}");
    ensure!(said.contains("Verify return code: 0 (ok)"), "{said}");
    Ok(())
}

#[test]
fn groups_and_both_kinds_of_keys() -> Result<()> {
    let more = "SSLCertificateFile {ca}/new.pem\nSSLCertificateKeyFile {ca}/new.key\n\
                SSLOpenSSLConfCmd Groups P-384\n";
    let site = Site::start(Kind::Ours, &hosts(more))?;
    let said = site.handshake("one.test", &["-sigalgs", "RSA-PSS+SHA256", "-tls1_3"])?;
    ensure!(said.contains("OU = b"), "{said}");
    ensure!(said.contains("P-384") || said.contains("secp384r1"), "{said}");
    let said = site.handshake("one.test", &["-sigalgs", "ECDSA+SHA256", "-tls1_3"])?;
    ensure!(said.contains("O = New"), "{said}");
    let said = site.handshake("one.test", &["-groups", "P-256"])?;
    ensure!(said.contains("Cipher is (NONE)"), "{said}");
    Ok(())
}

#[test]
fn sessions_are_gone_on_with_where_they_may_be() -> Result<()> {
    let resumed = |conf: &str, args: &[&str]| -> Result<bool> {
        let site = Site::start(Kind::Ours, &(conf.to_owned() + &hosts("")))?;
        let file = site.root.join("tmp/session");
        let file = file.to_str().unwrap_or_default();
        // The tickets of TLS 1.3 come behind the handshake.
        let request = ["-sess_out", file, "-ign_eof"];
        let first = site.handshake_with("one.test", &[args, &request].concat())?;
        ensure!(first.contains("hello"), "{first}");
        if !std::path::Path::new(file).exists() {
            return Ok(false);
        }
        let again = ["-sess_in", file, "-ign_eof"];
        let second = site.handshake_with("one.test", &[args, &again].concat())?;
        ensure!(second.contains("hello"), "{second}");
        Ok(second.contains("\nReused, "))
    };
    let none = "SSLSessionCache none\nSSLSessionTickets off\n";
    let cache = "SSLSessionCache shmcb:logs/cache(512000)\nSSLSessionTickets off\n";
    let tickets = "SSLSessionCache none\nSSLSessionTickets on\n";
    for version in ["-tls1_2", "-tls1_3"] {
        ensure!(!resumed(none, &[version])?, "{version} without sessions");
        ensure!(resumed(cache, &[version])?, "{version} with a cache");
        ensure!(resumed(tickets, &[version])?, "{version} with tickets");
    }
    let short = cache.to_owned() + "SSLSessionCacheTimeout 0\n";
    ensure!(!resumed(&short, &["-tls1_2"])?, "no session lives for no time");
    Ok(())
}

#[test]
fn http_on_the_port_of_tls_gets_httpds_page() -> Result<()> {
    let page = |kind| -> Result<_> {
        let site = Site::start(kind, &hosts(""))?;
        let mut client = Client::connect(site.root.other_port)?;
        client.send(b"GET /a.txt HTTP/1.1\r\nHost: one.test\r\n\r\n")?;
        let answer = client.response("GET")?;
        ensure!(client.is_at_end()?, "the connection goes on");
        Ok((answer.status, answer.text()))
    };
    let (ours, theirs) = (page(Kind::Ours)?, page(Kind::Apache)?);
    ensure!(ours == theirs, "ours {ours:?}\napache2's {theirs:?}");
    ensure!(ours.1.contains("plain HTTP to an SSL-enabled server port"), "{ours:?}");
    // What is neither is not answered.
    let site = Site::start(Kind::Ours, &hosts(""))?;
    for bytes in [&b"NONSENSE / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\xff\xff\x01", b"\0"]
    {
        let mut client = Client::connect(site.root.other_port)?;
        client.send(bytes)?;
        client.finish()?;
        let said = client.everything()?;
        ensure!(!said.starts_with(b"HTTP"), "{said:?}");
    }
    ensure!(site.curl("one.test", "/a.txt", &[])?.status == 200);
    Ok(())
}

#[test]
fn protocols_are_agreed_on() -> Result<()> {
    let versions = |kind, conf: &str| -> Result<Vec<String>> {
        let site = Site::start(kind, &(conf.to_owned() + &hosts("")))?;
        let ways: [&[&str]; 3] = [&[], &["--http1.1"], &["--no-alpn"]];
        let said = ways.iter().map(|args| site.curl("one.test", "/a.txt", args));
        said.map(|said| Ok(said?.version)).collect()
    };
    for (conf, expected) in [
        ("", ["1.1", "1.1", "1.1"]),
        ("Protocols h2 h2c http/1.1\n", ["2", "1.1", "1.1"]),
        ("Protocols http/1.1 h2\n", ["1.1", "1.1", "1.1"]),
        ("Protocols http/1.1 h2\nProtocolsHonorOrder Off\n", ["2", "1.1", "1.1"]),
    ] {
        let ours = versions(Kind::Ours, conf)?;
        ensure!(ours == expected, "{conf}: {ours:?}");
        let theirs = versions(Kind::Apache, conf)?;
        ensure!(ours == theirs, "{conf}: {ours:?}, apache2: {theirs:?}");
    }
    Ok(())
}
