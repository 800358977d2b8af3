//! `ErrorDocument`: what to send instead of httpd's own page.

use bytes::Bytes;

use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::path;
use crate::schema::{Context, Directive, Override, Problem, Result, Set};
use crate::status;
use crate::syntax::{Text, lexer};

/// An error document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorDocument {
    /// This text.
    Text(Bytes),
    /// What this local URL path answers.
    Path(Bytes),
    /// A redirection to this URL.
    Url(Bytes),
    /// Neither of them, found out when it is used.
    Invalid(Bytes),
}

pub static ERROR_DOCUMENT: Directive = Directive {
    name: "ErrorDocument",
    syntax: "error-code document",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "Change responses for HTTP errors",
    docs: r#"
What the client gets for an error status: a text (a word or quoted), the answer of a
local URL path, a redirection to another URL, or `default`.

A FastCGI application may answer: it sees the original request in `REDIRECT_URL`,
`REDIRECT_STATUS`, `REDIRECT_QUERY_STRING`, `REDIRECT_REQUEST_METHOD` and the other
`REDIRECT_*` variables. A status that an application sets itself does not lead here.

## Example
    ErrorDocument 404 /errors/404.html
    ErrorDocument 500 "Application failed to start"
"#,
    set: Set::Raw(set),
    ..Directive::EXACT
};

fn set(at: &mut Scope, args: &Text) -> Result {
    let bytes = args.bytes();
    let Some((code, after)) = lexer::word(bytes, 0) else {
        return Err("ErrorDocument takes two arguments, Change responses for HTTP errors".into());
    };
    let shown = String::from_utf8_lossy(&code.bytes).into_owned();
    let number: u16 = match shown.parse() {
        Ok(number) if status::reason(number).is_some() && number >= 300 || number == 500 => number,
        _ => {
            let message = format!("Unsupported HTTP response code {shown}");
            return Err(Problem::from(message).at(args.span(code.range)));
        }
    };
    let rest = &bytes[after..];
    let document = match rest.first() {
        None => {
            let usage = "ErrorDocument takes two arguments, Change responses for HTTP errors";
            return Err(Problem::new(&codes::USAGE, usage));
        }
        // A quote begins a text; its end may be missing.
        Some(b'"' | b'\'') => {
            let text = lexer::word(bytes, after).map(|(word, _)| word.bytes).unwrap_or_default();
            classify(&text, true)
        }
        Some(_) if rest.eq_ignore_ascii_case(b"default") => None,
        Some(_) => classify(rest, false),
    };
    if number == 401 && matches!(document, Some(ErrorDocument::Url(_))) {
        let message =
            "cannot use a full URL in a 401 ErrorDocument directive --- ignoring!";
        at.note(Problem::new(&codes::CAUTION, message));
        return Ok(());
    }
    at.dir.core().error_documents.insert(number, document);
    Ok(())
}

fn classify(text: &[u8], quoted: bool) -> Option<ErrorDocument> {
    let text = Bytes::copy_from_slice(text);
    Some(if text.starts_with(b"/") {
        ErrorDocument::Path(text)
    } else if path::is_url(&text) {
        ErrorDocument::Url(text)
    } else if quoted || text.contains(&b' ') || !text.is_empty() {
        ErrorDocument::Text(text)
    } else {
        ErrorDocument::Invalid(text)
    })
}
