//! A request's head before hyper reads it. httpd takes bytes in a target that hyper's URI does
//! not, and sees a fragment, which hyper's URI drops: others stand in their place while hyper
//! reads, and the target that was sent goes past it. A line that ends with LF alone, which
//! httpd does not take and hyper does, is made one that hyper does not take either. The
//! request line is kept for the access log: what hyper refuses nobody else gets to see.

use bytes::Bytes;

/// Bytes that hyper would stumble over, or over which it would say nothing.
const fn is_strange(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'`' | b'"' | b'#')
}

/// Any byte of a path and a query.
const STAND_IN: u8 = b'!';
/// No byte of a head.
const BROKEN: u8 = 0;
/// The longest line that is kept, bytes. Longer ones are hyper's alone.
const LONGEST: usize = 64 * 1024;

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
}

impl HeadReader {
    /// The next request's head comes.
    pub fn reset(&mut self) {
        self.line.clear();
        (self.since, self.last) = (0, 0);
        (self.has_line, self.ended, self.replaced) = (false, false, false);
    }

    /// Looks at what has come, and changes what hyper is not to see.
    pub fn read(&mut self, new: &mut [u8]) {
        let mut from = 0;
        while !self.ended && from < new.len() {
            let lf = new[from..].iter().position(|byte| *byte == b'\n');
            let end = lf.map_or(new.len(), |n| from + n + 1);
            if !self.has_line {
                self.grow(&mut new[from..end]);
            }
            if lf.is_some() {
                let before = if end - from > 1 { new[end - 2] } else { self.last };
                let length = self.since + (end - from);
                if before == b'\r' || length == 1 && !self.has_line {
                    self.line_ends(length);
                } else {
                    new[end - 1] = BROKEN;
                    (self.has_line, self.ended) = (true, true);
                }
                self.since = 0;
            } else {
                self.since += end - from;
            }
            self.last = new[end - 1];
            from = end;
        }
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
        if !piece.iter().any(|byte| is_strange(*byte)) {
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
        for piece in pieces {
            let mut bytes = piece.as_bytes().to_vec();
            reader.read(&mut bytes);
            out.extend(bytes);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_strange_target_goes_past() {
        let head = "GET /<a>?`b#c HTTP/1.1\r\nX: <\r\n";
        for cut in 0..head.len() {
            let mut reader = HeadReader::default();
            let said = seen(&mut reader, &[&head[..cut], &head[cut..]]);
            assert_eq!(said, "GET /!a!?!b!c HTTP/1.1\r\nX: <\r\n", "{cut}");
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
        let good = "\r\n\nGET /a HTTP/1.1\r\nA: b\r\n\r\nbody\nbody\n\n";
        for cut in 0..good.len() {
            let mut reader = HeadReader::default();
            let said = seen(&mut reader, &[&good[..cut], &good[cut..]]);
            assert_eq!(said, good, "{cut}");
            assert_eq!(reader.line(), b"GET /a HTTP/1.1");
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
