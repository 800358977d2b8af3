//! May the serving user read, write or execute a file? Judged from mode bits alone, for a
//! given user and group; root is not special, parent directories are not looked at. See
//! section 10.1 of the specification.

use crate::bundle::{Files, Kind, Meta, OsError, Who};

/// What is asked for, as the bits of `others`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// `r`.
    pub read: bool,
    /// `w`.
    pub write: bool,
    /// `x`.
    pub execute: bool,
}

impl Access {
    /// Execute.
    pub const EXECUTE: Access = Access { read: false, write: false, execute: true };
    /// Read, write and search: what a directory of sockets needs.
    pub const ALL: Access = Access { read: true, write: true, execute: true };
}

/// Why a user may not: `execute not allowed by owner` and the like.
pub fn refusal(
    meta: &Meta,
    uid: u32,
    gid: u32,
    access: Access,
    files: &dyn Files,
) -> Option<String> {
    let (shift, by) = if meta.uid == uid {
        (6, " by owner")
    } else if meta.gid == gid || listed(meta.gid, uid, files) {
        (3, " by group")
    } else {
        (0, "")
    };
    let bits = meta.mode >> shift;
    let wanted = [
        (access.read, 4, "read"),
        (access.write, 2, "write"),
        (access.execute, 1, "execute"),
    ];
    wanted
        .iter()
        .find(|(wanted, bit, _)| *wanted && bits & bit == 0)
        .map(|(_, _, name)| format!("{name} not allowed{by}"))
}

/// Is the user listed as a member of the group?
fn listed(gid: u32, uid: u32, files: &dyn Files) -> bool {
    let Some(group) = files.group(Who::Id(gid)) else { return false };
    files.user(Who::Id(uid)).is_some_and(|user| group.members.contains(&user.name))
}

/// Why a file cannot be an application: the `<reason>` of C-17. With a wrapper the
/// permission is the wrapper's business.
pub fn program(
    path: &[u8],
    looked: Result<Meta, OsError>,
    uid: u32,
    gid: u32,
    wrapped: bool,
    files: &dyn Files,
) -> Option<String> {
    let shown = String::from_utf8_lossy(path);
    let meta = match looked {
        Ok(meta) => meta,
        Err(error) => return Some(format!("stat({shown}) failed: {}", error.text)),
    };
    if meta.kind == Kind::Directory {
        return Some("script is a directory!".to_owned());
    }
    if wrapped {
        return None;
    }
    let why = refusal(&meta, uid, gid, Access::EXECUTE, files)?;
    Some(format!("access for server (uid {uid}, gid {gid}) not allowed: {why}"))
}
