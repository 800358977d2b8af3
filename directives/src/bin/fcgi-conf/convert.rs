//! `fcgi-conf convert`: older spellings to today's, and from and to other servers.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use directives::bundle::{Entry, Files};
use directives::convert::edit::{Change, applied, changes, to_fcgid};
use directives::convert::ledger::Entry as Line;
use directives::convert::target::Target;
use directives::convert::{diff, lighttpd, to};
use directives::json::Json;
use directives::syntax::FileId;
use directives::{Compiled, compile};
use lexopt::Parser;

use crate::options::{self, Problem, configuration_options};
use crate::{disk, progress};

/// The command.
pub fn run(parser: &mut Parser) -> Result<bool, Problem> {
    let mut entry = options::configuration();
    let (mut write, mut json, mut to, mut from) = (false, false, None, None);
    let mut files = Vec::new();
    while let Some(word) = options::next(parser)? {
        if options::names(&mut entry, &word, parser)? {
            continue;
        }
        match word.option() {
            "--write" => write = true,
            "--json" => json = true,
            "--to" => to = Some(options::text(parser)?),
            "--from" => from = Some(options::text(parser)?),
            _ => files.push(word.value()?),
        }
    }
    match (from.as_deref(), to.as_deref(), &files[..]) {
        (None, None, []) => edit(&entry, write, json, changes),
        (None, Some("mod_fcgid"), []) => edit(&entry, false, json, to_fcgid),
        (None, Some("mod_proxy_fcgi"), []) => {
            edit(&entry, false, json, |compiled| to::to_proxy_fcgi(compiled, &disk::Disk))
        }
        (None, Some(name), []) => match Target::named(name) {
            Some(target) => carry(&entry, target, json),
            None => options::usage(format!("there is no way to {name}")),
        },
        (Some("lighttpd"), None, [file]) => read(file.as_bytes(), json),
        (Some("lighttpd"), None, _) => options::usage("one lighttpd.conf is wanted"),
        (Some(name), None, _) => options::usage(format!("there is no way from {name}")),
        (Some(_), Some(_), _) => options::usage("--from and --to are two steps"),
        (None, _, [file, ..]) => {
            options::usage(format!("what is {} for? -f names a file", file.display()))
        }
    }
}

/// Safe edits applied, the others shown.
fn edit(
    entry: &Entry,
    write: bool,
    json: bool,
    changes: fn(&Compiled) -> Vec<Change>,
) -> Result<bool, Problem> {
    let compiled = compile(entry, &disk::Disk);
    let changes = changes(&compiled);
    let mut out = String::new();
    for (index, source) in compiled.sources.iter().enumerate().filter(|(_, s)| s.is_file)
    {
        let file = FileId(index as u32);
        let safe = applied(&source.bytes, file, &changes, |change| change.safe);
        let all = applied(&source.bytes, file, &changes, |_| true);
        if write && safe[..] != source.bytes[..] {
            replace(&source.name, &safe)?;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        out += &diff::unified(&source.name, &text(&source.bytes), &text(&safe));
        let shown = diff::unified(&source.name, &text(&safe), &text(&all));
        if !shown.is_empty() {
            out += &format!("# Not applied, for you to judge:\n{shown}");
        }
    }
    if json {
        out = format!(
            "{}\n",
            Json::list(changes.iter().map(|change| shown(change, &compiled)))
        );
    } else {
        for change in changes.iter().filter(|change| !change.safe) {
            let line = compiled.sources.line(change.span.file, change.span.start);
            let name = compiled.sources.name(change.span.file);
            out += &format!("# {name}:{line}: {}\n", change.why);
        }
    }
    crate::print(&mut std::io::stdout(), &out);
    Ok(true)
}

fn shown(change: &Change, compiled: &Compiled) -> Json {
    let line = compiled.sources.line(change.span.file, change.span.start);
    Json::Object(vec![
        ("file", Json::text(compiled.sources.name(change.span.file))),
        ("line", Json::Number(line as usize)),
        ("safe", Json::Bool(change.safe)),
        ("text", Json::text(&change.text)),
        ("why", Json::text(&change.why)),
    ])
}

/// Puts a new text in a file's place, whole or not at all, with the old one's permissions.
fn replace(name: &str, bytes: &[u8]) -> Result<(), Problem> {
    let said = |error: std::io::Error| Problem::Failed(format!("{name}: {error}"));
    // What a link leads to is changed, and the link stays.
    let path = std::fs::canonicalize(name).map_err(said)?;
    let beside = path.with_extension(format!("fcgi-conf.{}", std::process::id()));
    let mode = std::fs::metadata(&path).map_err(said)?.permissions();
    let written = (|| {
        let mut file =
            std::fs::File::options().write(true).create_new(true).open(&beside)?;
        file.set_permissions(mode)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)
    })();
    written.map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        said(error)
    })
}

fn carry(entry: &Entry, target: Target, json: bool) -> Result<bool, Problem> {
    let files = progress::Progress::new(disk::Disk);
    let compiled = compile(entry, &files);
    if !compiled.sources.iter().any(|source| source.is_file) {
        return options::failed("there is no such configuration");
    }
    let carried = to::carry(&compiled, target, &files);
    files.done();
    tell(&carried.text, &carried.entries, json);
    Ok(true)
}

fn read(file: &[u8], json: bool) -> Result<bool, Problem> {
    let name = String::from_utf8_lossy(file).into_owned();
    let bytes = disk::Disk
        .read(file)
        .map_err(|error| Problem::Failed(format!("{name}: {}", error.text)))?;
    let read = lighttpd::read(&name, &bytes, &disk::Disk).map_err(Problem::Failed)?;
    tell(&read.text, &read.entries, json);
    Ok(true)
}

/// The text, and what became of every directive: numbers, and in JSON each of them.
fn tell(text: &str, entries: &[Line], json: bool) {
    if json {
        let lines = entries.iter().map(|line| {
            Json::Object(vec![
                ("file", Json::text(&line.place.file)),
                ("line", Json::Number(line.place.line as usize)),
                ("directive", Json::text(&line.text)),
                ("fate", Json::text(line.fate.name())),
                ("why", Json::text(line.fate.why())),
            ])
        });
        let told = Json::Object(vec![
            ("text", Json::text(text)),
            ("directives", Json::list(lines)),
        ]);
        crate::print(&mut std::io::stdout(), &format!("{told}\n"));
        return;
    }
    crate::print(&mut std::io::stdout(), text);
    let count = |name| entries.iter().filter(|line| line.fate.name() == name).count();
    let counts = ["carried", "partly carried", "not needed", "not carried"]
        .map(|name| format!("{} {name}", count(name)));
    let said =
        format!("fcgi-conf: {} directives: {}\n", entries.len(), counts.join(", "));
    crate::print(&mut std::io::stderr(), &said);
}

/// The page.
pub const USAGE: &str = concat!(
    "\
Usage: fcgi-conf convert [-f file] [-d directory] [-D name] [--write] [--json]
       fcgi-conf convert [-f file] [-d directory] [-D name]
                         --to nginx|caddy|lighttpd|httpd [--json]
       fcgi-conf convert [-f file] [-d directory] [-D name]
                         --to mod_fcgid|mod_proxy_fcgi [--json]
       fcgi-conf convert --from lighttpd [--json] lighttpd.conf
Without --from and --to: brings a configuration to today's spelling. What changes nothing
but the text is applied: older names of directives, IBM's spelling of options, Order, Allow
and Deny as Require where that is provably the same. mod_fcgid's and mod_proxy_fcgi's
directives, which work as they are, are shown as mod_fastcgi's and not applied.
",
    configuration_options!(),
    "\
  --write            : change the files; otherwise only the difference is shown
  --to server        : the configuration for another server, on standard output. What it is
                       not told stands at the head of the text, and what protects something
                       and cannot be told is denied there. httpd: with its own modules only
  --to module        : mod_fastcgi's directives as another module's, shown as a difference
                       and not applied; what has no like there is a comment that says so
  --from lighttpd    : lighttpd's configuration as httpd's, on standard output
  --json             : for programs: all changes, or every directive and what became of it
Exit status: 0, 1 if a file cannot be read or written, 2 if the command line is wrong.
"
);
