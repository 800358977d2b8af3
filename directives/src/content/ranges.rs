//! Ranges of a file: `ap_byterange_filter`.

use bytes::Bytes;

use super::conditions;
use crate::reply::{Body, Part};
use crate::request::Request;

/// Cuts the response's body to the ranges that were asked for.
pub fn apply(r: &mut Request) {
    let Body::File { size, .. } = r.body else { return };
    if r.status != 200 || size == 0 {
        return;
    }
    let limits = r.dir.core.range_limits();
    if limits.ranges == Some(0) {
        r.headers_out.set("Accept-Ranges", "none");
        return;
    }
    let Some(asked) = r.header(http::header::RANGE) else { return };
    if !conditions::if_range(r) {
        return;
    }
    let ranges = match parse(&asked, size, limits) {
        Asked::Ignore => return,
        Asked::Unsatisfiable => {
            r.status = 416;
            return;
        }
        Asked::Ranges(ranges) => ranges,
    };
    r.status = 206;
    if let [(start, end)] = ranges[..] {
        r.headers_out.set("Content-Range", format!("bytes {start}-{}/{size}", end - 1));
        r.headers_out.set("Content-Length", (end - start).to_string());
        let part = Part { head: Bytes::new(), start, end };
        r.body = Body::File { size, parts: vec![part] };
        return;
    }
    // Like httpd's: unlikely in the data, and new for every response.
    let boundary = format!("{:08x}{:08x}", r.request_time as u32, r.connection.id as u32);
    let kind = r.content_type.clone();
    let mut parts = Vec::new();
    for (start, end) in ranges {
        let mut head = format!("\r\n--{boundary}").into_bytes();
        if let Some(kind) = &kind {
            head.extend_from_slice(b"\r\nContent-type: ");
            head.extend_from_slice(kind);
        }
        let range =
            format!("\r\nContent-range: bytes {start}-{}/{size}\r\n\r\n", end - 1);
        head.extend_from_slice(range.as_bytes());
        parts.push(Part { head: head.into(), start, end });
    }
    let tail = format!("\r\n--{boundary}--\r\n");
    parts.push(Part { head: tail.into(), start: 0, end: 0 });
    let length: u64 = parts.iter().map(|p| p.head.len() as u64 + p.end - p.start).sum();
    r.headers_out.set("Content-Length", length.to_string());
    r.content_type = Some(format!("multipart/byteranges; boundary={boundary}").into());
    r.body = Body::File { size, parts };
}

/// `MaxRanges`, `MaxRangeOverlaps`, `MaxRangeReversals`; `None` is unlimited, 0 none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Ranges in a request.
    pub ranges: Option<u64>,
    /// Ranges that overlap their predecessor.
    pub overlaps: Option<u64>,
    /// Ranges before their predecessor.
    pub reversals: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Ignore,
    Unsatisfiable,
    Ranges(Vec<(u64, u64)>),
}

/// `bytes=a-b,…` for a body of `size` bytes, as half-open ranges. A range that touches
/// the one before is laid together with it. See `ap_set_byterange`.
fn parse(text: &[u8], size: u64, limits: Limits) -> Asked {
    let Some(text) = std::str::from_utf8(text).ok() else { return Asked::Ignore };
    let list = match text.split_at_checked(6) {
        Some((unit, list)) if unit.eq_ignore_ascii_case("bytes=") => list,
        _ => return Asked::Ignore,
    };
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let (mut overlaps, mut reversals) = (0, 0);
    let mut unsatisfiable = false;
    // `ap_getword` takes several commas for one, but for the first.
    let list = if list.starts_with(',') { "" } else { list };
    for item in list.split(',').filter(|item| !item.is_empty()) {
        let Some((start, end)) = range(item, size) else { return Asked::Ignore };
        if item == "0-" {
            // Everything: the other ranges do not matter.
            ranges = vec![(0, size)];
            break;
        }
        if start >= size {
            unsatisfiable = true;
            continue;
        }
        let Some((from, to)) = ranges.last_mut() else {
            ranges.push((start, end));
            continue;
        };
        let inside = start >= *from && end <= *to;
        let before = start < *from && end >= *from;
        if before {
            *from = start;
            reversals += 1;
        }
        let behind = end >= *to && start <= *to;
        if behind {
            *to = end;
        }
        if inside || before || behind {
            overlaps += 1;
        } else {
            ranges.push((start, end));
        }
    }
    let over = |count: u64, limit: Option<u64>| limit.is_some_and(|limit| count > limit);
    let count = ranges.len() as u64;
    if over(count, limits.ranges)
        || over(overlaps, limits.overlaps)
        || over(reversals, limits.reversals)
    {
        return Asked::Ignore;
    }
    match (ranges.is_empty(), unsatisfiable) {
        (true, true) => Asked::Unsatisfiable,
        (true, false) => Asked::Ignore,
        // More than everything is sent whole.
        _ if ranges.iter().map(|(start, end)| end - start).sum::<u64>() > size => {
            Asked::Ignore
        }
        _ => Asked::Ranges(ranges),
    }
}

/// One range, cut to the size; `None` makes the whole field void.
fn range(item: &str, size: u64) -> Option<(u64, u64)> {
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    match item.split_once('-')? {
        ("", last) => {
            let length = number(last).filter(|&length| length > 0)?;
            Some((size.saturating_sub(length), size))
        }
        (first, "") => Some((number(first)?, size)),
        (first, last) => {
            let (start, last) = (number(first)?, number(last)?);
            (start <= last).then_some((start, size.min(last.saturating_add(1))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { ranges: Some(200), overlaps: Some(20), reversals: Some(20) };

    #[test]
    fn ranges_are_cut_to_the_size() {
        let cut = |text: &str| parse(text.as_bytes(), 10, LIMITS);
        assert_eq!(cut("bytes=0-3"), Asked::Ranges(vec![(0, 4)]));
        assert_eq!(cut("bytes=-3"), Asked::Ranges(vec![(7, 10)]));
        assert_eq!(cut("bytes=7-99"), Asked::Ranges(vec![(7, 10)]));
        assert_eq!(cut("bytes=1-2,4-5"), Asked::Ranges(vec![(1, 3), (4, 6)]));
        assert_eq!(cut("bytes=1-2,3-5"), Asked::Ranges(vec![(1, 6)]));
        assert_eq!(cut("bytes=5-6,3-4"), Asked::Ranges(vec![(3, 7)]));
        assert_eq!(cut("bytes=1-2, 4-5"), Asked::Ignore);
        assert_eq!(cut("bytes=10-"), Asked::Unsatisfiable);
        assert_eq!(cut("bytes=10-,1-2"), Asked::Ranges(vec![(1, 3)]));
        assert_eq!(cut("bytes=1-2,0-,4-5"), Asked::Ranges(vec![(0, 10)]));
        assert_eq!(cut("bytes=0-18446744073709551615"), Asked::Ranges(vec![(0, 10)]));
        assert_eq!(cut("bytes=0-8,2-3,9-9"), Asked::Ranges(vec![(0, 10)]));
        assert_eq!(cut("bytes=0-5,9-9,0-5"), Asked::Ignore);
        assert_eq!(cut("bytes=-0"), Asked::Ignore);
        assert_eq!(cut("bytes=5-3"), Asked::Ignore);
        assert_eq!(cut("bytes=x"), Asked::Ignore);
        assert_eq!(cut("lines=1-2"), Asked::Ignore);
    }
}
