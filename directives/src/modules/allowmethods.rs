//! mod_allowmethods: which methods a section takes.

use http::Method;

use super::core::is_method;
use crate::log::Level;
use crate::merge_options;
use crate::phase::{DECLINED, Phase, Verdict, on};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Set};

/// Settings of a section; the inner `None` is `reset`.
#[derive(Debug, Default)]
pub struct Dir {
    methods: Option<Option<Vec<String>>>,
}

merge_options!(Dir { methods });

/// Settings of a server: none of its own.
pub type Server = ();

static ALLOW_METHODS: Directive = Directive {
    name: "AllowMethods",
    syntax: "reset|HTTP-method [HTTP-method] ...",
    context: Context::DIRECTORY,
    overrides: Override::NONE,
    default: "reset",
    summary: "only allow specific methods",
    docs: r"
Requests of other methods are answered 405. GET includes HEAD; `reset` takes what an
enclosing section said back.

## Example
    <Location />
        AllowMethods GET POST OPTIONS
    </Location>
",
    set: Set::Each(|at, word| {
        if word.is("reset") {
            at.dir.allowmethods().methods = Some(None);
            return Ok(());
        }
        let name = word.lossy();
        if !is_method(at, &name) {
            let message = format!("unknown method \"{name}\" in AllowMethods");
            return Err(Problem::from(message).at(word.span));
        }
        let methods = &mut at.dir.allowmethods().methods;
        methods.get_or_insert_default().get_or_insert_default().push(name);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_allowmethods.c",
    id: "allowmethods_module",
    directives: &[&ALLOW_METHODS],
    hooks: &[on(Phase::Access, check)
        .where_set(|at| matches!(at.dir.allowmethods.methods, Some(Some(_))))],
};

/// `am_check_access`.
fn check(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    let Some(Some(allowed)) = &dir.allowmethods.methods else { return DECLINED };
    let own = if r.method == Method::HEAD { "GET" } else { r.method.as_str() };
    if allowed.iter().any(|method| method == own || method == "HEAD" && own == "GET") {
        return DECLINED;
    }
    r.allowed = allowed.iter().filter_map(|method| method.parse().ok()).collect();
    let (what, path) =
        if r.filename.is_empty() { ("uri ", &r.uri) } else { ("", &r.filename) };
    let path = String::from_utf8_lossy(path);
    let text = format!(
        "client method denied by server configuration: '{}' to {what}{path}",
        r.method
    );
    r.log(Level::Error, "allowmethods", 1623, text);
    Verdict::Status(405)
}
