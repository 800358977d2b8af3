//! Variables of pages: what is in the environment, what a page adds to it, and `$NAME` in
//! values.

use bytes::Bytes;

use super::page::Page;
use super::text;
use crate::bundle::Who;
use crate::cgi;
use crate::log::Level;
use crate::path;

impl Page {
    /// The variables that a page begins with: `add_include_vars`. A page within a page has
    /// those of the page that it is in.
    pub(super) fn add_variables(&mut self) {
        cgi::populate(&mut self.r);
        let r = &mut self.r;
        let copy = Bytes::copy_from_slice;
        r.env.set("DOCUMENT_URI", copy(&r.uri));
        r.env.set("DOCUMENT_ARGS", r.args.clone().unwrap_or_default());
        if !r.path_info.is_empty() {
            r.env.set("DOCUMENT_PATH_INFO", copy(&r.path_info));
        }
        let name =
            if r.filename.is_empty() { &r.uri } else { path::base_name(&r.filename) };
        r.env.set("DOCUMENT_NAME", copy(name));
        let owner = r.finfo.and_then(|meta| r.files.user(Who::Id(meta.uid)));
        r.env.set(
            "USER_NAME",
            owner.map_or_else(|| "<unknown>".to_owned(), |user| user.name),
        );
        self.add_times();
    }

    /// The query of this very page.
    pub(super) fn add_query(&mut self) {
        let Some(args) = self.r.args.clone() else { return };
        let plain = escape_shell(&path::unescape_lenient(&args));
        self.r.env.set("QUERY_STRING", args);
        self.r.env.set("QUERY_STRING_UNESCAPED", plain);
    }

    /// The variables that are times, in the format at hand.
    pub(super) fn add_times(&mut self) {
        let now = self.r.request_time / 1_000_000;
        let local = self.local_time(now);
        let modified =
            self.modified.map_or_else(Vec::new, |modified| self.local_time(modified));
        let gmt = text::time(now, &self.settings.time_format, None);
        self.r.env.set("DATE_LOCAL", local);
        self.r.env.set("DATE_GMT", gmt);
        self.r.env.set("LAST_MODIFIED", modified);
    }

    /// A moment, seconds since 1970, on the server's clock.
    pub(super) fn local_time(&self, seconds: i64) -> Vec<u8> {
        let (files, micros) = (&self.r.files, seconds * 1_000_000);
        let zone = (files.utc_offset(micros), files.zone_name(micros));
        text::time(seconds, &self.settings.time_format, Some(zone))
    }

    /// A variable's value; `0` to `9` are groups of the last match. `get_include_var`.
    pub(super) fn variable(&mut self, name: &[u8]) -> Option<Bytes> {
        let [digit @ b'0'..=b'9'] = name else { return self.r.env.get(name).cloned() };
        let n = usize::from(digit - b'0');
        let Some((subject, groups)) = &self.matched else {
            let text =
                format!("regex capture ${n} refers to no regex in {}", self.file());
            self.r.log(Level::Warn, "include", 1329, text);
            return None;
        };
        groups.range(n).map(|(start, end)| subject.slice(start..end))
    }

    /// A value with its variables filled in: `ap_ssi_parse_string`.
    pub(super) fn fill(&mut self, value: &[u8]) -> Vec<u8> {
        self.filled(value, false)
    }

    /// The same; variables that there are not stay as they are, for a shell.
    pub(super) fn fill_known(&mut self, value: &[u8]) -> Vec<u8> {
        self.filled(value, true)
    }

    fn filled(&mut self, value: &[u8], keep: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(value.len());
        let mut rest = value;
        while let Some(at) = rest.iter().position(|&b| b == b'$' || b == b'\\') {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            if rest[0] == b'\\' {
                let escapes = rest.get(1) == Some(&b'$');
                out.push(if escapes { b'$' } else { b'\\' });
                rest = &rest[1 + usize::from(escapes)..];
                continue;
            }
            let (name, end) = if rest.get(1) == Some(&b'{') {
                let Some(end) = rest.iter().position(|&b| b == b'}') else {
                    let shown = String::from_utf8_lossy(&rest[2..]).into_owned();
                    let text = format!(
                        "Missing '}}' on variable \"{shown}\" in {}",
                        self.file()
                    );
                    self.r.log(Level::Error, "include", 1331, text);
                    return out;
                };
                (&rest[2..end], end + 1)
            } else {
                let name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
                let end = 1 + rest[1..].iter().take_while(|b| name(b)).count();
                (&rest[1..end], end)
            };
            if name.is_empty() {
                out.extend_from_slice(&rest[..end]);
            } else if let Some(value) = self.variable(name) {
                out.extend_from_slice(&value);
            } else if keep {
                out.extend_from_slice(&rest[..end]);
            }
            rest = &rest[end..];
        }
        out.extend_from_slice(rest);
        out
    }

    /// The page's file, for messages.
    pub(super) fn file(&self) -> String {
        String::from_utf8_lossy(&self.r.filename).into_owned()
    }
}

/// Puts a backslash before what a shell would take for something else:
/// `ap_escape_shell_cmd`.
pub(super) fn escape_shell(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if b"&;`'\"|*?~<>^()[]{}$\\\n\xff".contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out
}
