//! What a compilation comes to, as lines that can be compared.

use directives::Snapshot;
use directives::compile::Compiled;
use directives::diagnostic::Severity;
use directives::modules::fastcgi::{Address, App, Kind};

/// The findings: place, number, what and what to do.
pub fn diagnostics(compiled: &Compiled) -> String {
    let mut out = String::from("# Findings\n");
    for found in &compiled.diagnostics {
        let place = match found.span {
            Some(span) => {
                format!("{}:{}: ", compiled.sources.name(span.file), found.line)
            }
            None => String::new(),
        };
        let level = match found.code.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        out += &format!("{place}{level} {}: {}\n", found.id(), found.message);
        if let Some(help) = &found.help {
            out += &format!("    {help}\n");
        }
    }
    out
}

/// The applications that are defined, with what is not as it always is.
pub fn applications(snapshot: &Snapshot) -> String {
    let mut out = String::from("\n# Applications\n");
    for app in snapshot.process.fastcgi.apps() {
        out += &application(app);
    }
    out
}

fn application(app: &App) -> String {
    let settings = &app.settings;
    let path = String::from_utf8_lossy(&app.path);
    let mut out = match app.kind {
        Kind::Static => format!("{path} x {}", settings.processes),
        Kind::External => format!("{path} external"),
        Kind::Upstream => format!("{path} upstream"),
        Kind::Dynamic => format!("{path} dynamic"),
        Kind::Fcgid => format!("{path} of mod_fcgid"),
    };
    out += &match &app.address {
        // Its own name holds a sum of everything.
        Address::Unix(_) if app.kind == Kind::Static && settings.socket.is_none() => {
            String::new()
        }
        Address::Unix(path) => format!(" at {}", String::from_utf8_lossy(path)),
        Address::Tcp(addresses) => format!(" at {addresses:?}"),
    };
    out += &format!(", idle {}", settings.idle_timeout);
    for (name, value) in &settings.initial_env {
        let (name, value) =
            (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        out += &format!("\n    {name}={value}");
    }
    for name in &settings.pass_headers {
        out += &format!("\n    passes {}", String::from_utf8_lossy(name));
    }
    if let Some(identity) = &app.identity {
        out += &format!("\n    as {}:{}", identity.user, identity.group);
    }
    out + "\n"
}

/// The lines that only one of two texts has.
pub fn difference(expected: &str, found: &str) -> String {
    let only = |a: &str, b: &str, sign: &str| {
        let known: Vec<&str> = b.lines().collect();
        let lines = a.lines().filter(|line| !known.contains(line));
        lines.map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    let lines = only(expected, found, "-") + &only(found, expected, "+");
    if lines.is_empty() { format!("in another order:\n{found}") } else { lines }
}
