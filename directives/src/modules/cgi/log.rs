//! What the error log and the `ScriptLog` say about scripts: `log_scripterror` and
//! `log_script`.

use std::fmt::Write;

use bytes::Bytes;

use crate::log::{Level, Line};
use crate::request::Request;

/// An entry of a `ScriptLog` behind its time.
pub type Entry = Bytes;

/// A request that was refused before a script was started.
pub fn refused(r: &mut Request, status: u16, ah: u32, why: &str) {
    let (line, entry) = about(r, status, ah, why.as_bytes());
    r.lines.push(line);
    r.script_log.extend(entry);
}

/// A line that a script wrote to its standard error, for both logs.
pub fn said(r: &Request, text: &[u8]) -> (Line, Option<Entry>) {
    about(r, r.status, 1215, text)
}

fn about(r: &Request, status: u16, ah: u32, text: &[u8]) -> (Line, Option<Entry>) {
    let whole = [b"stderr from ", &r.filename[..], b": ", text].concat();
    let line =
        Line { level: Level::Error, module: "cgi", ah, error: None, text: whole.into() };
    let entry =
        r.server.config.cgi.log().map(|_| {
            [head(r, status).as_bytes(), b"%error\n", text, b"\n"].concat().into()
        });
    (line, entry)
}

/// A script that did not bring a proper head.
pub fn failed(r: &mut Request, status: u16) {
    if r.server.config.cgi.log().is_none() {
        return;
    }
    let mut out = head(r, status);
    out += "%request\n";
    for (name, value) in r.headers_in.iter() {
        let value = String::from_utf8_lossy(value.as_bytes());
        let _ = writeln!(out, "{name}: {value}");
    }
    out += "%response\n";
    for (name, value) in r.headers_out.iter().chain(r.err_headers_out.iter()) {
        let (name, value) =
            (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        let _ = writeln!(out, "{name}: {value}");
    }
    r.script_log.push(out.into());
}

/// The two lines that every entry begins with, without the time.
fn head(r: &Request, status: u16) -> String {
    let uri = String::from_utf8_lossy(&r.uri);
    let query = r
        .args
        .as_ref()
        .map_or_else(String::new, |args| format!("?{}", String::from_utf8_lossy(args)));
    let file = String::from_utf8_lossy(&r.filename);
    let (method, protocol) = (&r.method, r.protocol());
    format!("{method} {uri}{query} {protocol}\n%% {status} {file}\n")
}
