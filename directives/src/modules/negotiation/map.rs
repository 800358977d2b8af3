//! Type maps: files that list variants. `read_type_map`.

use bytes::Bytes;

use super::accept;
use super::variant::Variant;
use crate::log::Level;
use crate::path;
use crate::request::Request;

/// Reads a type map; `name` is its path. An error is the status to answer.
pub fn read(r: &mut Request, name: &[u8], text: &[u8]) -> Result<Vec<Variant>, u16> {
    let mut lines = Lines { text, at: 0 };
    let mut variants = Vec::new();
    let mut variant = Variant::default();
    let mut has_content = false;
    while let Some(line) = lines.next() {
        if line.trim_ascii().is_empty() {
            finish(&mut variants, &mut variant, &mut has_content);
            continue;
        }
        let (field, value) = field(r, &line)?;
        let value = without_comments(value);
        let mut rest = &value[..];
        match &field[..] {
            b"uri" => variant.file_name = word(&mut rest),
            b"content-type" => {
                variant.set_type(accept::item(&mut rest));
                has_content = true;
            }
            b"content-length" => {
                let number = word(&mut rest);
                let length =
                    std::str::from_utf8(&number).ok().and_then(|n| n.parse().ok());
                let Some(length) = length else {
                    let text = [
                        b"Parse error in type map, Content-Length: '",
                        &number[..],
                        b"' in ",
                        &r.filename,
                        b" is invalid.",
                    ];
                    r.log(Level::Error, "negotiation", 684, text.concat());
                    return Ok(variants);
                };
                variant.bytes = Some(length);
                has_content = true;
            }
            b"content-language" => {
                variant.languages = languages(rest);
                has_content = true;
            }
            b"content-encoding" => {
                variant.encoding = Some(word(&mut rest));
                has_content = true;
            }
            b"description" => {
                let mut text: Vec<u8> =
                    rest.iter().map(|&b| if b == b'\n' { b' ' } else { b }).collect();
                text.pop();
                variant.description = text.into();
            }
            b"body" => {
                let tag = rest.trim_ascii_end();
                let Some(body) = lines.body(tag) else {
                    let text = [
                        b"Syntax error in type map, no end tag '",
                        tag,
                        b"' found in ",
                        &r.filename,
                        b" for Body: content.",
                    ];
                    r.log(Level::Error, "negotiation", 685, text.concat());
                    return Ok(variants);
                };
                variant.bytes = Some(body.len() as u64);
                variant.body = Some(Bytes::copy_from_slice(body));
                variant.file_name = Bytes::copy_from_slice(path::base_name(name));
            }
            _ => {}
        }
    }
    finish(&mut variants, &mut variant, &mut has_content);
    Ok(variants)
}

fn finish(variants: &mut Vec<Variant>, variant: &mut Variant, has_content: &mut bool) {
    let done = std::mem::take(variant);
    if std::mem::take(has_content) && !done.file_name.is_empty() {
        variants.push(done);
    }
}

fn word(rest: &mut &[u8]) -> Bytes {
    Bytes::copy_from_slice(accept::token(rest, false))
}

/// `do_languages_line`.
fn languages(mut rest: &[u8]) -> Vec<Bytes> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        found.push(accept::token(&mut rest, false).to_ascii_lowercase().into());
        rest =
            rest.strip_prefix(b",").or_else(|| rest.strip_prefix(b";")).unwrap_or(rest);
    }
    found
}

/// A field's name, in lower case, and its value: `lcase_header_name_return_body`.
fn field<'a>(r: &mut Request, line: &'a [u8]) -> Result<(Vec<u8>, &'a [u8]), u16> {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        let text = [
            b"Syntax error in type map, no ':' in ",
            &r.filename[..],
            b" for header ",
            &line.to_ascii_lowercase(),
        ];
        r.log(Level::Error, "negotiation", 681, text.concat());
        return Err(500);
    };
    let value = line[colon + 1..].trim_ascii_start();
    if value.is_empty() {
        let text = [
            b"Syntax error in type map --- no header body: ",
            &r.filename[..],
            b" for ",
            &line[..colon].to_ascii_lowercase(),
            &line[colon..],
        ];
        r.log(Level::Error, "negotiation", 682, text.concat());
        return Err(500);
    }
    Ok((line[..colon].to_ascii_lowercase(), value))
}

/// Comments in brackets become blanks: `strip_paren_comments`.
fn without_comments(value: &[u8]) -> Vec<u8> {
    let mut out = value.to_vec();
    let mut at = 0;
    while at < out.len() {
        // httpd means to step over a quoted text, and steps over its first quote.
        if out[at] == b'(' {
            while at < out.len() && out[at] != b')' {
                out[at] = b' ';
                at += 1;
            }
            if at < out.len() {
                out[at] = b' ';
            }
        }
        at += 1;
    }
    out
}

/// The lines of a type map, continued ones put together: `get_header_line`.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let end =
            rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |n| n + 1);
        self.at += end;
        Some(&rest[..end])
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut line = self.line()?;
        while line.first() == Some(&b'#') {
            line = self.line()?;
        }
        let mut whole = line.to_vec();
        let is_body =
            whole.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"body:"));
        if whole.trim_ascii().is_empty() || is_body {
            return Some(whole);
        }
        loop {
            let rest = &self.text[self.at..];
            match rest.first() {
                Some(b'#') => {
                    self.line();
                }
                Some(byte) if byte.is_ascii_whitespace() => {
                    let next = self.at;
                    let line = self.line().unwrap_or_default();
                    if line.trim_ascii().is_empty() {
                        self.at = next;
                        return Some(whole);
                    }
                    whole.extend_from_slice(line.trim_ascii_start());
                    if whole.last() != Some(&b'\n') {
                        whole.push(b'\n');
                    }
                }
                _ => return Some(whole),
            }
        }
    }

    /// The text up to `tag`, and goes on behind the line of that: `get_body`.
    fn body(&mut self, tag: &[u8]) -> Option<&'a [u8]> {
        let rest = &self.text[self.at..];
        if tag.is_empty() {
            return None;
        }
        let length = rest.windows(tag.len()).position(|window| window == tag)?;
        self.at += length + tag.len();
        self.line();
        Some(&rest[..length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_continued_and_comments_are_none() {
        let mut lines = Lines {
            text: b"# no\nURI: a\n# no\n  b\n\nBody:--x\ntext\n--x\nEnd: 1",
            at: 0,
        };
        assert_eq!(lines.next().as_deref(), Some(&b"URI: a\nb\n"[..]));
        assert_eq!(lines.next().as_deref(), Some(&b"\n"[..]));
        assert_eq!(lines.next().as_deref(), Some(&b"Body:--x\n"[..]));
        assert_eq!(lines.body(b"--x"), Some(&b"text\n"[..]));
        assert_eq!(lines.next().as_deref(), Some(&b"End: 1"[..]));
        assert_eq!(lines.next(), None);
    }
}
