//! Conditional requests: `ap_meets_conditions` and RFC 9110 section 13.

use std::cell::Cell;

use bytes::Bytes;
use http::{Method, header};

use crate::request::Request;

thread_local! {
    /// Dates that were written before, by their seconds: every response is of this second,
    /// and files that are asked for are asked for again.
    static WRITTEN: [Cell<(i64, Bytes)>; 16] = const { [const { Cell::new((-1, Bytes::new())) }; 16] };
}

/// Seconds since 1970 as an HTTP date. Every response has one or two of them, and a
/// `Display` that goes through the formatting machinery costs several times as much.
pub fn http_date(seconds: i64) -> Bytes {
    // The last second of the year 9999.
    let seconds = seconds.clamp(0, 253_402_300_799);
    WRITTEN.with(|written| {
        let kept = &written[(seconds % 16) as usize];
        let (of, date) = kept.take();
        let date = if of == seconds {
            date
        } else {
            Bytes::copy_from_slice(&write_date(seconds))
        };
        kept.set((seconds, date.clone()));
        date
    })
}

fn write_date(seconds: i64) -> [u8; 29] {
    const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let seconds = seconds as u64;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March end with the day that not every year has.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524
        - day_of_era / 146_096)
        / 365;
    let day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 2 } else { shifted_month - 10 };
    let year = year_of_era + era * 400 + u64::from(month < 2);
    let two = |n: u64| [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
    let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let name = 3 * (days % 7) as usize;
    out[..3].copy_from_slice(&DAYS[name..name + 3]);
    out[5..7].copy_from_slice(&two(day));
    let name = 3 * month as usize;
    out[8..11].copy_from_slice(&MONTHS[name..name + 3]);
    out[12..14].copy_from_slice(&two(year / 100));
    out[14..16].copy_from_slice(&two(year % 100));
    for (at, n) in [(17, second / 3600), (20, second / 60 % 60), (23, second % 60)] {
        out[at..at + 2].copy_from_slice(&two(n));
    }
    out
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
    // Most requests have no condition: one look at their fields tells so.
    if !r.headers_in.keys().any(|name| name.as_str().starts_with("if-")) {
        return None;
    }
    let tag = r.headers_out.get("ETag").cloned();
    let tag = tag.as_deref();
    if let Some(list) = r.header(header::IF_MATCH) {
        let matched = &list[..] == b"*" || tag.is_some_and(|tag| find_strong(&list, tag));
        if !matched {
            return Some(412);
        }
    } else if let Some(since) =
        r.header(header::IF_UNMODIFIED_SINCE).and_then(|v| parse_date(&v))
        && modified > since
    {
        return Some(412);
    }
    let readable = matches!(r.method, Method::GET | Method::HEAD);
    let mut none_match = Condition::None;
    if let Some(list) = r.header(header::IF_NONE_MATCH) {
        let found = if &list[..] == b"*" {
            true
        } else {
            match tag {
                // A range wants the very same bytes.
                Some(tag) if readable && r.headers_in.contains_key(header::RANGE) => {
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
        && let Some(date) =
            r.header(header::IF_MODIFIED_SINCE).and_then(|v| parse_date(&v))
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
    let Some(value) = r.header(header::IF_RANGE) else { return true };
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

#[cfg(test)]
mod date_tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// Each day for eight hundred years, and its last second.
    #[test]
    fn dates_are_those_of_a_library() {
        for day in 0..800 * 366 {
            for seconds in [day * 86_400, day * 86_400 + 86_399] {
                let since = UNIX_EPOCH + Duration::from_secs(seconds);
                assert_eq!(http_date(seconds as i64), httpdate::fmt_http_date(since));
            }
        }
        assert_eq!(http_date(-1), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
