//! A server with applications, and its processes by what they are.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use compat_tests::http::{Client, Response};
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::family::{Process, below, until};

/// How long something may take that has no time of its own.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// These tests measure time: one after the other.
static TURN: Mutex<()> = Mutex::new(());

/// A server root, and the server once it is started.
pub struct Site {
    // Ends before its root goes.
    pub server: Option<Server>,
    /// Where everything is.
    pub root: Root,
    _turn: MutexGuard<'static, ()>,
}

impl Site {
    /// Nothing runs yet.
    pub fn new() -> Result<Site> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let site = Site { server: None, root: Root::new()?, _turn: turn };
        site.root.write("htdocs/page", b"a page\n")?;
        Ok(site)
    }

    /// The probe under a name of its own, to be run as an application.
    pub fn probe(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        std::fs::copy(env!("CARGO_BIN_EXE_probe"), &path).context("copying the probe")?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        Ok(path)
    }

    /// A program of a test's own.
    pub fn script(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.root.write(name, self.root.fill(text).as_bytes())?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        Ok(path)
    }

    /// Writes the configuration: this behind the usual beginning.
    pub fn configure(&self, conf: &str) -> Result<()> {
        let conf = include_str!("../../src/preamble.conf").to_owned() + conf;
        self.root.write("conf/httpd.conf", self.root.fill(&conf).as_bytes())?;
        Ok(())
    }

    /// Starts the server with a configuration.
    pub fn serve(&mut self, conf: &str) -> Result<()> {
        self.serve_with(conf, &[])
    }

    /// The same, with variables.
    pub fn serve_with(&mut self, conf: &str, env: &[(&str, &str)]) -> Result<()> {
        self.configure(conf)?;
        self.server = Some(Server::start_with(Kind::Ours, &self.root, &[], env)?);
        Ok(())
    }

    /// The server.
    pub fn server(&mut self) -> Result<&mut Server> {
        self.server.as_mut().context("it does not run")
    }

    /// The parent, fcgi-pm.
    pub fn parent(&self) -> Result<Pid> {
        Ok(self.server.as_ref().context("it does not run")?.pid())
    }

    /// All its descendants.
    pub fn family(&self) -> Result<Vec<Process>> {
        Ok(below(self.parent()?))
    }

    /// The serving half.
    pub fn half(&self) -> Result<Process> {
        let mut family = self.family()?.into_iter();
        family.find(|p| p.command.ends_with("--server-half")).context("no server half")
    }

    /// Processes of an application or a log program, the oldest first.
    pub fn processes(&self, name: &str) -> Result<Vec<Process>> {
        let path = self.root.join(name).display().to_string();
        let family = self.family()?.into_iter();
        let mut found: Vec<_> = family
            .filter(|p| p.command.split(' ').any(|word| word == path) && p.lives())
            .collect();
        found.sort_by_key(|p| p.pid);
        Ok(found)
    }

    /// Waits until an application has so many processes.
    pub fn processes_are(&self, name: &str, count: usize) -> Result<Vec<Process>> {
        let mut found = Vec::new();
        until(&format!("{count} processes of {name}"), PATIENCE, || {
            found = self.processes(name).unwrap_or_default();
            found.len() == count
        })?;
        Ok(found)
    }

    /// Asks for a target over a connection of its own.
    pub fn get(&self, target: &str) -> Result<Response> {
        get(self.root.port, target)
    }

    /// Waits until the error log holds a text.
    pub fn logged(&self, text: &str) -> Result<()> {
        self.logged_times(text, 1)
    }

    /// Waits until the error log holds a text so many times.
    pub fn logged_times(&self, text: &str, times: usize) -> Result<()> {
        let found = until(&format!("{text} in the error log"), PATIENCE, || {
            self.root.log("error_log").matches(text).count() >= times
        });
        found.with_context(|| self.root.log("error_log"))
    }
}

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
