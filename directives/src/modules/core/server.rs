//! What a server is called: `ServerName`, `ServerAlias`, `ServerAdmin`, `ServerPath`.

use crate::compile::Scope;
use crate::pattern::wild_match;
use crate::schema::{Compat, Context, Directive, Problem, Result, Set, Word};

pub static SERVER_NAME: Directive = Directive {
    name: "ServerName",
    syntax: "[scheme://]domain-name|ip-address[:port]",
    context: Context::SERVERS,
    summary: "The hostname and port of the server",
    docs: r"
The server's own name, and the name by which clients choose a virtual host. A scheme and
a port describe how clients reach it when something stands in front.

## Example
    ServerName www.example.org
",
    set: Set::One(server_name),
    ..Directive::EXACT
};

fn server_name(at: &mut Scope, word: &Word) -> Result {
    let text = word.text()?.to_owned();
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => {
            if !scheme.bytes().all(|b| b.is_ascii_alphanumeric()) || rest.is_empty() {
                let message = format!("Invalid scheme in ServerName: {text}");
                return Err(Problem::from(message).at(word.span));
            }
            (Some(scheme.to_ascii_lowercase()), rest)
        }
        None => (None, text.as_str()),
    };
    let split = if rest.starts_with('[') {
        rest.find("]:").map(|i| i + 1)
    } else {
        rest.find(':')
    };
    let (name, port) = match split {
        Some(colon) => {
            let port = rest[colon + 1..].parse::<u16>().ok().filter(|port| *port > 0);
            if port.is_none() {
                let message = format!(
                    "The port number \"{text}\" is outside the appropriate range (i.e., \
                     1..65535)."
                );
                return Err(Problem::from(message).at(word.span));
            }
            (&rest[..colon], port)
        }
        None => (rest, None),
    };
    let core = at.server.core();
    core.server_name = Some(name.to_owned());
    core.scheme = scheme;
    core.port = port;
    Ok(())
}

pub static SERVER_ALIAS: Directive = Directive {
    name: "ServerAlias",
    syntax: "hostname [hostname] ...",
    context: Context::VHOST,
    summary: "A name or names alternately used to access the server",
    docs: r"
Further names of a virtual host; `*` and `?` are wildcards.

## Example
    <VirtualHost *:80>
        ServerName store.example.org
        ServerAlias *.store.example.org
    </VirtualHost>
",
    // A host may have no further names: a variable may be empty.
    set: Set::Words(|at, words| {
        at.server.core().aliases.extend(words.iter().map(Word::lossy));
        Ok(())
    }),
    ..Directive::EXACT
};

pub static SERVER_ADMIN: Directive = Directive {
    name: "ServerAdmin",
    syntax: "email-address|URL",
    context: Context::SERVERS,
    summary: "The email address of the server administrator",
    docs: r"
Whom error pages name, and SERVER_ADMIN.

## Example
    ServerAdmin webmaster@example.org
",
    set: Set::One(|at, word| {
        at.server.core().server_admin = Some(word.lossy());
        Ok(())
    }),
    ..Directive::EXACT
};

pub static SERVER_PATH: Directive = Directive {
    name: "ServerPath",
    syntax: "URL-path",
    context: Context::SERVERS,
    summary: "The pathname the server can be reached at",
    docs: r"
A path prefix that is taken off before files are looked for.

## Example
    <VirtualHost *:80>
        ServerName old.example.org
        ServerPath /old
    </VirtualHost>
",
    set: Set::One(|at, word| {
        at.server.core().server_path = Some(word.bytes.clone());
        Ok(())
    }),
    ..Directive::EXACT
};

impl super::Server {
    /// Is one of its names `host` (lower case, without a port)?
    pub fn is_called(&self, host: &str) -> bool {
        let mut names = self.server_name.iter().chain(&self.aliases);
        names
            .any(|name| wild_match(name.to_ascii_lowercase().as_bytes(), host.as_bytes()))
    }
}

pub static STRICT_HOST_CHECK: Directive = Directive {
    name: "StrictHostCheck",
    syntax: "On|Off",
    context: Context::SERVERS,
    default: "Off",
    summary: "Controls whether a hostname match is required",
    docs: r"
Is a request for a host that no `ServerName` and no `ServerAlias` names answered 400? Without
it such requests go to the first virtual host of their address, and applications make URLs
of what clients wrote. What counts is what the main server says, or the first virtual host of
the address.

## Example
    StrictHostCheck On
",
    set: Set::Flag(|at, on| {
        at.server.core().strict_host_check = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static NAME_VIRTUAL_HOST: Directive = Directive {
    name: "NameVirtualHost",
    syntax: "addr[:port]",
    context: Context::SERVER,
    summary: "A numeric IP address:port, or the name of a host",
    docs: r"
Accepted without effect, as in httpd 2.4: every address has hosts by name.

## Example
    NameVirtualHost *:80
",
    compat: Compat::Ignored("every address has virtual hosts by name"),
    set: Set::One(|_, _| Ok(())),
    ..Directive::EXACT
};
