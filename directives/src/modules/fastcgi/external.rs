//! `FastCgiExternalServer`: an application that somebody else runs.

use super::app::{Address, App, Kind};
use super::options::{Draft, EXTERNAL};
use super::server::{identity, redefinition, whose};
use super::{ipc, path_and_rest, read_options};
use crate::compile::Scope;
use crate::schema::{Compat, Context, Directive, Result, Set};
use crate::syntax::Text;

pub static FAST_CGI_EXTERNAL_SERVER: Directive = Directive {
    name: "FastCgiExternalServer",
    aliases: &["ExternalAppClass"],
    syntax: "filename -host hostname:port|-socket filename [option ...]",
    context: Context::SERVERS,
    summary: "",
    docs: r"
An application that is started elsewhere: php-fpm, a program under a process manager, or
one on another machine. Requests for its path and what lies below it go to it. The path
need not exist, but the directory that it is in has to: a request's file name ends at the
first name that is not there. The usual form has an `Alias`, or an `Action` to one.

## Example
    FastCgiExternalServer /srv/www/php -socket /run/php/site.sock -pass-header Authorization
    Alias /php-gate /srv/www/php
",
    compat: Compat::Differs(
        "of nested paths the longest match counts, in whatever order they are defined; a slash \
         at the end of the path is dropped; IPv6 addresses stand in brackets; of several \
         addresses of a name each is tried",
    ),
    set: Set::Raw(set),
    ..Directive::EXACT
};

fn set(at: &mut Scope, args: &Text) -> Result {
    let name = at.cmd.name;
    let Some(parsed) = path_and_rest(at, args) else {
        let message =
            format!("{name} requires a path and either a -socket or -host option");
        return Err(message.into());
    };
    let (path, words) = parsed?;
    let shown = String::from_utf8_lossy(&path).into_owned();
    let subject = format!("{name} {shown}");
    if at.process().fastcgi.wrapper.is_none()
        && let Some(old) = at.process().fastcgi.defined(&path, None).cloned()
    {
        let message =
            format!("{name}: redefinition of previously defined class \"{shown}\"");
        return Err(redefinition(message, &old));
    }
    let mut draft = Draft::default();
    read_options(at, &words, EXTERNAL, &subject, &mut draft)?;
    let settings = draft.settings;
    let identity =
        identity(at, &subject, settings.user.as_deref(), settings.group.as_deref())?;
    if identity.is_some()
        && let Some(old) = at.process().fastcgi.defined(&path, identity.as_ref()).cloned()
    {
        let whose = whose(identity.as_ref());
        let message = format!(
            "{name}: redefinition of a previously defined class \"{shown}\"{whose}"
        );
        return Err(redefinition(message, &old));
    }
    let address = match (&settings.host, &settings.socket) {
        (None, None) => {
            return Err(format!("{subject}: -socket or -host option missing").into());
        }
        (Some(_), Some(_)) => {
            let message =
                format!("{subject}: -host and -socket are mutually exclusive options");
            return Err(message.into());
        }
        (Some((host, addresses)), None) => {
            if addresses.is_empty() {
                let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
                let message = format!(
                    "{subject}: failed to resolve \"{name}\" to exactly one IP address"
                );
                return Err(message.into());
            }
            Address::Tcp(addresses.clone())
        }
        (None, Some(socket)) => {
            let socket = socket.clone();
            ipc::unix_address(at, &subject, &socket)?
        }
    };
    let span = Some(at.cmd.item.name_span);
    let app = App {
        path,
        kind: Kind::External,
        address,
        settings,
        identity,
        span,
        class: None,
    };
    at.process().fastcgi.add(app);
    Ok(())
}
