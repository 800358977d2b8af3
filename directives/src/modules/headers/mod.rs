//! mod_headers: fields of requests and responses.

mod apply;
mod value;

use std::sync::Arc;

use bytes::Bytes;

use crate::compile::Scope;
use crate::expr::{Condition, Rules};
use crate::merge::Merge;
use crate::pattern::Pattern;
use crate::phase::{Phase, first, last};
use crate::schema::{Context, Directive, Module, Override, Problem, Result, Set, Word};
use value::Value;

/// What is done to a field.
#[derive(Clone, Debug)]
enum Action {
    Add(Value),
    Append(Value),
    Merge(Value),
    Set(Value),
    SetIfEmpty(Value),
    Unset,
    /// Fields of the request whose name matches go into the response.
    Echo(Pattern),
    /// `edit`, and `edit*` if `all`.
    Edit { pattern: Pattern, value: Value, all: bool },
    /// The response's field becomes a note.
    Note(Bytes),
}

/// When it is done.
#[derive(Clone, Debug)]
enum When {
    Always,
    /// Before anything else is known of the request.
    Early,
    Env { name: Bytes, negated: bool },
    Holds(Arc<Condition>),
}

/// One directive.
#[derive(Clone, Debug)]
struct Change {
    name: Bytes,
    action: Action,
    when: When,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    request: Vec<Arc<Change>>,
    /// `onsuccess`, the default.
    response: Vec<Arc<Change>>,
    /// `always`: error pages and redirections too.
    always: Vec<Arc<Change>>,
}

/// Settings of a server: none of its own.
pub type Server = ();

impl Merge for Dir {
    // See merge_headers_config: outer changes come first.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let join = |a: &[Arc<Change>], b: &[Arc<Change>]| a.iter().chain(b).cloned().collect();
        Dir {
            request: join(&outer.request, &inner.request),
            response: join(&outer.response, &inner.response),
            always: join(&outer.always, &inner.always),
        }
    }
}

/// `header_inout_cmd`: the words behind the condition of a `Header`.
fn change(at: &Scope, words: &[Word], of_request: bool) -> Result<Change> {
    let name = at.cmd.name;
    let (Some(action), Some(field)) = (words.first(), words.get(1)) else {
        return Err(format!("{name} requires at least two arguments").into());
    };
    let mut rest = &words[2..];
    let field_name = field.bytes.strip_suffix(b":").unwrap_or(&field.bytes);
    let field_name = Bytes::copy_from_slice(field_name);
    let kind = action.lossy().to_ascii_lowercase();
    let mut value = || -> Result<Value> {
        let Some((word, others)) = rest.split_first() else {
            let message = format!("Header {kind} takes a value as the third argument");
            return Err(Problem::from(message).at(action.span));
        };
        rest = others;
        value::parse(at, word)
    };
    let action = match kind.as_str() {
        "add" => Action::Add(value()?),
        "append" => Action::Append(value()?),
        "merge" => Action::Merge(value()?),
        "set" => Action::Set(value()?),
        "setifempty" => Action::SetIfEmpty(value()?),
        "unset" => Action::Unset,
        "echo" if !of_request => Action::Echo(regex(field, true)?),
        "note" if !of_request => {
            let Some((word, others)) = rest.split_first() else {
                return Err("header note requires a note name".into());
            };
            rest = others;
            Action::Note(word.bytes.clone())
        }
        "edit" | "edit*" => {
            let Some((pattern, others)) = rest.split_first() else {
                return Err("Header edit requires a match and a substitution".into());
            };
            rest = others;
            let Some((text, others)) = rest.split_first() else {
                return Err("Header edit requires a match and a substitution".into());
            };
            rest = others;
            let (pattern, all) = (regex(pattern, false)?, kind.ends_with('*'));
            Action::Edit { pattern, value: value::parse(at, text)?, all }
        }
        _ => {
            let message = "first argument must be 'add', 'set', 'setifempty', 'append', \
                           'merge', 'unset', 'echo', 'note', 'edit', or 'edit*'.";
            return Err(Problem::from(message).at(action.span));
        }
    };
    let when = match rest {
        [] => When::Always,
        [word] => when(at, word)?,
        [_, extra, ..] => {
            let message = format!("{name} has too many arguments");
            return Err(Problem::from(message).at(extra.span));
        }
    };
    Ok(Change { name: field_name, action, when })
}

fn regex(word: &Word, ignore_case: bool) -> Result<Pattern> {
    Pattern::new(&word.bytes, ignore_case).map_err(|why| {
        Problem::from("Header regex could not be compiled").at(word.span).help(why)
    })
}

fn when(at: &Scope, word: &Word) -> Result<When> {
    if word.is("early") {
        if at.place.container.is_some_and(|c| c != "<VirtualHost") || at.place.allowed.is_some() {
            let message = "early is only for a server, not for a section: it comes before \
                           sections are known";
            return Err(Problem::from(message).at(word.span));
        }
        return Ok(When::Early);
    }
    if let Some(text) = word.bytes.strip_prefix(b"env=") {
        let (negated, name) = match text.strip_prefix(b"!") {
            Some(name) => (true, name),
            None => (false, text),
        };
        return Ok(When::Env { name: Bytes::copy_from_slice(name), negated });
    }
    if let Some(text) = word.bytes.strip_prefix(b"expr=") {
        let rules =
            Rules { restricted: at.place.context == Context::HTACCESS, dont_vary: true };
        let condition = Condition::parse(text, rules).map_err(|why| {
            Problem::from(format!("Can't parse condition expression: {why}")).at(word.span)
        })?;
        return Ok(When::Holds(Arc::new(condition)));
    }
    let message = "error: Unknown parameter, expected env=, expr= or early";
    Err(Problem::from(message).at(word.span))
}

static HEADER: Directive = Directive {
    name: "Header",
    syntax: "[onsuccess|always] add|append|echo|edit|edit*|merge|note|set|setifempty|unset \
             header [[expr=]value [replacement] [early|env=[!]variable|expr=expression]]",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "an optional condition, an action, header and value followed by optional env \
              clause",
    docs: r#"
Changes fields of responses. `always` also concerns error pages and redirections, and the
fields that applications set; the default, `onsuccess`, does not. A value may hold `%{NAME}e`
(a variable of the environment), `%t` (when the request came), `%%`, or be an expression
behind `expr=`. `edit` replaces the first match of a regular expression, `edit*` all.

## Example
    Header always set X-Frame-Options SAMEORIGIN
    Header set Cache-Control "max-age=600" "expr=%{REQUEST_URI} =~ m#^/static/#"
    Header edit Set-Cookie ^(.*)$ "$1; Secure"
"#,
    set: Set::Words(|at, words| {
        let (always, words) = match words.split_first() {
            Some((word, rest)) if word.is("always") => (true, rest),
            Some((word, rest)) if word.is("onsuccess") => (false, rest),
            _ => (false, words),
        };
        let change = Arc::new(change(at, words, false)?);
        let dir = at.dir.headers();
        if always { &mut dir.always } else { &mut dir.response }.push(change);
        Ok(())
    }),
    ..Directive::EXACT
};

static REQUEST_HEADER: Directive = Directive {
    name: "RequestHeader",
    syntax: "add|append|edit|edit*|merge|set|setifempty|unset header [[expr=]value \
             [replacement] [early|env=[!]variable|expr=expression]]",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "an action, header and value followed by optional env clause",
    docs: r"
Changes fields of requests, before the handler sees them; with `early` before anything
else. See `Header`.

## Example
    RequestHeader unset Proxy early
    RequestHeader set X-Forwarded-Proto https env=HTTPS
",
    set: Set::Words(|at, words| {
        let change = Arc::new(change(at, words, true)?);
        at.dir.headers().request.push(change);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_headers.c",
    id: "headers_module",
    directives: &[&HEADER, &REQUEST_HEADER],
    hooks: &[
        first(Phase::Received, apply::early),
        last(Phase::Fixups, apply::request),
        last(Phase::Respond, apply::response),
    ],
};
