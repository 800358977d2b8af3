//! The real world behind [`Files`]. The tool `fcgi-conf` includes this file, too.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use directives::bundle::{Files, Group, Kind, Meta, OsError, User, Who};
use nix::time::{ClockId, clock_gettime};
use rustc_hash::FxHashMap;

/// So many paths are glanced at before all are forgotten.
const MOST_GLANCES: usize = 256;

/// What was seen and is believed for the rest of the second that it was seen in, by the
/// clock since the machine's start; `None` where there was nothing. Who asks about paths
/// themselves asks about those of the configuration.
type Glances = FxHashMap<Vec<u8>, (i64, Option<Meta>)>;

thread_local! {
    /// Of paths themselves, and of what they lead to.
    static GLANCES: RefCell<[Glances; 2]> = RefCell::default();
}

/// The file system, the accounts and the resolver of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

/// [`Disk`] for requests: one for all of a thread's.
pub fn shared() -> Arc<dyn Files> {
    thread_local! {
        static SHARED: Arc<dyn Files> = Arc::new(Disk);
    }
    SHARED.with(Arc::clone)
}

/// A path from its bytes.
pub fn path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// An error with the text that C's `strerror` has for it.
pub fn os_error(error: &io::Error) -> OsError {
    match error.raw_os_error() {
        Some(code) => {
            let text = nix::errno::Errno::from_raw(code).desc().into();
            OsError { code, text }
        }
        None => OsError { code: 0, text: error.to_string().into() },
    }
}

fn meta(found: &std::fs::Metadata) -> Meta {
    let kind = found.file_type();
    Meta {
        kind: if kind.is_file() {
            Kind::File
        } else if kind.is_dir() {
            Kind::Directory
        } else if kind.is_symlink() {
            Kind::Link
        } else {
            Kind::Other
        },
        mode: found.mode(),
        uid: found.uid(),
        gid: found.gid(),
        size: found.size(),
        mtime: found.mtime(),
        mtime_nanos: found.mtime_nsec() as u32,
        inode: found.ino(),
        device: found.dev(),
    }
}

/// Facts about an open file.
pub fn meta_of(file: &std::fs::File) -> Result<Meta, OsError> {
    file.metadata().map(|found| meta(&found)).map_err(|error| os_error(&error))
}

impl Files for Disk {
    fn read(&self, name: &[u8]) -> Result<Arc<[u8]>, OsError> {
        std::fs::read(path(name)).map(Arc::from).map_err(|error| os_error(&error))
    }

    fn stat(&self, name: &[u8]) -> Result<Meta, OsError> {
        std::fs::metadata(path(name))
            .map(|found| meta(&found))
            .map_err(|error| os_error(&error))
    }

    fn lstat(&self, name: &[u8]) -> Result<Meta, OsError> {
        let found = std::fs::symlink_metadata(path(name));
        found.map(|found| meta(&found)).map_err(|error| os_error(&error))
    }

    fn glance(&self, name: &[u8], follow: bool) -> Result<Meta, OsError> {
        let look = || if follow { self.stat(name) } else { self.lstat(name) };
        // The coarse clock is read without a look at the hardware's.
        let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE) else {
            return look();
        };
        let (now, which) = (now.tv_sec(), usize::from(follow));
        let known = GLANCES.with_borrow(|glances| match glances[which].get(name) {
            Some((then, seen)) if *then == now => Some(*seen),
            _ => None,
        });
        if let Some(seen) = known {
            return seen.ok_or_else(OsError::not_found);
        }
        let seen = look();
        let fact = match &seen {
            Ok(meta) => Some(*meta),
            // Clients may name as many directories as they like.
            Err(error) if error.code == OsError::NOT_FOUND && !follow => None,
            Err(_) => return seen,
        };
        GLANCES.with_borrow_mut(|glances| {
            if glances[which].len() >= MOST_GLANCES {
                glances[which].clear();
            }
            glances[which].insert(name.to_vec(), (now, fact));
        });
        seen
    }

    fn list(&self, name: &[u8]) -> Result<Vec<Vec<u8>>, OsError> {
        let entries = std::fs::read_dir(path(name)).map_err(|error| os_error(&error))?;
        entries
            .map(|entry| entry.map(|entry| entry.file_name().into_vec()))
            .collect::<io::Result<_>>()
            .map_err(|error| os_error(&error))
    }

    fn user(&self, who: Who<'_>) -> Option<User> {
        use users::os::unix::UserExt;
        let user = match who {
            Who::Name(name) => users::get_user_by_name(name)?,
            Who::Id(uid) => users::get_user_by_uid(uid)?,
        };
        Some(User {
            name: user.name().to_string_lossy().into_owned(),
            uid: user.uid(),
            gid: user.primary_group_id(),
            home: user.home_dir().as_os_str().as_bytes().to_vec(),
        })
    }

    fn group(&self, who: Who<'_>) -> Option<Group> {
        use users::os::unix::GroupExt;
        let group = match who {
            Who::Name(name) => users::get_group_by_name(name)?,
            Who::Id(gid) => users::get_group_by_gid(gid)?,
        };
        let members =
            group.members().iter().map(|name| name.to_string_lossy().into_owned());
        Some(Group {
            name: group.name().to_string_lossy().into_owned(),
            gid: group.gid(),
            members: members.collect(),
        })
    }

    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        let mut found: Vec<IpAddr> = Vec::new();
        for address in (host, 0).to_socket_addrs().into_iter().flatten() {
            if !found.contains(&address.ip()) {
                found.push(address.ip());
            }
        }
        found
    }

    fn utc_offset(&self, micros: i64) -> i32 {
        utc_offset(micros)
    }

    fn zone_name(&self, micros: i64) -> String {
        zone_name(micros)
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        std::env::var_os(std::ffi::OsStr::from_bytes(name)).map(OsStringExt::into_vec)
    }
}

/// Local time's distance from UTC at a moment, seconds.
pub fn utc_offset(micros: i64) -> i32 {
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(time) => zone().to_offset(time).seconds(),
        Err(_) => 0,
    }
}

/// What local time is called at a moment: `CET`, or `+05`.
pub fn zone_name(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    zone().to_offset_info(time).abbreviation().to_owned()
}

fn zone() -> &'static jiff::tz::TimeZone {
    use std::sync::OnceLock;
    static ZONE: OnceLock<jiff::tz::TimeZone> = OnceLock::new();
    ZONE.get_or_init(jiff::tz::TimeZone::system)
}
