//! Timelines of testdata/policy: what happens when, and what the policy does about it.
//!
//! A line at the margin is a setting, a class or an event; indented lines are the actions
//! that follow, with their times, and are written anew with `UPDATE_EXPECT=1`. Time flows
//! from deadline to deadline. A process that is to be started starts at once, unless
//! `stuck` says that starts fail; the first process in a list of candidates that is not
//! `busy` is told to end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use directives::modules::fastcgi::app;
use directives::modules::fcgid::{Limits, Rules};

use super::{Action, ClassId, Doing, Event, Policy, Slot, Spec, Step, Time};

#[derive(Default)]
struct Script {
    dynamic: app::Policy,
    limits: Limits,
    policy: Option<Policy>,
    specs: BTreeMap<String, Spec>,
    names: Vec<String>,
    busy: BTreeSet<Slot>,
    stuck: bool,
    now: Time,
    out: String,
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs_f64(text.parse().expect("a number of seconds"))
}

impl Script {
    fn policy(&mut self) -> &mut Policy {
        let dynamic = self.dynamic.clone();
        self.policy.get_or_insert_with(|| Policy::new(dynamic))
    }

    fn class(&self, name: &str) -> ClassId {
        let at = self.names.iter().position(|known| known == name);
        ClassId(at.unwrap_or_else(|| panic!("no class {name}")) as u32)
    }

    fn slot(&self, text: &str) -> Slot {
        let (name, index) = text.split_once('.').expect("class.index");
        Slot { class: self.class(name), index: index.parse().expect("an index") }
    }

    fn shown(&self, slot: Slot) -> String {
        format!("{}.{}", self.names[slot.class.0 as usize], slot.index)
    }

    fn configure(&mut self, settings: &str) {
        let policy = &mut self.dynamic;
        for setting in settings.split_whitespace() {
            let (name, value) = setting.split_once('=').unwrap_or((setting, "1"));
            let number = || value.parse::<u32>().expect("a number");
            match name {
                "maxProcesses" => policy.max_processes = number(),
                "minProcesses" => policy.min_processes = number(),
                "killInterval" => policy.kill_interval = number(),
                "updateInterval" => policy.update_interval = number(),
                "gainValue" => policy.gain = value.parse().expect("a fraction"),
                "singleThreshold" => policy.single_threshold = number(),
                "multiThreshold" => policy.multi_threshold = number(),
                "processSlack" => policy.process_slack = number(),
                "restart" => policy.restart = true,
                "FcgidMaxProcesses" => self.limits.processes = number(),
                "FcgidIdleScanInterval" => self.limits.idle_scan = number(),
                "FcgidBusyScanInterval" => self.limits.busy_scan = number(),
                "FcgidErrorScanInterval" => self.limits.error_scan = number(),
                "FcgidSpawnScore" => self.limits.spawn_score = number() as i32,
                "FcgidSpawnScoreUpLimit" => self.limits.score_limit = number() as i32,
                "FcgidTerminationScore" => {
                    self.limits.termination_score = number() as i32;
                }
                "FcgidTimeScore" => self.limits.time_score = number() as i32,
                other => panic!("unknown setting {other}"),
            }
        }
        let dynamic = self.dynamic.clone();
        let limits = self.limits;
        self.policy().configure(dynamic);
        self.policy().limit(limits);
    }

    /// Is this a process of mod_fcgid's?
    fn of_fcgid(&self, slot: Slot) -> bool {
        self.specs[&self.names[slot.class.0 as usize]].fcgid.is_some()
    }

    /// `class NAME static|dynamic|fcgid key=value …`: from now on.
    fn add(&mut self, words: &str) {
        let mut words = words.split_whitespace();
        let name = words.next().expect("a name").to_owned();
        let kind = words.next().expect("a kind");
        let dynamic = kind == "dynamic";
        let mut spec = Spec {
            name: format!("/{name}"),
            dynamic,
            processes: if dynamic { 10 } else { 1 },
            init_start_delay: Duration::from_secs(1),
            restart_delay: Duration::from_secs(5),
            min_life: Duration::from_secs(30),
            own_signal: false,
            fcgid: (kind == "fcgid").then(Rules::default),
        };
        if spec.fcgid.is_some() {
            // Places come with their processes.
            spec.processes = 0;
        }
        for word in words {
            let (key, value) = word.split_once('=').expect("key=value");
            let number = || value.parse().expect("a number");
            if let Some(rules) = &mut spec.fcgid {
                match key {
                    "max" => rules.most = number(),
                    "min" => rules.least = number(),
                    "idle-timeout" => rules.idle_timeout = number(),
                    "life-time" => rules.life_time = number(),
                    "busy-timeout" => rules.busy_timeout = number(),
                    other => panic!("unknown setting {other}"),
                }
                continue;
            }
            match key {
                "processes" => spec.processes = value.parse().expect("a number"),
                "init-start-delay" => spec.init_start_delay = seconds(value),
                "restart-delay" => spec.restart_delay = seconds(value),
                "min-server-life" => spec.min_life = seconds(value),
                "kill-signal" => spec.own_signal = true,
                other => panic!("unknown setting {other}"),
            }
        }
        self.names.push(name.clone());
        self.specs.insert(name, spec);
    }

    /// Lets time pass, from deadline to deadline.
    fn until(&mut self, end: Time) {
        while let Some(next) = self.policy().next_deadline().filter(|next| *next <= end) {
            assert!(next >= self.now, "a deadline in the past");
            self.now = next;
            self.happen(Event::Tick);
            let later = self.policy().next_deadline();
            assert!(
                later.is_none_or(|later| later > next),
                "time stands still at {next:?}"
            );
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        for action in self.policy().on(now, event) {
            self.perform(&action);
        }
    }

    fn perform(&mut self, action: &Action) {
        let at = self.now.as_secs_f64();
        let mut say =
            |text: String| writeln!(self.out, "    {at} {text}").expect("a string");
        match action {
            Action::Warn(text) => say(format!("warn {text}")),
            Action::Say(text) => say(format!("say {text}")),
            Action::End(slot, why) => {
                let shown = self.shown(*slot);
                writeln!(self.out, "    {at} end {shown} {why:?}").expect("a string");
            }
            Action::Release(slot, why) => {
                let busy = if self.busy.contains(slot) { ", which is busy" } else { "" };
                let shown = self.shown(*slot);
                writeln!(self.out, "    {at} release {shown} {why:?}{busy}")
                    .expect("a string");
                if busy.is_empty() {
                    self.happen(Event::Released(*slot));
                }
            }
            Action::Start(slot, again) => {
                let shown = self.shown(*slot);
                let again = if *again { "re" } else { "" };
                let at = self.now.as_secs_f64();
                writeln!(self.out, "    {at} {again}start {shown}").expect("a string");
                let slot = *slot;
                self.happen(if self.stuck {
                    Event::Failed(slot)
                } else {
                    Event::Started(slot)
                });
            }
            Action::Signal(slot, step) => {
                let name = match step {
                    Step::Ask => "ask",
                    Step::Term => "TERM",
                    Step::Kill => "KILL",
                };
                let shown = self.shown(*slot);
                writeln!(self.out, "    {at} {name} {shown}").expect("a string");
            }
            Action::Retire(candidates) => {
                let idle =
                    candidates.iter().find(|slot| !self.busy.contains(slot)).copied();
                let shown =
                    idle.map_or("nobody: all are busy".to_owned(), |s| self.shown(s));
                writeln!(self.out, "    {at} retire {shown}").expect("a string");
                if let Some(slot) = idle {
                    self.happen(Event::Signaled(slot));
                }
            }
        }
    }

    fn event(&mut self, text: &str) {
        let mut words = text.split_whitespace();
        let verb = words.next().expect("an event");
        let object = words.next().unwrap_or_default();
        match verb {
            "added" => {
                let event = Event::Added(self.class(object), self.specs[object].clone());
                self.happen(event);
            }
            "removed" => self.happen(Event::Removed(self.class(object))),
            "asked" => self.happen(Event::Asked(self.class(object))),
            "slow" => self.happen(Event::Slow(self.class(object))),
            "finished" => {
                let busy = seconds(words.next().expect("seconds"));
                self.happen(Event::Finished(self.class(object), busy));
            }
            "exit" => {
                let success = words.next() == Some("0");
                let slot = self.slot(object);
                self.busy.remove(&slot);
                self.happen(Event::Ended(slot, success));
            }
            "busy" => {
                let slot = self.slot(object);
                self.busy.insert(slot);
                if self.of_fcgid(slot) {
                    self.happen(Event::Doing(slot, Doing::Busy(self.now)));
                }
            }
            "idle" => {
                let slot = self.slot(object);
                self.busy.remove(&slot);
                if self.of_fcgid(slot) {
                    self.happen(Event::Doing(slot, Doing::Idle(self.now)));
                }
            }
            "released" => self.happen(Event::Released(self.slot(object))),
            "stuck" => self.stuck = object != "off",
            "wait" => {}
            other => panic!("unknown event {other}"),
        }
    }

    fn run(mut self, text: &str) -> String {
        for line in text.lines().filter(|line| !line.starts_with("    ")) {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            match first.parse::<f64>() {
                Ok(_) => {
                    self.until(seconds(first));
                    writeln!(self.out, "{line}").expect("a string");
                    self.event(rest);
                    continue;
                }
                Err(_) if first == "config" => self.configure(rest),
                Err(_) if first == "class" => self.add(rest),
                Err(_) => assert!(first.is_empty() || first == "#", "what is {line:?}?"),
            }
            writeln!(self.out, "{line}").expect("a string");
        }
        self.out
    }
}

fn check(name: &str) {
    let path = format!("{}/testdata/policy/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("a timeline");
    let actual = Script::default().run(&text);
    expect_test::expect_file![path].assert_eq(&actual);
}

macro_rules! timelines {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        #[test]
        fn every_timeline_is_run() {
            let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/policy");
            let known = [$(stringify!($name)),*];
            for entry in std::fs::read_dir(directory).expect("testdata/policy") {
                let name = entry.expect("an entry").file_name();
                let name = name.to_string_lossy().replace(".txt", "");
                assert!(known.contains(&&*name), "{name} is not on the list");
            }
        }
    };
}

timelines! {
    first_starts restarts back_off recovery cannot_start on_demand scaling no_room
    load single_threshold busy_is_spared stubborn removed restart_option
    fcgid_starts fcgid_score fcgid_idle fcgid_busy
}
