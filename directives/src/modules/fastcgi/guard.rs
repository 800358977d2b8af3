//! May a file be run as a dynamic application, or as a CGI script, at all? Asked by the process
//! manager, which has the rights to start programs, about a path that the serving process
//! named. Only the configuration answers: what the serving process says about the request is
//! not believed.
//!
//! It errs on the side of starting: a section that may apply is taken to apply. No
//! `.htaccess` is read here, so where one may say `Options` the answer is yes. What remains
//! out of reach is everything that no section lets be run.

use std::sync::Arc;

use super::Identity;
use super::permission;
use crate::bundle::{Files, Kind, Who};
use crate::merge::Merged;
use crate::modules::alias;
use crate::modules::core::OptionSet;
use crate::path;
use crate::schema::Override;
use crate::snapshot::{Server, Snapshot};
use crate::walk;

/// Why a file may not be started under an identity; the sentence is for the log.
pub fn may_start(
    snapshot: &Snapshot,
    file: &[u8],
    identity: Option<&Identity>,
    files: &dyn Files,
) -> Result<(), String> {
    let process = &snapshot.process;
    is_plain(file)?;
    let (uid, gid) = (process.core.uid(), process.core.gid());
    let wrapped = process.fastcgi.wrapper.is_some();
    if let Some(why) =
        permission::program(file, files.stat(file), uid, gid, wrapped, files)
    {
        return Err(why);
    }
    match identity {
        None if wrapped => {
            return Err("there is a wrapper, and no user for it".to_owned());
        }
        Some(_) if !wrapped => return Err("there is no wrapper for its user".to_owned()),
        None => {}
        Some(identity) => is_configured(snapshot, identity, files)?,
    }
    if process.fastcgi.is_authorizer(file) { Ok(()) } else { is_let_run(snapshot, file) }
}

/// Why a file may not be run as a CGI script under an identity; `wrapped` says that there is
/// a program that would see to the identity. Whether its mode lets it be run the system
/// says, since nobody but `User` runs it.
pub fn may_run(
    snapshot: &Snapshot,
    file: &[u8],
    identity: Option<&Identity>,
    wrapped: bool,
    files: &dyn Files,
) -> Result<(), String> {
    is_plain(file)?;
    match files.stat(file) {
        Ok(meta) if meta.kind == Kind::File => {}
        Ok(_) => return Err("it is no regular file".to_owned()),
        Err(error) => return Err(format!("it cannot be looked at: {}", error.text)),
    }
    if let Some(identity) = identity {
        if !wrapped {
            return Err("there is no wrapper for its user".to_owned());
        }
        is_configured(snapshot, identity, files)?;
    }
    is_let_run(snapshot, file)
}

/// Why no commands may be run for a page with includes (`exec cmd`), as `User`.
pub fn may_run_commands(snapshot: &Snapshot, page: &[u8]) -> Result<(), String> {
    is_plain(page)?;
    let option = OptionSet::INCLUDES_EXEC;
    let lets = |dir: &Merged| dir.core.options.set.has(option);
    let mut servers = snapshot.servers.iter();
    let allowed = servers.any(|server| some_section(server, page, option, &lets));
    let why =
        "no section of the configuration lets its page run commands (Options Includes)";
    if allowed { Ok(()) } else { Err(why.to_owned()) }
}

pub(crate) fn is_plain(file: &[u8]) -> Result<(), String> {
    let plain = file.first() == Some(&b'/')
        && !file.contains(&0)
        && path::normalize(file, true).as_deref() == Some(file);
    if plain { Ok(()) } else { Err("its path is not absolute and plain".to_owned()) }
}

pub(crate) fn is_let_run(snapshot: &Snapshot, file: &[u8]) -> Result<(), String> {
    let allowed = snapshot.servers.iter().any(|server| lets_run(snapshot, server, file));
    if allowed {
        Ok(())
    } else {
        Err("no section of the configuration lets it be run".to_owned())
    }
}

/// Is this a user that the configuration names, or the one of a `~user` URL? Its names are
/// what the wrapper is told, so they have to be those of its numbers.
pub(crate) fn is_configured(
    snapshot: &Snapshot,
    identity: &Identity,
    files: &dyn Files,
) -> Result<(), String> {
    let core = &snapshot.process.core;
    let ids @ (uid, gid) = (identity.uid, identity.gid);
    if uid == 0 || gid == 0 {
        return Err("it would run as root".to_owned());
    }
    let meant = if let Some(name) = identity.user.strip_prefix('~') {
        files.user(Who::Name(name)).map(|user| Identity::of_home(&user))
    } else {
        let suexec = |server: &Arc<Server>| server.config.suexec.ids() == Some(ids);
        if (core.uid(), core.gid()) != ids && !snapshot.servers.iter().any(suexec) {
            return Err(format!("uid {uid} and gid {gid} are nobody's here"));
        }
        Some(Identity::of_ids(ids, files))
    };
    if meant.as_ref() == Some(identity) {
        return Ok(());
    }
    let Identity { user, group, .. } = identity;
    Err(format!(
        "\"{user}\" and \"{group}\" are not the account of uid {uid} and gid {gid}"
    ))
}

/// Do the sections of a server let a file be run?
fn lets_run(snapshot: &Snapshot, server: &Server, file: &[u8]) -> bool {
    let below = |target: &[u8]| {
        let target =
            path::server_relative(&snapshot.server_root, target).unwrap_or_default();
        file.strip_prefix(&target[..]).is_some_and(|rest| {
            target.ends_with(b"/") || matches!(rest.first(), None | Some(b'/'))
        })
    };
    let option = OptionSet::EXEC_CGI;
    let lets = |dir: &Merged| {
        dir.core.options.set.has(option)
            || alias::script_targets(&server.config, dir).any(below)
    };
    server.config.vhost_alias.has_scripts() || some_section(server, file, option, &lets)
}

/// Does one of the sections that may apply to a file let it, or let `.htaccess` files set the
/// option that would?
fn some_section(
    server: &Server,
    file: &[u8],
    option: OptionSet,
    lets: &dyn Fn(&Merged) -> bool,
) -> bool {
    let enough = |dir: &Merged| {
        let may_say_option = dir.core.allow_override.as_ref().is_some_and(|allowed| {
            let listed = allowed.list.iter().any(|name| name == "options");
            let class = allowed.classes.meets(Override::OPTIONS)
                && allowed.options.is_none_or(|options| options.has(option));
            class || listed
        });
        may_say_option || lets(dir)
    };
    let mut dir = server.root.clone();
    let mut found = enough(&dir);
    for (i, _) in file.iter().enumerate().filter(|(_, b)| **b == b'/') {
        server.directories.at_level(&file[..=i], |section| {
            dir = dir.then(section);
            found |= enough(&dir);
        });
    }
    server.directories.patterns(file, |section, _| {
        dir = dir.then(section);
        found |= enough(&dir);
    });
    walk::files(&dir.clone().core.files, path::base_name(file), |section, _| {
        dir = dir.then(section);
        found |= enough(&dir);
    });
    // Which URL led here is not known.
    let locations = &server.config.core.locations;
    found || locations.iter().any(|section| enough(&dir.then(section)))
}
