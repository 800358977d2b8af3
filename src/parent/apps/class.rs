//! One version of one application, and its processes.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use directives::modules::fastcgi::App;
use directives::modules::fastcgi::app::{Kind, TERM};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::fcgid::Member;
use super::socket::AppSocket;
use crate::message::AppKey;
use crate::parent::policy::{Spec, Step};

/// One version of an application. A changed definition, a newer program or a socket that
/// was removed makes another one; this one then is drained.
#[derive(Debug)]
pub struct Class {
    /// Its definition.
    pub app: Arc<App>,
    /// Its name.
    pub key: AppKey,
    /// Its socket; `None` if it could not be made yet.
    pub socket: Option<AppSocket>,
    /// When a socket that could not be made is tried again.
    pub retry: Option<Instant>,
    /// Since when there is this version, nanoseconds since 1970.
    pub since: i64,
    /// How its end goes, once it is to end.
    pub leaving: Option<Leaving>,
    /// Its processes by slot.
    pub processes: Vec<Option<Pid>>,
    /// The same of mod_fcgid's, with a socket each.
    pub members: Vec<Option<Member>>,
    /// Processes started so far.
    pub starts: u64,
    /// Of those, the ones that took another's place.
    pub restarts: u64,
    /// How the last process that ended did so, and when, microseconds since 1970.
    pub last_exit: Option<(String, i64)>,
}

/// An application that is to end.
#[derive(Clone, Copy, Debug)]
pub struct Leaving {
    /// Requests are not waited for beyond this time.
    pub limit: Instant,
    /// It is waited until no configuration up to this number is in use, if there is a
    /// number: until then requests may still begin.
    pub generation: Option<u64>,
    /// The policy has been told.
    pub told: bool,
}

impl Class {
    /// Without a socket yet.
    pub fn new(app: Arc<App>) -> Class {
        Class {
            key: AppKey::of(&app),
            processes: vec![None; app.settings.processes as usize],
            app,
            members: Vec::new(),
            socket: None,
            retry: None,
            since: now(),
            leaving: None,
            starts: 0,
            restarts: 0,
            last_exit: None,
        }
    }

    /// Started by requests.
    pub fn is_dynamic(&self) -> bool {
        self.app.kind == Kind::Dynamic
    }

    /// For messages: the path.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.app.path).into_owned()
    }

    /// For messages: ` (dynamic)` where it is.
    pub fn kind(&self) -> &'static str {
        if self.is_dynamic() { " (dynamic)" } else { "" }
    }

    /// For the policy; `slots` is how many processes there may be.
    pub fn spec(&self, slots: u32) -> Spec {
        let settings = &self.app.settings;
        let seconds = |n: u32| std::time::Duration::from_secs(n.into());
        Spec {
            name: self.name(),
            dynamic: self.is_dynamic(),
            processes: slots,
            init_start_delay: seconds(settings.init_start_delay),
            restart_delay: seconds(settings.restart_delay),
            min_life: seconds(settings.min_server_life),
            own_signal: settings.kill_signal != TERM,
            fcgid: self.app.class.as_ref().map(|class| class.rules),
        }
    }

    /// The signal of a step.
    pub fn signal(&self, step: Step) -> Signal {
        match step {
            Step::Ask => {
                let number = self.app.settings.kill_signal as i32;
                Signal::try_from(number).unwrap_or(Signal::SIGTERM)
            }
            Step::Term => Signal::SIGTERM,
            Step::Kill => Signal::SIGKILL,
        }
    }

    /// Is its program newer than this version?
    pub fn is_outdated(&self) -> bool {
        use directives::bundle::Files;
        let meta = crate::disk::Disk.stat(&self.app.path);
        meta.is_ok_and(|meta| meta.modified() > self.since)
    }
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as i64)
}

/// How a process ended, in the original's words (P-11), and whether that was a success.
pub fn ending(status: WaitStatus) -> Option<(String, bool)> {
    match status {
        WaitStatus::Exited(_, code) => {
            Some((format!("terminated by calling exit with status '{code}'"), code == 0))
        }
        WaitStatus::Signaled(_, signal, core) => {
            let core = if core { ", a core file may have been generated" } else { "" };
            let (number, name) = (signal as i32, describe(signal));
            Some((
                format!("terminated due to uncaught signal '{number}' ({name}){core}"),
                false,
            ))
        }
        _ => None,
    }
}

/// What C's `strsignal` says.
fn describe(signal: Signal) -> &'static str {
    match signal {
        Signal::SIGHUP => "Hangup",
        Signal::SIGINT => "Interrupt",
        Signal::SIGQUIT => "Quit",
        Signal::SIGILL => "Illegal instruction",
        Signal::SIGTRAP => "Trace/breakpoint trap",
        Signal::SIGABRT => "Aborted",
        Signal::SIGBUS => "Bus error",
        Signal::SIGFPE => "Floating point exception",
        Signal::SIGKILL => "Killed",
        Signal::SIGUSR1 => "User defined signal 1",
        Signal::SIGSEGV => "Segmentation fault",
        Signal::SIGUSR2 => "User defined signal 2",
        Signal::SIGPIPE => "Broken pipe",
        Signal::SIGALRM => "Alarm clock",
        Signal::SIGTERM => "Terminated",
        Signal::SIGXCPU => "CPU time limit exceeded",
        Signal::SIGXFSZ => "File size limit exceeded",
        Signal::SIGVTALRM => "Virtual timer expired",
        Signal::SIGPROF => "Profiling timer expired",
        Signal::SIGSYS => "Bad system call",
        other => other.as_str(),
    }
}
