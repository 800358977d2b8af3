//! CGI scripts: started as the server half asks, if the configuration lets them be run,
//! and ended when nobody waits for them any more.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use directives::Snapshot;
use directives::modules::cgi::suexec;
use directives::modules::fastcgi::guard;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::identity::Identity;
use super::spawn;
use crate::disk::{Disk, os_error};
use crate::message::Script;

/// How long a script has between TERM and KILL: APR's `TIMEOUT_USECS`.
const PATIENCE: Duration = Duration::from_secs(3);

/// The scripts that run.
#[derive(Debug)]
pub struct Scripts {
    pids: HashMap<u64, Pid>,
    ids: HashMap<Pid, u64>,
    /// Those that were told to end, and when they are not asked any more.
    due: Vec<(Instant, Pid)>,
    /// What a script reads that gets no body.
    null: OwnedFd,
    /// Limit of open files of scripts, as it was before the parent asked for more.
    files: (u64, u64),
}

impl Scripts {
    /// None yet.
    pub fn new() -> std::io::Result<Scripts> {
        Ok(Scripts {
            pids: HashMap::new(),
            ids: HashMap::new(),
            due: Vec::new(),
            files: getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024)),
            null: spawn::null()?,
        })
    }

    /// Starts a script. Why one is not started goes where it would complain: the server half
    /// reads it there, and knows for whom it was.
    pub fn run(
        &mut self,
        snapshot: &Snapshot,
        user: Option<&Identity>,
        mut script: Script,
        fds: Vec<OwnedFd>,
    ) {
        let [stdin, stdout, stderr] = match &fds[..] {
            [stdin, stdout, stderr] => [stdin, stdout, stderr],
            [stdout, stderr] => [&self.null, stdout, stderr],
            // The other ends read that nothing comes.
            _ => return,
        };
        let passed = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        match self.start(snapshot, user, &mut script, passed) {
            Ok(pid) => {
                self.pids.insert(script.id, pid);
                self.ids.insert(pid, script.id);
            }
            Err(why) => {
                // It fits into any pipe that is empty, and one that somebody has filled is not
                // waited for. A reader who has gone does not want to know.
                let _ = fcntl(stderr, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
                let _ = nix::unistd::write(stderr, why.as_bytes());
            }
        }
    }

    fn start(
        &self,
        snapshot: &Snapshot,
        user: Option<&Identity>,
        script: &mut Script,
        fds: [BorrowedFd<'_>; 3],
    ) -> Result<Pid, String> {
        let (path, identity) = (&script.key.path, script.key.identity.as_ref());
        let name = String::from_utf8_lossy(path);
        // Only who is to have another name needs one.
        let wrapper = identity.and_then(|_| suexec::wrapper(snapshot, &Disk));
        let may = match &script.command {
            None => guard::may_run(snapshot, path, identity, wrapper.is_some(), &Disk),
            Some(_) => guard::may_run_commands(snapshot, path),
        };
        may.map_err(|why| format!("fcgi-pm refuses to run '{name}': {why}\n"))?;
        // A command is nobody's but `User`'s.
        let identity = identity.filter(|_| script.command.is_none());
        let wrapped = wrapper.as_ref().zip(identity);
        let started = spawn::script(spawn::Script {
            path,
            wrapper: wrapped
                .map(|(wrapper, id)| (&wrapper[..], &id.user[..], &id.group[..])),
            command: script.command.as_deref(),
            args: &script.args,
            env: std::mem::take(&mut script.env),
            fds,
            files: self.files,
            limits: script.limits,
            identity: user,
        });
        started.map_err(|error| {
            let error = os_error(&error);
            format!("({}){}: exec of '{name}' failed\n", error.code, error.text)
        })
    }

    /// Nobody waits for a script any more. Usually it has ended by itself.
    pub fn end(&mut self, id: u64) {
        if let Some(pid) = self.pids.remove(&id) {
            self.ask(pid);
        }
    }

    fn ask(&mut self, pid: Pid) {
        // It may have ended by itself; then it will be reaped.
        let _ = kill(pid, Signal::SIGTERM);
        self.due.push((Instant::now() + PATIENCE, pid));
    }

    /// Nobody waits for any.
    pub fn end_all(&mut self) {
        let pids: Vec<Pid> = self.pids.drain().map(|(_, pid)| pid).collect();
        for pid in pids {
            self.ask(pid);
        }
    }

    /// A child has ended. Says whether it was a script.
    pub fn ended(&mut self, pid: Pid) -> bool {
        let Some(id) = self.ids.remove(&pid) else { return false };
        self.pids.remove(&id);
        self.due.retain(|(_, due)| *due != pid);
        true
    }

    /// Ends what did not want to.
    pub fn tick(&mut self) {
        let now = Instant::now();
        while let Some(position) = self.due.iter().position(|(due, _)| *due <= now) {
            let (_, pid) = self.due.swap_remove(position);
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    /// Ends everything now.
    pub fn kill(&mut self) {
        for pid in self.ids.keys() {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        self.due.clear();
    }

    /// When [`Scripts::tick`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.due.iter().map(|(due, _)| *due).min()
    }

    /// Is there none any more?
    pub fn is_over(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use directives::bundle::Entry;
    use nix::unistd::pipe;

    use super::*;
    use crate::message::AppKey;

    /// Why a script was refused goes to who asked; who lets nobody write has no answer, and
    /// holds nobody up.
    #[test]
    fn refusals_are_told_without_waiting() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("httpd.conf"), "Listen 80\nServerName h\n")
            .unwrap();
        let entry = Entry {
            file: b"httpd.conf".to_vec(),
            server_root: root.path().display().to_string().into_bytes(),
            ..Entry::default()
        };
        let snapshot = directives::compile(&entry, &Disk).snapshot.unwrap();
        let mut scripts = Scripts::new().unwrap();
        let mut refuse = |stderr: OwnedFd| {
            let script = Script {
                id: 1,
                key: AppKey { path: "/bin/true".into(), identity: None, class: None },
                command: None,
                args: Vec::new(),
                limits: directives::modules::core::Limits::default(),
                env: Vec::new(),
            };
            let (_, stdout) = pipe().unwrap();
            scripts.run(&snapshot, None, script, vec![stdout, stderr]);
        };
        let (reading, stderr) = pipe().unwrap();
        refuse(stderr);
        let mut said = String::new();
        std::fs::File::from(reading).read_to_string(&mut said).unwrap();
        assert!(said.starts_with("fcgi-pm refuses to run '/bin/true'"), "{said}");
        // A full one.
        let (_reading, stderr) = pipe().unwrap();
        fcntl(&stderr, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        while nix::unistd::write(&stderr, &[0; 4096]).is_ok() {}
        fcntl(&stderr, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        refuse(stderr);
        assert!(scripts.is_over());
    }
}
