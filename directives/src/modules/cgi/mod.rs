//! mod_cgi and mod_cgid: the handler `cgi-script`, and what is said about it.

mod handler;
mod log;
pub(crate) mod response;
pub mod suexec;

use std::time::Duration;

use bytes::Bytes;

use crate::merge_options;
use crate::modules::core::Limits;
use crate::modules::fastcgi::Identity;
use crate::phase::{Phase, on};
use crate::schema::word::Unit;
use crate::schema::{Compat, Context, Directive, Module, Problem, Set};

pub use handler::silent;
pub use log::{Entry, Heard, Voice, wanted};

/// The name of the handler.
pub const HANDLER: &[u8] = b"cgi-script";

/// `ScriptLogLength` without the directive, bytes: `DEFAULT_LOGBYTES`.
const LOG_LENGTH: u64 = 10_385_760;

/// A script to be run for a request.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its file, absolute.
    pub path: Bytes,
    /// Its arguments: the words of a query without `=`.
    pub args: Vec<Bytes>,
    /// Under whose name it runs, if a wrapper is to see to that.
    pub identity: Option<Identity>,
    /// The response is passed on unparsed.
    pub nph: bool,
    /// How long it may be silent.
    pub timeout: Duration,
    /// What it may use up.
    pub limits: Limits,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    timeout: Option<Duration>,
}

merge_options!(Dir { timeout });

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    log: Option<Bytes>,
    log_length: Option<u64>,
    log_buffer: Option<usize>,
}

merge_options!(Server { log, log_length, log_buffer });

impl Server {
    /// `ScriptLog`, absolute.
    pub fn log(&self) -> Option<&Bytes> {
        self.log.as_ref()
    }

    /// `ScriptLogBuffer`: how much of a request's body is written into it, bytes.
    pub fn log_buffer(&self) -> usize {
        self.log_buffer.unwrap_or(1024)
    }

    /// The size beyond which nothing is added to it, bytes.
    pub fn log_length(&self) -> u64 {
        self.log_length.unwrap_or(LOG_LENGTH)
    }
}

static SCRIPT_LOG: Directive = Directive {
    name: "ScriptLog",
    syntax: "filename",
    context: Context::SERVERS,
    summary: "the name of a log for script debugging info",
    docs: r"
A file that says more about scripts that fail than the error log: the request's fields and
the beginning of its body (`ScriptLogBuffer`), the line that is no header, what the script
wrote behind it, and what it says to its standard error. It is for debugging: fields and
bodies may hold secrets.

## Example
    ScriptLog logs/cgi_log
",
    set: Set::One(|at, word| {
        let file = at.server_relative(&word.bytes);
        let Some(file) = file else {
            let message = format!("Invalid ScriptLog path {}", word.lossy());
            return Err(Problem::from(message).at(word.span));
        };
        at.server.cgi().log = Some(file.into());
        Ok(())
    }),
    ..Directive::EXACT
};

static SCRIPT_LOG_LENGTH: Directive = Directive {
    name: "ScriptLogLength",
    syntax: "bytes",
    context: Context::SERVERS,
    default: "10385760",
    summary: "the maximum length (in bytes) of the script debug log",
    docs: r"
Nothing is added to the `ScriptLog` any more once it is longer than this.

## Example
    ScriptLog logs/cgi_log
    ScriptLogLength 1048576
",
    set: Set::One(|at, word| {
        let Ok(length) = word.lossy().parse() else {
            return Err(
                Problem::from("ScriptLogLength takes a number of bytes").at(word.span)
            );
        };
        at.server.cgi().log_length = Some(length);
        Ok(())
    }),
    ..Directive::EXACT
};

static SCRIPT_LOG_BUFFER: Directive = Directive {
    name: "ScriptLogBuffer",
    syntax: "bytes",
    context: Context::SERVERS,
    default: "1024",
    summary: "the maximum size (in bytes) to record of a POST request",
    docs: r"
How much of the body of a POST or PUT the `ScriptLog` shows.

## Example
    ScriptLog logs/cgi_log
    ScriptLogBuffer 0
",
    set: Set::One(|at, word| {
        let Ok(size) = word.lossy().parse::<u32>() else {
            return Err(
                Problem::from("ScriptLogBuffer takes a number of bytes").at(word.span)
            );
        };
        at.server.cgi().log_buffer = Some(size as usize);
        Ok(())
    }),
    ..Directive::EXACT
};

static SCRIPT_TIMEOUT: Directive = Directive {
    name: "CGIScriptTimeout",
    aliases: &["CGIDScriptTimeout"],
    syntax: "time[s]",
    context: Context::CONFIG,
    default: "Timeout",
    summary: "The amount of time to wait between successful reads from the CGI script, in \
              seconds.",
    docs: r"
How long a CGI script may say nothing while its answer is waited for; one that is silent for
longer is ended. Before the end of its header the client gets 504, and behind that its
connection is cut.

## Example
    <Location /cgi-bin/report>
        CGIScriptTimeout 300
    </Location>
",
    set: Set::One(|at, word| {
        let time = word.duration(Unit::Seconds).filter(|time| !time.is_zero());
        let message = "CGIScriptTimeout has wrong format";
        let time = time.ok_or_else(|| Problem::from(message).at(word.span))?;
        at.dir.cgi().timeout = Some(time);
        Ok(())
    }),
    ..Directive::EXACT
};

static SCRIPT_SOCK: Directive = Directive {
    name: "ScriptSock",
    syntax: "path",
    context: Context::SERVER,
    summary: "the name of the socket to use for communication with the cgi daemon.",
    docs: r"
Where mod_cgid's daemon listens.

## Example
    ScriptSock cgisock
",
    compat: Compat::Ignored(
        "the server's parent starts scripts, and is asked without a name",
    ),
    set: Set::One(|_, _| Ok(())),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_cgi.c",
    id: "cgi_module",
    directives: &[
        &SCRIPT_LOG,
        &SCRIPT_LOG_LENGTH,
        &SCRIPT_LOG_BUFFER,
        &SCRIPT_TIMEOUT,
        &SCRIPT_SOCK,
    ],
    hooks: &[on(Phase::Handle, handler::handle).of_handlers(handler::HANDLERS)],
};

/// Its twin with a daemon, which is the same here.
pub static CGID: Module =
    Module { name: "mod_cgid.c", id: "cgid_module", directives: &[], hooks: &[] };
