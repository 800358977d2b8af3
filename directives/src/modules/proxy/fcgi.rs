//! mod_proxy_fcgi's part of a request: the variables that an application gets, and what
//! its answer becomes. The application is one more external one; it is asked as others are.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::handler::{after, current, own_port, pool, settle, timeouts, unreachable};
use crate::bundle::OsError;
use crate::cgi;
use crate::content::conditions;
use crate::effect::{Answer, Call, Effect, Failure, Role};
use crate::log::Level;
use crate::modules::core::expr_wants;
use crate::modules::fastcgi::app::{App, Kind, Settings};
use crate::modules::fastcgi::response;
use crate::path;
use crate::phase::{Lookup, OK, Verdict};
use crate::reply::Body;
use crate::request::Request;

/// Asks the upstream that was chosen.
pub(super) fn ask(r: &mut Request) -> Verdict {
    if r.notes.has(b"proxy-fcgi-walk") {
        walk(r);
    }
    if r.path_info.is_empty() || r.notes.has(b"path-translated") {
        return call(r);
    }
    // As mod_fastcgi does: what PATH_INFO would be as a URL of its own.
    Verdict::Look(
        Lookup::Translate(path::escape_path(&r.path_info).into()),
        |r, _, found| {
            let translated = [&found.filename[..], &found.path_info].concat();
            r.notes.set("path-translated", translated);
            call(r)
        },
    )
}

/// Whole seconds; a part of one is one.
fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

fn call(r: &mut Request) -> Verdict {
    if !r.dir.proxy_fcgi.may_be_fpm() {
        strip(r);
    }
    cgi::populate_raw(r);
    if let Err(verdict) = adjust(r) {
        return verdict;
    }
    let (timeout, connect) = timeouts(r);
    let params = current(r)
        .worker
        .as_ref()
        .map(|worker| worker.params.clone())
        .unwrap_or_default();
    let attempt = current(r);
    let Some(address) = attempt.address.clone() else { return Verdict::Status(500) };
    let hold = attempt.hold.clone();
    let settings = Settings {
        processes: params.max.unwrap_or(1),
        app_conn_timeout: seconds(connect),
        idle_timeout: seconds(timeout),
        // Only on demand: an application may serve one connection at a time.
        keep_conn: params.reuse == Some(true),
        flush: params.flush == Some(true),
        ..Settings::default()
    };
    let app = App {
        path: pool(r).unwrap_or_else(|| Bytes::from_static(b"proxy:reverse")),
        kind: Kind::Upstream,
        address,
        settings,
        identity: None,
        span: None,
        class: None,
    };
    let gathered = r.content_length().is_none();
    let variables = r
        .env
        .iter()
        // The body is sent whole, without the chunks in which it came.
        .filter(|(name, _)| !(gathered && &name[..] == b"HTTP_TRANSFER_ENCODING"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let call = Call {
        app: Arc::new(app),
        role: Role::Responder,
        extra: Vec::new(),
        without: &[],
        variables: Some(variables),
        hold,
        nph: false,
        newest: None,
    };
    Verdict::Ask(Effect::FastCgi(call), answered)
}

/// `proxy-fcgi-pathinfo=full`: the file is looked for, and what stands behind it is
/// PATH_INFO.
fn walk(r: &mut Request) {
    r.notes.unset(b"proxy-fcgi-walk");
    let whole = r.filename.clone();
    strip(r);
    let full = path::unescape(&r.filename, path::EncodedSlashes::NoDecode);
    let full = full.unwrap_or_else(|_| r.filename.clone());
    let ends = full
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| **byte == b'/')
        .map(|(i, _)| i);
    let is_directory = |end: usize| {
        r.files
            .stat(&full[..end])
            .is_ok_and(|meta| meta.kind == crate::bundle::Kind::Directory)
    };
    let end =
        ends.chain([full.len()]).find(|end| !is_directory(*end)).unwrap_or(full.len());
    if r.files.stat(&full[..end]).is_err() {
        r.filename = whole;
        return;
    }
    r.path_info = full[end..].to_vec();
    r.filename = full[..end].to_vec();
}

/// For an application that is not FPM the file name is a path.
fn strip(r: &mut Request) {
    let Some(rest) = r.filename.strip_prefix(b"proxy:fcgi://") else { return };
    let mut name = match rest.iter().position(|&b| b == b'/') {
        Some(slash) => rest[slash..].to_vec(),
        None => Vec::new(),
    };
    if let Some(args) = r.args.as_ref().filter(|args| !args.is_empty())
        && let Some(path) =
            name.strip_suffix(&args[..]).and_then(|path| path.strip_suffix(b"?"))
    {
        name = path.to_vec();
    }
    r.filename = name;
}

/// `ProxyFCGISetEnvIf`: `fix_cgivars`.
fn adjust(r: &mut Request) -> Result<(), Verdict> {
    let dir = r.dir.clone();
    for fixup in &dir.proxy_fcgi.fixups {
        let mut groups = None;
        match fixup.condition.holds_with(r, &mut groups) {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => continue,
            Ok(Err(why)) => {
                let text = format!("fix_cgivars: Condition eval returned -1: {why}");
                r.log(Level::Error, "proxy_fcgi", 10_241, text);
                let text = format!("Failed writing Environment to {}:", own_port(r));
                r.log(Level::Error, "proxy_fcgi", 1074, text);
                return Err(settle(r, 503));
            }
            Err(want) => return Err(expr_wants(r, want, call)),
        }
        let Some(value) = &fixup.value else {
            r.env.unset(&fixup.name);
            continue;
        };
        match value.fill_with(r, groups) {
            Ok(Ok(value)) => r.env.set(fixup.name.clone(), value),
            Ok(Err(why)) => {
                let name = String::from_utf8_lossy(&fixup.name).into_owned();
                let text = format!(
                    "Error evaluating expression for replacement of {name}: '{why}'"
                );
                r.log(Level::Info, "proxy_fcgi", 3514, text);
            }
            Err(want) => return Err(expr_wants(r, want, call)),
        }
    }
    Ok(())
}

fn answered(r: &mut Request, answer: Answer) -> Verdict {
    match answer {
        Answer::Head(head) => {
            // Whoever reads the rest says when the upstream is no longer busy with it.
            current(r).hold = None;
            take(r, &head)
        }
        Answer::Failed { failure, .. } => {
            let status = failed(r, &failure);
            settle(r, status)
        }
        _ => Verdict::Status(500),
    }
}

/// The lines and the status of a failure: `fcgi_do_request`.
fn failed(r: &mut Request, failure: &Failure) -> u16 {
    let status = match failure {
        Failure::Connect(os) | Failure::Socket(os) => {
            unreachable(r, "FCGI", Some(os.clone()));
            return not_connected(r);
        }
        Failure::ConnectTimeout(_) => {
            unreachable(r, "FCGI", None);
            return not_connected(r);
        }
        Failure::Idle(_) => {
            r.notes.set("proxy_timedout", "1");
            504
        }
        failure => failure.of_body().unwrap_or(503),
    };
    let port = own_port(r);
    for (ah, error, text) in lines(failure, &port) {
        r.log_os(Level::Error, "proxy_fcgi", ah, error, text);
    }
    status
}

fn not_connected(r: &mut Request) -> u16 {
    let host =
        current(r).parts.as_ref().map(|parts| parts.host.clone()).unwrap_or_default();
    let text = format!("failed to make connection to backend: {host}");
    r.log(Level::Error, "proxy_fcgi", 1079, text);
    503
}

type Words = (u32, Option<OsError>, String);

/// What httpd says about a failure; `port` is the server's own.
fn lines(failure: &Failure, port: &str) -> Vec<Words> {
    let end = |error: Option<OsError>, what: &str| {
        (1075, error, format!("Error dispatching request to {port}: {what}"))
    };
    match failure {
        Failure::Idle(_) => vec![end(None, "(polling)")],
        Failure::Protocol(why) => {
            vec![(1068, None, format!("Got bogus record: {why}")), end(None, "")]
        }
        Failure::Write(os) => vec![end(Some(os.clone()), "(sending stdin)")],
        failure if failure.of_body().is_some() => {
            vec![end(None, "(reading input brigade)")]
        }
        Failure::HeadTooLong => {
            vec![(1070, None, "Error parsing script headers".into()), end(None, "")]
        }
        Failure::Read(os) => {
            vec![
                (1067, None, "Failed to read FastCGI header".into()),
                end(Some(os.clone()), ""),
            ]
        }
        _ => vec![(1067, None, "Failed to read FastCGI header".into()), end(None, "")],
    }
}

/// The last line about a failure behind the head of an answer; `port` is the server's own.
pub fn failure_line(port: &str, failure: &Failure) -> (u32, Option<OsError>, String) {
    let mut all = lines(failure, port);
    all.pop().unwrap_or((1075, None, String::new()))
}

/// Takes the head of an answer over: `ap_scan_script_header_err_brigade_ex`.
fn take(r: &mut Request, head: &[u8]) -> Verdict {
    let script = String::from_utf8_lossy(path::base_name(&r.filename)).into_owned();
    let fields = match response::parse(head) {
        Ok(fields) => fields,
        Err(response::Malformed { line, .. }) => {
            let shown: String = line.chars().take(30).collect();
            let text =
                format!("malformed header from script '{script}': Bad header: {shown}");
            r.log(Level::Error, "proxy_fcgi", 0, text);
            r.log(Level::Error, "proxy_fcgi", 1070, "Error parsing script headers");
            let text = format!("Error dispatching request to {}: ", own_port(r));
            r.log(Level::Error, "proxy_fcgi", 1075, text);
            r.status = 500;
            r.content_type = None;
            r.body = Body::Bytes(Bytes::new());
            return OK;
        }
    };
    let (mut has_status, mut modified) = (false, None);
    for (name, value) in fields {
        match String::from_utf8_lossy(&name).to_ascii_lowercase().as_str() {
            "content-type" => r.content_type = Some(value),
            "status" => {
                has_status = true;
                match response::status(&value) {
                    Some((number, reason)) => (r.status, r.reason) = (number, reason),
                    None => {
                        let shown = String::from_utf8_lossy(&value).into_owned();
                        let text = format!(
                            "Invalid status line from script '{script}': {shown}"
                        );
                        r.log(Level::Error, "proxy_fcgi", 0, text);
                        (r.status, r.reason) = (500, None);
                    }
                }
            }
            "last-modified" => {
                modified = conditions::parse_date(&value);
                r.headers_out.set(name, value);
            }
            "location" | "content-length" | "content-range" | "etag" => {
                r.headers_out.set(name, value);
            }
            // How the body is framed is said by whoever frames it.
            "transfer-encoding" | "connection" => {}
            "set-cookie" => r.err_headers_out.add(name, value),
            _ => r.err_headers_out.merge(name, &value),
        }
    }
    if let Some(verdict) = response::invalid_fields(r) {
        return verdict;
    }
    if !has_status && r.method == Method::GET {
        let modified = modified.unwrap_or(r.request_time / 1_000_000);
        if let Some(status) = conditions::check(r, modified) {
            r.status = status;
            r.body = Body::None;
            return if status == 304 { OK } else { Verdict::Status(status) };
        }
    }
    let status = r.status;
    after(r, status);
    if r.dir.clone().proxy.overrides(status) && r.prev.is_none() && r.main.is_none() {
        (r.status, r.reason) = (200, None);
        return Verdict::Status(status);
    }
    r.body = Body::Stream;
    OK
}
