//! The error log's lines, as httpd writes them: time, module and level, process, system
//! error, client, number, message.

use std::net::SocketAddr;

use directives::log::{Level, Line, escape};
use directives::modules::core::{Facts, Server};
use directives::request::Request;

use super::told;

/// Whom a line concerns.
#[derive(Clone, Copy, Default)]
pub struct About<'a> {
    /// The client.
    pub client: Option<SocketAddr>,
    /// The request.
    pub request: Option<&'a Request>,
}

/// A line ready to be written into the error log of `server`; with `ErrorLogFormat` there may
/// be others before it.
pub fn line(line: &Line, server: &Server, about: About<'_>) -> Vec<u8> {
    let Some(formats) = &server.error_log_format else { return format(line, about) };
    let now = super::now();
    let (pid, tid) = super::ids();
    let facts = Facts {
        line,
        server,
        connection: about.request.map(|r| &*r.connection),
        request: about.request,
        client: about.client,
        now,
        utc_offset: super::utc_offset(now),
        pid,
        tid,
    };
    let mut out = Vec::new();
    if formats.has_once()
        && let Some(r) = about.request
    {
        let first = told::first_of(r.connection.id, r.log_number());
        if first.of_connection {
            formats.about_connection(facts, &mut out);
        }
        if first.of_request {
            formats.about_request(facts, &mut out);
        }
    }
    out.extend(match formats.main() {
        Some(own) => own.line(facts),
        None => format(line, about),
    });
    out
}

/// A line as it is without `ErrorLogFormat`.
fn format(line: &Line, about: About<'_>) -> Vec<u8> {
    let (pid, tid) = super::ids();
    let mut out = format!(
        "[{}] [{}:{}] [pid {pid}:tid {tid}] ",
        time("%.6f"),
        line.module,
        line.level
    )
    .into_bytes();
    if let Some(error) = &line.error {
        out.extend_from_slice(format!("({}){}: ", error.code, error.text).as_bytes());
    }
    if let Some(client) = about.client {
        // httpd puts no brackets around an IPv6 address.
        let (ip, port) = (client.ip().to_canonical(), client.port());
        out.extend_from_slice(format!("[client {ip}:{port}] ").as_bytes());
    }
    if line.ah != 0 {
        out.extend_from_slice(format!("AH{:05}: ", line.ah).as_bytes());
    }
    escape(&line.text, &mut out);
    if let Some(referer) = about.request.and_then(|r| r.header("referer")) {
        out.extend_from_slice(b", referer: ");
        escape(&referer, &mut out);
    }
    out.push(b'\n');
    out
}

/// A line about the server as a whole, for a terminal.
pub fn plain(level: Level, module: &'static str, ah: u32, text: &str) -> Vec<u8> {
    let text = text.to_owned().into();
    let line = Line { level, module, ah, error: None, text, of_server: true };
    format(&line, About::default())
}

/// The time as httpd writes it, with `fraction` behind the seconds.
pub fn time(fraction: &str) -> String {
    let micros = crate::log::now();
    let offset = jiff::tz::Offset::from_seconds(super::utc_offset(micros));
    let zone = offset.map_or(jiff::tz::TimeZone::UTC, jiff::tz::TimeZone::fixed);
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(time) => {
            let format = format!("%a %b %d %H:%M:%S{fraction} %Y");
            time.to_zoned(zone).strftime(&format).to_string()
        }
        Err(_) => String::new(),
    }
}
