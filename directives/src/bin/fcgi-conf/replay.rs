//! `fcgi-conf replay`: the same requests to two servers, and what they answer differently.

mod http;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use directives::json::Json;
use directives::replay::{Asked, Difference, Rules, requests};
use lexopt::Parser;

use crate::options::{self, Problem};
use http::Server;

/// Requests a second, unless told.
const RATE: f64 = 50.0;

/// How often the bar moves.
const MOVES: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Default)]
struct Outcome {
    sent: usize,
    skipped: usize,
    unread: Vec<usize>,
    different: usize,
    found: Vec<(Asked, Vec<Difference>)>,
}

/// The command.
pub fn run(parser: &mut Parser) -> Result<bool, Problem> {
    let (mut old, mut new, mut files) = (None, None, Vec::new());
    let (mut rate, mut all, mut json, mut timeout, mut host) =
        (RATE, false, false, 30, None);
    let mut rules = Rules::default();
    while let Some(word) = options::next(parser)? {
        match word.option() {
            "--old" => old = Some(options::text(parser)?),
            "--new" => new = Some(options::text(parser)?),
            "--rate" => rate = options::number(parser)?,
            "--unsafe" => all = true,
            "--json" => json = true,
            "--environment" => rules.environment = true,
            "--host" => host = Some(options::text(parser)?),
            "--timeout" => timeout = options::number(parser)?,
            "--ignore" => rules.ignored.push(options::text(parser)?.to_ascii_lowercase()),
            "--mask" => {
                let text = options::text(parser)?;
                let mask = fancy_regex::Regex::new(&text);
                rules
                    .masks
                    .push(mask.map_err(|error| Problem::Usage(error.to_string()))?);
            }
            _ => files.push(options::words(word.value()?)?),
        }
    }
    let (Some(old), Some(new), [file]) = (old, new, &files[..]) else {
        return options::usage("--old, --new and one file of requests are wanted");
    };
    if !(rate > 0.0 && rate.is_finite()) {
        return options::usage("--rate is a number of requests a second");
    }
    let timeout = Duration::from_secs(timeout);
    let old = Server::new(&old, timeout).map_err(Problem::Usage)?;
    let new = Server::new(&new, timeout).map_err(Problem::Usage)?;
    rules.bases = [old.name.clone(), new.name.clone()];
    let text = std::fs::read(file)
        .map_err(|error| Problem::Failed(format!("{file}: {error}")))?;
    let (wanted, unread) = requests(&String::from_utf8_lossy(&text));
    let host = host.unwrap_or_else(|| old.name.clone());
    let mut outcome = Outcome { unread, ..Outcome::default() };
    let mut bar = Bar::new(wanted.len());
    let step = Duration::from_secs_f64(1.0 / rate);
    let mut due = Instant::now();
    for asked in wanted {
        if !all && !asked.is_safe() {
            outcome.skipped += 1;
            continue;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due = Instant::now().max(due) + step;
        let name = asked.host.clone().unwrap_or_else(|| host.clone());
        let found = match (old.ask(&asked, &name), new.ask(&asked, &name)) {
            (Ok(old), Ok(new)) => rules.compare(&old, &new),
            (old, new) => {
                let shown =
                    |answer: Result<directives::replay::Answer, String>| match answer {
                        Ok(answer) => answer.status.to_string(),
                        Err(why) => why,
                    };
                let (old, new) = (shown(old), shown(new));
                vec![Difference { kind: "failure", name: String::new(), old, new }]
            }
        };
        outcome.sent += 1;
        if !found.is_empty() {
            outcome.different += 1;
            if !json {
                bar.clear();
                crate::print(&mut std::io::stdout(), &shown(&asked, &found));
            }
            outcome.found.push((asked, found));
        }
        bar.moved(outcome.sent + outcome.skipped, outcome.different);
    }
    bar.clear();
    let text = if json { in_json(&outcome, &rules) } else { summary(&outcome, &rules) };
    crate::print(&mut std::io::stdout(), &text);
    Ok(outcome.different == 0 && outcome.sent > 0)
}

fn shown(asked: &Asked, found: &[Difference]) -> String {
    let mut out = format!("line {}: {} {}\n", asked.line, asked.method, asked.target);
    for Difference { kind, name, old, new } in found {
        let of =
            if name.is_empty() { (*kind).to_owned() } else { format!("{kind} {name}") };
        out += &format!("  {of}\n    - {old}\n    + {new}\n");
    }
    out
}

fn summary(outcome: &Outcome, rules: &Rules) -> String {
    let mut out = format!(
        "{} requests sent, {} answered differently, {} left out because they may change \
         something (--unsafe)\n",
        outcome.sent, outcome.different, outcome.skipped
    );
    if !outcome.unread.is_empty() {
        let lines: Vec<String> =
            outcome.unread.iter().take(10).map(usize::to_string).collect();
        let count = outcome.unread.len();
        out += &format!("{count} lines are no requests: {}\n", lines.join(", "));
    }
    rules.shown().iter().for_each(|rule| out += &format!("rule: {rule}\n"));
    out
}

fn in_json(outcome: &Outcome, rules: &Rules) -> String {
    let found = outcome.found.iter().map(|(asked, found)| {
        let found = found.iter().map(|difference| {
            Json::Object(vec![
                ("kind", Json::text(difference.kind)),
                ("name", Json::text(&difference.name)),
                ("old", Json::text(&difference.old)),
                ("new", Json::text(&difference.new)),
            ])
        });
        Json::Object(vec![
            ("line", Json::Number(asked.line)),
            ("method", Json::text(&asked.method)),
            ("target", Json::text(&asked.target)),
            ("differences", Json::list(found)),
        ])
    });
    let report = Json::Object(vec![
        ("sent", Json::Number(outcome.sent)),
        ("different", Json::Number(outcome.different)),
        ("left_out", Json::Number(outcome.skipped)),
        (
            "no_requests",
            Json::list(outcome.unread.iter().map(|line| Json::Number(*line))),
        ),
        ("rules", Json::list(rules.shown().into_iter().map(Json::Text))),
        ("requests", Json::list(found)),
    ]);
    format!("{report}\n")
}

/// How far it is, on a terminal.
struct Bar {
    all: usize,
    last: Option<Instant>,
    is_shown: bool,
}

impl Bar {
    fn new(all: usize) -> Bar {
        Bar { all, last: None, is_shown: std::io::stderr().is_terminal() && all > 0 }
    }

    fn moved(&mut self, done: usize, different: usize) {
        if !self.is_shown || self.last.is_some_and(|last| last.elapsed() < MOVES) {
            return;
        }
        self.last = Some(Instant::now());
        let full = done * 30 / self.all;
        let text = format!(
            "\r[{}{}] {done}/{} {different} differ",
            "#".repeat(full),
            "-".repeat(30 - full.min(30)),
            self.all
        );
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn clear(&mut self) {
        if self.is_shown && self.last.is_some() {
            let _ = std::io::stderr().write_all(b"\r\x1b[K");
            self.last = None;
        }
    }
}

/// The page.
pub const USAGE: &str = "\
Usage: fcgi-conf replay --old URL --new URL [--rate number] [--unsafe] [--environment]
                        [--host name] [--ignore field]... [--mask pattern]...
                        [--timeout seconds] [--json] REQUESTS
Sends the same requests to two servers and reports every difference of status, fields and
body. REQUESTS is a file of lines `METHOD URL`, with further fields indented below them, or
an access log in common or combined form.
  --old, --new URL   : http://host:port of the servers
  --rate number      : requests a second at most; 50 unless given
  --unsafe           : also methods other than GET, HEAD and OPTIONS. They are sent to both
                       servers without a body
  --environment      : the bodies are lines NAME=value, as an application that shows its
                       variables makes them: each variable is compared
  --host name        : Host of requests that name none; the old server's unless given
  --ignore field     : a field that is not compared
  --mask pattern     : what matches in a field or a text does not count
  --timeout seconds  : how long a server may be silent; 30 unless given
  --json             : for programs
What is not compared besides is listed at the end. On a terminal a bar shows how far it is.
Exit status: 0 if nothing differs, 1 if something does or nothing was sent, 2 if the command
line is wrong.
";
