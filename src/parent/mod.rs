//! The privileged half, "fcgi-pm": reads the configuration, binds, opens logs, starts the
//! server and the applications, and takes signals. One thread, no async.
//!
//! **Invariant: the parent never reads from the network.**

mod apps;
mod ending;
mod guardian;
mod identity;
mod log;
mod maps;
mod open;
mod passed;
mod policy;
mod programs;
mod reload;
mod scripts;
mod server;
mod signals;
mod sockets;
pub mod spawn;
mod start;
mod systemd;

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use directives::bundle::Bundle;
use directives::diagnostic::{self, Severity};
use directives::{Compiled, compile};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::{self, Cli, Order, Show};
use crate::disk::Disk;
use crate::report;
use crate::tls::{self, Hosts};

/// The argument that makes this program the serving half.
pub const SERVER_HALF: &str = "--server-half";
/// The argument that makes it a daemon's parent.
pub const DETACHED: &str = "--detached";

/// The argument that makes it the guardian of the applications.
pub const GUARDIAN: &str = "--guardian";

/// The guardian: the parent's words come over descriptor 0.
pub fn guardian() -> Result<ExitCode> {
    guardian::main(std::io::stdin().as_fd().try_clone_to_owned()?)
}

/// The serving half: the link to the parent is descriptor 0.
pub fn server_half() -> Result<ExitCode> {
    // What `ps` and `top` show: /proc/self/exe would be called "exe".
    nix::sys::prctl::set_name(c"fcgi-httpd")?;
    signals::leave_to_parent()?;
    let link =
        std::io::stdin().as_fd().try_clone_to_owned().context("no link to the parent")?;
    crate::server::run(link)?;
    Ok(ExitCode::SUCCESS)
}

/// Everything else: what the command line asks for.
pub fn main(args: Vec<OsString>, detached: bool) -> Result<ExitCode> {
    let cli = match cli::parse(args) {
        Ok(cli) => cli,
        Err(problem) => {
            if !problem.is_empty() {
                say_error(&format!("fcgi-httpd: {problem}\n"));
            }
            say_error(cli::USAGE);
            return Ok(ExitCode::FAILURE);
        }
    };
    if let Some(show) = cli.show {
        say(&match show {
            Show::Version => report::version(),
            Show::Settings => report::settings(),
            Show::Help => cli::USAGE.to_owned(),
            Show::Modules => report::compiled_in(),
            Show::Directives => report::directives(),
        });
        let usage = show == Show::Help;
        return Ok(if usage { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let (compiled, bundle) = read(&cli);
    show_findings(&compiled, &cli);
    let Some(snapshot) = compiled.snapshot.clone() else { return Ok(ExitCode::FAILURE) };
    if cli.test {
        return test(&compiled, &cli);
    }
    match cli.order {
        Order::Start => start::start(&cli, &compiled, snapshot, bundle, detached),
        order => signal(&cli, &compiled, &snapshot, bundle, order, detached),
    }
}

/// Reads and compiles the configuration that the command line names.
fn read(cli: &Cli) -> (Compiled, Bundle) {
    let recorder = directives::bundle::Recorder::new(&Disk);
    let mut compiled = compile(&cli.entry, &recorder);
    if let Some(snapshot) = &compiled.snapshot {
        match Hosts::new(snapshot) {
            Ok(hosts) if hosts.is_empty() => {}
            Ok(_) => tls::hide_memory(),
            Err(problem) => {
                compiled.diagnostics.push(problem.diagnostic());
                compiled.snapshot = None;
            }
        }
    }
    (compiled, recorder.finish(cli.entry.clone()))
}

/// Prints what is wrong, in httpd's words, and warnings as log lines.
fn show_findings(compiled: &Compiled, cli: &Cli) {
    let mut out = String::new();
    for found in &compiled.diagnostics {
        match found.code.severity {
            Severity::Error => {
                out += &diagnostic::httpd(found, &compiled.sources, "fcgi-httpd");
                out.push('\n');
            }
            Severity::Warning if found.code == &diagnostic::codes::SERVER_NAME => {
                out += &format!("AH00558: fcgi-httpd: {}\n", found.message);
            }
            Severity::Warning => out += &report::warning(found),
            Severity::Note => {}
        }
    }
    match &cli.startup_log {
        Some(file) => {
            let log = std::fs::OpenOptions::new().append(true).create(true).open(file);
            if let Ok(mut log) = log {
                let _ = log.write_all(out.as_bytes());
            }
        }
        None => say_error(&out),
    }
}

/// `-t` and the dumps.
fn test(compiled: &Compiled, cli: &Cli) -> Result<ExitCode> {
    let Some(snapshot) = &compiled.snapshot else { return Ok(ExitCode::FAILURE) };
    let prepared = open::prepare(snapshot);
    if let Err(failed) = prepared {
        say_error(&failed.shown(&compiled.sources));
        return Ok(ExitCode::FAILURE);
    }
    let mut out = String::new();
    let mut dumped = false;
    let mut dump = |name: &str, text: &dyn Fn() -> String| {
        if cli.defines(name) {
            dumped = true;
            out += &text();
        }
    };
    dump("DUMP_VHOSTS", &|| report::virtual_hosts(snapshot));
    dump("DUMP_RUN_CFG", &|| report::run_settings(snapshot));
    dump("DUMP_MODULES", &report::modules);
    dump("DUMP_INCLUDES", &|| report::includes(snapshot));
    say(&out);
    if !dumped {
        say_error("Syntax OK\n");
    }
    Ok(ExitCode::SUCCESS)
}

/// `-k` for a server that runs.
fn signal(
    cli: &Cli,
    compiled: &Compiled,
    snapshot: &std::sync::Arc<directives::Snapshot>,
    bundle: Bundle,
    order: Order,
    detached: bool,
) -> Result<ExitCode> {
    let file = report::pid_file(snapshot);
    let running = open::read_pid(&file).filter(|pid| kill(*pid, None).is_ok());
    let signal = match order {
        Order::Stop => Signal::SIGTERM,
        Order::GracefulStop => Signal::SIGWINCH,
        Order::Restart => Signal::SIGHUP,
        Order::Graceful => Signal::SIGUSR1,
        Order::Start => bail!("nothing to signal"),
    };
    match (running, order) {
        (Some(pid), _) => {
            kill(pid, signal).context("sending the signal")?;
            if order == Order::Stop {
                wait_for_end(pid);
            }
            Ok(ExitCode::SUCCESS)
        }
        (None, Order::Stop | Order::GracefulStop) => {
            let pid = open::read_pid(&file)
                .map_or("no pid file".to_owned(), |pid| format!("pid {pid}?"));
            say(&format!("httpd ({pid}) not running\n"));
            Ok(ExitCode::SUCCESS)
        }
        (None, _) => {
            say("httpd not running, trying to start\n");
            start::start(cli, compiled, snapshot.clone(), bundle, detached)
        }
    }
}

/// `-k stop` returns when the server has gone, within reason.
fn wait_for_end(pid: Pid) {
    for _ in 0..300 {
        if kill(pid, None).is_err() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Writes to standard output.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone does not want to know.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn say_error(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A descriptor that stands for another one.
fn dup(fd: &OwnedFd) -> Result<OwnedFd> {
    fd.try_clone().context("duplicating a descriptor")
}
