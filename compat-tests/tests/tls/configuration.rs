//! Configurations: Debian's own, and those that cannot be served.

use std::os::unix::fs::MetadataExt;

use anyhow::{Result, ensure};
use compat_tests::family::{below, until};
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};

use crate::authority;
use crate::site::{configured, hosts};

fn check(conf: &str) -> Result<(String, Root)> {
    let root = configured(Kind::Ours, conf)?;
    Ok((Server::check(Kind::Ours, &root)?, root))
}

#[test]
fn debians_own_files_are_taken() -> Result<()> {
    let conf = "Define APACHE_RUN_DIR {root}/run\n\
                Include /etc/apache2/mods-available/ssl.conf\n\
                Include /etc/apache2/mods-available/http2.conf\n"
        .to_owned()
        + &hosts("");
    let (said, root) = check(&conf)?;
    ensure!(said == "taken\nSyntax OK\n", "{said}");
    let site = crate::site::Site { server: Server::start(Kind::Ours, &root)?, root };
    let said = site.curl("one.test", "/a.txt", &[])?;
    ensure!((said.status, said.version.as_str()) == (200, "2"), "{said:?}");
    Ok(())
}

#[test]
fn what_does_not_go_together_is_told_with_its_place() -> Result<()> {
    let host = |inner: &str| {
        format!(
            "<VirtualHost *:{{port2}}>\nServerName one.test\nSSLEngine on\n{inner}</VirtualHost>\n"
        )
    };
    let one = "SSLCertificateFile {ca}/one.pem\n";
    for (inner, expected) in [
        (String::new(), "AH02572: Failed to configure at least one certificate and key"),
        (
            format!("{one}SSLCertificateKeyFile {{ca}}/two.key\n"),
            "AH02565: Certificate and private key one.test:",
        ),
        (
            format!("{one}SSLCertificateKeyFile {{ca}}/encrypted.key\n"),
            "AH02564: Failed to configure encrypted (?) private key",
        ),
        (
            format!("{one}SSLCertificateKeyFile {{ca}}/none.key\n"),
            "one.key' does not exist or is empty",
        ),
        (one.to_owned(), "AH10130: Failed to configure private key"),
        (
            "SSLCertificateFile {ca}/one.key\n".to_owned(),
            "AH02561: Failed to configure certificate",
        ),
        (
            format!(
                "{one}SSLCertificateKeyFile {{ca}}/one.key\nSSLVerifyClient require\n"
            ),
            "AH01897: Init: Oops",
        ),
        (
            format!(
                "{one}SSLCertificateKeyFile {{ca}}/one.key\nSSLVerifyClient optional\n\
                     SSLCACertificateFile {{ca}}/ca.pem\nSSLCARevocationCheck leaf\n"
            ),
            "AH01899: Host one.test:",
        ),
    ] {
        let expected = expected.replace("one.key' does", "none.key' does");
        let (said, root) = check(&host(&inner))?;
        ensure!(
            said.starts_with("refused\n") && said.contains(&expected),
            "{inner}: {said}"
        );
        // Nothing of a key is ever said.
        ensure!(!said.contains("MII") && !said.contains("BEGIN"), "{said}");
        ensure!(Server::start(Kind::Ours, &root).is_err(), "{inner} is served");
        let with_place = ["AH02565", "AH02564", "AH10130", "AH02561"];
        if with_place.iter().any(|number| expected.starts_with(number)) {
            ensure!(said.contains("Syntax error on line "), "{said}");
        }
    }
    Ok(())
}

/// Nobody asks an OCSP responder: where a client's certificate is to be looked up there it is
/// an error, and where an answer is to be shown to clients it is not.
#[test]
fn what_a_responder_would_say_is_not_passed_over() -> Result<()> {
    let asks = "SSLVerifyClient require\nSSLCACertificateFile {ca}/ca.pem\n";
    for (lines, refused) in [
        (format!("{asks}SSLOCSPEnable on\n"), true),
        (format!("{asks}SSLOCSPEnable leaf\n"), true),
        (format!("{asks}SSLOCSPEnable off\n"), false),
        ("SSLUseStapling on\n".to_owned(), false),
    ] {
        let (said, _root) = check(&hosts(&lines))?;
        let is_refused = said.starts_with("refused\n");
        ensure!(is_refused == refused, "{lines}: {said}");
        ensure!(!refused || said.contains("use SSLCARevocationFile"), "{lines}: {said}");
    }
    Ok(())
}

#[test]
fn the_serving_process_is_not_dumped() -> Result<()> {
    let site = crate::site::Site::start(Kind::Ours, &hosts(""))?;
    // Now the serving process is there.
    ensure!(site.curl("one.test", "/a.txt", &[])?.status == 200);
    let below = below(site.server.pid());
    let mut looked = 0;
    for pid in below.iter().map(|process| process.pid) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        if status.starts_with("Name:\tfcgi-httpd\n") {
            // It is www-data's, but what may not be dumped belongs to root in /proc.
            ensure!(!status.contains("\nUid:\t0\t"), "{status}");
            let owner =
                || std::fs::metadata(format!("/proc/{pid}/maps")).map(|m| m.uid());
            let patience = std::time::Duration::from_secs(10);
            until("its memory is hidden", patience, || {
                owner().is_ok_and(|uid| uid == 0)
            })?;
            looked += 1;
        }
    }
    ensure!(looked == 1, "{looked} serving processes");
    Ok(())
}

#[test]
fn a_port_of_https_needs_no_engine() -> Result<()> {
    let conf = hosts("").replace("SSLEngine on\n", "");
    let site = crate::site::Site::start(Kind::Ours, &conf)?;
    ensure!(site.curl("two.test", "/a.txt", &[])?.status == 200);
    // `Protocol` has the last word.
    for (protocol, is_tls) in [("https", true), ("http", false)] {
        let conf = hosts(&format!("Protocol {protocol}\n")).replace("SSLEngine on\n", "");
        let site = crate::site::Site::start(Kind::Ours, &conf)?;
        let said = site.curl("one.test", "/a.txt", &[])?;
        ensure!((said.status == 200) == is_tls, "{protocol}: {said:?}");
    }
    // The certificate may have its key beside it, and its issuer in another file.
    let both = ["one.pem", "one.key"]
        .map(|name| std::fs::read(authority::directory().join(name)).unwrap_or_default());
    let conf = hosts("SSLCertificateChainFile {ca}/ca.pem\n")
        .replace("{ca}/one.pem", "{root}/conf/both.pem")
        .replace("SSLCertificateKeyFile {ca}/one.key\n", "");
    let root = configured(Kind::Ours, &conf)?;
    root.write("conf/both.pem", &both.concat())?;
    let site = crate::site::Site { server: Server::start(Kind::Ours, &root)?, root };
    let said = site.handshake("one.test", &["-showcerts"])?;
    ensure!(said.contains(" 1 s:C = DE, O = Test CA"), "{said}");
    Ok(())
}
