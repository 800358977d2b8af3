//! `ProxyPass` and `ProxyPassMatch`: which URLs go to an upstream. `add_pass`,
//! `ap_proxy_trans_match`.

use std::sync::Arc;

use bytes::Bytes;

use super::balancer::Balancer;
use super::define::{self, Target};
use super::url;
use crate::compile::Scope;
use crate::fnmatch;
use crate::log::Level;
use crate::modules::alias::prefix;
use crate::pattern::Pattern;
use crate::phase::{DECLINED, OK, Verdict};
use crate::request::Request;
use crate::schema::{Compat, Context, Directive, Problem, Result, Set, Word};
use crate::syntax::Text;
use crate::template;

/// One of them.
#[derive(Debug)]
pub struct Pass {
    from: From,
    /// The URL without its socket; `None` for `!`.
    to: Option<Bytes>,
    /// `nocanon`: the path is passed on as it came.
    raw: bool,
}

#[derive(Debug)]
enum From {
    Prefix(Bytes),
    Regex(Pattern),
}

/// Into `<Directory>` and `<Files>` nothing of this belongs: `NOT_IN_DIRECTORY`,
/// `NOT_IN_FILES`.
pub fn not_in_directories(at: &Scope) -> Result {
    let name = at.cmd.name;
    let wrong = ["<Directory", "<DirectoryMatch", "<Files", "<FilesMatch"];
    match wrong.iter().find(|container| at.place.is_within(container)) {
        Some(container) => {
            let message = format!("{name} cannot occur within {container}> section");
            Err(Problem::new(&crate::diagnostic::codes::CONTEXT, message))
        }
        None => Ok(()),
    }
}

/// The path of the `<Location>` around a directive.
pub fn location(at: &Scope) -> Option<Bytes> {
    let in_section =
        at.place.container.is_some_and(|container| container != "<VirtualHost");
    in_section.then(|| at.place.path.cloned().unwrap_or_default())
}

fn pass(at: &mut Scope, args: &Text, mut is_regex: bool) -> Result {
    not_in_directories(at)?;
    let section = location(at);
    let mut words = Word::all(args).into_iter();
    let fake = match &section {
        Some(path) => path.clone(),
        None => {
            let mut first = words.next();
            if first.as_ref().is_some_and(|word| word.is("~")) {
                if is_regex {
                    return Err("ProxyPassMatch invalid syntax ('~' usage).".into());
                }
                is_regex = true;
                first = words.next();
            }
            first.map(|word| word.bytes).unwrap_or_default()
        }
    };
    let Some(real) = words.next() else {
        let message =
            "ProxyPass|ProxyPassMatch needs a path when not defined in a location";
        return Err(message.into());
    };
    let mut raw = false;
    let mut params: Vec<(String, Word)> = Vec::new();
    for word in words {
        let text = word.lossy().to_ascii_lowercase();
        match text.as_str() {
            "nocanon" => raw = true,
            // It is about what FastCGI upstreams got long ago.
            "noquery" => {}
            "interpolate" => {
                let message = "interpolate is not done here; use RewriteRule with [P]";
                return Err(Problem::from(message).at(word.span));
            }
            _ if text.starts_with("mapping=") => {
                let message =
                    "mapping= is not done here: paths are compared once they are decoded";
                return Err(Problem::from(message).at(word.span));
            }
            _ => match define::split(&word) {
                Some(pair) => params.push(pair),
                None if section.is_some() && real.bytes.first() == Some(&b'/') => {
                    let message = "ProxyPass|ProxyPassMatch can not have a path when defined in a location.";
                    return Err(Problem::from(message).at(word.span));
                }
                None => {
                    let message = "Invalid ProxyPass|ProxyPassMatch parameter. Parameter must be \
                                   in the form 'key=value'.";
                    return Err(Problem::from(message).at(word.span));
                }
            },
        }
    }
    if section.is_some() && fnmatch::is_glob(&fake) {
        is_regex = true;
    }
    let from = if is_regex {
        let pattern = Pattern::new(&fake, false).map_err(|why| {
            Problem::from("Regular expression could not be compiled.").help(why)
        })?;
        From::Regex(pattern)
    } else {
        From::Prefix(fake)
    };
    let to = if &real.bytes[..] == b"!" {
        None
    } else {
        let Some((_, url)) = url::split_socket(&real.bytes) else {
            let message = "ProxyPass|ProxyPassMatch uses an invalid \"unix:\" URL";
            return Err(Problem::from(message).at(real.span));
        };
        let target = if Balancer::is_url(&url) {
            Target::Balancer(define::balancer(at, &url))
        } else {
            define::worker(at, &real, is_regex, !params.is_empty())?
        };
        define::set(at, &target, &params, "ProxyPass ")?;
        Some(Bytes::from(url))
    };
    let pass = Arc::new(Pass { from, to, raw });
    if section.is_some() {
        at.dir.proxy().pass = Some(pass);
    } else {
        at.server.proxy().passes.push(pass);
    }
    Ok(())
}

impl Pass {
    /// The URL for a request, if it is for this one: `Some(None)` says that none is.
    fn target(&self, r: &mut Request) -> Option<Option<Vec<u8>>> {
        let mut raw = self.raw;
        match &self.from {
            From::Prefix(fake) => {
                let length = prefix(&r.uri, fake)?;
                let Some(to) = &self.to else { return Some(None) };
                if raw && prefix(&r.unparsed_uri, fake) != Some(length) {
                    unsafe_raw(r);
                    raw = false;
                }
                let uri = if raw { &r.unparsed_uri[..] } else { &r.uri[..] };
                let found = [&to[..], &uri[length..]].concat();
                remember(r, raw);
                Some(Some(found))
            }
            From::Regex(pattern) => {
                let groups = pattern.captures(&r.uri)?;
                let Some(to) = &self.to else { return Some(None) };
                let of_raw = if raw { pattern.captures(&r.unparsed_uri) } else { None };
                if raw && of_raw.is_none() {
                    unsafe_raw(r);
                    raw = false;
                }
                let (subject, groups) = match of_raw {
                    Some(groups) => (r.unparsed_uri.to_vec(), groups),
                    None => (r.uri.clone(), groups),
                };
                let filled = template::substitute(to, &groups, &subject);
                // A target without groups gets the whole path behind it.
                let found = if filled == *to {
                    [&to[..], &subject].concat()
                } else {
                    filled.to_vec()
                };
                remember(r, raw);
                Some(Some(found))
            }
        }
    }
}

fn remember(r: &mut Request, raw: bool) {
    if raw {
        r.notes.set("proxy-nocanon", "1");
    }
}

fn unsafe_raw(r: &mut Request) {
    let text = "Unescaped URL path matched ProxyPass; ignoring unsafe nocanon";
    r.log(Level::Warn, "proxy", 1136, text);
}

/// Sends a request to the upstream of its path: `proxy_trans`.
pub fn translate(r: &mut Request) -> Verdict {
    if r.proxyreq {
        return OK;
    }
    let (server, dir) = (r.server.clone(), r.dir.clone());
    let passes = &server.config.proxy.passes;
    if passes.is_empty() && dir.proxy.pass.is_none() {
        return DECLINED;
    }
    if r.uri.first() != Some(&b'/') || r.env.has(b"no-proxy") {
        return DECLINED;
    }
    for pass in dir.proxy.pass.iter().chain(passes) {
        match pass.target(r) {
            None => {}
            Some(None) => return DECLINED,
            Some(Some(url)) if !is_for(r, &url) => {}
            Some(Some(url)) => {
                super::send_to(r, &url);
                return OK;
            }
        }
    }
    DECLINED
}

/// `ws://` is only for who asks for it: `proxy_wstunnel_check_trans`.
fn is_for(r: &Request, url: &[u8]) -> bool {
    let is_tunnel = url.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"ws:"));
    !is_tunnel || r.headers_in.contains_key("upgrade")
}

pub static PROXY_PASS: Directive = Directive {
    name: "ProxyPass",
    syntax: "[path] !|url [key=value ...] [nocanon] [noquery]",
    context: Context::CONFIG,
    summary: "a virtual path and a URL",
    docs: r"
Sends requests for a path, and what lies below it, to another server: `http://host:port/`,
`https://` (see `SSLProxyEngine`), `ws://` and `wss://` for WebSockets, `fcgi://` for a FastCGI application, `balancer://` for one of
several; with `unix:/socket|` before it, over a Unix socket. `!` takes a path out; the
first line that matches counts. In a `<Location>` the path is that of the section.

The URL is an upstream with settings: `timeout`, `connectiontimeout`, `retry` (seconds that
it is left alone once it could not be reached), `max` and `acquire`, `ttl`, `disablereuse`,
`enablereuse` (for `fcgi://` the way to keep connections), `flushpackets`, `ping`,
`upgrade=websocket`, `responsefieldsize`. `nocanon` passes the path on as it came.

## Example
    ProxyPass /static/ !
    ProxyPass / http://127.0.0.1:8080/ timeout=30
    ProxyPassReverse / http://127.0.0.1:8080/
",
    compat: Compat::Differs(
        "there is no mapping= and no interpolate; of a path that does not end in a slash, as in \
         httpd, the URL should not end in one either",
    ),
    set: Set::Raw(|at, args| pass(at, args, false)),
    ..Directive::EXACT
};

pub static PROXY_PASS_MATCH: Directive = Directive {
    name: "ProxyPassMatch",
    syntax: "[regex] !|url [key=value ...] [nocanon] [noquery]",
    context: Context::CONFIG,
    summary: "a virtual path and a URL",
    docs: r#"
As `ProxyPass`, for paths that a regular expression matches. The URL may use `$1` and so
on; one that does not gets the whole path behind it.

## Example
    ProxyPassMatch "^/(.*\.php(/.*)?)$" "fcgi://127.0.0.1:9000/srv/www/$1"
"#,
    set: Set::Raw(|at, args| pass(at, args, true)),
    ..Directive::EXACT
};
