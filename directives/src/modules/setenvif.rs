//! mod_setenvif: variables that depend on the request.

use std::sync::Arc;

use bytes::Bytes;

use super::core::expr_wants;
use crate::compile::Scope;
use crate::expr;
use crate::log::Level;
use crate::merge::Merge;
use crate::pattern::{Groups, Pattern};
use crate::phase::{DECLINED, Hook, OK, Phase, Verdict, on};
use crate::request::Request;
use crate::schema::{
    Compat, Context, Directive, Module, Override, Problem, Result, Set, Word,
};
use crate::template;

/// What a condition looks at.
#[derive(Clone, Debug)]
enum Attribute {
    RemoteHost,
    RemoteAddr,
    ServerAddr,
    RequestMethod,
    RequestProtocol,
    RequestUri,
    /// A header field, or a variable if there is no such field.
    Named(String),
    /// Every header field whose name matches.
    Matching(Pattern),
}

/// A variable, and its value; `None` removes it.
type Feature = (Bytes, Option<Bytes>);

/// When variables are set.
#[derive(Debug)]
enum Test {
    Matches(Attribute, Pattern),
    Holds(expr::Condition),
}

/// One directive.
#[derive(Debug)]
struct Condition {
    test: Test,
    features: Vec<Feature>,
}

/// The conditions of a section or a server, in order.
#[derive(Debug, Default)]
pub struct Dir {
    conditions: Vec<Arc<Condition>>,
}

/// A server's are looked at when the request is received, a section's later.
pub type Server = Dir;

impl Merge for Dir {
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        Dir {
            conditions: outer
                .conditions
                .iter()
                .chain(&inner.conditions)
                .cloned()
                .collect(),
        }
    }
}

fn attribute(at: &Scope, word: &Word) -> Result<Attribute> {
    let text = word.lossy();
    Ok(match text.to_ascii_lowercase().as_str() {
        "remote_host" => Attribute::RemoteHost,
        "remote_addr" => Attribute::RemoteAddr,
        "server_addr" => Attribute::ServerAddr,
        "request_method" => Attribute::RequestMethod,
        "request_protocol" => Attribute::RequestProtocol,
        "request_uri" => Attribute::RequestUri,
        _ if !text.bytes().any(|b| br"^$.*+?|()[]{}\".contains(&b)) => {
            Attribute::Named(text)
        }
        _ => {
            let pattern = at.pattern(&word.bytes, true);
            let message = "SetEnvIfHeader name regex could not be compiled.";
            let failed = |why: String| Problem::from(message).at(word.span).help(why);
            Attribute::Matching(pattern.map_err(failed)?)
        }
    })
}

fn set_env_if(at: &mut Scope, words: &[Word], ignore_case: bool) -> Result {
    let name = at.cmd.name;
    let (first, pattern, features) = match words {
        [first, pattern, features @ ..] => (first, pattern, features),
        [_] => return Err(format!("Missing regular expression for {name}").into()),
        [] => return Err(format!("Missing header-field name for {name}").into()),
    };
    if features.is_empty() {
        return Err(format!("Missing envariable expression for {name}").into());
    }
    let attribute = attribute(at, first)?;
    add(at, attribute, pattern, features, ignore_case)
}

fn browser_match(at: &mut Scope, words: &[Word], ignore_case: bool) -> Result {
    let name = at.cmd.name;
    let (pattern, features) = match words {
        [] => return Err(format!("Missing regular expression for {name}").into()),
        [_] => return Err(format!("Missing envariable expression for {name}").into()),
        [pattern, features @ ..] => (pattern, features),
    };
    add(at, Attribute::Named("User-Agent".to_owned()), pattern, features, ignore_case)
}

fn add(
    at: &mut Scope,
    attribute: Attribute,
    pattern: &Word,
    features: &[Word],
    ignore_case: bool,
) -> Result {
    let name = at.cmd.name;
    let pattern = at.pattern(&pattern.bytes, ignore_case).map_err(|why| {
        Problem::from(format!("{name} regex could not be compiled."))
            .at(pattern.span)
            .help(why)
    })?;
    push(at, Test::Matches(attribute, pattern), features)
}

fn set_env_if_expr(at: &mut Scope, words: &[Word]) -> Result {
    let Some((text, features)) = words.split_first() else {
        return Err("Missing expression for SetEnvIfExpr".into());
    };
    if features.is_empty() {
        return Err("Missing envariable expression for SetEnvIfExpr".into());
    }
    let condition =
        expr::Condition::parse(&text.bytes, at.condition_rules()).map_err(|why| {
            let shown = text.lossy();
            Problem::from(format!("Could not parse expression \"{shown}\": {why}"))
                .at(text.span)
        })?;
    push(at, Test::Holds(condition), features)
}

fn push(at: &mut Scope, test: Test, features: &[Word]) -> Result {
    let features = features
        .iter()
        .map(|word| {
            let split = word.bytes.iter().position(|&b| b == b'=');
            match (word.bytes.strip_prefix(b"!"), split) {
                (Some(name), _) => (Bytes::copy_from_slice(name), None),
                (None, Some(i)) => {
                    (word.bytes.slice(..i), Some(word.bytes.slice(i + 1..)))
                }
                (None, None) => (word.bytes.clone(), Some(Bytes::from_static(b"1"))),
            }
        })
        .collect();
    let condition = Arc::new(Condition { test, features });
    let in_section = at.place.container.is_some_and(|c| c != "<VirtualHost");
    if in_section || at.place.allowed.is_some() {
        at.dir.setenvif().conditions.push(condition);
    } else {
        at.server.setenvif().conditions.push(condition);
    }
    Ok(())
}

static SET_ENV_IF: Directive = Directive {
    name: "SetEnvIf",
    syntax: "attribute regex [!]env-variable[=value] [[!]env-variable[=value]] ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "A header-name, regex and a list of variables.",
    docs: r#"
Sets variables if an attribute of the request matches: a header field, a variable set
before, or Remote_Host, Remote_Addr, Server_Addr, Request_Method, Request_Protocol,
Request_URI. A value may use `$1` and so on; `!name` removes a variable. What is absent
counts as empty.

## Example
    SetEnvIf Authorization "(.*)" HTTP_AUTHORIZATION=$1
    SetEnvIf X-Forwarded-Proto https HTTPS=on
"#,
    compat: Compat::Differs(
        "a regular expression for field names disregards case, also without NoCase: names \
         are known in lower case only",
    ),
    set: Set::Words(|at, words| set_env_if(at, words, false)),
    ..Directive::EXACT
};

static SET_ENV_IF_NO_CASE: Directive = Directive {
    name: "SetEnvIfNoCase",
    syntax: "attribute regex [!]env-variable[=value] [[!]env-variable[=value]] ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "a header-name, regex and a list of variables.",
    docs: r"
As `SetEnvIf`, without regard to case.

## Example
    SetEnvIfNoCase Host example\.org site=example
",
    set: Set::Words(|at, words| set_env_if(at, words, true)),
    ..Directive::EXACT
};

static BROWSER_MATCH: Directive = Directive {
    name: "BrowserMatch",
    syntax: "regex [!]env-variable[=value] [[!]env-variable[=value]] ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "A browser regex and a list of variables.",
    docs: r"
As `SetEnvIf User-Agent`.

## Example
    BrowserMatch ^Mozilla/[2-3] nokeepalive
",
    set: Set::Words(|at, words| browser_match(at, words, false)),
    ..Directive::EXACT
};

static BROWSER_MATCH_NO_CASE: Directive = Directive {
    name: "BrowserMatchNoCase",
    syntax: "regex [!]env-variable[=value] [[!]env-variable[=value]] ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "A browser regex and a list of variables.",
    docs: r"
As `BrowserMatch`, without regard to case.

## Example
    BrowserMatchNoCase robot is_a_robot
",
    set: Set::Words(|at, words| browser_match(at, words, true)),
    ..Directive::EXACT
};

static SET_ENV_IF_EXPR: Directive = Directive {
    name: "SetEnvIfExpr",
    syntax: "expr [!]env-variable[=value] [[!]env-variable[=value]] ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "an expression and a list of variables.",
    docs: r#"
Sets variables if an expression holds. A value may use `$1` and so on, of the expression's
last match.

## Example
    SetEnvIfExpr "tolower(req('X-Sent-By')) =~ /^client-([0-9]+)$/" CLIENT=$1
"#,
    set: Set::Words(set_env_if_expr),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_setenvif.c",
    id: "setenvif_module",
    directives: &[
        &SET_ENV_IF,
        &SET_ENV_IF_NO_CASE,
        &SET_ENV_IF_EXPR,
        &BROWSER_MATCH,
        &BROWSER_MATCH_NO_CASE,
    ],
    hooks: &[
        on(Phase::Received, received)
            .where_set(|at| !at.server.config.setenvif.conditions.is_empty()),
        on(Phase::Headers, headers)
            .where_set(|at| !at.dir.setenvif.conditions.is_empty()),
    ],
};

fn received(r: &mut Request) -> Verdict {
    let server = r.server.clone();
    apply(r, &server.config.setenvif, received)
}

fn headers(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    apply(r, &dir.setenvif, headers)
}

fn apply(r: &mut Request, to: &Dir, hook: Hook) -> Verdict {
    if to.conditions.is_empty() {
        return DECLINED;
    }
    for condition in &to.conditions {
        let wants_groups = |(_, value): &Feature| {
            value.as_ref().is_some_and(|value| value.contains(&b'$'))
        };
        let needs_groups = condition.features.iter().any(wants_groups);
        let matched = match &condition.test {
            Test::Matches(attribute, pattern) => {
                matched(r, attribute, pattern, needs_groups)
            }
            Test::Holds(condition) => {
                let mut groups = None;
                match condition.holds_with(r, &mut groups) {
                    Ok(Ok(true)) => Some(groups.unwrap_or_default()),
                    Ok(Ok(false)) => None,
                    Ok(Err(why)) => {
                        let text = format!("SetEnvIfExpr: {why}");
                        r.log(Level::Error, "setenvif", 0, text);
                        None
                    }
                    Err(want) => return expr_wants(r, want, hook),
                }
            }
        };
        let Some((subject, groups)) = matched else { continue };
        for (name, value) in &condition.features {
            match value {
                None => r.env.unset(name),
                Some(value) if value.contains(&b'$') => {
                    let value = template::substitute(value, &groups, &subject);
                    r.env.set(name.clone(), value);
                }
                Some(value) => r.env.set(name.clone(), value.clone()),
            }
        }
    }
    OK
}

/// What matched, and its groups.
fn matched(
    r: &Request,
    attribute: &Attribute,
    pattern: &Pattern,
    needs_groups: bool,
) -> Option<(Bytes, Groups)> {
    let subject = match attribute {
        Attribute::Matching(names) => {
            // The last field that matches counts, as in httpd.
            let known = r.headers_in.keys();
            let name =
                known.filter(|name| names.is_match(name.as_str().as_bytes())).last();
            name.and_then(|name| r.header(name)).map(owned)
        }
        attribute => value(r, attribute),
    };
    let subject = subject.unwrap_or_default();
    let groups = if needs_groups {
        pattern.captures(&subject)?
    } else {
        pattern.is_match(&subject).then(Groups::default)?
    };
    Some((subject, groups))
}

fn owned(value: std::borrow::Cow<[u8]>) -> Bytes {
    value.into_owned().into()
}

fn value(r: &Request, attribute: &Attribute) -> Option<Bytes> {
    match attribute {
        Attribute::RemoteHost => match &r.remote_host {
            crate::request::Lookup::Known(name) => Some(name.clone().into()),
            _ => Some(r.useragent_ip.to_string().into()),
        },
        Attribute::RemoteAddr => Some(r.useragent_ip.to_string().into()),
        Attribute::ServerAddr => {
            Some(r.connection.local.ip().to_canonical().to_string().into())
        }
        Attribute::RequestMethod => {
            Some(Bytes::copy_from_slice(r.method.as_str().as_bytes()))
        }
        Attribute::RequestProtocol => Some(Bytes::from_static(r.protocol().as_bytes())),
        Attribute::RequestUri => Some(Bytes::copy_from_slice(&r.uri)),
        Attribute::Named(name) => {
            let field = http::HeaderName::from_bytes(name.as_bytes())
                .ok()
                .and_then(|field| r.header(field))
                .map(owned);
            field.or_else(|| r.env.get(name.as_bytes()).cloned())
        }
        Attribute::Matching(_) => None,
    }
}
