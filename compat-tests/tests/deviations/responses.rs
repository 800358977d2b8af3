//! Responses of applications.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::application::Application;
use compat_tests::http::Client;
use compat_tests::site::Site;

fn probed() -> Result<(Site, Application)> {
    let mut site = Site::new()?;
    let probe = Application::probe(&site.root, "probe", &[])?;
    site.serve(&format!(
        "FastCgiExternalServer {{root}}/htdocs/app {}\n",
        probe.address.option()
    ))?;
    Ok((site, probe))
}

/// The original kept it until eight kilobytes had come, or everything.
#[test]
fn a_first_part_goes_out_before_the_next_one_comes() -> Result<()> {
    let (site, _probe) = probed()?;
    let mut client = Client::connect(site.root.port)?;
    let begin = Instant::now();
    client.send(
        b"GET /app?text=first&sleep=2000&text=second HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
    )?;
    client.until(b"first")?;
    ensure!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
    client.until(b"second\r\n0\r\n\r\n")?;
    ensure!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
    Ok(())
}

/// The original passed it on, and closed the connection behind the body.
#[test]
fn a_length_that_is_none_is_left_out() -> Result<()> {
    let (site, _probe) = probed()?;
    for length in ["many", "-5", "5,5", "0x5", "99999999999999999999999"] {
        let answer =
            site.get(&format!("/app?header=Content-Length:+{length}&text=words"))?;
        ensure!(
            answer.status == 200 && answer.framing == "chunked",
            "{length}: {answer}"
        );
        ensure!(answer.header("Content-Length").is_none(), "{length}: {answer}");
        ensure!(answer.body == b"words", "{length}: {answer}");
    }
    Ok(())
}
