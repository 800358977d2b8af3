//! A directory that stands for the root of a file system, on a machine whose accounts are
//! always the same.

use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use directives::bundle::{Files, Group, Kind, Meta, OsError, User, Who};

/// Name, number, group, home. Groups have the names and numbers of their accounts.
const ACCOUNTS: [(&str, u32, u32, &str); 5] = [
    ("root", 0, 0, "/root"),
    ("www-data", 33, 33, "/var/www"),
    ("apache", 48, 48, "/usr/share/httpd"),
    ("panel", 2000, 2000, "/srv/panel"),
    ("member", 2001, 2002, "/home/member"),
];

/// A group without an account.
const HOSTING: (&str, u32) = ("hosting", 2002);

/// Hosts that have an address.
const HOSTS: [(&str, [u8; 4]); 2] =
    [("localhost", [127, 0, 0, 1]), ("hhvm.internal", [10, 0, 0, 9])];

/// What every machine has: the types of files.
const MIME_TYPES: &str = "text/html html htm\ntext/css css\ntext/plain txt\n";

/// The time of every file: nothing depends on when it was checked out.
const MODIFIED: i64 = 1_600_000_000;

/// The file system.
pub struct Tree {
    root: PathBuf,
    environment: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Tree {
    /// Below a directory.
    pub fn new(root: &Path) -> Tree {
        let text = std::fs::read_to_string(root.join("environment")).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let environment =
            pairs.map(|(name, value)| (name.into(), value.into())).collect();
        Tree { root: root.to_owned(), environment }
    }

    fn path(&self, path: &[u8]) -> PathBuf {
        let relative = path.strip_prefix(b"/").unwrap_or(path);
        self.root.join(std::ffi::OsStr::from_bytes(relative))
    }

    /// Of what was checked out only its kind, its size, and whether it may be run count.
    fn meta(path: &[u8], found: &std::fs::Metadata) -> Meta {
        let kind = match found.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_symlink() => Kind::Link,
            _ => Kind::Other,
        };
        let runs = kind == Kind::Directory || found.permissions().mode() & 0o111 != 0;
        let home =
            |(_, _, _, home): &&(&str, u32, u32, &str)| path.starts_with(home.as_bytes());
        let (_, uid, gid, _) = ACCOUNTS
            .iter()
            .filter(|account| account.1 >= 2000)
            .find(home)
            .unwrap_or(&ACCOUNTS[0]);
        Meta {
            kind,
            mode: if runs { 0o755 } else { 0o644 },
            uid: *uid,
            gid: *gid,
            size: if kind == Kind::File { found.len() } else { 0 },
            mtime: MODIFIED,
            mtime_nanos: 0,
            inode: 1,
            device: 1,
        }
    }
}

fn error(error: &std::io::Error) -> OsError {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default().to_owned();
    OsError { code: error.raw_os_error().unwrap_or(0), text: text.into() }
}

impl Files for Tree {
    fn read(&self, path: &[u8]) -> Result<Arc<[u8]>, OsError> {
        match std::fs::read(self.path(path)) {
            Err(_) if path == b"/etc/mime.types" => Ok(MIME_TYPES.as_bytes().into()),
            read => read.map(Arc::from).map_err(|e| error(&e)),
        }
    }

    fn stat(&self, path: &[u8]) -> Result<Meta, OsError> {
        let found = std::fs::metadata(self.path(path)).map_err(|e| error(&e))?;
        Ok(Tree::meta(path, &found))
    }

    fn lstat(&self, path: &[u8]) -> Result<Meta, OsError> {
        let found = std::fs::symlink_metadata(self.path(path)).map_err(|e| error(&e))?;
        Ok(Tree::meta(path, &found))
    }

    fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, OsError> {
        let entries = std::fs::read_dir(self.path(path)).map_err(|e| error(&e))?;
        Ok(entries.flatten().map(|entry| entry.file_name().into_vec()).collect())
    }

    fn user(&self, who: Who<'_>) -> Option<User> {
        let (name, uid, gid, home) =
            ACCOUNTS.iter().find(|(name, uid, ..)| match who {
                Who::Name(wanted) => *name == wanted,
                Who::Id(wanted) => *uid == wanted,
            })?;
        Some(User {
            name: (*name).to_owned(),
            uid: *uid,
            gid: *gid,
            home: (*home).into(),
        })
    }

    fn group(&self, who: Who<'_>) -> Option<Group> {
        let groups = ACCOUNTS.iter().map(|(name, uid, ..)| (*name, *uid));
        let (name, gid) = groups.chain([HOSTING]).find(|(name, gid)| match who {
            Who::Name(wanted) => *name == wanted,
            Who::Id(wanted) => *gid == wanted,
        })?;
        Some(Group { name: name.to_owned(), gid, members: Vec::new() })
    }

    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        let number = host.parse().ok();
        let name = || {
            let found = HOSTS.iter().find(|(name, _)| *name == host);
            found.map(|(_, address)| IpAddr::from(*address))
        };
        number.or_else(name).into_iter().collect()
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }

    fn utc_offset(&self, _: i64) -> i32 {
        0
    }
}
