//! `${NAME}` in a line. See `ap_resolve_env` in httpd's `server/core.c`.

use crate::syntax::{Span, Text};

/// Replaces every `${name}` that `value` knows; others stay and are reported in
/// `unknown`. A name with a colon is a look-up in a rewrite map and is left alone.
pub fn resolve(
    text: &Text,
    value: impl Fn(&str) -> Option<Vec<u8>>,
    unknown: &mut Vec<(String, Span)>,
) -> Text {
    let bytes = text.bytes();
    let mut out = Text::new(text.file());
    let mut at = 0;
    while let Some(open) = bytes[at..].windows(2).position(|w| w == b"${") {
        let open = at + open;
        let Some(length) = bytes[open..].iter().position(|&b| b == b'}') else { break };
        let close = open + length;
        let name = String::from_utf8_lossy(&bytes[open + 2..close]).into_owned();
        out.push_part(text, at..open);
        let span = text.span(open..close + 1);
        match (!name.contains(':')).then(|| value(&name)).flatten() {
            Some(value) => out.push_replaced(&value, span),
            None => {
                if !name.contains(':') {
                    unknown.push((name, span));
                }
                out.push_part(text, open..close + 1);
            }
        }
        at = close + 1;
    }
    out.push_part(text, at..bytes.len());
    if out.bytes().is_empty() { text.part(0..0) } else { out }
}
