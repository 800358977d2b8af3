//! What lighttpd's settings are in httpd's words. Longer than others: it is one table of
//! settings with what each comes to.

use super::parse::{Statement, Value};
use super::{Read, shield};
use crate::convert::ledger::{Entry, Fate};
use crate::convert::quoted;
use crate::explain::Place;

/// A server: the main one, or one of a `$HTTP["host"]`.
#[derive(Default)]
struct Server {
    lines: Vec<String>,
}

struct Writer {
    entries: Vec<Entry>,
    /// Lines outside of every virtual host.
    main: Vec<String>,
    gates: usize,
    ports: Vec<String>,
}

pub(super) fn write(statements: &[Statement]) -> Read {
    let mut w =
        Writer { entries: Vec::new(), main: Vec::new(), gates: 0, ports: Vec::new() };
    let mut main = Server::default();
    let mut hosts = Vec::new();
    w.statements(statements, &mut main, &mut hosts, true);
    if w.ports.is_empty() {
        w.ports.push("80".to_owned());
    }
    let mut out =
        "# Made by fcgi-conf convert from lighttpd's configuration.\n".to_owned();
    let lost: Vec<&Entry> = w
        .entries
        .iter()
        .filter(|entry| matches!(entry.fate, Fate::Lost(_) | Fate::Partly(_)))
        .collect();
    if !lost.is_empty() {
        out += "#\n# This is not carried over, or not all of it:\n";
        for entry in lost {
            // A line of its own would be no comment any more.
            let place = one_line(&entry.place.to_string());
            let why = entry.fate.why();
            out += &format!("#   {place}: {}\n#       {why}\n", entry.text);
        }
    }
    out.push('\n');
    w.ports.iter().for_each(|port| out += &format!("Listen {}\n", quoted(port)));
    w.main.iter().for_each(|line| out += &format!("{line}\n"));
    if hosts.is_empty() {
        main.lines.iter().for_each(|line| out += &format!("{line}\n"));
    } else {
        // Whoever asks for another name is answered by the first host: the main server.
        hosts.insert(0, ("ServerName default.invalid".to_owned(), Server::default()));
        for (name, mut host) in hosts {
            let inherited = main.lines.iter().filter(|line| {
                let first = line.split_whitespace().next().unwrap_or_default();
                let once = ["DocumentRoot", "DirectoryIndex", "ErrorLog", "CustomLog"];
                let own = |own: &String| own.starts_with(first);
                !(once.contains(&first) && host.lines.iter().any(own))
            });
            let inherited: Vec<String> = inherited.cloned().collect();
            // Its own come first: of aliases the first that fits counts.
            host.lines.extend(inherited);
            let lines: String =
                host.lines.iter().map(|line| format!("    {line}\n")).collect();
            out += &format!("<VirtualHost *>\n    {name}\n{lines}</VirtualHost>\n");
        }
    }
    Read { text: out, entries: w.entries }
}

impl Value {
    /// It as one text.
    pub(super) fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::List(list) => {
                let words: Vec<String> = list
                    .iter()
                    .map(|(key, value, _)| match key {
                        Some(key) => format!("{key} => {}", value.text()),
                        None => value.text(),
                    })
                    .collect();
                format!("( {} )", words.join(", "))
            }
        }
    }

    /// What is in it; nothing if it is no list.
    pub(super) fn list(&self) -> &[(Option<String>, Value, u32)] {
        if let Value::List(list) = self { list } else { &[] }
    }

    /// Does it switch something on?
    pub(super) fn on(&self) -> bool {
        ["enable", "true", "1", "yes"].contains(&self.text().as_str())
    }
}

impl Writer {
    fn note(&mut self, place: &Place, text: String, fate: Fate) {
        self.entries.push(Entry { place: place.clone(), text: one_line(&text), fate });
    }

    fn statements(
        &mut self,
        statements: &[Statement],
        server: &mut Server,
        hosts: &mut Vec<(String, Server)>,
        top: bool,
    ) {
        for statement in statements {
            match statement {
                Statement::Other { text, place } => {
                    let fate =
                        Fate::Lost("a program's output is no part of a file".to_owned());
                    self.note(place, text.clone(), fate);
                }
                Statement::Set { name, value, place, .. } => {
                    self.setting(name, value, place, server, top);
                }
                Statement::If { field, operator, value, place, body, is_else } => {
                    let text = condition_text(field, operator, value);
                    let condition = (&field[..], &operator[..]);
                    match condition {
                        ("HTTP[host]", "==" | "=~") if !is_else && top => {
                            let (names, fate) = names(operator, value);
                            if fate != Fate::Carried {
                                // Other names lead to the servers around it.
                                server.lines.extend(shield::instead(body));
                            }
                            self.note(place, text, fate);
                            let mut host = Server::default();
                            self.statements(body, &mut host, hosts, false);
                            // Of servers with one name the first answers alone, where
                            // lighttpd does what all its conditions say.
                            match hosts.iter_mut().find(|(known, _)| *known == names) {
                                Some((_, known)) => known.lines.extend(host.lines),
                                None => {
                                    for (known, other) in hosts.iter_mut() {
                                        if share_a_name(known, &names) {
                                            other.lines.extend(shield::instead(body));
                                        }
                                    }
                                    hosts.push((names, host));
                                }
                            }
                        }
                        ("SERVER[socket]", "==") if !is_else => {
                            let address = value
                                .trim_start_matches("0.0.0.0:")
                                .trim_start_matches(':');
                            self.ports.push(address.to_owned());
                            self.note(place, text, Fate::Carried);
                            let mut rest = Server::default();
                            self.statements(body, &mut rest, hosts, false);
                            server.lines.extend(rest.lines);
                        }
                        ("HTTP[url]", "=~" | "=^") if !is_else => {
                            self.of_url(operator, value, body, place, text, server);
                        }
                        _ => {
                            let fate =
                                Fate::Lost("such conditions are not carried over".into());
                            self.note(place, text, fate.clone());
                            self.lost(body, &fate);
                            server.lines.extend(shield::instead(body));
                        }
                    }
                }
            }
        }
    }

    /// What stands under a condition that is not carried over.
    fn lost(&mut self, body: &[Statement], fate: &Fate) {
        for statement in body {
            match statement {
                Statement::Other { text, place } => {
                    self.note(place, text.clone(), fate.clone());
                }
                Statement::Set { name, value, place, .. } => {
                    self.note(place, format!("{name} = {}", value.text()), fate.clone());
                }
                Statement::If { field, operator, value, place, body, .. } => {
                    let text = condition_text(field, operator, value);
                    self.note(place, text, fate.clone());
                    self.lost(body, fate);
                }
            }
        }
    }

    /// Settings of some URLs: who may come in is carried over.
    fn of_url(
        &mut self,
        operator: &str,
        value: &str,
        body: &[Statement],
        place: &Place,
        text: String,
        server: &mut Server,
    ) {
        let mut is_closed = false;
        self.note(place, text, Fate::Carried);
        for statement in body {
            match statement {
                Statement::Set { name, value, place, .. }
                    if name == "url.access-deny" =>
                {
                    is_closed |= shield::protects(name, value);
                    self.note(place, format!("{name} = {}", value.text()), Fate::Carried);
                }
                other => {
                    let why =
                        "of settings for some URLs only url.access-deny is carried over";
                    self.lost(std::slice::from_ref(other), &Fate::Lost(why.into()));
                    // What protects something is not left open.
                    let protects =
                        !shield::instead(std::slice::from_ref(other)).is_empty();
                    is_closed |= protects || matches!(other, Statement::If { .. });
                }
            }
        }
        if is_closed {
            let closed = "Require all denied";
            server.lines.extend(match operator {
                "=^" => shield::below(value, closed),
                _ => shield::section("LocationMatch", value, closed),
            });
        }
    }

    fn setting(
        &mut self,
        name: &str,
        value: &Value,
        place: &Place,
        server: &mut Server,
        top: bool,
    ) {
        let text = format!("{name} = {}", value.text());
        let mut line = |line: String| server.lines.push(line);
        let fate = match name {
            "server.document-root" => {
                let root = quoted(value.text().trim_end_matches('/'));
                line(format!("DocumentRoot {root}"));
                line(format!("<Directory {root}>"));
                line("    Require all granted".to_owned());
                line("</Directory>".to_owned());
                Fate::Carried
            }
            "server.port" if top => {
                self.ports.insert(0, value.text());
                Fate::Carried
            }
            "server.bind" if top => {
                Fate::Lost("write the address before the port of Listen".to_owned())
            }
            "server.username" => {
                self.main.push(format!("User {}", quoted(&value.text())));
                Fate::Carried
            }
            "server.groupname" => {
                self.main.push(format!("Group {}", quoted(&value.text())));
                Fate::Carried
            }
            "server.pid-file" => {
                self.main.push(format!("PidFile {}", quoted(&value.text())));
                Fate::Carried
            }
            "server.errorlog" => {
                line(format!("ErrorLog {}", quoted(&value.text())));
                Fate::Carried
            }
            "accesslog.filename" => {
                line(format!(
                    "CustomLog {} \"%h %V %u %t \\\"%r\\\" %>s %b \\\"%{{Referer}}i\\\" \\\"%{{User-Agent}}i\\\"\"",
                    quoted(&value.text())
                ));
                Fate::Carried
            }
            "server.name" => {
                line(format!("ServerName {}", quoted(&value.text())));
                Fate::Carried
            }
            "index-file.names" | "server.indexfiles" => {
                let names: Vec<String> = value
                    .list()
                    .iter()
                    .map(|(_, name, _)| quoted(&name.text()))
                    .collect();
                line(format!("DirectoryIndex {}", names.join(" ")));
                Fate::Carried
            }
            "alias.url" => {
                for (url, dir, _) in value.list() {
                    let (url, dir) = (url.clone().unwrap_or_default(), dir.text());
                    line(format!("Alias {} {}", quoted(&url), quoted(&dir)));
                    line(format!("<Directory {}>", quoted(dir.trim_end_matches('/'))));
                    line("    Require all granted".to_owned());
                    line("</Directory>".to_owned());
                }
                Fate::Carried
            }
            "setenv.add-environment" | "setenv.set-environment" => {
                for (name, value, _) in value.list() {
                    let name = name.clone().unwrap_or_default();
                    line(format!("SetEnv {} {}", quoted(&name), quoted(&value.text())));
                }
                Fate::Carried
            }
            "setenv.add-response-header" | "setenv.set-response-header" => {
                let verb = if name.contains("add") { "add" } else { "set" };
                for (name, value, _) in value.list() {
                    let name = name.clone().unwrap_or_default();
                    line(format!(
                        "Header always {verb} {} {}",
                        quoted(&name),
                        quoted(&value.text())
                    ));
                }
                Fate::Carried
            }
            "url.access-deny" => {
                server.lines.extend(shield::instead_of(name, value));
                Fate::Carried
            }
            _ if shield::protects(name, value) => {
                server.lines.extend(shield::instead_of(name, value));
                let why = "nobody is let in there until you write who may: see \
                           \"Require all denied\"";
                Fate::Partly(why.to_owned())
            }
            "url.redirect" => {
                for (from, to, _) in value.list() {
                    let from = from.clone().unwrap_or_default();
                    line(format!(
                        "RedirectMatch 301 {} {}",
                        quoted(&from),
                        quoted(&to.text())
                    ));
                }
                Fate::Carried
            }
            "url.rewrite-once" | "url.rewrite" | "url.rewrite-repeat" => {
                rewrite(value, &mut server.lines);
                if name == "url.rewrite-repeat" {
                    Fate::Partly("rules are tried once".to_owned())
                } else {
                    let why = "lighttpd's rules see the query, RewriteRule's do not";
                    Fate::Partly(why.to_owned())
                }
            }
            "server.max-request-size" => {
                let kilobytes: u64 = value.text().parse().unwrap_or(0);
                line(format!("LimitRequestBody {}", kilobytes.saturating_mul(1024)));
                Fate::Carried
            }
            "server.modules" => Fate::Needless("what it does is built in".to_owned()),
            "fastcgi.server" => {
                self.note(
                    place,
                    format!("{name} ({} keys)", value.list().len()),
                    Fate::Carried,
                );
                self.servers(value, place, server);
                return;
            }
            "fastcgi.map-extensions" => {
                let why =
                    "each suffix wants a handler: AddHandler with the name of its key's";
                if self.extensions(value, server) {
                    Fate::Carried
                } else {
                    Fate::Lost(why.to_owned())
                }
            }
            "fastcgi.debug" => {
                Fate::Needless("LogLevel fastcgi:debug says as much".to_owned())
            }
            "fastcgi.balance" => Fate::Lost(
                "an application has one address: several want a front end".to_owned(),
            ),
            _ => Fate::Lost("nothing is made of it for this server".to_owned()),
        };
        self.note(place, text, fate);
    }

    /// Suffixes for a key that has a handler.
    #[allow(clippy::unused_self)] // beside its kind
    fn extensions(&mut self, value: &Value, server: &mut Server) -> bool {
        let mut all = true;
        for (suffix, key, _) in value.list() {
            let key = key.text();
            let line = server.lines.iter().find_map(|line| {
                let rest = line.strip_prefix("AddHandler ")?;
                let (handler, suffix) = rest.split_once(' ')?;
                (suffix == quoted(&key)).then(|| handler.to_owned())
            });
            match (line, suffix) {
                (Some(handler), Some(suffix)) => {
                    server.lines.push(format!("AddHandler {handler} {}", quoted(suffix)));
                }
                _ => all = false,
            }
        }
        all
    }

    /// `fastcgi.server`: keys, and for each one or several applications.
    fn servers(&mut self, value: &Value, place: &Place, server: &mut Server) {
        for (key, hosts, line) in value.list() {
            let key = key.clone().unwrap_or_default();
            let place = Place { line: *line, ..place.clone() };
            // One application may stand there without a list around it.
            let single = hosts.list().iter().any(|(_, value, _)| value.list().is_empty());
            let wrapped = [(None, hosts.clone(), *line)];
            let all = if single { &wrapped[..] } else { hosts.list() };
            for (index, (label, options, _)) in all.iter().enumerate() {
                let label =
                    label.clone().map(|label| format!(" {label}")).unwrap_or_default();
                let text = format!("fastcgi.server \"{key}\"{label}");
                if index == 0 {
                    self.note(&place, text, Fate::Carried);
                    self.application(&key, options, &place, server);
                } else {
                    let why = "an application has one address: put several behind one";
                    self.note(&place, text, Fate::Lost(why.to_owned()));
                    for (name, value, line) in options.list() {
                        let name = name.clone().unwrap_or_default();
                        let place = Place { line: *line, ..place.clone() };
                        let fate = Fate::Lost(why.to_owned());
                        self.note(
                            &place,
                            format!("\"{name}\" => {}", value.text()),
                            fate,
                        );
                    }
                }
            }
        }
    }

    fn application(
        &mut self,
        key: &str,
        options: &Value,
        place: &Place,
        server: &mut Server,
    ) {
        let get = |name: &str| {
            let mut found = options.list().iter();
            found
                .find(|(key, ..)| key.as_deref() == Some(name))
                .map(|(_, value, _)| value)
        };
        let program = get("bin-path").map(Value::text);
        let is_authorizer = get("mode").is_some_and(|mode| mode.text() == "authorizer");
        let check_local = get("check-local").is_none_or(Value::on);
        let suffix = !key.starts_with('/');
        self.gates += 1;
        let gate = format!("fcgi-gate-{}", self.gates);
        let (word, arguments) = match &program {
            Some(program) => match program.split_once([' ', '\t']) {
                Some((word, _)) => (Some(word.to_owned()), true),
                None => (Some(program.clone()), false),
            },
            None => (None, false),
        };
        let path = word.unwrap_or_else(|| format!("/{gate}"));
        let mut definition = String::new();
        for (name, value, line) in options.list() {
            let name = name.clone().unwrap_or_default();
            let place = Place { line: *line, ..place.clone() };
            let (option, fate) = option(&name, value, program.is_some(), arguments);
            if !option.is_empty() {
                definition += &format!(" {option}");
            }
            self.note(&place, format!("\"{name}\" => {}", value.text()), fate);
        }
        let kind =
            if program.is_some() { "FastCgiServer" } else { "FastCgiExternalServer" };
        if program.is_none() {
            let host = get("host").map(Value::text);
            let port = get("port").map_or("80".to_owned(), Value::text);
            let socket = get("socket").map(Value::text);
            definition += &match (socket, host) {
                (Some(socket), _) => format!(" -socket {}", quoted(&socket)),
                (None, Some(host)) if host.starts_with('/') => {
                    format!(" -socket {}", quoted(&host))
                }
                (None, host) => {
                    let host = host.unwrap_or("127.0.0.1".into());
                    format!(" -host {}", quoted(&format!("{host}:{port}")))
                }
            };
        }
        // lighttpd passes it on whatever it says.
        definition += " -pass-header Authorization";
        let defined = format!("{kind} {}{definition}", quoted(&path));
        if !self.main.contains(&defined) {
            self.main.push(defined);
        }
        let lines = &mut server.lines;
        if is_authorizer {
            let asks =
                format!("FastCgiAccessChecker {} -compat -pass-response", quoted(&path));
            if suffix {
                let pattern = format!("{}$", crate::convert::read::escaped(key));
                lines.extend(shield::section("LocationMatch", &pattern, &asks));
            } else {
                lines.extend(shield::below(key, &asks));
            }
        } else if suffix {
            let whatever = if check_local { "" } else { " virtual" };
            let gate_lines = [
                // Before others: of aliases the first that fits counts.
                format!("Alias /{gate} {}", quoted(&path)),
                format!("<Location /{gate}>"),
                "    Require env REDIRECT_STATUS".to_owned(),
                "</Location>".to_owned(),
                format!("AddHandler {gate} {}", quoted(key)),
                format!("Action {gate} /{gate}{whatever}"),
            ];
            lines.splice(0..0, gate_lines);
        } else {
            let url = if key == "/" { "/" } else { key.trim_end_matches('/') };
            let slash = if key == "/" { "/" } else { "" };
            lines.push(format!(
                "Alias {} {}",
                quoted(url),
                quoted(&format!("{path}{slash}"))
            ));
        }
    }
}

/// An option of an application as FastCgiServer and FastCgiExternalServer have it.
fn option(name: &str, value: &Value, starts: bool, arguments: bool) -> (String, Fate) {
    let text = value.text();
    let needless = |why: &str| (String::new(), Fate::Needless(why.to_owned()));
    let lost = |why: &str| (String::new(), Fate::Lost(why.to_owned()));
    let on = value.on();
    match name {
        "host" | "port" | "socket" if !starts => (String::new(), Fate::Carried),
        "host" => needless("what the server starts listens here"),
        "port" => (format!("-port {}", quoted(&text)), Fate::Carried),
        "socket" if text.contains("${") => {
            needless("the socket is the server's own, and nobody else knows it")
        }
        "socket" => (format!("-socket {}", quoted(&text)), Fate::Carried),
        "bin-path" if arguments => {
            let why = "FastCgiServer takes a program without arguments: write a script";
            (String::new(), Fate::Partly(why.to_owned()))
        }
        "bin-path" => {
            let why = "its environment holds what -initial-env says and nothing else";
            (String::new(), Fate::Partly(why.to_owned()))
        }
        "mode" => (String::new(), Fate::Carried),
        "max-procs" => (format!("-processes {}", quoted(&text)), Fate::Carried),
        "min-procs" | "max-load-per-proc" | "idle-timeout" => {
            needless("as many processes as -processes says run all the time")
        }
        "bin-environment" => {
            let pairs = value.list().iter().map(|(name, value, _)| {
                let pair =
                    format!("{}={}", name.clone().unwrap_or_default(), value.text());
                format!("-initial-env {}", quoted(&pair))
            });
            (pairs.collect::<Vec<_>>().join(" "), Fate::Carried)
        }
        "bin-copy-environment" => {
            let names = value
                .list()
                .iter()
                .map(|(_, name, _)| format!("-initial-env {}", quoted(&name.text())));
            (names.collect::<Vec<_>>().join(" "), Fate::Carried)
        }
        "docroot" => lost("an application elsewhere wants its paths set by SetEnvIfExpr"),
        "check-local" => (String::new(), Fate::Carried),
        "broken-scriptfilename" => {
            needless("PATH_TRANSLATED tells php the script, whatever the path is")
        }
        "fix-root-scriptname" => needless("SCRIPT_NAME is what the Alias's URL is"),
        "strip-request-uri" => lost("REQUEST_URI is what the client asked for"),
        "disable-time" => {
            needless("a process that does not answer is not asked for a while")
        }
        "allow-x-send-file" | "x-sendfile" | "x-sendfile-docroot"
            if !on && value.list().is_empty() =>
        {
            needless("it is off")
        }
        "allow-x-send-file" | "x-sendfile" | "x-sendfile-docroot" => {
            lost("this server does not send files that an application names")
        }
        "kill-signal" => match signal(&text) {
            Some(name) if starts => (format!("-kill-signal {name}"), Fate::Carried),
            _ => needless("nobody here ends it"),
        },
        "listen-backlog" if starts => {
            (format!("-listen-queue-depth {}", quoted(&text)), Fate::Carried)
        }
        "listen-backlog" => needless("whoever starts it listens"),
        "connect-timeout" => {
            (format!("-appConnTimeout {}", quoted(&text)), Fate::Carried)
        }
        "read-timeout" | "write-timeout" => {
            (format!("-idle-timeout {}", quoted(&text)), Fate::Carried)
        }
        "tcp-fin-propagate" => needless("a client that goes away ends its request"),
        _ => lost("there is no such option here"),
    }
}

fn signal(number: &str) -> Option<&'static str> {
    Some(match number {
        "1" => "HUP",
        "2" => "INT",
        "3" => "QUIT",
        "10" => "USR1",
        "12" => "USR2",
        "15" => "TERM",
        "28" => "WINCH",
        _ => return None,
    })
}

/// Rules as RewriteRule's: the first that fits is the last.
fn rewrite(value: &Value, lines: &mut Vec<String>) {
    lines.push("RewriteEngine On".to_owned());
    for (from, to, _) in value.list() {
        let (from, to) = (from.clone().unwrap_or_default(), to.text());
        // What a rule leaves as it is is not to be rewritten by another one.
        let to = if to == "$0" || from == "^(.*)$" && to == "$1" {
            "-".to_owned()
        } else {
            to
        };
        lines.push(format!("RewriteRule {} {} [PT,L,QSA]", quoted(&from), quoted(&to)));
    }
}

/// Do the lines of two servers' names have one in common?
fn share_a_name(a: &str, b: &str) -> bool {
    let names = |lines: &str| -> Vec<String> {
        let words = lines.split_whitespace().map(str::to_ascii_lowercase);
        words.filter(|word| !["servername", "serveralias"].contains(&&word[..])).collect()
    };
    let (a, b) = (names(a), names(b));
    a.iter().any(|name| b.contains(name))
}

/// A text without ends of lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn condition_text(field: &str, operator: &str, value: &str) -> String {
    if field.is_empty() {
        "else".to_owned()
    } else {
        format!("${field} {operator} \"{value}\"")
    }
}

/// The names of a host's condition.
fn names(operator: &str, value: &str) -> (String, Fate) {
    if operator == "==" {
        return (format!("ServerName {}", quoted(value)), Fate::Carried);
    }
    let inner = value.trim_start_matches('^').trim_end_matches('$');
    let inner = inner.trim_end_matches("(:[0-9]+)?");
    let plain = inner.replace("\\.", ".");
    let parts: Vec<&str> =
        plain.trim_start_matches('(').trim_end_matches(')').split('|').collect();
    let is_name = |part: &&str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
    };
    let is_whole = value.starts_with('^')
        && value.ends_with('$')
        && (parts.len() == 1 || plain.starts_with('('));
    if parts.iter().all(is_name) {
        let mut out = format!("ServerName {}", parts[0]);
        if parts.len() > 1 {
            out += &format!("\n    ServerAlias {}", parts[1..].join(" "));
        }
        if !is_whole {
            let why = "only these names are answered, and none that they are a part of";
            return (out, Fate::Partly(why.to_owned()));
        }
        return (out, Fate::Carried);
    }
    let why =
        "a pattern of names: write ServerAlias by hand, it answers nobody until then";
    ("ServerName pattern.invalid".to_owned(), Fate::Partly(why.to_owned()))
}
