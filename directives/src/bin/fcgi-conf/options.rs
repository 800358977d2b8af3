//! What commands have in common: how a configuration is named, as fcgi-httpd's command
//! line names it, and how a command ends early.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use directives::bundle::{Entry, HTTPD_ROOT, SERVER_CONFIG_FILE};
use lexopt::{Arg, Parser};

/// Why a command ends before it is done.
#[derive(Debug)]
pub enum Problem {
    /// Its page is wanted.
    Help,
    /// The command line is wrong: a sentence, or nothing where only the page is due.
    Usage(String),
    /// It cannot be done: a sentence.
    Failed(String),
}

impl From<lexopt::Error> for Problem {
    fn from(error: lexopt::Error) -> Problem {
        Problem::Usage(error.to_string())
    }
}

/// The command line is wrong.
pub fn usage<T>(problem: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Usage(problem.into()))
}

/// It cannot be done.
pub fn failed<T>(problem: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Failed(problem.into()))
}

/// A piece of the command line.
#[derive(Clone, Debug)]
pub enum Word {
    /// `-x` or `--name`.
    Option(String),
    /// Anything else.
    Value(OsString),
}

impl Word {
    /// What to match it by: the option; empty for a value.
    pub fn option(&self) -> &str {
        match self {
            Word::Option(name) => name,
            Word::Value(_) => "",
        }
    }

    /// A value; what no command knows, and `--help`, ends it.
    pub fn value(self) -> Result<OsString, Problem> {
        match self {
            Word::Value(value) => Ok(value),
            Word::Option(name) if name == "-h" || name == "--help" => Err(Problem::Help),
            Word::Option(name) => usage(format!("there is no option {name}")),
        }
    }

    /// The end of a command that takes no such word.
    pub fn unexpected<T>(self) -> Result<T, Problem> {
        let value = self.value()?;
        usage(format!("what is {} for?", value.display()))
    }
}

/// The next piece of the command line.
pub fn next(parser: &mut Parser) -> Result<Option<Word>, Problem> {
    Ok(parser.next()?.map(|arg| match arg {
        Arg::Short(letter) => Word::Option(format!("-{letter}")),
        Arg::Long(name) => Word::Option(format!("--{name}")),
        Arg::Value(value) => Word::Value(value),
    }))
}

/// An option's value as text.
pub fn text(parser: &mut Parser) -> Result<String, Problem> {
    words(parser.value()?)
}

/// A word as text.
pub fn words(word: OsString) -> Result<String, Problem> {
    word.into_string()
        .map_err(|word| Problem::Usage(lexopt::Error::NonUnicodeValue(word).to_string()))
}

/// An option's value as a number of something.
pub fn number<T: std::str::FromStr>(parser: &mut Parser) -> Result<T, Problem> {
    let text = text(parser)?;
    text.parse().map_err(|_| Problem::Usage(format!("{text} is no such number")))
}

/// A configuration that has not been named yet: the server's own.
pub fn configuration() -> Entry {
    Entry {
        file: SERVER_CONFIG_FILE.into(),
        server_root: HTTPD_ROOT.into(),
        euid: nix::unistd::geteuid().as_raw(),
        egid: nix::unistd::getegid().as_raw(),
        ..Entry::default()
    }
}

/// Takes an option that names the configuration; the answer is whether it was one.
pub fn names(
    entry: &mut Entry,
    word: &Word,
    parser: &mut Parser,
) -> Result<bool, Problem> {
    match word.option() {
        "-T" => entry.skip_document_roots = true,
        "-f" => entry.file = parser.value()?.into_vec(),
        "-d" => {
            let here = std::env::current_dir().unwrap_or_default();
            let root = here.join(parser.value()?);
            entry.server_root = root.as_os_str().as_bytes().to_vec();
        }
        "-D" => entry.defines.push(text(parser)?),
        "-C" => entry.before.push(text(parser)?),
        "-c" => entry.after.push(text(parser)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The part of a command's page about [`names`].
macro_rules! configuration_options {
    () => {
        "\
  -f file            : the configuration, below the server root unless absolute
  -d directory       : the server root
  -D name            : define a name for use in <IfDefine name> directives
  -C \"directive\"     : process directive before reading the file
  -c \"directive\"     : process directive after reading the file
  -T                 : without a look at document roots
"
    };
}
pub(crate) use configuration_options;
