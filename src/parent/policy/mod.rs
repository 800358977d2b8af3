//! Which processes to start or stop: a state machine without a clock. Time comes in with
//! every event, actions go out; who performs them is not this file's business. Section 9
//! of the specification, as mended by.

mod fcgid;
mod load;
mod shown;
mod starts;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod timelines;

use std::collections::BTreeMap;
use std::time::Duration;

use directives::modules::fastcgi::app;
use directives::modules::fcgid::{Limits, Rules};

pub use fcgid::{Doing, Why};

/// Time since the parent began.
pub type Time = Duration;

/// Names a class of processes: one application under one identity, in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassId(pub u32);

/// One place for a process in a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// The class.
    pub class: ClassId,
    /// Its place there, from 0.
    pub index: u32,
}

/// What a class is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// For messages: the application's path.
    pub name: String,
    /// Started by requests.
    pub dynamic: bool,
    /// Of mod_fcgid: by its rules.
    pub fcgid: Option<Rules>,
    /// Instances that are kept running; of dynamic classes, the most there may be.
    pub processes: u32,
    /// Between first starts.
    pub init_start_delay: Duration,
    /// Between a start and the next one, of an instance that ended.
    pub restart_delay: Duration,
    /// How long an instance has to live to be trusted.
    pub min_life: Duration,
    /// It has a signal of its own for ending, other than TERM.
    pub own_signal: bool,
}

impl Spec {
    /// The words for messages.
    pub fn shown(&self) -> String {
        let dynamic = if self.dynamic { "(dynamic) " } else { "" };
        format!("{dynamic}server \"{}\"", self.name)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// There is a class now. Instances of a static one are wanted at once.
    Added(ClassId, Spec),
    /// There is a class no more: its processes are to end.
    Removed(ClassId),
    /// A request waits, and the class has no process.
    Asked(ClassId),
    /// A request waits for its first byte: another instance may help.
    Slow(ClassId),
    /// Requests were answered; together they kept processes busy for so long.
    Finished(ClassId, Duration),
    /// A process was started.
    Started(Slot),
    /// A process could not be made.
    Failed(Slot),
    /// A process ended: with success, or otherwise.
    Ended(Slot, bool),
    /// Of the candidates of [`Action::Retire`] this one was told to end.
    Signaled(Slot),
    /// The server says what a process of mod_fcgid's is doing.
    Doing(Slot, Doing),
    /// The server sends no further request to a process of mod_fcgid's.
    Released(Slot),
    /// Time went by.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process; the flag says that the slot has had one before.
    Start(Slot, bool),
    /// Tell the first of these that is not busy to end ([`Step::Ask`]).
    Retire(Vec<Slot>),
    /// Tell a process to end.
    Signal(Slot, Step),
    /// Have the server give a process of mod_fcgid's up, and tell it with [`Event::Released`].
    Release(Slot, Why),
    /// Tell a process of mod_fcgid's to end, whatever it is doing.
    End(Slot, Why),
    /// Write a warning into the log.
    Warn(String),
    /// Write a line of mod_fcgid's into the log.
    Say(String),
}

/// The ways to tell a process to end, each with a [`GRACE`] after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// With its own signal, which is TERM if it has none.
    Ask,
    /// With TERM, if its own is another one.
    Term,
    /// With KILL.
    Kill,
}

/// Failures after which an application is left alone for a while.
const ATTEMPTS: u32 = 3;
/// For how long.
pub const BACK_OFF: Duration = Duration::from_mins(10);
/// How long a process may take to end before it is told again, or ended.
pub const GRACE: Duration = Duration::from_secs(10);
/// A process that cannot be made is not tried again sooner (P-10).
const MAKE_AGAIN: Duration = Duration::from_secs(10);
/// Superfluous processes are not looked for more often, however little room there is.
const THIN_AGAIN: Duration = Duration::from_secs(1);

/// A slot's process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Process {
    /// None, and none is wanted.
    #[default]
    None,
    /// One is to be started then.
    Due(Time),
    /// One is being started.
    Starting,
    /// It has run since then.
    Running(Time),
    /// It was told to end; after that time comes the next step, if there is one.
    Dying(Step, Option<Time>),
}

#[derive(Clone, Debug, Default)]
struct Place {
    process: Process,
    /// It has had a process before.
    used: bool,
    /// When its last process was started.
    started: Time,
    /// What a process of mod_fcgid's is doing; `None` for nothing yet.
    doing: Option<Doing>,
    /// The server is to give it up.
    asked: bool,
}

impl Place {
    /// Is there a process, or will there be one at once?
    fn is_there(&self) -> bool {
        matches!(
            self.process,
            Process::Starting | Process::Running(_) | Process::Dying(..)
        )
    }
}

#[derive(Clone, Debug)]
struct Class {
    spec: Spec,
    places: Vec<Place>,
    last_start: Option<Time>,
    /// Deaths that were failures, since the last process that lived long enough.
    failures: u32,
    /// Starts wait for [`BACK_OFF`].
    backed_off: bool,
    /// It is there no more; it is forgotten when its last process has ended.
    removed: bool,
    /// A request waits, and there was no room for a process.
    wanted: bool,
    /// Since when it is there.
    since: Time,
    /// Busy time since the last sample.
    busy: Duration,
    /// Busy processes on average, smoothed.
    load: Option<f64>,
    /// Of mod_fcgid.
    fcgid: Option<fcgid::Score>,
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Policy {
    classes: BTreeMap<ClassId, Class>,
    dynamic: app::Policy,
    limits: Limits,
    /// When idle and busy processes of mod_fcgid's were last looked at.
    idle_scanned: Option<Time>,
    busy_scanned: Option<Time>,
    /// Since when load is sampled, while there are dynamic processes.
    sampled: Option<Time>,
    /// When superfluous processes were last looked for.
    thinned: Time,
    actions: Vec<Action>,
}

impl Policy {
    /// No classes yet; `dynamic` is `FastCgiConfig`.
    pub fn new(dynamic: app::Policy) -> Policy {
        Policy {
            classes: BTreeMap::new(),
            dynamic,
            limits: Limits::default(),
            idle_scanned: None,
            busy_scanned: None,
            sampled: None,
            thinned: Time::ZERO,
            actions: Vec::new(),
        }
    }

    /// Another `FastCgiConfig`. Classes keep their places.
    pub fn configure(&mut self, dynamic: app::Policy) {
        self.dynamic = dynamic;
    }

    /// Takes an event, and says what to do.
    pub fn on(&mut self, now: Time, event: Event) -> Vec<Action> {
        match event {
            Event::Added(id, spec) => self.added(now, id, spec),
            Event::Removed(id) => self.removed(now, id),
            Event::Asked(id) => self.asked(now, id),
            Event::Slow(id) => self.slow(now, id),
            Event::Finished(id, busy) => {
                if let Some(class) = self.classes.get_mut(&id) {
                    class.busy += busy;
                }
            }
            Event::Started(slot) => self.started(now, slot),
            Event::Failed(slot) => self.failed(now, slot),
            Event::Ended(slot, success) => self.ended(now, slot, success),
            Event::Signaled(slot) => {
                if let Some(place) = self.place(slot) {
                    place.process = Process::Dying(Step::Ask, Some(now + GRACE));
                }
            }
            Event::Tick => {}
            other => other.of_fcgid(self, now),
        }
        self.recover(now);
        self.sample(now);
        self.scan(now);
        self.thin_out(now);
        self.start_due(now);
        self.insist(now);
        std::mem::take(&mut self.actions)
    }

    /// When the next event is due even if nothing happens.
    pub fn next_deadline(&self) -> Option<Time> {
        let places = self.classes.values().flat_map(|class| {
            class.places.iter().filter_map(|place| match place.process {
                Process::Due(at) => Some(at),
                Process::Dying(_, at) => at,
                // A class that failed is watched until it has lived long enough.
                Process::Running(since) if class.failures > 0 => {
                    Some(since + class.spec.min_life)
                }
                _ => None,
            })
        });
        let kill = Duration::from_secs(self.dynamic.kill_interval.into());
        let update = Duration::from_secs(self.dynamic.update_interval.into());
        let thinning =
            self.sampled.map(|since| (since + update).min(self.thinned + kill));
        places.chain(thinning).chain(self.next_scan()).min()
    }

    /// The class has no process, and none is on its way: the next request has to ask.
    pub fn is_asleep(&self, id: ClassId) -> bool {
        self.classes.get(&id).is_some_and(|class| class.alive() == 0 && !class.wanted)
    }

    /// The class has no process, and is left alone because it does not stay alive.
    pub fn is_given_up(&self, id: ClassId) -> bool {
        self.classes.get(&id).is_some_and(|class| {
            let due = |place: &Place| matches!(place.process, Process::Due(_));
            let quiet = |place: &Place| place.process == Process::None || due(place);
            class.backed_off
                && class.places.iter().any(due)
                && class.places.iter().all(quiet)
        })
    }

    /// Processes of all classes that run, are being started or are ending.
    #[cfg(test)]
    fn processes(&self) -> usize {
        let places = self.classes.values().flat_map(|class| &class.places);
        places
            .filter(|place| !matches!(place.process, Process::None | Process::Due(_)))
            .count()
    }

    fn place(&mut self, slot: Slot) -> Option<&mut Place> {
        self.classes.get_mut(&slot.class)?.places.get_mut(slot.index as usize)
    }

    fn warn(&mut self, text: String) {
        self.actions.push(Action::Warn(text));
    }

    /// Takes the next step with what was told to end and did not.
    fn insist(&mut self, now: Time) {
        for (id, class) in &mut self.classes {
            for (index, place) in class.places.iter_mut().enumerate() {
                let Process::Dying(step, Some(at)) = place.process else { continue };
                if at > now {
                    continue;
                }
                let (next, until) = match step {
                    Step::Ask if class.spec.own_signal => (Step::Term, Some(now + GRACE)),
                    _ => (Step::Kill, None),
                };
                place.process = Process::Dying(next, until);
                let slot = Slot { class: *id, index: index as u32 };
                self.actions.push(Action::Signal(slot, next));
            }
        }
    }

    /// Dynamic processes that there are or will be at once.
    fn total_dynamic(&self) -> u32 {
        let dynamic = self.classes.values().filter(|class| class.spec.dynamic);
        dynamic.map(Class::alive).sum()
    }
}

impl Class {
    /// Processes that there are or will be at once.
    fn alive(&self) -> u32 {
        self.places.iter().filter(|place| place.process != Process::None).count() as u32
    }

    /// Processes that serve.
    fn serving(&self) -> u32 {
        let serving = |place: &&Place| {
            matches!(place.process, Process::Running(_) | Process::Starting)
        };
        self.places.iter().filter(serving).count() as u32
    }
}
