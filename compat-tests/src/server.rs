//! A server under test: started, waited for, ended.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::root::Root;

/// How long a server may take to serve, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Ours,
    /// Debian's apache2.
    Apache,
}

impl Kind {
    /// Its program. Ours is the one that was built with these tests, or the one that
    /// `FCGI_HTTPD` names.
    pub fn program(self) -> PathBuf {
        match self {
            Kind::Ours => {
                let named = std::env::var_os("FCGI_HTTPD");
                named.map_or_else(|| built("fcgi-httpd"), PathBuf::from)
            }
            Kind::Apache => PathBuf::from("/usr/sbin/apache2"),
        }
    }
}

/// A program that was built with these tests: beside this one, or above it where cargo puts
/// tests.
pub fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let places = own.ancestors().skip(1).take(2);
    let mut programs = places.map(|directory| directory.join(name));
    programs.find(|program| program.is_file()).unwrap_or_else(|| name.into())
}

/// A running server.
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts a server with `conf/httpd.conf` of a root, and waits until it serves.
    pub fn start(kind: Kind, root: &Root) -> Result<Server> {
        Server::start_with(kind, root, &[], &[])
    }

    /// The same, with further arguments and variables.
    pub fn start_with(
        kind: Kind,
        root: &Root,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Server> {
        let program = kind.program();
        if !program.exists() {
            bail!("{} is not there; compat-tests/run makes it", program.display());
        }
        let out = std::fs::File::create(root.join("logs/output"))?;
        let mut command = Command::new(&program);
        command
            .arg("-DFOREGROUND")
            .arg("-d")
            .arg(root.path())
            .arg("-f")
            .arg(root.join("conf/httpd.conf"))
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let child =
            command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let mut server = Server { child };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", root.port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!(
                    "{} ended with {status}: {}",
                    program.display(),
                    root.log("output")
                );
            }
            if Instant::now() > deadline {
                bail!("{} does not listen: {}", program.display(), root.log("output"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// What a server says about `conf/httpd.conf` with `-t`, and whether it takes it.
    pub fn check(kind: Kind, root: &Root) -> Result<String> {
        let mut command = Command::new(kind.program());
        command.arg("-t").arg("-d").arg(root.path());
        command.arg("-f").arg(root.join("conf/httpd.conf")).stdin(Stdio::null());
        let output = command.output().context("asking about a configuration")?;
        let said = [output.stdout, output.stderr].concat();
        let taken = if output.status.success() { "taken" } else { "refused" };
        Ok(format!("{taken}\n{}", String::from_utf8_lossy(&said)))
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.pid(), signal)?)
    }

    /// Waits for its end, and says how it ended.
    pub fn wait(&mut self) -> Result<std::process::ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("it does not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it in order.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        self.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // A second TERM does not wait for requests.
            let _ = self.signal(Signal::SIGTERM);
            let _ = self.signal(Signal::SIGTERM);
            if self.wait().is_err() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}
