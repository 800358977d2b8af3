//! Names: of the handshake, and of the request.

use anyhow::{Result, ensure};
use compat_tests::server::Kind;

use crate::site::{Site, hosts};

/// A host of the handshake, and the `Host` field if it is another.
const QUESTIONS: [(&str, &str); 9] = [
    ("one.test", ""),
    ("www.one.test", ""),
    ("two.test", ""),
    ("none.test", ""),
    ("one.test", "two.test"),
    ("two.test", "one.test"),
    ("none.test", "one.test"),
    ("none.test", "two.test"),
    ("one.test", "none.test"),
];

/// The status for each question, and which certificate was shown.
fn statuses(kind: Kind, conf: &str) -> Result<Vec<(u16, bool)>> {
    let site = Site::start(kind, conf)?;
    let mut all = Vec::new();
    for (name, host) in QUESTIONS {
        let field = format!("Host: {host}");
        let mut args = vec!["--insecure", "-v"];
        if !host.is_empty() {
            args.extend(["-H", &field]);
        }
        let said = site.curl(name, "/a.txt", &args)?;
        let shown = site.handshake(name, &[])?;
        all.push((said.status, shown.contains("OU = b")));
    }
    // Without a name in the handshake, and with an address in place of one.
    let said = site.curl("127.0.0.1", "/a.txt", &["--insecure"])?;
    all.push((said.status, false));
    let args = ["--insecure", "-H", "Host: two.test"];
    all.push((site.curl("127.0.0.1", "/a.txt", &args)?.status, false));
    Ok(all)
}

#[test]
fn the_name_of_the_handshake_chooses_the_host() -> Result<()> {
    let three = "<VirtualHost *:{port2}>\nServerName three.test\nSSLEngine on\n\
                 SSLCertificateFile {ca}/three.pem\nSSLCertificateKeyFile {ca}/three.key\n\
                 </VirtualHost>\n";
    for conf in [
        hosts(""),
        hosts("SSLVerifyClient optional\nSSLCACertificateFile {ca}/ca.pem\n"),
        hosts("SSLProtocol -all +TLSv1.2\n"),
        hosts("SSLStrictSNIVHostCheck on\n"),
        hosts("") + three,
        "SSLVHostSNIPolicy insecure\n".to_owned() + &hosts("SSLProtocol -all +TLSv1.2\n"),
        "SSLVHostSNIPolicy authonly\n".to_owned() + &hosts("SSLProtocol -all +TLSv1.2\n"),
        "SSLVHostSNIPolicy authonly\n".to_owned()
            + &hosts("SSLVerifyClient optional\nSSLCACertificateFile {ca}/ca.pem\n"),
        "SSLVHostSNIPolicy strict\n".to_owned() + &hosts(""),
    ] {
        let (ours, theirs) =
            (statuses(Kind::Ours, &conf)?, statuses(Kind::Apache, &conf)?);
        ensure!(ours == theirs, "{conf}\nours:    {ours:?}\napache2: {theirs:?}");
        ensure!(ours.iter().any(|(status, _)| *status == 200), "{ours:?}");
    }
    Ok(())
}

#[test]
fn another_host_is_misdirected_over_http2_too() -> Result<()> {
    let site = Site::start(Kind::Ours, &("Protocols h2\n".to_owned() + &hosts("")))?;
    let said = site.curl("one.test", "/a.txt", &["-H", "Host: two.test"])?;
    ensure!((said.status, said.version.as_str()) == (421, "2"), "{said:?}");
    let log = site.root.log("error_log");
    ensure!(
        log.contains("AH02032: Hostname one.test provided via SNI and hostname two.test")
    );
    Ok(())
}
