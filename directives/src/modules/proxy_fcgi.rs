//! mod_proxy_fcgi: what is said about FastCGI upstreams of `ProxyPass` and of
//! `SetHandler "proxy:…"` alone. How they are asked is in `proxy`.

use std::sync::Arc;

use bytes::Bytes;

use crate::compile::Scope;
use crate::expr::{Condition, Template};
use crate::merge::Merge;
use crate::schema::{
    Compat, Context, Directive, Module, Override, Problem, Result, Set, Word,
};

/// What kind of application it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// PHP's; it knows what `proxy:fcgi://` before a file name means.
    Fpm,
    /// Any other.
    Generic,
}

/// A variable that is changed under a condition.
#[derive(Debug)]
pub struct Fixup {
    /// The condition.
    pub condition: Condition,
    /// The variable.
    pub name: Bytes,
    /// Its value; `None` removes it.
    pub value: Option<Template>,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    backend: Option<Backend>,
    /// `ProxyFCGISetEnvIf`, in order.
    pub fixups: Vec<Arc<Fixup>>,
}

/// Settings of a server: none.
pub type Server = ();

impl Merge for Dir {
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        Dir {
            backend: inner.backend.or(outer.backend),
            fixups: outer.fixups.iter().chain(&inner.fixups).cloned().collect(),
        }
    }
}

impl Dir {
    /// Is it not said that the application is no FPM?
    pub fn may_be_fpm(&self) -> bool {
        self.backend != Some(Backend::Generic)
    }
}

static BACKEND_TYPE: Directive = Directive {
    name: "ProxyFCGIBackendType",
    syntax: "FPM|GENERIC",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "FPM",
    summary: "Specify the type of FastCGI server: 'Generic', 'FPM'",
    docs: r#"
Of FPM `SCRIPT_FILENAME` is the file name with `proxy:fcgi://host` before it, which it
takes away; other applications (`GENERIC`) get a path.

## Example
    <Location /app/>
        ProxyFCGIBackendType GENERIC
        ProxyPass "fcgi://127.0.0.1:4000/"
    </Location>
"#,
    set: Set::One(|at, word| {
        let backend = match word.lossy().to_ascii_lowercase().as_str() {
            "generic" => Backend::Generic,
            "fpm" => Backend::Fpm,
            _ => {
                let message = "ProxyFCGIBackendType requires one of the following arguments: \
                               'GENERIC', 'FPM'";
                return Err(Problem::from(message).at(word.span));
            }
        };
        at.dir.proxy_fcgi().backend = Some(backend);
        Ok(())
    }),
    ..Directive::EXACT
};

static SET_ENV_IF: Directive = Directive {
    name: "ProxyFCGISetEnvIf",
    syntax: "expression [!]variable [value]",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "expr-condition env-name expr-value",
    docs: r#"
Changes or removes a variable just before an application of `proxy_fcgi` gets it, if an
expression holds. The expression and the value see the variables as they would be sent, and
`$1` and so on of the expression's match.

## Example
    ProxyFCGISetEnvIf "reqenv('PATH_TRANSLATED') =~ m#(/.*prefix)(\d+)(.*)#" PATH_TRANSLATED "$1$3"
    ProxyFCGISetEnvIf "true" !HTTP_X_SECRET
"#,
    compat: Compat::Exact,
    set: Set::TwoOrThree(set_env_if),
    ..Directive::EXACT
};

fn set_env_if(
    at: &mut Scope,
    condition: &Word,
    name: &Word,
    value: Option<&Word>,
) -> Result {
    let parse = |word: &Word, why: String| {
        let shown = word.lossy();
        Problem::from(format!("Could not parse expression \"{shown}\": {why}"))
            .at(word.span)
    };
    let rules = at.condition_rules();
    let parsed =
        Condition::parse(&condition.bytes, rules).map_err(|why| parse(condition, why))?;
    let (name, value) = match (name.bytes.strip_prefix(b"!"), value) {
        (Some(_), Some(value)) => {
            let message = format!(
                "Third argument (\"{}\") is not allowed when using ProxyFCGISetEnvIf's unset mode ({})",
                value.lossy(),
                name.lossy()
            );
            return Err(Problem::from(message).at(value.span));
        }
        (Some(b""), None) => {
            let message = "ProxyFCGISetEnvIf: \"!\" is not a valid variable name";
            return Err(Problem::from(message).at(name.span));
        }
        (Some(bare), None) => (Bytes::copy_from_slice(bare), None),
        (None, value) => {
            let template = match value {
                Some(value) => Template::parse(&value.bytes, rules)
                    .map_err(|why| parse(value, why))?,
                None => Template::parse(b"", rules).map_err(|why| parse(name, why))?,
            };
            (name.bytes.clone(), Some(template))
        }
    };
    at.dir.proxy_fcgi().fixups.push(Arc::new(Fixup { condition: parsed, name, value }));
    Ok(())
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_proxy_fcgi.c",
    id: "proxy_fcgi_module",
    directives: &[&BACKEND_TYPE, &SET_ENV_IF],
    hooks: &[],
};
