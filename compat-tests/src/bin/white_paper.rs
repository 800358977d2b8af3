//! The comparison of FastCGI's white paper (Open Market, 1996, section 6) on our server: a
//! file, an application and a script that answer with so many bytes; what a request takes,
//! seen from the client, as milliseconds and milliseconds for each Kbyte.
//!
//! `white_paper [ROUNDS]` prints a table in Markdown. Each round asks for each answer once,
//! over a connection of its own as in HTTP/1.0, so that whatever else the machine does hits
//! all alike; a median over the rounds stands for each answer, and a straight line, by least
//! squares, for the sizes. As a CGI script, which its environment says it is, this program
//! answers with as many bytes as `size=` in the query string says.
#![allow(clippy::print_stdout, clippy::print_stderr)] // this is a program

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::http::Client;
use compat_tests::site::Site;

/// Sizes of answers, Kbytes.
const SIZES: [usize; 6] = [1, 16, 32, 64, 128, 256];
/// How often each answer is asked for, unless it is said.
const ROUNDS: usize = 400;
/// What is compared: its name, its URL up to the size in bytes, and what the white paper says
/// of it.
const KINDS: [(&str, &str, &str); 3] = [
    ("Static file", "/file", "21 ms + 0.19 ms per Kbyte"),
    ("FastCGI", "/app?size=", "22 ms + 0.28 ms per Kbyte"),
    ("CGI", "/cgi-bin/script?size=", "59 ms + 0.37 ms per Kbyte"),
];

fn main() -> ExitCode {
    let done = match std::env::var("GATEWAY_INTERFACE") {
        Ok(_) => script(),
        Err(_) => compare(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("white_paper: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Answers as a CGI script.
fn script() -> Result<()> {
    let query = std::env::var("QUERY_STRING")?;
    let size: usize = query.strip_prefix("size=").context("no size")?.parse()?;
    let mut answer = b"Content-Type: text/plain\r\n\r\n".to_vec();
    answer.resize(answer.len() + size, b'x');
    std::io::stdout().lock().write_all(&answer)?;
    Ok(())
}

/// A server with the three of them.
fn serve() -> Result<Site> {
    let mut site = Site::alone()?;
    for size in SIZES {
        let name = format!("htdocs{}{}", KINDS[0].1, size * 1024);
        site.root.write(&name, &vec![b'x'; size * 1024])?;
    }
    site.probe("htdocs/app")?;
    let script = site.root.write("cgi-bin/script", b"")?;
    std::fs::copy(std::env::current_exe()?, &script)?;
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755))?;
    site.serve(
        "FastCgiServer {root}/htdocs/app -processes 1\n\
         ScriptAlias /cgi-bin/ {root}/cgi-bin/\n\
         <Directory {root}/cgi-bin>\nRequire all granted\n</Directory>\n\
         <Location /app>\nSetHandler fastcgi-script\n</Location>\n",
    )?;
    Ok(site)
}

/// How long a request takes, from connecting to the end of the answer.
fn ask(site: &Site, target: &str, size: usize) -> Result<Duration> {
    let request = format!("GET {target}{size} HTTP/1.0\r\nHost: www.example.org\r\n\r\n");
    let begun = Instant::now();
    let mut client = Client::connect(site.root.port)?;
    client.send(request.as_bytes())?;
    let answer = client.everything()?;
    let time = begun.elapsed();
    let is_whole = answer.starts_with(b"HTTP/1.1 200 ")
        && (size..size + 1024).contains(&answer.len());
    ensure!(is_whole, "{target}{size}: {}", String::from_utf8_lossy(&answer));
    Ok(time)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Where a straight line through points begins, and how it rises.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let over = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>();
    let under = points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>();
    let rise = over / under;
    (y - rise * x, rise)
}

fn compare() -> Result<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let site = serve()?;
    let mut times = vec![Vec::with_capacity(rounds); KINDS.len() * SIZES.len()];
    // The first round is not counted: what is made for the first request is there then.
    for round in 0..=rounds {
        let all = KINDS.iter().flat_map(|kind| SIZES.map(|size| (kind.1, size * 1024)));
        for ((target, size), times) in all.zip(&mut times) {
            let time = ask(&site, target, size)?;
            if round > 0 {
                times.push(time);
            }
        }
    }
    let sizes = SIZES.map(|size| format!(" {size} Kbytes |")).concat();
    println!("| | white paper, 1996 | ours |{sizes}");
    println!("|---|---|---|{}", "---|".repeat(SIZES.len()));
    for ((name, _, paper), times) in KINDS.iter().zip(times.chunks_mut(SIZES.len())) {
        let ms = times.iter_mut().map(|times| median(times).as_secs_f64() * 1e3);
        let ms: Vec<f64> = ms.collect();
        let points = SIZES.iter().map(|size| *size as f64).zip(ms.iter().copied());
        let (begin, rise) = line(&points.collect::<Vec<_>>());
        let each: String = ms.iter().map(|ms| format!(" {ms:.3} ms |")).collect();
        println!("| {name} | {paper} | {begin:.3} ms + {rise:.5} ms per Kbyte |{each}");
    }
    Ok(())
}
