//! What systemd is told, if it has asked for it (`NOTIFY_SOCKET`, `WATCHDOG_USEC`).
//! Without a service manager none of this does anything.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The variables by which systemd speaks to this process, and to no other.
pub const VARIABLES: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
];

/// Tells the service manager; one that does not listen is not waited for.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

/// The server serves, for the first time or with a new configuration.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A new configuration is read; [`ready`] follows, whatever comes of it.
pub fn reloading() {
    // A clock that cannot be read is not there: systemd then waits for its time-out.
    let Ok(now) = NotifyState::monotonic_usec_now() else { return };
    tell(&[
        NotifyState::Reloading,
        now,
        NotifyState::Status("Reading the configuration"),
    ]);
}

/// The end has begun.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// A word about what goes on.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The server half has answered.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// When the server half is to be asked whether it answers.
#[derive(Debug)]
pub struct Watchdog {
    every: Duration,
    /// The next question is due then.
    pub due: Instant,
}

impl Watchdog {
    /// If systemd wants one: at half its interval.
    pub fn new() -> Option<Watchdog> {
        let every = sd_notify::watchdog_enabled().filter(|every| !every.is_zero())? / 2;
        Some(Watchdog { every, due: Instant::now() })
    }

    /// Is a question due? Then the next one is due later.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.due <= now;
        if due {
            self.due = now + self.every;
        }
        due
    }
}
