//! The same configuration, files and requests for apache2 and for ours: equal answers,
//! equal lines in the error log, and in `logs/access_log` where a page has one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use compat_tests::page::{self, Section};
use compat_tests::play::{self, play};
use compat_tests::server::Kind;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> std::process::ExitCode {
    let args = Arguments::from_args();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("side-by-side");
    let mut trials = Vec::new();
    for path in pages(&directory) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a page");
        let sections =
            page::sections(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for section in sections {
            let title = format!("{name}: {}", section.title);
            trials.push(Trial::test(title, move || {
                compare(&section).map_err(|error| Failed::from(format!("{error:#}")))
            }));
        }
    }
    libtest_mimic::run(&args, trials).exit_code()
}

fn pages(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the pages");
    let mut pages: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

fn compare(section: &Section) -> Result<()> {
    // What is tested is ours: apache2 on a busy machine may try twice.
    let apache = play(section, Kind::Apache).or_else(|_| play(section, Kind::Apache));
    let apache = apache.context("apache2")?;
    let ours = play(section, Kind::Ours).context("ours")?;
    let mut differences = Vec::new();
    let requests = play::requests(section)?;
    ensure!(!requests.is_empty(), "there are no requests");
    for (i, request) in requests.iter().enumerate() {
        let (theirs, ours) = (&apache.answers[i], &ours.answers[i]);
        match (&request.differs, theirs == ours) {
            (None, false) => {
                differences.push(format!(
                    "{}\n{}",
                    request.line,
                    difference(theirs, ours)
                ));
            }
            (Some(why), true) => {
                differences.push(format!(
                    "{}\ndoes not differ any more ({why})\n",
                    request.line
                ));
            }
            _ => {}
        }
    }
    let with_log = !section.blocks.iter().any(|block| block.has("no-log"));
    if with_log && apache.log != ours.log {
        let log = difference(&apache.log.join("\n"), &ours.log.join("\n"));
        differences.push(format!("error log\n{log}"));
    }
    if apache.access_log != ours.access_log {
        let log = difference(&apache.access_log.join("\n"), &ours.access_log.join("\n"));
        differences.push(format!("access log\n{log}"));
    }
    if !differences.is_empty() {
        bail!("{}", differences.join("\n"));
    }
    Ok(())
}

/// The lines that only one of them has.
fn difference(apache: &str, ours: &str) -> String {
    let only = |a: &str, b: &str, sign: &str| {
        let known: Vec<&str> = b.lines().collect();
        let lines = a.lines().filter(|line| !known.contains(line));
        lines.map(|line| format!("  {sign} {line}\n")).collect::<String>()
    };
    let lines = only(apache, ours, "apache2:") + &only(ours, apache, "ours:   ");
    if !lines.is_empty() {
        return lines;
    }
    let first = apache.lines().zip(ours.lines()).find(|(a, b)| a != b);
    let tail = |text: &str| text.lines().rev().take(3).collect::<Vec<_>>().join(" / ");
    let ends = (format!("(ends) {}", tail(apache)), format!("(ends) {}", tail(ours)));
    let (theirs, mine) = first.unwrap_or((&ends.0, &ends.1));
    format!("  in another order, first:\n  apache2: {theirs}\n  ours:    {mine}\n")
}
