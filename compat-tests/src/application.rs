//! FastCGI applications under a server: real programs, started on a socket of their own
//! and ended by their process number.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::root::Root;
use crate::server::built;

/// How long an application may take to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket of the file system.
    Unix(PathBuf),
    /// A port of this machine.
    Tcp(u16),
}

impl Address {
    /// The option of `FastCgiExternalServer` that says it.
    pub fn option(&self) -> String {
        match self {
            Address::Unix(path) => format!("-socket {}", path.display()),
            Address::Tcp(port) => format!("-host 127.0.0.1:{port}"),
        }
    }

    /// Does anybody listen there?
    pub fn answers(&self) -> bool {
        match self {
            Address::Unix(path) => UnixStream::connect(path).is_ok(),
            Address::Tcp(port) => TcpStream::connect(("127.0.0.1", *port)).is_ok(),
        }
    }
}

/// php-fpm, of whatever version there is: Debian puts that into the name.
pub fn php_fpm() -> Result<PathBuf> {
    newest("/usr/sbin", "php-fpm").context("install the Debian package php-fpm")
}

/// The last entry of a directory, by name, that begins so.
pub fn newest(directory: &str, beginning: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(directory)?.flatten();
    let named = entries.filter(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.starts_with(beginning))
    });
    let found = named.map(|entry| entry.path()).max();
    found.with_context(|| format!("there is no {directory}/{beginning}*"))
}

/// A program that has to be there; the error names the Debian package that has it.
pub fn program(path: &str, package: &str) -> Result<PathBuf> {
    let path = PathBuf::from(path);
    if !path.exists() {
        bail!("{} is missing: install the Debian package {package}", path.display());
    }
    Ok(path)
}

/// Runs a command that prepares something, to its end.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("running {command:?}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}: {words}", output.status);
    }
    Ok(())
}

/// A running application.
pub struct Application {
    child: Child,
    /// Where it listens.
    pub address: Address,
}

impl Application {
    /// Starts a program that opens its socket itself, and waits until it listens. What it
    /// says goes to `logs/application`.
    pub fn start(
        root: &Root,
        address: Address,
        command: &mut Command,
    ) -> Result<Application> {
        let listens = address.clone();
        Application::start_until(root, address, command, || listens.answers())
    }

    /// The same for a program that a connection only to look would disturb: `is_ready`
    /// finds out by other means.
    pub fn start_until(
        root: &Root,
        address: Address,
        command: &mut Command,
        is_ready: impl Fn() -> bool,
    ) -> Result<Application> {
        let out = std::fs::File::options()
            .create(true)
            .append(true)
            .open(root.join("logs/application"))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let mut application = Application { child, address };
        let deadline = Instant::now() + PATIENCE;
        while !is_ready() {
            if let Some(status) = application.child.try_wait()? {
                bail!("{command:?} ended with {status}: {}", root.log("application"));
            }
            if Instant::now() > deadline {
                bail!("{command:?} does not listen: {}", root.log("application"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(application)
    }

    /// Starts a program that expects its socket on descriptor 0. `spawn-fcgi -n` becomes
    /// the program, so that its process is the program's.
    pub fn spawn_fcgi(
        root: &Root,
        address: Address,
        program_: &[&Path],
    ) -> Result<Application> {
        let mut command = Command::new(program("/usr/bin/spawn-fcgi", "spawn-fcgi")?);
        command.arg("-n");
        match &address {
            // The server connects as another user.
            Address::Unix(path) => command.arg("-s").arg(path).args(["-M", "0666"]),
            Address::Tcp(port) => {
                command.args(["-a", "127.0.0.1", "-p", &port.to_string()])
            }
        };
        command.arg("--").args(program_);
        Application::start(root, address, &mut command)
    }

    /// php-fpm with the given lines of pool configuration besides those that it needs.
    pub fn php_fpm(root: &Root, address: Address, pool: &str) -> Result<Application> {
        Application::php_fpm_with(root, address, pool, &[])
    }

    /// The same with extensions of PHP. Some of them cannot be loaded by a pool: what they
    /// are for has been set up by then.
    pub fn php_fpm_with(
        root: &Root,
        address: Address,
        pool: &str,
        extensions: &[&str],
    ) -> Result<Application> {
        let program = php_fpm()?;
        let listen = match &address {
            Address::Unix(path) => path.display().to_string(),
            Address::Tcp(port) => format!("127.0.0.1:{port}"),
        };
        let conf = root.fill(&format!(
            "[global]\nerror_log = {{root}}/logs/php-fpm\ndaemonize = no\n\
             [www]\nuser = www-data\ngroup = www-data\nlisten = {listen}\nlisten.mode = 0666\n\
             pm = static\npm.max_children = 2\n{pool}"
        ));
        // Two of them may stand under one server.
        let name = listen.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let conf = root.write(&format!("conf/php-fpm{name}.conf"), conf.as_bytes())?;
        let mut command = Command::new(program);
        command.arg("--nodaemonize").arg("--no-php-ini").arg("--fpm-config").arg(conf);
        for name in extensions {
            command.arg("-d").arg(format!("extension={name}"));
        }
        Application::start(root, address, &mut command)
    }

    /// The probe on `run/name`. With directives every request is answered after them.
    pub fn probe(root: &Root, name: &str, directives: &[&str]) -> Result<Application> {
        let address = Address::Unix(root.join("run").join(name));
        Application::probe_at(root, address, directives, &[])
    }

    /// The same anywhere, with variables that say how it lives (`src/bin/probe`).
    pub fn probe_at(
        root: &Root,
        address: Address,
        directives: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Application> {
        let mut command = Command::new(built("probe"));
        match &address {
            Address::Unix(path) => command.arg(format!("unix:{}", path.display())),
            Address::Tcp(port) => command.arg(format!("127.0.0.1:{port}")),
        };
        command.args(directives).envs(env.iter().copied());
        let probe = Application::start(root, address, &mut command)?;
        if let Address::Unix(path) = &probe.address {
            // The server connects as another user.
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o666))?;
        }
        Ok(probe)
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = kill(self.pid(), Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let error = program("/nonexistent/program", "some-package").unwrap_err();
        assert!(error.to_string().ends_with("install the Debian package some-package"));
        assert!(program("/bin/sh", "dash").is_ok());
    }

    #[test]
    fn a_command_that_fails_says_why() {
        let failing = run(Command::new("/bin/sh").args(["-c", "echo words >&2; exit 3"]));
        assert!(failing.unwrap_err().to_string().ends_with("exit status: 3: words\n"));
    }
}
