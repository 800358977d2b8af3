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
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let (uid, gid) = (Uid::from_raw(process.uid()), Gid::from_raw(process.gid()));
        let name = std::ffi::CString::new(process.user_name()).unwrap_or_default();
        let groups = nix::unistd::getgrouplist(&name, gid).unwrap_or_else(|_| vec![gid]);
        Some(Identity { uid, gid, groups })
    }

    /// Does `work` with this user's rights instead of root's. Nothing is given up for
    /// good; if the old rights do not come back the process cannot go on.
    pub fn during<T>(identity: Option<&Identity>, work: impl FnOnce() -> T) -> T {
        use nix::unistd::{getegid, geteuid, setegid, seteuid};
        let Some(identity) = identity else { return work() };
        let (uid, gid) = (geteuid(), getegid());
        let lowered = setegid(identity.gid).and_then(|()| seteuid(identity.uid));
        let done = work();
        let raised = seteuid(uid).and_then(|()| setegid(gid));
        if lowered.is_err() || raised.is_err() {
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
