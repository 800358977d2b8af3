//! The head of an application's response: where it ends, what its fields mean (sections
//! 6.2 to 6.4), and the words for everything that goes wrong (section 14).

use bytes::Bytes;
use memchr::memchr;

use crate::bundle::OsError;
use crate::cgi;
use crate::effect::Failure;
use crate::log::Level;
use crate::modules::authn_core;
use crate::phase::{DONE, OK, Redirect, Verdict};
use crate::reply::Body;
use crate::request::Request;

/// The most head that is taken, bytes (Q-39).
pub const MAX_HEAD: usize = 64 * 1024;

/// Where the head ends: behind two newlines with nothing but carriage returns between
/// (R-9), or behind a first empty line (Q-37). `from` is where the last look ended.
pub fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    if bytes.first() == Some(&b'\n') {
        return Some(1);
    }
    if bytes.starts_with(b"\r\n") {
        return Some(2);
    }
    // A newline just before `from` may be the first of the two.
    let mut start = from.min(bytes.len());
    while start > 0 && matches!(bytes[start - 1], b'\r' | b'\n') {
        start -= 1;
    }
    while let Some(newline) = memchr(b'\n', &bytes[start..]) {
        start += newline + 1;
        while bytes.get(start) == Some(&b'\r') {
            start += 1;
        }
        if bytes.get(start) == Some(&b'\n') {
            return Some(start + 1);
        }
    }
    None
}

/// Is there a whole line that is no field?
pub fn bad_line(head: &[u8]) -> bool {
    let end = head.iter().rposition(|&b| b == b'\n').unwrap_or(0);
    head[..end].split(|&b| b == b'\n').any(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        !line.is_empty() && !line.contains(&b':')
    })
}

/// One field: name and value.
pub type Field = (Bytes, Bytes);

/// A head that is none.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The offending line, as the log shows it.
    pub line: String,
    /// The fields before that line.
    pub before: Vec<Field>,
}

/// Splits a head into fields.
pub fn parse(head: &[u8]) -> Result<Vec<Field>, Malformed> {
    let mut fields = Vec::new();
    match collect(head, &mut fields) {
        Ok(()) => Ok(fields),
        Err(line) => Err(Malformed { line, before: fields }),
    }
}

/// Takes the fields up to the first line that is none, which is the error.
fn collect(head: &[u8], fields: &mut Vec<Field>) -> Result<(), String> {
    // This is found while the end of the head is looked for, before any field (R-10).
    // Looks at all of them, so that many are looked at at once.
    if head.iter().fold(false, |bad, b| bad | matches!(b, 0 | 0x0b | 0x0c)) {
        return Err("Invalid Character".to_owned());
    }
    // One copy for all: the fields outlive the buffer that the head was read into.
    let head = Bytes::copy_from_slice(head);
    for line in head.split(|&b| b == b'\n') {
        let trimmed = line.trim_ascii_end();
        if trimmed.is_empty() {
            break;
        }
        if matches!(trimmed[0], b' ' | b'\t') {
            // Folded: unfolded to one blank (Q-36).
            match fields.last_mut() {
                Some((_, value)) => {
                    *value =
                        [&value[..], b" ", trimmed.trim_ascii_start()].concat().into();
                    continue;
                }
                None => return Err(shown(trimmed)),
            }
        }
        let Some(colon) = trimmed.iter().position(|&b| b == b':') else {
            return Err(shown(trimmed));
        };
        let name = trimmed[..colon].trim_ascii_end();
        if name.is_empty() {
            return Err(shown(trimmed));
        }
        if name.iter().any(|b| matches!(b, b' ' | b'\t')) {
            // The original had cut the name off by then: the colon is a blank (R-15).
            let mut text = trimmed.to_vec();
            text[colon] = b' ';
            return Err(shown(&text));
        }
        let value = trimmed[colon + 1..].trim_ascii_start();
        fields.push((head.slice_ref(name), head.slice_ref(value)));
    }
    Ok(())
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

/// A status, and its reason where that is not the standard one.
pub type Status = (u16, Option<Bytes>);

/// A status and its reason, from the value of `Status` (R-17, Q-38). `None` for what is
/// no final status.
pub fn status(value: &Bytes) -> Option<Status> {
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    let number: u16 = std::str::from_utf8(&value[..digits]).ok()?.parse().ok()?;
    if !(200..=999).contains(&number) {
        return None;
    }
    // Only `ddd text` is a reason; anything else gets the standard one.
    let reason = (digits == 3 && value.get(3) == Some(&b' ') && value.len() > 4)
        .then(|| value.clone());
    Some((number, reason))
}

/// Takes the head over into the request: a response to stream, a redirect, or an error.
pub fn take(r: &mut Request, head: &[u8]) -> Verdict {
    let file = |r: &Request| String::from_utf8_lossy(&r.filename).into_owned();
    let fields = match parse(head) {
        Ok(fields) => fields,
        Err(Malformed { line, before }) => {
            // What stands before the bad line is committed (R-16).
            let _ = commit(r, before);
            (r.status, r.reason) = (200, None);
            r.log(Level::Error, "fastcgi", 0, malformed(&file(r), &line));
            return invalid_fields(r).unwrap_or(Verdict::Status(500));
        }
    };
    if let Err(value) = commit(r, fields) {
        r.status = 200;
        r.log(Level::Error, "fastcgi", 0, invalid_status(&file(r), &value));
        return Verdict::Status(500);
    }
    if let Some(verdict) = invalid_fields(r) {
        return verdict;
    }
    lead(r)
}

/// The head of an authorizer's answer: the status, if it says one, and its other fields.
/// `None` for what is no head, which the log then says for `module`, with what `app` calls
/// the application; `complain` is given a line that is none.
pub(crate) fn authorizers(
    r: &mut Request,
    module: &'static str,
    app: impl Fn(&Request) -> String,
    head: &[u8],
    complain: impl FnOnce(&mut Request, &str, &str),
) -> Option<(Option<Status>, Vec<Field>)> {
    let mut fields = match parse(head) {
        Ok(fields) => fields,
        Err(Malformed { line, .. }) => {
            complain(r, &app(r), &line);
            return None;
        }
    };
    let mut said = None;
    for (_, value) in
        fields.extract_if(.., |(name, _)| name.eq_ignore_ascii_case(b"Status"))
    {
        said = status(&value);
        if said.is_none() {
            r.log(Level::Error, module, 0, invalid_status(&app(r), &shown(&value)));
            return None;
        }
    }
    Some((said, fields))
}

/// Where a head that was taken leads: to the body behind it, or to another place that its
/// `Location` names.
pub(crate) fn lead(r: &mut Request) -> Verdict {
    let location = r.headers_out.get("Location").cloned();
    match location {
        Some(location) if r.status == 200 => {
            r.reason = None;
            if location.first() == Some(&b'/') {
                // The new request finds the variables again (E-16).
                cgi::populate(r);
                r.method = http::Method::GET;
                let headers = std::sync::Arc::make_mut(&mut r.headers_in);
                headers.remove(http::header::CONTENT_LENGTH);
                headers.remove(http::header::TRANSFER_ENCODING);
                return Verdict::Redirect(Redirect { uri: location, content_type: None });
            }
            r.headers_out.unset("Content-Length");
            Verdict::Status(302)
        }
        _ => {
            r.body = Body::Stream;
            OK
        }
    }
}

/// The line about a head that is none.
pub(crate) fn malformed(file: &str, line: &str) -> String {
    format!("{}malformed header '{line}'", parsing(file))
}

/// The line about a status that is none.
fn invalid_status(file: &str, value: &str) -> String {
    format!("{}invalid Status '{value}'", parsing(file))
}

fn parsing(file: &str) -> String {
    format!("FastCGI: comm with server \"{file}\" aborted: error parsing headers: ")
}

/// Puts fields where they belong; the error is a status that is none.
fn commit(r: &mut Request, fields: Vec<Field>) -> Result<(), String> {
    for (name, value) in fields {
        if name.eq_ignore_ascii_case(b"Status") {
            let (number, reason) = status(&value).ok_or_else(|| shown(&value))?;
            r.status = number;
            r.reason = reason;
        } else if name.eq_ignore_ascii_case(b"Content-Type") {
            r.content_type = Some(value);
        } else if name.eq_ignore_ascii_case(b"Location")
            || name.eq_ignore_ascii_case(b"Content-Length")
        {
            r.headers_out.set(name, value);
        } else {
            // These survive an internal redirect and error pages (R-21).
            r.err_headers_out.add(name, value);
        }
    }
    Ok(())
}

/// Fields that HTTP does not know are refused: `AH02429`, `AH02430`.
pub(crate) fn invalid_fields(r: &mut Request) -> Option<Verdict> {
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let bad = r.err_headers_out.iter().chain(r.headers_out.iter()).find_map(|(name, value)| {
        if !name.iter().all(token) {
            let name = shown(name);
            let text = format!(
                "Response header name '{name}' contains invalid characters, aborting request"
            );
            return Some((2429, text));
        }
        if value.iter().any(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f) {
            let (name, value) = (shown(name), shown(value));
            let text = format!(
                "Response header '{name}' value of '{value}' contains invalid characters, \
                 aborting request"
            );
            return Some((2430, text));
        }
        None
    })?;
    r.err_headers_out.clear();
    r.headers_out.clear();
    r.status = 200;
    r.reason = None;
    r.log(Level::Error, "http", bad.0, bad.1);
    Some(Verdict::Status(500))
}

/// A refusal in the application's own words: status, fields and body go to the client. A
/// 401 that `challenges` asks for credentials, by the server's words if by no others.
pub(crate) fn pass_on(
    r: &mut Request,
    (status, reason): Status,
    fields: Vec<Field>,
    challenges: bool,
) -> Verdict {
    (r.status, r.reason) = (status, reason);
    for (name, value) in fields {
        if name.eq_ignore_ascii_case(b"Content-Type") {
            r.content_type = Some(value);
        } else if name.eq_ignore_ascii_case(b"Content-Length") {
            r.headers_out.set(name, value);
        } else if !name.eq_ignore_ascii_case(b"Status") {
            r.err_headers_out.add(name, value);
        }
    }
    if let Some(verdict) = invalid_fields(r) {
        return verdict;
    }
    if status == 401 && challenges && !r.err_headers_out.has("WWW-Authenticate") {
        authn_core::challenge(r);
    }
    r.body = Body::Stream;
    DONE
}

/// A refusal in the server's words: the fields go with its page, but for those that are
/// about a body. Fields that HTTP does not know end the request.
pub(crate) fn add_fields(r: &mut Request, fields: Vec<Field>) -> Option<Verdict> {
    let own = [&b"Content-Type"[..], b"Content-Length"];
    for (name, value) in fields {
        if !own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            r.err_headers_out.add(name, value);
        }
    }
    invalid_fields(r)
}

/// The status of a failure: 500 for every trouble with an application (Q-12), but that it
/// is the number of requests that is too much for it.
pub fn failure_status(failure: &Failure) -> u16 {
    match failure {
        Failure::QueueTimeout(_) | Failure::QueueFull(_) => 503,
        _ => 500,
    }
}

/// When a request may be tried again that found no room: the field that goes with 503. The
/// time that requests wait here is the only measure that there is.
pub fn add_retry_after(r: &mut Request, failure: &Failure) {
    let seconds = match failure {
        Failure::QueueTimeout(seconds) => *seconds,
        Failure::QueueFull(_) => 1,
        _ => return,
    };
    r.err_headers_out.set("Retry-After", seconds.to_string());
}

/// The lines about an application that did not bring the head of a response.
pub fn log_failure(
    r: &mut Request,
    file: &str,
    failure: &Failure,
    received: u64,
    is_dynamic: bool,
) {
    let (level, module, error, text) = failure_line(file, failure, is_dynamic);
    if !text.is_empty() {
        r.log_os(level, module, 0, error, text);
    }
    if failure_status(failure) == 503 {
        // It was not asked.
        return;
    }
    let text = format!(
        "FastCGI: incomplete headers ({received} bytes) received from server \"{file}\""
    );
    r.log(Level::Error, "fastcgi", 0, text);
}

/// Level, module token, system error and text for a failure; the text is empty where the
/// line about incomplete headers says it all.
pub fn failure_line(
    file: &str,
    failure: &Failure,
    is_dynamic: bool,
) -> (Level, &'static str, Option<OsError>, String) {
    let comm = format!("FastCGI: comm with server \"{file}\" aborted: ");
    let connect = format!("FastCGI: failed to connect to server \"{file}\": ");
    let (module, error, text) = match failure {
        Failure::Connect(error) => {
            ("fastcgi", Some(error.clone()), format!("{connect}connect() failed"))
        }
        Failure::Socket(error) => {
            ("fastcgi", Some(error.clone()), format!("{connect}socket() failed"))
        }
        Failure::ConnectTimeout(seconds) => (
            "fastcgi",
            None,
            format!("{connect}connect() timed out (appConnTimeout={seconds}sec)"),
        ),
        Failure::QueueTimeout(seconds) => (
            "fastcgi",
            None,
            format!(
                "FastCGI: server \"{file}\" is busy: the request waited for its turn in vain \
                 (queue-timeout={seconds}sec)"
            ),
        ),
        Failure::QueueFull(length) => (
            "fastcgi",
            None,
            format!(
                "FastCGI: server \"{file}\" is busy: as many requests as may wait do so already \
                 (queue-length={length})"
            ),
        ),
        Failure::Idle(seconds) if is_dynamic => (
            "fastcgi",
            None,
            format!(
                "FastCGI: comm with (dynamic) server \"{file}\" aborted: (first read) idle \
                 timeout ({seconds} sec)"
            ),
        ),
        Failure::Idle(seconds) => {
            ("fastcgi", None, format!("{comm}idle timeout ({seconds} sec)"))
        }
        Failure::Read(error) => {
            ("fastcgi", Some(error.clone()), format!("{comm}read failed"))
        }
        Failure::Write(error) => {
            ("fastcgi", Some(error.clone()), format!("{comm}write failed"))
        }
        Failure::Handshake(why) | Failure::Protocol(why) => {
            ("", None, format!("{comm}protocol error: {why}"))
        }
        Failure::BodyTooLong => (
            "fastcgi",
            None,
            format!("{comm}it says more to a refusal than is passed on"),
        ),
        Failure::HeadTooLong => (
            "fastcgi",
            None,
            format!("{comm}error parsing headers: more than {MAX_HEAD} bytes"),
        ),
        Failure::NotStarted => (
            "fastcgi",
            None,
            format!(
                "FastCGI: failed to connect to (dynamic) server \"{file}\": something is \
                 seriously wrong, any chance the socket/named_pipe directory was removed?, see \
                 the FastCgiIpcDir directive"
            ),
        ),
        _ => ("fastcgi", None, String::new()),
    };
    let level = if *failure == Failure::NotStarted { Level::Alert } else { Level::Error };
    (level, module, error, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_at_an_empty_line() {
        assert_eq!(head_end(b"A: b\n\nx", 0), Some(6));
        assert_eq!(head_end(b"A: b\r\n\r\nx", 0), Some(8));
        assert_eq!(head_end(b"A: b\n\r\nx", 0), Some(7));
        assert_eq!(head_end(b"A: b\n\r\r\nx", 0), Some(8));
        assert_eq!(head_end(b"\r\nbody", 0), Some(2));
        assert_eq!(head_end(b"A: b\r\n", 0), None);
        // Byte by byte, with the look beginning where the last one ended.
        let head = b"A: b\r\nC: d\r\n\r\n";
        let ends: Vec<_> =
            (1..=head.len()).map(|n| head_end(&head[..n], n - 1)).collect();
        assert_eq!(ends.iter().filter(|e| e.is_some()).count(), 1);
        assert_eq!(ends.last(), Some(&Some(head.len())));
    }

    #[test]
    fn fields_are_read_and_malformed_ones_shown() {
        let fields =
            |head: &str| parse(head.as_bytes()).map_err(|malformed| malformed.line);
        let ok = fields("X-A : 1 \r\nB:\r\n two\r\n\r\n").unwrap();
        assert_eq!(ok, [("X-A".into(), "1".into()), ("B".into(), " two".into())]);
        assert_eq!(fields("X A: b\n\n"), Err("X A  b".to_owned()));
        assert_eq!(fields("HTTP/1.1 200 OK\n\n"), Err("HTTP/1.1 200 OK".to_owned()));
        assert_eq!(fields(": x\n\n"), Err(": x".to_owned()));
        assert_eq!(fields("A: \0\n\n"), Err("Invalid Character".to_owned()));
        let before = |head: &str| parse(head.as_bytes()).unwrap_err().before;
        assert_eq!(before("A: b\nX\nC: d\n\n"), [("A".into(), "b".into())]);
        assert_eq!(before("A: b\nC: \0\n\n"), []);
    }

    #[test]
    fn statuses_are_final_ones() {
        let status = |text: &'static str| status(&text.into());
        assert_eq!(status("404 Gone Fishing").unwrap().1.unwrap(), "404 Gone Fishing");
        assert_eq!(status("201"), Some((201, None)));
        assert_eq!(status("404x"), Some((404, None)));
        for bad in ["", "abc", "0", "99", "100 Continue", "1000", "-5"] {
            assert_eq!(status(bad), None, "{bad}");
        }
    }
}
