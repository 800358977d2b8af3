//! The demonstration has the status pages, and links to them.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use compat_tests::http::{Client, Response};
use compat_tests::root::free_port;
use compat_tests::server;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A demonstration.
struct Demo {
    child: Child,
    port: u16,
}

impl Demo {
    fn start() -> Result<Demo> {
        let port = free_port()?;
        let mut command = Command::new(server::Kind::Ours.program());
        command.args(["demo", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let demo = Demo { child: command.spawn()?, port };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                bail!("it does not listen");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(demo)
    }

    fn get(&self, target: &str) -> Result<Response> {
        self.ask(target, "")
    }

    fn ask(&self, target: &str, field: &str) -> Result<Response> {
        let mut client = Client::connect(self.port)?;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{field}Connection: close\r\n\r\n"
        );
        client.send(request.as_bytes())?;
        client.response("GET")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

#[test]
fn the_demonstration_links_to_its_status() -> Result<()> {
    let demo = Demo::start()?;
    let page = demo.get("/")?.text();
    let links = page.split("href=\"").skip(1);
    let links: Vec<&str> = links.filter_map(|link| link.split('"').next()).collect();
    let wanted = ["/fastcgi-status?refresh=5", "/fastcgi-status?json", "/server-status"];
    for link in wanted {
        ensure!(links.contains(&link), "{links:?}");
        let answer = demo.get(link)?;
        ensure!(answer.status == 200, "{link}: {answer}");
    }
    let answer = demo.get("/fastcgi-status?json")?;
    ensure!(answer.text().contains("/bin/demo.fcgi\",\"kind\":\"static\""), "{answer}");
    // What it makes is in its own directory.
    ensure!(!answer.text().contains("\"address\":\"/run/"), "{answer}");
    Ok(())
}

#[test]
fn the_demonstration_guards_a_page() -> Result<()> {
    let demo = Demo::start()?;
    ensure!(demo.get("/members")?.status == 401);
    // guest:wrong, and guest:guest.
    let wrong = demo.ask("/members", "Authorization: Basic Z3Vlc3Q6d3Jvbmc=\r\n")?;
    ensure!(wrong.status == 401, "{wrong}");
    let right = demo.ask("/members", "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n")?;
    ensure!(right.status == 200, "{right}");
    ensure!(right.text().contains("Welcome, guest!"), "{right}");
    ensure!(demo.get("/app/variables")?.text().contains("Hello!"));
    ensure!(demo.get("/nowhere")?.status == 404);
    Ok(())
}
