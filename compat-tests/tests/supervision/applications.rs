//! What applications are given, and what becomes of them when somebody interferes.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::server::Kind;
use nix::sys::signal::{Signal, kill};

use crate::site::{PATIENCE, Site, Started, arguments};
use compat_tests::family::{Process, ZombieWatch, below, until};
use compat_tests::load::Load;

const DYNAMIC: &str =
    "<Files *.fcgi>\nSetHandler fastcgi-script\nOptions ExecCGI\n</Files>\n";

/// A set of signals of a process, without the two that the C library keeps for itself.
fn signals(process: &Process, set: &str) -> Result<u64> {
    Ok(u64::from_str_radix(&process.status(set), 16)? & !(0b11 << 31))
}

#[test]
fn an_application_has_three_descriptors_and_clean_signals() -> Result<()> {
    let mut site = Site::alone()?;
    // The shell and sleep leave signals and descriptors as they find them.
    site.program("htdocs/app", "#!/bin/sh\nexec sleep 1000\n")?;
    site.program("log", "#!/bin/sh\nexec cat\n")?;
    site.serve(
        "FastCgiServer {root}/htdocs/app -initial-env A=b -priority 3\n\
         CustomLog \"|{root}/log\" common\n",
    )?;
    let family = |name: &str| -> Result<Vec<Process>> {
        Ok(site.family()?.into_iter().filter(|process| process.name == name).collect())
    };
    until("both run", PATIENCE, || {
        family("sleep").is_ok_and(|f| f.len() == 1)
            && family("cat").is_ok_and(|f| f.len() == 1)
    })?;
    let app = family("sleep")?.remove(0);
    let descriptors = app.descriptors();
    let kinds: Vec<_> = descriptors
        .iter()
        .map(|(number, link)| (*number, link.split(':').next().unwrap_or_default()))
        .collect();
    ensure!(kinds == [(0, "socket"), (1, "pipe"), (2, "pipe")], "{descriptors:?}");
    ensure!(descriptors[1].1 == descriptors[2].1, "{descriptors:?}");
    // SIGPIPE is 13, and its bit the 13th.
    ensure!(signals(&app, "SigIgn")? == 1 << 12, "{}", app.status("SigIgn"));
    ensure!(signals(&app, "SigBlk")? == 0, "{}", app.status("SigBlk"));
    let directory = std::fs::read_link(format!("/proc/{}/cwd", app.pid))?;
    ensure!(directory == site.root.join("htdocs"), "{}", directory.display());
    // The shell adds its directory.
    let environ = app.file("environ");
    let variables: Vec<_> =
        environ.split('\0').filter(|v| !v.is_empty() && !v.starts_with("PWD=")).collect();
    ensure!(variables == ["A=b"], "{variables:?}");
    let stat = app.file("stat");
    let nice = stat.rsplit_once(')').and_then(|(_, f)| f.split_whitespace().nth(16));
    ensure!(nice == Some("3"), "{stat}");

    let log = family("cat")?.remove(0);
    let numbers: Vec<_> =
        log.descriptors().into_iter().map(|(number, _)| number).collect();
    ensure!(numbers == [0, 1, 2], "{:?}", log.descriptors());
    ensure!(signals(&log, "SigIgn")? == 0, "{}", log.status("SigIgn"));
    ensure!(signals(&log, "SigBlk")? == 0, "{}", log.status("SigBlk"));

    let guardian = family("fcgi-guardian")?.remove(0);
    let numbers: Vec<_> = guardian.descriptors().into_iter().map(|(n, _)| n).collect();
    // Its order pipe twice: as it came, and as it is read.
    ensure!(numbers == [0, 1, 2, 3], "{:?}", guardian.descriptors());
    let parent = site.parent()?;
    let name = std::fs::read_to_string(format!("/proc/{parent}/comm"))?;
    ensure!(name == "fcgi-pm\n", "{name}");
    ensure!(site.half()?.name == "fcgi-httpd");
    Ok(())
}

/// As under nohup, and with somebody else's descriptors.
#[test]
fn what_the_server_was_given_is_not_passed_on() -> Result<()> {
    let site = Site::alone()?;
    site.program("htdocs/app", "#!/bin/sh\nexec sleep 1000\n")?;
    site.program("log", "#!/bin/sh\nexec cat\n")?;
    site.configure(
        "FastCgiServer {root}/htdocs/app\nCustomLog \"|{root}/log\" common\n",
    )?;
    let mut command = Command::new("/bin/sh");
    let become_server = "trap '' HUP INT USR1; exec 7< /dev/null; exec \"$0\" \"$@\"";
    command.arg("-c").arg(become_server).arg(Kind::Ours.program()).args(arguments(&site));
    command.stderr(std::fs::File::create(site.root.join("logs/output"))?);
    let server = Started::new(command.stdin(Stdio::null()))?;
    let found = || {
        below(server.pid()).into_iter().filter(|p| ["sleep", "cat"].contains(&&*p.name))
    };
    until("both run", PATIENCE, || found().count() == 2)?;
    for process in found() {
        let kept = signals(&process, "SigIgn")? & !(1 << 12);
        ensure!(kept == 0, "{}: {}", process.name, process.status("SigIgn"));
    }
    for process in below(server.pid()) {
        let null = process.descriptors().into_iter().find(|(number, _)| *number == 7);
        ensure!(null.is_none_or(|(_, link)| link != "/dev/null"), "{}", process.name);
    }
    Ok(())
}

/// As tmpreaper and its like do.
#[test]
fn a_cleaner_removes_the_sockets() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.probe("htdocs/dynamic.fcgi")?;
    // Over a connection that is kept nobody would notice.
    site.serve(&format!(
        "FastCgiServer {{root}}/htdocs/app -no-keep-conn\n\
         FastCgiConfig -no-keep-conn\n{DYNAMIC}"
    ))?;
    let targets = ["/app?text=here", "/dynamic.fcgi?text=here"];
    for round in 0..10 {
        for target in targets {
            let answer = site.get(target)?;
            ensure!(answer.text() == "here", "round {round}, {target}: {answer}");
        }
        let ipc = site.root.join("run/fcgi");
        if round % 3 == 2 {
            std::fs::remove_dir_all(&ipc)?;
        } else {
            for directory in [ipc.join("dynamic"), ipc] {
                let sockets = std::fs::read_dir(directory)?.flatten();
                for socket in sockets.filter(|s| s.path().is_file() || !s.path().is_dir())
                {
                    std::fs::remove_file(socket.path())?;
                }
            }
        }
    }
    site.processes_are("htdocs/app", 1)?;
    site.processes_are("htdocs/dynamic.fcgi", 1)?;
    site.logged("was removed and is made again")
}

/// The log says why a socket cannot be made.
#[test]
fn the_directory_of_sockets_is_not_writable() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/dynamic.fcgi")?;
    site.serve(DYNAMIC)?;
    let dynamic = site.root.join("run/fcgi/dynamic");
    std::fs::set_permissions(&dynamic, PermissionsExt::from_mode(0o500))?;
    let answer = site.get("/dynamic.fcgi?text=here")?;
    ensure!(answer.status == 500, "{answer}");
    site.logged("write not allowed by owner")?;
    std::fs::set_permissions(&dynamic, PermissionsExt::from_mode(0o700))?;
    let answer = site.get("/dynamic.fcgi?text=here")?;
    ensure!(answer.text() == "here", "{answer}");
    Ok(())
}

/// Requests that a killed process was answering fail; no others do.
#[test]
fn dynamic_processes_are_killed_under_load() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/dynamic.fcgi")?;
    // With the usual minimum life they would be given up after three deaths (P-14).
    site.serve(&format!(
        "FastCgiConfig -restart-delay 0 -init-start-delay 0 -min-server-life 0\n{DYNAMIC}"
    ))?;
    ensure!(site.get("/dynamic.fcgi?text=here")?.text() == "here");
    let zombies = ZombieWatch::new(site.parent()?);
    let targets = [("/dynamic.fcgi?text=here", "here"); 4];
    let load = Load::new(site.root.port, &targets);
    let mut kills = 0;
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(300));
        if let Some(process) = site.processes("htdocs/dynamic.fcgi")?.first() {
            kill(process.pid, Signal::SIGKILL)?;
            kills += 1;
        }
    }
    let count = load.end();
    ensure!(kills >= 2, "only {kills} were killed");
    ensure!(
        count.failed.len() <= kills * targets.len(),
        "{} failed, {kills} were killed: {}",
        count.failed.len(),
        count.failed[0]
    );
    // The end came early; where nothing had come another process was asked.
    let due = [": 200 OK", ": the connection ended after"];
    let other = count.failed.iter().find(|f| !due.iter().any(|due| f.contains(due)));
    ensure!(other.is_none(), "{other:?}");
    let log = site.root.log("error_log");
    for words in ["failed to connect", "seriously wrong", "backed off"] {
        ensure!(!log.contains(words), "{log}");
    }
    let zombies = zombies.end();
    ensure!(zombies.is_empty(), "{zombies:?}");
    Ok(())
}
