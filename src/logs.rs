//! The logs that a configuration names, in an order that both halves of the server agree
//! on: the parent opens them, the server writes them.

use bytes::Bytes;
use directives::Snapshot;
use directives::modules::core;
use directives::modules::core::ErrorLog;
use directives::modules::log_config::Target;

/// A log by what the configuration calls it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// An access log.
    Access(Target),
    /// An error log.
    Error(ErrorLog),
    /// The error log of a server that names none: `logs/error_log`.
    DefaultError,
    /// A `ScriptLog`.
    Script(Bytes),
}

impl Name {
    /// The error log of a server.
    pub fn of_error_log(server: &core::Server) -> Name {
        server.error_log.clone().map_or(Name::DefaultError, Name::Error)
    }
}

/// What has to be opened for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Open {
    /// A file, for appending.
    File(Bytes),
    /// A program, whose standard input it is.
    Pipe {
        /// The command line.
        command: Bytes,
        /// Run by a shell.
        shell: bool,
    },
    /// syslog.
    Syslog(String),
}

/// All logs of a configuration, each once, the main error log first.
pub fn names(snapshot: &Snapshot) -> Vec<Name> {
    let mut names = Vec::new();
    let mut add = |name: Name| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for server in &snapshot.servers {
        add(Name::of_error_log(&server.config.core));
    }
    for server in &snapshot.servers {
        for log in &server.config.log_config.logs {
            add(Name::Access(log.target.clone()));
        }
        for log in &server.config.gateway.logs {
            add(Name::Access(log.target.clone()));
        }
        if let Some(path) = server.config.cgi.log() {
            add(Name::Script(path.clone()));
        }
    }
    names
}

/// Are a log's lines gathered? (`BufferedLogs`)
pub fn gathers(snapshot: &Snapshot, name: &Name) -> bool {
    let is_wanted = snapshot.main().config.log_config.buffered;
    let mut logs = snapshot.servers.iter().flat_map(|s| &s.config.log_config.logs);
    is_wanted && logs.any(|log| *name == Name::Access(log.target.clone()))
}

/// What a name stands for.
pub fn open(snapshot: &Snapshot, name: &Name) -> Open {
    match name {
        Name::Access(Target::File(path)) | Name::Error(ErrorLog::File(path)) => {
            Open::File(path.clone())
        }
        Name::Access(Target::Pipe { command, shell })
        | Name::Error(ErrorLog::Pipe { command, shell }) => {
            Open::Pipe { command: command.clone(), shell: *shell }
        }
        Name::Script(path) => Open::File(path.clone()),
        Name::Error(ErrorLog::Syslog(text)) => Open::Syslog(text.clone()),
        Name::DefaultError => Open::File(
            directives::path::join(&snapshot.server_root, b"logs/error_log").into(),
        ),
    }
}
