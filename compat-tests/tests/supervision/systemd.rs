//! What systemd hears and passes on; the test stands in its place.

use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use compat_tests::http::Client;
use compat_tests::server::Kind;
use nix::sys::signal::{Signal, kill};

use crate::site::{PATIENCE, Site, Started, arguments, get};
use compat_tests::family::{below, until};

const UNIT: &str = include_str!("../../../src/systemd/fcgi-httpd.service");

/// The values of a setting of the unit, joined as systemd joins them.
fn setting(name: &str) -> String {
    let values =
        UNIT.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.collect::<Vec<_>>().join(" ")
}

/// The service manager's end.
struct Manager(UnixDatagram);

impl Manager {
    /// The next message, which comes within a time.
    fn within(&self, patience: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(patience)).ok()?;
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// The next message that is not the watchdog's.
    fn next(&self) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.within(PATIENCE) {
                Some(message) if message == "WATCHDOG=1\n" => {}
                Some(message) => return Ok(message),
                None => break,
            }
        }
        bail!("systemd hears nothing")
    }

    /// Waits for a message that has all these lines.
    fn hears(&self, lines: &[&str]) -> Result<String> {
        let message = self.next()?;
        let found: Vec<&str> = message.lines().collect();
        ensure!(lines.iter().all(|line| found.contains(line)), "{lines:?}: {message}");
        Ok(message)
    }
}

#[test]
fn systemd_is_told() -> Result<()> {
    let mut site = Site::alone()?;
    let socket = site.root.join("run/notify");
    let manager = Manager(UnixDatagram::bind(&socket)?);
    let socket = socket.display().to_string();
    site.serve_with("", &[("NOTIFY_SOCKET", &socket), ("WATCHDOG_USEC", "400000")])?;
    manager.hears(&["READY=1", "STATUS=Serving, configuration 1"])?;
    let environ = site.half()?.file("environ");
    ensure!(!environ.contains("NOTIFY_SOCKET") && !environ.contains("WATCHDOG"));

    // A reload, with the signal that the unit names.
    let signal: Signal = setting("ReloadSignal").parse()?;
    let before = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
    site.server()?.signal(signal)?;
    let message = manager.hears(&["RELOADING=1"])?;
    let at = message.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    let at: i64 = at.context("no time")?.parse()?;
    ensure!(at >= before.tv_sec() * 1_000_000 + before.tv_nsec() / 1000, "{message}");
    manager.hears(&["READY=1", "STATUS=Serving, configuration 2"])?;

    // One that is refused.
    site.configure("Nonsense On\n")?;
    site.server()?.signal(signal)?;
    manager.hears(&["RELOADING=1"])?;
    let refused = "STATUS=The new configuration was refused, the old one goes on";
    manager.hears(&["READY=1", refused])?;

    // The serving half is lost and found.
    std::thread::sleep(Duration::from_secs(1));
    kill(site.half()?.pid, Signal::SIGKILL)?;
    manager.hears(&["STATUS=The server process is started again"])?;
    manager.hears(&["READY=1"])?;

    site.server()?.signal(Signal::SIGTERM)?;
    manager.hears(&["STOPPING=1"])?;
    ensure!(site.server()?.wait()?.success());
    Ok(())
}

#[test]
fn the_watchdog_is_fed_only_while_the_serving_half_answers() -> Result<()> {
    let mut site = Site::alone()?;
    let socket = site.root.join("run/notify");
    let manager = Manager(UnixDatagram::bind(&socket)?);
    let socket = socket.display().to_string();
    site.serve_with("", &[("NOTIFY_SOCKET", &socket), ("WATCHDOG_USEC", "400000")])?;
    manager.hears(&["READY=1"])?;
    let half = site.half()?;
    let fed = |time: Duration| {
        let end = Instant::now() + time;
        let mut count = 0;
        while Instant::now() < end {
            let message = manager.within(Duration::from_millis(10));
            count +=
                usize::from(message.is_some_and(|message| message == "WATCHDOG=1\n"));
        }
        count
    };
    let count = fed(Duration::from_secs(2));
    ensure!((7..=11).contains(&count), "{count} times in two seconds");
    kill(half.pid, Signal::SIGSTOP)?;
    // One may be on its way.
    fed(Duration::from_millis(100));
    let silent = fed(Duration::from_secs(1));
    kill(half.pid, Signal::SIGCONT)?;
    ensure!(silent == 0, "{silent} times while it was stopped");
    ensure!(fed(Duration::from_secs(1)) > 0, "not any more");
    Ok(())
}

/// The inode of a socket, as links of descriptors show it.
fn inode(socket: &impl AsFd) -> Result<String> {
    let number = socket.as_fd().as_raw_fd();
    Ok(std::fs::read_link(format!("/proc/self/fd/{number}"))?.display().to_string())
}

#[test]
fn a_listener_that_is_passed_is_taken() -> Result<()> {
    let site = Site::alone()?;
    site.configure("Listen 127.0.0.1:{port2}\n")?;
    let wanted = TcpListener::bind(("127.0.0.1", site.root.port))?;
    let other = TcpListener::bind("127.0.0.1:0")?;
    let (inode, unwanted) = (inode(&wanted)?, inode(&other)?);
    let address = other.local_addr()?;
    // The shell moves them to 3 and 4 and becomes the server, as LISTEN_PID demands.
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(
            "exec 3<&0 4<&1 < /dev/null > /dev/null\n\
             LISTEN_FDS=2 LISTEN_PID=$$ exec \"$0\" \"$@\"",
        )
        .arg(Kind::Ours.program())
        .args(arguments(&site))
        .stdin(Stdio::from(OwnedFd::from(wanted.try_clone()?)))
        .stdout(Stdio::from(OwnedFd::from(other.try_clone()?)))
        .stderr(std::fs::File::create(site.root.join("logs/output"))?);
    let server = Started::new(&mut command)?;
    // Both keep a reference: drop them, so that only the server has one.
    drop((command, wanted, other));
    until("it serves", PATIENCE, || {
        get(site.root.port, "/page").is_ok_and(|answer| answer.status == 200)
    })
    .with_context(|| site.root.log("output"))?;
    let answer = get(site.root.other_port, "/page")?;
    ensure!(answer.status == 200, "the one that it binds itself: {answer}");
    let parent =
        compat_tests::family::process(server.pid()).context("it does not run")?;
    let has = |socket: &str| parent.descriptors().iter().any(|(_, link)| link == socket);
    ensure!(has(&inode), "{:?}", parent.descriptors());
    ensure!(!has(&unwanted), "the other one is open");
    site.logged(&format!(
        "descriptor 4 was passed and is closed: no Listen names {address}"
    ))?;
    // A reload keeps it.
    kill(server.pid(), Signal::SIGHUP)?;
    site.logged_times("resuming normal operations", 2)?;
    ensure!(get(site.root.port, "/page")?.status == 200 && has(&inode));
    Ok(())
}

/// With the capabilities that the unit leaves it, the parent does all that it has to.
#[test]
fn the_units_capabilities_suffice() -> Result<()> {
    let site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.probe("htdocs/dynamic.fcgi")?;
    site.configure(
        "FastCgiServer {root}/htdocs/app -port {port2}\n\
         <Files *.fcgi>\nSetHandler fastcgi-script\nOptions ExecCGI\n</Files>\n",
    )?;
    let kept = setting("CapabilityBoundingSet").to_lowercase().replace("cap_", "+");
    ensure!(kept.contains("+kill"), "{kept}");
    let set = format!("-all,{}", kept.replace(' ', ","));
    let mut command = Command::new("/usr/bin/setpriv");
    command.arg("--bounding-set").arg(set).arg("--inh-caps").arg("-all");
    command.arg(Kind::Ours.program()).args(arguments(&site)).stdin(Stdio::null());
    command.stderr(std::fs::File::create(site.root.join("logs/output"))?);
    let server = Started::new(&mut command)?;
    until("it serves", PATIENCE, || {
        get(site.root.port, "/app?text=here").is_ok_and(|answer| answer.text() == "here")
    })
    .with_context(|| site.root.log("output"))?;
    ensure!(get(site.root.port, "/dynamic.fcgi?text=here")?.text() == "here");
    let old = below(server.pid());
    // A reload with another user's processes to look at, and to end.
    let conf = std::fs::read_to_string(site.root.join("conf/httpd.conf"))?;
    let conf = conf.replace("htdocs/app", "htdocs/app -initial-env NEW=1");
    let mut client = Client::connect(site.root.port)?;
    client.send(b"GET /app?sleep=1000&text=finished HTTP/1.0\r\n\r\n")?;
    std::thread::sleep(Duration::from_millis(300));
    std::fs::write(site.root.join("conf/httpd.conf"), conf)?;
    kill(server.pid(), Signal::SIGUSR1)?;
    let app = old.iter().find(|process| process.command.ends_with("htdocs/app"));
    let app = app.context("no application")?;
    // On a port it is told to end when it is seen to hold no connection any more.
    ensure!(client.response("GET")?.text() == "finished");
    until("the old one is replaced", PATIENCE, || !app.lives())?;
    ensure!(get(site.root.port, "/app?text=here")?.text() == "here");
    Ok(())
}
