//! php-fpm with as many children as it may have, and more clients than those.

use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::application::Application;

use crate::traffic::{Site, traffic};

const TIME: Duration = Duration::from_millis(1500);

const CONF: &str = "
FastCgiExternalServer {root}/htdocs/app {address}
<Directory {root}/htdocs/app>
    AddHandler fastcgi-script .php
</Directory>
";

/// php-fpm, `pm = static` with two children, and a script of five milliseconds.
fn php(pool: &str) -> Result<(Site, Application)> {
    let mut site = Site::alone()?;
    let script = b"<?php usleep(5000); echo 'done';";
    site.root.write("htdocs/app/wait.php", script)?;
    let address = site.unix("php.sock");
    let php = Application::php_fpm(&site.root, address, pool)?;
    site.serve(&CONF.replace("{address}", &php.address.option()))?;
    Ok((site, php))
}

/// Ten times as many clients as children: each waits for nine others, and nobody for many
/// times that.
#[test]
fn as_many_children_as_there_may_be() -> Result<()> {
    let (site, _php) = php("")?;
    let seen = traffic(site.root.port, "/app/wait.php", 20, TIME)?;
    seen.all_answered("20 clients of php-fpm with 2 children, 5 ms each")?;
    // That there is a second child has been found out, although all take the same time.
    let one = TIME.as_millis() as usize / 5;
    ensure!(seen.samples.len() * 5 > one * 6, "{}: one child?", seen.samples.len());
    let most = 10 * seen.quantile(500) + Duration::from_millis(500);
    ensure!(seen.longest() < most, "{:?}, and not {most:?}", seen.longest());
    let fair = seen.samples.len() / 20;
    ensure!(seen.fewest() * 4 > fair, "{} and not {fair}", seen.fewest());
    Ok(())
}

/// `pm.max_requests`: a child leaves, and with it its connection.
#[test]
fn children_that_leave() -> Result<()> {
    let (site, _php) = php("pm.max_requests = 10\n")?;
    let seen = traffic(site.root.port, "/app/wait.php", 8, TIME)?;
    seen.all_answered("8 clients of php-fpm whose children leave after 10 requests")?;
    ensure!(seen.samples.len() > 50, "only {} requests", seen.samples.len());
    Ok(())
}
