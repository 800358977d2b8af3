//! mod_authz_core: `Require`, its providers and its containers.

use std::sync::Arc;

use bytes::Bytes;

use super::authz_host::{Address, HostRule};
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::effect::{Answer, Effect};
use crate::log::Level;
use crate::merge::Merge;
use crate::phase::{DECLINED, OK, Phase, Verdict, last};
use crate::request::{Lookup, Request};
use crate::schema::{Context, Directive, Module, Override, Problem, Result, Set, Word};

/// One condition.
#[derive(Clone, Debug)]
enum Provider {
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
}

/// Conditions and how they add up.
#[derive(Clone, Debug)]
enum Rule {
    One { provider: Provider, negated: bool },
    Many { logic: Logic, rules: Vec<Rule>, negated: bool },
}

/// The container of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    /// `<RequireAll>`.
    All,
    /// `<RequireAny>`, and conditions without a container.
    Any,
    /// `<RequireNone>`.
    None,
}

/// What conditions come to: httpd's `authz_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Granted,
    Denied,
    Neutral,
    /// Cannot be said without a user.
    NoUser,
    /// Cannot be said without the client's host name.
    NoName,
}

/// `AuthMerging`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Merging {
    Off,
    And,
    Or,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    rules: Option<Arc<Rule>>,
    building: Vec<Rule>,
    merging: Option<Merging>,
}

impl Merge for Dir {
    // An inner section's conditions replace the outer ones unless `AuthMerging` joins
    // them. See merge_authz_core_dir_config.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let own = inner.collected();
        let base = outer.collected();
        let rules = match (base, own, inner.merging) {
            (Some(base), Some(own), Some(Merging::And | Merging::Or)) => {
                let logic =
                    if inner.merging == Some(Merging::And) { Logic::All } else { Logic::Any };
                let rules = vec![(*base).clone(), (*own).clone()];
                Some(Arc::new(Rule::Many { logic, rules, negated: false }))
            }
            (base, None, _) => base,
            (_, own, _) => own,
        };
        Dir { rules, building: Vec::new(), merging: inner.merging.or(outer.merging) }
    }
}

impl Dir {
    /// Conditions outside of containers form a `<RequireAny>`.
    fn collected(&self) -> Option<Arc<Rule>> {
        if self.building.is_empty() {
            return self.rules.clone();
        }
        let rules = self.building.clone();
        Some(Arc::new(Rule::Many { logic: Logic::Any, rules, negated: false }))
    }

    /// Are there conditions at all?
    pub fn has_rules(&self) -> bool {
        self.rules.is_some() || !self.building.is_empty()
    }
}

/// Settings of a server: none.
pub type Server = ();

static REQUIRE: Directive = Directive {
    name: "Require",
    syntax: "[not] entity-name [entity-name] ...",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    summary: "specifies authorization directives which one must pass (or not) for a request to \
              suceeed",
    docs: r"
Who is let in: `all granted`, `all denied`, `ip` and addresses, `host` and names, `local`,
`env` and variables, `method` and methods. Several conditions outside of a container are
alternatives. A section's conditions replace those of the enclosing ones unless
`AuthMerging` says otherwise.

## Example
    <Directory /srv/www>
        Require all granted
    </Directory>
    <Location /intern>
        Require ip 192.0.2 10.0.0.0/8
        Require local
    </Location>
",
    set: Set::Words(require),
    ..Directive::EXACT
};

fn require(at: &mut Scope, words: &[Word]) -> Result {
    let (negated, rest) = match words.split_first() {
        Some((first, rest)) if first.is("not") => (true, rest),
        _ => (false, words),
    };
    let Some((kind, args)) = rest.split_first() else {
        return Err("Require directive requires additional arguments".into());
    };
    let provider = provider(kind, args)?;
    at.dir.authz_core().building.push(Rule::One { provider, negated });
    Ok(())
}

fn provider(kind: &Word, args: &[Word]) -> Result<Provider> {
    let name = kind.lossy().to_ascii_lowercase();
    let needs = |what: &str| {
        if args.is_empty() {
            return Err(Problem::from(format!("'Require {name}' needs {what}")).at(kind.span));
        }
        Ok(())
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
            let address = |word: &Word| match Address::parse(&word.lossy()) {
                Ok(Some(address)) => Ok(address),
                _ => {
                    let message = format!(
                        "ip address '{}' appears to be invalid",
                        word.lossy()
                    );
                    Err(Problem::from(message).at(word.span))
                }
            };
            Provider::Ip(args.iter().map(address).collect::<Result<_>>()?)
        }
        "host" => {
            needs("a host")?;
            Provider::Host(args.iter().map(|word| HostRule::new(&word.lossy())).collect())
        }
        "local" => {
            if let Some(extra) = args.first() {
                let message = "'require local' does not take arguments";
                return Err(Problem::from(message).at(extra.span));
            }
            Provider::Local
        }
        "user" | "group" | "valid-user" | "file-owner" | "file-group" | "expr" | "forward-dns" => {
            let message = format!("'Require {name}' is refused: it is not built yet");
            return Err(Problem::new(&codes::REFUSED, message).at(kind.span));
        }
        _ => {
            let message = format!("Unknown Authz provider: {}", kind.lossy());
            let help = "a condition that cannot be checked is never passed over";
            return Err(Problem::from(message).at(kind.span).help(help));
        }
    })
}

macro_rules! containers {
    ($($name:ident: $spelling:literal, $logic:ident, $summary:literal, $docs:literal;)*) => {
        $(static $name: Directive = Directive {
            name: $spelling,
            context: Context::PER_DIRECTORY,
            overrides: Override::AUTH_CONFIG,
            summary: $summary,
            docs: $docs,
            set: Set::Section(|at, _| container(at, Logic::$logic)),
            ..Directive::EXACT
        };)*
    };
}

containers! {
    REQUIRE_ALL: "<RequireAll", All,
        "container for grouping authorization directives of which none must fail and at least \
         one must pass for a request to succeed", r"
Conditions that must all hold.

## Example
    <Location /intern>
        <RequireAll>
            Require ip 192.0.2
            Require not env BLOCKED
        </RequireAll>
    </Location>
";
    REQUIRE_ANY: "<RequireAny", Any,
        "container for grouping authorization directives of which one must pass for a request to \
         succeed", r"
Conditions of which one must hold.

## Example
    <Location /intern>
        <RequireAny>
            Require local
            Require ip 192.0.2
        </RequireAny>
    </Location>
";
    REQUIRE_NONE: "<RequireNone", None,
        "container for grouping authorization directives of which none must pass for a request \
         to succeed", r"
Conditions of which none may hold. It lets nobody in by itself: it belongs into a
`<RequireAll>`.

## Example
    <Location /intern>
        <RequireAll>
            Require all granted
            <RequireNone>
                Require ip 192.0.2.13
            </RequireNone>
        </RequireAll>
    </Location>
";
}

fn container(at: &mut Scope, logic: Logic) -> Result {
    let outer = std::mem::take(&mut at.dir.authz_core().building);
    // The body's conditions are gathered in the same settings, then taken out again.
    let mut part = std::mem::take(at.dir);
    at.body(None, &mut part);
    *at.dir = part;
    let rules = std::mem::replace(&mut at.dir.authz_core().building, outer);
    if rules.is_empty() {
        let message = format!("{}> has no conditions", at.cmd.name);
        return Err(message.into());
    }
    let all_negated = rules.iter().all(|rule| match rule {
        Rule::One { negated, .. } | Rule::Many { negated, .. } => *negated,
    });
    if all_negated && logic != Logic::None {
        let name = at.cmd.name;
        let message = format!(
            "{name}> directive contains only negative authorization directives"
        );
        let caution = Problem::new(&codes::CAUTION, message);
        at.note(caution);
    }
    let rule = Rule::Many { logic, rules, negated: false };
    at.dir.authz_core().building.push(rule);
    Ok(())
}

static AUTH_MERGING: Directive = Directive {
    name: "AuthMerging",
    syntax: "Off|And|Or",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    default: "Off",
    summary: "controls how a <Directory>, <Location>, or similar directive's authorization \
              directives are combined with those of its predecessor",
    docs: r"
Do conditions of this section replace those of the enclosing ones, or add to them?

## Example
    <Location /intern>
        AuthMerging And
        Require ip 192.0.2
    </Location>
",
    set: Set::One(|at, word| {
        at.dir.authz_core().merging = Some(match word.lossy().to_ascii_lowercase().as_str() {
            "off" => Merging::Off,
            "and" => Merging::And,
            "or" => Merging::Or,
            _ => {
                let message = "AuthMerging must be one of: Off | And | Or";
                return Err(Problem::from(message).at(word.span));
            }
        });
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_authz_core.c",
    id: "authz_core_module",
    directives: &[&REQUIRE, &REQUIRE_ALL, &REQUIRE_ANY, &REQUIRE_NONE, &AUTH_MERGING],
    hooks: &[last(Phase::AccessEx, without_user), last(Phase::Authz, with_user)],
};

/// `authorize_userless`.
fn without_user(r: &mut Request) -> Verdict {
    authorize(r, false)
}

/// `authorize_user`.
fn with_user(r: &mut Request) -> Verdict {
    authorize(r, true)
}

fn named_without_user(r: &mut Request, answer: Answer) -> Verdict {
    remember(r, answer);
    authorize(r, false)
}

fn named_with_user(r: &mut Request, answer: Answer) -> Verdict {
    remember(r, answer);
    authorize(r, true)
}

fn remember(r: &mut Request, answer: Answer) {
    r.remote_host = match answer {
        Answer::Name(Some(name)) => Lookup::Known(name),
        _ => Lookup::Unknown,
    };
}

/// `authorize_user_core`.
fn authorize(r: &mut Request, after_authn: bool) -> Verdict {
    let dir = r.dir.clone();
    let Some(rules) = dir.authz_core.collected() else { return OK };
    match weigh(r, &rules) {
        Outcome::Granted => OK,
        Outcome::NoName => {
            let ask = Effect::Resolve { ip: r.useragent_ip, confirm: true };
            Verdict::Ask(ask, if after_authn { named_with_user } else { named_without_user })
        }
        Outcome::NoUser if !after_authn => DECLINED,
        Outcome::NoUser => {
            let text = [b"authorization failure (no authenticated user): ", &r.uri[..]].concat();
            r.log(Level::Error, "authz_core", 1628, text);
            Verdict::Status(401)
        }
        Outcome::Denied | Outcome::Neutral if !after_authn => {
            let (what, path) =
                if r.filename.is_empty() { ("uri ", &r.uri) } else { ("", &r.filename) };
            let text = [b"client denied by server configuration: ", what.as_bytes(), path].concat();
            r.log(Level::Error, "authz_core", 1630, text);
            Verdict::Status(403)
        }
        Outcome::Denied | Outcome::Neutral => {
            let user = String::from_utf8_lossy(r.user.as_deref().unwrap_or_default()).into_owned();
            let uri = String::from_utf8_lossy(&r.uri).into_owned();
            let text = format!("user {user}: authorization failure for \"{uri}\": ");
            r.log(Level::Error, "authz_core", 1631, text);
            Verdict::Status(401)
        }
    }
}

/// `apply_authz_sections`.
fn weigh(r: &Request, rule: &Rule) -> Outcome {
    let (outcome, negated) = match rule {
        Rule::One { provider, negated } => (ask(r, provider), *negated),
        Rule::Many { logic, rules, negated } => (combine(r, *logic, rules), *negated),
    };
    match (negated, outcome) {
        (true, Outcome::Granted) => Outcome::Denied,
        // A negated condition that does not hold is no reason to let anybody in.
        (true, Outcome::Denied | Outcome::Neutral) => Outcome::Neutral,
        (_, outcome) => outcome,
    }
}

fn combine(r: &Request, logic: Logic, rules: &[Rule]) -> Outcome {
    let mut result = Outcome::Neutral;
    for rule in rules {
        let outcome = weigh(r, rule);
        if outcome == Outcome::NoName {
            return outcome;
        }
        match logic {
            Logic::All => match outcome {
                Outcome::Denied => return Outcome::Denied,
                Outcome::NoUser => result = Outcome::NoUser,
                Outcome::Granted if result == Outcome::Neutral => result = Outcome::Granted,
                _ => {}
            },
            Logic::Any => match outcome {
                Outcome::Granted => return Outcome::Granted,
                Outcome::NoUser => result = Outcome::NoUser,
                Outcome::Denied if result == Outcome::Neutral => result = Outcome::Denied,
                _ => {}
            },
            Logic::None => match outcome {
                Outcome::Granted => return Outcome::Denied,
                Outcome::NoUser => result = Outcome::NoUser,
                _ => {}
            },
        }
    }
    result
}

fn ask(r: &Request, provider: &Provider) -> Outcome {
    let holds = match provider {
        Provider::All(granted) => *granted,
        Provider::Env(names) => names.iter().any(|name| r.env.has(name)),
        Provider::Method(methods) => methods.iter().any(|method| {
            let own = if r.method == http::Method::HEAD { "GET" } else { r.method.as_str() };
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
    };
    if holds { Outcome::Granted } else { Outcome::Denied }
}
