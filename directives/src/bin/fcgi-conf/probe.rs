//! What can be found out about a configuration with sockets and a clock: applications that
//! somebody else runs, and addresses that the server is to listen on.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use directives::Snapshot;
use directives::bundle::Files;
use directives::diagnostic::{Diagnostic, codes};
use directives::modules::fastcgi::app::{Address, App};

use crate::disk;

/// How long an application may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() as i64
}

/// Applications that do not answer, and addresses that are taken.
pub fn sockets(snapshot: &Snapshot, files: &dyn Files) -> Vec<Diagnostic> {
    let apps: Vec<&Arc<App>> = snapshot
        .process
        .fastcgi
        .apps()
        .iter()
        .filter(|app| app.kind.is_foreign())
        .collect();
    // All at once: what is far away and silent is waited for once.
    let mut found: Vec<Diagnostic> = std::thread::scope(|scope| {
        let asked: Vec<_> =
            apps.iter().map(|app| (app, scope.spawn(|| silent(app)))).collect();
        let found = asked.into_iter().filter_map(|(app, asked)| {
            let why = asked.join().ok().flatten()?;
            let path = String::from_utf8_lossy(&app.path);
            let message = format!("{path} does not answer: {why}");
            Some(match app.span {
                Some(span) => {
                    let line = snapshot.sources.line(span.file, span.start);
                    Diagnostic::new(&codes::CHECK_SOCKET, message, span, line)
                }
                None => Diagnostic::global(&codes::CHECK_SOCKET, message),
            })
        });
        found.collect()
    });
    if !is_running(snapshot, files) {
        found.extend(taken(snapshot));
    }
    found
}

/// Why nobody accepts a connection; `None` if somebody does.
fn silent(app: &App) -> Option<String> {
    match &app.address {
        Address::Unix(path) => {
            let error = UnixStream::connect(disk::path(path)).err()?;
            let path = String::from_utf8_lossy(path);
            Some(format!("{path}: {}", disk::os_error(&error).text))
        }
        Address::Tcp(addresses) => {
            let mut last = "its host has no address".to_owned();
            for address in addresses {
                match TcpStream::connect_timeout(address, PATIENCE) {
                    Ok(_) => return None,
                    Err(error) => {
                        last = format!("{address}: {}", disk::os_error(&error).text);
                    }
                }
            }
            Some(last)
        }
    }
}

/// Does a server with this configuration's `PidFile` run? The addresses are its own then.
fn is_running(snapshot: &Snapshot, files: &dyn Files) -> bool {
    let Some(file) = &snapshot.process.core.pid_file else { return false };
    let Ok(text) = files.read(file) else { return false };
    let pid = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    let alive = |pid: i32| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
    pid.is_some_and(|pid| pid > 0 && alive(pid) != Err(nix::errno::Errno::ESRCH))
}

/// Addresses that somebody else listens on. What may not be tried is no finding: the server
/// is started by root.
fn taken(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for listen in &snapshot.process.core.listen {
        let all = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        let tried: &[IpAddr] = match &listen.ip {
            Some(ip) => std::slice::from_ref(ip),
            None => &all,
        };
        let error = tried.iter().find_map(|ip| {
            let tried = TcpListener::bind(SocketAddr::new(*ip, listen.port));
            tried.err().filter(|error| {
                [ErrorKind::AddrInUse, ErrorKind::AddrNotAvailable]
                    .contains(&error.kind())
                    && (listen.ip.is_some() || error.kind() == ErrorKind::AddrInUse)
            })
        });
        if let Some(error) = error {
            let line = snapshot.sources.line(listen.span.file, listen.span.start);
            let text = disk::os_error(&error).text;
            let message = format!("cannot listen on {}: {text}", listen.shown());
            found.push(Diagnostic::new(&codes::CHECK_PORT, message, listen.span, line));
        }
    }
    found
}
