//! Requests from a file: lines `METHOD URL` with fields indented below them, or an access
//! log in common or combined form, with or without a virtual host before it.

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The line that it stands on, from one.
    pub line: usize,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The host, where the line names one.
    pub host: Option<String>,
    /// Further fields.
    pub fields: Vec<(String, String)>,
}

impl Asked {
    /// Can it be sent without changing anything? (RFC 9110, 9.2.1; TRACE shows what it is
    /// sent and compares nothing.)
    pub fn is_safe(&self) -> bool {
        ["GET", "HEAD", "OPTIONS"].contains(&self.method.as_str())
    }
}

/// All requests of a file, and the lines that are none.
pub fn requests(text: &str) -> (Vec<Asked>, Vec<usize>) {
    let (mut out, mut bad): (Vec<Asked>, Vec<usize>) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            match (line.trim().split_once(':'), out.last_mut()) {
                (Some((name, value)), Some(last)) => {
                    last.fields.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                _ => bad.push(number),
            }
            continue;
        }
        let found = if line.contains("] \"") { logged(line) } else { plain(line) };
        match found {
            Some(asked) => out.push(Asked { line: number, ..asked }),
            None => bad.push(number),
        }
    }
    (out, bad)
}

/// A method, and a path or an absolute URL.
fn plain(line: &str) -> Option<Asked> {
    let mut words = line.split_whitespace();
    let (method, url) = (words.next()?, words.next()?);
    // A request line's protocol may stand behind it.
    if words.next().is_some_and(|word| !word.starts_with("HTTP/")) {
        return None;
    }
    asked(method, url)
}

fn asked(method: &str, url: &str) -> Option<Asked> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if method.is_empty() || !method.bytes().all(is_token) {
        return None;
    }
    let (host, target) = match url.split_once("://") {
        Some(("http" | "https", rest)) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let target = &rest[end..];
            let slash = if target.starts_with('/') { "" } else { "/" };
            (Some(rest[..end].to_owned()), format!("{slash}{target}"))
        }
        _ if url.starts_with('/') || url == "*" => (None, url.to_owned()),
        _ => return None,
    };
    if target.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return None;
    }
    let method = method.to_owned();
    Some(Asked { line: 0, method, target, host, fields: Vec::new() })
}

/// `%h %l %u %t "%r" %>s %b`, and perhaps `"%{Referer}i" "%{User-Agent}i"`; perhaps `%v:%p`
/// before it all.
fn logged(line: &str) -> Option<Asked> {
    let (head, rest) = line.split_once("] \"")?;
    let (request, rest) = quoted(rest)?;
    let mut words = request.split(' ');
    let mut asked = asked(words.next()?, words.next()?)?;
    let before: Vec<&str> = head.split('[').next()?.split_whitespace().collect();
    if let [host, _, _, _] = before[..]
        && asked.host.is_none()
    {
        asked.host = Some(host.trim_end_matches(":80").to_owned());
    }
    let mut rest = rest;
    for name in ["Referer", "User-Agent"] {
        let Some((_, after)) = rest.split_once('"') else { break };
        let Some((value, after)) = quoted(after) else { break };
        if value != "-" && !value.contains(['\r', '\n']) {
            asked.fields.push((name.to_owned(), value));
        }
        rest = after;
    }
    Some(asked)
}

/// What stands before a quote, its escapes undone, and what stands behind it:
/// `ap_escape_logitem` backwards.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut bytes = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                return Some((
                    String::from_utf8_lossy(&bytes).into_owned(),
                    &text[at + 1..],
                ));
            }
            '\\' => match chars.next()?.1 {
                'x' => {
                    let digits = text.get(at + 2..at + 4)?;
                    bytes.push(u8::from_str_radix(digits, 16).ok()?);
                    chars.next();
                    chars.next();
                }
                'n' => bytes.push(b'\n'),
                'r' => bytes.push(b'\r'),
                't' => bytes.push(b'\t'),
                other => bytes.extend(other.to_string().bytes()),
            },
            c => bytes.extend(c.to_string().bytes()),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_forms() {
        let text = "# a comment\nGET /a?b\n    X-Field: 1\n\nHEAD http://h:81?q HTTP/1.1\n\
                    192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /x%20\\\"y HTTP/1.0\" 200 5\n\
                    www.h:80 ::1 - u [1/1] \"POST /p HTTP/1.1\" 302 - \"http://r/\" \"A \\x41\"\n\
                    ::1 - - [1/1] \"-\" 408 -\nGET\n  no field\n";
        let (found, bad) = requests(text);
        assert_eq!(bad, [8, 9, 10]);
        let shown: Vec<String> = found
            .iter()
            .map(|a| {
                format!(
                    "{} {} {} {:?} {:?}",
                    a.line, a.method, a.target, a.host, a.fields
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "2 GET /a?b None [(\"X-Field\", \"1\")]",
                "5 HEAD /?q Some(\"h:81\") []",
                "6 GET /x%20\"y None []",
                "7 POST /p Some(\"www.h\") [(\"Referer\", \"http://r/\"), (\"User-Agent\", \"A A\")]",
            ]
        );
        assert!(found[0].is_safe() && !found[3].is_safe());
    }
}
