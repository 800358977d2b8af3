//! What is wrong, or worth knowing, about a configuration: a number, a place, a
//! sentence, and where possible a way out. Two renderings: httpd's and the terminal's.

pub mod codes;
mod render;

use crate::syntax::Span;
pub use codes::Code;
pub use render::{httpd, name_place, terminal};

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The server does not start.
    Error,
    /// The server starts; what was written is probably not what was meant.
    Warning,
    /// Worth knowing once.
    Note,
}

/// When a problem was found: httpd words its report differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// While files were read and sections were matched.
    Read,
    /// While directives were applied.
    Apply,
}

/// A change to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; empty for an insertion.
    pub span: Span,
    /// By what.
    pub text: String,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Its kind.
    pub code: &'static Code,
    /// When it was found.
    pub stage: Stage,
    /// The sentence, in httpd's words where httpd has them.
    pub message: String,
    /// The place.
    pub span: Option<Span>,
    /// One-based line that httpd would name: the last of a continued directive.
    pub line: u32,
    /// What to say beside the caret.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// The change that mends it.
    pub edit: Option<Edit>,
    /// Another place that explains this one, such as an earlier definition.
    pub also: Vec<(Span, String)>,
}

impl Diagnostic {
    /// A finding at `span`, on line `line`.
    pub fn new(
        code: &'static Code,
        message: String,
        span: Span,
        line: u32,
    ) -> Diagnostic {
        Diagnostic {
            code,
            stage: Stage::Apply,
            message,
            span: Some(span),
            line,
            label: None,
            help: None,
            edit: None,
            also: Vec::new(),
        }
    }

    /// A finding made while reading.
    pub fn read(
        code: &'static Code,
        message: String,
        span: Span,
        line: u32,
    ) -> Diagnostic {
        Diagnostic { stage: Stage::Read, ..Diagnostic::new(code, message, span, line) }
    }

    /// A finding about the configuration as a whole.
    pub fn global(code: &'static Code, message: String) -> Diagnostic {
        Diagnostic {
            code,
            stage: Stage::Apply,
            message,
            span: None,
            line: 0,
            label: None,
            help: None,
            edit: None,
            also: Vec::new(),
        }
    }

    /// With a sentence about what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// The number as it is printed.
    pub fn id(&self) -> String {
        format!("FC{:04}", self.code.number)
    }

    /// Does it keep the server from starting?
    pub fn is_error(&self) -> bool {
        self.code.severity == Severity::Error
    }
}
