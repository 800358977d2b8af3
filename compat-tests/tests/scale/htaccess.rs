//! A `.htaccess` in each of six directories above a file, against none; and the same of
//! apache2.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use compat_tests::figures::say;
use compat_tests::server::{Kind, Server};
use compat_tests::site::Site;

use crate::cost;

/// How often each of the two is measured, by turns, and with how many requests.
const ROUNDS: u32 = 4;
const REQUESTS: u32 = 3_000;
/// Files six levels deep, without and with the others above them.
const WITHOUT: &str = "/other/2/3/4/5/6/page";
const WITH: &str = "/1/2/3/4/5/6/page";
/// How old the files are.
const AGE: Duration = Duration::from_secs(3600);
/// How many times as much a request may cost: six files are looked at, and none is read
/// again that has not changed.
const MOST: f64 = 3.0;
/// A configuration for both servers, behind the preamble of the pages.
const CONF: &str = "MaxKeepAliveRequests 0\n\
    <Directory {root}/htdocs>\nAllowOverride All\nRequire all granted\n</Directory>\n\
    <Directory {root}/htdocs/other>\nAllowOverride None\n</Directory>\n";

/// What a request costs of processor time without and with the files.
fn measure(site: &mut Site, kind: Kind) -> Result<(Duration, Duration)> {
    site.server = Some(Server::start(kind, &site.root)?);
    let (mut none, mut six) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        none += cost(site, "www.example.org", WITHOUT, REQUESTS)? / ROUNDS;
        six += cost(site, "www.example.org", WITH, REQUESTS)? / ROUNDS;
    }
    site.server.take().context("no server")?.stop()?;
    Ok((none, six))
}

#[test]
fn six_levels_of_htaccess() -> Result<()> {
    let mut site = Site::alone()?;
    for target in [WITHOUT, WITH] {
        site.root.write(&format!("htdocs{target}"), b"a page\n")?;
    }
    let mut directory = "htdocs".to_owned();
    for level in 1..=6 {
        directory += &format!("/{level}");
        let text = format!("AddDefaultCharset utf-8\nAddType text/x-{level} .x{level}\n");
        let path = site.root.write(&format!("{directory}/.htaccess"), text.as_bytes())?;
        // One that was changed a moment ago is read for every request: its time would not
        // tell if it changed once more.
        let file = std::fs::File::options().write(true).open(path)?;
        file.set_modified(SystemTime::now() - AGE)?;
    }
    let conf = include_str!("../../side-by-side/preamble.conf").to_owned() + CONF;
    site.root.write("conf/httpd.conf", site.root.fill(&conf).as_bytes())?;
    for kind in [Kind::Ours, Kind::Apache] {
        let (none, six) = measure(&mut site, kind)?;
        let ratio = six.as_secs_f64() / none.as_secs_f64().max(1e-6);
        say(&format!(
            "{kind:?} .htaccess: none {none:?} of processor, six {six:?}, {ratio:.2} times"
        ))?;
        let is_ours = kind == Kind::Ours;
        ensure!(!is_ours || ratio < MOST, "six cost {ratio:.2} times as much as none");
    }
    Ok(())
}
