//! The command line: a command, then options as fcgi-httpd has them.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use directives::bundle::{Entry, HTTPD_ROOT, SERVER_CONFIG_FILE};
use lexopt::Arg;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `check`.
    Check,
    /// `help`, `-h`.
    Help,
}

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

/// The command line, read.
#[derive(Debug)]
pub struct Options {
    /// What to do.
    pub command: Command,
    /// How to show it.
    pub format: Format,
    /// Which configuration.
    pub entry: Entry,
}

/// Reads the arguments behind the program's name. The error is a sentence for the user,
/// or empty where only the usage is due.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Options, String> {
    let mut entry = Entry {
        file: SERVER_CONFIG_FILE.into(),
        server_root: HTTPD_ROOT.into(),
        euid: nix::unistd::geteuid().as_raw(),
        egid: nix::unistd::getegid().as_raw(),
        ..Entry::default()
    };
    let (mut command, mut format) = (None, Format::Human);
    let mut parser = lexopt::Parser::from_args(args);
    let text =
        |value: OsString| value.into_string().map_err(lexopt::Error::NonUnicodeValue);
    let said = |error: lexopt::Error| error.to_string();
    let word = |parser: &mut lexopt::Parser| parser.value().and_then(text).map_err(said);
    while let Some(arg) = parser.next().map_err(said)? {
        match arg {
            Arg::Value(word) if command.is_none() => {
                command = Some(match word.to_str() {
                    Some("check") => Command::Check,
                    Some("help") => Command::Help,
                    _ => return Err(format!("there is no command {}", word.display())),
                });
            }
            Arg::Short('h') | Arg::Long("help") => command = Some(Command::Help),
            Arg::Short('T') => entry.skip_document_roots = true,
            Arg::Short('f') => entry.file = parser.value().map_err(said)?.into_vec(),
            Arg::Short('d') => {
                let here = std::env::current_dir().unwrap_or_default();
                let root = here.join(parser.value().map_err(said)?);
                entry.server_root = root.as_os_str().as_bytes().to_vec();
            }
            Arg::Short('D') => entry.defines.push(word(&mut parser)?),
            Arg::Short('C') => entry.before.push(word(&mut parser)?),
            Arg::Short('c') => entry.after.push(word(&mut parser)?),
            Arg::Long("format") => {
                format = match word(&mut parser)?.as_str() {
                    "human" => Format::Human,
                    "json" => Format::Json,
                    "sarif" => Format::Sarif,
                    other => return Err(format!("there is no format {other}")),
                };
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    Ok(Options { command: command.ok_or_else(String::new)?, format, entry })
}

/// The usage.
pub const USAGE: &str = "\
Usage: fcgi-conf check [-f file] [-d directory] [-D name] [-T]
                       [-C \"directive\"] [-c \"directive\"]
                       [--format human|json|sarif]
Says what is wrong with a configuration, and what this server makes of it.
  -f file            : the configuration, below the server root unless absolute
  -d directory       : the server root
  -D name            : define a name for use in <IfDefine name> directives
  -C \"directive\"     : process directive before reading the file
  -c \"directive\"     : process directive after reading the file
  -T                 : without a look at document roots
  --format           : for people, for programs, for code review
Exit status: 0 without errors, 1 with errors, 2 if the command line is wrong.
";
