//! `ErrorLog` and `LogLevel`.

use bytes::Bytes;

use crate::log::{Level, Levels};
use crate::schema::{Context, Directive, Problem, Set};

/// Where the error log goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ErrorLog {
    /// A file, absolute.
    File(Bytes),
    /// A program's standard input; `shell` if its line is for `/bin/sh -c`.
    Pipe {
        /// The command line.
        command: Bytes,
        /// Run by a shell (`|$`).
        shell: bool,
    },
    /// syslog, with facility and tag as written.
    Syslog(String),
}

/// Levels of an inner section over those of an outer one: modules that the inner one
/// does not name keep theirs only if it sets no base.
pub fn merge(outer: &Levels, inner: &Levels) -> Levels {
    let mut modules = outer.modules.clone();
    modules.extend(inner.modules.clone());
    Levels { base: inner.base, modules }
}

pub static ERROR_LOG: Directive = Directive {
    name: "ErrorLog",
    syntax: "file-path|syslog[:[facility][:tag]]|\"|command\"",
    context: Context::SERVERS,
    default: "logs/error_log",
    summary: "The filename of the error log",
    docs: r"
Where errors go, and what applications write to their standard error. A relative name is
below `ServerRoot`; behind `|` stands a program that reads the lines.

## Example
    ErrorLog logs/error_log
",
    set: Set::One(|at, word| {
        let text = word.lossy();
        let log = if let Some(rest) = word.bytes.strip_prefix(b"|") {
            let (rest, shell) = match rest.strip_prefix(b"$") {
                Some(rest) => (rest, true),
                None => (rest.strip_prefix(b"|").unwrap_or(rest), false),
            };
            ErrorLog::Pipe { command: Bytes::copy_from_slice(rest), shell }
        } else if text == "syslog" || text.starts_with("syslog:") {
            ErrorLog::Syslog(text)
        } else {
            match at.server_relative(&word.bytes) {
                Some(path) => ErrorLog::File(path.into()),
                None => {
                    let message = format!("Invalid error log path {text}");
                    return Err(Problem::from(message).at(word.span));
                }
            }
        };
        at.server.core().error_log = Some(log);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static LOG_LEVEL: Directive = Directive {
    name: "LogLevel",
    syntax: "[module:]level [module:level] ...",
    context: Context::CONFIG,
    default: "warn",
    summary: "Level of verbosity in error logging",
    docs: r"
How much the error log tells: `emerg`, `alert`, `crit`, `error`, `warn`, `notice`,
`info`, `debug`, `trace1` to `trace8`; for all modules, or for one.

## Example
    LogLevel warn fastcgi:info
",
    set: Set::Each(|at, word| {
        let text = word.lossy();
        let (module, level) = match text.split_once(':') {
            Some((module, level)) => (Some(module), level),
            None => (None, text.as_str()),
        };
        let Some(level) = Level::parse(level) else {
            let module = module.map(|_| format!("{text}: ")).unwrap_or_default();
            let message = format!(
                "{module}Log level keyword must be one of emerg/alert/crit/error/warn/notice/\
                 info/debug/trace1/.../trace8"
            );
            return Err(Problem::from(message).at(word.span));
        };
        let name = module.map(|module| {
            let bare = module.strip_suffix(".c").unwrap_or(module);
            let bare = bare.strip_prefix("mod_").unwrap_or(bare);
            bare.strip_suffix("_module").unwrap_or(bare).to_owned()
        });
        let in_section = at.place.container.is_some_and(|c| c != "<VirtualHost");
        let levels = if in_section {
            at.dir.core().log.get_or_insert_default()
        } else {
            at.server.core().log.get_or_insert_default()
        };
        match name {
            Some(name) => levels.modules.push((name, level)),
            None => *levels = Levels { base: level, modules: Vec::new() },
        }
        Ok(())
    }),
    ..Directive::EXACT
};
