//! The lossless tree of one configuration file. It owns spans into the file and, for
//! directives, the joined text; comments, blank lines and continuations are nodes.
//!
//! Law: printing a tree gives the file back, byte for byte.

pub mod lexer;
mod parser;
pub mod span;
pub mod text;

pub use parser::parse;
pub use span::{FileId, Span};
pub use text::Text;

/// One file, parsed.
#[derive(Debug)]
pub struct Tree {
    /// The file.
    pub file: FileId,
    /// What stands in it, in order.
    pub nodes: Vec<Node>,
}

/// A piece of a file. Its span reaches over its line end.
#[derive(Clone, Debug)]
pub enum Node {
    /// A comment, a blank line, or a closing tag that closes nothing.
    Trivia(Span),
    /// One directive.
    Directive(Directive),
    /// A container and what stands in it.
    Section(Section),
}

impl Node {
    /// All of it: of a container without its closing line, up to the end of its body.
    pub fn span(&self) -> Span {
        match self {
            Node::Trivia(span) => *span,
            Node::Directive(directive) => directive.span,
            Node::Section(Section { open, body, close }) => {
                let last = close.or_else(|| body.last().map(Node::span));
                Span { end: last.unwrap_or(open.span).end, ..open.span }
            }
        }
    }
}

/// A directive as it was written.
#[derive(Clone, Debug)]
pub struct Directive {
    /// The name as typed; sections have a leading `<`.
    pub name: Vec<u8>,
    /// Where the name stands.
    pub name_span: Span,
    /// What follows the name; of a section, up to and including its `>`.
    pub args: Text,
    /// One-based number of its last line, the one that httpd reports.
    pub last_line: u32,
    /// The whole line.
    pub span: Span,
}

impl Directive {
    /// The name for messages, without a section's bracket.
    pub fn bare_name(&self) -> String {
        let name = self.name.strip_prefix(b"<").unwrap_or(&self.name);
        String::from_utf8_lossy(name).into_owned()
    }
}

/// A container.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its opening line.
    pub open: Directive,
    /// What stands in it.
    pub body: Vec<Node>,
    /// Its closing line, if it has one.
    pub close: Option<Span>,
}

impl Tree {
    /// The file's bytes again.
    pub fn print(&self, source: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(source.len());
        for node in &self.nodes {
            print(node, source, &mut out);
        }
        out
    }
}

fn print(node: &Node, source: &[u8], out: &mut Vec<u8>) {
    match node {
        Node::Trivia(span) => out.extend_from_slice(&source[span.range()]),
        Node::Directive(directive) => {
            out.extend_from_slice(&source[directive.span.range()]);
        }
        Node::Section(section) => {
            out.extend_from_slice(&source[section.open.span.range()]);
            for node in &section.body {
                print(node, source, out);
            }
            if let Some(close) = section.close {
                out.extend_from_slice(&source[close.range()]);
            }
        }
    }
}
