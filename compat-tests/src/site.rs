//! A server root with our server on it, and requests to it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;

use crate::application::Address;
use crate::http::{Client, Response};
use crate::root::{Root, free_port};
use crate::server::{Kind, Server, built};

/// How long a line may take to come into a log.
const PATIENCE: Duration = Duration::from_secs(10);

/// Held by tests that measure time.
static TURN: Mutex<()> = Mutex::new(());

/// A server root, and the server once it is started.
pub struct Site {
    /// The server; it ends before its root goes.
    pub server: Option<Server>,
    /// Where everything is.
    pub root: Root,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Site {
    /// Nothing runs yet.
    pub fn new() -> Result<Site> {
        let root = Root::new()?;
        // What is mapped into it need not exist, but a section applies only to what does.
        std::fs::create_dir(root.join("virtual"))?;
        Ok(Site { server: None, root, _turn: None })
    }

    /// For a test that measures time: no other of its kind is beside it. `htdocs/page` is a
    /// file to be asked for.
    pub fn alone() -> Result<Site> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let site = Site { _turn: Some(turn), ..Site::new()? };
        site.root.write("htdocs/page", b"a page\n")?;
        Ok(site)
    }

    /// Starts our server with a configuration behind the preamble.
    pub fn serve(&mut self, conf: &str) -> Result<()> {
        self.serve_with(conf, &[])
    }

    /// The same, with variables.
    pub fn serve_with(&mut self, conf: &str, env: &[(&str, &str)]) -> Result<()> {
        self.configure(conf)?;
        self.server = Some(Server::start_with(Kind::Ours, &self.root, &[], env)?);
        Ok(())
    }

    /// What our server says with `-t` about a configuration, `conf/case.conf`, behind the
    /// preamble.
    pub fn check(&self, conf: &str) -> Result<String> {
        self.root.write("conf/case.conf", self.root.fill(conf).as_bytes())?;
        self.configure("Include conf/case.conf\n")?;
        Server::check(Kind::Ours, &self.root)
    }

    /// Writes a configuration behind the preamble.
    pub fn configure(&self, conf: &str) -> Result<()> {
        let conf = include_str!("preamble.conf").to_owned() + conf;
        self.root.write("conf/httpd.conf", self.root.fill(&conf).as_bytes())?;
        Ok(())
    }

    /// The server.
    pub fn server(&mut self) -> Result<&mut Server> {
        self.server.as_mut().context("nothing is served")
    }

    /// Sends the server a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.server.as_ref().context("nothing is served")?.signal(signal)
    }

    /// A socket's name for an application.
    pub fn unix(&self, name: &str) -> Address {
        Address::Unix(self.root.join("run").join(name))
    }

    /// A port for an application.
    pub fn tcp() -> Result<Address> {
        Ok(Address::Tcp(free_port()?))
    }

    /// Writes a program that the server may run.
    pub fn program(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.root.write(name, self.root.fill(text).as_bytes())?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        Ok(path)
    }

    /// The probe under a name of its own, to be run as an application.
    pub fn probe(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        std::fs::copy(built("probe"), &path).context("copying the probe")?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        Ok(path)
    }

    /// Sends a request: method and target, fields, body.
    pub fn ask(&self, line: &str, fields: &[&str], body: &[u8]) -> Result<Response> {
        let mut client = Client::connect(self.root.port)?;
        let mut head =
            format!("{line} HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n");
        for field in fields {
            head += &format!("{field}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        client.send((head + "\r\n").as_bytes())?;
        client.send(body)?;
        client.response(line.split(' ').next().unwrap_or_default())
    }

    /// Asks for a target.
    pub fn get(&self, target: &str) -> Result<Response> {
        self.ask(&format!("GET {target}"), &[], b"")
    }

    /// Waits until the error log holds a text.
    pub fn logged(&self, text: &str) -> Result<()> {
        self.logged_times(text, 1)
    }

    /// Waits until the error log holds a text so many times.
    pub fn logged_times(&self, text: &str, count: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.root.log("error_log").matches(text).count() < count {
            if Instant::now() > deadline {
                bail!("no {text} in the error log:\n{}", self.root.log("error_log"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// The value of a line `NAME=value` of an answer that shows variables.
pub fn variable<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// Bytes that no two neighbouring blocks of which are equal.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.to_le_bytes());
    }
    out.truncate(length);
    out
}

/// The request field with a user's name and password.
pub fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
