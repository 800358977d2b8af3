//! A request line before hyper reads it. httpd takes bytes in a target that hyper's URI does
//! not, and sees a fragment, which hyper's URI drops: others stand in their place while hyper
//! reads, and the target that was sent goes past it.

use bytes::Bytes;

/// Bytes that hyper would stumble over, or over which it would say nothing.
const fn is_strange(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'`' | b'"' | b'#')
}

/// Any byte of a path and a query.
const STAND_IN: u8 = b'!';

/// Puts stand-ins into the request line at the start of `head`, and gives the target as it
/// was. `None`, and nothing changed, if there is nothing strange in it, which is usual; if the
/// line is not all there; if it is none, or its target is no path.
pub fn take_target(head: &mut [u8]) -> Option<Bytes> {
    let end = head.iter().position(|byte| *byte == b'\n')?;
    if !head[..end].iter().any(|byte| is_strange(*byte)) {
        return None;
    }
    let start = head[..end].iter().position(|byte| *byte == b' ')? + 1;
    let (method, rest) = head[..end].split_at(start);
    let is_method = start > 1
        && method[..start - 1]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b));
    let length = rest.iter().position(|byte| *byte == b' ')?;
    let (target, version) = rest.split_at(length);
    if !is_method || !target.starts_with(b"/") || !version.starts_with(b" HTTP/1.") {
        return None;
    }
    let taken = Bytes::copy_from_slice(target);
    for byte in &mut head[start..start + length] {
        if is_strange(*byte) {
            *byte = STAND_IN;
        }
    }
    Some(taken)
}

/// Is `target` what hyper would have read of `taken`? A line that looked like a request line
/// may have been something else.
pub fn stands_for(target: &[u8], taken: &[u8]) -> bool {
    let stand_in = |byte: &u8| if is_strange(*byte) { STAND_IN } else { *byte };
    target.len() == taken.len() && taken.iter().map(stand_in).eq(target.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::{stands_for, take_target};

    fn taken(head: &str) -> (Option<String>, String) {
        let mut bytes = head.as_bytes().to_vec();
        let target = take_target(&mut bytes);
        let target = target.map(|t| String::from_utf8_lossy(&t).into_owned());
        (target, String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_strange_target_goes_past() {
        let (target, head) = taken("GET /<a>?`b#c HTTP/1.1\r\nX: <\r\n");
        assert_eq!(target.as_deref(), Some("/<a>?`b#c"));
        assert_eq!(head, "GET /!a!?!b!c HTTP/1.1\r\nX: <\r\n");
        assert!(stands_for(b"/!a!?!b!c", b"/<a>?`b#c"));
        assert!(!stands_for(b"/!a!?!b!d", b"/<a>?`b#c"));
    }

    #[test]
    fn what_is_no_request_line_stays() {
        for head in [
            "GET /plain HTTP/1.1\r\n",
            "GET /<half",
            "X: <b> HTTP/1.1\r\n",
            "GET http://x/<a> HTTP/1.1\r\n",
            "GET /<a>\r\n",
        ] {
            assert_eq!(taken(head), (None, head.to_owned()));
        }
    }
}
