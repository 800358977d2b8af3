//! Sections and their closing tags, with recovery: a broken file still has a tree.

use super::lexer::{self, Line, RawWord};
use super::span::{FileId, Span};
use super::{Directive, Node, Section, Tree};
use crate::diagnostic::{Diagnostic, codes};

/// How deep sections may stand in each other: the tree is walked by recursion.
const MAX_NESTING: usize = 100;

struct Open {
    line: Line,
    directive: Directive,
    body: Vec<Node>,
}

/// Parses one file. Parsing never fails; what is wrong is said in the diagnostics.
pub fn parse(file: FileId, source: &[u8]) -> (Tree, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let mut stack: Vec<Open> = Vec::new();
    let mut top: Vec<Node> = Vec::new();
    for line in lexer::lines(file, source) {
        let span = Span { file, start: line.start, end: line.end };
        let text = line.text.bytes();
        if text.is_empty() || text[0] == b'#' {
            push(&mut stack, &mut top, Node::Trivia(span));
            continue;
        }
        let Some((name, after)) = lexer::word(text, 0) else {
            push(&mut stack, &mut top, Node::Trivia(span));
            continue;
        };
        if name.bytes.starts_with(b"</") {
            close(&mut stack, &mut top, line, &name, &mut problems);
        } else if name.bytes.first() == Some(&b'<') && !name.quoted {
            if stack.len() >= MAX_NESTING {
                let at = line.text.span(name.range.clone());
                let message = format!("sections are nested more than {MAX_NESTING} deep");
                let number = line.last_line;
                problems.push(Diagnostic::read(&codes::NESTING, message, at, number));
                push(&mut stack, &mut top, Node::Trivia(span));
                continue;
            }
            let directive = opening(&line, &name, after);
            stack.push(Open { line, directive, body: Vec::new() });
        } else {
            let args = line.text.part(after..text.len());
            let directive = Directive {
                name_span: line.text.span(name.range.clone()),
                name: name.bytes,
                args,
                last_line: line.last_line,
                span,
            };
            push(&mut stack, &mut top, Node::Directive(directive));
        }
    }
    while let Some(open) = stack.pop() {
        problems.push(never_closed(&open));
        finish(&mut stack, &mut top, open, None);
    }
    (Tree { file, nodes: top }, problems)
}

/// `<Name args>`: the bracket may be glued to the name or stand apart. What follows
/// the last `>` is dropped by the sections themselves, as httpd's do.
fn opening(line: &Line, name: &RawWord, after: usize) -> Directive {
    let text = line.text.bytes();
    let glued = name.bytes.len() > 1 && name.bytes.ends_with(b">");
    let mut bytes = name.bytes.clone();
    let args = if glued {
        bytes.pop();
        line.text.part(name.range.end - 1..text.len())
    } else {
        line.text.part(after..text.len())
    };
    let start = line.text.span(name.range.clone()).start;
    let name_span =
        Span { file: line.text.file(), start, end: start + bytes.len() as u32 };
    let span = Span { file: line.text.file(), start: line.start, end: line.end };
    Directive { name_span, name: bytes, args, last_line: line.last_line, span }
}

fn close(
    stack: &mut Vec<Open>,
    top: &mut Vec<Node>,
    line: Line,
    name: &RawWord,
    problems: &mut Vec<Diagnostic>,
) {
    let glued = name.bytes.ends_with(b">");
    let bare = &name.bytes[2..name.bytes.len() - usize::from(glued)];
    let shown = String::from_utf8_lossy(bare).into_owned();
    let end = if glued { ">" } else { "" };
    let at = line.text.span(name.range.clone());
    let matches = |open: &Open| open.directive.name[1..].eq_ignore_ascii_case(bare);
    let mut fail = |message: String| {
        problems.push(Diagnostic::read(&codes::NESTING, message, at, line.last_line));
    };
    match stack.iter().rposition(matches) {
        None if stack.is_empty() => {
            fail(format!("</{shown}{end} without matching <{shown}{end} section"));
            let span = Span { file: at.file, start: line.start, end: line.end };
            push(stack, top, Node::Trivia(span));
        }
        None => {
            let inner = stack.last().map_or(String::new(), |o| o.directive.bare_name());
            fail(format!("Expected </{inner}> but saw </{shown}{end}"));
            let span = Span { file: at.file, start: line.start, end: line.end };
            push(stack, top, Node::Trivia(span));
        }
        Some(depth) => {
            if depth + 1 < stack.len() {
                let inner =
                    stack.last().map_or(String::new(), |o| o.directive.bare_name());
                fail(format!("Expected </{inner}> but saw </{shown}{end}"));
                while stack.len() > depth + 1 {
                    if let Some(open) = stack.pop() {
                        finish(stack, top, open, None);
                    }
                }
            } else if !glued {
                fail(format!("</{shown}> directive missing closing '>'"));
            }
            if let Some(open) = stack.pop() {
                finish(stack, top, open, Some(line));
            }
        }
    }
}

fn never_closed(open: &Open) -> Diagnostic {
    let message = format!("<{}> was not closed.", open.directive.bare_name());
    let line = open.line.last_line;
    Diagnostic::read(&codes::NOT_CLOSED, message, open.directive.name_span, line)
}

fn finish(stack: &mut [Open], top: &mut Vec<Node>, open: Open, close: Option<Line>) {
    let close = close.map(|line| Span {
        file: open.directive.span.file,
        start: line.start,
        end: line.end,
    });
    let node = Node::Section(Section { open: open.directive, body: open.body, close });
    push(stack, top, node);
}

fn push(stack: &mut [Open], top: &mut Vec<Node>, node: Node) {
    match stack.last_mut() {
        Some(open) => open.body.push(node),
        None => top.push(node),
    }
}
