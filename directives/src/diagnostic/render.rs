//! The two renderings of a diagnostic.

use annotate_snippets::{AnnotationKind, Level, Patch, Renderer, Snippet};

use super::{Diagnostic, Severity, Stage, codes};
use crate::bundle::Sources;

/// As httpd prints it: scripts look for these lines. `program` is the name that the
/// single-line form begins with.
pub fn httpd(diagnostic: &Diagnostic, sources: &Sources, program: &str) -> String {
    let Some(span) = diagnostic.span else {
        return format!("{program}: {}", diagnostic.message);
    };
    let name = sources.name(span.file);
    let line = diagnostic.line;
    match diagnostic.stage {
        // Found when everything had been read.
        Stage::Apply if let Some(ah) = diagnostic.code.ah => format!(
            "AH{ah:05}: {}\nAH00014: Configuration check failed",
            diagnostic.message
        ),
        Stage::Apply => format!(
            "AH00526: Syntax error on line {line} of {name}:\n{}",
            diagnostic.message
        ),
        Stage::Read => {
            let mut chain = String::new();
            for (file, line) in sources.includes(span.file) {
                chain +=
                    &format!("Syntax error on line {line} of {}: ", sources.name(file));
            }
            let place = match diagnostic.code.number {
                n if n == codes::NOT_CLOSED.number => format!("{name}:{line}: "),
                _ => String::new(),
            };
            let message = &diagnostic.message;
            format!(
                "{program}: {chain}Syntax error on line {line} of {name}: {place}{message}"
            )
        }
    }
}

/// Names the place in the text of a warning in which httpd does.
pub fn name_place(diagnostic: &mut Diagnostic, sources: &Sources) {
    let Some(span) = diagnostic.span else { return };
    let (name, line) = (sources.name(span.file), diagnostic.line);
    let place = match diagnostic.code.number {
        n if n == codes::USELESS_OVERRIDE.number => format!(" in line {line} of {name}."),
        n if [
            &codes::USELESS_OVERRIDE_LIST,
            &codes::OVERRIDE_LIST,
            &codes::OVERRIDE_NEVER,
        ]
        .iter()
        .any(|code| code.number == n) =>
        {
            format!(" at {name}:{line}")
        }
        _ => return,
    };
    diagnostic.message += &place;
}

/// With the source line, a caret and advice; `color` for a terminal.
pub fn terminal(diagnostic: &Diagnostic, sources: &Sources, color: bool) -> String {
    let level = match diagnostic.code.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let id = diagnostic.id();
    let title = level.primary_title(diagnostic.message.as_str()).id(id.as_str());
    let texts: Vec<(String, String)> = diagnostic
        .span
        .iter()
        .chain(diagnostic.also.iter().map(|(span, _)| span))
        .map(|span| (sources.name(span.file).to_owned(), sources.lossy(span.file)))
        .collect();
    let mut group = annotate_snippets::Group::with_title(title);
    if let (Some(span), Some((name, text))) = (diagnostic.span, texts.first()) {
        let range = clamp(text, span.range());
        let mut mark = AnnotationKind::Primary.span(range);
        if let Some(label) = &diagnostic.label {
            mark = mark.label(label.as_str());
        }
        group = group
            .element(Snippet::source(text.as_str()).path(name.as_str()).annotation(mark));
    }
    for ((span, label), (name, text)) in diagnostic.also.iter().zip(texts.iter().skip(1))
    {
        let mark =
            AnnotationKind::Context.span(clamp(text, span.range())).label(label.as_str());
        group = group
            .element(Snippet::source(text.as_str()).path(name.as_str()).annotation(mark));
    }
    let mut report = vec![group];
    match (&diagnostic.edit, &diagnostic.help, texts.first()) {
        (Some(edit), help, Some((name, text))) => {
            let title = help.as_deref().unwrap_or("change it");
            let patch = Patch::new(clamp(text, edit.span.range()), edit.text.as_str());
            let snippet = Snippet::source(text.as_str()).path(name.as_str()).patch(patch);
            report.push(Level::HELP.secondary_title(title).element(snippet));
        }
        (_, Some(help), _) => {
            let help = Level::HELP.message(help.as_str());
            let group = report.remove(0);
            report.insert(0, group.element(help));
        }
        _ => {}
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&report).clone()
}

/// The renderer wants ranges inside the text and on character boundaries; a replaced
/// byte (not UTF-8) may have moved them.
fn clamp(text: &str, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    floor(range.start)..floor(range.end)
}
