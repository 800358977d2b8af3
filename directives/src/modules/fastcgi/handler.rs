//! Which requests go to an application, and what its answer becomes: sections 3 and 6 of
//! the specification.

use std::sync::Arc;

use bytes::Bytes;

use super::app::{App, Kind};
use super::{HANDLER, identity, permission, response};
use crate::cgi;
use crate::content;
use crate::effect::{Answer, Call, Effect, Failure, Role};
use crate::log::Level;
use crate::modules::core::OptionSet;
use crate::path;
use crate::phase::{DECLINED, Lookup, OK, Verdict};
use crate::reply::Body;
use crate::request::Request;

/// A file that a configured application matches goes to it, whatever handler was set
/// (H-2); also that of another user, which must not be sent as it is.
pub fn fixups(r: &mut Request) -> Verdict {
    if r.filename.is_empty() || r.snapshot.process.fastcgi.matches(&r.filename).is_none()
    {
        return DECLINED;
    }
    r.handler = Some(Bytes::from_static(HANDLER));
    OK
}

fn find(r: &Request) -> Option<Arc<App>> {
    let ids = identity(r).map(|identity| (identity.uid, identity.gid));
    r.snapshot.process.fastcgi.find(&r.filename, ids).cloned()
}

/// The media type of old configurations means the handler.
pub const HANDLERS: &[&[u8]] = &[HANDLER, b"application/x-httpd-fcgi"];

fn is_ours(r: &Request) -> bool {
    r.has_handler(HANDLERS)
}

/// Runs the request if it is for an application.
pub fn handle(r: &mut Request) -> Verdict {
    if !is_ours(r) {
        return DECLINED;
    }
    let (app, newest) = match find(r) {
        Some(app) => (app, None),
        None => match dynamic(r) {
            Ok((app, newest)) => (app, newest),
            Err(status) => return Verdict::Status(status),
        },
    };
    if content::body_is_too_large(r) {
        return Verdict::Status(413);
    }
    if r.path_info.is_empty() || r.notes.has(b"path-translated") {
        return call(r, app, newest);
    }
    // What PATH_INFO would be as a URL of its own is looked up without asking anybody
    //
    Verdict::Look(Lookup::Translate(path::escape_path(&r.path_info).into()), translated)
}

fn translated(r: &mut Request, _: &Lookup, found: Box<Request>) -> Verdict {
    let translated = [&found.filename[..], &found.path_info].concat();
    r.notes.set("path-translated", translated);
    handle(r)
}

fn call(r: &mut Request, app: Arc<App>, newest: Option<i64>) -> Verdict {
    // HTTP/2 has no head that could be passed on as it is.
    let nph = app.is_nph(&r.filename) && r.version < 20;
    let call = Call {
        app,
        role: Role::Responder,
        extra: Vec::new(),
        without: &[],
        variables: None,
        hold: None,
        nph,
        newest,
    };
    Verdict::Ask(Effect::FastCgi(call), answered)
}

/// A file that no configured application matches: may it be run? Missing is 404 before
/// anything else, then permission, then `ExecCGI` (3.2, H-8).
fn dynamic(r: &mut Request) -> Result<(Arc<App>, Option<i64>), u16> {
    let file = r.filename.clone();
    let found = program(r, &file)?;
    if !r.dir.core.options.set.has(OptionSet::EXEC_CGI) && !r.script_alias {
        let uri = String::from_utf8_lossy(&r.uri).into_owned();
        let text = format!("FastCGI: \"ExecCGI Option\" is off in this directory: {uri}");
        r.log(Level::Error, "fastcgi", 0, text);
        return Err(403);
    }
    Ok(found)
}

/// The application that a program is, if it may be run: with the time of the program
/// where that matters.
pub(super) fn program(
    r: &mut Request,
    file: &[u8],
) -> Result<(Arc<App>, Option<i64>), u16> {
    let shown = String::from_utf8_lossy(file).into_owned();
    let files = r.files.clone();
    let meta = match files.stat(file) {
        Ok(meta) => meta,
        Err(error) => {
            let text = format!("FastCGI: stat() of \"{shown}\" failed");
            r.log_os(Level::Error, "fastcgi", 0, Some(error), text);
            return Err(404);
        }
    };
    let snapshot = r.snapshot.clone();
    let process = &snapshot.process;
    let (uid, gid) = (process.core.uid(), process.core.gid());
    let wrapped = process.fastcgi.wrapper.is_some();
    if let Some(why) = permission::program(file, Ok(meta), uid, gid, wrapped, &*files) {
        let text = format!("FastCGI: invalid (dynamic) server \"{shown}\": {why}");
        r.log(Level::Error, "fastcgi", 0, text);
        return Err(403);
    }
    let newest = process.fastcgi.dynamic.policy.auto_update.then(|| meta.modified());
    Ok((process.fastcgi.dynamic_app(file, identity(r)), newest))
}

/// What the application answered.
fn answered(r: &mut Request, answer: Answer) -> Verdict {
    let verdict = match answer {
        Answer::Head(head) if head.is_empty() => {
            r.body = Body::Raw;
            return OK;
        }
        Answer::Head(head) if r.version >= 20 && is_nph(r) => {
            response::take(r, &status_field(&head))
        }
        Answer::Head(head) => response::take(r, &head),
        Answer::Failed { failure, received } => failed(r, &failure, received),
        _ => Verdict::Status(500),
    };
    if let Verdict::Status(_) = verdict {
        // An error document finds the variables again (E-16).
        cgi::populate(r);
    }
    verdict
}

fn is_nph(r: &mut Request) -> bool {
    let named = path::base_name(&r.filename).starts_with(b"nph-");
    named || find(r).is_some_and(|app| app.is_nph(&r.filename))
}

/// A head whose first line is HTTP/1's, with CGI's field in its place.
fn status_field(head: &[u8]) -> Vec<u8> {
    match head.strip_prefix(b"HTTP/").and_then(|rest| {
        let blank = rest.iter().position(|&b| b == b' ' || b == b'\n')?;
        (rest[blank] == b' ').then(|| &rest[blank..])
    }) {
        Some(rest) => [b"Status:", rest].concat(),
        None => head.to_vec(),
    }
}

/// The lines and the status of a failure (section 14).
fn failed(r: &mut Request, failure: &Failure, received: u64) -> Verdict {
    if let Some(status) = content::body_failed(r, failure) {
        return Verdict::Status(status);
    }
    let file = String::from_utf8_lossy(&r.filename).into_owned();
    let is_dynamic = find(r).is_none_or(|app| app.kind == Kind::Dynamic);
    response::log_failure(r, &file, failure, received, is_dynamic);
    response::add_retry_after(r, failure);
    Verdict::Status(response::failure_status(failure))
}

#[cfg(test)]
mod tests {
    use super::status_field;

    #[test]
    fn http1s_first_line_becomes_cgis_field() {
        assert_eq!(
            status_field(b"HTTP/1.1 404 No\r\nA: b\r\n"),
            b"Status: 404 No\r\nA: b\r\n"
        );
        assert_eq!(status_field(b"HTTP/1.1\nA: b\n"), b"HTTP/1.1\nA: b\n");
        assert_eq!(status_field(b"A: b\n"), b"A: b\n");
    }
}
