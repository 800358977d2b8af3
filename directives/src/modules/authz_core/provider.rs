//! The conditions that `Require` knows: whom each lets in.

use std::sync::Arc;

use bytes::Bytes;

use super::Outcome;
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::expr::{Condition, Rules, Template};
use crate::modules::authz_host::{Address, HostRule};
use crate::modules::{authnz_fcgi, authz_groupfile, authz_owner, authz_user};
use crate::request::{Lookup, Request};
use crate::schema::{Context, Problem, Result, Word};

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
    Host(Vec<HostRule>),
    /// `local`: loopback, or the same address at both ends.
    Local,
    /// `user`: names, which may hold variables.
    User(Names),
    /// `valid-user`.
    ValidUser,
    /// `group`.
    Group(Names),
    /// `file-owner`.
    FileOwner,
    /// `file-group`.
    FileGroup,
    /// An application of `AuthnzFcgiDefineProvider`.
    Fcgi(Arc<authnz_fcgi::Provider>),
    /// `expr`.
    Expr {
        /// The condition.
        condition: Arc<Condition>,
        /// It is about the user.
        needs_user: bool,
    },
}

/// Words of a condition, with httpd's expressions in them.
#[derive(Clone, Debug)]
pub enum Names {
    /// Words as they stand.
    Plain(Vec<Bytes>),
    /// A text that becomes words for each request.
    Filled(Arc<Template>),
}

impl Names {
    fn parse(at: &Scope, args: &[Word]) -> Result<Names> {
        if !args.iter().any(|word| word.bytes.windows(2).any(|two| two == b"%{")) {
            return Ok(Names::Plain(args.iter().map(|word| word.bytes.clone()).collect()));
        }
        let text: Vec<&[u8]> = args.iter().map(|word| &word.bytes[..]).collect();
        let template = Template::parse(&text.join(&b' '), rules(at)).map_err(|why| {
            Problem::from(format!("Cannot parse expression in require line: {why}"))
                .at(args[0].span)
        })?;
        Ok(Names::Filled(Arc::new(template)))
    }

    /// The words for a request.
    pub fn of(&self, r: &mut Request) -> std::result::Result<Vec<Bytes>, Outcome> {
        match self {
            Names::Plain(names) => Ok(names.clone()),
            Names::Filled(template) => match template.fill(r) {
                Ok(Ok(text)) => Ok(words(&text)),
                Ok(Err(why)) => Err(broken(r, &why)),
                Err(want) => Err(Outcome::Wants(want)),
            },
        }
    }
}

fn words(text: &Bytes) -> Vec<Bytes> {
    let words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.map(|word| text.slice_ref(word)).collect()
}

fn rules(at: &Scope) -> Rules {
    Rules { restricted: at.place.context == Context::HTACCESS, dont_vary: false }
}

/// Expressions that cannot be evaluated fail the request.
fn broken(r: &mut Request, why: &str) -> Outcome {
    let text = format!("Can't evaluate require expression: {why}");
    r.log(crate::log::Level::Error, "authz_core", 2592, text);
    Outcome::Error
}

/// Reads a condition.
pub fn parse(at: &mut Scope, kind: &Word, args: &[Word]) -> Result<Provider> {
    if let Some(application) = authnz_fcgi::provider(at, kind, false) {
        return Ok(Provider::Fcgi(application));
    }
    let name = kind.lossy().to_ascii_lowercase();
    let needs = |what: &str| {
        if args.is_empty() {
            return Err(Problem::from(format!("'Require {name}' needs {what}")).at(kind.span));
        }
        Ok(())
    };
    let alone = || match args.first() {
        Some(extra) => {
            let message = format!("'require {name}' does not take arguments");
            Err(Problem::from(message).at(extra.span))
        }
        None => Ok(()),
    };
    Ok(match name.as_str() {
        "all" => match args {
            [word] if word.is("granted") => Provider::All(true),
            [word] if word.is("denied") => Provider::All(false),
            _ => {
                let message = "Argument for 'Require all' must be 'granted' or 'denied'";
                return Err(Problem::from(message).at(kind.span));
            }
        },
        "env" => {
            needs("a variable")?;
            Provider::Env(args.iter().map(|word| word.bytes.clone()).collect())
        }
        "method" => {
            needs("a method")?;
            Provider::Method(args.iter().map(Word::lossy).collect())
        }
        "ip" => {
            if args.is_empty() {
                return Err(Problem::from("'require ip' requires an argument").at(kind.span));
            }
            Provider::Ip(args.iter().map(address).collect::<Result<_>>()?)
        }
        "host" => {
            needs("a host")?;
            Provider::Host(args.iter().map(|word| HostRule::new(&word.lossy())).collect())
        }
        "local" => {
            alone()?;
            Provider::Local
        }
        "user" => {
            needs("a user")?;
            Provider::User(Names::parse(at, args)?)
        }
        "group" => {
            needs("a group")?;
            Provider::Group(Names::parse(at, args)?)
        }
        // What stands behind it says nothing, and httpd takes it.
        "valid-user" => Provider::ValidUser,
        "file-owner" => {
            alone()?;
            Provider::FileOwner
        }
        "file-group" => {
            alone()?;
            Provider::FileGroup
        }
        "expr" => expression(at, kind, args)?,
        "forward-dns" | "ldap-user" | "ldap-group" | "ldap-dn" | "ldap-attribute"
        | "ldap-filter" | "dbm-group" | "dbd-group" | "ssl" | "ssl-verify-client"
        | "unix-user" | "unix-group" => {
            let message = format!("'Require {name}' is refused: this server cannot check it");
            return Err(Problem::new(&codes::REFUSED, message).at(kind.span));
        }
        _ => {
            let message = format!("Unknown Authz provider: {}", kind.lossy());
            let help = "a condition that cannot be checked is never passed over";
            return Err(Problem::from(message).at(kind.span).help(help));
        }
    })
}

fn address(word: &Word) -> Result<Address> {
    match Address::parse(&word.lossy()) {
        Ok(Some(address)) => Ok(address),
        _ => {
            let message = format!("ip address '{}' appears to be invalid", word.lossy());
            Err(Problem::from(message).at(word.span))
        }
    }
}

/// The whole rest of the line is one condition, in quotes or not.
fn expression(at: &Scope, kind: &Word, args: &[Word]) -> Result<Provider> {
    let text = match args {
        [] => return Err(Problem::from("'Require expr' needs a condition").at(kind.span)),
        [word] => word.bytes.clone(),
        [..] => {
            let line = at.cmd.item.args.bytes();
            let start = kind.span.end - at.cmd.item.args.whole().start;
            let start = (start as usize).min(line.len());
            Bytes::copy_from_slice(line[start..].trim_ascii())
        }
    };
    let condition = Condition::parse(&text, rules(at)).map_err(|why| {
        let message = format!("Cannot parse expression in require line: {why}");
        Problem::from(message).at(args[0].span)
    })?;
    let upper = text.to_ascii_uppercase();
    let needs_user = upper.windows(11).any(|part| part == b"REMOTE_USER");
    Ok(Provider::Expr { condition: Arc::new(condition), needs_user })
}

impl Provider {
    /// Whether it holds for a request.
    pub fn ask(&self, r: &mut Request) -> Outcome {
        let holds = match self {
            Provider::All(granted) => *granted,
            Provider::Env(names) => names.iter().any(|name| r.env.has(name)),
            Provider::Method(methods) => methods.iter().any(|method| {
                let head = r.method == http::Method::HEAD;
                let own = if head { "GET" } else { r.method.as_str() };
                method == own || method == "HEAD" && own == "GET"
            }),
            Provider::Ip(ranges) => ranges.iter().any(|range| range.contains(r.useragent_ip)),
            Provider::Host(rules) => match &r.remote_host {
                Lookup::Unasked => return Outcome::NoName,
                Lookup::Unknown => false,
                Lookup::Known(name) => rules.iter().any(|rule| rule.matches(name)),
            },
            Provider::Local => {
                let local = r.connection.local.ip().to_canonical();
                r.useragent_ip.is_loopback() || r.useragent_ip == local
            }
            Provider::Expr { condition, needs_user } => {
                return expr(r, condition, *needs_user);
            }
            Provider::Fcgi(application) => {
                if r.user.is_none() {
                    return Outcome::NoUser;
                }
                return authnz_fcgi::require(r, application);
            }
            Provider::User(_)
            | Provider::ValidUser
            | Provider::Group(_)
            | Provider::FileOwner
            | Provider::FileGroup => {
                let Some(user) = r.user.clone() else { return Outcome::NoUser };
                return self.ask_about(r, &user);
            }
        };
        if holds { Outcome::Granted } else { Outcome::Denied }
    }

    fn ask_about(&self, r: &mut Request, user: &Bytes) -> Outcome {
        let holds = match self {
            Provider::User(names) => match names.of(r) {
                Ok(names) => authz_user::is_named(r, user, &names),
                Err(outcome) => return outcome,
            },
            Provider::Group(names) => match names.of(r) {
                Ok(names) => authz_groupfile::is_member(r, user, &names),
                Err(outcome) => return outcome,
            },
            Provider::FileOwner => authz_owner::owns(r, user),
            Provider::FileGroup => authz_owner::in_group(r, user),
            _ => true,
        };
        if holds { Outcome::Granted } else { Outcome::Denied }
    }
}

fn expr(r: &mut Request, condition: &Condition, needs_user: bool) -> Outcome {
    match condition.holds(r) {
        Ok(Ok(true)) => Outcome::Granted,
        Ok(Ok(false)) if needs_user && r.user.is_none() => Outcome::NoUser,
        Ok(Ok(false)) => Outcome::Denied,
        Ok(Err(why)) => broken(r, &why),
        Err(want) => Outcome::Wants(want),
    }
}
