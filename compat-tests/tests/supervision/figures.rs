//! What a server costs that has nothing to do, by how many applications are defined.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::family::Process;
use compat_tests::figures::{cpu, memory, say};

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

/// Of all processes of a server that are its own.
fn measure(conf: &str) -> Result<Figures> {
    let mut site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.serve(conf)?;
    ensure!(site.get("/page")?.text() == "a page\n");
    // What comes with the start is over.
    std::thread::sleep(Duration::from_secs(1));
    let own = site.own_processes()?;
    let before = cpu(&own)?;
    std::thread::sleep(IDLE);
    let cpu = cpu(&own)?.saturating_sub(before);
    ensure!(own.iter().all(Process::lives), "{own:#?}");
    let memory = memory(&own)?;
    Ok(Figures { memory, cpu })
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
