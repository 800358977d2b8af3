//! A FastCGI application that does what the query string says, so that a test can show
//! what no real program would do. Written from the FastCGI 1.0 specification on the
//! standard library alone: it shares no code, and no misunderstanding, with the server.
//!
//! `probe [address [directives]]`: the address is `unix:/path` or `host:port`; without one,
//! or for `-`, the listening socket is descriptor 0, as the specification has it. With
//! directives, every request is answered after them and not after its query string.
//!
//! The environment says how it lives: with `PROBE_WORKERS=n` it serves so many connections
//! at a time, each to its end, as programs with so many processes do, and without it all
//! that come; with `PROBE_LEAVE=n` it ends after so many answers.

mod answer;
mod wire;

use std::io::{Error, Read, Result, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wire::{Connection, Request};

/// What to answer instead of what the query string says.
type Fixed = Option<Arc<str>>;

/// A number of the environment.
fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().filter(|address| address != "-");
    let fixed: Fixed = args.next().map(Arc::from);
    match address {
        None => {
            let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
            let listener = UnixListener::from(socket);
            // Only a socket of its own family has an address for it.
            match listener.local_addr() {
                Ok(_) => unix(&listener, &fixed),
                Err(_) => {
                    tcp(&TcpListener::from(std::os::fd::OwnedFd::from(listener)), &fixed)
                }
            }
        }
        Some(address) => match address.strip_prefix("unix:") {
            Some(path) => unix(&UnixListener::bind(path)?, &fixed),
            None => tcp(&TcpListener::bind(address)?, &fixed),
        },
    }
}

fn unix(listener: &UnixListener, fixed: &Fixed) -> Result<()> {
    work(fixed, || {
        let (stream, _) = listener.accept()?;
        Ok((stream.try_clone()?, stream))
    })
}

fn tcp(listener: &TcpListener, fixed: &Fixed) -> Result<()> {
    work(fixed, || {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        Ok((stream.try_clone()?, stream))
    })
}

/// Serves what comes: all at the same time, or so many.
fn work<S: Read + Write + Send + 'static>(
    fixed: &Fixed,
    accept: impl Fn() -> Result<(S, S)> + Sync,
) -> Result<()> {
    let Some(workers) = number("PROBE_WORKERS") else {
        loop {
            let (input, output) = accept()?;
            let fixed = fixed.clone();
            std::thread::spawn(move || serve(input, output, &fixed));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Ok((input, output)) = accept() {
                    serve(input, output, fixed);
                }
            });
        }
    });
    Ok(())
}

/// Serves a connection to its end.
fn serve(input: impl Read, output: impl Write, fixed: &Fixed) {
    let mut connection = Connection::new(input, output);
    // The server's going away is nothing to report.
    let _: std::result::Result<(), Error> = requests(&mut connection, fixed.as_deref());
}

fn requests<I: Read, O: Write>(
    connection: &mut Connection<I, O>,
    fixed: Option<&str>,
) -> Result<()> {
    while let Some(request) = connection.request()? {
        let keep = request.keeps_connection();
        let stays =
            answer::answer(connection, &request, fixed.unwrap_or(&query(&request)))?;
        leave();
        if !keep || !stays {
            break;
        }
    }
    Ok(())
}

/// Ends the process if this was the last answer that it is to give.
fn leave() {
    static ANSWERS: AtomicUsize = AtomicUsize::new(0);
    let answers = ANSWERS.fetch_add(1, Ordering::Relaxed) + 1;
    if number("PROBE_LEAVE").is_some_and(|last| answers >= last) {
        std::process::exit(0);
    }
}

fn query(request: &Request) -> String {
    let query = request.params.iter().find(|(name, _)| name == b"QUERY_STRING");
    query
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}
