//! fcgi-httpd: serves Apache httpd configurations that use FastCGI.
//!
//! Two halves: a parent that binds, opens, starts and reaps, with whatever rights it was
//! given, and never reads from the network; and a server that serves, without rights. This
//! file decides which half it is, and is the one place that chooses an exit code.

mod cli;
mod demo;
mod disk;
#[cfg(test)]
mod disk_tests;
mod fcgi;
mod link;
mod listeners;
mod log;
mod logs;
mod message;
mod parent;
mod password;
mod report;
mod resolve;
mod server;
mod tls;
mod upstream;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let args: Vec<_> = args.collect();
    if demo::is_application(&program) {
        return exit(demo::application());
    }
    match args.first().and_then(|arg| arg.to_str()) {
        Some(parent::SERVER_HALF) => exit(parent::server_half()),
        Some(parent::GUARDIAN) => exit(parent::guardian()),
        Some("demo") => exit(demo::serve(&args[1..])),
        Some(parent::DETACHED) => exit(parent::main(args[1..].to_vec(), true)),
        _ => exit(parent::main(args, false)),
    }
}

/// The result as an exit code; an error that nobody has shown yet is shown.
fn exit(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            // Without a terminal there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "fcgi-httpd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
