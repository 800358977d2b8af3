//! What much of something costs: virtual hosts, sections, `.htaccess` files, clients that
//! have nothing to say and clients that say it slowly. Figures are printed; the bounds hold
//! in debug builds and beside other tests, and exclude what grows out of proportion.
//! `FCGI_HTTPD` names a release build for figures that mean something.

mod configuration;
mod htaccess;
mod idle;
mod slow;

use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::figures::cpu;
use compat_tests::http::Client;
use compat_tests::site::Site;

/// The server's processor time for a request, over one connection.
pub fn cost(site: &Site, host: &str, target: &str, count: u32) -> Result<Duration> {
    let mut client = Client::connect(site.root.port)?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut ask = |count| {
        for _ in 0..count {
            client.send(request.as_bytes())?;
            let answer = client.response("GET")?;
            ensure!(answer.status == 200, "{answer}");
        }
        Ok(())
    };
    // What is made for the first request is there for the others.
    ask(20)?;
    let own = site.own_processes()?;
    let before = cpu(&own)?;
    ask(count)?;
    Ok(cpu(&own)?.saturating_sub(before) / count)
}
