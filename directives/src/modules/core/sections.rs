//! `<Directory>`, `<Location>`, `<Files>`, their `Match` forms, and `<VirtualHost>`.

use std::net::IpAddr;

use bytes::Bytes;

use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::modules::DirPart;
use crate::schema::{Context, Directive, Override, Problem, Result, Set, Word};
use crate::section::{Kind, Matcher};
use crate::snapshot::{HostAddress, VirtualHost};
use crate::syntax::Text;

/// The one argument of a section, or the pattern behind `~`.
fn argument(at: &Scope, args: &Text, regex: bool) -> Result<(Word, bool)> {
    let mut words = at.section_words(args)?.into_iter();
    let Some(first) = words.next() else { return Err("an argument is missing".into()) };
    let tilde = !first.quoted && &first.bytes[..] == b"~";
    let word = if tilde && !regex {
        match words.next() {
            Some(word) => word,
            None => {
                let message =
                    format!("{}> directive requires additional arguments", at.cmd.name);
                return Err(message.into());
            }
        }
    } else {
        first
    };
    if let Some(extra) = words.next() {
        let message = format!("Multiple {}> arguments not (yet) supported.", at.cmd.name);
        return Err(Problem::from(message).at(extra.span));
    }
    Ok((word, regex || tilde))
}

fn pattern(at: &Scope, word: &Word) -> Result<Matcher> {
    at.pattern(&word.bytes, false).map(Matcher::Regex).map_err(|why| {
        Problem::from("Regex could not be compiled").at(word.span).help(why)
    })
}

fn directory(at: &mut Scope, args: &Text, regex: bool) -> Result {
    let (word, regex) = argument(at, args, regex)?;
    let matcher = if regex {
        pattern(at, &word)?
    } else {
        let mut path = if &word.bytes[..] == b"/" {
            Some(b"/".to_vec())
        } else {
            at.server_relative(&word.bytes)
        };
        if let Some(path) = &mut path
            && path.last() != Some(&b'/')
        {
            path.push(b'/');
        }
        match path {
            Some(path) => Matcher::plain(path.into()),
            None => {
                let message =
                    format!("<Directory \"{}\"> path is invalid.", word.lossy());
                return Err(Problem::from(message).at(word.span));
            }
        }
    };
    let shown = Bytes::copy_from_slice(matcher.source());
    let mut part = DirPart::default();
    at.body(Some(&shown), &mut part);
    let section = at.section(Kind::Directory, matcher, part);
    at.server.core().directories.push(section);
    Ok(())
}

fn location(at: &mut Scope, args: &Text, regex: bool) -> Result {
    let (word, regex) = argument(at, args, regex)?;
    let matcher =
        if regex { pattern(at, &word)? } else { Matcher::plain(word.bytes.clone()) };
    let shown = Bytes::copy_from_slice(matcher.source());
    let mut part = DirPart::default();
    at.body(Some(&shown), &mut part);
    let section = at.section(Kind::Location, matcher, part);
    at.server.core().locations.push(section);
    Ok(())
}

fn files(at: &mut Scope, args: &Text, regex: bool) -> Result {
    let (word, regex) = argument(at, args, regex)?;
    let matcher =
        if regex { pattern(at, &word)? } else { Matcher::plain(word.bytes.clone()) };
    let mut part = DirPart::default();
    at.body(None, &mut part);
    let section = at.section(Kind::Files, matcher, part);
    at.dir.core().files.push(section);
    Ok(())
}

/// Sections that may not stand within each other; see `ap_check_cmd_context`.
pub(super) fn not_within(at: &Scope, containers: &[&str]) -> Result {
    if ["<Limit", "<LimitExcept"].iter().any(|container| at.place.is_within(container)) {
        let name = at.cmd.name;
        let message =
            format!("{name}> cannot occur within <Limit> or <LimitExcept> section");
        return Err(Problem::new(&codes::CONTEXT, message).at(at.cmd.item.name_span));
    }
    let found = containers.iter().find(|container| at.place.is_within(container));
    match found {
        Some(container) => {
            let name = at.cmd.name;
            let end = if name.starts_with('<') { ">" } else { "" };
            let message = format!("{name}{end} cannot occur within {container}> section");
            Err(Problem::new(&codes::CONTEXT, message).at(at.cmd.item.name_span))
        }
        None => Ok(()),
    }
}

pub static DIRECTORY: Directive = Directive {
    name: "<Directory",
    syntax: "directory-path",
    context: Context::SERVERS,
    summary: "Container for directives affecting resources located in the specified directories",
    docs: r"
Directives for a directory and what lies below it. The path may be a glob (`*` does not
match a slash) or, behind `~`, a regular expression. Sections are merged from the
shortest path to the longest, `.htaccess` files between them, regular expressions last.

## Example
    <Directory /home/*/public_html>
        AllowOverride All
    </Directory>
",
    set: Set::Section(|at, args| directory(at, args, false)),
    ..Directive::EXACT
};

pub static DIRECTORY_MATCH: Directive = Directive {
    name: "<DirectoryMatch",
    syntax: "regex",
    context: Context::SERVERS,
    summary: "Container for directives affecting resources located in the specified directories",
    docs: r#"
As `<Directory ~ ...>`: directives for files whose path matches a regular expression.
Named groups become variables: `(?<site>...)` sets `MATCH_SITE`.

## Example
    <DirectoryMatch "^/srv/(?<site>[^/]+)/">
        Options -Indexes
    </DirectoryMatch>
"#,
    set: Set::Section(|at, args| directory(at, args, true)),
    ..Directive::EXACT
};

pub static LOCATION: Directive = Directive {
    name: "<Location",
    syntax: "URL-path",
    context: Context::SERVERS,
    summary: "Container for directives affecting resources accessed through the specified URL \
              paths",
    docs: r"
Directives for a URL path and what lies below it, merged after directories and files.
The path may be a glob or, behind `~`, a regular expression.

## Example
    <Location /status>
        SetHandler server-status
    </Location>
",
    set: Set::Section(|at, args| location(at, args, false)),
    ..Directive::EXACT
};

pub static LOCATION_MATCH: Directive = Directive {
    name: "<LocationMatch",
    syntax: "regex",
    context: Context::SERVERS,
    summary: "Container for directives affecting resources accessed through the specified URL \
              paths",
    docs: r#"
As `<Location ~ ...>`. The expression sees double slashes as they were sent.

## Example
    <LocationMatch "^/(extra|special)/data">
        SetEnv KIND special
    </LocationMatch>
"#,
    set: Set::Section(|at, args| location(at, args, true)),
    ..Directive::EXACT
};

pub static FILES: Directive = Directive {
    name: "<Files",
    syntax: "filename",
    context: Context::ANYWHERE,
    overrides: Override::ALL,
    summary: "Container for directives affecting files matching specified patterns",
    docs: r#"
Directives for files of a name, which may be a glob or, behind `~`, a regular expression.

## Example
    <Files ".ht*">
        Require all denied
    </Files>
"#,
    set: Set::Section(|at, args| {
        not_within(at, &["<Files", "<FilesMatch", "<Location", "<LocationMatch"])?;
        files(at, args, false)
    }),
    ..Directive::EXACT
};

pub static FILES_MATCH: Directive = Directive {
    name: "<FilesMatch",
    syntax: "regex",
    context: Context::ANYWHERE,
    overrides: Override::ALL,
    summary: "Container for directives affecting files matching specified patterns",
    docs: r#"
As `<Files ~ ...>`: the usual place for a handler by extension.

## Example
    <FilesMatch "\.ph(p|tml)$">
        SetHandler site-php
    </FilesMatch>
"#,
    set: Set::Section(|at, args| {
        not_within(at, &["<Files", "<FilesMatch", "<Location", "<LocationMatch"])?;
        files(at, args, true)
    }),
    ..Directive::EXACT
};

pub static VIRTUAL_HOST: Directive = Directive {
    name: "<VirtualHost",
    syntax: "addr[:port] [addr[:port]] ...",
    context: Context::SERVER,
    summary: "Container to map directives to a particular virtual host, takes one or more host \
              addresses",
    docs: r"
A server of its own for requests that arrive at one of the addresses and name it by
`ServerName` or `ServerAlias`. The first host of an address answers requests that name
none. `*` and `_default_` stand for every address; without a port, for every port.

## Example
    <VirtualHost *:80 [::1]:8080>
        ServerName www.example.org
        DocumentRoot /srv/www
    </VirtualHost>
",
    set: Set::Section(virtual_host),
    ..Directive::EXACT
};

fn virtual_host(at: &mut Scope, args: &Text) -> Result {
    let mut addresses = Vec::new();
    for word in at.section_words(args)? {
        let (name, ips, port) = host_address(at, &word)?;
        if ips.is_empty() {
            let message = format!("Could not resolve host name {name} -- ignoring!");
            at.note(Problem::new(&codes::HOST_UNRESOLVED, message).at(word.span));
        }
        for ip in ips {
            addresses.push(HostAddress { name: name.clone(), ip, port });
        }
    }
    let (server, dir) = at.virtual_host_body();
    let item = at.cmd.item;
    let host =
        VirtualHost { addresses, server, dir, span: item.name_span, line: item.line };
    at.build.hosts.push(host);
    Ok(())
}

/// Name, addresses and port of one argument; see `get_addresses`.
fn host_address(
    at: &Scope,
    word: &Word,
) -> Result<(String, Vec<Option<IpAddr>>, Option<u16>)> {
    let text = word.lossy();
    let invalid = || Problem::from("The address or port is invalid").at(word.span);
    let (name, port) = split_port(&text).ok_or_else(invalid)?;
    let port = match port {
        None | Some("*") => None,
        Some(port) => {
            Some(port.parse::<u16>().map_err(|_| invalid())?).filter(|p| *p != 0)
        }
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let ips = if name == "*" || name.eq_ignore_ascii_case("_default_") {
        vec![None]
    } else if let Ok(ip) = bare.parse::<IpAddr>() {
        vec![Some(ip.to_canonical())]
    } else {
        at.files().resolve(name).into_iter().map(|ip| Some(ip.to_canonical())).collect()
    };
    Ok((name.to_owned(), ips, port))
}

/// Splits `host:port`, where host may be `[IPv6]`.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if text.starts_with('[') {
        let end = text.find(']')? + 1;
        let rest = &text[end..];
        if rest.is_empty() {
            return Some((text, None));
        }
        return Some((&text[..end], Some(rest.strip_prefix(':')?)));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}
