//! `fcgi-conf spawn` beside spawn-fcgi: the same command lines come to the same.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compat_tests::application::program;
use compat_tests::family::{self, until};
use compat_tests::root::{Root, free_port, is_root};
use compat_tests::server::built;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::tool::{run, text};

/// Processes that a command started, by its file of numbers; they end with this.
struct Spawned(Vec<Pid>);

impl Spawned {
    fn read(file: &Path) -> Result<Spawned> {
        let text = std::fs::read_to_string(file)?;
        let pids = text.split_whitespace().map(|word| Ok(Pid::from_raw(word.parse()?)));
        Ok(Spawned(pids.collect::<Result<_>>()?))
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        let gone =
            || self.0.iter().all(|pid| family::process(*pid).is_none_or(|p| !p.lives()));
        let _ = until("the end", Duration::from_secs(5), gone);
    }
}

/// Either program with some options, and the probe behind them.
fn spawn(ours: bool, root: &Root, name: &str, options: &[&str]) -> Result<Spawned> {
    let mut command = if ours {
        let mut command = Command::new(built("fcgi-conf"));
        command.arg("spawn");
        command
    } else {
        Command::new(program("/usr/bin/spawn-fcgi", "spawn-fcgi")?)
    };
    let pids = root.join(&format!("run/{name}.pid"));
    let probe = root.join("probe");
    std::fs::copy(built("probe"), &probe)?;
    std::fs::set_permissions(&probe, PermissionsExt::from_mode(0o755))?;
    let output =
        command.args(options).arg("-P").arg(&pids).arg("--").arg(&probe).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &text(&output);
    let spawned = Spawned::read(&pids)?;
    ensure!(
        output.status.success() && said.contains("spawned successfully: PID: "),
        "{said}"
    );
    Ok(spawned)
}

/// Who a process is, and that it has left everybody's session.
fn facts(pid: Pid) -> Result<(String, String, bool)> {
    let process = family::process(pid).context("a process")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let session = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(3));
    let leads = session == Some(&pid.to_string()[..]);
    Ok((process.status("Uid"), process.status("Groups"), leads))
}

#[test]
fn the_same_options_come_to_the_same() -> Result<()> {
    ensure!(is_root(), "options that change the user want root");
    let root = Root::new()?;
    std::fs::set_permissions(root.join("run"), PermissionsExt::from_mode(0o777))?;
    let mut seen = Vec::new();
    for ours in [false, true] {
        let name = if ours { "ours" } else { "theirs" };
        let socket = root.join(&format!("run/{name}"));
        let path = socket.display().to_string();
        let options = [
            "-s", &path, "-M", "0640", "-U", "nobody", "-u", "www-data", "-g",
            "www-data", "-F", "2", "-C", "3", "-b", "7",
        ];
        let spawned = spawn(ours, &root, name, &options)?;
        ensure!(spawned.0.len() == 2, "{:?}", spawned.0);
        let found = std::fs::metadata(&socket)?;
        ensure!(found.file_type().is_socket());
        let app = format!("unix:{path}");
        let answer = run(&["request", "--app", &app, "--param", "QUERY_STRING=text=yes"]);
        ensure!(text(&answer).ends_with("yes"), "{}", text(&answer));
        let environ = std::fs::read(format!("/proc/{}/environ", spawned.0[0]))?;
        let children =
            String::from_utf8_lossy(&environ).contains("PHP_FCGI_CHILDREN=3\0");
        let facts = (facts(spawned.0[0])?, facts(spawned.0[1])?);
        seen.push((found.mode(), found.uid(), found.gid(), children, facts));
    }
    ensure!(seen[0] == seen[1], "{seen:#?}");
    Ok(())
}

#[test]
fn ports_roots_and_lines() -> Result<()> {
    let root = Root::new()?;
    let port = free_port()?.to_string();
    let spawned = spawn(true, &root, "tcp", &["-a", "127.0.0.1", "-p", &port])?;
    let app = format!("127.0.0.1:{port}");
    let answer = run(&["request", "--app", &app, "--param", "QUERY_STRING=text=yes"]);
    ensure!(text(&answer).ends_with("yes"));
    let busy = run(&["spawn", "-a", "127.0.0.1", "-p", &port, "--", "/bin/true"]);
    ensure!(busy.status.code() == Some(1), "{busy:?}");
    drop(spawned);
    // A socket that nobody answers at is replaced, one that somebody does is not.
    let path = root.join("run/one").display().to_string();
    drop(spawn(true, &root, "one", &["-s", &path])?);
    let again = spawn(true, &root, "one", &["-s", &path, "-d", "/"])?;
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", again.0[0]))?;
    ensure!(cwd == Path::new("/"), "{cwd:?}");
    let busy = run(&["spawn", "-s", &path, "--", "/bin/true"]);
    let said = String::from_utf8_lossy(&busy.stderr).into_owned();
    ensure!(said.contains("socket is already in use"), "{said}");
    // A program that ends at once is no success; a file that is no socket stays.
    let file = root.write("run/file", b"x")?.display().to_string();
    ensure!(run(&["spawn", "-s", &file, "--", "/bin/true"]).status.code() == Some(1));
    let gone = root.join("run/gone").display().to_string();
    let output = run(&["spawn", "-s", &gone, "-f", "/bin/false"]);
    ensure!(output.status.code() == Some(1));
    ensure!(String::from_utf8_lossy(&output.stderr).contains("child exited with"));
    for wrong in [
        &["spawn", "--", "x"][..],
        &["spawn", "-s", &gone],
        &["spawn", "-s", &gone, "-M", "9", "x"],
    ] {
        ensure!(run(wrong).status.code() == Some(2), "{wrong:?}");
    }
    if is_root() {
        let output = run(&["spawn", "-s", &gone, "-u", "root", "--", "/bin/true"]);
        ensure!(output.status.code() == Some(1), "it became root");
    }
    Ok(())
}

/// In a root of its own, with the socket in it or outside.
#[test]
fn another_root() -> Result<()> {
    ensure!(is_root(), "chroot wants root");
    let root = Root::new()?;
    let jail = root.join("jail");
    std::fs::create_dir_all(jail.join("run"))?;
    // A program that needs nothing of its surroundings: it only waits.
    let source = root
        .write("wait.c", b"#include <unistd.h>\nint main(void){sleep(60);return 0;}\n")?;
    let made = Command::new(program("/usr/bin/gcc", "gcc")?)
        .args(["-static", "-o"])
        .args([&jail.join("wait"), &source])
        .output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let inside = jail.display().to_string();
    let outside = root.join("run/outside").display().to_string();
    for (socket, options, made) in [
        ("/run/in", &[][..], jail.join("run/in")),
        (&outside[..], &["-S"][..], root.join("run/outside")),
    ] {
        let pids = root.join("run/jail.pid");
        let pid_file = pids.display().to_string();
        let args = [
            &["spawn", "-s", socket, "-c", &inside, "-P", &pid_file],
            options,
            &["--", "/wait"],
        ]
        .concat();
        let output = run(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{said}");
        let spawned = Spawned::read(&pids)?;
        ensure!(std::fs::metadata(&made)?.file_type().is_socket());
        let link = std::fs::read_link(format!("/proc/{}/root", spawned.0[0]))?;
        ensure!(link == jail, "{link:?}");
    }
    Ok(())
}
