//! Ranges of a file: `ap_byterange_filter`.

use bytes::Bytes;

use super::conditions;
use crate::reply::{Body, Part};
use crate::request::Request;

/// Cuts the response's body to the ranges that were asked for.
pub fn apply(r: &mut Request) {
    let Body::File { path, size, .. } = &r.body else { return };
    let (path, size) = (path.clone(), *size);
    if r.status != 200 || r.header_only && r.method != http::Method::HEAD {
        return;
    }
    let limits = r.dir.core.range_limits();
    if limits.ranges == Some(0) {
        r.headers_out.set("Accept-Ranges", "none");
        return;
    }
    let Some(asked) = r.header("range") else { return };
    if r.method != http::Method::GET && r.method != http::Method::HEAD
        || !conditions::if_range(r)
    {
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
        r.body = Body::File {
            path,
            size,
            parts: vec![Part { head: Bytes::new(), start, end }],
        };
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
    r.body = Body::File { path, size, parts };
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

/// `bytes=a-b,…` for a body of `size` bytes, as half-open ranges. See
/// `ap_set_byterange`.
fn parse(text: &[u8], size: u64, limits: Limits) -> Asked {
    let Some(text) = std::str::from_utf8(text).ok() else { return Asked::Ignore };
    let Some(list) = text.strip_prefix("bytes=") else { return Asked::Ignore };
    let number = |text: &str| {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse::<u64>().ok())
            .flatten()
    };
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let (mut overlaps, mut reversals, mut count) = (0, 0, 0);
    for item in list.split(',') {
        let item = item.trim();
        if item.is_empty() {
            continue;
        }
        let Some((first, last)) = item.split_once('-') else { return Asked::Ignore };
        count += 1;
        let (start, end) = match (first, last) {
            ("", last) => match number(last) {
                Some(length) => (size.saturating_sub(length), size),
                None => return Asked::Ignore,
            },
            (first, "") => match number(first) {
                Some(start) => (start, size),
                None => return Asked::Ignore,
            },
            (first, last) => match (number(first), number(last)) {
                (Some(start), Some(last)) if start <= last => (start, size.min(last + 1)),
                _ => return Asked::Ignore,
            },
        };
        if start >= end {
            continue;
        }
        if let Some(&(before, until)) = ranges.last() {
            if start < until && end > before {
                overlaps += 1;
            }
            if start < before {
                reversals += 1;
            }
        }
        ranges.push((start, end));
    }
    let over = |count: u64, limit: Option<u64>| limit.is_some_and(|limit| count > limit);
    if over(count, limits.ranges)
        || over(overlaps, limits.overlaps)
        || over(reversals, limits.reversals)
    {
        return Asked::Ignore;
    }
    match (count, ranges.is_empty()) {
        (0, _) => Asked::Ignore,
        (_, true) => Asked::Unsatisfiable,
        // Everything, cut into pieces or not, is sent whole.
        _ if ranges.iter().map(|(start, end)| end - start).sum::<u64>() >= size => {
            Asked::Ignore
        }
        _ => Asked::Ranges(ranges),
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
        assert_eq!(cut("bytes=1-2, 4-5"), Asked::Ranges(vec![(1, 3), (4, 6)]));
        assert_eq!(cut("bytes=10-"), Asked::Unsatisfiable);
        assert_eq!(cut("bytes=0-"), Asked::Ignore);
        assert_eq!(cut("bytes=5-3"), Asked::Ignore);
        assert_eq!(cut("bytes=x"), Asked::Ignore);
        assert_eq!(cut("lines=1-2"), Asked::Ignore);
    }
}
