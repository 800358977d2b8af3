//! The configuration that requests are served with, swapped whole.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use directives::Snapshot;
use directives::log::{Level, Line};
use directives::modules::cgi;
use directives::request::Request;
use directives::snapshot::Server;

use super::apps::Outbox;
use super::maps::Maps;
use crate::log::{Sink, error};
use crate::logs::Name;
use crate::message::ToParent;
use crate::tls::Hosts;

/// One configuration and what was opened for it.
#[derive(Debug)]
pub struct Generation {
    /// Its number, given by the parent.
    pub number: u64,
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// What TLS's handshakes are made with.
    pub tls: Hosts,
    /// The listening sockets, until somebody accepts on them.
    pub listeners: Vec<OwnedFd>,
    /// The logs.
    pub logs: HashMap<Name, Arc<Sink>>,
    /// The programs of RewriteMaps.
    pub maps: Maps,
    /// Told when no request uses this configuration any more.
    pub released: Option<Outbox>,
}

impl Drop for Generation {
    fn drop(&mut self) {
        if let Some(outbox) = &self.released {
            outbox.say(ToParent::Released(self.number));
        }
    }
}

impl Generation {
    /// Begins to be used: `outbox` is told what the parent has to know.
    pub fn begin(&mut self, outbox: &Outbox) {
        self.maps.begin(self.number, outbox);
        self.released = Some(outbox.clone());
    }

    /// Writes what logs have gathered (`BufferedLogs`).
    pub fn flush(&self) {
        self.logs.values().for_each(|sink| sink.flush());
    }

    /// The log of a name. Every name of the configuration was opened.
    pub fn log(&self, name: &Name) -> Option<&Arc<Sink>> {
        self.logs.get(name)
    }

    /// Writes the lines that a request has gathered.
    pub fn write_lines(&self, r: &mut Request) {
        if r.lines.is_empty() && r.script_log.is_empty() {
            return;
        }
        for entry in std::mem::take(&mut r.script_log) {
            self.write_script_log(&r.server.config.cgi, &entry);
        }
        let lines = std::mem::take(&mut r.lines);
        for line in &lines {
            self.write_line(r, line);
        }
    }

    /// Writes a line about a connection that has no request, if its level is wanted.
    pub fn write_client(&self, server: &Server, client: SocketAddr, line: &Line) {
        let core = &server.config.core;
        let levels = core.log.as_ref();
        let wanted =
            levels.map_or(line.level <= Level::Warn, |l| line.level <= l.of(line.module));
        if wanted && let Some(sink) = self.log(&Name::of_error_log(core)) {
            let about = error::About { client: Some(client), request: None };
            sink.line(&error::line(line, core, about));
        }
    }

    /// Writes one line of a request, if its level is wanted.
    pub fn write_line(&self, r: &Request, line: &Line) {
        if !r.is_logged(line.level, line.module) {
            return;
        }
        let core = &r.server.config.core;
        let Some(sink) = self.log(&Name::of_error_log(core)) else {
            return;
        };
        if line.of_server {
            sink.line(&error::line(line, core, error::About::default()));
            return;
        }
        let client = SocketAddr::new(r.useragent_ip, r.connection.client.port());
        let about = error::About { client: Some(client), request: Some(r) };
        sink.line(&error::line(line, core, about));
    }

    /// Writes an entry of a server's `ScriptLog`, unless that is long enough.
    pub fn write_script_log(&self, config: &cgi::Server, entry: &[u8]) {
        let name = config.log().cloned().map(Name::Script);
        let Some(sink) = name.and_then(|name| self.log(&name)) else { return };
        let most = i64::try_from(config.log_length()).unwrap_or(i64::MAX);
        if nix::sys::stat::fstat(sink).is_ok_and(|found| found.st_size <= most) {
            let time = error::time("");
            sink.line(&[b"%% [", time.as_bytes(), b"] ", entry].concat());
        }
    }

    /// The same as [`Generation::write_plain`], if its level is wanted.
    pub fn write_wanted(&self, level: Level, module: &'static str, ah: u32, text: &str) {
        let levels = self.snapshot.main().config.core.log.as_ref();
        if levels.map_or(level <= Level::Warn, |levels| level <= levels.of(module)) {
            self.write_plain(level, module, ah, text);
        }
    }

    /// Writes a line about the server as a whole into the main error log.
    pub fn write_plain(&self, level: Level, module: &'static str, ah: u32, text: &str) {
        let core = &self.snapshot.main().config.core;
        if let Some(sink) = self.log(&Name::of_error_log(core)) {
            let text = text.to_owned().into();
            let line = Line { level, module, ah, error: None, text, of_server: true };
            sink.line(&error::line(&line, core, error::About::default()));
        }
    }
}
