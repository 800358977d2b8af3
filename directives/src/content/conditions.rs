//! Conditional requests: `ap_meets_conditions` and RFC 9110 section 13.

use http::Method;

use crate::request::Request;

/// Seconds since 1970 as an HTTP date.
pub fn http_date(seconds: i64) -> String {
    let since = std::time::Duration::from_secs(seconds.max(0) as u64);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + since)
}

/// An HTTP date as seconds since 1970.
pub fn parse_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let time = httpdate::parse_http_date(text).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok().map(|d| d.as_secs() as i64)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    None,
    /// Fulfilled by a weak comparison only.
    Weak,
    Strong,
    No,
}

/// The status that the conditions of a request lead to, if not the response itself: 304
/// or 412. `modified` is the representation's time, seconds since 1970.
pub fn check(r: &mut Request, modified: i64) -> Option<u16> {
    if !(200..300).contains(&r.status) || r.no_local_copy {
        return None;
    }
    let tag = r.headers_out.get("ETag").cloned();
    let tag = tag.as_deref();
    if let Some(list) = r.header("if-match") {
        let matched = &list[..] == b"*" || tag.is_some_and(|tag| find_strong(&list, tag));
        if !matched {
            return Some(412);
        }
    } else if let Some(since) =
        r.header("if-unmodified-since").and_then(|v| parse_date(&v))
        && modified > since
    {
        return Some(412);
    }
    let readable = matches!(r.method, Method::GET | Method::HEAD);
    let mut none_match = Condition::None;
    if let Some(list) = r.header("if-none-match") {
        let found = if &list[..] == b"*" {
            true
        } else {
            match tag {
                // A range wants the very same bytes.
                Some(tag) if readable && r.headers_in.contains_key("range") => {
                    find_strong(&list, tag)
                }
                Some(tag) if readable => find_weak(&list, tag),
                Some(tag) => find_strong(&list, tag),
                None => false,
            }
        };
        if found && !readable {
            return Some(412);
        }
        none_match = if found { Condition::Strong } else { Condition::No };
    }
    let mut since = Condition::None;
    if readable
        && none_match != Condition::No
        && let Some(date) = r.header("if-modified-since").and_then(|v| parse_date(&v))
    {
        let now = r.request_time / 1_000_000;
        since =
            if date >= modified && date <= now { Condition::Weak } else { Condition::No };
    }
    let not_modified = match (none_match, since) {
        (Condition::Strong, Condition::No) => false,
        (Condition::Strong, _) | (Condition::None, Condition::Weak) => true,
        _ => false,
    };
    (not_modified && readable).then_some(304)
}

fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&b| b == b',').map(<[u8]>::trim_ascii)
}

fn find_weak(list: &[u8], tag: &[u8]) -> bool {
    let opaque = |t: &[u8]| t.strip_prefix(b"W/").unwrap_or(t).to_vec();
    items(list).any(|item| item == b"*" || opaque(item) == opaque(tag))
}

fn find_strong(list: &[u8], tag: &[u8]) -> bool {
    !tag.starts_with(b"W/") && items(list).any(|item| item == tag)
}

/// Does `If-Range` let the ranges through? See `ap_condition_if_range`.
pub fn if_range(r: &Request) -> bool {
    let Some(value) = r.header("if-range") else { return true };
    if value.first() == Some(&b'"') {
        return r.headers_out.get("ETag").is_some_and(|tag| find_strong(&value, tag));
    }
    if value.starts_with(b"W/") {
        return false;
    }
    let modified = r.headers_out.get("Last-Modified").and_then(|v| parse_date(v));
    match (parse_date(&value), modified) {
        (Some(wanted), Some(modified)) => {
            // Within the same minute the date is too coarse to be sure.
            let sent = r.request_time / 1_000_000;
            wanted == modified && sent >= modified + 60
        }
        _ => false,
    }
}
