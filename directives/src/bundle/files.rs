//! The one door to the world. The crate asks; its caller looks.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// An error of the operating system: its number and its text, as C's `strerror` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsError {
    /// `errno`.
    pub code: i32,
    /// For example `No such file or directory`.
    pub text: Cow<'static, str>,
}

impl OsError {
    /// `ENOENT`.
    pub const NOT_FOUND: i32 = 2;
    /// `EACCES`.
    pub const DENIED: i32 = 13;
    /// `ENOTDIR`.
    pub const NOT_A_DIRECTORY: i32 = 20;

    /// What a path that was never recorded answers.
    pub fn not_found() -> OsError {
        OsError { code: OsError::NOT_FOUND, text: "No such file or directory".into() }
    }
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; only `lstat` sees one.
    Link,
    /// A socket, a device, a pipe.
    Other,
}

/// The facts of `stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds beside them.
    pub mtime_nanos: u32,
    /// Inode number.
    pub inode: u64,
    /// Device number.
    pub device: u64,
}

impl Meta {
    /// When it was changed, nanoseconds since 1970.
    pub fn modified(&self) -> i64 {
        // What does not fit (after 2262) is as late as can be.
        let seconds = self.mtime.saturating_mul(1_000_000_000);
        seconds.saturating_add(i64::from(self.mtime_nanos))
    }

    /// Would its time tell if it were changed after `now`, microseconds since 1970? What
    /// changes twice within a tick of the clock that stamps files looks as if it had changed
    /// once: such a file is not to be remembered.
    pub fn is_settled(&self, now: i64) -> bool {
        // Some file systems have whole seconds, or two, or hundredths. Where there is more, a
        // tick is the kernel's, 10 ms at most.
        let is_coarse = self.mtime_nanos.is_multiple_of(1_000_000);
        let tick = if is_coarse { 2_000_000_000 } else { 50_000_000 };
        now.saturating_mul(1000).saturating_sub(self.modified()) > tick
    }
}

/// Whom to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who<'a> {
    /// By name.
    Name(&'a str),
    /// By number.
    Id(u32),
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// Its home directory.
    pub home: Vec<u8>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub gid: u32,
    /// The accounts listed as members.
    pub members: Vec<String>,
}

/// What is in a file that nobody is to see: a private key. It does not show itself, and is
/// wiped out when it is dropped.
#[derive(Clone)]
pub struct Secret(Arc<Wiped>);

struct Wiped(Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.fill(0);
        // What is looked at afterwards is not optimized away.
        std::hint::black_box(&mut self.0);
    }
}

impl Secret {
    /// Takes over what was read.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Arc::new(Wiped(bytes)))
    }

    /// What it is.
    pub fn bytes(&self) -> &[u8] {
        &self.0.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// The world, as far as configuration and path walks look at it. Paths are bytes.
pub trait Files: Send + Sync {
    /// A whole file.
    fn read(&self, path: &[u8]) -> Result<Arc<[u8]>, OsError>;
    /// A whole file that nobody is to see.
    fn secret(&self, path: &[u8]) -> Result<Secret, OsError> {
        self.read(path).map(|bytes| Secret::new(bytes.to_vec()))
    }
    /// Facts about what `path` leads to.
    fn stat(&self, path: &[u8]) -> Result<Meta, OsError>;
    /// Facts about `path` itself.
    fn lstat(&self, path: &[u8]) -> Result<Meta, OsError>;
    /// Facts about `path`, which the configuration names, or with `follow` about what any path
    /// leads to; of which it does no harm if they are a second old.
    fn glance(&self, path: &[u8], follow: bool) -> Result<Meta, OsError> {
        if follow { self.stat(path) } else { self.lstat(path) }
    }
    /// The names in a directory, without `.` and `..`, in no order.
    fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, OsError>;
    /// An account.
    fn user(&self, who: Who<'_>) -> Option<User>;
    /// A group.
    fn group(&self, who: Who<'_>) -> Option<Group>;
    /// The addresses of a host name.
    fn resolve(&self, host: &str) -> Vec<IpAddr>;
    /// A variable of the server's own environment.
    fn env(&self, name: &[u8]) -> Option<Vec<u8>>;
    /// Local time's distance from UTC at a moment (microseconds since 1970), seconds.
    fn utc_offset(&self, micros: i64) -> i32;

    /// What local time is called at a moment, microseconds since 1970: `CET`, or `+0545`
    /// where it has no name.
    fn zone_name(&self, micros: i64) -> String {
        let offset = self.utc_offset(micros);
        let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
        match offset {
            0 => "UTC".to_owned(),
            _ => format!("{sign}{:02}{:02}", minutes / 60, minutes % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_change_again_within_a_tick_is_not_settled() {
        let at = |nanos| Meta {
            kind: Kind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 1,
            mtime: 100,
            mtime_nanos: nanos,
            inode: 1,
            device: 1,
        };
        let after = |millis: i64| 100_000_000 + millis * 1000;
        for (nanos, millis, settled) in [
            (7, 40, false),
            (7, 60, true),
            // Whole seconds, or hundredths: a file system's that has nothing finer.
            (0, 60, false),
            (10_000_000, 1900, false),
            (0, 2100, true),
            // A clock that was set back, or a time that was made up.
            (7, -60_000, false),
        ] {
            assert_eq!(at(nanos).is_settled(after(millis)), settled, "{nanos} {millis}");
        }
    }
}
