//! mod_log_config: access logs.

mod format;

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;

pub use format::{Format, Sent, escape, zoned};

use crate::compile::Scope;
use crate::expr;
use crate::merge::Merge;
use crate::request::Request;
use crate::schema::{Compat, Context, Directive, Module, Problem, Result, Set, Word};

/// Settings of a section: none.
pub type Dir = ();

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A file, absolute.
    File(Bytes),
    /// A program's standard input.
    Pipe {
        /// The command line.
        command: Bytes,
        /// Run by a shell (`|$`).
        shell: bool,
    },
}

/// A condition of `CustomLog`.
#[derive(Clone, Debug)]
enum Condition {
    /// `env=`.
    Env { variable: Bytes, negated: bool },
    /// `expr=`.
    Holds(Arc<expr::Condition>),
}

/// One log.
#[derive(Clone, Debug)]
pub struct Log {
    /// Where its lines go.
    pub target: Target,
    /// Their format.
    pub format: Arc<Format>,
    condition: Option<Condition>,
}

/// What the format of a log was called, until all formats are known.
#[derive(Clone, Debug)]
enum FormatName {
    /// A nickname or a format string.
    Text(Bytes),
    /// The last `LogFormat` without a nickname, or the common format.
    Default,
}

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    formats: IndexMap<Bytes, Bytes>,
    default_format: Option<Bytes>,
    wanted: Vec<(Target, FormatName, Option<Condition>)>,
    /// The logs, once the formats are known.
    pub logs: Vec<Log>,
}

const COMMON: &[u8] = br#"%h %l %u %t "%r" %>s %b"#;

impl Merge for Server {
    // A host that has logs of its own does not write to the main server's.
    fn merge(main: &Server, own: &Server) -> Server {
        let mut formats = main.formats.clone();
        formats.extend(own.formats.clone());
        let default_format = own.default_format.clone().or_else(|| main.default_format.clone());
        let wanted = if own.wanted.is_empty() { &main.wanted } else { &own.wanted };
        let mut merged =
            Server { formats, default_format, wanted: wanted.clone(), logs: Vec::new() };
        merged.logs = merged.wanted.iter().map(|log| merged.settle(log)).collect();
        merged
    }
}

impl Server {
    fn settle(&self, (target, name, condition): &(Target, FormatName, Option<Condition>)) -> Log {
        let text = match name {
            FormatName::Text(text) => self.formats.get(text).unwrap_or(text).clone(),
            FormatName::Default => {
                self.default_format.clone().unwrap_or(Bytes::from_static(COMMON))
            }
        };
        let text = if &text[..] == b"CLF" { Bytes::from_static(COMMON) } else { text };
        // Formats were checked when they were read.
        let format = Arc::new(Format::parse(&text).unwrap_or_default());
        Log { target: target.clone(), format, condition: condition.clone() }
    }
}

impl Log {
    /// Does this request go into this log? A condition that would have to look a URL or a
    /// file up does not hold: the request is over.
    fn wants(&self, r: &mut Request) -> bool {
        match &self.condition {
            None => true,
            Some(Condition::Env { variable, negated }) => r.env.has(variable) != *negated,
            Some(Condition::Holds(condition)) => {
                matches!(condition.holds(r), Ok(Ok(true)))
            }
        }
    }
}

pub(crate) fn target(at: &Scope, word: &Word) -> Result<Target> {
    if let Some(rest) = word.bytes.strip_prefix(b"|") {
        let (rest, shell) = match rest.strip_prefix(b"$") {
            Some(rest) => (rest, true),
            None => (rest.strip_prefix(b"|").unwrap_or(rest), false),
        };
        return Ok(Target::Pipe { command: Bytes::copy_from_slice(rest), shell });
    }
    match at.server_relative(&word.bytes) {
        Some(path) => Ok(Target::File(path.into())),
        None => Err(Problem::from(format!("Invalid log path {}", word.lossy())).at(word.span)),
    }
}

fn condition(word: &Word) -> Result<Condition> {
    let text = &word.bytes;
    if let Some(variable) = text.strip_prefix(b"env=") {
        let negated = variable.first() == Some(&b'!');
        let variable = Bytes::copy_from_slice(&variable[usize::from(negated)..]);
        if variable.is_empty() {
            return Err(Problem::from("missing environment variable name").at(word.span));
        }
        return Ok(Condition::Env { variable, negated });
    }
    if let Some(text) = text.strip_prefix(b"expr=") {
        if text.is_empty() {
            return Err(Problem::from("missing condition").at(word.span));
        }
        let rules = expr::Rules { dont_vary: true, ..expr::Rules::default() };
        let parsed = expr::Condition::parse(text, rules);
        let condition = parsed.map_err(|why| Problem::from(why).at(word.span))?;
        return Ok(Condition::Holds(Arc::new(condition)));
    }
    Err(Problem::from("error in condition clause").at(word.span))
}

/// Refuses a format that is none.
fn check(word: &Word) -> Result {
    match Format::parse(&word.bytes) {
        Ok(_) => Ok(()),
        Err(message) => Err(Problem::from(message).at(word.span)),
    }
}

static CUSTOM_LOG: Directive = Directive {
    name: "CustomLog",
    syntax: "file|pipe format|nickname [env=[!]environment-variable|expr=expression]",
    context: Context::SERVERS,
    summary: "a file name, a custom log format string or format name, and an optional \"env=\" or \
              \"expr=\" clause (see docs)",
    docs: r#"
A log of requests. The format is a string or the nickname that a `LogFormat` gives it; a
condition chooses requests by a variable or an expression. A relative name is below `ServerRoot`.

## Example
    LogFormat "%h %l %u %t \"%r\" %>s %b" common
    CustomLog logs/access_log common env=!quiet
    CustomLog logs/errors common "expr=%{REQUEST_STATUS} -ge 400"
"#,
    set: Set::TwoOrThree(|at, file, format, clause| {
        let target = target(at, file)?;
        check(format)?;
        let condition = clause.map(condition).transpose()?;
        let name = FormatName::Text(format.bytes.clone());
        at.server.log_config().wanted.push((target, name, condition));
        Ok(())
    }),
    ..Directive::EXACT
};

static TRANSFER_LOG: Directive = Directive {
    name: "TransferLog",
    syntax: "file|pipe",
    context: Context::SERVERS,
    summary: "the filename of the access log",
    docs: r"
A log of requests in the format of the last `LogFormat` without a nickname, or in the
common format.

## Example
    TransferLog logs/access_log
",
    set: Set::One(|at, file| {
        let target = target(at, file)?;
        at.server.log_config().wanted.push((target, FormatName::Default, None));
        Ok(())
    }),
    ..Directive::EXACT
};

static LOG_FORMAT: Directive = Directive {
    name: "LogFormat",
    syntax: "format|nickname [nickname]",
    context: Context::SERVERS,
    summary: "a log format string (see docs) and an optional format name",
    docs: r#"
Gives a format a nickname, or sets the format of `TransferLog`.

## Example
    LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O" vhost_combined
"#,
    set: Set::OneOrTwo(|at, format, nickname| {
        check(format)?;
        let config = at.server.log_config();
        match nickname {
            Some(name) => {
                config.formats.insert(name.bytes.clone(), format.bytes.clone());
            }
            None => {
                let text = config.formats.get(&format.bytes).unwrap_or(&format.bytes).clone();
                config.default_format = Some(text);
            }
        }
        Ok(())
    }),
    ..Directive::EXACT
};

static BUFFERED_LOGS: Directive = Directive {
    name: "BufferedLogs",
    syntax: "On|Off",
    context: Context::SERVER,
    default: "Off",
    summary: "Enable Buffered Logging (experimental)",
    docs: r"
Accepted without effect: lines are always gathered for a moment and written together.

## Example
    BufferedLogs On
",
    compat: Compat::Ignored("lines are always gathered and written together"),
    set: Set::Flag(|_, _| Ok(())),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_log_config.c",
    id: "log_config_module",
    directives: &[&CUSTOM_LOG, &TRANSFER_LOG, &LOG_FORMAT, &BUFFERED_LOGS],
    hooks: &[],
};

/// Calls `write` with every log's target and line for a finished request.
pub fn each_line(r: &mut Request, sent: &Sent, mut write: impl FnMut(&Target, Vec<u8>)) {
    let server = r.server.clone();
    for log in &server.config.log_config.logs {
        if log.wants(r) {
            write(&log.target, log.format.render(r, sent));
        }
    }
}
