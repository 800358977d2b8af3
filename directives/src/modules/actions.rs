//! mod_actions: a script for a handler, a media type or a method.

use bytes::Bytes;
use indexmap::IndexMap;

use crate::log::Level;
use crate::merge::Merge;
use crate::path;
use crate::phase::{DECLINED, Phase, Redirect, Verdict, last};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Set};

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    /// By handler or media type: the URL, and whether the file need not exist.
    actions: IndexMap<Bytes, (Bytes, bool)>,
    /// By method.
    scripts: IndexMap<String, Bytes>,
}

impl Dir {
    fn says_something(&self) -> bool {
        !self.actions.is_empty() || !self.scripts.is_empty()
    }
}

impl Merge for Dir {
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let mut actions = outer.actions.clone();
        actions.extend(inner.actions.clone());
        let mut scripts = outer.scripts.clone();
        scripts.extend(inner.scripts.clone());
        Dir { actions, scripts }
    }
}

/// Settings of a server: none.
pub type Server = ();

static ACTION: Directive = Directive {
    name: "Action",
    syntax: "action-type URL-path [virtual]",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "a media type followed by a script name",
    docs: r"
Requests for files of a handler or media type go to a URL path instead, with the file's
own URL behind it as PATH_INFO: the way PHP sites reach their application. Unless
`virtual` is given, a file that does not exist is answered 404 without asking.

## Example
    AddHandler site-php .php
    Action site-php /php-gate virtual
",
    set: Set::TwoOrThree(|at, kind, url, option| {
        let is_virtual = match option {
            None => false,
            Some(word) if word.is("virtual") => true,
            Some(word) => {
                let message = format!("unrecognized option '{}'", word.lossy());
                return Err(Problem::from(message).at(word.span));
            }
        };
        let kind = Bytes::from(kind.bytes.to_ascii_lowercase());
        at.dir.actions().actions.insert(kind, (url.bytes.clone(), is_virtual));
        Ok(())
    }),
    ..Directive::EXACT
};

static SCRIPT: Directive = Directive {
    name: "Script",
    syntax: "method URL-path",
    context: Context::CONFIG,
    summary: "a method followed by a script name",
    docs: r"
Requests of a method go to a URL path unless something else handles them; GET only with
a query.

## Example
    Script PUT /cgi-bin/put
",
    set: Set::Two(|at, method, url| {
        at.dir.actions().scripts.insert(method.lossy(), url.bytes.clone());
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_actions.c",
    id: "actions_module",
    directives: &[&ACTION, &SCRIPT],
    hooks: &[last(Phase::Handle, handle).where_set(|at| at.dir.actions.says_something())],
};

/// `action_handler`.
fn handle(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    let config = &dir.actions;
    if !config.says_something() {
        return DECLINED;
    }
    let mut script = match r.method.as_str() {
        "GET" | "HEAD" if r.args.is_none() => None,
        "HEAD" => config.scripts.get("GET"),
        method => config.scripts.get(method),
    };
    let loops = r.prev.as_ref().is_some_and(|prev| prev.prev.is_some());
    if script.is_some() && loops {
        return DECLINED;
    }
    let kind = r.handler.as_ref().map(|handler| handler.to_ascii_lowercase());
    if let Some((url, is_virtual)) = kind.and_then(|kind| config.actions.get(&kind[..])) {
        if !is_virtual && r.finfo.is_none() {
            let text = [b"File does not exist: ", &r.filename[..]].concat();
            r.log(Level::Info, "actions", 652, text);
            return Verdict::Status(404);
        }
        script = Some(url);
        if let Some(handler) = r.handler.clone() {
            r.env.set("HANDLER", handler);
        }
    }
    let Some(script) = script else { return DECLINED };
    let mut uri = script.to_vec();
    uri.extend_from_slice(&path::escape_path(&r.uri));
    if let Some(args) = &r.args {
        uri.push(b'?');
        uri.extend_from_slice(args);
    }
    let content_type = r.content_type.clone();
    Verdict::Redirect(Redirect { uri: uri.into(), content_type })
}
