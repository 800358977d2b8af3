//! `testdata/errors`: a small configuration, and behind the line `#-- findings` what is
//! found in it: as httpd says it, then as it is shown on a terminal.

use std::path::{Path, PathBuf};

use directives::compile;
use directives::diagnostic::{self, Diagnostic, Severity, codes};

use crate::common::world::World;

const FINDINGS: &str = "#-- findings\n";

/// The findings are the ones that the file ends with.
pub fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("a configuration");
    let case = text.split(FINDINGS).next().unwrap_or_default();
    let compiled = compile(&World::entry(&[]), &World::parse(case));
    let mut out = format!("{case}{FINDINGS}");
    for found in &compiled.diagnostics {
        out += &if found.is_error() {
            diagnostic::httpd(found, &compiled.sources, "fcgi-httpd")
        } else {
            logged(found)
        };
        out += "\n\n";
        out += &diagnostic::terminal(found, &compiled.sources, false);
        out += "\n\n";
    }
    assert!(!compiled.diagnostics.is_empty(), "nothing is wrong with {}", path.display());
    expect_test::expect_file![path].assert_eq(&(out.trim_end().to_owned() + "\n"));
}

/// What is no error is a line of the log.
fn logged(found: &Diagnostic) -> String {
    let level = if found.code.severity == Severity::Note { "notice" } else { "warn" };
    let number = found.code.ah.map_or(String::new(), |ah| format!(" AH{ah:05}:"));
    format!("[{}:{level}]{number} {}", found.code.module, found.message)
}

/// Kinds that nothing gives yet.
const NOT_GIVEN: [&str; 4] = ["[FC0026]", "[FC0042]", "[FC0043]", "[FC0052]"];

/// Of every kind of finding there is an example.
pub fn every_kind_is_shown(files: &[PathBuf]) {
    let texts = files.iter().map(|path| std::fs::read_to_string(path).expect("a file"));
    let all: String = texts.collect();
    // The last ones are looked for by fcgi-conf check alone, and so are their examples:
    // compat-tests/tests/fcgi_conf.
    for code in codes::ALL.iter().filter(|code| code.number < 70) {
        let id = format!("[FC{:04}]", code.number);
        let is_shown = all.contains(&id);
        assert_eq!(is_shown, !NOT_GIVEN.contains(&id.as_str()), "{id}");
    }
}
