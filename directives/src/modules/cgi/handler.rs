//! Which requests run a script, and what comes of it: `cgi_handler`.

use bytes::Bytes;
use http::Method;

use super::{HANDLER, Script, log, response, suexec};
use crate::bundle::Kind;
use crate::cgi;
use crate::content;
use crate::effect::{Answer, Effect, Failure};
use crate::log::Level;
use crate::modules::core::OptionSet;
use crate::path;
use crate::phase::{DECLINED, Lookup, OK, Verdict};
use crate::reply::Body;
use crate::request::Request;

/// The most arguments that a script gets: `APACHE_ARG_MAX` on Linux.
const MAX_ARGS: usize = 131_072 / 8;

/// The media type of old configurations means the handler.
pub const HANDLERS: &[&[u8]] = &[HANDLER, b"application/x-httpd-cgi"];

fn is_ours(r: &Request) -> bool {
    r.has_handler(HANDLERS)
}

/// Runs the request if it is for a script.
pub fn handle(r: &mut Request) -> Verdict {
    if !is_ours(r) {
        return DECLINED;
    }
    if r.method == Method::OPTIONS {
        content::allow_methods(r, &[Method::GET, Method::POST]);
    }
    if let Err((status, ah, why)) = may_run(r) {
        log::refused(r, status, ah, why);
        return Verdict::Status(status);
    }
    if content::body_is_too_large(r) {
        return Verdict::Status(413);
    }
    if r.path_info.is_empty() || r.notes.has(b"path-translated") {
        return run(r);
    }
    Verdict::Look(Lookup::Translate(path::escape_path(&r.path_info).into()), translated)
}

/// Status, number and words of a refusal.
type Refusal = (u16, u32, &'static str);

/// The checks of `cgi_handler`, in its order.
fn may_run(r: &Request) -> Result<(), Refusal> {
    if !r.dir.core.options.set.has(OptionSet::EXEC_CGI) && !r.script_alias {
        return Err((403, 2809, "Options ExecCGI is off in this directory"));
    }
    if is_nph(r) && r.main.is_some() {
        return Err((403, 2810, "attempt to include NPH CGI script"));
    }
    match r.finfo.map(|meta| meta.kind) {
        None => return Err((404, 2811, "script not found or unable to stat")),
        Some(Kind::Directory) => {
            return Err((403, 2812, "attempt to invoke directory as script"));
        }
        Some(_) => {}
    }
    if !r.path_info.is_empty() && !content::accepts_path_info(r, true) {
        return Err((404, 2813, "AcceptPathInfo off disallows user's path"));
    }
    Ok(())
}

fn is_nph(r: &Request) -> bool {
    path::base_name(&r.filename).starts_with(b"nph-")
}

fn translated(r: &mut Request, _: &Lookup, found: Box<Request>) -> Verdict {
    let translated = [&found.filename[..], &found.path_info].concat();
    r.notes.set("path-translated", translated);
    run(r)
}

fn run(r: &mut Request) -> Verdict {
    let identity = match suexec::identity(r) {
        Ok(identity) => identity,
        Err(why) => {
            log::refused(r, 500, 0, why);
            return Verdict::Status(500);
        }
    };
    let script = Script {
        path: Bytes::copy_from_slice(&r.filename),
        args: arguments(r.args.as_deref().unwrap_or_default()),
        identity,
        nph: is_nph(r),
        timeout: r.dir.cgi.timeout.unwrap_or_else(|| r.server.config.core.timeout()),
        limits: r.dir.core.rlimits,
    };
    Verdict::Ask(Effect::Cgi(Box::new(script)), answered)
}

/// The words of a query without `=`, with what a shell would take for its own behind
/// backslashes.
fn arguments(query: &[u8]) -> Vec<Bytes> {
    if query.is_empty() || query.contains(&b'=') {
        return Vec::new();
    }
    let words = query.split(|&b| b == b'+').take(MAX_ARGS);
    words.map(|word| escape_shell(&path::unescape_lenient(word)).into()).collect()
}

/// `ap_escape_shell_cmd`. A NUL would end an argument; it is none.
fn escape_shell(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    for &byte in word.iter().take_while(|b| **b != 0) {
        if b"&;`'\"|*?~<>^()[]{}$\\\n".contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out
}

/// What the script answered.
fn answered(r: &mut Request, answer: Answer) -> Verdict {
    let verdict = match answer {
        Answer::Head(head) if head.is_empty() => {
            r.body = Body::Raw;
            return OK;
        }
        Answer::Head(head) => response::take(r, &head, response::MODULE),
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
    if let Some(status) = content::body_failed(r, failure) {
        return Verdict::Status(status);
    }
    let name = String::from_utf8_lossy(path::base_name(&r.filename)).into_owned();
    let (status, text) = match failure {
        Failure::Idle(_) => {
            r.log(Level::Warn, "cgi", 1220, silent(&r.filename));
            (504, format!("Script timed out before returning headers: {name}"))
        }
        Failure::HeadTooLong => {
            (500, format!("the header of script '{name}' is too long"))
        }
        Failure::NotStarted => {
            let file = String::from_utf8_lossy(&r.filename).into_owned();
            let text = format!("couldn't create child process: {file}");
            r.log(Level::Error, "cgi", 1223, text.clone());
            log::failed(r, 500);
            return Verdict::Status(500);
        }
        _ if received > 0 => (500, format!("Premature end of script headers: {name}")),
        _ => (500, format!("End of script output before headers: {name}")),
    };
    r.log(Level::Error, "cgi", 0, text);
    log::failed(r, status);
    Verdict::Status(status)
}

/// The words about a script that has been silent for too long.
pub fn silent(file: &[u8]) -> String {
    format!(
        "Timeout waiting for output from CGI script {}",
        String::from_utf8_lossy(file)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_without_an_assignment_is_a_list_of_words() {
        let words = |query: &str| arguments(query.as_bytes());
        assert_eq!(words("a+b%20c+$d"), ["a", "b c", "\\$d"]);
        assert_eq!(words("a=b+c"), [""; 0]);
        assert_eq!(words(""), [""; 0]);
        assert_eq!(words("a++b"), ["a", "", "b"]);
    }
}
