//! `FastCgiServer`: an application that is kept running.

use bytes::Bytes;

use super::app::{Address, App, Identity, Kind};
use super::authorizers::Candidate;
use super::options::{Draft, STATIC};
use super::{check_identity, ipc, path_and_rest, permission, read_options};
use crate::bundle::Who;
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::schema::{Compat, Context, Directive, Problem, Result, Set};
use crate::syntax::Text;

pub static FAST_CGI_SERVER: Directive = Directive {
    name: "FastCgiServer",
    aliases: &["AppClass"],
    syntax: "filename [option ...]",
    context: Context::SERVERS,
    summary: "",
    docs: r"
An application that the server starts and keeps running. Requests for its path and what
lies below it go to it: no handler and no `Options ExecCGI` is needed. It belongs to the
whole process, also when it stands in a virtual host.

The application finds its listening socket as descriptor 0; its environment holds what
`-initial-env` says and nothing else; its standard output and error go to the main error
log; its working directory is that of its file.

## Example
    FastCgiServer bin/sh -processes 2 -idle-timeout 120 -initial-env MODE=live
",
    compat: Compat::Differs(
        "of nested paths the longest match counts, in whatever order they are defined; `-port` \
         listens on loopback unless `-listen-all` is given; negative numbers are refused",
    ),
    set: Set::Raw(set),
    ..Directive::EXACT
};

fn set(at: &mut Scope, args: &Text) -> Result {
    let name = at.cmd.name;
    let Some(parsed) = path_and_rest(at, args) else {
        return Err("AppClass requires a pathname!?".into());
    };
    let (path, words) = parsed?;
    let shown = String::from_utf8_lossy(&path).into_owned();
    let subject = format!("{name} {shown}");
    check_identity(at, &subject)?;
    // Whether the server may run it is asked at the end: `User` may still come.
    let looked = at.files().stat(&path);
    if let Some(why) = permission::program(&path, looked, 0, 0, true, at.files()) {
        return Err(format!("{name}: \"{shown}\" {why}").into());
    }
    let mut draft = Draft::default();
    read_options(at, &words, STATIC, &subject, &mut draft)?;
    let settings = draft.settings;
    let identity =
        identity(at, &subject, settings.user.as_deref(), settings.group.as_deref())?;
    if let Some(old) = at.process().fastcgi.defined(&path, identity.as_ref()).cloned() {
        let whose = whose(identity.as_ref());
        let message = format!(
            "{name}: redefinition of a previously defined FastCGI server \"{shown}\"{whose}"
        );
        return Err(redefinition(message, &old));
    }
    if settings.port.is_some() && settings.socket.is_some() {
        let message =
            format!("{subject}: -port and -socket are mutually exclusive options");
        return Err(message.into());
    }
    let address = match (settings.port, &settings.socket) {
        (Some(port), _) => {
            let ip = std::net::Ipv4Addr::LOCALHOST;
            Address::Tcp(vec![std::net::SocketAddr::from((ip, port))])
        }
        (None, Some(socket)) => {
            let socket = socket.clone();
            ipc::unix_address(at, &subject, &socket)?
        }
        (None, None) => {
            let (user, group) = match &identity {
                Some(identity) => (identity.user.clone(), identity.group.clone()),
                None => match &settings.user {
                    Some(user) => {
                        (user.clone(), settings.group.clone().unwrap_or_default())
                    }
                    None => Default::default(),
                },
            };
            let socket = ipc::socket_name(&path, &user, &group);
            ipc::unix_address(at, &subject, &Bytes::from(socket))?
        }
    };
    let item = at.cmd.item;
    let (span, line) = (item.name_span, item.line);
    let started = Candidate { program: path.clone(), directive: name, span, line };
    at.process().fastcgi.started.push(started);
    let span = Some(span);
    let app = App { path, kind: Kind::Static, address, settings, identity, span };
    at.process().fastcgi.add(app);
    Ok(())
}

/// Ends a message about a redefinition (S-6).
pub(super) fn whose(identity: Option<&Identity>) -> String {
    identity.map_or(String::new(), |i| format!(" with uid={} and gid={}", i.uid, i.gid))
}

pub(super) fn redefinition(message: String, old: &App) -> Problem {
    let mut problem = Problem::new(&codes::FASTCGI, message);
    if let Some(span) = old.span {
        problem.also.push((span, "defined here first".to_owned()));
    }
    problem
}

/// The identity for the wrapper: `-user` and `-group`, or the main server's (W-2). `None`
/// without a wrapper, which is worth a warning if options were given (C-20).
pub(super) fn identity(
    at: &mut Scope,
    subject: &str,
    user: Option<&str>,
    group: Option<&str>,
) -> Result<Option<Identity>> {
    if at.process().fastcgi.wrapper.is_none() {
        if user.is_some() || group.is_some() {
            let message = "FastCGI: there is no fastcgi wrapper set, user/group options are ignored";
            at.note(Problem::new(&codes::WRAPPER_OPTIONS, message));
        }
        return Ok(None);
    }
    let files = at.files();
    let core = &at.process().core;
    let wrong =
        |why: String| Problem::from(format!("{subject}: invalid user or group: {why}"));
    let (uid, user_name) = match user {
        Some(text) => {
            let found = match text.strip_prefix('#') {
                Some(number) => {
                    let uid = number
                        .parse()
                        .map_err(|_| Problem::from(format!("bad user name {text}")))?;
                    files.user(Who::Id(uid)).ok_or_else(|| {
                        wrong(format!(
                            "getpwuid() couldn't determine the username for uid '{uid}', you \
                             probably need to modify the User directive: Success"
                        ))
                    })?
                }
                None => files
                    .user(Who::Name(text))
                    .ok_or_else(|| Problem::from(format!("bad user name {text}")))?,
            };
            (found.uid, found.name)
        }
        None => {
            let uid = core.uid();
            if uid == u32::MAX {
                let message =
                    format!("{subject}: nothing says yet under whose name it runs");
                let help = "User and Group have to stand before";
                return Err(Problem::from(message).help(help));
            }
            let name =
                files.user(Who::Id(uid)).map_or_else(|| uid.to_string(), |u| u.name);
            (uid, name)
        }
    };
    let (gid, group_name) = match group {
        Some(text) => {
            let found = match text.strip_prefix('#') {
                Some(number) => {
                    let gid = number
                        .parse()
                        .map_err(|_| Problem::from(format!("bad group name {text}")))?;
                    files.group(Who::Id(gid)).ok_or_else(|| {
                        wrong(format!(
                            "getgrgid() couldn't determine the group name for gid '{gid}', you \
                             probably need to modify the Group directive: Success"
                        ))
                    })?
                }
                None => files
                    .group(Who::Name(text))
                    .ok_or_else(|| Problem::from(format!("bad group name {text}")))?,
            };
            (found.gid, found.name)
        }
        None => {
            let gid = core.gid();
            let name =
                files.group(Who::Id(gid)).map_or_else(|| gid.to_string(), |g| g.name);
            (gid, name)
        }
    };
    if uid == 0 || gid == 0 {
        let why = "invalid uid or gid, see the -user and -group options";
        return Err(wrong(why.to_owned()));
    }
    Ok(Some(Identity { uid, gid, user: user_name, group: group_name }))
}
