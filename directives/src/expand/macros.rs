//! `<Macro>`, `Use`, `UndefMacro`: httpd's `mod_macro.c`.

use std::borrow::Cow;

use super::{Item, MAX_DEPTH, Reader};
use crate::bundle::Origin;
use crate::diagnostic::{Code, Diagnostic, codes};
use crate::schema::Word;
use crate::syntax::{FileId, Node, Span};

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
        let (Some(first), Some(last)) = (body.first(), body.last()) else {
            return Vec::new();
        };
        let (start, end) = (first.span().start as usize, last.span().end as usize);
        self.sources.bytes(file)[start..end].to_vec()
    }

    pub(super) fn define_macro(&mut self, item: &Item, body: &[Node]) {
        let args = item.args.bytes();
        let Some(end) = args.iter().rposition(|&b| b == b'>') else {
            let message = "<Macro> directive missing closing '>'".to_owned();
            self.fail(item, &codes::MACRO, message);
            return;
        };
        let words = Word::all(&item.args.part(0..end));
        let Some((name, parameters)) = words.split_first() else {
            let message = "<Macro macro definition: empty name".to_owned();
            self.fail(item, &codes::MACRO, message);
            return;
        };
        if name.bytes.is_empty() {
            let message = "<Macro macro definition: name not found".to_owned();
            self.fail(item, &codes::MACRO, message);
            return;
        }
        let key = name.lossy().to_ascii_lowercase();
        let file = item.args.file();
        let (line, source) = (item.line, self.sources.name(file));
        let location = format!("defined on line {line} of \"{source}\"");
        if let Some(old) = self.macros.get(&key) {
            // The later definition holds.
            let message = format!(
                "macro '{key}' multiply defined: {}, redefined on line {line} of \"{source}\"",
                old.location
            );
            self.warn(item, &codes::MACRO_TWICE, name.span, message);
        }
        let subject = format!("macro '{key}' ({location})");
        if let Err((at, message)) = self.check_parameters(item, &subject, parameters) {
            self.fail_at(item, &codes::MACRO, at, message);
            return;
        }
        if body.iter().all(|node| matches!(node, Node::Trivia(_))) {
            self.warn(
                item,
                &codes::MACRO_EMPTY,
                name.span,
                format!("{subject}: empty contents!"),
            );
        }
        let body = self.body_text(file, body);
        for (i, parameter) in parameters.iter().enumerate() {
            let text = parameter.lossy();
            let is_used = forms(&text)
                .any(|form| body.windows(form.len()).any(|part| part == form.as_bytes()));
            if !is_used && !body.is_empty() {
                let message =
                    format!("{subject}: argument '{text}' (#{}) never used", i + 1);
                self.warn(item, &codes::MACRO_UNUSED, parameter.span, message);
            }
        }
        let parameters = parameters.iter().map(Word::lossy).collect();
        self.macros.insert(key.clone(), Macro { name: key, parameters, body, location });
    }

    /// `check_macro_arguments`: names that are empty, equal, or easily confused.
    fn check_parameters(
        &mut self,
        item: &Item,
        subject: &str,
        parameters: &[Word],
    ) -> Result<(), (Span, String)> {
        for (i, parameter) in parameters.iter().enumerate() {
            let (number, name) = (i + 1, parameter.lossy());
            if name.is_empty() {
                let message = format!("{subject}: empty argument #{number} name");
                return Err((parameter.span, message));
            }
            if !name.starts_with(['$', '%', '@']) {
                let message = format!(
                    "{subject} argument name '{name}' (#{number}) without expected prefix, \
                     better prefix argument names with one of '$%@'."
                );
                self.warn(item, &codes::MACRO_PARAMETER, parameter.span, message);
            }
            for (j, other) in parameters.iter().enumerate().skip(number) {
                let other_name = other.lossy();
                if name == other_name {
                    let message = format!(
                        "argument name conflict in {subject}: argument '{name}': #{number} and \
                         #{}, change argument names!",
                        j + 1
                    );
                    return Err((other.span, message));
                }
                let is_prefix =
                    name.starts_with(&other_name) || other_name.starts_with(&name);
                if is_prefix && !other_name.is_empty() {
                    let message = format!(
                        "{subject}: argument name prefix conflict ({name} #{number} and \
                         {other_name} #{}), be careful about your macro definition!",
                        j + 1
                    );
                    self.warn(item, &codes::MACRO_PREFIX, other.span, message);
                }
            }
        }
        Ok(())
    }

    fn warn(&mut self, item: &Item, code: &'static Code, span: Span, message: String) {
        self.diagnostics.push(Diagnostic::new(code, message, span, item.line));
    }

    pub(super) fn undefine_macro(&mut self, item: &Item, name: &Word) {
        let key = name.lossy().to_ascii_lowercase();
        let message = if self.macros.is_empty() {
            "no macro defined before UndefMacro".to_owned()
        } else {
            format!("cannot remove undefined macro '{key}'")
        };
        if self.macros.remove(&key).is_none() {
            self.fail_at(item, &codes::MACRO, name.span, message);
        }
    }

    pub(super) fn use_macro(&mut self, item: &Item, words: &[Word], out: &mut Vec<Item>) {
        if self.macros.is_empty() {
            self.fail(item, &codes::MACRO, "no macro defined before Use".to_owned());
            return;
        }
        let Some((name, values)) =
            words.split_first().filter(|(name, _)| !name.bytes.is_empty())
        else {
            let message = "no macro name specified with Use".to_owned();
            self.fail(item, &codes::MACRO, message);
            return;
        };
        let key = name.lossy().to_ascii_lowercase();
        let Some(found) = self.macros.get(&key).cloned() else {
            let message = format!("macro '{key}' undefined");
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
        if self.active_macros.contains(&name) || self.depth >= MAX_DEPTH {
            let message = format!("recursive use of macro '{name}' is invalid");
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
        self.active_macros.push(name);
        // httpd names the macro and its use, not the file around them.
        out.extend(self.read_text(source, text, Origin::Root));
        self.active_macros.pop();
        self.depth -= 1;
    }
}

/// How a body may write a parameter: `$a` is also `${a}`.
fn forms(parameter: &str) -> impl Iterator<Item = String> {
    let braced = parameter.strip_prefix('$').filter(|rest| !rest.starts_with('{'));
    let braced = braced.map(|rest| format!("${{{rest}}}"));
    std::iter::once(parameter.to_owned()).chain(braced)
}

/// Replaces parameters in a macro's body: longest name first at each place. The value of
/// `@a` comes in quotes.
fn substitute(body: &[u8], parameters: &[String], values: &[&[u8]]) -> Vec<u8> {
    let mut forms: Vec<(Vec<u8>, Cow<'_, [u8]>)> = parameters
        .iter()
        .zip(values)
        .flat_map(|(parameter, value)| {
            let value =
                if parameter.starts_with('@') { quoted(value) } else { (*value).into() };
            forms(parameter).map(move |form| (form.into_bytes(), value.clone()))
        })
        .collect();
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
