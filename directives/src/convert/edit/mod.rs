//! Edits of a configuration that is to stay httpd's: safe ones change nothing that anybody
//! could see, the others are for people to judge.
//!
//! Laws: converting twice changes nothing more; a file without an applicable edit comes
//! back byte for byte.

mod access;
mod back;
mod fcgid;
mod gate;
mod proxy;
mod spelling;

pub use back::to_fcgid;
pub(crate) use proxy::backend;

use crate::Compiled;
use crate::expand::Item;
use crate::syntax::{FileId, Node, Section, Span};

/// One edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is replaced; empty for an insertion.
    pub span: Span,
    /// By what.
    pub text: String,
    /// Nothing changes but the text.
    pub safe: bool,
    /// Why, and for an edit that is not safe what has to be looked at.
    pub why: String,
}

/// All edits of a configuration, in the order of the texts.
pub fn changes(compiled: &Compiled) -> Vec<Change> {
    let mut changes = spelling::changes(compiled);
    changes.extend(access::changes(compiled));
    let mut gates = gate::Gates::new(compiled);
    changes.extend(fcgid::changes(compiled, &mut gates));
    changes.extend(proxy::changes(compiled, &mut gates));
    in_order(compiled, changes)
}

/// The edits of files, in the order of the texts.
fn in_order(compiled: &Compiled, mut changes: Vec<Change>) -> Vec<Change> {
    changes.retain(|change| compiled.sources.get(change.span.file).is_file);
    changes.sort_by_key(|change| (change.span.file, change.span.start, change.span.end));
    // A file that is included twice has the same edits twice.
    changes.dedup();
    changes
}

/// mod_fastcgi's directives as those of the modules that come with httpd: `found` is what
/// stands in the place of a directive, and of each that goes, why it does.
pub(super) fn replaced(
    compiled: &Compiled,
    found: Vec<(&Item, Result<Vec<String>, String>)>,
) -> Vec<Change> {
    let changes = found.into_iter().map(|(item, said)| match said {
        Err(why) => commented(compiled, item, &why),
        Ok(said) => {
            let blank = indent(compiled, item);
            let text = said.iter().map(|line| format!("{blank}{line}\n")).collect();
            let why =
                "mod_proxy_fcgi connects to applications that run already".to_owned();
            Change { span: lines(compiled, item), text, safe: false, why }
        }
    });
    in_order(compiled, changes.collect())
}

/// A file's text with the edits for it that are wanted; the ones that would change what
/// another has changed already are left out.
pub fn applied(
    bytes: &[u8],
    file: FileId,
    changes: &[Change],
    wanted: fn(&Change) -> bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for change in
        changes.iter().filter(|change| change.span.file == file && wanted(change))
    {
        let range = change.span.range();
        if range.start < at {
            continue;
        }
        out.extend_from_slice(&bytes[at..range.start]);
        out.extend_from_slice(change.text.as_bytes());
        at = range.end;
    }
    out.extend_from_slice(&bytes[at..]);
    out
}

/// The parsed files of a configuration, each path once.
pub(super) fn files(compiled: &Compiled) -> Vec<(FileId, Vec<Node>)> {
    let mut seen: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    for (index, source) in compiled.sources.iter().enumerate() {
        if source.is_file && !seen.contains(&source.name.as_str()) {
            seen.push(&source.name);
            let file = FileId(index as u32);
            out.push((file, crate::syntax::parse(file, &source.bytes).0.nodes));
        }
    }
    out
}

/// Calls `found` for every directive and opening tag.
pub(super) fn each_directive(
    nodes: &[Node],
    found: &mut impl FnMut(&crate::syntax::Directive),
) {
    for node in nodes {
        match node {
            Node::Trivia(_) => {}
            Node::Directive(directive) => found(directive),
            Node::Section(Section { open, body, .. }) => {
                found(open);
                each_directive(body, found);
            }
        }
    }
}

/// The lines that a directive takes, with their ends.
fn lines(compiled: &Compiled, item: &Item) -> Span {
    let bytes = compiled.sources.bytes(item.name_span.file);
    let start = item.name_span.start as usize;
    let start = bytes[..start].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let last = item.args.whole().end.max(item.name_span.end) as usize;
    let end = bytes[last..].iter().position(|&b| b == b'\n');
    let end = end.map_or(bytes.len(), |at| last + at + 1);
    Span { file: item.name_span.file, start: start as u32, end: end as u32 }
}

/// What a directive's line begins with.
fn indent(compiled: &Compiled, item: &Item) -> String {
    let bytes = compiled.sources.bytes(item.name_span.file);
    let start = lines(compiled, item).range().start;
    let blank = bytes[start..].iter().take_while(|b| **b == b' ' || **b == b'\t').count();
    String::from_utf8_lossy(&bytes[start..start + blank]).into_owned()
}

/// A directive's lines as a comment, with the reason behind them.
fn commented(compiled: &Compiled, item: &Item, why: &str) -> Change {
    let span = lines(compiled, item);
    let text = String::from_utf8_lossy(&compiled.sources.bytes(span.file)[span.range()]);
    let blank = indent(compiled, item);
    let lines = text.lines().map(|line| format!("{blank}# {}\n", line.trim_start()));
    let text = format!("{blank}# Not carried over: {why}\n{}", lines.collect::<String>());
    Change { span, text, safe: false, why: why.to_owned() }
}
