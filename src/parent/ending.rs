//! How it ends: requests first, then applications, then the logs.

use std::time::{Duration, Instant};

use directives::log::Level;
use nix::sys::wait::WaitStatus;

use super::start::Parent;
use super::systemd;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Serving.
    Running,
    /// The server serves, until then; and then finishes, with so much patience.
    Leaving(Instant, Option<Duration>),
    /// The server finishes its requests; not beyond a time, if there is one.
    Draining(Option<Instant>),
    /// The server has gone; applications have until then.
    Ending(Instant),
    /// Applications were killed.
    Killed,
}

/// How long TERM waits for requests that are being answered.
pub(super) const TERM_PATIENCE: Duration = Duration::from_secs(20);
/// How long applications have between TERM and KILL at the end.
const APPS_PATIENCE: Duration = Duration::from_secs(2);
/// The same after a second TERM.
const HURRY: Duration = Duration::from_millis(100);

impl Parent {
    /// Has everything gone?
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Ending(_) | Stage::Killed)
            && self.apps.is_over()
            && self.scripts.is_over()
    }

    /// Takes the next step towards the end when its time has come.
    pub(super) fn advance(&mut self) {
        let now = Instant::now();
        match self.stage {
            Stage::Leaving(until, patience) if now >= until => self.finish(patience),
            Stage::Draining(Some(deadline)) if now >= deadline => {
                // Whoever is still being answered has had time enough.
                self.server.stop();
                self.stage = Stage::Draining(None);
            }
            Stage::Ending(deadline) if now >= deadline => {
                self.apps.kill();
                self.scripts.kill();
                self.stage = Stage::Killed;
            }
            Stage::Running if self.server.is_due(now) => self.start_server(),
            _ => {}
        }
        if self.watchdog.as_mut().is_some_and(|watchdog| watchdog.is_due(now)) {
            self.server.ask();
        }
    }

    /// Has the server half end: at once, or when those who send it clients have had time
    /// to notice.
    pub(super) fn drain(&mut self, patience: Option<Duration>) {
        let delay = self.snapshot.process.core.graceful_shutdown_delay;
        if delay.is_zero() || !self.server.leave() {
            return self.finish(patience);
        }
        systemd::stopping("Serving a little longer");
        self.stage = Stage::Leaving(Instant::now() + delay, patience);
    }

    /// Has the server half finish, and nobody connect any more.
    fn finish(&mut self, patience: Option<Duration>) {
        systemd::stopping("Finishing requests");
        self.stage = Stage::Draining(patience.map(|patience| Instant::now() + patience));
        // The server half is to be the last who closes them: it still takes those who wait.
        self.listeners.clear();
        if !self.server.drain() {
            self.server_gone(None);
        }
    }

    /// Waits for nothing any more: the second TERM.
    pub(super) fn hasten(&mut self) {
        self.hurry = true;
        self.server.kill();
        if let Stage::Ending(_) = self.stage {
            self.apps.kill();
            self.scripts.kill();
        }
    }

    /// The server has ended: as it was told to, or by itself; then it is started again,
    /// and applications do not notice.
    pub(super) fn server_gone(&mut self, status: Option<WaitStatus>) {
        self.apps.server_restarted();
        // Who waited for them has gone.
        self.scripts.end_all();
        let restarts = self.server.gone();
        if self.stage != Stage::Running || !restarts {
            systemd::stopping("Ending applications");
            self.apps.stop();
            let patience = if self.hurry { HURRY } else { APPS_PATIENCE };
            self.stage = Stage::Ending(Instant::now() + patience);
            return;
        }
        let how = match status {
            Some(WaitStatus::Exited(pid, code)) => {
                format!("pid {pid}, exit status {code}")
            }
            Some(WaitStatus::Signaled(pid, signal, _)) => format!("pid {pid}, {signal}"),
            _ => "no more messages".to_owned(),
        };
        let text = format!("the server process has ended ({how}) and is started again");
        self.log(Level::Alert, "core", 0, &text);
        systemd::status("The server process is started again");
    }
}
