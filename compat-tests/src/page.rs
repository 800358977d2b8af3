//! Pages of tests: Markdown whose fenced blocks are configurations, files and requests.
//! A heading begins a test; what stands before the first block is for people.

use anyhow::{Result, bail};

/// One test of a page.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// Its blocks, and those of the page's first section before them.
    pub blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The first word behind the fence.
    pub kind: String,
    /// The other words.
    pub words: Vec<String>,
    /// What stands between the fences.
    pub text: String,
    /// The line of the opening fence.
    pub line: usize,
}

impl Block {
    /// The value of a word `name=value`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// Is a word there?
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|w| w == word)
    }
}

/// Cuts a page into its tests. Blocks under the first heading belong to all of them.
pub fn sections(text: &str) -> Result<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    let mut block: Option<Block> = None;
    for (i, line) in text.lines().enumerate() {
        match &mut block {
            Some(open) if line == "```" => {
                let Some(section) = sections.last_mut() else {
                    bail!("line {}: a block before the first heading", open.line)
                };
                section.blocks.extend(block.take());
            }
            Some(open) => {
                open.text.push_str(line);
                open.text.push('\n');
            }
            None => {
                if let Some(words) = line.strip_prefix("```") {
                    let mut words = words.split_whitespace().map(str::to_owned);
                    let kind = words.next().unwrap_or_default();
                    let words = words.collect();
                    block = Some(Block { kind, words, text: String::new(), line: i + 1 });
                } else if let Some(title) = line.strip_prefix('#') {
                    let title = title.trim_start_matches('#').trim().to_owned();
                    sections.push(Section { title, blocks: Vec::new() });
                }
            }
        }
    }
    if let Some(open) = block {
        bail!("line {}: the block is not closed", open.line);
    }
    if sections.len() > 1 {
        let common = sections.remove(0).blocks;
        for section in &mut sections {
            section.blocks.splice(0..0, common.iter().cloned());
        }
    }
    Ok(sections)
}

/// One request of a block: a line `METHOD target`, then `| Name: value` for header fields,
/// `| @address:port` for another place to send it to, `| ?user:password` for Digest
/// authentication (see [`crate::digest`]), and `< text` for a body; or a line
/// `raw` and bytes, which are sent as they are. `\n` and the like stand for themselves,
/// `{x*9}` for nine of what stands before the asterisk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// Header fields as written.
    pub headers: Vec<String>,
    /// The body.
    pub body: Option<String>,
    /// Bytes to send in place of all that.
    pub raw: Option<String>,
    /// Where to send it, unless to the server's own port.
    pub to: Option<String>,
    /// Who it is from, where that is said as Digest authentication has it.
    pub digest: Option<String>,
    /// What the line says, for messages.
    pub line: String,
    /// Why the two servers may answer differently.
    pub differs: Option<String>,
}

impl Request {
    /// The bytes to send, for a connection that is closed behind the answer.
    pub fn bytes(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone().into_bytes();
        }
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| {
            let name = name.to_ascii_lowercase();
            self.headers.iter().any(|field| {
                field.split(':').next().is_some_and(|n| n.to_ascii_lowercase() == name)
            })
        };
        if !has("host") {
            out += "Host: www.example.org\r\n";
        }
        if !has("connection") {
            out += "Connection: close\r\n";
        }
        if let Some(body) = &self.body
            && !has("content-length")
            && !has("transfer-encoding")
        {
            out += &format!("Content-Length: {}\r\n", body.len());
        }
        for field in &self.headers {
            out += field;
            out += "\r\n";
        }
        out += "\r\n";
        let mut out = out.into_bytes();
        out.extend(self.body.as_deref().unwrap_or_default().bytes());
        out
    }
}

/// The requests of a block. A line `# differs: reason` is about the next one; other lines
/// that begin with `#` are comments.
pub fn requests(text: &str) -> Result<Vec<Request>> {
    let mut requests = Vec::new();
    let mut differs = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix('#') {
            differs =
                comment.trim().strip_prefix("differs:").map(|why| why.trim().to_owned());
            continue;
        }
        if let Some(raw) = line.strip_prefix("raw ") {
            let raw = unescape(raw)?;
            requests.push(Request {
                method: raw.split(' ').next().unwrap_or_default().to_owned(),
                raw: Some(raw),
                line: line.to_owned(),
                differs: differs.take(),
                ..Request::default()
            });
            continue;
        }
        let (head, body) = match line.split_once(" < ") {
            Some((head, body)) => (head, Some(unescape(body)?)),
            None => (line, None),
        };
        let mut parts = head.split(" | ");
        let first = parts.next().unwrap_or_default();
        let Some((method, target)) = first.trim().split_once(' ') else {
            bail!("no request: {line}");
        };
        let mut request = Request {
            method: method.to_owned(),
            target: unescape(target)?,
            body,
            line: line.to_owned(),
            differs: differs.take(),
            ..Request::default()
        };
        for part in parts.map(str::trim) {
            if let Some(to) = part.strip_prefix('@') {
                request.to = Some(to.to_owned());
            } else if let Some(from) = part.strip_prefix('?') {
                request.digest = Some(unescape(from)?);
            } else {
                request.headers.push(unescape(part)?);
            }
        }
        requests.push(request);
    }
    Ok(requests)
}

/// The configurations of a block, with an empty line between them. A line
/// `# differs: reason` before one is about that one.
pub fn checks(text: &str) -> Vec<Request> {
    let texts = text.split("\n\n").map(str::trim_end).filter(|text| !text.is_empty());
    let check = |text: &str| {
        let reason =
            text.strip_prefix("# differs:").and_then(|text| text.split_once('\n'));
        let (differs, line) = match reason {
            Some((why, rest)) => (Some(why.trim().to_owned()), rest),
            None => (None, text),
        };
        Request { line: line.to_owned(), differs, ..Request::default() }
    };
    texts.map(check).collect()
}

fn unescape(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '{']) {
        out.push_str(&rest[..at]);
        let found = &rest[at..];
        if let Some((times, after)) = repetition(found)? {
            out.push_str(&times);
            rest = after;
            continue;
        }
        let escaped = found.strip_prefix('\\').and_then(|found| found.chars().next());
        match escaped {
            Some('r') => out.push('\r'),
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('0') => out.push('\0'),
            Some('\\') => out.push('\\'),
            Some(other) => bail!("what is \\{other}?"),
            // `{port}` is filled in later.
            None => out.push('{'),
        }
        rest = &found[1 + usize::from(escaped.is_some())..];
    }
    out.push_str(rest);
    Ok(out)
}

/// `{x*9}` at the beginning of a text, and what stands behind it.
fn repetition(text: &str) -> Result<Option<(String, &str)>> {
    let inner = text.strip_prefix('{').and_then(|inner| inner.split_once('}'));
    let Some((inner, after)) = inner else { return Ok(None) };
    let Some((what, times)) = inner.rsplit_once('*') else { return Ok(None) };
    Ok(Some((unescape(what)?.repeat(times.parse()?), after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_cut_at_headings() {
        let text = "# Page\n```apache\nA 1\n```\nwords\n## One\n```file name=x\ny\n```\n## Two\n";
        let found = sections(text).unwrap();
        let titles: Vec<&str> = found.iter().map(|s| s.title.as_str()).collect();
        assert_eq!(titles, ["One", "Two"]);
        assert_eq!(found[0].blocks.len(), 2);
        assert_eq!(found[0].blocks[1].value("name"), Some("x"));
        assert_eq!(found[1].blocks[0].text, "A 1\n");
        assert!(sections("# x\n```a\n").is_err());
    }

    #[test]
    fn checks_are_paragraphs() {
        let found = checks("A\nB\n\n# differs: so\nC\n\n# comment\nD\n");
        let lines: Vec<&str> = found.iter().map(|check| &check.line[..]).collect();
        assert_eq!(lines, ["A\nB", "C", "# comment\nD"]);
        assert_eq!(found[1].differs.as_deref(), Some("so"));
        assert!(found[0].differs.is_none());
    }

    #[test]
    fn requests_are_lines() {
        let found =
            requests("# differs: we are kinder\nPOST /x | A: b < c\\nd\n").unwrap();
        assert_eq!(found[0].differs.as_deref(), Some("we are kinder"));
        let bytes = String::from_utf8(found[0].bytes()).unwrap();
        assert_eq!(
            bytes,
            "POST /x HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\
             Content-Length: 3\r\nA: b\r\n\r\nc\nd"
        );
        let found =
            requests("raw GET /{ab*2}{port} | x\\r\\n\nGET / | @[::1]:{port}").unwrap();
        assert_eq!(found[0].bytes(), b"GET /abab{port} | x\r\n");
        assert_eq!(found[0].method, "GET");
        assert_eq!(found[1].to.as_deref(), Some("[::1]:{port}"));
        assert!(found[1].headers.is_empty());
        assert!(requests("GET /\\q").is_err());
    }
}
