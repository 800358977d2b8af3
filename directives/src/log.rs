//! Lines for the error log, as values: whoever runs the phases writes them.

use bytes::Bytes;

use crate::bundle::OsError;

/// Levels of `LogLevel`, most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The system is unusable.
    Emerg,
    /// Act at once.
    Alert,
    /// Critical.
    Crit,
    /// An error.
    Error,
    /// A warning.
    Warn,
    /// Normal but significant.
    Notice,
    /// Informational.
    Info,
    /// For debugging.
    Debug,
    /// For tracing, 1 to 8.
    Trace(u8),
}

impl Level {
    /// The level of that name, without regard to case.
    pub fn parse(name: &str) -> Option<Level> {
        let name = name.to_ascii_lowercase();
        if let Some(n) = name.strip_prefix("trace") {
            return n.parse().ok().filter(|n| (1..=8).contains(n)).map(Level::Trace);
        }
        Some(match name.as_str() {
            "emerg" => Level::Emerg,
            "alert" => Level::Alert,
            "crit" => Level::Crit,
            "error" => Level::Error,
            "warn" => Level::Warn,
            "notice" => Level::Notice,
            "info" => Level::Info,
            "debug" => Level::Debug,
            _ => return None,
        })
    }
}

impl Level {
    /// Its number: 0 for emerg, 7 for debug, 15 for trace8.
    pub fn number(self) -> u8 {
        match self {
            Level::Emerg => 0,
            Level::Alert => 1,
            Level::Crit => 2,
            Level::Error => 3,
            Level::Warn => 4,
            Level::Notice => 5,
            Level::Info => 6,
            Level::Debug => 7,
            Level::Trace(n) => 7 + n,
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Level::Emerg => "emerg",
            Level::Alert => "alert",
            Level::Crit => "crit",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Notice => "notice",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace(n) => return write!(f, "trace{n}"),
        };
        f.write_str(name)
    }
}

/// The levels of one server or section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    /// For every module that is not named.
    pub base: Level,
    /// For modules, by the name that stands in the log (`rewrite`).
    pub modules: Vec<(String, Level)>,
}

impl Default for Levels {
    fn default() -> Levels {
        Levels { base: Level::Warn, modules: Vec::new() }
    }
}

impl Levels {
    /// The level of a module.
    pub fn of(&self, module: &str) -> Level {
        let named = self.modules.iter().rev().find(|(name, _)| name == module);
        named.map_or(self.base, |(_, level)| *level)
    }
}

/// One line, without time, process and client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// The module token; empty for the parts of mod_fastcgi that had none (G-2).
    pub module: &'static str,
    /// httpd's number for the message; 0 for none.
    pub ah: u32,
    /// The operating system's error.
    pub error: Option<OsError>,
    /// The message.
    pub text: Bytes,
    /// It is about the server, and names no client.
    pub of_server: bool,
}

/// `ap_escape_errorlog_item`: control bytes cannot forge a line.
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
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
