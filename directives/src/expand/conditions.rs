//! `<IfModule>`, `<IfDefine>`, `<IfVersion>`, `<IfFile>`, `<IfDirective>`,
//! `<IfSection>`: which block is live.

use super::{Item, Reader};
use crate::diagnostic::codes;
use crate::known;
use crate::pattern::Pattern;
use crate::schema::{Read, Word, lookup};
use crate::version::HTTPD;

impl Reader<'_> {
    /// Does the condition of a container hold? `None` if it makes no sense, which is
    /// reported.
    pub(super) fn condition(
        &mut self,
        read: Read,
        name: &str,
        item: &Item,
    ) -> Option<bool> {
        let shown = format!("{name}>");
        let args = &item.args;
        // What stands behind the last bracket is dropped.
        let Some(end) = args.bytes().iter().rposition(|&b| b == b'>') else {
            self.fail(
                item,
                &codes::READ,
                format!("{shown} directive missing closing '>'"),
            );
            return None;
        };
        let inner = args.part(0..end);
        let trimmed = inner.bytes().trim_ascii();
        if trimmed.is_empty() {
            let message = format!("{shown} directive requires additional arguments");
            self.fail(item, &codes::READ, message);
            return None;
        }
        if read == Read::IfVersion {
            return self.version_condition(item, &Word::all(&inner));
        }
        let text = match Word::all(&inner).first() {
            // One word for all of them but `<IfFile>`, whose path may be quoted.
            Some(word) if word.quoted => word.lossy(),
            _ => String::from_utf8_lossy(trimmed).into_owned(),
        };
        let (negated, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start().to_owned()),
            None => (false, text),
        };
        let holds = match read {
            Read::IfModule => {
                lookup::module(&text).is_some() || known::is_served_module(&text)
            }
            Read::IfDefine => self.defines.contains_key(&text),
            Read::IfFile => {
                let path =
                    crate::path::server_relative(&self.server_root, text.as_bytes());
                path.is_some_and(|path| self.files.stat(&path).is_ok())
            }
            Read::IfDirective => lookup::directive(text.as_bytes()).is_some(),
            Read::IfSection => {
                let text = text.trim_start_matches('<');
                lookup::directive(format!("<{text}").as_bytes()).is_some()
            }
            _ => false,
        };
        Some(holds != negated)
    }

    /// `<IfVersion [[!]operator] version>`; see httpd's `mod_version.c`.
    fn version_condition(&mut self, item: &Item, words: &[Word]) -> Option<bool> {
        let (operator, version) = match words {
            [version] => ("=".to_owned(), version),
            [operator, version, ..] => (operator.lossy(), version),
            [] => return None,
        };
        let (negated, operator) = match operator.strip_prefix('!') {
            Some(rest) => (true, rest.to_owned()),
            None => (false, operator),
        };
        let operator = if operator.is_empty() { "=".to_owned() } else { operator };
        let wanted = version.lossy();
        let is_regex =
            wanted.len() > 1 && wanted.starts_with('/') && wanted.ends_with('/');
        let as_regex = |source: &str| {
            let shown = format!("{}.{}.{}", HTTPD[0], HTTPD[1], HTTPD[2]);
            Pattern::new(source.as_bytes(), false).map(|p| p.is_match(shown.as_bytes()))
        };
        let holds = match operator.as_str() {
            "=" | "==" if is_regex => as_regex(&wanted[1..wanted.len() - 1]),
            "~" | "=~" => {
                let wanted =
                    if is_regex { &wanted[1..wanted.len() - 1] } else { &wanted };
                as_regex(wanted)
            }
            "=" | "==" | ">" | ">=" | "<" | "<=" => match compare(&wanted) {
                Some(ordering) => Ok(match operator.as_str() {
                    ">" => ordering.is_gt(),
                    ">=" => ordering.is_ge(),
                    "<" => ordering.is_lt(),
                    "<=" => ordering.is_le(),
                    _ => ordering.is_eq(),
                }),
                None => Err("Version appears to be invalid. It must have the format \
                             major[.minor[.patch]] where major, minor and patch are numbers."
                    .to_owned()),
            },
            _ => Err(format!("unrecognized operator '{operator}'")),
        };
        match holds {
            Ok(holds) => Some(holds != negated),
            Err(message) => {
                self.fail_at(item, &codes::READ, version.span, message);
                None
            }
        }
    }
}

/// How the version that we are compares with `major[.minor[.patch]]`; missing parts are 0.
fn compare(wanted: &str) -> Option<std::cmp::Ordering> {
    let mut numbers = [0; 3];
    let parts: Vec<_> = wanted.split('.').collect();
    if parts.len() > 3 {
        return None;
    }
    for (number, part) in numbers.iter_mut().zip(parts) {
        *number = part.parse::<u32>().ok()?;
    }
    Some(HTTPD.cmp(&numbers))
}
