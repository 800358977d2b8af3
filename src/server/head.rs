//! The head of a response, as httpd writes it: every name in the letters in which it was
//! set. hyper counts the body and says where it ends; what it writes is short, and stands
//! behind ours: the fields of [`framing`], and no others. With HTTP/2 hyper writes the
//! whole head.

use std::cell::RefCell;

use bytes::Bytes;
use directives::reply::{Headers, Reply};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

/// What hyper puts before a response when a client asked whether it may send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// A buffer that has grown beyond this is not kept, bytes.
const KEPT: usize = 4096;

thread_local! {
    /// The last response's buffer, for the next one.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The name in hyper's words of a field that it looks at, or makes, when it decides where a
/// body ends and whether the connection stays.
fn framing(name: &[u8]) -> Option<HeaderName> {
    // Most names are told by their length.
    let known = match name.len() {
        7 => header::TRAILER,
        10 => header::CONNECTION,
        14 => header::CONTENT_LENGTH,
        17 => header::TRANSFER_ENCODING,
        _ => return None,
    };
    name.eq_ignore_ascii_case(known.as_str().as_bytes()).then_some(known)
}

/// Bytes of a token (RFC 9110 section 5.6.2).
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        table[i] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.'
            )
            || matches!(b, b'^' | b'_' | b'`' | b'|' | b'~');
        i += 1;
    }
    table
};

/// Are all bytes of a kind? Eight at a time: a branch for each byte of each field takes
/// longer than the rest of a head.
pub fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().all(|word| word.iter().fold(true, |all, b| all & is(*b)))
        && rest.iter().all(|b| is(*b))
}

/// May these bytes stand in a field's value, or behind a status code? Nothing there may
/// end a line.
fn is_text(bytes: &[u8]) -> bool {
    let is_text = |b: &u8| !b.is_ascii_control() || *b == b'\t';
    let is_plain = |word: &[u8; 8]| {
        !has_control(u64::from_ne_bytes(*word)) || word.iter().all(is_text)
    };
    match bytes.last_chunk() {
        // The last word overlaps the one before it: nothing is left over.
        Some(last) => bytes.as_chunks().0.iter().all(is_plain) && is_plain(last),
        None => bytes.iter().all(is_text),
    }
}

/// Is one of eight bytes a control character? Below 0x20, or 0x7f: what is less borrows from
/// the highest bit of its byte.
fn has_control(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let low = word.wrapping_sub(ONES * 0x20) & !word;
    let delete = word ^ (ONES * 0x7f);
    let is_delete = delete.wrapping_sub(ONES) & !delete;
    (low | is_delete) & (ONES * 0x80) != 0
}

/// The head without its end, and without the fields that are hyper's; and those, in hyper's
/// words. A field that is none is left out. With `implied` hyper says the length of the body
/// by itself, as it stands in the reply.
pub fn begin(reply: &Reply, mut implied: bool) -> (Vec<u8>, HeaderMap) {
    let mut head = SPARE.take();
    head.clear();
    head.extend_from_slice(b"HTTP/1.1 ");
    let status = reply.status;
    head.extend([status / 100, status / 10 % 10, status % 10].map(|n| b'0' + n as u8));
    head.push(b' ');
    match reply.reason.as_ref().and_then(|line| line.get(4..)) {
        // `404 Gone Fishing`: the code stands before the reason.
        Some(reason) if is_text(reason) => head.extend_from_slice(reason),
        _ => match directives::status::reason(status) {
            Some(reason) => head.extend_from_slice(reason.as_bytes()),
            None => head.extend_from_slice(format!("Status {status}").as_bytes()),
        },
    }
    head.extend_from_slice(b"\r\n");
    let (mut theirs, mut length) = (HeaderMap::new(), None);
    for (name, value) in reply.headers.iter() {
        if let Some(known) = framing(name) {
            if known == header::CONTENT_LENGTH && theirs.is_empty() && implied {
                (implied, length) = (false, Some(value));
                continue;
            }
            // hyper would say it behind the others: they keep their places.
            if let Some(length) = length.take() {
                append(&mut theirs, header::CONTENT_LENGTH, length);
            }
            append(&mut theirs, known, value);
        } else if !name.is_empty()
            && all(name, |b| TOKEN[usize::from(b)])
            && is_text(value)
        {
            head.extend_from_slice(name);
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
    }
    (head, theirs)
}

/// Puts the fields of hyper's head, with which `theirs` begins, behind ours, and the end.
/// How many of their bytes ours stand for; `None` if they do not begin with a head.
pub fn complete(ours: &mut Vec<u8>, theirs: &[u8]) -> Option<usize> {
    let before = if theirs.starts_with(CONTINUE) { CONTINUE.len() } else { 0 };
    let head = &theirs[before..];
    if !head.starts_with(b"HTTP/1.") {
        return None;
    }
    let mut at = memchr(b'\n', head)? + 1;
    while let Some(length) = memchr(b'\n', &head[at..]) {
        let line = &head[at..=at + length];
        at += line.len();
        if line == b"\r\n" {
            ours.extend_from_slice(line);
            ours.splice(..0, theirs[..before].iter().copied());
            return Some(before + at);
        }
        let start = ours.len();
        ours.extend_from_slice(line);
        // hyper writes them in small letters.
        let mut is_first = true;
        for b in ours[start..].iter_mut().take_while(|b| **b != b':') {
            if std::mem::replace(&mut is_first, *b == b'-') {
                b.make_ascii_uppercase();
            }
        }
    }
    None
}

/// Takes a buffer back.
pub fn put(buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT {
        SPARE.set(buffer);
    }
}

/// Fields in hyper's words: all of them, or those that it needs to know.
pub fn fields(headers: &Headers, all: bool) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        let name = if all { HeaderName::from_bytes(name).ok() } else { framing(name) };
        if let Some(name) = name {
            append(&mut map, name, value);
        }
    }
    map
}

/// Appends a field, unless its value is none.
fn append(map: &mut HeaderMap, name: HeaderName, value: &Bytes) {
    if let Ok(value) = HeaderValue::from_maybe_shared(value.clone()) {
        map.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(ours: &[u8], theirs: &[u8]) -> Option<(String, usize)> {
        let mut ours = ours.to_vec();
        let length = complete(&mut ours, theirs)?;
        Some((String::from_utf8(ours).unwrap(), length))
    }

    #[test]
    fn hypers_fields_stand_behind_ours() {
        let theirs =
            b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        let (head, length) =
            completed(b"HTTP/1.1 200 OK\r\nETag: \"1\"\r\n", theirs).unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(&theirs[length..], b"hello");
    }

    #[test]
    fn what_stands_before_a_head_stays_there() {
        let theirs =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 ";
        let (head, length) = completed(b"HTTP/1.1 204 No Content\r\n", theirs).unwrap();
        assert_eq!(head, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(&theirs[length..], b"HTTP/1.1 ");
    }

    #[test]
    fn what_is_no_head_is_left_alone() {
        for theirs in [&b"0\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\n", b""] {
            assert_eq!(completed(b"HTTP/1.1 200 OK\r\n", theirs), None);
        }
    }

    #[test]
    fn nothing_in_a_value_ends_a_line() {
        assert!(is_text("caf\u{e9}\t \u{ff}".as_bytes()));
        for bad in ["a\r\nSet-Cookie: b", "a\nb", "a\0", "a\x7f"] {
            assert!(!is_text(bad.as_bytes()), "{bad:?}");
        }
        for b in 0..=255u8 {
            for at in 0..20 {
                let mut value = *b"0123456\x80\xff\tabcdefghij";
                value[at] = b;
                let is_bad = b < b' ' && b != b'\t' || b == 0x7f;
                assert_eq!(is_text(&value), !is_bad, "{b} at {at}");
            }
        }
        for b in 0..=255u8 {
            let is_name = HeaderName::from_bytes(&[b]).is_ok();
            assert_eq!(TOKEN[usize::from(b)], is_name, "{b}");
        }
    }
}
