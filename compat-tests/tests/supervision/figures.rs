//! What a server costs that has nothing to do, by how many applications are defined.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compat_tests::family::{Process, process};
use nix::unistd::{SysconfVar, sysconf};

use crate::site::Site;

/// How long it is looked at.
const IDLE: Duration = Duration::from_secs(5);
/// The processor time that may go by meanwhile.
const CPU: Duration = Duration::from_millis(50);
/// How much more memory so many more applications may take.
const MORE: u64 = 20 << 20;
/// How many applications are many.
const MANY: usize = 500;

/// What a server takes.
struct Figures {
    /// Bytes, those shared with others in part.
    memory: u64,
    cpu: Duration,
}

/// Says them whether the test passes or not: they are for whoever reads.
pub fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Of all processes of a server that are its own.
fn measure(conf: &str) -> Result<Figures> {
    let mut site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.serve(conf)?;
    ensure!(site.get("/page")?.text() == "a page\n");
    // What comes with the start is over.
    std::thread::sleep(Duration::from_secs(1));
    let mut own = site.family()?;
    own.retain(|p| p.name.starts_with("fcgi-"));
    own.push(process(site.parent()?).context("no parent")?);
    let before = cpu(&own)?;
    std::thread::sleep(IDLE);
    let cpu = cpu(&own)?.saturating_sub(before);
    ensure!(own.iter().all(Process::lives), "{own:#?}");
    let memory = own.iter().map(memory).sum::<Result<u64>>()?;
    Ok(Figures { memory, cpu })
}

/// The proportional set size.
fn memory(process: &Process) -> Result<u64> {
    let rollup = process.file("smaps_rollup");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.context("no Pss")?.trim().trim_end_matches(" kB").parse::<u64>()?;
    Ok(number * 1024)
}

/// The processor time of all, in the program and in the kernel.
fn cpu(processes: &[Process]) -> Result<Duration> {
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

/// One application that runs, and many that are elsewhere.
fn many() -> String {
    let mut conf = "FastCgiServer {root}/htdocs/app\n".to_owned();
    for i in 0..MANY {
        let _ = writeln!(
            conf,
            "FastCgiExternalServer {{root}}/virtual/app{i} -socket {{root}}/run/app{i}"
        );
    }
    conf
}

#[test]
fn an_idle_server_and_its_applications() -> Result<()> {
    let one = measure("FastCgiServer {root}/htdocs/app\n")?;
    let many = measure(&many())?;
    for (what, figures) in [("one application", &one), ("500 more", &many)] {
        let kib = figures.memory / 1024;
        say(&format!("{what}: {kib} KiB, {:?} in {IDLE:?}", figures.cpu))?;
        ensure!(figures.cpu < CPU, "{what}: {:?}", figures.cpu);
    }
    ensure!(
        many.memory < one.memory + MORE,
        "{} bytes with one, {} with {MANY} more",
        one.memory,
        many.memory
    );
    Ok(())
}
