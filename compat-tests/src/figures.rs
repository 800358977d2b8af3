//! What a server takes of the machine, and a voice for figures.

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::unistd::{SysconfVar, sysconf};

use crate::application::program;
use crate::family::{Process, process};
use crate::site::Site;

/// Says a line whether the test passes or not: it is for whoever reads.
pub fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// The proportional set size, bytes: memory that is shared with others counts in part.
pub fn memory(processes: &[Process]) -> Result<u64> {
    let of = |process: &Process| {
        let rollup = process.file("smaps_rollup");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let number = line.context("no Pss")?.trim().trim_end_matches(" kB");
        anyhow::Ok(number.parse::<u64>()? * 1024)
    };
    processes.iter().map(of).sum()
}

/// The processor time of all, in the program and in the kernel.
pub fn cpu(processes: &[Process]) -> Result<Duration> {
    let second = sysconf(SysconfVar::CLK_TCK)?.context("no clock ticks")? as u64;
    let mut ticks = 0;
    for process in processes {
        let stat = process.file("stat");
        // Behind the name the state is the first field, and these are the 12th and 13th.
        let fields = stat.rsplit_once(')').context("no stat")?.1;
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>()?;
        }
    }
    Ok(Duration::from_millis(ticks * 1000 / second))
}

/// What `wrk` has seen.
pub struct Seen {
    /// Requests that were answered.
    pub requests: u64,
    /// How long it asked, seconds.
    pub seconds: f64,
    /// The 99th percentile of the time until an answer was there, with its unit.
    pub p99: String,
}

/// Clients that ask for a URL without a pause, over connections that they keep (wrk(1) with
/// further arguments). That one is refused, or not answered, is an error.
pub fn load(url: &str, clients: usize, seconds: u32, args: &[&str]) -> Result<Seen> {
    let mut command = Command::new(program("/usr/bin/wrk", "wrk")?);
    command.args(["-t1", &format!("-c{clients}"), &format!("-d{seconds}s"), "--latency"]);
    let output = command.args(args).arg(url).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_well = !["Non-2xx", "Socket errors"].iter().any(|bad| text.contains(bad));
    ensure!(output.status.success() && is_well, "{url}: {text}");
    let p99 = text.lines().find_map(|line| line.trim().strip_prefix("99%"));
    let count = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    let (count, rest) = count.with_context(|| format!("no count: {text}"))?;
    let time = rest.split_once("s,").context("no time")?.0;
    Ok(Seen {
        requests: count.parse()?,
        seconds: time.parse()?,
        p99: p99.context("no percentiles")?.trim().to_owned(),
    })
}

impl Site {
    /// The server's own processes: those of applications are not among them.
    pub fn own_processes(&self) -> Result<Vec<Process>> {
        let mut own = self.family()?;
        own.retain(|p| ["fcgi-", "apache2"].iter().any(|own| p.name.starts_with(own)));
        own.push(process(self.parent()?).context("no parent")?);
        Ok(own)
    }
}
