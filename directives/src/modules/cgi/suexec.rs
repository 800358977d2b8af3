//! Under whose name scripts run: suexec, as httpd's core and mod_suexec use it.

use bytes::Bytes;

use crate::bundle::Files;
use crate::modules::fastcgi::{Identity, identity_of};
use crate::request::Request;
use crate::snapshot::Snapshot;

/// Where httpd expects the wrapper: `SUEXEC_BIN` as Debian has it.
const PATH: &[u8] = b"/usr/lib/apache2/suexec";
/// The set-user-id bit of a file's mode.
const SET_UID: u32 = 0o4000;

/// The program that starts scripts under other names: the one that `FastCgiWrapper` names,
/// or httpd's if it is there and may.
pub fn wrapper(snapshot: &Snapshot, files: &dyn Files) -> Option<Bytes> {
    if let Some(wrapper) = &snapshot.process.fastcgi.wrapper {
        return Some(wrapper.clone());
    }
    let meta = files.stat(PATH).ok()?;
    let able = meta.uid == 0 && meta.mode & SET_UID != 0;
    able.then(|| Bytes::from_static(PATH))
}

/// The identity that a request's script needs a wrapper for: that of a `~user` URL, or of
/// `SuexecUserGroup`. Where there is a user and no wrapper the script must not run as
/// somebody else; for a `~user` URL httpd lets it, and so do we.
pub fn identity(r: &Request) -> Result<Option<Identity>, &'static str> {
    let named = r.server.config.suexec.ids().is_some();
    if !named && !r.uri.starts_with(b"/~") {
        return Ok(None);
    }
    if wrapper(&r.snapshot, &*r.files).is_none() {
        let why = "SuexecUserGroup names a user, and there is no suexec that could run the \
                   script under that name: install one, or name one with FastCgiWrapper";
        return if named { Err(why) } else { Ok(None) };
    }
    let identity = identity_of(r);
    Ok((named || identity.user.starts_with('~')).then_some(identity))
}
