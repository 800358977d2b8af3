//! `FcgidWrapper` and `FcgidCmdOptions`: which command runs a file, and settings of one
//! command alone.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::class::Command;
use super::numbers::{self, Numbers};
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::path;
use crate::schema::{Compat, Context, Directive, Override, Problem, Result, Set, Word};

/// A command that runs files.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrapper {
    /// The command.
    pub command: Command,
    /// The file of a request need not be there.
    pub is_virtual: bool,
}

impl super::Dir {
    /// The wrapper of a file: that of its suffix, or the one for all (`get_wrapper_info`).
    /// Files below a directory with a dot have none of their own, as with mod_fcgid.
    pub fn wrapper(&self, file: &[u8]) -> Option<&Wrapper> {
        let dot = file.iter().rposition(|&b| b == b'.');
        let own = dot.and_then(|dot| self.wrappers.get(&file[dot..]));
        own.or_else(|| self.wrappers.get(&b""[..]))
    }
}

pub static WRAPPER: Directive = Directive {
    name: "FcgidWrapper",
    aliases: &["FCGIWrapper"],
    syntax: "command [suffix] [virtual]",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "The CGI wrapper file an optional URL suffix and an optional flag",
    docs: r#"
The command that runs the files behind the handler `fcgid-script`, in place of the files
themselves; arguments go into quotes with it. With a suffix it is for files of that suffix
only. `virtual` says that the file of a request need not be there. The files need `Options
ExecCGI` or `ScriptAlias`; the command learns the file from SCRIPT_FILENAME.

## Example
    <Directory "/srv/www">
        AddHandler fcgid-script .php
        Options +ExecCGI
        FcgidWrapper /usr/bin/php-cgi .php
    </Directory>
"#,
    set: Set::UpToThree(wrapper),
    ..Directive::EXACT
};

/// The words of a command; the first is a program that is there.
fn command(at: &Scope<'_, '_>, word: &Word) -> Result<Command> {
    let mut words =
        word.bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let Some(program) = words.next() else {
        if word.bytes.is_empty() {
            let usage = WRAPPER.set.usage(at.cmd.name, WRAPPER.summary);
            return Err(Problem::new(&codes::USAGE, usage));
        }
        return Err(Problem::from("Invalid wrapper config").at(word.span));
    };
    Ok(Command {
        path: program_file(at, "Wrapper", word, program)?,
        args: words.map(Bytes::copy_from_slice).collect(),
    })
}

/// A program that has to be there: its path, below the server root unless it is absolute.
pub(super) fn program_file(
    at: &Scope<'_, '_>,
    what: &str,
    word: &Word,
    program: &[u8],
) -> Result<Bytes> {
    let shown = String::from_utf8_lossy(program);
    let Some(file) = at.server_relative(program) else {
        return Err(
            Problem::from(format!("{what} {shown}: invalid filepath")).at(word.span)
        );
    };
    match at.files().stat(&file) {
        Ok(_) => Ok(file.into()),
        Err(error) => {
            let message = format!(
                "{what} {shown} cannot be accessed: ({}){}",
                error.code, error.text
            );
            Err(Problem::from(message).at(word.span))
        }
    }
}

fn wrapper(
    at: &mut Scope<'_, '_>,
    word: &Word,
    suffix: Option<&Word>,
    flag: Option<&Word>,
) -> Result {
    let (suffix, flag) = match (suffix, flag) {
        (Some(only), None) if only.is("virtual") => (None, Some(only)),
        both => both,
    };
    if let Some(wrong) = flag.filter(|flag| !flag.is("virtual")) {
        return Err(Problem::from("Invalid wrapper flag").at(wrong.span));
    }
    let bad = |word: &&Word| {
        let name = &word.bytes;
        name.first() != Some(&b'.')
            || name.len() < 2
            || name.iter().any(|b| b"/\\".contains(b))
    };
    if let Some(wrong) = suffix.filter(bad) {
        return Err(Problem::from("Invalid wrapper file extension").at(wrong.span));
    }
    let command = command(at, word)?;
    at.process().fcgid.commands.push(command.clone());
    let suffix = suffix.map_or_else(Bytes::new, |word| word.bytes.clone());
    let wrapper = Wrapper { command, is_virtual: flag.is_some() };
    at.dir.fcgid().wrappers.insert(suffix, wrapper);
    Ok(())
}

/// `FcgidCmdOptions` of one program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// What it says in numbers.
    pub numbers: Numbers,
    /// The environment.
    pub env: BTreeMap<Bytes, Bytes>,
}

pub static CMD_OPTIONS: Directive = Directive {
    name: "FcgidCmdOptions",
    syntax: "command option [option ...]",
    context: Context::SERVERS,
    summary: "set processing options for a FastCGI command",
    docs: r"
Settings of one program, which take the place of all that the server says: what is not
named here has its default. The options are those of directives: `ConnectTimeout`,
`IdleTimeout`, `InitialEnv name[=value]`, `IOTimeout`, `MaxProcesses`
(`FcgidMaxProcessesPerClass`), `MaxProcessLifetime` (`FcgidProcessLifeTime`),
`MaxRequestsPerProcess` and `MinProcesses` (`FcgidMinProcessesPerClass`).

## Example
    FcgidCmdOptions /usr/bin/php-cgi InitialEnv PHP_FCGI_MAX_REQUESTS=1000 \
        MaxRequestsPerProcess 1000 IOTimeout 90
",
    compat: Compat::Differs("InitialEnv without a value is an empty variable"),
    set: Set::Raw(|at, args| options(at, &Word::all(args))),
    ..Directive::EXACT
};

fn options(at: &mut Scope<'_, '_>, words: &[Word]) -> Result {
    let name = at.cmd.name;
    let Some((program, rest)) = words.split_first() else {
        return Err(format!("A command must be specified for {name}").into());
    };
    if rest.is_empty() {
        return Err(format!("At least one option must be specified for {name}").into());
    }
    let file = program_file(at, "Command", program, &program.bytes)?;
    let mut found = Options::default();
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        let mut value = |known: &str| {
            let missing = || Problem::from(format!("{known} must have an argument"));
            rest.next().ok_or_else(|| missing().at(word.span))
        };
        let numbers = &mut found.numbers;
        match word.lossy().to_ascii_lowercase().as_str() {
            "connecttimeout" => {
                numbers.connect_timeout = Some(numbers::number(value("ConnectTimeout")?));
            }
            "idletimeout" => {
                numbers.idle_timeout = Some(numbers::number(value("IdleTimeout")?));
            }
            "iotimeout" => {
                let seconds = numbers::positive("IOTimeout", value("IOTimeout")?)?;
                numbers.io_timeout = Some(seconds);
            }
            "maxprocesses" => {
                numbers.most = Some(numbers::number(value("MaxProcesses")?));
            }
            "minprocesses" => {
                numbers.least = Some(numbers::number(value("MinProcesses")?));
            }
            "maxprocesslifetime" => {
                numbers.life_time = Some(numbers::number(value("MaxProcessLifetime")?));
            }
            "maxrequestsperprocess" => {
                let most = numbers::number(value("MaxRequestsPerProcess")?);
                numbers.max_requests = Some(most.into());
            }
            "initialenv" => {
                let pair = &value("InitialEnv")?.bytes;
                let split = pair.iter().position(|&b| b == b'=');
                let (name, value) = match split {
                    Some(at) => (pair.slice(..at), pair.slice(at + 1..)),
                    None => (pair.clone(), Bytes::new()),
                };
                found.env.insert(name, value);
            }
            _ => {
                let message = format!("Invalid option for {name}: {}", word.lossy());
                return Err(Problem::from(message).at(word.span));
            }
        }
    }
    let file = path::no2slash(&file);
    at.server.fcgid().options.insert(file.into(), found);
    Ok(())
}
