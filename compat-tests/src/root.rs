//! A server root of its own for each test: configuration, files, logs, sockets.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// Where tests listen.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A server root; it is gone when this is dropped.
pub struct Root {
    directory: TempDir,
    /// The port that the server is to listen on.
    pub port: u16,
    /// A second one.
    pub other_port: u16,
    /// Further ports, by name.
    ports: Mutex<Vec<(String, u16)>>,
}

impl Root {
    /// With the usual directories in it.
    pub fn new() -> Result<Root> {
        // Sockets live there: the path has to be short.
        let directory = tempfile::Builder::new().prefix("ct").tempdir()?;
        let ports = Mutex::default();
        let root =
            Root { directory, port: free_port()?, other_port: free_port()?, ports };
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(root.path(), mode)?;
        for name in ["conf", "htdocs", "logs", "run", "tmp"] {
            std::fs::create_dir(root.path().join(name))?;
        }
        // Applications run as another user.
        std::fs::set_permissions(
            root.path().join("tmp"),
            PermissionsExt::from_mode(0o777),
        )?;
        Ok(root)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A free port that texts call `{name}`.
    pub fn port_named(&self, name: &str) -> Result<u16> {
        let port = free_port()?;
        self.ports.lock().expect("no panic").push((name.to_owned(), port));
        Ok(port)
    }

    /// The further ports, by name.
    pub fn named_ports(&self) -> Vec<(String, u16)> {
        self.ports.lock().expect("no panic").clone()
    }

    /// Replaces `{root}`, `{port}`, `{port2}` and the names of further ports.
    pub fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, port) in &*self.ports.lock().expect("no panic") {
            text = text.replace(&format!("{{{name}}}"), &port.to_string());
        }
        text.replace("{root}", &self.path().display().to_string())
            .replace("{port}", &self.port.to_string())
            .replace("{port2}", &self.other_port.to_string())
    }

    /// Writes a file, and the directories above it.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, content).with_context(|| format!("writing {name}"))?;
        Ok(path)
    }

    /// A log's text so far.
    pub fn log(&self, name: &str) -> String {
        let bytes = std::fs::read(self.join("logs").join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A port that nobody listens on now, and that nobody else in this process is given.
/// Two servers with `SO_REUSEPORT` would share one without a word. It is below those that
/// the system gives to clients.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id() * 37;
    for _ in 0..PORTS.len() {
        let next = start + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + (next % PORTS.len() as u32) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}

/// Is this run by root? Then the server changes to another user, and files belong to it.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
