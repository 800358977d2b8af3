//! mod_access_compat: Order, Allow, Deny, Satisfy — httpd 2.2's access control.

use bytes::Bytes;
use http::Method;

use super::authz_host::{Address, HostRule, NoAddress};
use super::core::{Limited, PerMethod};
use crate::effect::{Answer, Effect};
use crate::log::Level;
use crate::merge::Merge;
use crate::phase::{OK, Phase, Verdict, on};
use crate::request::{Lookup, Request};
use crate::schema::{Context, Directive, Module, Override, Problem, Result, Set, Word};

/// `Order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// `Deny,Allow`: allowed unless denied.
    DenyAllow,
    /// `Allow,Deny`: denied unless allowed.
    AllowDeny,
    /// Allowed and not denied.
    MutualFailure,
}

/// `Satisfy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Satisfy {
    /// The client's address and the user must both be let in.
    All,
    /// Either will do.
    Any,
}

/// Whom an `Allow` or `Deny` names.
#[derive(Clone, Debug)]
enum Subject {
    All,
    Env { name: Bytes, negated: bool },
    Address(Address),
    Host(HostRule),
}

/// One `Allow` or `Deny`.
#[derive(Clone, Debug)]
struct Rule {
    subject: Subject,
    limited: Limited,
}

/// Settings of a section.
#[derive(Clone, Debug, Default)]
pub struct Dir {
    order: PerMethod<Order>,
    satisfy: PerMethod<Satisfy>,
    allow: Vec<Rule>,
    deny: Vec<Rule>,
}

impl Merge for Dir {
    // The module has no merger: a section that says anything of it says everything.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        if inner.is_silent() { outer.clone() } else { inner.clone() }
    }
}

impl Dir {
    fn is_silent(&self) -> bool {
        let Dir { order, satisfy, allow, deny } = self;
        order.is_empty() && satisfy.is_empty() && allow.is_empty() && deny.is_empty()
    }

    /// Is anything said about who may come?
    pub fn has_rules(&self) -> bool {
        !self.order.is_empty() || !self.allow.is_empty() || !self.deny.is_empty()
    }

    /// What `Satisfy` says for a method.
    pub fn satisfy(&self, method: &Method) -> Option<Satisfy> {
        self.satisfy.get(method).copied()
    }
}

/// Settings of a server: none.
pub type Server = ();

static ORDER: Directive = Directive {
    name: "order",
    syntax: "ordering",
    context: Context::PER_DIRECTORY,
    overrides: Override::LIMIT,
    default: "Deny,Allow",
    summary: "'allow,deny', 'deny,allow', or 'mutual-failure'",
    docs: r"
In which order `Allow` and `Deny` are looked at, and what holds if neither matches: with
`Allow,Deny` the client is refused, with `Deny,Allow` it is let in.

## Example
    <Directory /srv/www>
        Order allow,deny
        Allow from all
    </Directory>
",
    set: Set::One(|at, word| {
        let order = match word.lossy().to_ascii_lowercase().as_str() {
            "allow,deny" => Order::AllowDeny,
            "deny,allow" => Order::DenyAllow,
            "mutual-failure" => Order::MutualFailure,
            _ => return Err(Problem::from("unknown order").at(word.span)),
        };
        let limited = at.limited();
        at.dir.access_compat().order.set(limited, order);
        Ok(())
    }),
    ..Directive::EXACT
};

/// `from all|host|env=[!]variable …`; see `allow_cmd`.
fn subject(from: &Word, word: &Word) -> Result<Subject> {
    if !from.is("from") {
        return Err(
            Problem::from("allow and deny must be followed by 'from'").at(from.span)
        );
    }
    let text = word.lossy();
    if let Some(name) = text.get(..4).filter(|prefix| prefix.eq_ignore_ascii_case("env="))
    {
        let rest = word.bytes.slice(name.len()..);
        let negated = rest.first() == Some(&b'!');
        let name = if negated { rest.slice(1..) } else { rest };
        return Ok(Subject::Env { name, negated });
    }
    if word.is("all") {
        return Ok(Subject::All);
    }
    match Address::parse(&text) {
        Ok(address) => Ok(Subject::Address(address)),
        Err(NoAddress::Other) if !text.contains('/') => {
            Ok(Subject::Host(HostRule::new(&text)))
        }
        Err(why) => {
            let sentence = why.sentence().unwrap_or("An IP address was expected");
            Err(Problem::from(sentence).at(word.span))
        }
    }
}

static ALLOW: Directive = Directive {
    name: "allow",
    syntax: "from all|host|env=[!]env-variable [host|env=[!]env-variable] ...",
    context: Context::PER_DIRECTORY,
    overrides: Override::LIMIT,
    summary: "'from' followed by hostnames or IP-address wildcards",
    docs: r"
Whom to let in: all, addresses (whole, in part, with a mask or a prefix length), host
names, or requests with a variable. `env=REDIRECT_STATUS` guards a URL that only internal
redirects may reach.

## Example
    <Location /php-gate>
        Order Deny,Allow
        Deny from All
        Allow from env=REDIRECT_STATUS
    </Location>
",
    set: Set::FirstThenEach(|at, from, word| {
        let rule = Rule { subject: subject(from, word)?, limited: at.limited() };
        at.dir.access_compat().allow.push(rule);
        Ok(())
    }),
    ..Directive::EXACT
};

static DENY: Directive = Directive {
    name: "deny",
    syntax: "from all|host|env=[!]env-variable [host|env=[!]env-variable] ...",
    context: Context::PER_DIRECTORY,
    overrides: Override::LIMIT,
    summary: "'from' followed by hostnames or IP-address wildcards",
    docs: r"
Whom to refuse; see `Allow`.

## Example
    <Directory /srv/private>
        Order Deny,Allow
        Deny from all
        Allow from 192.0.2 10.0.0.0/8
    </Directory>
",
    set: Set::FirstThenEach(|at, from, word| {
        let rule = Rule { subject: subject(from, word)?, limited: at.limited() };
        at.dir.access_compat().deny.push(rule);
        Ok(())
    }),
    ..Directive::EXACT
};

static SATISFY: Directive = Directive {
    name: "Satisfy",
    syntax: "Any|All",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    default: "All",
    summary: "access policy if both allow and require used ('all' or 'any')",
    docs: r"
Must both the client's address (and a FastCGI access checker) and the user be let in, or
is one enough?

## Example
    <Directory /srv/private>
        Satisfy Any
    </Directory>
",
    set: Set::One(|at, word| {
        let satisfy = match word.lossy().to_ascii_lowercase().as_str() {
            "all" => Satisfy::All,
            "any" => Satisfy::Any,
            _ => {
                return Err(Problem::from("Satisfy either 'any' or 'all'.").at(word.span));
            }
        };
        let limited = at.limited();
        at.dir.access_compat().satisfy.set(limited, satisfy);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_access_compat.c",
    id: "access_compat_module",
    directives: &[&ORDER, &ALLOW, &DENY, &SATISFY],
    hooks: &[on(Phase::Access, check).where_set(|at| at.dir.access_compat.has_rules())],
};

/// `check_dir_access`.
fn check(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    let config = &dir.access_compat;
    if !config.has_rules() {
        return OK;
    }
    let names = |rule: &Rule| matches!(rule.subject, Subject::Host(_));
    let needs_name = config.allow.iter().chain(&config.deny).any(names);
    if needs_name && r.remote_host == Lookup::Unasked {
        let ask = Effect::Resolve { ip: r.useragent_ip, confirm: true };
        return Verdict::Ask(ask, named);
    }
    let allowed = config.allow.iter().any(|rule| applies(r, rule));
    let denied = config.deny.iter().any(|rule| applies(r, rule));
    let passes = match config.order.get(&r.method).unwrap_or(&Order::DenyAllow) {
        Order::AllowDeny | Order::MutualFailure => allowed && !denied,
        Order::DenyAllow => allowed || !denied,
    };
    if passes {
        return OK;
    }
    let text = [b"client denied by server configuration: ", &r.filename[..]].concat();
    r.log(Level::Error, "access_compat", 1797, text);
    Verdict::Status(403)
}

fn named(r: &mut Request, answer: Answer) -> Verdict {
    r.remember_name(answer);
    check(r)
}

fn applies(r: &Request, rule: &Rule) -> bool {
    if !rule.limited.covers(&r.method) {
        return false;
    }
    match &rule.subject {
        Subject::All => true,
        Subject::Env { name, negated } => r.env.has(name) != *negated,
        Subject::Address(address) => address.contains(r.useragent_ip),
        Subject::Host(rule) => match &r.remote_host {
            Lookup::Known(name) => rule.matches(name),
            _ => false,
        },
    }
}
