//! Ten thousand random timelines against what must always hold.

use std::collections::BTreeMap;
use std::time::Duration;

use directives::modules::fastcgi::app;

use super::{Action, ClassId, Event, Policy, Slot, Spec, Step, Time};

/// xorshift64*: a seed names a timeline.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Running { busy: bool },
    Told { since: Time, last: Step },
}

struct World {
    seed: u64,
    random: Random,
    policy: Policy,
    config: app::Policy,
    specs: BTreeMap<ClassId, Spec>,
    removed: Vec<ClassId>,
    processes: BTreeMap<Slot, State>,
    starts: BTreeMap<ClassId, Time>,
    used: Vec<Slot>,
    now: Time,
    kills: u32,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let max = random.one_of(&[1, 3, 6, 50]);
        let config = app::Policy {
            max_processes: max,
            min_processes: random.one_of(&[0, 2, 5]),
            max_class_processes: random.one_of(&[1, 3, 10]),
            kill_interval: random.one_of(&[1, 30, 300]),
            update_interval: random.one_of(&[1, 30, 300]),
            gain: random.one_of(&[0.0, 0.5, 1.0]),
            single_threshold: random.one_of(&[0, 1, 100]),
            multi_threshold: random.one_of(&[0, 50, 200]),
            process_slack: random.one_of(&[1, 5]).min(max),
            restart: random.below(2) == 0,
            ..app::Policy::default()
        };
        World {
            seed,
            policy: Policy::new(config.clone()),
            config,
            specs: BTreeMap::new(),
            removed: Vec::new(),
            processes: BTreeMap::new(),
            starts: BTreeMap::new(),
            used: Vec::new(),
            random,
            now: Time::ZERO,
            kills: 0,
        }
    }

    fn add(&mut self) {
        let id = ClassId(self.specs.len() as u32);
        let dynamic = self.random.below(3) > 0;
        let processes = if dynamic {
            self.config.max_class_processes
        } else {
            self.random.one_of(&[1, 2, 5])
        };
        let delay = |random: &mut Random| Duration::from_secs(random.one_of(&[0, 1, 5]));
        let spec = Spec {
            name: format!("/app/{}", id.0),
            dynamic,
            processes,
            init_start_delay: delay(&mut self.random),
            restart_delay: delay(&mut self.random),
            min_life: Duration::from_secs(self.random.one_of(&[0, 5, 30])),
            own_signal: self.random.below(4) == 0,
            fcgid: None,
        };
        self.specs.insert(id, spec.clone());
        self.happen(Event::Added(id, spec));
    }

    fn happen(&mut self, event: Event) {
        let actions = self.policy.on(self.now, event);
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        let now = self.now;
        let seed = self.seed;
        match action {
            Action::Warn(text) => assert!(text.starts_with("FastCGI: "), "seed {seed}"),
            Action::Start(slot, again) => {
                assert!(
                    !self.processes.contains_key(&slot),
                    "seed {seed}: two in {slot:?}"
                );
                assert_eq!(
                    again,
                    self.used.contains(&slot),
                    "seed {seed}: {slot:?} again?"
                );
                assert!(!self.removed.contains(&slot.class), "seed {seed}: removed");
                let spec = &self.specs[&slot.class];
                if let Some(last) = self.starts.get(&slot.class)
                    && again
                {
                    let due = *last + spec.restart_delay;
                    assert!(
                        now >= due,
                        "seed {seed}: {slot:?} too soon: {now:?} < {due:?}"
                    );
                }
                if self.random.below(20) == 0 {
                    self.starts.insert(slot.class, now);
                    self.happen(Event::Failed(slot));
                    return;
                }
                self.starts.insert(slot.class, now);
                self.used.push(slot);
                self.processes.insert(slot, State::Running { busy: false });
                self.happen(Event::Started(slot));
            }
            Action::Signal(slot, step) => {
                let state = self.processes.get_mut(&slot);
                let state =
                    state.unwrap_or_else(|| panic!("seed {seed}: nobody in {slot:?}"));
                match (*state, step) {
                    (State::Running { .. }, Step::Ask) => {
                        let removed = self.removed.contains(&slot.class);
                        assert!(
                            removed,
                            "seed {seed}: only the removed are told straight away"
                        );
                    }
                    (State::Told { since, last }, step) => {
                        assert!(now >= since + super::GRACE, "seed {seed}: no grace");
                        let own = self.specs[&slot.class].own_signal;
                        let right = match last {
                            Step::Ask if own => Step::Term,
                            Step::Ask | Step::Term => Step::Kill,
                            Step::Kill => panic!("seed {seed}: killed twice"),
                        };
                        assert_eq!(step, right, "seed {seed}");
                    }
                    other => panic!("seed {seed}: {other:?}"),
                }
                self.kills += u32::from(step == Step::Kill);
                *state = State::Told { since: now, last: step };
                if step == Step::Kill {
                    // Nobody survives this.
                    self.end(slot, false);
                }
            }
            Action::Release(..) | Action::End(..) | Action::Say(_) => {
                panic!("seed {seed}: there are no classes of mod_fcgid")
            }
            Action::Retire(candidates) => {
                let serving = self.processes.iter().filter(|(slot, state)| {
                    let running = matches!(state, State::Running { .. });
                    running && self.specs[&slot.class].dynamic
                });
                let serving = serving.count() as u32;
                assert!(
                    serving > self.config.min_processes,
                    "seed {seed}: below the minimum"
                );
                let class = candidates[0].class;
                assert!(self.specs[&class].dynamic, "seed {seed}: a static one");
                let idle = candidates
                    .iter()
                    .find(|slot| self.processes[slot] == State::Running { busy: false });
                if let Some(&slot) = idle {
                    let told = State::Told { since: now, last: Step::Ask };
                    self.processes.insert(slot, told);
                    self.happen(Event::Signaled(slot));
                }
            }
        }
    }

    fn dynamic_processes(&self) -> u32 {
        self.processes.keys().filter(|slot| self.specs[&slot.class].dynamic).count()
            as u32
    }

    fn end(&mut self, slot: Slot, success: bool) {
        self.processes.remove(&slot);
        self.happen(Event::Ended(slot, success));
    }

    /// What must hold between any two events.
    fn check(&self) {
        let seed = self.seed;
        assert!(
            self.dynamic_processes() <= self.config.max_processes,
            "seed {seed}: above -maxProcesses"
        );
        let next = self.policy.next_deadline();
        assert!(
            next.is_none_or(|next| next > self.now),
            "seed {seed}: time stands still"
        );
        for (id, spec) in &self.specs {
            let mine =
                self.processes.keys().filter(|slot| slot.class == *id).count() as u32;
            assert!(mine <= spec.processes, "seed {seed}: too many of {id:?}");
            let gone = self.removed.contains(id);
            if !spec.dynamic && !gone {
                assert!(
                    !self.policy.is_asleep(*id),
                    "seed {seed}: a static class sleeps"
                );
                assert_eq!(
                    self.policy.classes[id].alive(),
                    spec.processes,
                    "seed {seed}: instances of a static class are missing"
                );
            }
            if gone && mine == 0 {
                assert!(
                    !self.policy.classes.contains_key(id),
                    "seed {seed}: not forgotten"
                );
            }
        }
        assert_eq!(self.policy.processes(), self.processes.len(), "seed {seed}");
    }

    fn step(&mut self) {
        let pause = match self.random.below(200) {
            0 => 700_000,
            1..6 => 35_000,
            _ => self.random.one_of(&[0, 1, 100, 999, 1000, 3000, 5000]),
        };
        let end = self.now + Duration::from_millis(pause);
        while let Some(next) = self.policy.next_deadline().filter(|next| *next <= end) {
            self.now = next;
            self.happen(Event::Tick);
            self.check();
        }
        self.now = end;
        let classes = self.specs.len() as u64;
        let class = ClassId(self.random.below(classes) as u32);
        let slots: Vec<Slot> = self.processes.keys().copied().collect();
        match self.random.below(10) {
            0 if classes < 6 => self.add(),
            1 if self.random.below(4) == 0 && !self.removed.contains(&class) => {
                self.removed.push(class);
                self.happen(Event::Removed(class));
            }
            2 | 3 if self.specs[&class].dynamic && !self.removed.contains(&class) => {
                self.happen(Event::Asked(class));
                if self.policy.classes[&class].alive() == 0 {
                    let wanted = self.policy.classes[&class].wanted;
                    let seed = self.seed;
                    assert!(wanted, "seed {seed}: asked, and nothing comes of it");
                }
            }
            4 => self.happen(Event::Slow(class)),
            5 => {
                let busy = Duration::from_millis(self.random.below(5000));
                self.happen(Event::Finished(class, busy));
            }
            6 | 7 if !slots.is_empty() => {
                let slot = self.random.one_of(&slots);
                let success = self.random.below(2) == 0;
                self.end(slot, success);
            }
            _ if !slots.is_empty() => {
                let slot = self.random.one_of(&slots);
                if let Some(State::Running { busy }) = self.processes.get_mut(&slot) {
                    *busy = !*busy;
                }
            }
            _ => {}
        }
        self.check();
    }
}

#[test]
fn ten_thousand_timelines_keep_the_rules() {
    let (mut starts, mut kills) = (0, 0);
    for seed in 0..10_000 {
        let mut world = World::new(seed);
        world.add();
        for _ in 0..50 {
            world.step();
        }
        starts += world.used.len();
        kills += world.kills;
    }
    // The timelines have to be about something.
    assert!(starts > 50_000, "only {starts} starts");
    assert!(kills > 500, "only {kills} kills");
}
