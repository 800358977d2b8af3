//! mod_authz_owner: `Require file-owner` and `Require file-group`.

use bytes::Bytes;

use crate::bundle::{Meta, OsError, Who};
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
    let Some(meta) = file(r, user, 1632, 1634) else { return false };
    match r.files.user(Who::Id(meta.uid)) {
        Some(owner) if owner.name.as_bytes() == &user[..] => return true,
        Some(owner) => {
            let reason = format!("file owner {} does not match.", owner.name);
            deny(r, user, 1637, None, &reason);
        }
        None => deny(r, user, 1636, None, "could not get name of file owner"),
    }
    false
}

/// The name of the file's group: `authz_owner_get_file_group`.
pub fn group_of_file(r: &mut Request, user: &Bytes) -> Option<Bytes> {
    let meta = file(r, user, 1638, 1639)?;
    let group = r.files.group(Who::Id(meta.gid));
    if group.is_none() {
        deny(r, user, 1641, None, "could not get name of file group");
    }
    Some(group?.name.into())
}

/// Facts about the file; `unnamed` and `missing` are the numbers of the log lines if there
/// are none.
fn file(r: &mut Request, user: &Bytes, unnamed: u32, missing: u32) -> Option<Meta> {
    if r.filename.is_empty() {
        deny(r, user, unnamed, None, "no filename available");
        return None;
    }
    match r.files.stat(&r.filename) {
        Ok(meta) => Some(meta),
        Err(error) => {
            let reason =
                format!("could not stat file {}", String::from_utf8_lossy(&r.filename));
            deny(r, user, missing, Some(error), &reason);
            None
        }
    }
}

fn deny(r: &mut Request, user: &Bytes, ah: u32, error: Option<OsError>, reason: &str) {
    let (uri, user) = (String::from_utf8_lossy(&r.uri), String::from_utf8_lossy(user));
    let text =
        format!("Authorization of user {user} to access {uri} failed, reason: {reason}");
    r.log_os(Level::Error, "authz_owner", ah, error, text);
}
