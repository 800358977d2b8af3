//! What the error log and the `ScriptLog` say about scripts: `log_scripterror` and
//! `log_script`.

use bytes::Bytes;

use crate::content::title_case;
use crate::log::{Level, Line};
use crate::request::Request;

/// An entry of a `ScriptLog` behind its time.
pub type Entry = Bytes;

/// What is said about one request's script, in both logs.
#[derive(Clone, Debug)]
pub struct Voice {
    file: Bytes,
    /// The beginning of entries, where there is a `ScriptLog`.
    head: Option<String>,
}

impl Voice {
    /// Of a request that leads to a status, as far as that is known.
    pub fn new(r: &Request, status: u16) -> Voice {
        let file = Bytes::copy_from_slice(&r.filename);
        let head = r.server.config.cgi.log().map(|_| head(r, status));
        Voice { file, head }
    }

    /// The line of the error log.
    pub fn line(&self, ah: u32, text: &[u8]) -> Line {
        let text = [b"stderr from ", &self.file[..], b": ", text].concat().into();
        Line {
            level: Level::Error,
            module: "cgi",
            ah,
            error: None,
            text,
            of_server: false,
        }
    }

    /// The entry of the `ScriptLog`.
    pub fn entry(&self, text: &[u8]) -> Option<Entry> {
        let head = self.head.as_ref()?;
        Some([head.as_bytes(), b"%error\n", text, b"\n"].concat().into())
    }
}

/// A request that was refused before a script was started.
pub fn refused(r: &mut Request, status: u16, ah: u32, why: &str) {
    let voice = Voice::new(r, status);
    let line = voice.line(ah, why.as_bytes());
    r.log(line.level, line.module, line.ah, line.text);
    r.script_log.extend(voice.entry(why.as_bytes()));
}

/// What a `ScriptLog` is to know of a request whose script fails.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The beginning of the request's body.
    pub body: Bytes,
    /// The line that is no header.
    pub line: Bytes,
    /// What the script wrote behind it.
    pub rest: Vec<u8>,
}

/// How much of a request's body is wanted for the `ScriptLog`, bytes: `log_script` shows that
/// of two methods only.
pub fn wanted(r: &Request) -> Option<usize> {
    let config = &r.server.config.cgi;
    config.log()?;
    let has_body = matches!(r.method, http::Method::POST | http::Method::PUT);
    Some(if has_body { config.log_buffer() } else { 0 })
}

/// A script that did not bring a proper head.
pub fn failed(r: &mut Request, status: u16) {
    if r.server.config.cgi.log().is_none() {
        return;
    }
    let Heard { body, line, rest } = std::mem::take(&mut r.script_heard);
    let mut out = head(r, status).into_bytes();
    out.extend_from_slice(b"%request\n");
    for (name, value) in r.headers_in.iter() {
        let name = title_case(name.as_str());
        out.extend([name.as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
    }
    if !body.is_empty() {
        out.extend([b"\n", &body[..], b"\n"].concat());
    }
    out.extend_from_slice(b"%response\n");
    for (name, value) in r.err_headers_out.iter() {
        out.extend([&name[..], b": ", &value[..], b"\n"].concat());
    }
    if !line.is_empty() {
        out.extend([&line[..], b"\n"].concat());
    }
    if !rest.is_empty() {
        out.extend([b"%stdout\n", &rest[..], b"\n"].concat());
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
