//! mod_authz_core: `Require`, its providers and its containers.

mod alias;
mod names;
mod provider;
mod weigh;

use std::sync::Arc;

pub use alias::Process;
pub use weigh::Outcome;
use weigh::{Logic, Rule, What};

use crate::compile::{Place, Scope};
use crate::diagnostic::codes;
use crate::effect::{Answer, Effect};
use crate::log::Level;
use crate::merge::Merge;
use crate::modules::core::expr_wants;
use crate::modules::{authn_core, authnz_fcgi};
use crate::phase::{DECLINED, Hook, OK, Phase, Verdict, last};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Result, Set, Word};
use crate::syntax::{Text, lexer};

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
    forbidden: Option<bool>,
}

impl Merge for Dir {
    // An inner section's conditions replace the outer ones unless `AuthMerging` joins
    // them. See merge_authz_core_dir_config.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let own = inner.collected();
        let base = outer.collected();
        let rules = match (base, own, inner.merging) {
            (Some(base), Some(own), Some(Merging::And | Merging::Or)) => {
                let logic = if inner.merging == Some(Merging::And) {
                    Logic::All
                } else {
                    Logic::Any
                };
                Some(Arc::new(Rule::many(logic, vec![(*base).clone(), (*own).clone()])))
            }
            (base, None, _) => base,
            (_, own, _) => own,
        };
        Dir {
            rules,
            building: Vec::new(),
            merging: inner.merging.or(outer.merging),
            forbidden: inner.forbidden.or(outer.forbidden),
        }
    }
}

impl Dir {
    /// Conditions outside of containers form a `<RequireAny>`.
    fn collected(&self) -> Option<Arc<Rule>> {
        if self.building.is_empty() {
            return self.rules.clone();
        }
        Some(Arc::new(Rule::many(Logic::Any, self.building.clone())))
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
Who is let in: `all granted`, `all denied`, `ip` and addresses, `host` and names, `forward-dns` and names, `local`,
`env` and variables, `method` and methods, `user` and names, `group` and names (of
`AuthGroupFile`), `valid-user`, `file-owner`, `file-group`, `expr` and a condition. Several conditions outside of a container are
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
    let negated = words.first().is_some_and(|first| first.is("not"));
    let Some((kind, args)) = words[usize::from(negated)..].split_first() else {
        return Err("Unknown Authz provider: ".into());
    };
    // Some conditions are a text rather than words.
    let line = at.cmd.item.args.bytes();
    let mut end = 0;
    for _ in 0..=usize::from(negated) {
        end = lexer::word(line, end).map_or(line.len(), |(_, after)| after);
    }
    let provider = Arc::new(provider::parse(at, kind, args, line[end..].trim_ascii())?);
    let rule = Rule { what: What::One(provider), negated, limited: at.limited() };
    let (around, logic) = around(at.place);
    if negated && logic == Logic::Any {
        let name = at.cmd.name;
        let message =
            format!("negative {name} directive has no effect in {around}> directive");
        return Err(message.into());
    }
    at.dir.authz_core().building.push(rule);
    Ok(())
}

/// The container that a condition stands in; outside of all it is a `<RequireAny>`.
fn around<'a>(place: &Place<'a>) -> (&'a str, Logic) {
    match (place.container, place.outer) {
        (Some(name @ "<RequireAll"), _) => (name, Logic::All),
        (Some(name @ ("<RequireAny" | "<RequireNone")), _) => (name, Logic::Any),
        (Some("<Limit" | "<LimitExcept"), Some(outer)) => around(outer),
        _ => ("<RequireAny", Logic::Any),
    }
}

macro_rules! containers {
    ($($name:ident: $spelling:literal, $logic:ident, $negated:literal, $summary:literal, $docs:literal;)*) => {
        $(static $name: Directive = Directive {
            name: $spelling,
            context: Context::PER_DIRECTORY,
            overrides: Override::AUTH_CONFIG,
            summary: $summary,
            docs: $docs,
            set: Set::Section(|at, args| container(at, args, Logic::$logic, $negated)),
            ..Directive::EXACT
        };)*
    };
}

containers! {
    REQUIRE_ALL: "<RequireAll", All, false,
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
    REQUIRE_ANY: "<RequireAny", Any, false,
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
    REQUIRE_NONE: "<RequireNone", Any, true,
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

fn container(at: &mut Scope, args: &Text, logic: Logic, negated: bool) -> Result {
    let name = at.cmd.name;
    if !at.no_words(args)? {
        return Err(format!("{name}> directive doesn't take additional arguments").into());
    }
    let outer = std::mem::take(&mut at.dir.authz_core().building);
    // The body's conditions are gathered in the same settings, then taken out again.
    let errors = at.errors();
    at.body_of(Override::AUTH_CONFIG.with(Override::LIMIT));
    let rules = std::mem::replace(&mut at.dir.authz_core().building, outer);
    if rules.is_empty() {
        // What is wrong inside was said.
        if at.errors() > errors {
            return Ok(());
        }
        return Err(
            format!("{name}> directive contains no authorization directives").into()
        );
    }
    if rules.iter().all(|rule| rule.negated) && at.place.context != Context::HTACCESS {
        let message =
            format!("{name}> directive contains only negative authorization directives");
        return Err(Problem::new(&codes::ONLY_NEGATIVE, message));
    }
    if negated && let (around, Logic::Any) = around(at.place) {
        let message = format!("{name}> directive has no effect in {around}> directive");
        return Err(message.into());
    }
    let rule = Rule { negated, ..Rule::many(logic, rules) };
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
        at.dir.authz_core().merging =
            Some(match word.lossy().to_ascii_lowercase().as_str() {
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

static AUTHZ_SEND_FORBIDDEN_ON_FAILURE: Directive = Directive {
    name: "AuthzSendForbiddenOnFailure",
    syntax: "On|Off",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    default: "Off",
    summary: "Controls if an authorization failure should result in a '403 FORBIDDEN' response \
              instead of the HTTP-conforming '401 UNAUTHORIZED'",
    docs: r"
Is a user who may not have what was asked for answered 403 rather than asked for another
name and password?

## Example
    <Location /intern>
        AuthzSendForbiddenOnFailure On
    </Location>
",
    set: Set::Flag(|at, on| {
        at.dir.authz_core().forbidden = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_authz_core.c",
    id: "authz_core_module",
    directives: &[
        &REQUIRE,
        &REQUIRE_ALL,
        &REQUIRE_ANY,
        &REQUIRE_NONE,
        &AUTH_MERGING,
        &AUTHZ_SEND_FORBIDDEN_ON_FAILURE,
        &alias::AUTHZ_PROVIDER_ALIAS,
    ],
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
    r.remember_name(answer);
    authorize(r, false)
}

fn named_with_user(r: &mut Request, answer: Answer) -> Verdict {
    r.remember_name(answer);
    authorize(r, true)
}

/// `authorize_user_core`.
fn authorize(r: &mut Request, after_authn: bool) -> Verdict {
    let dir = r.dir.clone();
    if dir.user_implied && !after_authn {
        // An application that says who may come in is asked, also where nothing says so
        // beside it (Q-22).
        return DECLINED;
    }
    let Some(rules) = dir.authz_core.collected() else {
        if dir.user_implied {
            return implied(r);
        }
        if authn_core::auth_type(r).is_none() {
            return OK;
        }
        let text = "AuthType configured with no corresponding authorization directives";
        r.log(Level::Error, "authz_core", 1627, text);
        return Verdict::Status(500);
    };
    let said = r.lines.len();
    let outcome = rules.weigh(r, Logic::All);
    if matches!(outcome, Outcome::NoName | Outcome::Wants(_)) {
        // It will be weighed again, and said again.
        r.lines.truncate(said);
    }
    match outcome {
        Outcome::Granted => OK,
        Outcome::NoName => {
            let ask = Effect::Resolve { ip: r.useragent_ip, confirm: true };
            Verdict::Ask(
                ask,
                if after_authn { named_with_user } else { named_without_user },
            )
        }
        Outcome::Wants(want) => {
            let hook: Hook = if after_authn { with_user } else { without_user };
            expr_wants(r, want, hook)
        }
        Outcome::Asks(application) => {
            r.resume = Some(if after_authn { with_user } else { without_user });
            authnz_fcgi::authorize(r, &application)
        }
        Outcome::Error => Verdict::Status(500),
        Outcome::NoUser if !after_authn => DECLINED,
        Outcome::NoUser => {
            let text =
                [b"authorization failure (no authenticated user): ", &r.uri[..]].concat();
            r.log(Level::Error, "authz_core", 1629, text);
            if r.user.is_some() {
                authn_core::challenge(r);
            }
            Verdict::Status(401)
        }
        Outcome::Denied | Outcome::Neutral
            if !after_authn || authn_core::auth_type(r).is_none() =>
        {
            forbidden(r)
        }
        Outcome::Denied | Outcome::Neutral => {
            let user = String::from_utf8_lossy(r.user.as_deref().unwrap_or_default())
                .into_owned();
            let uri = String::from_utf8_lossy(&r.uri).into_owned();
            let text = format!("user {user}: authorization failure for \"{uri}\": ");
            r.log(Level::Error, "authz_core", 1631, text);
            if dir.authz_core.forbidden == Some(true) {
                return Verdict::Status(403);
            }
            authn_core::challenge(r);
            Verdict::Status(401)
        }
    }
}

/// There are no conditions: whom the authenticator accepted is let in; an authorizer
/// that left the decision to others finds none.
fn implied(r: &mut Request) -> Verdict {
    if r.user.is_some() && r.dir.fastcgi.authorizer.is_none() { OK } else { forbidden(r) }
}

fn forbidden(r: &mut Request) -> Verdict {
    let (what, path) =
        if r.filename.is_empty() { ("uri ", &r.uri) } else { ("", &r.filename) };
    let text =
        [b"client denied by server configuration: ", what.as_bytes(), path].concat();
    r.log(Level::Error, "authz_core", 1630, text);
    Verdict::Status(403)
}
