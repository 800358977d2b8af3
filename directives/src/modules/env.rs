//! mod_env: the environment handed to applications, set from configuration.

use bytes::Bytes;

use crate::diagnostic::codes;
use crate::env::Env;
use crate::merge::Merge;
use crate::phase::{DECLINED, OK, Phase, Verdict, on};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Set};

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    vars: Env,
    unset: Vec<Bytes>,
}

impl Merge for Dir {
    // An inner UnsetEnv removes what outer sections set; it does not reach variables that
    // its own section sets. See merge_env_dir_configs.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let mut vars = outer.vars.clone();
        for name in &inner.unset {
            vars.unset(name);
        }
        for (name, value) in inner.vars.iter() {
            vars.set(name.clone(), value.clone());
        }
        let unset = outer.unset.iter().chain(&inner.unset).cloned().collect();
        Dir { vars, unset }
    }
}

/// Settings of a server: none.
pub type Server = ();

static SET_ENV: Directive = Directive {
    name: "SetEnv",
    syntax: "env-variable [value]",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "an environment variable name and optional value to pass to CGI.",
    docs: r"
Sets a variable for applications. Without a value the variable is empty.

## When
Fixups, after access control and rewriting. To influence those, use `SetEnvIf`.

## Example
    SetEnv SPECIAL_PATH /foo/bin
",
    set: Set::OneOrTwo(|at, name, value| {
        let value = value.map(|value| value.bytes.clone()).unwrap_or_default();
        at.dir.env().vars.set(name.bytes.clone(), value);
        Ok(())
    }),
    ..Directive::EXACT
};

static PASS_ENV: Directive = Directive {
    name: "PassEnv",
    syntax: "env-variable [env-variable] ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "a list of environment variables to pass to CGI.",
    docs: r"
Passes variables of the server's own environment on to applications.

## Example
    PassEnv HOME
",
    set: Set::Each(|at, name| {
        match at.files().env(&name.bytes) {
            Some(value) => {
                at.dir.env().vars.set(name.bytes.clone(), value);
            }
            None => {
                let message = format!("PassEnv variable {} was undefined", name.lossy());
                at.note(Problem::new(&codes::PASS_ENV, message).at(name.span));
            }
        }
        Ok(())
    }),
    ..Directive::EXACT
};

static UNSET_ENV: Directive = Directive {
    name: "UnsetEnv",
    syntax: "env-variable [env-variable] ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "a list of variables to remove from the CGI environment.",
    docs: r"
Takes variables back that `SetEnv` or `PassEnv` of an enclosing section set.

## Example
    UnsetEnv LD_LIBRARY_PATH
",
    set: Set::Each(|at, name| {
        let dir = at.dir.env();
        dir.vars.unset(&name.bytes);
        dir.unset.push(name.bytes.clone());
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_env.c",
    id: "env_module",
    directives: &[&PASS_ENV, &SET_ENV, &UNSET_ENV],
    hooks: &[on(Phase::Fixups, fixups).where_set(|at| !at.dir.env.vars.is_empty())],
};

fn fixups(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    if dir.env.vars.is_empty() {
        return DECLINED;
    }
    for (name, value) in dir.env.vars.iter() {
        r.env.set(name.clone(), value.clone());
    }
    OK
}
