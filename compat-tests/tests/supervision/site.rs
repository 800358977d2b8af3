//! The harness's site, a server that was started in another way, and requests to another
//! port than the site's.

use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result};
use compat_tests::http::{Client, Response};
pub use compat_tests::site::Site;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long something may take that has no time of its own.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Asks for a target over a connection of its own.
pub fn get(port: u16, target: &str) -> Result<Response> {
    let mut client = Client::connect(port)?;
    let head = "Host: www.example.org\r\nConnection: close";
    client.send(format!("GET {target} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes())?;
    client.response("GET")
}

/// A server that was started in another way than the harness does.
pub struct Started(Child);

impl Started {
    /// Starts it.
    pub fn new(command: &mut Command) -> Result<Started> {
        Ok(Started(command.spawn().with_context(|| format!("starting {command:?}"))?))
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        for _ in 0..2 {
            let _ = kill(self.pid(), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

/// The server's arguments.
pub fn arguments(site: &Site) -> Vec<String> {
    let root = site.root.path().display();
    ["-DFOREGROUND", "-d", &root.to_string(), "-f", &format!("{root}/conf/httpd.conf")]
        .map(str::to_owned)
        .into()
}
