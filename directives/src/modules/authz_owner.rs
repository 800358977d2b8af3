//! mod_authz_owner: `Require file-owner` and `Require file-group`.

use bytes::Bytes;

use super::authz_groupfile;
use crate::bundle::{Meta, Who};
use crate::log::Level;
use crate::request::Request;
use crate::schema::Module;

/// Settings of a section: none; `Require` belongs to mod_authz_core.
pub type Dir = ();
/// Settings of a server: none.
pub type Server = ();

/// The module.
pub static MODULE: Module = Module {
    name: "mod_authz_owner.c",
    id: "authz_owner_module",
    directives: &[],
    hooks: &[],
};

/// Is the user the account that owns the file? See `fileowner_check_authorization`.
pub fn owns(r: &mut Request, user: &Bytes) -> bool {
    let owner = file(r).and_then(|meta| r.files.user(Who::Id(meta.uid)));
    let reason = match owner {
        Some(owner) if owner.name.as_bytes() == &user[..] => return true,
        Some(owner) => {
            format!("file owner {} does not match user {}", owner.name, shown(user))
        }
        None => "file owner is not known".to_owned(),
    };
    deny(r, &reason)
}

/// Is the user in the file's group, as `AuthGroupFile` has it? See
/// `filegroup_check_authorization`.
pub fn in_group(r: &mut Request, user: &Bytes) -> bool {
    let group = file(r).and_then(|meta| r.files.group(Who::Id(meta.gid)));
    match group {
        Some(group) => authz_groupfile::is_member(r, user, &[group.name.into()]),
        None => deny(r, "file group is not known"),
    }
}

fn file(r: &Request) -> Option<Meta> {
    if r.finfo.is_some() || r.filename.is_empty() {
        return r.finfo;
    }
    r.files.stat(&r.filename).ok()
}

fn deny(r: &mut Request, reason: &str) -> bool {
    let uri = String::from_utf8_lossy(&r.uri).into_owned();
    let text = format!("Authorization of user to access {uri} failed, reason: {reason}");
    r.log(Level::Info, "authz_owner", 1637, text);
    false
}

fn shown(user: &Bytes) -> String {
    String::from_utf8_lossy(user).into_owned()
}
