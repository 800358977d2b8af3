//! `FastCgiIpcDir` and `FastCgiWrapper`: where sockets are, and under whose name
//! applications run.

use bytes::Bytes;
use md5::{Digest, Md5};

use super::app::Address;
use super::permission::{Access, refusal};
use super::{Kind, check_identity};
use crate::bundle::{self, Files, OsError};
use crate::compile::Scope;
use crate::diagnostic::{Diagnostic, codes};
use crate::modules::Process;
use crate::path;
use crate::schema::{Compat, Context, Directive, Result, Set, Word};
use crate::syntax::Span;

/// The directory of sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpcDir {
    /// Absolute, without a slash at its end.
    pub path: Bytes,
    /// Where it was given, and on which line; `None` for the default, whose failures are
    /// not fatal (C-34).
    pub given: Option<(Span, u32)>,
}

/// Where run-time files go unless `DefaultRuntimeDir` says otherwise.
const RUNTIME_DIR: &[u8] = match option_env!("FCGI_HTTPD_RUNTIME_DIR") {
    Some(path) => path.as_bytes(),
    None => b"/run/fcgi-httpd",
};

/// The longest path of a Unix socket, bytes.
const MAX_SOCKET_PATH: usize = 107;

/// The name of an application's socket: the MD5 of path, user and group (K-1, K-2).
pub fn socket_name(path: &[u8], user: &str, group: &str) -> String {
    let mut digest = Md5::new();
    digest.update(path);
    digest.update(user.as_bytes());
    digest.update(group.as_bytes());
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A Unix socket's address; a relative one is below the directory of sockets, which this
/// settles (C-44).
pub(super) fn unix_address(
    at: &mut Scope,
    subject: &str,
    socket: &Bytes,
) -> Result<Address> {
    let directory = directory(at);
    let path = if socket.first() == Some(&b'/') {
        socket.to_vec()
    } else {
        path::join(&directory, socket)
    };
    if path.len() > MAX_SOCKET_PATH {
        let shown = String::from_utf8_lossy(&path);
        let message =
            format!("{subject}: path \"{shown}\" is too long for a Domain socket");
        return Err(message.into());
    }
    Ok(Address::Unix(path.into()))
}

/// The directory of sockets: as given, or the default, which then is settled.
fn directory(at: &mut Scope) -> Bytes {
    settle(at.process()).path.clone()
}

/// Settles the default directory unless one was given.
pub(crate) fn settle(process: &mut Process) -> &IpcDir {
    let runtime = process.core.runtime_dir.clone();
    let default = || IpcDir {
        path: path::join(runtime.as_deref().unwrap_or(RUNTIME_DIR), b"fastcgi").into(),
        given: None,
    };
    process.fastcgi.ipc_dir.get_or_insert_with(default)
}

pub static FAST_CGI_IPC_DIR: Directive = Directive {
    name: "FastCgiIpcDir",
    syntax: "directory",
    context: Context::SERVER,
    default: "(runtime directory)/fastcgi",
    summary: "",
    docs: r"
The directory of Unix sockets, for the server's user only. It is made if it is not there,
with a directory `dynamic` in it for dynamic applications. It has to stand before the
applications that use it. A directory that others may write to, such as /tmp, is a risk
and may be cleaned away.

## Example
    FastCgiIpcDir run/fcgi
",
    compat: Compat::Differs("User and Group may follow it: the final ones count"),
    set: Set::Raw(|at, args| {
        let words = Word::all(args);
        match &words[..] {
            [word] if !word.bytes.is_empty() => ipc_dir(at, word),
            _ => Err("FastCgiIpcDir takes one argument".into()),
        }
    }),
    ..Directive::EXACT
};

fn ipc_dir(at: &mut Scope, word: &Word) -> Result {
    let name = at.cmd.name;
    let typed = word.lossy();
    let has_servers =
        at.process().fastcgi.apps().iter().any(|app| {
            app.kind == Kind::Static || matches!(app.address, Address::Tcp(_))
        });
    if let Some(old) = &at.process().fastcgi.ipc_dir {
        let message = match old.given {
            None if has_servers => {
                format!(
                    "The {name} command must preceed static FastCGI server definitions"
                )
            }
            _ => {
                let shown = String::from_utf8_lossy(&old.path);
                format!("{name} {typed}: already defined as \"{shown}\"")
            }
        };
        return Err(message.into());
    }
    if has_servers {
        let message =
            format!("The {name} command must preceed static FastCGI server definitions");
        return Err(message.into());
    }
    check_identity(at, &format!("{name} {typed}"))?;
    let Some(mut path) = at.server_relative(&word.bytes) else {
        return Err(format!("{name} {typed}: invalid filepath").into());
    };
    while path.len() > 1 && path.last() == Some(&b'/') {
        path.pop();
    }
    let shown = String::from_utf8_lossy(&path).into_owned();
    match at.files().stat(&path) {
        Ok(meta) if meta.kind != bundle::Kind::Directory => {
            return Err(format!("{name} {shown}: isn't a directory!").into());
        }
        // Whether the server may use it is asked at the end: `User` may still come.
        Ok(_) => {}
        Err(error) => {
            // It is made when the server starts; what can be seen now is said now.
            let parent = path::dir_name(&path);
            let parent_there = parent.len() <= 1 || at.files().stat(parent).is_ok();
            if error.code != OsError::NOT_FOUND || !parent_there {
                let text = &error.text;
                let message =
                    format!("{name} {shown}: doesn't exist and can't be created: {text}");
                return Err(message.into());
            }
        }
    }
    let given = Some((word.span, at.cmd.item.line));
    at.process().fastcgi.ipc_dir = Some(IpcDir { path: path.into(), given });
    Ok(())
}

/// The wrapper, if the final `User` may not run it.
pub(super) fn check_wrapper(process: &Process, files: &dyn Files) -> Option<Diagnostic> {
    let path = process.fastcgi.wrapper.as_ref()?;
    let (span, line) = process.fastcgi.wrapper_at?;
    let (name, shown) = (FAST_CGI_WRAPPER.name, String::from_utf8_lossy(path));
    let (uid, gid) = (process.core.uid(), process.core.gid());
    let why = match files.stat(path) {
        Ok(meta) => refusal(&meta, uid, gid, Access::EXECUTE, files)?,
        Err(error) => format!("stat({shown}) failed: {}", error.text),
    };
    let message = format!(
        "{name}: \"{shown}\" execute access for server (uid {uid}, gid {gid}) failed: {why}"
    );
    Some(Diagnostic::new(&codes::VALUE, message, span, line))
}

/// A directory that was given, and that the final `User` may not use.
pub(super) fn check_access(process: &Process, files: &dyn Files) -> Option<Diagnostic> {
    let IpcDir { path, given } = process.fastcgi.ipc_dir.as_ref()?;
    let (span, line) = (*given)?;
    let meta =
        files.stat(path).ok().filter(|meta| meta.kind == bundle::Kind::Directory)?;
    let (uid, gid) = (process.core.uid(), process.core.gid());
    let why = refusal(&meta, uid, gid, Access::ALL, files)?;
    let (name, shown) = (FAST_CGI_IPC_DIR.name, String::from_utf8_lossy(path));
    let message =
        format!("{name} {shown}: access for server (uid {uid}, gid {gid}) failed: {why}");
    Some(Diagnostic::new(&codes::VALUE, message, span, line))
}

pub static FAST_CGI_WRAPPER: Directive = Directive {
    name: "FastCgiWrapper",
    aliases: &["FastCgiSuexec"],
    syntax: "On|Off|filename",
    context: Context::SERVER,
    default: "Off",
    summary: "",
    docs: r"
A program, such as suexec, that starts applications under another user and group. `On`
is the system's suexec. With a wrapper an application is path, user and group: the same
path under two users is two applications.

## Example
    FastCgiWrapper Off
",
    compat: Compat::Differs(
        "a request without a user of its own has the main server's, instead of passing the \
         wrapper by",
    ),
    set: Set::Raw(|at, args| {
        let words = Word::all(args);
        match &words[..] {
            [word] if !word.bytes.is_empty() => wrapper(at, word),
            _ => Err(format!("{} takes one argument", at.cmd.name).into()),
        }
    }),
    ..Directive::EXACT
};

/// The suexec of the system; Debian's place.
const SUEXEC: &[u8] = match option_env!("FCGI_HTTPD_SUEXEC") {
    Some(path) => path.as_bytes(),
    None => b"/usr/lib/apache2/suexec",
};

fn wrapper(at: &mut Scope, word: &Word) -> Result {
    let name = at.cmd.name;
    if let Some(old) = &at.process().fastcgi.wrapper {
        let shown = String::from_utf8_lossy(old);
        return Err(format!("{name} was already set to \"{shown}\"").into());
    }
    if !at.process().fastcgi.apps().is_empty() {
        let message =
            format!("The {name} command must preceed static FastCGI server definitions");
        return Err(message.into());
    }
    check_identity(at, &format!("{name} {}", word.lossy()))?;
    let path = match word.flag() {
        Some(false) => return Ok(()),
        Some(true) => SUEXEC.to_vec(),
        None => match at.server_relative(&word.bytes) {
            Some(path) => path,
            None => {
                return Err(format!("{name} {}: invalid filepath", word.lossy()).into());
            }
        },
    };
    // Whether it is there and may be run is asked at the end: `User` may still come.
    let given = (word.span, at.cmd.item.line);
    let fastcgi = &mut at.process().fastcgi;
    (fastcgi.wrapper, fastcgi.wrapper_at) = (Some(path.into()), Some(given));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::socket_name;

    #[test]
    fn socket_names_are_the_originals() {
        let name = |user, group| socket_name(b"/srv/fcgi-bin/app.fcgi", user, group);
        assert_eq!(name("", ""), "5fced848ed0cd4efdc54427b28b73482");
        assert_eq!(name("www-data", "www-data"), "b56dc8e57898910653b267f41b741627");
        assert_eq!(name("-", "-"), "cb90272aad090195f2547d2f3692e9fc");
        assert_eq!(name("33", "33"), "a709988534e12250cb911c4d46f6a304");
        assert_eq!(name("~joe", "-"), "d4ab574a53fbd8259e70e46388466908");
    }
}
