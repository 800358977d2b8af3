//! Whose rights programs run with, and the parent does some of its work with.

use directives::modules::core;
use nix::unistd::{Gid, Uid};

/// Under whose name a process runs: user, group and further groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    /// `User` and `Group`, if the server was started by root; otherwise nothing changes.
    pub fn of(process: &core::Process) -> Option<Identity> {
        Identity::named(process.user_name(), process.uid(), process.gid())
    }

    /// A user that the configuration names, if the server was started by root.
    pub fn named(name: &str, uid: u32, gid: u32) -> Option<Identity> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let name = std::ffi::CString::new(name).unwrap_or_default();
        let groups = nix::unistd::getgrouplist(&name, gid).unwrap_or_else(|_| vec![gid]);
        Some(Identity { uid, gid, groups })
    }

    /// Does `work` with this user's rights instead of root's. Nothing is given up for
    /// good; if the rights cannot be lowered, or the old ones do not come back, the process
    /// cannot go on.
    pub fn during<T>(identity: Option<&Identity>, work: impl FnOnce() -> T) -> T {
        use nix::unistd::{getegid, geteuid, setegid, seteuid};
        let Some(identity) = identity else { return work() };
        let (uid, gid) = (geteuid(), getegid());
        if setegid(identity.gid).and_then(|()| seteuid(identity.uid)).is_err() {
            std::process::abort();
        }
        let done = work();
        if seteuid(uid).and_then(|()| setegid(gid)).is_err() {
            std::process::abort();
        }
        done
    }

    /// The user's number.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// All groups.
    pub fn groups(&self) -> &[Gid] {
        &self.groups
    }

    /// The group's number.
    pub fn gid(&self) -> Gid {
        self.gid
    }
}
