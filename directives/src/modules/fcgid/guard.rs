//! May a command be run for `fcgid-script` at all? Asked by the process manager about a command
//! that the serving process named; see [`super::super::fastcgi::guard`].
//!
//! Who may use `FcgidWrapper` in a `.htaccess` file (`AllowOverride FileInfo`, `Options ExecCGI`) may
//! name any program of the system with mod_fcgid, whose process manager starts what it is
//! told to. No `.htaccess` is read here: where one may name commands the answer is yes. Whom
//! they run as is checked all the same.

use super::class::Command;
use crate::bundle::{Files, Kind};
use crate::modules::cgi::suexec;
use crate::modules::fastcgi::{Identity, guard, permission};
use crate::schema::Override;
use crate::snapshot::Snapshot;

/// Why a command may not be started under an identity; the sentence is for the log.
pub fn may_start(
    snapshot: &Snapshot,
    command: &Command,
    identity: Option<&Identity>,
    files: &dyn Files,
) -> Result<(), String> {
    let Command { path, args } = command;
    guard::is_plain(path)?;
    let meta = files
        .stat(path)
        .map_err(|why| format!("it cannot be looked at: {}", why.text))?;
    if meta.kind != Kind::File {
        return Err("it is no regular file".to_owned());
    }
    if let Some(identity) = identity {
        if suexec::wrapper(snapshot, files).is_none() {
            return Err("there is no wrapper for its user".to_owned());
        }
        guard::is_configured(snapshot, identity, files)?;
    } else {
        let core = &snapshot.process.core;
        let (uid, gid) = (core.uid(), core.gid());
        if let Some(why) =
            permission::refusal(&meta, uid, gid, permission::Access::EXECUTE, files)
        {
            return Err(why);
        }
    }
    if snapshot.process.fcgid.names(command) || is_for_htaccess(snapshot) {
        return Ok(());
    }
    if !args.is_empty() {
        return Err("no directive names this command".to_owned());
    }
    guard::is_let_run(snapshot, path)
}

/// What a `.htaccess` file names commands with, in lower case.
const NAMING: [&str; 5] = [
    "fcgidwrapper",
    "fcgiwrapper",
    "fcgidauthenticator",
    "fcgidauthorizer",
    "fcgidaccesschecker",
];

/// May some `.htaccess` file name commands?
fn is_for_htaccess(snapshot: &Snapshot) -> bool {
    snapshot.servers.iter().any(|server| {
        let root = std::iter::once(server.root.core.allow_override.as_ref());
        let sections = server.config.core.directories.iter().map(|section| {
            section.part.core.as_ref().and_then(|core| core.allow_override.as_ref())
        });
        root.chain(sections).flatten().any(|allowed| {
            allowed.classes.meets(Override::FILE_INFO)
                || allowed.list.iter().any(|name| NAMING.contains(&name.as_str()))
        })
    })
}
