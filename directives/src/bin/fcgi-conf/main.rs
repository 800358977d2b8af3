//! fcgi-conf: what a configuration says and what is wrong with it, without serving it.
//!
//! This file chooses the command and is the one place that chooses an exit code: 0 if all
//! is well, 1 if the configuration has errors, 2 if the command line is wrong. The tool
//! looks at files and accounts as the server does, which the library it is made of must
//! not.

mod check;
// The server's own view of the world. Its package is no library that could be linked, and
// a second view would soon be another one; what the tool does not call stays unused.
#[allow(dead_code)]
#[path = "../../../../src/disk.rs"]
mod disk;
mod options;
mod report;
mod tally;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use options::{Command, Options};

fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            if !problem.is_empty() {
                print(&mut std::io::stderr(), &format!("fcgi-conf: {problem}\n"));
            }
            print(&mut std::io::stderr(), options::USAGE);
            return ExitCode::from(2);
        }
    };
    let Options { command, format, entry } = options;
    match command {
        Command::Help => {
            print(&mut std::io::stdout(), options::USAGE);
            ExitCode::SUCCESS
        }
        Command::Check => {
            let color = std::io::stdout().is_terminal();
            let checked = check::check(&entry, &disk::Disk);
            print(&mut std::io::stdout(), &checked.shown(format, color));
            if checked.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

/// Writes a text; a reader that has gone is no error.
fn print(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.as_bytes());
}
