//! Under whose name the application of a request runs: section 10 of the specification.

use super::Identity;
use crate::bundle::{Files, User, Who};
use crate::request::Request;

/// The identity of a request; `None` without a wrapper. A `~user` URL has that user's
/// (W-3), another one that of `SuexecUserGroup` (W-4), or the main server's.
pub fn identity(r: &Request) -> Option<Identity> {
    r.snapshot.process.fastcgi.wrapper.as_ref()?;
    Some(identity_of(r))
}

/// The identity of a request where there is a wrapper.
pub fn identity_of(r: &Request) -> Identity {
    if let Some(rest) = r.uri.strip_prefix(b"/~") {
        let end = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
        let user = std::str::from_utf8(&rest[..end]).ok();
        if let Some(user) = user.and_then(|name| r.files.user(Who::Name(name))) {
            return Identity::of_home(&user);
        }
    }
    let process = &r.snapshot.process;
    let main = (process.core.uid(), process.core.gid());
    let ids = r.server.config.suexec.ids().unwrap_or(main);
    Identity::of_ids(ids, &*r.files)
}

impl Identity {
    /// That of an account, for what lies in its home directory.
    pub(super) fn of_home(user: &User) -> Identity {
        Identity {
            uid: user.uid,
            gid: user.gid,
            user: format!("~{}", user.name),
            group: user.gid.to_string(),
        }
    }

    /// That of a user and a group.
    pub(super) fn of_ids((uid, gid): (u32, u32), files: &dyn Files) -> Identity {
        let user =
            files.user(Who::Id(uid)).map_or_else(|| uid.to_string(), |user| user.name);
        Identity { uid, gid, user, group: gid.to_string() }
    }
}
