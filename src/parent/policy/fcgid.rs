//! Classes of mod_fcgid: processes are started one by one as requests wait for them, as long as
//! the scores and limits allow it, and are ended for their age, for want of work, or because
//! they do not come to an end (fcgid_spawn_ctl.c, fcgid_pm_main.c).
//!
//! Which processes are at work the server knows. It says so from time to time, and it gives a
//! process up before that is told to end: no request is cut off for a process's age.

use std::time::Duration;

use directives::modules::fcgid::{Limits, Rules};

use super::{Action, Class, ClassId, Event, Place, Policy, Process, Slot, Step, Time};

/// What the policy knows of a class of mod_fcgid.
#[derive(Clone, Debug)]
pub(super) struct Score {
    rules: Rules,
    points: i64,
    /// When the score was counted last.
    counted: Time,
}

impl Score {
    pub(super) fn new(now: Time, rules: Rules) -> Score {
        Score { rules, points: 0, counted: now }
    }

    /// Takes away what time takes away, by whole seconds, and adds what happened.
    fn count(&mut self, now: Time, limits: &Limits, add: i32) {
        let seconds = now.as_secs().saturating_sub(self.counted.as_secs());
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let taken = seconds.saturating_mul(limits.time_score.into());
        self.points = self.points.saturating_add(add.into()).saturating_sub(taken).max(0);
        self.counted = now;
    }
}

/// What a process is doing, as far as the server has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It answers a request since then.
    Busy(Time),
    /// It has had no request since then.
    Idle(Time),
}

/// Why a process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// `FcgidIdleTimeout`.
    Idle,
    /// `FcgidProcessLifeTime`, or `FcgidMaxRequestsPerProcess`.
    Expired,
    /// `FcgidBusyTimeout`.
    Busy,
}

impl Policy {
    /// The limits of mod_fcgid's classes.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// A request waits: one more process is started if there may be one more.
    pub(super) fn wanted_fcgid(&mut self, now: Time, id: ClassId) {
        let limits = self.limits;
        let total: u32 = self
            .classes
            .values()
            .filter(|class| class.fcgid.is_some())
            .map(Class::alive)
            .sum();
        let Some(class) = self.classes.get_mut(&id) else { return };
        let Some(score) = &mut class.fcgid else { return };
        if class.removed {
            return;
        }
        score.count(now, &limits, 0);
        let (name, now_score, most) = (&class.spec.name, score.points, score.rules.most);
        let of_class = class.alive();
        let refused = if total >= limits.processes {
            let most = limits.processes;
            format!(
                "{name} total process count {total} >= {most}, skip the spawn request"
            )
        } else if now_score >= limits.score_limit.into() {
            let limit = limits.score_limit;
            format!("{name} spawn score {now_score} >= {limit}, skip the spawn request")
        } else if of_class >= most {
            format!(
                "too many {name} processes (current:{of_class}, max:{most}), skip the spawn \
                 request"
            )
        } else {
            let mut places = class.places.iter();
            let free = places.position(|place| place.process == Process::None);
            // There are as many places as were needed at once: what the configuration allows
            // may be more than there is memory for.
            let index = free.unwrap_or_else(|| {
                class.places.push(Place::default());
                class.places.len() - 1
            });
            class.places[index].process = Process::Starting;
            // The first one makes the score, and counts for nothing.
            let add = if class.last_start.is_some() { limits.spawn_score } else { 0 };
            if let Some(score) = &mut class.fcgid {
                score.count(now, &limits, add);
            }
            class.last_start = Some(now);
            self.actions
                .push(Action::Start(Slot { class: id, index: index as u32 }, false));
            return;
        };
        self.actions.push(Action::Say(format!("mod_fcgid: {refused}")));
    }

    /// The server says what a process is doing.
    pub(super) fn doing(&mut self, slot: Slot, doing: Doing) {
        if let Some(place) = self.place(slot) {
            place.doing = Some(doing);
        }
    }

    /// The server has given a process up: it is told to end.
    pub(super) fn released(&mut self, now: Time, slot: Slot) {
        let until = now + self.patience();
        let Some(place) = self.place(slot) else { return };
        if matches!(place.process, Process::Running(_)) {
            place.process = Process::Dying(Step::Ask, Some(until));
            self.actions.push(Action::Signal(slot, Step::Ask));
        }
    }

    /// How long a process may take to end.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.limits.error_scan.max(1).into())
    }

    /// A process of mod_fcgid's has ended; the next request that waits has another started.
    pub(super) fn ended_fcgid(&mut self, now: Time, slot: Slot) {
        let limits = self.limits;
        let Some(class) = self.classes.get_mut(&slot.class) else { return };
        if let Some(score) = &mut class.fcgid {
            score.count(now, &limits, limits.termination_score);
        }
        let Some(place) = class.places.get_mut(slot.index as usize) else { return };
        *place = Place::default();
    }

    /// Looks which processes are too old, idle or busy, once in each interval.
    pub(super) fn scan(&mut self, now: Time) {
        let running = self.classes.values().any(Class::has_fcgid_process);
        if !running {
            self.idle_scanned = None;
            self.busy_scanned = None;
            return;
        }
        let (idle, busy) = self.intervals();
        if now >= *self.idle_scanned.get_or_insert(now) + idle {
            self.idle_scanned = Some(now);
            self.scan_idle(now);
        }
        if now >= *self.busy_scanned.get_or_insert(now) + busy {
            self.busy_scanned = Some(now);
            self.scan_busy(now);
        }
    }

    /// When [`Policy::scan`] is due.
    pub(super) fn next_scan(&self) -> Option<Time> {
        let (idle, busy) = self.intervals();
        let idle = self.idle_scanned.map(|last| last + idle);
        idle.into_iter().chain(self.busy_scanned.map(|last| last + busy)).min()
    }

    fn intervals(&self) -> (Duration, Duration) {
        let seconds = |n: u32| Duration::from_secs(n.max(1).into());
        (seconds(self.limits.idle_scan), seconds(self.limits.busy_scan))
    }

    fn scan_idle(&mut self, now: Time) {
        let over = |since: Time, limit: u32| {
            limit > 0 && now.saturating_sub(since) > Duration::from_secs(limit.into())
        };
        for (id, class) in &mut self.classes {
            let Some(Score { rules, .. }) = class.fcgid else { continue };
            // Those that have been asked for are as good as gone.
            let mut left = class
                .places
                .iter()
                .filter(|place| place.is_there() && !place.asked)
                .count();
            for (index, place) in class.places.iter_mut().enumerate() {
                let Process::Running(since) = place.process else { continue };
                let idle_since = match place.doing {
                    Some(Doing::Busy(_)) => continue,
                    Some(Doing::Idle(since)) => since,
                    None => since,
                };
                if place.asked || left <= rules.least as usize {
                    continue;
                }
                let why = if over(idle_since, rules.idle_timeout) {
                    Why::Idle
                } else if over(since, rules.life_time) {
                    Why::Expired
                } else {
                    continue;
                };
                place.asked = true;
                left -= 1;
                let slot = Slot { class: *id, index: index as u32 };
                self.actions.push(Action::Release(slot, why));
            }
        }
    }

    fn scan_busy(&mut self, now: Time) {
        let until = now + self.patience();
        for (id, class) in &mut self.classes {
            let Some(Score { rules, .. }) = class.fcgid else { continue };
            let limit = Duration::from_secs(rules.busy_timeout.into());
            for (index, place) in class.places.iter_mut().enumerate() {
                let Some(Doing::Busy(since)) = place.doing else { continue };
                let running = matches!(place.process, Process::Running(_));
                if limit.is_zero() || !running || now.saturating_sub(since) <= limit {
                    continue;
                }
                place.process = Process::Dying(Step::Ask, Some(until));
                let slot = Slot { class: *id, index: index as u32 };
                self.actions.push(Action::End(slot, Why::Busy));
            }
        }
    }
}

impl Class {
    fn has_fcgid_process(&self) -> bool {
        self.fcgid.is_some() && self.places.iter().any(Place::is_there)
    }
}

impl Event {
    /// Events that only the classes of mod_fcgid know.
    pub(super) fn of_fcgid(self, policy: &mut Policy, now: Time) {
        match self {
            Event::Doing(slot, doing) => policy.doing(slot, doing),
            Event::Released(slot) => policy.released(now, slot),
            _ => {}
        }
    }
}
