//! What hyper and tokio cost by themselves, as a floor under our own figures, and what the
//! thread models cost beside each other: a server that answers the same bytes to everybody,
//!
//! - with a current-thread runtime for each core, all accepting on one socket, as ours does;
//! - with tokio's work-stealing runtime of as many threads.
//!
//! `cargo run --release -p compat-tests --example bare` prints processor time for each
//! request (microseconds), requests per second and the 99th percentile, for 4 and 64 clients
//! and an answer of 1 KiB. Needs wrk.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result};
use compat_tests::family::process;
use compat_tests::figures;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use nix::unistd::Pid;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};

const MODELS: [&str; 2] = ["current-thread per core", "work-stealing"];
const ROUNDS: usize = 3;
const SECONDS: u32 = 2;
static ANSWER: [u8; 1024] = [b'x'; 1024];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match (args.next(), args.next()) {
        (Some(model), Some(port)) => serve(&model, port.parse()?),
        _ => measure(),
    }
}

async fn connection(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let answer = |_: Request<hyper::body::Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&ANSWER))))
    };
    let service = service_fn(answer);
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn serve(model: &str, port: u16) -> Result<()> {
    let listener = StdListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    if model == MODELS[1] {
        return Builder::new_multi_thread().enable_all().build()?.block_on(async {
            let listener = TcpListener::from_std(listener)?;
            loop {
                tokio::spawn(connection(listener.accept().await?.0));
            }
        });
    }
    let cores = std::thread::available_parallelism()?.get();
    let mut threads = Vec::new();
    for _ in 0..cores {
        let listener = listener.try_clone()?;
        threads.push(std::thread::spawn(move || -> Result<()> {
            let runtime = Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build_local(LocalOptions::default())?;
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener)?;
                loop {
                    tokio::task::spawn_local(connection(listener.accept().await?.0));
                }
            })
        }));
    }
    for thread in threads {
        thread.join().ok().context("a thread ended badly")??;
    }
    Ok(())
}

/// One line of a table for each model and number of clients: medians.
fn measure() -> Result<()> {
    figures::say("| model | clients | CPU us/request | requests/s | p99 |")?;
    figures::say("|---|---|---|---|---|")?;
    for clients in [4, 64] {
        let mut rounds: [Vec<(f64, f64, String)>; 2] = Default::default();
        for _ in 0..ROUNDS {
            for (model, rounds) in MODELS.iter().zip(&mut rounds) {
                let port = StdListener::bind("127.0.0.1:0")?.local_addr()?.port();
                let mut server = Command::new(std::env::current_exe()?)
                    .args([model, port.to_string().as_str()])
                    .spawn()?;
                let round = round(&server, port, clients);
                server.kill()?;
                server.wait()?;
                rounds.push(round?);
            }
        }
        for (model, mut rounds) in MODELS.iter().zip(rounds) {
            rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (cpu, rate, p99) = &rounds[ROUNDS / 2];
            figures::say(&format!(
                "| {model} | {clients} | {cpu:.1} | {rate:.0} | {p99} |"
            ))?;
        }
    }
    Ok(())
}

/// Processor time for a request, microseconds; requests per second; the 99th percentile.
fn round(server: &Child, port: u16, clients: usize) -> Result<(f64, f64, String)> {
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = Pid::from_raw(server.id().cast_signed());
    let own = [process(pid).context("the server is gone")?];
    let before = figures::cpu(&own)?;
    let seen =
        figures::load(&format!("http://127.0.0.1:{port}/"), clients, SECONDS, &[])?;
    let spent = figures::cpu(&own)?.saturating_sub(before);
    let count = seen.requests as f64;
    Ok((spent.as_secs_f64() * 1e6 / count, count / seen.seconds, seen.p99))
}
