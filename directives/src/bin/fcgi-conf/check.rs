//! `fcgi-conf check`: every finding, then what becomes of the directives.

use directives::bundle::{Entry, Files};
use directives::check;
use directives::diagnostic::{self, Severity};
use directives::{Compiled, compile};

use std::io::IsTerminal;

use lexopt::Parser;

use crate::options::{self, Problem, configuration_options};
use crate::tally::{Fate, Tally};
use crate::{disk, probe, progress, report};

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text with the lines in question.
    Human,
    /// One object.
    Json,
    /// SARIF 2.1.0, which code review and editors read.
    Sarif,
}

/// The command.
pub fn run(parser: &mut Parser) -> Result<bool, Problem> {
    let (mut entry, mut format) = (options::configuration(), Format::Human);
    let (mut offline, mut strict) = (false, false);
    while let Some(word) = options::next(parser)? {
        if options::names(&mut entry, &word, parser)? {
            continue;
        }
        match word.option() {
            "--format" => {
                format = match options::text(parser)?.as_str() {
                    "human" => Format::Human,
                    "json" => Format::Json,
                    "sarif" => Format::Sarif,
                    other => {
                        return options::usage(format!("there is no format {other}"));
                    }
                };
            }
            "--offline" => offline = true,
            "--strict" => strict = true,
            _ => return word.unexpected(),
        }
    }
    let color = std::io::stdout().is_terminal();
    let files = progress::Progress::new(disk::Disk);
    let mut checked = look(&entry, &files);
    if !offline {
        checked.probe(&files);
    }
    files.done();
    crate::print(&mut std::io::stdout(), &checked.shown(format, color));
    let warned = strict && checked.count(Severity::Warning) > 0;
    Ok(!checked.failed() && !warned)
}

/// The page.
pub const USAGE: &str = concat!(
    "\
Usage: fcgi-conf check [-f file] [-d directory] [-D name] [-T]
                       [-C \"directive\"] [-c \"directive\"]
                       [--format human|json|sarif] [--offline] [--strict]
Says what is wrong with a configuration, what this server makes of it, and what is likely to
go wrong with it: applications that do not answer, addresses that are taken, certificates
that end, files that are missing, .htaccess files with errors in them, and the known traps of mod_fastcgi (FC0070 and above).
",
    configuration_options!(),
    "\
  --format           : for people, for programs, for code review
  --offline          : without a look at sockets: applications are not connected to, and
                       addresses not tried
  --strict           : warnings count as errors
Exit status: 0 without errors, 1 with errors (with --strict also with warnings), 2 if the
command line is wrong. Notes never count.
"
);

/// A configuration that was looked at.
pub struct Checked {
    /// What compiling it gave.
    pub compiled: Compiled,
    /// What becomes of its directives.
    pub tally: Tally,
}

/// Looks at a configuration, and at the files that it names.
pub fn look(entry: &Entry, files: &dyn Files) -> Checked {
    let mut compiled = compile(entry, files);
    let traps = check::traps(&compiled, files);
    compiled.diagnostics.extend(traps);
    if let Some(snapshot) = &compiled.snapshot {
        let now = probe::now();
        compiled.diagnostics.extend(check::certificates(snapshot, now));
        compiled.diagnostics.extend(check::htaccess(snapshot, files));
    }
    let tally = Tally::of(&compiled.items);
    Checked { compiled, tally }
}

impl Checked {
    /// Looks at sockets, too.
    fn probe(&mut self, files: &dyn Files) {
        if let Some(snapshot) = &self.compiled.snapshot {
            let found = probe::sockets(snapshot, files);
            self.compiled.diagnostics.extend(found);
        }
    }

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
