//! A new certificate under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::server::{Kind, Server};
use nix::sys::signal::Signal;

use crate::authority;
use crate::site::{Site, configured, hosts};

/// How long a new certificate may take to be shown.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn nobody_notices_a_new_certificate() -> Result<()> {
    let conf = hosts("").replace("{ca}/one", "{root}/conf/own");
    let root = configured(Kind::Ours, &("Protocols h2 http/1.1\n".to_owned() + &conf))?;
    let put = |root: &compat_tests::root::Root, name: &str| -> Result<()> {
        for end in ["pem", "key"] {
            let file = authority::directory().join(format!("{name}.{end}"));
            root.write(&format!("conf/own.{end}"), &std::fs::read(file)?)?;
        }
        Ok(())
    };
    put(&root, "one")?;
    let site = Arc::new(Site { server: Server::start(Kind::Ours, &root)?, root });
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = [&["--http1.1"][..], &["--http2"]]
        .into_iter()
        .map(|args| {
            let (site, over) = (site.clone(), over.clone());
            std::thread::spawn(move || -> Result<usize> {
                let mut count = 0;
                while !over.load(Ordering::Relaxed) {
                    let said = site.curl("one.test", "/a.txt", args)?;
                    ensure!(
                        said.status == 200 && said.text.ends_with("hello\n"),
                        "{said:?}"
                    );
                    count += 1;
                }
                Ok(count)
            })
        })
        .collect();
    for (name, shown) in [("new", "O = New"), ("one", "OU = b"), ("new", "O = New")] {
        put(&site.root, name)?;
        site.server.signal(Signal::SIGUSR1)?;
        let end = Instant::now() + PATIENCE;
        while !site.handshake("one.test", &[])?.contains(shown) {
            ensure!(Instant::now() < end, "{shown} is not shown");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    // A certificate that does not fit changes nothing.
    site.root
        .write("conf/own.key", &std::fs::read(authority::directory().join("two.key"))?)?;
    site.server.signal(Signal::SIGUSR1)?;
    let end = Instant::now() + PATIENCE;
    while !site.root.log("error_log").contains("AH02565") {
        ensure!(Instant::now() < end, "nothing is said: {}", site.root.log("error_log"));
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure!(site.handshake("one.test", &[])?.contains("O = New"));
    over.store(true, Ordering::Relaxed);
    for client in clients {
        let count = client.join().ok().context("a client panicked")??;
        ensure!(count > 10, "only {count} requests");
    }
    let log = site.root.log("error_log");
    ensure!(!log.contains("PRIVATE KEY"), "{log}");
    Ok(())
}

#[test]
fn a_kept_connection_does_not_outlive_what_is_asked_of_clients() -> Result<()> {
    let conf = "Protocols h2 http/1.1\nKeepAliveTimeout 30\n".to_owned();
    let before = conf.clone() + &hosts("");
    let root = configured(Kind::Ours, &before)?;
    let site = Site { server: Server::start(Kind::Ours, &root)?, root };
    let after =
        conf + &hosts("SSLVerifyClient require\nSSLCACertificateFile {ca}/ca.pem\n");
    let mut client = site.s_client_open("one.test")?;
    let ask = b"GET /a.txt HTTP/1.1\r\nHost: one.test\r\n\r\n";
    client.say(ask)?;
    client.until("hello")?;
    crate::site::write(&site.root, Kind::Ours, &after)?;
    site.server.signal(Signal::SIGUSR1)?;
    let end = Instant::now() + PATIENCE;
    while site.curl("one.test", "/a.txt", &[])?.status == 200 {
        ensure!(Instant::now() < end, "the new configuration is not there");
    }
    client.say(ask)?;
    client.until("421 Misdirected")?;
    Ok(())
}
