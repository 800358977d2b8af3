//! fcgi-conf: what a configuration says and what is wrong with it, without serving it; and
//! what helps to come from another server to this one.
//!
//! This file chooses the command and is the one place that chooses an exit code: 0 if all
//! is well, 1 if it is not (the configuration has errors, the answers differ, …), 2 if the
//! command line is wrong. The tool looks at files, accounts and sockets, which the library
//! that it is made of must not.

mod bundle;
mod check;
mod convert;
// The server's own view of the world. Its package is no library that could be linked, and
// a second view would soon be another one; what the tool does not call stays unused.
#[allow(dead_code)]
#[path = "../../../../src/disk.rs"]
mod disk;
mod explain;
mod options;
mod probe;
mod progress;
mod replay;
mod report;
mod request;
mod spawn;
mod tally;

use std::io::Write;
use std::process::ExitCode;

use lexopt::Arg;
use options::Problem;

/// One command of the tool.
struct Command {
    /// Its name.
    name: &'static str,
    /// What it does, in a line.
    summary: &'static str,
    /// Its page.
    usage: &'static str,
    /// Reads its arguments and does it; the answer is whether all is well.
    run: fn(&mut lexopt::Parser) -> Result<bool, Problem>,
}

/// All commands, in the order in which somebody who comes from httpd needs them.
const COMMANDS: &[Command] = &[
    Command {
        name: "check",
        summary: "what is wrong with a configuration, and what this server makes of it",
        usage: check::USAGE,
        run: check::run,
    },
    Command {
        name: "explain",
        summary: "a request's whole way, with the lines that it comes from",
        usage: explain::USAGE,
        run: explain::run,
    },
    Command {
        name: "convert",
        summary: "from older spellings, and from and to other servers",
        usage: convert::USAGE,
        run: convert::run,
    },
    Command {
        name: "bundle",
        summary: "the configuration as one file, secrets blanked",
        usage: bundle::USAGE,
        run: bundle::run,
    },
    Command {
        name: "replay",
        summary: "the same requests to two servers, and what differs",
        usage: replay::USAGE,
        run: replay::run,
    },
    Command {
        name: "request",
        summary: "one FastCGI request to an application, as the server would send it",
        usage: request::USAGE,
        run: request::run,
    },
    Command {
        name: "spawn",
        summary: "start an application on a socket, as spawn-fcgi does",
        usage: spawn::USAGE,
        run: spawn::run,
    },
];

fn main() -> ExitCode {
    let mut parser = lexopt::Parser::from_env();
    let command = match choose(&mut parser) {
        Ok(Some(command)) => command,
        Ok(None) => {
            print(&mut std::io::stdout(), &overview());
            return ExitCode::SUCCESS;
        }
        Err(problem) => return wrong(&problem, &overview()),
    };
    match (command.run)(&mut parser) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Problem::Help) => {
            print(&mut std::io::stdout(), command.usage);
            ExitCode::SUCCESS
        }
        Err(Problem::Usage(problem)) => wrong(&problem, command.usage),
        Err(Problem::Failed(problem)) => {
            print(&mut std::io::stderr(), &format!("fcgi-conf: {problem}\n"));
            ExitCode::FAILURE
        }
    }
}

/// The command that the first word names; none where help is wanted.
fn choose(parser: &mut lexopt::Parser) -> Result<Option<&'static Command>, String> {
    let found = |name: &str| COMMANDS.iter().find(|command| command.name == name);
    match parser.next().map_err(|error| error.to_string())? {
        None => Err(String::new()),
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(None),
        Some(Arg::Value(word)) if word == "help" => {
            let Ok(about) = parser.value() else { return Ok(None) };
            let Some(command) = about.to_str().and_then(found) else {
                return Err(format!("there is no command {}", about.display()));
            };
            print(&mut std::io::stdout(), command.usage);
            std::process::exit(0)
        }
        Some(Arg::Value(word)) => match word.to_str().and_then(found) {
            Some(command) => Ok(Some(command)),
            None => Err(format!("there is no command {}", word.display())),
        },
        Some(other) => Err(other.unexpected().to_string()),
    }
}

fn wrong(problem: &str, usage: &str) -> ExitCode {
    if !problem.is_empty() {
        print(&mut std::io::stderr(), &format!("fcgi-conf: {problem}\n"));
    }
    print(&mut std::io::stderr(), usage);
    ExitCode::from(2)
}

/// All commands, in a line each.
fn overview() -> String {
    let mut out = "Usage: fcgi-conf command [option ...]\n".to_owned();
    for Command { name, summary, .. } in COMMANDS {
        out += &format!("  {name:<9}{summary}\n");
    }
    out + "`fcgi-conf help command` and `fcgi-conf command --help` say more.\n\
           Exit status: 0 if all is well, 1 if not, 2 if the command line is wrong.\n"
}

/// Writes a text; a reader that has gone is no error.
fn print(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.as_bytes());
}
