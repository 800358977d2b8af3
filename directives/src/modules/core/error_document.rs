//! `ErrorDocument`: what to send instead of httpd's own page.

use std::sync::Arc;

use bytes::Bytes;

use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::expr::Template;
use crate::log::Level;
use crate::path;
use crate::request::Request;
use crate::schema::{Context, Directive, Override, Problem, Result, Set, Word};
use crate::status;

/// An error document: what it is, and the text with expressions that says which.
#[derive(Clone)]
pub struct ErrorDocument {
    /// What it is.
    pub kind: Kind,
    text: Arc<Template>,
}

impl std::fmt::Debug for ErrorDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.text.constant() {
            Some(text) => write!(f, "{:?}({text:?})", self.kind),
            None => write!(f, "{:?}({:?})", self.kind, self.text),
        }
    }
}

/// Kinds of error documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The text itself.
    Text,
    /// What this local URL path answers.
    Path,
    /// A redirection to this URL.
    Url,
}

impl ErrorDocument {
    /// The text for a request; `None` if it cannot be said, and the log says why. See
    /// `ap_response_code_string`.
    pub fn text(&self, r: &mut Request) -> Option<Bytes> {
        // A client's name is known by now, or nobody could ask for it.
        let filled = self.text.fill(r);
        match filled.unwrap_or_else(|_| Err("too late for a look-up".to_owned())) {
            Ok(text) => Some(text),
            Err(why) => {
                let line = format!(
                    "core: ErrorDocument: can't evaluate require expression: {why}"
                );
                r.log(Level::Error, "core", 2841, line);
                None
            }
        }
    }
}

pub static ERROR_DOCUMENT: Directive = Directive {
    name: "ErrorDocument",
    syntax: "error-code document",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "Change responses for HTTP errors",
    docs: r#"
What the client gets for an error status: a text (a word or quoted), the answer of a
local URL path, a redirection to another URL, or `default`. Expressions in it are filled in.

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
        Ok(number)
            if status::reason(number).is_some() && number >= 300 || number == 500 =>
        {
            number
        }
        _ => {
            let message = format!("Unsupported HTTP response code {shown}");
            return Err(Problem::from(message).at(code.span));
        }
    };
    let kind = classify(&document.bytes);
    if number == 401 && kind == Kind::Url {
        let message =
            "cannot use a full URL in a 401 ErrorDocument directive --- ignoring!";
        at.note(Problem::new(&codes::ERROR_DOCUMENT, message));
        return Ok(());
    }
    let document = if document.is("default") {
        None
    } else {
        let text = Template::parse(&document.bytes, at.rules()).map_err(|why| {
            let message = format!("Cannot parse expression in ErrorDocument: {why}");
            Problem::from(message).at(document.span)
        })?;
        Some(ErrorDocument { kind, text: Arc::new(text) })
    };
    at.dir.core().error_documents.insert(number, document);
    Ok(())
}

fn classify(text: &[u8]) -> Kind {
    if text.contains(&b' ') {
        Kind::Text
    } else if text.starts_with(b"/") {
        Kind::Path
    } else if path::is_url(text) {
        Kind::Url
    } else {
        Kind::Text
    }
}
