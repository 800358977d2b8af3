//! How far a look at a large tree is: a line on the terminal that is written over, and
//! gone at the end. Nothing where nobody looks, and nothing for what is done at once.

use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use directives::bundle::{Files, Group, Meta, OsError, Secret, User, Who};

/// How long it may take before anything is shown, and how often it is shown anew.
const PAUSE: Duration = Duration::from_millis(500);

/// Files, counted.
pub struct Progress<F> {
    files: F,
    looks: AtomicU64,
    /// When something was shown last, and whether it was.
    shown: Option<Mutex<(Instant, bool)>>,
}

impl<F: Files> Progress<F> {
    /// Shown on standard error, if that is a terminal.
    pub fn new(files: F) -> Progress<F> {
        let shown =
            std::io::stderr().is_terminal().then(|| Mutex::new((Instant::now(), false)));
        Progress { files, looks: AtomicU64::new(0), shown }
    }

    /// Takes the line away.
    pub fn done(&self) {
        let Some(shown) = &self.shown else { return };
        if shown.lock().unwrap_or_else(PoisonError::into_inner).1 {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn look(&self, path: &[u8]) {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(shown) = &self.shown else { return };
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.0.elapsed() < PAUSE {
            return;
        }
        *shown = (Instant::now(), true);
        // A name is somebody's: nothing in it is to reach the terminal as it is.
        let path: String = String::from_utf8_lossy(path)
            .chars()
            .filter(|c| !c.is_control())
            .take(50)
            .collect();
        let _ = write!(std::io::stderr(), "\r\x1b[K{looks} looks at files: {path}");
    }
}

impl<F: Files> Files for Progress<F> {
    fn read(&self, path: &[u8]) -> Result<Arc<[u8]>, OsError> {
        self.look(path);
        self.files.read(path)
    }

    fn secret(&self, path: &[u8]) -> Result<Secret, OsError> {
        self.look(path);
        self.files.secret(path)
    }

    fn stat(&self, path: &[u8]) -> Result<Meta, OsError> {
        self.look(path);
        self.files.stat(path)
    }

    fn lstat(&self, path: &[u8]) -> Result<Meta, OsError> {
        self.look(path);
        self.files.lstat(path)
    }

    fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, OsError> {
        self.look(path);
        self.files.list(path)
    }

    fn user(&self, who: Who<'_>) -> Option<User> {
        self.files.user(who)
    }

    fn group(&self, who: Who<'_>) -> Option<Group> {
        self.files.group(who)
    }

    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        self.look(host.as_bytes());
        self.files.resolve(host)
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.files.env(name)
    }

    fn utc_offset(&self, micros: i64) -> i32 {
        self.files.utc_offset(micros)
    }
}
