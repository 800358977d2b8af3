//! Load, and which processes of dynamic applications are superfluous (9.9, Q-29, Q-30).
//!
//! Load is the number of busy processes, averaged over `-updateInterval` and smoothed with
//! `-gainValue`, held against the number of processes that there are. The formula is the
//! original's, computed with fractions, and both intervals count for themselves.

use std::time::Duration;

use directives::modules::fastcgi::app;

use super::{Action, Class, Policy, Process, Slot, Time};

impl Policy {
    /// Takes a sample at the end of each `-updateInterval`.
    pub(super) fn sample(&mut self, now: Time) {
        if self.total_dynamic() == 0 {
            self.sampled = None;
            return;
        }
        if self.sampled.is_none() {
            // Intervals begin with the first dynamic process.
            self.sampled = Some(now);
            self.thinned = now;
        }
        let interval = Duration::from_secs(self.dynamic.update_interval.into());
        let since = self.sampled.unwrap_or(now);
        if now < since + interval {
            return;
        }
        let gain = self.dynamic.gain;
        for class in self.classes.values_mut().filter(|class| class.spec.dynamic) {
            if let Some(sample) = class.busy_processes(now, since) {
                let old = class.load.unwrap_or(0.0);
                class.load = Some((1.0 - gain) * old + gain * sample);
                class.busy = Duration::ZERO;
            }
        }
        self.sampled = Some(now);
    }

    /// Looks for superfluous processes once in each `-killInterval`.
    pub(super) fn thin_out(&mut self, now: Time) {
        let interval = Duration::from_secs(self.dynamic.kill_interval.into());
        if self.sampled.is_some() && now >= self.thinned + interval {
            self.make_room(now);
        }
    }

    /// Ends what is superfluous, at most one process of a class, and not below
    /// `-minProcesses`.
    pub(super) fn make_room(&mut self, now: Time) {
        self.thinned = now;
        let since = self.sampled.unwrap_or(now);
        let dynamic = self.classes.values().filter(|class| class.spec.dynamic);
        let mut serving: u32 = dynamic.map(Class::serving).sum();
        for (id, class) in &mut self.classes {
            if !class.spec.dynamic
                || class.removed
                || class.is_needed(now, since, &self.dynamic)
            {
                continue;
            }
            let due =
                |place: &&mut super::Place| matches!(place.process, Process::Due(_));
            if let Some(place) = class.places.iter_mut().find(due) {
                place.process = Process::None;
                continue;
            }
            let dying =
                |place: &super::Place| matches!(place.process, Process::Dying(..));
            if serving <= self.dynamic.min_processes || class.places.iter().any(dying) {
                continue;
            }
            // The youngest first; one that is busy is passed over by whoever performs it.
            let mut running: Vec<(Time, u32)> = class
                .places
                .iter()
                .enumerate()
                .filter_map(|(index, place)| match place.process {
                    Process::Running(since) => Some((since, index as u32)),
                    _ => None,
                })
                .collect();
            if running.is_empty() {
                continue;
            }
            running.sort_by_key(|entry| std::cmp::Reverse(*entry));
            let slots =
                running.iter().map(|(_, index)| Slot { class: *id, index: *index });
            self.actions.push(Action::Retire(slots.collect()));
            serving -= 1;
        }
    }
}

impl Class {
    /// Busy processes on average since a moment, or since the class is there. `None` if
    /// that is now.
    fn busy_processes(&self, now: Time, since: Time) -> Option<f64> {
        let elapsed = now.saturating_sub(since.max(self.since)).as_secs_f64();
        (elapsed > 0.0).then(|| self.busy.as_secs_f64() / elapsed)
    }

    /// Does it need all its processes?
    fn is_needed(&self, now: Time, since: Time, dynamic: &app::Policy) -> bool {
        let n = self.serving();
        // Until the first sample what there is of it has to do.
        let Some(busy) = self.load.or_else(|| self.busy_processes(now, since)) else {
            return true;
        };
        let load = 100.0 * busy / f64::from(n.max(1));
        match n {
            0 => true,
            1 => load >= f64::from(dynamic.single_threshold),
            _ => {
                let factor = f64::from(n) / f64::from(n - 1);
                factor * load >= f64::from(dynamic.multi_threshold)
            }
        }
    }
}
