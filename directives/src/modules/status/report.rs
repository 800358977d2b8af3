//! What there is to report: facts, not yet words.

use bytes::Bytes;

use crate::modules::fastcgi::{Address, Kind};

/// The server and its applications at one moment. Times are microseconds, moments are
/// those since 1970, and counts go up from when the serving process began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// When it was made.
    pub now: i64,
    /// When the serving process began.
    pub started: i64,
    /// Local time's distance from UTC, seconds.
    pub utc_offset: i32,
    /// Local time's name.
    pub zone: String,
    /// When the program was made, as `-v` says it.
    pub built: String,
    /// The serving process.
    pub pid: u32,
    /// Which configuration is served; the first one is 1.
    pub generation: u64,
    /// Load averages of the machine, if it has them.
    pub load: Option<[f64; 3]>,
    /// What the serving process has used of the processors, seconds: user and system.
    pub cpu: [f64; 2],
    /// How many requests more would find room at once.
    pub spare: u32,
    /// The serving threads.
    pub threads: Vec<Thread>,
    /// How the totals grew lately, the oldest first.
    pub history: Vec<Sample>,
    /// The process manager has answered: what it knows of applications is in here.
    pub managed: bool,
    /// The applications.
    pub apps: Vec<App>,
    /// The auth-phase gateway, where it is configured.
    pub gateway: Option<Gateway>,
}

/// The auth-phase gateway's counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// Decisions about callers' requests: by dialect
    /// ([`Dialect::ALL`](crate::modules::gateway::Dialect::ALL)) and outcome
    /// ([`OUTCOMES`](crate::modules::gateway::OUTCOMES)).
    pub decisions: [[u64; 4]; 4],
    /// Questions to authorizers that were answered from what is kept.
    pub hits: u64,
    /// Those that were looked for in vain.
    pub misses: u64,
    /// Answers that are kept now.
    pub kept: u64,
    /// Answers that went before their time to make room.
    pub evicted: u64,
}

/// Seconds between two samples of a history.
pub const SAMPLE_TIME: u32 = 5;
/// How many samples are kept: ten minutes, and where they begin.
pub const SAMPLES: usize = 121;
/// Upper ends of the classes in which waiting times are counted, microseconds; what waits
/// longer than the last is one class more.
pub const WAITS: [u64; 9] =
    [1_000, 5_000, 20_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 30_000_000];

/// Totals at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Requests answered.
    pub accesses: u64,
    /// Bytes sent for them, heads included.
    pub bytes: u64,
}

/// A serving thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// Requests answered.
    pub accesses: u64,
    /// Bytes sent for them, heads included.
    pub bytes: u64,
    /// How long they took, all together.
    pub duration: u64,
    /// Its connections; empty if it did not answer in time.
    pub connections: Vec<Connection>,
}

/// A client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// What it is doing.
    pub state: State,
    /// The client's address.
    pub client: String,
    /// The virtual host of the latest request, with its port.
    pub host: String,
    /// One end of the latest request's line.
    pub request: Vec<u8>,
    /// `http/1.1` and the like; empty before the first request.
    pub protocol: &'static str,
    /// Requests read from it.
    pub accesses: u32,
    /// Bytes sent on it.
    pub bytes: u64,
    /// How long ago the latest request began.
    pub since: u64,
    /// How long it took; `None` while it is being answered.
    pub took: Option<u64>,
}

/// What a connection is doing: httpd's letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has sent nothing yet.
    Waiting,
    /// A request is being read.
    Reading,
    /// A request is being answered.
    Writing,
    /// It is kept for the next request.
    KeepAlive,
    /// It is being closed.
    Closing,
}

/// A FastCGI application.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// Its path.
    pub path: Bytes,
    /// Who starts it.
    pub kind: Kind,
    /// Where it listens.
    pub address: Address,
    /// User and group under which it runs, where we know.
    pub owner: Option<(String, String)>,
    /// The configuration has it no more; its last requests are being finished.
    pub is_old: bool,
    /// Requests that were begun.
    pub requests: u64,
    /// Requests that are with it now.
    pub active: u32,
    /// Of those, the ones without a first byte.
    pub waiting: u32,
    /// Requests that failed.
    pub failures: u64,
    /// How long requests waited for the first byte, all together.
    pub waited: u64,
    /// How many waited how long: the classes of [`WAITS`].
    pub waits: [u64; WAITS.len() + 1],
    /// How its requests grew lately, the oldest first.
    pub history: Vec<u64>,
    /// What the process manager says; `None` for external ones, for dynamic ones before
    /// their first start, and if it did not answer.
    pub class: Option<Class>,
}

/// An application's processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// It has a socket that requests can connect to.
    pub listens: bool,
    /// It did not stay alive, and is left alone for a while.
    pub given_up: bool,
    /// Processes started so far.
    pub starts: u64,
    /// Of those, the ones that took another's place.
    pub restarts: u64,
    /// How the last process that ended did so, and when.
    pub last_exit: Option<(String, i64)>,
    /// The processes.
    pub processes: Vec<Process>,
}

/// A process of an application, or its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number, once it is started.
    pub pid: Option<u32>,
    /// What it is doing.
    pub state: ProcessState,
    /// How long it has been running; for [`ProcessState::Due`] how long it will take until
    /// it is started.
    pub age: u64,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It is going to be started.
    Due,
    /// It is running.
    Running,
    /// It belongs to a version that was replaced, and finishes what it has begun.
    Finishing,
    /// It was told to end.
    Ending,
}

/// What was asked for of `server-status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The server's name.
    pub server: String,
    /// The address that the client reached it by.
    pub address: String,
    /// `ExtendedStatus`.
    pub extended: bool,
    /// Connections in a table, not as text (`notable`).
    pub table: bool,
    /// Seconds until the page is to be asked for again.
    pub refresh: Option<u32>,
}

impl Report {
    /// Totals of all threads: requests, bytes, microseconds.
    pub fn totals(&self) -> (u64, u64, u64) {
        self.threads.iter().fold((0, 0, 0), |(accesses, bytes, duration), thread| {
            (accesses + thread.accesses, bytes + thread.bytes, duration + thread.duration)
        })
    }

    /// All connections.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.threads.iter().flat_map(|thread| &thread.connections)
    }

    /// How many connections are doing this.
    pub fn count(&self, state: State) -> usize {
        self.connections().filter(|connection| connection.state == state).count()
    }

    /// Requests that are being read or answered.
    pub fn busy(&self) -> usize {
        self.count(State::Reading) + self.count(State::Writing)
    }

    /// How long the serving process has lived, seconds.
    pub fn uptime(&self) -> u64 {
        u64::try_from((self.now - self.started) / 1_000_000).unwrap_or(0)
    }
}

impl State {
    /// Its letter in the scoreboard.
    pub fn letter(self) -> char {
        match self {
            State::Waiting => '_',
            State::Reading => 'R',
            State::Writing => 'W',
            State::KeepAlive => 'K',
            State::Closing => 'C',
        }
    }
}

impl App {
    /// How long a request waited for its first byte on average, microseconds; `None`
    /// before the first one has come.
    pub fn mean_wait(&self) -> Option<u64> {
        let counted: u64 = self.waits.iter().sum();
        self.waited.checked_div(counted)
    }

    /// Its processes.
    pub fn processes(&self) -> &[Process] {
        self.class.as_ref().map_or(&[], |class| &class.processes)
    }

    /// Its processes that run.
    pub fn running(&self) -> usize {
        let running = |process: &&Process| process.state == ProcessState::Running;
        self.processes().iter().filter(running).count()
    }
}

/// How fast a count grew between its last samples, each second; the oldest first.
pub fn rates(counts: impl IntoIterator<Item = u64>) -> Vec<f64> {
    let counts: Vec<u64> = counts.into_iter().collect();
    let step =
        |pair: &[u64]| pair[1].saturating_sub(pair[0]) as f64 / f64::from(SAMPLE_TIME);
    counts.windows(2).map(step).collect()
}
