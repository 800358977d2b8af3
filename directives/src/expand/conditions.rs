//! `<IfModule>`, `<IfDefine>`, `<IfVersion>`, `<IfFile>`, `<IfDirective>`,
//! `<IfSection>`: which block is live.

use super::{Item, Reader};
use crate::diagnostic::codes;
use crate::known;
use crate::modules::is_at_work;
use crate::pattern::Pattern;
use crate::schema::{Read, Word, lookup};
use crate::version::HTTPD;

const NO_VERSION: &str = "Version appears to be invalid. It must have the format \
                          major[.minor[.patch]] where major, minor and patch are numbers.";

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
        if trimmed.is_empty() && read != Read::IfVersion {
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
                let built_in = lookup::module(&text);
                built_in.is_some_and(|module| is_at_work(module.id, &self.loaded))
                    || known::is_served_module(&text)
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
            [] => {
                self.fail(item, &codes::READ, NO_VERSION.to_owned());
                return None;
            }
            [version] => ("=".to_owned(), version),
            // The third is a bracket that stands apart.
            [operator, version] | [operator, version, _] => (operator.lossy(), version),
            [..] => {
                let message = "<IfVersion takes one, two or three arguments, a comparison \
                               operator, a version (and a delimiter)";
                self.fail(item, &codes::USAGE, message.to_owned());
                return None;
            }
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
                None => Err(NO_VERSION.to_owned()),
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

/// What `Error` says: its text, without the quotes around it; see `generate_error`.
pub(super) fn error_text(args: &[u8]) -> String {
    let text = match args {
        [] => b"The Error directive was used with no message.",
        [first @ (b'"' | b'\''), inner @ .., last] if first == last => inner,
        text => text,
    };
    String::from_utf8_lossy(text).into_owned()
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
