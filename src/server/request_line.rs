//! A request's head before hyper reads it. httpd takes bytes in a target that hyper's URI does
//! not, and sees a fragment, which hyper's URI drops: others stand in their place while hyper
//! reads, and the target that was sent goes past it. A field that is folded into several lines,
//! which httpd unfolds and hyper does not take, is unfolded. A line that ends with LF alone,
//! which httpd does not take and hyper does, is made one that hyper does not take either. The
//! request line is kept for the access log: what hyper refuses nobody else gets to see.

use bytes::Bytes;

use super::head::all;

/// Bytes that hyper would stumble over, or over which it would say nothing.
fn is_strange(byte: u8) -> bool {
    STRANGE[usize::from(byte)]
}

static STRANGE: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b"<>`\"#";
    let mut i = 0;
    while i < bytes.len() {
        table[bytes[i] as usize] = true;
        i += 1;
    }
    table
};

/// Any byte of a path and a query.
const STAND_IN: u8 = b'!';
/// No byte of a head.
const BROKEN: u8 = 0;
/// The longest line that is kept, bytes. Longer ones are hyper's alone.
const LONGEST: usize = 64 * 1024;

/// Methods of requests that rarely have a body.
const WITHOUT_BODY: [&[u8]; 4] = [b"GET ", b"HEAD ", b"OPTIONS ", b"DELETE "];

/// What was looked at of new bytes, and what is left of that for hyper; both in bytes from
/// their beginning. What was not looked at is to be shown again: the end of a line, in front
/// of what comes next, which says whether the field ends there; or the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Bytes that were looked at.
    pub taken: usize,
    /// Bytes for hyper.
    pub kept: usize,
}

/// What has come of a head.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// The request line.
    line: Vec<u8>,
    /// The bytes since the last LF, and the last one of them.
    since: usize,
    last: u8,
    /// The request line's end has come.
    has_line: bool,
    /// The head's end has come.
    ended: bool,
    /// A stand-in was put into the line.
    replaced: bool,
    /// A field goes on, and nothing but blanks has come of it since.
    goes_on: bool,
}

impl HeadReader {
    /// The next request's head comes.
    pub fn reset(&mut self) {
        self.line.clear();
        (self.since, self.last) = (0, 0);
        (self.has_line, self.ended, self.replaced) = (false, false, false);
        self.goes_on = false;
    }

    /// Looks at what has come, and changes what hyper is not to see.
    pub fn read(&mut self, new: &mut [u8]) -> Seen {
        if self.ended {
            return Seen { taken: new.len(), kept: new.len() };
        }
        let (mut from, mut kept) = (0, 0);
        while !self.ended && from < new.len() {
            if self.goes_on && is_blank(new[from]) && self.since < LONGEST {
                from += 1;
                self.since += 1;
                continue;
            }
            let lf = memchr::memchr(b'\n', &new[from..]);
            let end = lf.map_or(new.len(), |n| from + n + 1);
            if !self.has_line {
                self.grow(&mut new[from..end]);
            }
            let length = self.since + (end - from);
            let before = if end - from > 1 { new[end - 2] } else { self.last };
            let has_crlf = lf.is_some() && before == b'\r';
            // Only a field is folded: not the request line, and not an empty line.
            let is_field = self.has_line && length > 2;
            let next = new.get(end).copied();
            if self.goes_on && matches!(new[from], b'\r' | b'\n' | b' ' | b'\t') {
                // Nothing but blanks, or without end: httpd does not take it either.
                return self.breaks(new, from, kept);
            }
            self.goes_on = false;
            if is_field && has_crlf && next.is_some_and(is_blank) {
                // The line's end and the blanks behind it become one blank, as in
                // ap_get_mime_headers_core.
                kept = moved(new, from, end - 2, kept);
                new[kept] = b' ';
                kept += 1;
                (self.since, self.last, self.goes_on) = (length, b' ', true);
                from = end;
                continue;
            }
            let open = match lf {
                Some(_) if has_crlf && next.is_none() => 2,
                None if new[end - 1] == b'\r' => 1,
                _ => 0,
            };
            if open > 0 && is_field {
                kept = moved(new, from, end - open, kept);
                if end - open > from {
                    (self.since, self.last) = (length - open, new[kept - 1]);
                }
                return Seen { taken: end - open, kept };
            }
            if lf.is_some() {
                if has_crlf || length == 1 && !self.has_line {
                    self.line_ends(length);
                } else {
                    kept = moved(new, from, end - 1, kept);
                    return self.breaks(new, end - 1, kept);
                }
                self.since = 0;
            } else {
                self.since = length;
            }
            self.last = new[end - 1];
            kept = moved(new, from, end, kept);
            from = end;
        }
        let waits = || WITHOUT_BODY.iter().any(|method| self.line.starts_with(method));
        if from < new.len() && !waits() {
            // The request's body, as far as anybody knows here.
            kept = moved(new, from, new.len(), kept);
            from = new.len();
        }
        Seen { taken: from, kept }
    }

    /// Makes what comes something that hyper does not take.
    fn breaks(&mut self, new: &mut [u8], at: usize, kept: usize) -> Seen {
        new[at] = BROKEN;
        (self.has_line, self.ended) = (true, true);
        Seen { taken: new.len(), kept: moved(new, at, new.len(), kept) }
    }

    fn line_ends(&mut self, length: usize) {
        let is_empty = length <= 2;
        if self.has_line {
            self.ended = is_empty;
        } else if is_empty {
            // Some clients send one too many before the next request.
            self.line.clear();
        } else {
            self.has_line = true;
        }
    }

    /// A piece of the request line.
    fn grow(&mut self, piece: &mut [u8]) {
        if self.line.len() + piece.len() > LONGEST {
            self.line.clear();
            (self.has_line, self.replaced) = (true, false);
            return;
        }
        let begun = self.line.len();
        self.line.extend_from_slice(piece);
        if all(piece, |byte| !is_strange(byte)) {
            return;
        }
        let Some((start, end)) = target(&self.line) else { return };
        for (i, byte) in piece.iter_mut().enumerate() {
            if is_strange(*byte) && (start..end).contains(&(begun + i)) {
                *byte = STAND_IN;
                self.replaced = true;
            }
        }
    }

    /// Has a whole request line come?
    pub fn has_line(&self) -> bool {
        self.has_line
    }

    /// The request line as far as it came, without its end.
    pub fn line(&self) -> &[u8] {
        self.line.trim_ascii_end()
    }

    /// The target as it was sent, if `read` is what hyper has read in its place. What looked
    /// like a request line may have been something else.
    pub fn target(&self, read: &[u8]) -> Option<Bytes> {
        if !self.replaced {
            return None;
        }
        let (start, end) = target(&self.line)?;
        let taken = &self.line[start..end];
        let stand_in = |byte: &u8| if is_strange(*byte) { STAND_IN } else { *byte };
        // A scheme is read in lower case.
        let same = taken.len() == read.len()
            && taken.iter().zip(read).all(|(a, b)| stand_in(a).eq_ignore_ascii_case(b));
        same.then(|| Bytes::copy_from_slice(taken))
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Moves bytes to the front, where some were left out before them. The answer is their end.
fn moved(bytes: &mut [u8], from: usize, end: usize, to: usize) -> usize {
    if from != to {
        bytes.copy_within(from..end, to);
    }
    to + (end - from)
}

/// Where the target of a request line is: a path, or a URL of HTTP with one.
fn target(line: &[u8]) -> Option<(usize, usize)> {
    let start = line.iter().position(|byte| *byte == b' ')? + 1;
    let method = &line[..start - 1];
    let is_method = !method.is_empty()
        && method.iter().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b));
    let rest = &line[start..];
    let end = rest.iter().position(u8::is_ascii_whitespace);
    let target = &rest[..end.unwrap_or(rest.len())];
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let path = scheme.map_or(target, |scheme| &target[scheme.len()..]);
    let slash = path.iter().position(|byte| *byte == b'/')?;
    // hyper would write other URLs in another way.
    let is_ours = is_method && slash.min(1) == usize::from(scheme.is_some() && slash > 0);
    // What stands for a host stays hyper's.
    let before = target.len() - path.len() + slash;
    let is_plain =
        !target[..before].iter().any(|byte| is_strange(*byte) || *byte == b'?');
    (is_ours && is_plain).then_some((start, start + target.len()))
}

#[cfg(test)]
mod tests {
    use super::HeadReader;

    /// What hyper sees of a head that comes in pieces.
    fn seen(reader: &mut HeadReader, pieces: &[&str]) -> String {
        let mut out = Vec::new();
        let mut left = Vec::new();
        for piece in pieces {
            left.extend_from_slice(piece.as_bytes());
            let seen = reader.read(&mut left);
            out.extend_from_slice(&left[..seen.kept]);
            left.drain(..seen.taken);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_strange_target_goes_past() {
        let head = "GET /<a>?`b#c HTTP/1.1\r\nX: <\r\n\r\n";
        for cut in 0..head.len() {
            let mut reader = HeadReader::default();
            let said = seen(&mut reader, &[&head[..cut], &head[cut..]]);
            assert_eq!(said, "GET /!a!?!b!c HTTP/1.1\r\nX: <\r\n\r\n", "{cut}");
            assert_eq!(reader.target(b"/!a!?!b!c").as_deref(), Some(&b"/<a>?`b#c"[..]));
            assert_eq!(reader.target(b"/!a!?!b!d"), None);
            assert_eq!(reader.line(), b"GET /<a>?`b#c HTTP/1.1");
        }
        let mut reader = HeadReader::default();
        let said = seen(&mut reader, &["GET HTTP://x/<a> HTTP/1.1\r\n"]);
        assert_eq!(said, "GET HTTP://x/!a! HTTP/1.1\r\n");
        let target = reader.target(b"http://x/!a!");
        assert_eq!(target.as_deref(), Some(&b"HTTP://x/<a>"[..]));
    }

    #[test]
    fn what_is_no_request_line_stays() {
        for head in [
            "GET /plain HTTP/1.1\r\n",
            "X: <b> HTTP/1.1\r\n",
            "GET http://<x>/<a> HTTP/1.1\r\n",
            "GET http://x?<a>/ HTTP/1.1\r\n",
            "GET x/<a> HTTP/1.1\r\n",
            "G<T /a HTTP/1.1\r\n",
            "GET /a HTTP/1.1<\r\n",
        ] {
            let mut reader = HeadReader::default();
            assert_eq!(seen(&mut reader, &[head]), head);
            assert_eq!(reader.target(b"/plain"), None);
        }
    }

    #[test]
    fn a_line_that_ends_with_lf_alone_is_broken() {
        let good = "\r\n\nPUT /a HTTP/1.1\r\nA: b\r\n\r\nbody\nbody\n\n";
        for cut in 0..good.len() {
            let mut reader = HeadReader::default();
            let said = seen(&mut reader, &[&good[..cut], &good[cut..]]);
            assert_eq!(said, good, "{cut}");
            assert_eq!(reader.line(), b"PUT /a HTTP/1.1");
        }
        for (bad, broken) in [
            ("GET /a HTTP/1.1\nA: b\r\n\r\n", "GET /a HTTP/1.1\0A: b\r\n\r\n"),
            ("GET /a HTTP/1.1\r\nA: b\n\r\n", "GET /a HTTP/1.1\r\nA: b\0\r\n"),
            ("GET /a HTTP/1.1\r\nA: b\r\n\nx", "GET /a HTTP/1.1\r\nA: b\r\n\0x"),
        ] {
            for cut in 0..bad.len() {
                let mut reader = HeadReader::default();
                let said = seen(&mut reader, &[&bad[..cut], &bad[cut..]]);
                assert_eq!(said, broken, "{cut}");
            }
        }
    }

    #[test]
    fn folded_fields_are_unfolded() {
        for (folded, whole) in [
            ("A: b\r\n c\r\n\r\n", "A: b c\r\n\r\n"),
            ("A: b \r\n\t\tc\r\nX: y\r\n\r\n", "A: b  c\r\nX: y\r\n\r\n"),
            ("A:\r\n b\r\n\tc\r\nX: y\r\n\r\n", "A: b c\r\nX: y\r\n\r\n"),
            ("A: b\r\n \r\n\r\n", "A: b \0\n\r\n"),
            ("A: b\r\n\t\t\n c\r\n\r\n", "A: b \0 c\r\n\r\n"),
            // What stands alone is no field's.
            (" A: b\r\n\r\n", " A: b\r\n\r\n"),
            ("A: b\n c\r\n\r\n", "A: b\0 c\r\n\r\n"),
            ("A: b\r\n c\n d\r\n\r\n", "A: b c\0 d\r\n\r\n"),
            ("A: b\rX\r\n c\r\n\r\n", "A: b\rX c\r\n\r\n"),
        ] {
            let head = format!("GET /a HTTP/1.1\r\n{folded}");
            for cut in 0..=head.len() {
                for second in cut..=head.len() {
                    let mut reader = HeadReader::default();
                    let pieces = [&head[..cut], &head[cut..second], &head[second..]];
                    let said = seen(&mut reader, &pieces);
                    assert_eq!(
                        said,
                        format!("GET /a HTTP/1.1\r\n{whole}"),
                        "{cut} {second}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_next_request_waits_for_its_turn() {
        let head = "GET /a HTTP/1.1\r\nA: b\r\n\r\n";
        let mut both = [head, "GET /b HTTP/1.1\n\n"].concat().into_bytes();
        let mut reader = HeadReader::default();
        let seen = reader.read(&mut both);
        assert_eq!(seen, super::Seen { taken: head.len(), kept: head.len() });
        reader.reset();
        let rest = &mut both[seen.taken..];
        let seen = reader.read(rest);
        assert_eq!((seen.kept, &rest[..]), (rest.len(), &b"GET /b HTTP/1.1\0\n"[..]));
    }

    #[test]
    fn the_next_request_begins_anew() {
        let mut reader = HeadReader::default();
        seen(&mut reader, &["GET /< HTTP/1.1\r\n\r\n"]);
        reader.reset();
        assert!(!reader.has_line() && reader.line().is_empty());
        assert_eq!(seen(&mut reader, &["GET /"]), "GET /");
        assert!(!reader.has_line());
        let long = "a".repeat(super::LONGEST);
        assert_eq!(seen(&mut reader, &[&long, "<>"]), long + "<>");
        assert!(reader.line().is_empty());
    }
}
