//! The head of a script's answer: `ap_scan_script_header_err_core_ex`.

use bytes::Bytes;

use super::log;
use crate::content::conditions;
use crate::effect::{Answer, Effect};
use crate::log::Level;
use crate::modules::fastcgi::response::{Field, invalid_fields, lead};
use crate::path;
use crate::phase::Verdict;
use crate::request::Request;

/// mod_cgi's token in the log.
pub const MODULE: &str = "cgi";

/// What is shown of a line that is none, bytes.
const SHOWN: usize = 30;

/// Takes the head over into the request: a response to stream, a redirect, or an error.
/// Before an error or a redirect the rest is read, for what it says to standard error. Lines
/// in the log are those of `module`; mod_cgi's failures go into its `ScriptLog`, too.
pub fn take(r: &mut Request, head: &[u8], module: &'static str) -> Verdict {
    let name = String::from_utf8_lossy(path::base_name(&r.filename)).into_owned();
    let had = r.status;
    if let Err(line) = commit(r, head, &name, module) {
        let text =
            format!("malformed header from script '{name}': Bad header: {}", shown(line));
        r.log(Level::Error, module, 0, text);
        (r.status, r.reason) = (had, None);
        if module != MODULE {
            return Verdict::Ask(Effect::Finish, |_, _| Verdict::Status(500));
        }
        if r.server.config.cgi.log().is_some() {
            let end = line.as_ptr_range().end as usize - head.as_ptr() as usize;
            let rest = &head[end.min(head.len())..];
            let end = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |n| n + 1);
            r.script_heard.line = Bytes::copy_from_slice(line);
            r.script_heard.rest = rest[end..].to_vec();
        }
        return Verdict::Ask(Effect::Finish, refused);
    }
    if let Some(verdict) = invalid_fields(r) {
        return verdict;
    }
    if r.status == 200 && r.headers_out.has("Location") {
        return Verdict::Ask(Effect::Finish, redirected);
    }
    if let Some(status) = conditional(r) {
        return Verdict::Status(status);
    }
    lead(r)
}

/// All that was there has been read.
fn refused(r: &mut Request, _: Answer) -> Verdict {
    log::failed(r, 500);
    Verdict::Status(500)
}

fn redirected(r: &mut Request, _: Answer) -> Verdict {
    lead(r)
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(SHOWN)]).into_owned()
}

/// Puts fields where they belong; the error is a line that is none.
fn commit<'a>(
    r: &mut Request,
    head: &'a [u8],
    script: &str,
    module: &'static str,
) -> Result<(), &'a [u8]> {
    let mut others: Vec<Field> = Vec::new();
    let mut cookies: Vec<Field> = Vec::new();
    for line in head.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let Some(colon) = line.iter().position(|&b| b == b':') else {
            return Err(line);
        };
        let name = Bytes::copy_from_slice(&line[..colon]);
        let value = line[colon + 1..].trim_ascii_start();
        let taken = Bytes::copy_from_slice(value);
        match &name.to_ascii_lowercase()[..] {
            b"content-type" => {
                r.content_type = Some(taken.trim_ascii_end().to_vec().into());
            }
            b"status" => {
                (r.status, r.reason) = status(value).unwrap_or_else(|| {
                    let text = format!(
                        "Invalid status line from script '{script}': {}",
                        shown(value)
                    );
                    r.log(Level::Error, module, 0, text);
                    (500, None)
                });
            }
            b"location" | b"content-length" | b"content-range" | b"transfer-encoding"
            | b"etag" => r.headers_out.set(name, taken),
            b"last-modified" => {
                if let Some(time) = conditions::parse_date(value) {
                    let time = time.min(r.request_time / 1_000_000);
                    r.headers_out.set(name, conditions::http_date(time));
                }
            }
            b"set-cookie" => cookies.push((name, taken)),
            _ => others.push((name, taken)),
        }
    }
    // How the message is framed is the server's business.
    r.headers_out.unset("Transfer-Encoding");
    for (name, value) in others {
        r.err_headers_out.merge(name, &value);
    }
    for (name, value) in cookies {
        r.err_headers_out.add(name, value);
    }
    Ok(())
}

/// A status and its reason. `None` for what is none: `ap_is_HTTP_VALID_RESPONSE`.
fn status(value: &[u8]) -> Option<(u16, Option<Bytes>)> {
    let value = value.trim_ascii();
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    let number: u16 = std::str::from_utf8(&value[..digits]).ok()?.parse().ok()?;
    // An interim answer would be one without a final one.
    let reason = (digits == 3 && value.len() > 4 && value[3] == b' ')
        .then(|| Bytes::copy_from_slice(value));
    (200..600).contains(&number).then_some((number, reason))
}

/// The script's own validators are looked at as a file's are: `ap_meets_conditions`.
fn conditional(r: &mut Request) -> Option<u16> {
    if r.method != http::Method::GET || r.status != 200 {
        return None;
    }
    let modified =
        r.headers_out.get("Last-Modified").and_then(|date| conditions::parse_date(date));
    if modified.is_none() && !r.headers_out.has("ETag") {
        return None;
    }
    conditions::check(r, modified.unwrap_or(r.request_time / 1_000_000))
}
