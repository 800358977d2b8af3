//! httpd's expressions (`ap_expr`): conditions for `<If>`, `Require expr` and the like, and
//! texts with `%{…}` in them. See httpd's manual, "Expressions in Apache HTTP Server".
//!
//! A condition may need the world: `-U` and `-F` look a URL or file up, `REMOTE_HOST` asks
//! for a name. Then evaluation stops and says so; whoever evaluates asks, and begins
//! again. What was found out is remembered in the request.

mod eval;
mod function;
mod lexer;
mod parser;
mod variable;

use bytes::Bytes;

use self::variable::Variable;
use crate::modules::authz_host::Address;
use crate::pattern::Pattern;
use function::Function;

pub use eval::{Context, Want, looked_up, variable};
pub(crate) use function::hex;

/// What an expression may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Files may not be read (`AP_EXPR_FLAG_RESTRICTED`).
    pub restricted: bool,
    /// `v()`, `reqenv()` and `env()` are a page's variables (mod_include).
    pub page: bool,
    /// Header fields that are looked at do not go into `Vary`
    /// (`AP_EXPR_FLAG_DONT_VARY`).
    pub dont_vary: bool,
    /// What holds for every pattern.
    pub regex: crate::pattern::Options,
}

/// A condition.
#[derive(Clone, Debug)]
pub struct Condition {
    root: Cond,
    rules: Rules,
}

/// A text with variables in it.
#[derive(Clone, Debug)]
pub struct Template {
    root: Word,
    rules: Rules,
}

impl Condition {
    /// Reads a condition; the error is a sentence.
    pub fn parse(text: &[u8], rules: Rules) -> Result<Condition, String> {
        Ok(Condition { root: parser::condition(text, rules)?, rules })
    }
}

impl Template {
    /// Reads a text with variables; the error is a sentence.
    pub fn parse(text: &[u8], rules: Rules) -> Result<Template, String> {
        Ok(Template { root: parser::template(text, rules)?, rules })
    }

    /// The text itself, if there is nothing to fill in.
    pub fn constant(&self) -> Option<&Bytes> {
        match &self.root {
            Word::Literal(text) => Some(text),
            _ => None,
        }
    }
}

impl Condition {
    /// May evaluating it stop, for something that has to be found out?
    pub fn asks(&self) -> bool {
        self.root.asks()
    }
}

impl Cond {
    fn asks(&self) -> bool {
        match self {
            Cond::Not(inner) => inner.asks(),
            Cond::And(left, right) | Cond::Or(left, right) => left.asks() || right.asks(),
            Cond::Test(Test::AccessibleFile | Test::AccessibleUrl, _) => true,
            _ => false,
        }
    }
}

/// A condition's parts.
#[derive(Clone, Debug)]
enum Cond {
    Known(bool),
    Not(Box<Cond>),
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
    Strings(Ordering, Word, Word),
    Numbers(Ordering, Word, Word),
    Matches(Word, Pattern),
    In(Word, Vec<Word>),
    Test(Test, Word),
    /// `-R`: the client's address is in the range.
    Client(Address),
    /// `-ipmatch`.
    InRange(Word, Address),
    /// `-strmatch`, `-strcmatch`, `-fnmatch`.
    Glob(Glob, Word, Word),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ordering {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Tests of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Directory,
    Exists,
    File,
    NotEmptyFile,
    Link,
    Executable,
    AccessibleFile,
    AccessibleUrl,
    NotEmpty,
    Empty,
    True,
}

/// Kinds of wildcard matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Glob {
    Plain,
    IgnoreCase,
    Path,
}

/// A value.
#[derive(Clone, Debug)]
enum Word {
    Literal(Bytes),
    Variable(Variable),
    Call(Function, Box<Word>),
    Group(usize),
    Concat(Vec<Word>),
}

#[cfg(test)]
mod tests;
