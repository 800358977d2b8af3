//! mod_authz_user: `Require user` and `Require valid-user`.

use bytes::Bytes;

use crate::log::Level;
use crate::request::Request;
use crate::schema::Module;

/// Settings of a section: none; `Require` belongs to mod_authz_core.
pub type Dir = ();
/// Settings of a server: none.
pub type Server = ();

/// The module.
pub static MODULE: Module = Module {
    name: "mod_authz_user.c",
    id: "authz_user_module",
    directives: &[],
    hooks: &[],
};

/// Is the user one of these? See `user_check_authorization`.
pub fn is_named(r: &mut Request, user: &Bytes, names: &[Bytes]) -> bool {
    if names.contains(user) {
        return true;
    }
    if !r.logs(Level::Debug, "authz_user") {
        return false;
    }
    let (uri, user) = (String::from_utf8_lossy(&r.uri), String::from_utf8_lossy(user));
    let text = format!(
        "access to {uri} failed, reason: user '{user}' does not meet 'require'ments for user to \
         be allowed access"
    );
    r.log(Level::Debug, "authz_user", 1663, text);
    false
}
