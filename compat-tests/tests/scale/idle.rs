//! Ten thousand clients that were answered and keep their connection.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::figures::{cpu, memory, say};
use compat_tests::http::Client;
use compat_tests::site::Site;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const CLIENTS: usize = 10_000;
/// Memory of the server for one of them, bytes: hyper's buffer, and room for a request that
/// is under way.
const EACH: u64 = 48 << 10;
/// How long they are silent while the server's processor time is looked at, and what that
/// may be.
const SILENT: Duration = Duration::from_secs(1);
const CPU: Duration = Duration::from_millis(100);

#[test]
fn ten_thousand_idle_clients() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    ensure!(hard > CLIENTS as u64 + 200, "only {hard} descriptors are allowed");
    let mut site = Site::alone()?;
    site.serve("KeepAliveTimeout 120\nMaxKeepAliveRequests 0\n")?;
    ensure!(site.get("/page")?.status == 200);
    let own = site.own_processes()?;
    let before = memory(&own)?;
    let mut clients = Vec::with_capacity(CLIENTS);
    for i in 0..CLIENTS {
        let mut client =
            Client::connect(site.root.port).with_context(|| i.to_string())?;
        client.send(b"GET /page HTTP/1.1\r\nHost: www.example.org\r\n\r\n")?;
        let answer = client.response("GET").with_context(|| i.to_string())?;
        ensure!(answer.status == 200, "client {i}: {answer}");
        clients.push(client);
    }
    let each = memory(&own)?.saturating_sub(before) / CLIENTS as u64;
    let busy = cpu(&own)?;
    std::thread::sleep(SILENT);
    let busy = cpu(&own)?.saturating_sub(busy);
    say(&format!(
        "{CLIENTS} idle clients: {each} bytes each, {busy:?} of processor in {SILENT:?}"
    ))?;
    ensure!(each > 1024, "{each} bytes for each: something else was measured");
    ensure!(each < EACH, "{each} bytes for each");
    ensure!(busy < CPU, "{busy:?} in {SILENT:?}");
    // They are still served, and so is who comes.
    let begun = Instant::now();
    for i in [0, CLIENTS / 2, CLIENTS - 1] {
        clients[i].send(b"GET /page HTTP/1.1\r\nHost: www.example.org\r\n\r\n")?;
        ensure!(clients[i].response("GET")?.text() == "a page\n");
    }
    ensure!(site.get("/page")?.status == 200);
    ensure!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    Ok(())
}
