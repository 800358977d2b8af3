//! `fcgi-conf check`: every finding, then what becomes of the directives.

use directives::bundle::{Entry, Files};
use directives::diagnostic::{self, Severity};
use directives::{Compiled, compile};

use crate::options::Format;
use crate::report;
use crate::tally::{Fate, Tally};

/// A configuration that was looked at.
pub struct Checked {
    /// What compiling it gave.
    pub compiled: Compiled,
    /// What becomes of its directives.
    pub tally: Tally,
}

/// Looks at a configuration.
pub fn check(entry: &Entry, files: &dyn Files) -> Checked {
    let compiled = compile(entry, files);
    let tally = Tally::of(&compiled.items);
    Checked { compiled, tally }
}

impl Checked {
    /// Would the server refuse to start?
    pub fn failed(&self) -> bool {
        self.compiled.failed()
    }

    /// The whole report.
    pub fn shown(&self, format: Format, color: bool) -> String {
        match format {
            Format::Human => self.human(color),
            Format::Json => report::json(self),
            Format::Sarif => report::sarif(self),
        }
    }

    /// How many findings are this bad?
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.compiled.diagnostics.iter();
        findings.filter(|found| found.code.severity == severity).count()
    }

    fn human(&self, color: bool) -> String {
        let mut out = String::new();
        for found in &self.compiled.diagnostics {
            out += &diagnostic::terminal(found, &self.compiled.sources, color);
            out += "\n\n";
        }
        let files = self.compiled.sources.iter().filter(|source| source.is_file).count();
        out += &format!(
            "{}: {}, {}, {}\n",
            many(files, "file"),
            many(self.count(Severity::Error), "error"),
            many(self.count(Severity::Warning), "warning"),
            many(self.count(Severity::Note), "note"),
        );
        for fate in Fate::ALL {
            out += &self.summary(fate);
        }
        out
    }

    /// The kinds with a fate: what is kept in one line, the others with their reasons.
    fn summary(&self, fate: Fate) -> String {
        let kinds: Vec<_> = self.tally.with(fate).collect();
        if kinds.is_empty() {
            return String::new();
        }
        let times: usize = kinds.iter().map(|(_, count)| count.times).sum();
        let mut out = format!("{}: {}\n", fate.name(), many(times, "directive"));
        for (name, count) in kinds.into_iter().filter(|_| fate != Fate::Kept) {
            let colon = if count.reason.is_empty() { "" } else { ": " };
            out += &format!("  {:>4} {name}{colon}{}\n", count.times, count.reason);
        }
        out
    }
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
