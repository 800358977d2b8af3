//! `ErrorDocument`: what to send instead of httpd's own page.

use bytes::Bytes;

use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::path;
use crate::schema::{Context, Directive, Override, Problem, Result, Set, Word};
use crate::status;

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
    set: Set::Two(set),
    ..Directive::EXACT
};

fn set(at: &mut Scope, code: &Word, document: &Word) -> Result {
    let shown = code.lossy();
    let number: u16 = match shown.parse() {
        Ok(number) if status::reason(number).is_some() && number >= 300 || number == 500 => number,
        _ => {
            let message = format!("Unsupported HTTP response code {shown}");
            return Err(Problem::from(message).at(code.span));
        }
    };
    let document = (!document.is("default")).then(|| classify(document.bytes.clone()));
    if number == 401 && matches!(document, Some(ErrorDocument::Url(_))) {
        let message =
            "cannot use a full URL in a 401 ErrorDocument directive --- ignoring!";
        at.note(Problem::new(&codes::ERROR_DOCUMENT, message));
        return Ok(());
    }
    at.dir.core().error_documents.insert(number, document);
    Ok(())
}

fn classify(text: Bytes) -> ErrorDocument {
    if text.contains(&b' ') {
        ErrorDocument::Text(text)
    } else if text.starts_with(b"/") {
        ErrorDocument::Path(text)
    } else if path::is_url(&text) {
        ErrorDocument::Url(text)
    } else if text.is_empty() {
        ErrorDocument::Invalid(text)
    } else {
        ErrorDocument::Text(text)
    }
}
