//! `ErrorLogFormat`: what a line of the error log looks like, and what is said once about a
//! connection or a request before its first line. See `do_errorlog_format` in httpd's
//! `server/log.c`.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use jiff::fmt::strtime;

use super::Server;
use crate::log::{Line, escape};
use crate::modules::log_config::zoned;
use crate::request::{Connection, Request};
use crate::schema::{Compat, Context, Directive, Problem, Set};

/// What is known where a line is written.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The line.
    pub line: &'a Line,
    /// The server that it is about.
    pub server: &'a Server,
    /// The connection, if it is about one.
    pub connection: Option<&'a Connection>,
    /// The request, if it is about one.
    pub request: Option<&'a Request>,
    /// The client, also where no more is known of its connection.
    pub client: Option<SocketAddr>,
    /// Now, microseconds since 1970.
    pub now: i64,
    /// Local time's distance from UTC, seconds.
    pub utc_offset: i32,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u64,
}

/// The formats of a server.
#[derive(Clone, Debug, Default)]
pub struct Formats {
    main: Option<Arc<Format>>,
    connection: Vec<Arc<Format>>,
    request: Vec<Arc<Format>>,
}

impl Formats {
    /// A virtual host's over the main server's, kind by kind.
    pub(super) fn merged(
        main: Option<&Formats>,
        own: Option<&Formats>,
    ) -> Option<Formats> {
        let (Some(main), Some(own)) = (main, own) else { return own.or(main).cloned() };
        let list = |main: &[_], own: &[_]| {
            if own.is_empty() { main.to_vec() } else { own.to_vec() }
        };
        Some(Formats {
            main: own.main.clone().or_else(|| main.main.clone()),
            connection: list(&main.connection, &own.connection),
            request: list(&main.request, &own.request),
        })
    }

    /// The format of lines; `None` for httpd's.
    pub fn main(&self) -> Option<&Format> {
        self.main.as_deref()
    }

    /// Is there something to be said once?
    pub fn has_once(&self) -> bool {
        !self.connection.is_empty() || !self.request.is_empty()
    }

    /// The lines about a connection that stand before its first line.
    pub fn about_connection(&self, facts: Facts<'_>, out: &mut Vec<u8>) {
        let facts = Facts { request: None, ..facts };
        for format in &self.connection {
            format.once(facts, out);
        }
    }

    /// The lines about a request that stand before its first line.
    pub fn about_request(&self, facts: Facts<'_>, out: &mut Vec<u8>) {
        for format in &self.request {
            format.once(facts, out);
        }
    }
}

/// A format, read.
#[derive(Debug)]
pub struct Format(Vec<Item>);

#[derive(Debug)]
struct Item {
    what: What,
    /// What has no value takes everything with it from here to the next such place.
    begins_field: bool,
    /// `-`: nothing is shown as `-`.
    hyphen: bool,
    /// `+`: without it there is no line.
    required: bool,
    /// Only for lines of this level or a less severe one.
    least: u8,
}

#[derive(Debug)]
enum What {
    Text(Bytes),
    /// `% `.
    Nothing,
    Message,
    Client,
    Peer,
    Local,
    Env(String),
    Error,
    /// `%F`: where in httpd's sources. There is no such place here.
    Source,
    Field(String),
    Keepalives,
    Level,
    RequestId,
    ConnectionId,
    /// `%{C}L`: of a connection without a request.
    LoneConnectionId,
    Module,
    Note(String),
    Process,
    Thread,
    Time(String),
    CanonicalName,
    ServerName,
}

/// Reads a format; `is_main` if it is that of lines. The error is httpd's sentence.
fn parse(text: &[u8], is_main: bool) -> Result<Format, String> {
    let mut items = Vec::new();
    let mut rest = text;
    let mut has_message = false;
    while !rest.is_empty() {
        let (item, after) = if rest[0] == b'%' { item(rest)? } else { literal(rest) };
        let is_message = matches!(item.what, What::Message);
        if is_message && !is_main {
            return Err("%M cannot be used in once-per-request or once-per-connection \
                        formats"
                .to_owned());
        }
        if item.least > 0 && !is_main {
            return Err(
                "The loglevel cannot be used as a condition in once-per-request or \
                        once-per-connection formats"
                    .to_owned(),
            );
        }
        if item.required && is_main {
            return Err(
                "The '+' flag cannot be used in the main error log format".to_owned()
            );
        }
        has_message |= is_message;
        items.push(item);
        rest = after;
    }
    if is_main && !has_message {
        return Err(
            "main ErrorLogFormat must contain message format string '%M'".to_owned()
        );
    }
    Ok(Format(items))
}

/// Text up to the next item or the next field.
fn literal(text: &[u8]) -> (Item, &[u8]) {
    let mut plain = Vec::new();
    let mut i = 0;
    while let Some(&byte) = text.get(i) {
        match (byte, text.get(i + 1)) {
            (b'%', _) => break,
            (b' ', _) if i > 0 && text[i - 1] != b' ' => break,
            (b'\\', Some(&next)) => {
                plain.push(match next {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    other => other,
                });
                i += 2;
            }
            _ => {
                plain.push(byte);
                i += 1;
            }
        }
    }
    let what = What::Text(plain.into());
    let begins_field = text[0] == b' ';
    let item = Item { what, begins_field, hyphen: false, required: false, least: 0 };
    (item, &text[i..])
}

/// An item behind its `%`.
fn item(text: &[u8]) -> Result<(Item, &[u8]), String> {
    let mut item = Item {
        what: What::Nothing,
        begins_field: false,
        hyphen: false,
        required: false,
        least: 0,
    };
    let mut argument = String::new();
    let mut i = 1;
    while let Some(&byte) = text.get(i) {
        i += 1;
        match byte {
            b'-' => item.hyphen = true,
            b'+' => item.required = true,
            b'{' => {
                let end = text[i..].iter().position(|&b| b == b'}');
                let end = end.map_or(text.len(), |n| i + n);
                argument = String::from_utf8_lossy(&text[i..end]).into_owned();
                i = (end + 1).min(text.len());
            }
            b'0'..=b'9' => {
                let digits =
                    text[i - 1..].iter().take_while(|b| b.is_ascii_digit()).count();
                let number = String::from_utf8_lossy(&text[i - 1..i - 1 + digits]);
                item.least = match number.parse() {
                    Ok(level @ 1..=15) => level,
                    _ => {
                        let message = "The specified loglevel modifier is out of range";
                        return Err(message.to_owned());
                    }
                };
                i += digits - 1;
            }
            b' ' => {
                item.begins_field = true;
                return Ok((item, &text[i..]));
            }
            b'%' => {
                item.what = What::Text(Bytes::from_static(b"%"));
                return Ok((item, &text[i..]));
            }
            letter => {
                item.what = meaning(letter, argument).ok_or_else(|| {
                    let letter = char::from(letter);
                    format!("Unrecognized error log format directive %{letter}")
                })?;
                return Ok((item, &text[i..]));
            }
        }
    }
    Err("Ran off end of error log format parsing args to some directive".to_owned())
}

fn meaning(letter: u8, argument: String) -> Option<What> {
    Some(match letter {
        b'a' if argument == "c" => What::Peer,
        b'a' => What::Client,
        b'A' => What::Local,
        b'e' => What::Env(argument),
        b'E' => What::Error,
        b'F' => What::Source,
        b'i' => What::Field(argument),
        b'k' => What::Keepalives,
        b'l' => What::Level,
        b'L' => match argument.as_str() {
            "c" => What::ConnectionId,
            "C" => What::LoneConnectionId,
            _ => What::RequestId,
        },
        b'm' => What::Module,
        b'M' => What::Message,
        b'n' => What::Note(argument),
        b'P' => What::Process,
        b't' => What::Time(time_format(&argument)),
        b'T' => What::Thread,
        b'v' => What::CanonicalName,
        b'V' => What::ServerName,
        _ => return None,
    })
}

/// What strftime makes of `%{...}t`.
fn time_format(argument: &str) -> String {
    if argument.starts_with('%') {
        return argument.to_owned();
    }
    let has = |letter| argument.contains(letter);
    let fraction = match (has('u'), has('m')) {
        (true, _) => ".%6f",
        (_, true) => ".%3f",
        _ => "",
    };
    if has('c') {
        let zone = if has('z') { " %z" } else { "" };
        return format!("%Y-%m-%d %H:%M:%S{fraction}{zone}");
    }
    format!("%a %b %d %H:%M:%S{fraction} %Y")
}

impl Format {
    /// A line, its end included.
    pub fn line(&self, facts: Facts<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(200);
        if self.render(facts, false, &mut out) {
            out.push(b'\n');
        }
        out
    }

    fn once(&self, facts: Facts<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        if self.render(facts, true, out) {
            out.push(b'\n');
        } else {
            out.truncate(start);
        }
    }

    /// Says whether there is a line.
    fn render(&self, facts: Facts<'_>, once: bool, out: &mut Vec<u8>) -> bool {
        let begin = out.len();
        let (mut field, mut skipping) = (begin, false);
        for item in &self.0 {
            if item.begins_field {
                if !skipping {
                    field = out.len();
                }
                skipping = false;
            }
            if matches!(item.what, What::Message) {
                message(facts.line, out);
                continue;
            }
            if skipping {
                continue;
            }
            if !once && facts.line.level.number() < item.least {
                out.truncate(field);
                skipping = true;
                continue;
            }
            let before = out.len();
            let is_empty = item.what.write(facts, once, out).is_none()
                || out.len() == before && !matches!(item.what, What::Nothing);
            match is_empty {
                true if item.required => return false,
                true if item.hyphen => out.push(b'-'),
                true => {
                    out.truncate(field);
                    skipping = true;
                }
                false => {}
            }
        }
        out.len() > begin
    }
}

/// The message, and httpd's number before it.
fn message(line: &Line, out: &mut Vec<u8>) {
    if line.ah != 0 {
        out.extend_from_slice(format!("AH{:05}: ", line.ah).as_bytes());
    }
    escape(&line.text, out);
}

impl What {
    /// Writes it; `None` if there is nothing to write.
    fn write(&self, facts: Facts<'_>, once: bool, out: &mut Vec<u8>) -> Option<()> {
        let line = (!once).then_some(facts.line);
        let (request, connection) = (facts.request, facts.connection);
        let text: Cow<'_, str> = match self {
            What::Text(text) => {
                out.extend_from_slice(text);
                return Some(());
            }
            What::Nothing => return Some(()),
            What::Message | What::Source => return None,
            What::Client => address(facts.client?).into(),
            What::Peer => address(connection.map(|c| c.client).or(facts.client)?).into(),
            What::Local => address(connection?.local).into(),
            What::Env(name) => {
                escape(request?.env.get(name.as_bytes())?, out);
                return Some(());
            }
            What::Note(name) => {
                escape(request?.notes.get(name.as_bytes())?, out);
                return Some(());
            }
            What::Field(name) => {
                let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
                escape(&request?.header(name)?, out);
                return Some(());
            }
            What::Error => {
                let error = line?.error.as_ref()?;
                format!("({}){}", error.code, error.text).into()
            }
            What::Keepalives => connection?.keepalives.to_string().into(),
            What::Level => line?.level.to_string().into(),
            What::RequestId => request?.log_id().into(),
            What::ConnectionId => connection?.log_id().into(),
            What::LoneConnectionId if request.is_some() => return None,
            What::LoneConnectionId => connection?.log_id().into(),
            What::Module => line?.module.into(),
            What::Process => facts.pid.to_string().into(),
            What::Thread => facts.tid.to_string().into(),
            What::Time(format) => {
                let time = zoned(facts.now, facts.utc_offset)?;
                strtime::format(format, &time).ok()?.into()
            }
            What::CanonicalName => facts.server.server_name.as_deref()?.into(),
            What::ServerName => request?.server_name(),
        };
        out.extend_from_slice(text.as_bytes());
        Some(())
    }
}

/// Address and port; httpd puts no brackets around an IPv6 address.
fn address(address: SocketAddr) -> String {
    format!("{}:{}", address.ip().to_canonical(), address.port())
}

pub static ERROR_LOG_FORMAT: Directive = Directive {
    name: "ErrorLogFormat",
    syntax: "[connection|request] format",
    context: Context::SERVERS,
    default: "\"[%{u}t] [%m:%l] [pid %P:tid %T] %E: [client\\ %a] %M% ,\\ referer\\ %{Referer}i\"",
    summary: "Format string for the ErrorLog",
    docs: r#"
What a line of the error log looks like. With `connection` or `request` it is a line of its
own that stands before the first one about a connection or a request; several may be given.

| Item | Value |
|---|---|
| `%%` | a percent sign |
| `%a`, `%{c}a` | the client's address and port, as `RemoteIPHeader` has it; that of the connection |
| `%A` | our address and port |
| `%{NAME}e`, `%{NAME}n` | a variable of the request, a note |
| `%E` | the system's error, number and words |
| `%F` | nothing: where httpd's sources say it |
| `%{NAME}i` | a field of the request |
| `%k` | how many requests came over the connection before |
| `%l`, `%m` | the level, the module |
| `%L`, `%{c}L`, `%{C}L` | a number of the request (`UNIQUE_ID` with mod_unique_id), of the connection, of the connection in lines that are about no request; `LogFormat` has the same |
| `%M` | the message; it has to be there, and only in the format of lines |
| `%P`, `%T`, `%{g}T` | the process, the thread |
| `%t` | the time; `%{u}t` with microseconds, `%{m}t` with milliseconds, with `c` as `2026-01-31 12:00:00`, with `cz` and the zone behind it, and `%{%H:%M}t` as strftime has it |
| `%v`, `%V` | `ServerName`; the name as `UseCanonicalName` has it |
| `\ ` | a blank that does not end a field |
| `% ` | the end of a field, without a blank |

What has no value takes its whole field with it, from blank to blank. `%-m` is `-` then, and
in a line of its own `%+a` takes the whole line with it. `%7a` is there only in lines of level
debug, which is 7, and less severe ones.

## Example
    ErrorLogFormat "[%{cu}t] [%-m:%l] [R:%L] [C:%{C}L] %E: %M"
    ErrorLogFormat request "[%{cu}t] [R:%L] request %k of C:%{c}L pid:%P"
    ErrorLogFormat request "[%{cu}t] [R:%L] UA:'%+{User-Agent}i'"
    ErrorLogFormat connection "[%{cu}t] [C:%{c}L] remote\ %a local\ %A"
"#,
    compat: Compat::Differs("`%F` has no value: lines do not come from httpd's sources"),
    set: Set::OneOrTwo(|at, first, second| {
        let (kind, text) = match second {
            None => (None, first),
            Some(text) => (Some(first), text),
        };
        let format = parse(&text.bytes, kind.is_none())
            .map_err(|why| Problem::from(why).at(text.span));
        let formats = at.server.core().error_log_format.get_or_insert_default();
        match kind {
            None => formats.main = Some(Arc::new(format?)),
            Some(kind) if kind.is("connection") => {
                formats.connection.push(Arc::new(format?));
            }
            Some(kind) if kind.is("request") => {
                formats.request.push(Arc::new(format?));
            }
            Some(kind) => {
                let message = "ErrorLogFormat type must be one of request, connection";
                return Err(Problem::from(message).at(kind.span));
            }
        }
        Ok(())
    }),
    ..Directive::EXACT
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::OsError;
    use crate::log::Level;

    fn shown(format: &str) -> String {
        let server =
            Server { server_name: Some("www.example.org".into()), ..Server::default() };
        let error = OsError { code: 2, text: "No such file".into() };
        let line = Line {
            level: Level::Warn,
            module: "core",
            ah: 7,
            error: Some(error),
            text: "a\nb".into(),
            of_server: true,
        };
        let facts = Facts {
            line: &line,
            server: &server,
            connection: None,
            request: None,
            client: None,
            now: 1_600_000_000_123_456,
            utc_offset: 20_700,
            pid: 11,
            tid: 12,
        };
        let format = parse(format.as_bytes(), true).expect("a format");
        String::from_utf8(format.line(facts)).expect("text")
    }

    #[test]
    fn times_are_shown_in_many_ways() {
        for (item, expected) in [
            ("%t", "Sun Sep 13 18:11:40 2020"),
            ("%{u}t", "Sun Sep 13 18:11:40.123456 2020"),
            ("%{m}t", "Sun Sep 13 18:11:40.123 2020"),
            ("%{c}t", "2020-09-13 18:11:40"),
            ("%{cu}t", "2020-09-13 18:11:40.123456"),
            ("%{cuz}t", "2020-09-13 18:11:40.123456 +0545"),
            ("%{%H:%M}t", "18:11"),
        ] {
            let line = shown(&format!("[{item}] %M"));
            assert_eq!(line, format!("[{expected}] AH00007: a\\nb\n"), "{item}");
        }
    }

    #[test]
    fn what_has_no_value_takes_its_field_with_it() {
        assert_eq!(
            shown("%E %m:%l pid=%P tid=%T/%{g}T %v client\\ %a [%L] %F %-V %4l %5l|%M"),
            "(2)No such file core:warn pid=11 tid=12/12 www.example.org - warnAH00007: a\\nb\n"
        );
    }
}
