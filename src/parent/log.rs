//! The main error log, as the parent writes it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use directives::Snapshot;
use directives::bundle::OsError;
use directives::log::{Level, Levels, Line};
use directives::snapshot::Server;

use crate::log::error::{self, About};

/// The open log, and what is wanted in it.
#[derive(Clone, Debug)]
pub struct MainLog {
    sink: Arc<crate::log::Sink>,
    levels: Levels,
    server: Arc<Server>,
}

impl MainLog {
    /// Over an open log, with the levels of a configuration.
    pub fn new(log: &Arc<OwnedFd>, snapshot: &Snapshot) -> anyhow::Result<MainLog> {
        let sink = Arc::new(crate::log::Sink::new(super::dup(log)?));
        let server = snapshot.main().clone();
        let levels = server.config.core.log.clone().unwrap_or_default();
        Ok(MainLog { sink, levels, server })
    }

    /// Writes a line.
    pub fn line(
        &self,
        level: Level,
        module: &'static str,
        ah: u32,
        text: impl Into<Vec<u8>>,
    ) {
        self.line_os(level, module, ah, None, text);
    }

    /// Writes a line with the system's error before it.
    pub fn line_os(
        &self,
        level: Level,
        module: &'static str,
        ah: u32,
        error: Option<&std::io::Error>,
        text: impl Into<Vec<u8>>,
    ) {
        // httpd's own notices about its life are written at every level.
        let always = level <= Level::Notice && !module.is_empty();
        if !always && level > self.levels.of(module) {
            return;
        }
        // The parent waits for no log: it starts the program that may be missing there.
        if !self.sink.has_room() {
            return;
        }
        let error: Option<OsError> = error.map(crate::disk::os_error);
        let text = text.into().into();
        let line = Line { level, module, ah, error, text, of_server: true };
        let core = &self.server.config.core;
        self.sink.line(&error::line(&line, core, About::default()));
    }
}
