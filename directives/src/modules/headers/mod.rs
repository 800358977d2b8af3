//! mod_headers: fields of requests and responses.

mod apply;
mod value;

use std::sync::Arc;

use bytes::Bytes;

use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::expr::Condition;
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
    Edit {
        pattern: Pattern,
        value: Value,
        all: bool,
    },
    /// The response's field becomes a note.
    Note(Bytes),
}

impl Action {
    /// Its value, if it has one.
    fn value(&self) -> Option<&Value> {
        match self {
            Action::Add(value)
            | Action::Append(value)
            | Action::Merge(value)
            | Action::Set(value)
            | Action::SetIfEmpty(value)
            | Action::Edit { value, .. } => Some(value),
            Action::Unset | Action::Echo(_) | Action::Note(_) => None,
        }
    }
}

/// When it is done.
#[derive(Clone, Debug)]
enum When {
    Always,
    /// Before anything else is known of the request.
    Early,
    Env {
        name: Bytes,
        negated: bool,
    },
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
        let join =
            |a: &[Arc<Change>], b: &[Arc<Change>]| a.iter().chain(b).cloned().collect();
        Dir {
            request: join(&outer.request, &inner.request),
            response: join(&outer.response, &inner.response),
            always: join(&outer.always, &inner.always),
        }
    }
}

impl Dir {
    fn says_something(&self) -> bool {
        !self.request.is_empty() || !self.response.is_empty() || !self.always.is_empty()
    }
}

/// `header_inout_cmd`: the words behind the condition of a `Header`.
fn change(at: &mut Scope, words: &[Word], of_request: bool) -> Result<Change> {
    let action = words.first();
    let kind = action.map_or(String::new(), |word| word.lossy().to_ascii_lowercase());
    let field = words.get(1).map_or(Bytes::new(), |word| word.bytes.clone());
    let mut rest = words.get(2..).unwrap_or_default().iter();
    let mut value = || rest.next().ok_or("Header requires three arguments");
    let action = match kind.as_str() {
        "add" => Action::Add(value::parse(at, value()?)?),
        "append" => Action::Append(value::parse(at, value()?)?),
        "merge" => Action::Merge(value::parse(at, value()?)?),
        "set" => Action::Set(value::parse(at, value()?)?),
        "setifempty" => Action::SetIfEmpty(value::parse(at, value()?)?),
        "unset" => Action::Unset,
        "echo" if !of_request => {
            Action::Echo(regex(at, &field, true, "echo", words.get(1))?)
        }
        "note" if !of_request => Action::Note(value()?.bytes.clone()),
        "echo" => return Err("Header echo only valid on Header directives".into()),
        "note" => return Err("RequestHeader does not support the 'note' action".into()),
        "edit" | "edit*" => {
            let (Some(pattern), Some(text)) = (rest.next(), rest.next()) else {
                return Err("Header edit requires a match and a substitution".into());
            };
            let all = kind.ends_with('*');
            let pattern = regex(at, &pattern.bytes, false, "edit", Some(pattern))?;
            Action::Edit { pattern, value: value::parse(at, text)?, all }
        }
        _ => {
            let message = "first argument must be 'add', 'set', 'setifempty', 'append', \
                           'merge', 'unset', 'echo', 'note', 'edit', or 'edit*'.";
            let problem = Problem::from(message);
            return Err(match action {
                Some(word) => problem.at(word.span),
                None => problem,
            });
        }
    };
    let when = rest.next().map_or(Ok(When::Always), |word| when(at, word))?;
    if let Some(extra) = rest.next() {
        return Err(Problem::from("Too many arguments to directive").at(extra.span));
    }
    let field = field.strip_suffix(b":").map_or(field.clone(), Bytes::copy_from_slice);
    Ok(Change { name: field, action, when })
}

fn regex(
    at: &Scope,
    text: &[u8],
    ignore_case: bool,
    action: &str,
    word: Option<&Word>,
) -> Result<Pattern> {
    at.pattern(text, ignore_case).map_err(|why| {
        let message = format!("Header {action} regex could not be compiled");
        let problem = Problem::from(message).help(why);
        match word {
            Some(word) => problem.at(word.span),
            None => problem,
        }
    })
}

fn when(at: &mut Scope, word: &Word) -> Result<When> {
    if word.is("early") {
        if at.place.container.is_some_and(|c| c != "<VirtualHost")
            || at.place.allowed.is_some()
        {
            let message =
                "early has no effect in a section: it comes before sections are known";
            at.note(Problem::new(&codes::IGNORED, message).at(word.span));
        }
        return Ok(When::Early);
    }
    if let Some(text) = word.bytes.strip_prefix(b"env=") {
        let (negated, name) = match text.strip_prefix(b"!") {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name.is_empty() {
            let message = "error: missing environment variable name. envclause should be in \
                           the form env=envar ";
            return Err(Problem::from(message).at(word.span));
        }
        return Ok(When::Env { name: Bytes::copy_from_slice(name), negated });
    }
    if let Some(text) = word.bytes.strip_prefix(b"expr=") {
        let condition = Condition::parse(text, at.condition_rules()).map_err(|why| {
            Problem::from(format!("Can't parse envclause/expression: {why}"))
                .at(word.span)
        })?;
        return Ok(When::Holds(Arc::new(condition)));
    }
    Err(Problem::from(format!("Unknown parameter: {}", word.lossy())).at(word.span))
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
(a variable of the environment), `%t` (when the request came), `%D` (how long it took), `%l`
(the system's load), `%%`, or be an expression
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
        first(Phase::Received, apply::early)
            .where_set(|at| at.server.root.headers.says_something()),
        last(Phase::Fixups, apply::request)
            .where_set(|at| at.dir.headers.says_something()),
        last(Phase::Respond, apply::response)
            .where_set(|at| at.dir.headers.says_something()),
    ],
};
