//! The error log's lines, as httpd writes them: time, module and level, process, system
//! error, client, number, message.

use std::net::SocketAddr;

use directives::log::{Level, Line};

/// Whom a line concerns.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// The client.
    pub client: Option<SocketAddr>,
    /// The request's `Referer`.
    pub referer: Option<&'a [u8]>,
}

/// A line ready to be written.
pub fn format(line: &Line, about: About<'_>) -> Vec<u8> {
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
    if let Some(referer) = about.referer {
        out.extend_from_slice(b", referer: ");
        escape(referer, &mut out);
    }
    out.push(b'\n');
    out
}

/// A line about the server as a whole.
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

/// `ap_escape_errorlog_item`: control bytes cannot forge a line.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x0b => out.extend_from_slice(b"\\v"),
            0x20..=0x7e | 0x80.. => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
}
