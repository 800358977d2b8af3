//! Which requests run a command, and what its answer becomes: `fcgid_handler`.

use std::sync::Arc;

use bytes::Bytes;

use super::HANDLER;
use super::class::Command;
use crate::bundle::Kind;
use crate::cgi;
use crate::content;
use crate::effect::{Answer, Call, Effect, Failure, Role};
use crate::log::{Level, Line};
use crate::modules::cgi::{response, suexec};
use crate::modules::core::OptionSet;
use crate::modules::fastcgi::App;
use crate::path;
use crate::phase::{DECLINED, Lookup, Verdict};
use crate::request::Request;

/// The token of the module in the log.
const MODULE: &str = "fcgid";

/// Runs the request if it is for a command.
pub fn handle(r: &mut Request) -> Verdict {
    if r.handler.as_deref() != Some(HANDLER) {
        return DECLINED;
    }
    let command = match command(r) {
        Ok(command) => command,
        Err(status) => return Verdict::Status(status),
    };
    if content::body_is_too_large(r) {
        return Verdict::Status(413);
    }
    if r.path_info.is_empty() || r.notes.has(b"path-translated") {
        return run(r, &command);
    }
    Verdict::Look(Lookup::Translate(path::escape_path(&r.path_info).into()), translated)
}

fn translated(r: &mut Request, _: &Lookup, found: Box<Request>) -> Verdict {
    let translated = [&found.filename[..], &found.path_info].concat();
    r.notes.set("path-translated", translated);
    handle(r)
}

/// The command of a request, if it may be run; the checks in mod_fcgid's order.
fn command(r: &mut Request) -> Result<Command, u16> {
    if !r.dir.core.options.set.has(OptionSet::EXEC_CGI) && !r.script_alias {
        let file = String::from_utf8_lossy(&r.filename).into_owned();
        let text =
            format!("mod_fcgid: location of script {file} does not have ExecCGI enabled");
        r.log(Level::Error, MODULE, 0, text);
        return Err(403);
    }
    if !r.path_info.is_empty() && !content::accepts_path_info(r, true) {
        return Err(404);
    }
    let wrapper = r.dir.fcgid.wrapper(&r.filename);
    if !wrapper.is_some_and(|wrapper| wrapper.is_virtual) {
        match r.finfo.map(|meta| meta.kind) {
            None => return Err(404),
            Some(Kind::Directory) => return Err(403),
            Some(_) => {}
        }
    }
    Ok(wrapper.map_or_else(
        || Command::of(&Bytes::copy_from_slice(&r.filename)),
        |wrapper| wrapper.command.clone(),
    ))
}

/// The application that a command is for a request.
pub(super) fn app(r: &mut Request, command: &Command) -> Result<Arc<App>, u16> {
    let identity = suexec::identity(r).map_err(|why| {
        r.log(Level::Error, MODULE, 0, format!("mod_fcgid: {}: {why}", command.shown()));
        500_u16
    })?;
    let server = r.server.clone();
    let host = server.config.core.server_name.as_deref().unwrap_or_default();
    Ok(server.config.fcgid.app(&r.snapshot.process, host, command, identity))
}

fn run(r: &mut Request, command: &Command) -> Verdict {
    let app = match app(r, command) {
        Ok(app) => app,
        Err(status) => return Verdict::Status(status),
    };
    let call = Call {
        app,
        role: Role::Responder,
        extra: extra(r),
        without: HOP_BY_HOP,
        variables: None,
        hold: None,
        nph: false,
        newest: None,
    };
    Verdict::Ask(Effect::FastCgi(call), answered)
}

/// What the connection's fields would be: the application's is another connection, and ends.
const HOP_BY_HOP: &[&str] = &[
    "HTTP_CONNECTION",
    "HTTP_KEEP_ALIVE",
    "HTTP_TE",
    "HTTP_TRAILER",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_UPGRADE",
];

/// The variables that only these calls send.
fn extra(r: &Request) -> Vec<(Bytes, Bytes)> {
    let mut extra = passed(r);
    extra.push((Bytes::from_static(b"HTTP_CONNECTION"), Bytes::from_static(b"close")));
    if r.content_length().is_none() && !r.has_body() {
        extra.push((Bytes::from_static(b"CONTENT_LENGTH"), Bytes::from_static(b"0")));
    }
    extra
}

/// The fields of `FcgidPassHeader` under their own names; they go as `HTTP_*`, too.
pub(super) fn passed(r: &Request) -> Vec<(Bytes, Bytes)> {
    let names = r.server.config.fcgid.pass_headers().iter();
    let fields = names.filter_map(|name| {
        let field = http::HeaderName::from_bytes(name).ok()?;
        let value = r.header(field)?;
        let name = name.iter().map(|&b| if b == b'-' { b'_' } else { b });
        Some((name.collect::<Vec<_>>().into(), value.into_owned().into()))
    });
    fields.collect()
}

/// What the application answered.
fn answered(r: &mut Request, answer: Answer) -> Verdict {
    let verdict = match answer {
        Answer::Head(head) => response::take(r, &head, "core"),
        Answer::Failed { failure, received } => failed(r, &failure, received),
        _ => Verdict::Status(500),
    };
    if let Verdict::Status(_) = verdict {
        // An error document finds the variables again.
        cgi::populate(r);
    }
    verdict
}

/// The lines and the status of a failure.
fn failed(r: &mut Request, failure: &Failure, received: u64) -> Verdict {
    if *failure == Failure::BodyTooLong {
        let (status, text) = too_long(r);
        r.log(Level::Warn, MODULE, 0, text);
        return Verdict::Status(status);
    }
    if let Some(status) = failure.of_body() {
        return Verdict::Status(status);
    }
    let status = log_failure(r, failure);
    if status == 500 {
        let name = String::from_utf8_lossy(path::base_name(&r.filename)).into_owned();
        let what = if received > 0 {
            "Premature end of script headers"
        } else {
            "End of script output before headers"
        };
        r.log(Level::Error, "core", 0, format!("{what}: {name}"));
    }
    Verdict::Status(status)
}

/// A body beyond one of the two limits that there are.
fn too_long(r: &Request) -> (u16, String) {
    let own = r.server.config.fcgid.max_request_length();
    match r.dir.core.body_limit() {
        Some(limit) if limit < own => (
            413,
            format!("Read content length larger than the configured limit of {limit}"),
        ),
        _ => {
            // Of a body in chunks no more is known than that it is longer.
            let length = r.content_length().unwrap_or(own.saturating_add(1));
            let text = format!(
                "mod_fcgid: HTTP request length {length} (so far) exceeds MaxRequestLen ({own})"
            );
            (500, text)
        }
    }
}

/// The line about a failure, and the status that it leads to.
pub(super) fn log_failure(r: &mut Request, failure: &Failure) -> u16 {
    let command = command_name(r);
    if *failure == Failure::Incomplete {
        // If it was broken off, that has been said.
        return 500;
    }
    let line = failure_line(&command, failure);
    r.log_os(line.level, line.module, 0, line.error, line.text);
    if matches!(failure, Failure::QueueTimeout(_) | Failure::QueueFull(_)) {
        503
    } else {
        500
    }
}

fn command_name(r: &Request) -> String {
    match r.dir.fcgid.wrapper(&r.filename) {
        Some(wrapper) => wrapper.command.shown(),
        None => String::from_utf8_lossy(&r.filename).into_owned(),
    }
}

/// The line about a failure of a command, in mod_fcgid's words.
pub fn failure_line(command: &str, failure: &Failure) -> Line {
    let (level, error, text) = match failure {
        Failure::QueueTimeout(_) | Failure::QueueFull(_) => (
            Level::Warn,
            None,
            format!("mod_fcgid: can't apply process slot for {command}"),
        ),
        Failure::Idle(seconds) => (
            Level::Warn,
            None,
            format!("mod_fcgid: read data timeout in {seconds} seconds"),
        ),
        Failure::Read(error) => {
            let text = "mod_fcgid: error reading data from FastCGI server".to_owned();
            (Level::Warn, Some(error.clone()), text)
        }
        Failure::Write(error) => {
            let text = "mod_fcgid: error writing data to FastCGI server".to_owned();
            (Level::Info, Some(error.clone()), text)
        }
        Failure::Connect(error) | Failure::Socket(error) => {
            let text = format!("mod_fcgid: can't connect unix domain socket: {command}");
            (Level::Warn, Some(error.clone()), text)
        }
        Failure::ConnectTimeout(seconds) => {
            let text =
                format!("mod_fcgid: can't connect to {command} within {seconds} seconds");
            (Level::Warn, None, text)
        }
        Failure::Handshake(why) | Failure::Protocol(why) => {
            let text =
                format!("mod_fcgid: error reading data from FastCGI server: {why}");
            (Level::Warn, None, text)
        }
        Failure::HeadTooLong => (
            Level::Error,
            None,
            format!("mod_fcgid: the header of {command} is too long"),
        ),
        Failure::NotStarted => {
            (Level::Warn, None, format!("mod_fcgid: spawn process {command} error"))
        }
        _ => {
            let text = "mod_fcgid: error reading data, FastCGI server closed connection"
                .to_owned();
            (Level::Warn, None, text)
        }
    };
    Line { level, module: MODULE, ah: 0, error, text: text.into(), of_server: false }
}

/// The line about what an application says to its standard error.
pub fn stderr_line(said: &[u8]) -> Line {
    let text = [b"mod_fcgid: stderr: ", said].concat().into();
    let level = Level::Warn;
    Line { level, module: MODULE, ah: 0, error: None, text, of_server: false }
}
