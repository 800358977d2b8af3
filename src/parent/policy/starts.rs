//! Starts and restarts: delays between them, and the back-off of an application that does
//! not stay alive (9.3 to 9.5, 9.8).

use super::fcgid::Score;
use super::{
    ATTEMPTS, Action, BACK_OFF, Class, ClassId, GRACE, MAKE_AGAIN, Place, Policy,
    Process, Slot, Spec, Step, THIN_AGAIN, Time,
};

impl Policy {
    pub(super) fn added(&mut self, now: Time, id: ClassId, spec: Spec) {
        let place = |process| Place { process, ..Place::default() };
        let on_demand = spec.dynamic || spec.fcgid.is_some();
        let places = (0..spec.processes)
            .map(|i| {
                // First starts are apart by the delay (P-6).
                let due = now + spec.init_start_delay * i;
                place(if on_demand { Process::None } else { Process::Due(due) })
            })
            .collect();
        let fcgid = spec.fcgid.map(|rules| Score::new(now, rules));
        let class = Class {
            fcgid,
            spec,
            places,
            last_start: None,
            failures: 0,
            backed_off: false,
            removed: false,
            wanted: false,
            since: now,
            busy: Time::ZERO,
            load: None,
        };
        self.classes.insert(id, class);
    }

    pub(super) fn removed(&mut self, now: Time, id: ClassId) {
        let Some(class) = self.classes.get_mut(&id) else { return };
        class.removed = true;
        for (index, place) in class.places.iter_mut().enumerate() {
            match place.process {
                Process::Due(_) => place.process = Process::None,
                Process::Running(_) => {
                    place.process = Process::Dying(Step::Ask, Some(now + GRACE));
                    let slot = Slot { class: id, index: index as u32 };
                    self.actions.push(Action::Signal(slot, Step::Ask));
                }
                _ => {}
            }
        }
        self.forget(id);
    }

    /// A removed class without processes is forgotten.
    fn forget(&mut self, id: ClassId) {
        if self.classes.get(&id).is_some_and(|class| class.removed && class.alive() == 0)
        {
            self.classes.remove(&id);
        }
    }

    /// A request found no process: one is started unless one is on its way.
    pub(super) fn asked(&mut self, now: Time, id: ClassId) {
        let Some(class) = self.classes.get(&id) else { return };
        if class.fcgid.is_some() {
            return self.wanted_fcgid(now, id);
        }
        let coming = |place: &Place| {
            matches!(
                place.process,
                Process::Due(_) | Process::Starting | Process::Running(_)
            )
        };
        if !class.removed && !class.wanted && !class.places.iter().any(coming) {
            self.schedule(now, id, true);
        }
    }

    /// A request waits: one more is started if there may be one more.
    pub(super) fn slow(&mut self, now: Time, id: ClassId) {
        if self.classes.get(&id).is_some_and(|class| class.fcgid.is_some()) {
            return self.wanted_fcgid(now, id);
        }
        let asks = |class: &Class| class.spec.dynamic && !class.removed && !class.wanted;
        if self.classes.get(&id).is_some_and(asks) {
            self.schedule(now, id, false);
        }
    }

    /// Schedules a start in the first free slot. With `needed` it waits for a delay that
    /// has not passed; otherwise it is not made then.
    fn schedule(&mut self, now: Time, id: ClassId, needed: bool) {
        let (max, slack) = (self.dynamic.max_processes, self.dynamic.process_slack);
        let total = self.total_dynamic();
        if total + 1 + slack > max && now >= self.thinned + THIN_AGAIN {
            // Little room is left: what is idle elsewhere may go (`-processSlack`).
            self.make_room(now);
        }
        let full = self.total_dynamic() + 1 > max;
        let Some(class) = self.classes.get_mut(&id) else { return };
        if full && class.spec.dynamic {
            class.wanted = needed;
            let shown = class.spec.shown();
            self.warn(format!(
                "FastCGI: can't schedule the start of another {shown} process: exceeded \
                 dynamicMaxProcs ({max})"
            ));
            return;
        }
        let last = class.places.len().saturating_sub(1);
        let used = |process| matches!(process, Process::Due(_) | Process::Starting);
        if class.places.iter().any(|place| used(place.process)) {
            // One is on its way.
            return;
        }
        let free =
            class.places.iter_mut().position(|place| place.process == Process::None);
        let Some(index) = free else {
            // All are running, or ending: when one has ended it is asked again.
            class.wanted = needed;
            return;
        };
        let place = &mut class.places[index];
        let delay = if place.used {
            class.spec.restart_delay
        } else {
            class.spec.init_start_delay
        };
        let allowed = class.last_start.map_or(now, |last| last + delay);
        if allowed > now && !needed {
            return;
        }
        place.process = Process::Due(allowed.max(now));
        if index == last && class.spec.dynamic {
            let again = if place.used { "restart" } else { "start" };
            let (shown, max) = (class.spec.shown(), class.spec.processes);
            self.warn(format!(
                "FastCGI: scheduled the {again} of the last {shown} process: reached \
                 dynamicMaxClassProcs ({max})"
            ));
        }
    }

    /// Starts what is due, unless the application does not stay alive.
    pub(super) fn start_due(&mut self, now: Time) {
        let mut said = Vec::new();
        for (id, class) in &mut self.classes {
            for (index, place) in class.places.iter_mut().enumerate() {
                let Process::Due(at) = place.process else { continue };
                if at > now {
                    continue;
                }
                let apart =
                    if place.used { class.spec.restart_delay } else { Time::ZERO };
                if let Some(last) = class.last_start
                    && last + apart > now
                {
                    // Several that ended at once come back one after another (P-12).
                    place.process = Process::Due(last + apart);
                    continue;
                }
                if class.failures > ATTEMPTS {
                    // Left alone; then one attempt, and again if that fails (P-15).
                    let last = class.last_start.unwrap_or(now);
                    place.process = Process::Due(last + BACK_OFF);
                    class.failures = ATTEMPTS;
                    if !std::mem::replace(&mut class.backed_off, true) {
                        let shown = class.spec.shown();
                        let life = class.spec.min_life.as_secs();
                        let pause = BACK_OFF.as_secs();
                        said.push(format!(
                            "FastCGI: {shown} has failed to remain running for {life} seconds \
                             given 3 attempts, its restart interval has been backed off to \
                             {pause} seconds"
                        ));
                    }
                    if last + BACK_OFF > now {
                        continue;
                    }
                } else if class.backed_off
                    && let Some(last) = class.last_start
                    && last + BACK_OFF > now
                {
                    // The other instances of the class wait with it.
                    place.process = Process::Due(last + BACK_OFF);
                    continue;
                }
                place.process = Process::Starting;
                let slot = Slot { class: *id, index: index as u32 };
                self.actions.push(Action::Start(slot, place.used));
                class.last_start = Some(now);
            }
        }
        for text in said {
            self.warn(text);
        }
    }

    pub(super) fn started(&mut self, now: Time, slot: Slot) {
        let Some(class) = self.classes.get_mut(&slot.class) else { return };
        let Some(place) = class.places.get_mut(slot.index as usize) else { return };
        place.used = true;
        place.started = now;
        place.process = Process::Running(now);
        if class.removed {
            place.process = Process::Dying(Step::Ask, Some(now + GRACE));
            self.actions.push(Action::Signal(slot, Step::Ask));
        }
    }

    /// A start that failed is tried again after the restart delay, and not before ten
    /// seconds (P-10).
    pub(super) fn failed(&mut self, now: Time, slot: Slot) {
        if let Some(class) = self.classes.get_mut(&slot.class) {
            let delay = class.spec.restart_delay.max(MAKE_AGAIN);
            if let Some(place) = class.places.get_mut(slot.index as usize) {
                let again = !class.removed && class.fcgid.is_none();
                place.process =
                    if again { Process::Due(now + delay) } else { Process::None };
            }
        }
        self.forget(slot.class);
    }

    pub(super) fn ended(&mut self, now: Time, slot: Slot, success: bool) {
        let restart = self.dynamic.restart;
        let keep_last = self.dynamic.single_threshold == 0;
        if self.classes.get(&slot.class).is_some_and(|class| class.fcgid.is_some()) {
            self.ended_fcgid(now, slot);
            return self.forget(slot.class);
        }
        let Some(class) = self.classes.get_mut(&slot.class) else { return };
        let Some(place) = class.places.get_mut(slot.index as usize) else { return };
        let told = matches!(place.process, Process::Dying(..));
        let lived = now.saturating_sub(place.started);
        place.process = Process::None;
        if !told && !success {
            // What lived long enough before it failed begins a new count.
            if lived > class.spec.min_life {
                class.failures = 0;
            }
            class.failures += 1;
        }
        let again = if class.removed {
            false
        } else if !class.spec.dynamic {
            // However it ended.
            true
        } else {
            !told && (restart || class.alive() == 0 && keep_last)
        };
        if again {
            let due =
                class.last_start.map_or(now, |last| last + class.spec.restart_delay);
            class.places[slot.index as usize].process = Process::Due(due.max(now));
        }
        self.forget(slot.class);
        self.give_room(now);
    }

    /// A process has ended: who waited for room gets it.
    fn give_room(&mut self, now: Time) {
        let waiting = self.classes.iter().filter(|(_, class)| class.wanted);
        let waiting: Vec<ClassId> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            if self.total_dynamic() >= self.dynamic.max_processes {
                return;
            }
            if let Some(class) = self.classes.get_mut(&id) {
                class.wanted = false;
            }
            self.asked(now, id);
        }
    }

    /// An application that has stayed alive long enough is trusted again (P-14).
    pub(super) fn recover(&mut self, now: Time) {
        let mut said = Vec::new();
        for class in self.classes.values_mut().filter(|class| class.failures > 0) {
            let min_life = class.spec.min_life;
            let lived = class.places.iter().any(|place| {
                matches!(place.process, Process::Running(since) if now >= since + min_life)
            });
            if !lived {
                continue;
            }
            class.failures = 0;
            if std::mem::replace(&mut class.backed_off, false) {
                said.push(format!(
                    "FastCGI: {} has remained running for more than {} seconds, its restart \
                     interval has been restored to {} seconds",
                    class.spec.shown(),
                    min_life.as_secs(),
                    class.spec.restart_delay.as_secs()
                ));
            }
        }
        for text in said {
            self.warn(text);
        }
    }
}
