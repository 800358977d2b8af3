//! A report for programs: an object of our own, and SARIF 2.1.0.

use directives::Diagnostic;
use directives::bundle::Sources;
use directives::diagnostic::{Severity, codes};
use directives::syntax::Span;
use directives::version::VERSION;

use crate::check::Checked;
use crate::tally::Fate;
use directives::json::Json;

/// A place that people count: from one, in characters.
struct Place {
    line: usize,
    column: usize,
}

fn place(sources: &Sources, span: Span, at: u32) -> Place {
    let text = sources.bytes(span.file);
    let before = &text[..(at as usize).min(text.len())];
    let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    // Bytes that do not begin a character are not counted.
    let column = before[start..].iter().filter(|&&b| b & 0xc0 != 0x80).count() + 1;
    Place { line: sources.line(span.file, at) as usize, column }
}

fn severity(found: &Diagnostic) -> &'static str {
    match found.code.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// `--format json`.
pub fn json(checked: &Checked) -> String {
    let sources = &checked.compiled.sources;
    let files = sources.iter().filter(|source| source.is_file);
    let findings = checked.compiled.diagnostics.iter().map(|found| {
        let mut fields = vec![
            ("id", Json::text(found.id())),
            ("severity", Json::text(severity(found))),
            ("title", Json::text(found.code.title)),
            ("message", Json::text(&found.message)),
        ];
        if let Some(span) = found.span {
            let start = place(sources, span, span.start);
            fields.push(("file", Json::text(sources.name(span.file))));
            fields.push(("line", Json::Number(start.line)));
            fields.push(("column", Json::Number(start.column)));
        }
        if let Some(help) = &found.help {
            fields.push(("help", Json::text(help)));
        }
        Json::Object(fields)
    });
    let kinds = Fate::ALL.map(|fate| {
        let kinds = checked.tally.with(fate).map(|(name, count)| {
            let mut fields =
                vec![("name", Json::text(name)), ("times", Json::Number(count.times))];
            if !count.reason.is_empty() {
                fields.push(("reason", Json::text(count.reason)));
            }
            if !count.places.is_empty() {
                let places = count.places.iter().map(|span| {
                    let line = place(sources, *span, span.start).line;
                    Json::text(format!("{}:{line}", sources.name(span.file)))
                });
                fields.push(("places", Json::list(places)));
            }
            Json::Object(fields)
        });
        (fate.name(), Json::list(kinds))
    });
    let report = Json::Object(vec![
        ("files", Json::list(files.map(|source| Json::text(&source.name)))),
        ("findings", Json::list(findings)),
        ("directives", Json::Object(kinds.into())),
    ]);
    format!("{report}\n")
}

/// `--format sarif`.
pub fn sarif(checked: &Checked) -> String {
    let rules = codes::ALL.iter().map(|code| {
        Json::Object(vec![
            ("id", Json::text(format!("FC{:04}", code.number))),
            ("shortDescription", Json::Object(vec![("text", Json::text(code.title))])),
        ])
    });
    let driver = Json::Object(vec![
        ("name", Json::text("fcgi-conf")),
        ("version", Json::text(VERSION)),
        ("rules", Json::list(rules)),
    ]);
    let sources = &checked.compiled.sources;
    let results = checked.compiled.diagnostics.iter().map(|found| result(found, sources));
    // What works differently stands in no diagnostic.
    let differing = checked.tally.with(Fate::Differs).flat_map(|(name, count)| {
        count.places.iter().map(move |span| {
            let text = format!("{name} works differently here: {}", count.reason);
            let found = Diagnostic::new(&codes::DIFFERS, text, *span, 0);
            result(&found, sources)
        })
    });
    let results: Vec<Json> = results.chain(differing).collect();
    let run = Json::Object(vec![
        ("tool", Json::Object(vec![("driver", driver)])),
        ("columnKind", Json::text("unicodeCodePoints")),
        ("results", Json::list(results)),
    ]);
    let report = Json::Object(vec![
        ("$schema", Json::text("https://json.schemastore.org/sarif-2.1.0.json")),
        ("version", Json::text("2.1.0")),
        ("runs", Json::list([run])),
    ]);
    format!("{report}\n")
}

fn result(found: &Diagnostic, sources: &Sources) -> Json {
    let mut fields = vec![
        ("ruleId", Json::text(found.id())),
        ("level", Json::text(severity(found))),
        ("message", Json::Object(vec![("text", Json::text(&found.message))])),
    ];
    // The lines of a macro and of the command line are in no file.
    if let Some(span) = found.span.filter(|span| sources.get(span.file).is_file) {
        let start = place(sources, span, span.start);
        let end = place(sources, span, span.end);
        let region = Json::Object(vec![
            ("startLine", Json::Number(start.line)),
            ("startColumn", Json::Number(start.column)),
            ("endLine", Json::Number(end.line)),
            ("endColumn", Json::Number(end.column)),
        ]);
        let uri = Json::text(format!("file://{}", escaped(sources.name(span.file))));
        let physical = Json::Object(vec![
            ("artifactLocation", Json::Object(vec![("uri", uri)])),
            ("region", region),
        ]);
        let location = Json::Object(vec![("physicalLocation", physical)]);
        fields.push(("locations", Json::list([location])));
    }
    Json::Object(fields)
}

/// A path as a part of a URI.
fn escaped(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    path.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
