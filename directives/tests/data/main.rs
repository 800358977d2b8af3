//! Every file of `testdata/{syntax,errors,merge,run,explain,convert}` is a test by its own name. What is
//! expected stands in the file or beside it; `UPDATE_EXPECT=1` writes it anew.

#[path = "../common/mod.rs"]
mod common;
mod convert;
mod errors;
mod explain;
mod merge;
mod request;
mod run;
mod syntax;

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Trial};

/// What a suite does with a file.
type Check = fn(&Path);

fn main() -> std::process::ExitCode {
    let args = Arguments::from_args();
    let mut trials = Vec::new();
    let suites: [(&str, Check); 6] = [
        ("syntax", syntax::check),
        ("errors", errors::check),
        ("merge", merge::check),
        ("run", run::check),
        ("explain", explain::check),
        ("convert", convert::check),
    ];
    for (suite, check) in suites {
        for path in files(suite) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            trials.push(Trial::test(format!("{suite}::{name}"), move || {
                check(&path);
                Ok(())
            }));
        }
    }
    for path in configurations(Path::new(common::TESTDATA)) {
        let name = path.strip_prefix(common::TESTDATA).unwrap_or(&path).to_string_lossy();
        trials.push(Trial::test(format!("printed back: {name}"), move || {
            syntax::prints_back(&path);
            Ok(())
        }));
    }
    trials.push(Trial::test("errors: every kind is shown", || {
        errors::every_kind_is_shown(&files("errors"));
        Ok(())
    }));
    libtest_mimic::run(&args, trials).exit_code()
}

/// The configurations of one suite.
fn files(suite: &str) -> Vec<PathBuf> {
    configurations(&Path::new(common::TESTDATA).join(suite))
}

/// The configurations below a directory, in the order of their names.
fn configurations(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory of testdata") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(configurations(&path));
        } else if path.extension().is_some_and(|extension| extension == "conf") {
            found.push(path);
        }
    }
    found.sort();
    found
}
