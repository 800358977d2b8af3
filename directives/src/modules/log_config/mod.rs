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
use crate::schema::{Context, Directive, Module, Problem, Result, Set, Word};

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

/// A log as the configuration asks for it.
#[derive(Clone, Debug)]
struct Wanted {
    target: Target,
    format: FormatName,
    condition: Option<Condition>,
    /// `GlobalLog`: also for hosts that have logs of their own.
    global: bool,
}

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    formats: IndexMap<Bytes, Bytes>,
    default_format: Option<Bytes>,
    wanted: Vec<Wanted>,
    /// `BufferedLogs`.
    pub buffered: bool,
    /// The logs, once the formats are known.
    pub logs: Vec<Log>,
}

const COMMON: &[u8] = br#"%h %l %u %t "%r" %>s %b"#;

impl Merge for Server {
    // A host that has logs of its own writes only to the global ones of the main server's.
    fn merge(main: &Server, own: &Server) -> Server {
        let mut formats = main.formats.clone();
        formats.extend(own.formats.clone());
        let default_format =
            own.default_format.clone().or_else(|| main.default_format.clone());
        let wanted = if own.wanted.is_empty() {
            main.wanted.clone()
        } else {
            let global = main.wanted.iter().filter(|log| log.global);
            own.wanted.iter().chain(global).cloned().collect()
        };
        let buffered = main.buffered;
        let mut merged =
            Server { formats, default_format, wanted, buffered, logs: Vec::new() };
        merged.logs = merged.wanted.iter().map(|log| merged.settle(log)).collect();
        merged
    }
}

impl Server {
    fn settle(&self, wanted: &Wanted) -> Log {
        let text = match &wanted.format {
            FormatName::Text(text) => self.formats.get(text).unwrap_or(text).clone(),
            FormatName::Default => {
                self.default_format.clone().unwrap_or(Bytes::from_static(COMMON))
            }
        };
        let text = if &text[..] == b"CLF" { Bytes::from_static(COMMON) } else { text };
        // Formats were checked when they were read.
        let format = Arc::new(Format::parse(&text).unwrap_or_default());
        let (target, condition) = (wanted.target.clone(), wanted.condition.clone());
        Log { target, format, condition }
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
        None => {
            Err(Problem::from(format!("Invalid log path {}", word.lossy())).at(word.span))
        }
    }
}

fn condition(at: &Scope, word: &Word) -> Result<Condition> {
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
        let rules = expr::Rules { restricted: false, ..at.rules() };
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
        custom(at, file, format, clause, false)
    }),
    ..Directive::EXACT
};

static GLOBAL_LOG: Directive = Directive {
    name: "GlobalLog",
    syntax: "file|pipe format|nickname [env=[!]environment-variable|expr=expression]",
    context: Context::SERVER,
    summary: "Same as CustomLog, but forces virtualhosts to inherit the log",
    docs: r#"
The same as `CustomLog`, for the main server and for every virtual host, also for those that
have logs of their own.

## Example
    LogFormat "%v %h %l %u %t \"%r\" %>s %b" all
    GlobalLog logs/all all
"#,
    set: Set::TwoOrThree(|at, file, format, clause| {
        custom(at, file, format, clause, true)
    }),
    ..Directive::EXACT
};

fn custom(
    at: &mut Scope,
    file: &Word,
    format: &Word,
    clause: Option<&Word>,
    global: bool,
) -> Result {
    let target = target(at, file)?;
    check(format)?;
    let condition = clause.map(|clause| condition(at, clause)).transpose()?;
    let format = FormatName::Text(format.bytes.clone());
    at.server.log_config().wanted.push(Wanted { target, format, condition, global });
    Ok(())
}

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
        let format = FormatName::Default;
        let wanted = Wanted { target, format, condition: None, global: false };
        at.server.log_config().wanted.push(wanted);
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
                let text =
                    config.formats.get(&format.bytes).unwrap_or(&format.bytes).clone();
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
Are lines of access logs gathered in memory, and written when there are 4096 bytes of them?
They are written at the latest when the configuration is replaced and nothing uses the old one
any more, and when the server ends. Without it each line is written as soon as its response
is sent.

## Example
    BufferedLogs On
",
    set: Set::Flag(|at, on| {
        at.server.log_config().buffered = on;
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_log_config.c",
    id: "log_config_module",
    directives: &[&CUSTOM_LOG, &GLOBAL_LOG, &TRANSFER_LOG, &LOG_FORMAT, &BUFFERED_LOGS],
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
