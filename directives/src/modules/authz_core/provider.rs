//! The conditions that `Require` knows: whom each lets in.

use std::sync::Arc;

use bytes::Bytes;

use super::Outcome;
use super::alias;
use super::names::{Names, unreadable};
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::expr::{Condition, Want};
use crate::log::Level;
use crate::modules::authz_host::{Address, HostRule};
use crate::modules::core::is_method;
use crate::modules::ssl::Verified;
use crate::modules::{authnz_fcgi, authz_groupfile, authz_owner, authz_user};
use crate::request::{Lookup, Request};
use crate::schema::{Problem, Result, Word};

/// One condition.
#[derive(Clone, Debug)]
pub enum Provider {
    /// `all granted` and `all denied`.
    All(bool),
    /// `env`.
    Env(Vec<Bytes>),
    /// `method`.
    Method(Vec<String>),
    /// `ip`.
    Ip(Vec<Address>),
    /// `host`.
    Host(Names),
    /// `local`: loopback, or the same address at both ends.
    Local,
    /// `forward-dns`: names whose addresses may come in.
    ForwardDns(Names),
    /// `user`.
    User(Names),
    /// `valid-user`.
    ValidUser,
    /// `group`, and the file of an alias that has one.
    Group(Names, Option<Bytes>),
    /// `file-owner`.
    FileOwner,
    /// `file-group`, likewise.
    FileGroup(Option<Bytes>),
    /// An application of `AuthnzFcgiDefineProvider`.
    Fcgi(Arc<authnz_fcgi::Provider>),
    /// `ssl`.
    Ssl,
    /// `ssl-verify-client`.
    SslVerifyClient,
    /// `expr`.
    Expr {
        /// The condition.
        condition: Arc<Condition>,
        /// It is about the user.
        needs_user: bool,
    },
}

/// Reads a condition: its name, its words, and the text that they are the words of.
pub fn parse(
    at: &mut Scope,
    kind: &Word,
    args: &[Word],
    text: &[u8],
) -> Result<Provider> {
    if let Some(application) = authnz_fcgi::provider(at, kind, false) {
        return Ok(Provider::Fcgi(application));
    }
    if let Some(found) = alias::find(at, kind, args)? {
        return Ok(found);
    }
    let name = kind.lossy();
    Ok(match name.as_str() {
        "all" => match args {
            [word] if word.is("granted") => Provider::All(true),
            [word] if word.is("denied") => Provider::All(false),
            _ => {
                let message = "Argument for 'Require all' must be 'granted' or 'denied'";
                return Err(Problem::from(message).at(kind.span));
            }
        },
        "env" => Provider::Env(args.iter().map(|word| word.bytes.clone()).collect()),
        "method" => {
            for word in args {
                if !is_method(at, &word.lossy()) {
                    let message = format!("Invalid Method '{}'", word.lossy());
                    return Err(Problem::from(message).at(word.span));
                }
            }
            Provider::Method(args.iter().map(Word::lossy).collect())
        }
        "ip" => {
            if args.is_empty() {
                return Err(
                    Problem::from("'require ip' requires an argument").at(kind.span)
                );
            }
            Provider::Ip(args.iter().map(address).collect::<Result<_>>()?)
        }
        "host" => Provider::Host(Names::parse(at, text, kind)?),
        "forward-dns" => Provider::ForwardDns(Names::parse(at, text, kind)?),
        "user" => Provider::User(Names::parse(at, text, kind)?),
        "group" => Provider::Group(Names::parse(at, text, kind)?, None),
        // What stands behind these says nothing, and httpd takes it.
        "local" => Provider::Local,
        "valid-user" => Provider::ValidUser,
        "file-owner" => Provider::FileOwner,
        "file-group" => Provider::FileGroup(None),
        "ssl" | "ssl-verify-client" => {
            if let [word, ..] = args {
                let message = format!("'Require {name}' does not take arguments");
                return Err(Problem::from(message).at(word.span));
            }
            if name == "ssl" { Provider::Ssl } else { Provider::SslVerifyClient }
        }
        "expr" => expression(at, kind, args, text)?,
        "ldap-user" | "ldap-group" | "ldap-dn" | "ldap-attribute" | "ldap-filter"
        | "dbm-group" | "dbd-group" | "unix-user" | "unix-group" => {
            let message =
                format!("'Require {name}' is refused: this server cannot check it");
            return Err(Problem::new(&codes::REFUSED, message).at(kind.span));
        }
        _ => {
            let message = format!("Unknown Authz provider: {name}");
            let help = "a condition that cannot be checked is never passed over";
            return Err(Problem::from(message).at(kind.span).help(help));
        }
    })
}

fn address(word: &Word) -> Result<Address> {
    let text = word.lossy();
    Address::parse(&text).map_err(|why| {
        let why =
            why.sentence().map_or(String::new(), |sentence| format!(": {sentence}"));
        let message = format!("ip address '{text}' appears to be invalid{why}");
        Problem::from(message).at(word.span)
    })
}

/// The whole rest of the line is one condition, in quotes or not.
fn expression(at: &Scope, kind: &Word, args: &[Word], text: &[u8]) -> Result<Provider> {
    let text = match args {
        [word] => &word.bytes[..],
        _ => text,
    };
    let condition = Condition::parse(text, at.condition_rules())
        .map_err(|why| unreadable(&why, kind))?;
    let upper = text.to_ascii_uppercase();
    let needs_user = upper.windows(11).any(|part| part == b"REMOTE_USER");
    Ok(Provider::Expr { condition: Arc::new(condition), needs_user })
}

/// Is this the name of a condition that httpd has?
pub fn is_known(name: &str) -> bool {
    const KNOWN: &[&str] = &[
        "all",
        "env",
        "method",
        "ip",
        "host",
        "forward-dns",
        "local",
        "user",
        "valid-user",
        "group",
        "file-owner",
        "file-group",
        "ssl",
        "ssl-verify-client",
        "expr",
    ];
    KNOWN.contains(&name)
}

impl Provider {
    /// The same with a file of groups of its own.
    #[must_use]
    pub fn with_groups(self, own: Option<&Bytes>) -> Provider {
        match self {
            Provider::Group(names, file) => Provider::Group(names, own.cloned().or(file)),
            Provider::FileGroup(file) => Provider::FileGroup(own.cloned().or(file)),
            other => other,
        }
    }

    /// Whether it holds for a request.
    pub fn ask(&self, r: &mut Request) -> Outcome {
        let holds = match self {
            Provider::All(granted) => Ok(*granted),
            Provider::Env(names) => Ok(names.iter().any(|name| r.env.has(name))),
            Provider::Method(methods) => Ok(methods.iter().any(|method| {
                let head = r.method == http::Method::HEAD;
                let own = if head { "GET" } else { r.method.as_str() };
                method == own || method == "HEAD" && own == "GET"
            })),
            Provider::Ip(ranges) => {
                Ok(ranges.iter().any(|range| range.contains(r.useragent_ip)))
            }
            Provider::Host(names) => host(r, names),
            Provider::ForwardDns(names) => forward_dns(r, names),
            Provider::Local => {
                let local = r.connection.local.ip().to_canonical();
                Ok(r.useragent_ip.is_loopback() || r.useragent_ip == local)
            }
            Provider::Ssl => Ok(r.connection.secure),
            Provider::SslVerifyClient => Ok(r
                .connection
                .security
                .tls()
                .is_some_and(|tls| tls.verified == Verified::Success)),
            Provider::Fcgi(_) if r.user.is_none() => Err(Outcome::NoUser),
            Provider::Fcgi(application) => Err(authnz_fcgi::require(r, application)),
            Provider::Expr { condition, needs_user } => expr(r, condition, *needs_user),
            Provider::User(_)
            | Provider::ValidUser
            | Provider::Group(..)
            | Provider::FileOwner
            | Provider::FileGroup(_) => match r.user.clone() {
                Some(user) => self.ask_about(r, &user),
                None => Err(Outcome::NoUser),
            },
        };
        match holds {
            Ok(true) => Outcome::Granted,
            Ok(false) => Outcome::Denied,
            Err(outcome) => outcome,
        }
    }

    fn ask_about(&self, r: &mut Request, user: &Bytes) -> Holds {
        Ok(match self {
            Provider::User(names) => {
                let names = names.of(r, ("authz_user", "user", 2594))?;
                authz_user::is_named(r, user, &names)
            }
            Provider::Group(names, file) => {
                let names = names.of(r, ("authz_groupfile", "group", 2592))?;
                authz_groupfile::is_member(r, user, &names, file.as_ref())
            }
            Provider::FileOwner => authz_owner::owns(r, user),
            Provider::FileGroup(file) => {
                authz_groupfile::is_in_file_group(r, user, file.as_ref())
            }
            _ => true,
        })
    }
}

/// Whether a condition holds, or what else it comes to.
type Holds = std::result::Result<bool, Outcome>;

/// See `host_check_authorization`.
fn host(r: &mut Request, names: &Names) -> Holds {
    let names = names.of(r, ("authz_host", "host", 2593))?;
    match &r.remote_host {
        Lookup::Unasked => Err(Outcome::NoName),
        Lookup::Unknown => Ok(false),
        Lookup::Known(known) => Ok(names
            .iter()
            .any(|name| HostRule::new(&String::from_utf8_lossy(name)).matches(known))),
    }
}

/// See `forward_dns_check_authorization`.
fn forward_dns(r: &mut Request, names: &Names) -> Holds {
    for name in names.of(r, ("authz_host", "forward-dns", 3354))? {
        let name = String::from_utf8_lossy(&name).into_owned();
        // The rest is a comment.
        let (name, last) = match name.split_once('#') {
            Some(("", _)) => break,
            Some((name, _)) => (name.to_owned(), true),
            None => (name, false),
        };
        let Some(found) = r.addresses.get(&name).cloned() else {
            return Err(Outcome::Wants(Want::Addresses(name)));
        };
        if found.is_empty() {
            let text = format!("No sockaddr info for \"{name}\"");
            r.log(Level::Warn, "authz_host", 3356, text);
        }
        if found.contains(&r.useragent_ip) {
            return Ok(true);
        }
        if last {
            break;
        }
    }
    Ok(false)
}

/// See `expr_check_authorization`: with a user who does not please, another may.
fn expr(r: &mut Request, condition: &Condition, needs_user: bool) -> Holds {
    match condition.holds(r) {
        Ok(Ok(false)) if needs_user => Err(Outcome::NoUser),
        Ok(Ok(holds)) => Ok(holds),
        Ok(Err(why)) => {
            let text = format!("Error evaluating expression in 'Require expr': {why}");
            r.log(Level::Error, "authz_core", 2320, text);
            Err(Outcome::Error)
        }
        Err(want) => Err(Outcome::Wants(want)),
    }
}
