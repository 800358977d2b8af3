//! `testdata/syntax`: a file and its tree. Spans are shown as the lines and the bytes that
//! they cover, words as the lexer cuts them.

use std::fmt::Write;
use std::path::Path;

use directives::diagnostic::Diagnostic;
use directives::syntax::{self, Directive, FileId, Node, Tree, lexer};

const FILE: FileId = FileId(0);

/// The tree of a file is the one beside it.
pub fn check(path: &Path) {
    let source = std::fs::read(path).expect("a file");
    let (tree, problems) = syntax::parse(FILE, &source);
    let mut out = String::new();
    show(&tree.nodes, &source, 0, &mut out);
    for Diagnostic { message, line, .. } in problems {
        writeln!(out, "error on line {line}: {message}").expect("a string");
    }
    expect_test::expect_file![path.with_extension("tree")].assert_eq(&out);
}

/// A file, and each of its beginnings, is what its tree prints.
pub fn prints_back(path: &Path) {
    let source = std::fs::read(path).expect("a file");
    for end in 0..=source.len() {
        let source = &source[..end];
        let (tree, _): (Tree, _) = syntax::parse(FILE, source);
        assert!(
            tree.print(source) == source,
            "the first {end} bytes of {}",
            path.display()
        );
    }
}

fn show(nodes: &[Node], source: &[u8], depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    for node in nodes {
        match node {
            Node::Trivia(span) => {
                let text = source[span.range()].escape_ascii();
                writeln!(out, "{indent}trivia {span} \"{text}\"", span = place(*span))
            }
            Node::Directive(directive) => {
                writeln!(out, "{indent}{}", line("directive", directive))
            }
            Node::Section(section) => {
                writeln!(out, "{indent}{}", line("section", &section.open))
                    .expect("a string");
                show(&section.body, source, depth + 1, out);
                match section.close {
                    Some(span) => {
                        let text = source[span.range()].escape_ascii();
                        writeln!(out, "{indent}end {} \"{text}\"", place(span))
                    }
                    None => writeln!(out, "{indent}no end"),
                }
            }
        }
        .expect("a string");
    }
}

fn place(span: syntax::Span) -> String {
    format!("{}..{}", span.start, span.end)
}

fn line(kind: &str, directive: &Directive) -> String {
    let words = lexer::words(directive.args.bytes());
    let words = words.iter().map(|word| {
        let quote = if word.quoted { "\"" } else { "" };
        format!(" {quote}{}{quote}", word.bytes.escape_ascii())
    });
    format!(
        "{kind} {} line {} {}{}",
        place(directive.span),
        directive.last_line,
        directive.name.escape_ascii(),
        words.collect::<String>()
    )
}
