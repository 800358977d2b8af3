//! `<Macro>`, `Use`, `UndefMacro`: httpd's `mod_macro.c`.

use std::borrow::Cow;

use super::{Item, MAX_DEPTH, Reader};
use crate::bundle::Origin;
use crate::diagnostic::codes;
use crate::schema::Word;
use crate::syntax::{FileId, Node, Section};

/// A macro: parameters with their prefix character, and the lines of its body.
#[derive(Clone, Debug)]
pub struct Macro {
    name: String,
    parameters: Vec<String>,
    body: Vec<u8>,
    /// Where it stands, in httpd's words.
    location: String,
}

impl Reader<'_> {
    /// The source range of a body: from its first node to its last.
    fn body_text(&self, file: FileId, body: &[Node]) -> Vec<u8> {
        let span = |node: &Node| match node {
            Node::Trivia(span) => (span.start, span.end),
            Node::Directive(directive) => (directive.span.start, directive.span.end),
            Node::Section(Section { open, body, close }) => {
                let end = close.map(|close| close.end);
                let inner = body.last().map_or(open.span.end, |node| match node {
                    Node::Trivia(span) => span.end,
                    Node::Directive(directive) => directive.span.end,
                    Node::Section(section) => section.close.map_or(0, |close| close.end),
                });
                (open.span.start, end.unwrap_or(inner))
            }
        };
        let (Some(first), Some(last)) = (body.first(), body.last()) else {
            return Vec::new();
        };
        let (start, end) = (span(first).0 as usize, span(last).1 as usize);
        self.sources.bytes(file)[start..end].to_vec()
    }

    pub(super) fn define_macro(&mut self, item: &Item, body: &[Node]) {
        let args = item.args.bytes();
        let end = args.iter().rposition(|&b| b == b'>');
        let words = match end {
            Some(end) => Word::all(&item.args.part(0..end)),
            None => {
                let message = "end of container not found".to_owned();
                self.fail(item, &codes::MACRO, message);
                return;
            }
        };
        let Some((name, parameters)) = words.split_first() else {
            let message = "macro definition: name not found".to_owned();
            self.fail(item, &codes::MACRO, message);
            return;
        };
        let key = name.lossy().to_ascii_lowercase();
        let file = item.args.file();
        let location =
            format!("defined on line {} of \"{}\"", item.line, self.sources.name(file));
        if let Some(old) = self.macros.get(&key) {
            let message = format!(
                "Recursion or redefinition: macro \"{}\" is {}",
                old.name, old.location
            );
            // httpd only warns; the later definition holds.
            let finding = crate::diagnostic::Diagnostic::new(
                &codes::CAUTION,
                message,
                name.span,
                item.line,
            );
            self.diagnostics.push(finding);
        }
        let parameters: Vec<String> = parameters.iter().map(Word::lossy).collect();
        for (i, parameter) in parameters.iter().enumerate() {
            if parameters[..i].contains(parameter) {
                let message = format!(
                    "macro '{key}' ({location}): argument #{} and #{} share the same name '{parameter}'",
                    parameters[..i].iter().position(|p| p == parameter).unwrap_or(0) + 1,
                    i + 1,
                );
                self.fail(item, &codes::MACRO, message);
                return;
            }
        }
        let body = self.body_text(file, body);
        self.macros.insert(key.clone(), Macro { name: key, parameters, body, location });
    }

    pub(super) fn undefine_macro(&mut self, item: &Item, name: &Word) {
        if self.macros.remove(&name.lossy().to_ascii_lowercase()).is_none() {
            let name_lower = name.lossy().to_ascii_lowercase();
            let message = format!("cannot remove undefined macro '{name_lower}'");
            self.fail_at(item, &codes::MACRO, name.span, message);
        }
    }

    pub(super) fn use_macro(&mut self, item: &Item, words: &[Word], out: &mut Vec<Item>) {
        let Some((name, values)) = words.split_first() else {
            self.fail(item, &codes::MACRO, "no macro name specified in use".to_owned());
            return;
        };
        if self.macros.is_empty() {
            self.fail(item, &codes::MACRO, "no macro defined before Use".to_owned());
            return;
        }
        let Some(found) = self.macros.get(&name.lossy().to_ascii_lowercase()).cloned()
        else {
            let message =
                format!("macro '{}' undefined", name.lossy().to_ascii_lowercase());
            self.fail_at(item, &codes::MACRO, name.span, message);
            return;
        };
        let Macro { name, parameters, body, location } = found;
        if parameters.len() != values.len() {
            let message = format!(
                "macro '{name}' ({location}) used with {} arguments instead of {}",
                values.len(),
                parameters.len()
            );
            self.fail(item, &codes::MACRO, message);
            return;
        }
        if self.depth >= MAX_DEPTH {
            let message = format!("macro '{name}' ({location}): recursive use of itself");
            self.fail(item, &codes::MACRO, message);
            return;
        }
        let values: Vec<&[u8]> = values.iter().map(|word| &word.bytes[..]).collect();
        let text = substitute(&body, &parameters, &values);
        let file = item.args.file();
        let used =
            format!("used on line {} of \"{}\"", item.line, self.sources.name(file));
        let source = format!("macro '{name}' ({location}) {used}");
        self.depth += 1;
        let origin = Origin::Included { file, line: item.line };
        out.extend(self.read_text(source, text, origin));
        self.depth -= 1;
    }
}

/// Replaces parameters in a macro's body: longest name first at each place. A parameter
/// `$a` is also written `${a}`; the value of `@a` comes in quotes.
fn substitute(body: &[u8], parameters: &[String], values: &[&[u8]]) -> Vec<u8> {
    let mut forms: Vec<(Vec<u8>, Cow<'_, [u8]>)> = Vec::new();
    for (parameter, &value) in parameters.iter().zip(values) {
        let value = if parameter.starts_with('@') { quoted(value) } else { value.into() };
        forms.push((parameter.clone().into_bytes(), value.clone()));
        if let Some(rest) = parameter.strip_prefix('$')
            && !rest.starts_with('{')
        {
            forms.push((format!("${{{rest}}}").into_bytes(), value));
        }
    }
    forms.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    while at < body.len() {
        match forms
            .iter()
            .find(|(form, _)| !form.is_empty() && body[at..].starts_with(form))
        {
            Some((form, value)) => {
                out.extend_from_slice(value);
                at += form.len();
            }
            None => {
                out.push(body[at]);
                at += 1;
            }
        }
    }
    out
}

fn quoted(value: &[u8]) -> Cow<'_, [u8]> {
    let mut out = vec![b'"'];
    for &byte in value {
        if byte == b'"' || byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
    out.into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_longest_parameter_wins() {
        let parameters = ["$a".to_owned(), "$ab".to_owned(), "%x".to_owned()];
        let out =
            super::substitute(b"$ab $a ${a} %x $c", &parameters, &[b"1", b"2", b"3"]);
        assert_eq!(out, b"2 1 1 3 $c");
        let out = super::substitute(b"A @x", &["@x".to_owned()], &[b"b \"c\""]);
        assert_eq!(out, br#"A "b \"c\"""#);
    }
}
