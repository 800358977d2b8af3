//! Runs the conformance suite against the server and holds its result against
//! `compat-tests/deviations.toml`: a case that fails must be named there, and a case that
//! is named there must fail.
//!
//! `conformance DIRECTORY [FILTER]`, the directory of the suite. Exit status 0 if the
//! result is the expected one, 1 if not.
#![allow(clippy::print_stdout, clippy::print_stderr)] // this is a program

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use compat_tests::server::Kind;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let mut args = std::env::args_os().skip(1);
    let suite = args.next().context("usage: conformance DIRECTORY [FILTER]")?;
    let suite = Path::new(&suite).canonicalize()?;
    let known = Known::read()?;

    let filter = args.next();
    let cases = conform(&suite, filter.as_deref())?;
    let mut tally = Tally::default();
    let mut seen = Vec::new();
    for case in &cases {
        let id = case["id"].as_str().context("a case without an id")?;
        let mut status = case["status"].as_str().context("a case without a status")?;
        seen.push(id.to_owned());
        // A line of the access log is written behind the last byte of the answer: on a
        // busy machine the next request's may come first.
        if status == "fail" && !known.names(id) && passes_alone(&suite, id)? {
            println!("{id}: failed among the others, and passes alone");
            status = "pass";
        }
        tally.count(&known, id, status);
        if status == "fail" && !known.names(id) {
            println!("{id}: {}", serde_json::to_string_pretty(&case["diffs"])?);
        }
    }
    if filter.is_none() {
        for id in known.deviations.keys().chain(known.later.keys()) {
            if !seen.contains(id) {
                tally
                    .complaints
                    .push(format!("{id} is named, but there is no such case"));
            }
        }
    }
    tally.print();
    Ok(tally.complaints.is_empty())
}

/// Runs cases; their results as the suite writes them.
fn conform(suite: &Path, filter: Option<&OsStr>) -> Result<Vec<serde_json::Value>> {
    let out = tempfile::NamedTempFile::new()?;
    let server = Kind::Ours.program();
    let server = server.to_str().context("the server's path is not text")?;
    let mut command = Command::new(suite.join("conform"));
    command
        .current_dir(suite)
        .arg("run")
        .arg("--server")
        .arg(format!("{server} -DFOREGROUND -d {{root}} -f {{conf}}"))
        .args(["--jobs", "1", "--json"])
        .arg(out.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some(filter) = filter {
        command.arg("--filter").arg(filter);
    }
    command.status().context("starting conform")?;
    let results: serde_json::Value = serde_json::from_slice(&std::fs::read(out.path())?)
        .context("conform's results")?;
    let cases = results["cases"].as_array().context("conform's results have no cases")?;
    ensure!(!cases.is_empty(), "no case was run");
    Ok(cases.clone())
}

fn passes_alone(suite: &Path, id: &str) -> Result<bool> {
    // On a busy machine once more may not be enough.
    for _ in 0..3 {
        let again = conform(suite, Some(OsStr::new(id)))?;
        if again.iter().all(|case| case["status"] == "pass") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What `deviations.toml` says, by case.
struct Known {
    deviations: BTreeMap<String, String>,
    later: BTreeMap<String, String>,
}

impl Known {
    fn read() -> Result<Known> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let table: toml::Table =
            std::fs::read_to_string(here.join("deviations.toml"))?.parse()?;
        let mut known = Known { deviations: BTreeMap::new(), later: BTreeMap::new() };
        for entry in entries(&table, "deviation")? {
            let case = word(entry, "case")?;
            let (spec, why) = (word(entry, "spec")?, word(entry, "why")?);
            let test = word(entry, "test")?;
            let (file, name) = test.split_once(": ").context("test = \"file: name\"")?;
            let text = std::fs::read_to_string(here.join("..").join(file))
                .with_context(|| format!("{case}: {file}"))?;
            ensure!(text.contains(name), "{case}: there is no {name} in {file}");
            known.deviations.insert(case.to_owned(), format!("{spec}: {why}"));
        }
        for entry in entries(&table, "later")? {
            let (case, why) = (word(entry, "case")?, word(entry, "why")?);
            known.later.insert(case.to_owned(), why.to_owned());
        }
        Ok(known)
    }

    fn names(&self, id: &str) -> bool {
        self.deviations.contains_key(id) || self.later.contains_key(id)
    }
}

fn entries<'a>(table: &'a toml::Table, kind: &str) -> Result<Vec<&'a toml::Value>> {
    match table.get(kind) {
        None => Ok(Vec::new()),
        Some(toml::Value::Array(entries)) => Ok(entries.iter().collect()),
        Some(_) => bail!("[[{kind}]] is a list"),
    }
}

fn word<'a>(entry: &'a toml::Value, key: &str) -> Result<&'a str> {
    entry.get(key).and_then(|v| v.as_str()).with_context(|| format!("{key} of {entry:?}"))
}

/// Counts by category, and what is not as expected.
#[derive(Default)]
struct Tally {
    /// Passed, deviations, later, skipped, of all.
    categories: BTreeMap<String, [usize; 5]>,
    complaints: Vec<String>,
}

impl Tally {
    fn count(&mut self, known: &Known, id: &str, status: &str) {
        let category = id.split('/').next().unwrap_or(id);
        let row = self.categories.entry(category.to_owned()).or_default();
        row[4] += 1;
        let deviation = known.deviations.contains_key(id);
        let later = known.later.contains_key(id);
        match status {
            "pass" => {
                row[0] += 1;
                if deviation || later {
                    self.complaints.push(format!("{id} is named, but passes"));
                }
            }
            "skip" => row[3] += 1,
            _ if deviation => row[1] += 1,
            _ if later => row[2] += 1,
            _ => self.complaints.push(format!("{id} fails")),
        }
    }

    fn print(&self) {
        println!("category     passed  deviations  later  skipped  of");
        let mut all = [0; 5];
        for (name, row) in &self.categories {
            for (sum, n) in all.iter_mut().zip(row) {
                *sum += n;
            }
            print_row(name, *row);
        }
        print_row("all", all);
        for complaint in &self.complaints {
            println!("conformance: {complaint}");
        }
    }
}

fn print_row(name: &str, [passed, deviations, later, skipped, all]: [usize; 5]) {
    println!(
        "{name:<12} {passed:>6}  {deviations:>10}  {later:>5}  {skipped:>7}  {all:>2}"
    );
}
