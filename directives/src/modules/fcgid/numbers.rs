//! The directives that are numbers. Longer than its subject: a page for each.

use super::class::{Limits, Rules};
use crate::compile::Scope;
use crate::merge_options;
use crate::schema::{Compat, Context, Directive, Problem, Result, Set, Word};

/// `FcgidMaxRequestLen` without the directive, bytes.
pub const MAX_REQUEST_LENGTH: u64 = 131_072;
/// `FcgidIOTimeout` without the directive, seconds.
const IO_TIMEOUT_DEFAULT: u32 = 40;
/// `FcgidConnectTimeout` without the directive, seconds.
const CONNECT_TIMEOUT_DEFAULT: u32 = 3;

/// What a server, or `FcgidCmdOptions`, says in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// `FcgidMaxRequestLen`, bytes.
    pub max_request_length: Option<u64>,
    /// `FcgidIOTimeout`, seconds.
    pub io_timeout: Option<u32>,
    /// `FcgidConnectTimeout`, seconds.
    pub connect_timeout: Option<u32>,
    /// `FcgidIdleTimeout`, seconds.
    pub idle_timeout: Option<u32>,
    /// `FcgidBusyTimeout`, seconds.
    pub busy_timeout: Option<u32>,
    /// `FcgidProcessLifeTime`, seconds.
    pub life_time: Option<u32>,
    /// `FcgidMaxRequestsPerProcess`.
    pub max_requests: Option<u64>,
    /// `FcgidMaxProcessesPerClass`.
    pub most: Option<u32>,
    /// `FcgidMinProcessesPerClass`.
    pub least: Option<u32>,
}

merge_options!(Numbers {
    max_request_length,
    io_timeout,
    connect_timeout,
    idle_timeout,
    busy_timeout,
    life_time,
    max_requests,
    most,
    least,
});

impl Numbers {
    /// How long an application may be silent, seconds.
    pub fn io_timeout(&self) -> u32 {
        self.io_timeout.unwrap_or(IO_TIMEOUT_DEFAULT)
    }

    /// How long a connection may take, seconds.
    pub fn connect_timeout(&self) -> u32 {
        self.connect_timeout.unwrap_or(CONNECT_TIMEOUT_DEFAULT)
    }

    /// The rules of a class.
    pub fn rules(&self) -> Rules {
        let rules = Rules::default();
        Rules {
            most: self.most.unwrap_or(rules.most),
            least: self.least.unwrap_or(rules.least),
            idle_timeout: self.idle_timeout.unwrap_or(rules.idle_timeout),
            life_time: self.life_time.unwrap_or(rules.life_time),
            busy_timeout: self.busy_timeout.unwrap_or(rules.busy_timeout),
            max_requests: self.max_requests.unwrap_or(rules.max_requests),
        }
    }
}

/// What C's `atol` makes of a word; less than nothing is nothing.
pub(super) fn number(word: &Word) -> u32 {
    u32::try_from(word.atoi().max(0)).unwrap_or(u32::MAX)
}

/// A score, which may be less than nothing.
fn score(word: &Word) -> i32 {
    word.atoi().clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// Seconds without which the application could not be waited for at all.
pub(super) fn positive(name: &str, word: &Word) -> Result<u32> {
    match number(word) {
        0 => Err(Problem::from(format!("{name} must be greater than 0")).at(word.span)),
        seconds => Ok(seconds),
    }
}

macro_rules! numbers {
    ($($id:ident: $name:literal $(= $old:literal)?, $context:expr, $syntax:literal, $default:literal, $summary:literal, $docs:expr, $compat:expr, $set:expr;)*) => {$(
        pub static $id: Directive = Directive {
            name: $name,
            aliases: &[$($old)?],
            syntax: $syntax,
            context: $context,
            default: $default,
            summary: $summary,
            docs: concat!("\n", $docs, "\n\n## Example\n    ", $name, " ", $default, "\n"),
            compat: $compat,
            set: Set::One($set),
            ..Directive::EXACT
        };
    )*};
}

fn own<'a>(at: &'a mut Scope<'_, '_>) -> &'a mut Numbers {
    &mut at.server.fcgid().numbers
}

fn limits<'a>(at: &'a mut Scope<'_, '_>) -> &'a mut Limits {
    &mut at.build.process.fcgid.limits
}

const HOSTS: Context = Context::SERVERS;
const GLOBAL: Context = Context::SERVER;
const SAME: Compat = Compat::Exact;

numbers! {
    MAX_REQUEST_LEN: "FcgidMaxRequestLen" = "MaxRequestLen", HOSTS, "bytes", "131072",
        "Max HTTP request length in byte",
        "The longest body that a request to a `fcgid-script` may have; a longer one is answered \
         500, as mod_fcgid does. The default is mod_fcgid's since 2.3.6 and small for uploads: programs behind \
         `fastcgi-script` have no such limit.",
        SAME,
        |at, word| {
            let digits = !word.bytes.is_empty() && word.bytes.iter().all(u8::is_ascii_digit);
            let length = word.lossy().parse().ok().filter(|_| digits);
            let why = "FcgidMaxRequestLen requires a non-negative integer.";
            own(at).max_request_length =
                Some(length.ok_or_else(|| Problem::from(why).at(word.span))?);
            Ok(())
        };
    MAX_REQUEST_IN_MEM: "FcgidMaxRequestInMem" = "MaxRequestInMem", HOSTS, "bytes", "65536",
        "The memory that a request's body may use",
        "How much of a request's body is kept in memory before a file is used.",
        Compat::Ignored("a body is kept in memory up to 64 KiB, and in a file beyond that"),
        |_, _| Ok(());
    OUTPUT_BUFFER_SIZE: "FcgidOutputBufferSize" = "OutputBufferSize", HOSTS, "bytes", "65536",
        "CGI output buffer size",
        "How much of an answer is gathered before it goes to the client.",
        Compat::Ignored("an answer goes to the client as the connection takes it"),
        |_, _| Ok(());
    IO_TIMEOUT: "FcgidIOTimeout" = "IPCCommTimeout", HOSTS, "seconds", "40",
        "Communication timeout to fastcgi server",
        "How long an application may take no byte of a request, or say no byte of its answer. \
         Before the answer's head is complete the client gets 500; the process is ended.",
        SAME,
        |at, word| Ok(own(at).io_timeout = Some(positive("FcgidIOTimeout", word)?));
    CONNECT_TIMEOUT: "FcgidConnectTimeout" = "IPCConnectTimeout", HOSTS, "seconds", "3",
        "Connect timeout to fastcgi server",
        "How long a connection to a process may take. mod_fcgid looks at it on Windows only.",
        Compat::Differs("it counts on Unix, too"),
        |at, word| Ok(own(at).connect_timeout = Some(number(word)));
    IDLE_TIMEOUT: "FcgidIdleTimeout" = "IdleTimeout", HOSTS, "seconds", "300",
        "An idle fastcgi application will be killed after IdleTimeout",
        "A process that has had no request for so long is ended, as long as \
         `FcgidMinProcessesPerClass` others are left; it is looked at every \
         `FcgidIdleScanInterval`. 0 lets it stay.",
        SAME,
        |at, word| Ok(own(at).idle_timeout = Some(number(word)));
    BUSY_TIMEOUT: "FcgidBusyTimeout" = "BusyTimeout", HOSTS, "seconds", "300",
        "a fastcgi application will be killed after handling a request for BusyTimeout",
        "A process that has worked on one request for so long is ended; it is looked at every \
         `FcgidBusyScanInterval`. 0 lets it work.",
        Compat::Differs("0 switches the check off, in place of ending everything at work"),
        |at, word| Ok(own(at).busy_timeout = Some(number(word)));
    PROCESS_LIFE_TIME: "FcgidProcessLifeTime" = "ProcessLifeTime", HOSTS, "seconds", "3600",
        "fastcgi application lifetime",
        "A process as old as this is ended when it has no request, as long as \
         `FcgidMinProcessesPerClass` others are left. 0 lets it stay.",
        SAME,
        |at, word| Ok(own(at).life_time = Some(number(word)));
    MAX_REQUESTS_PER_PROCESS: "FcgidMaxRequestsPerProcess" = "MaxRequestsPerProcess", HOSTS,
        "value", "0",
        "Max requests handled by each fastcgi application",
        "A process is ended when it has answered so many requests; 0 and -1 for any number. For \
         php-cgi it has to be at most its own PHP_FCGI_MAX_REQUESTS.",
        SAME,
        |at, word| Ok(own(at).max_requests = Some(number(word).into()));
    MAX_PROCESSES_PER_CLASS: "FcgidMaxProcessesPerClass" = "DefaultMaxClassProcessCount", HOSTS,
        "value", "100",
        "Max process count of one class of fastcgi application",
        "The most processes of one command on one server. A request that finds all of them busy \
         waits for its turn; after 64 seconds it is answered 503.",
        SAME,
        |at, word| Ok(own(at).most = Some(number(word)));
    MIN_PROCESSES_PER_CLASS: "FcgidMinProcessesPerClass" = "DefaultMinClassProcessCount", HOSTS,
        "value", "3",
        "Min process count of one class of fastcgi application",
        "So many processes of a class are not ended for their age or for want of work. They are \
         not started before requests want them.",
        Compat::Differs(
            "one look at the idle processes never takes a class below this; mod_fcgid's could",
        ),
        |at, word| Ok(own(at).least = Some(number(word)));
    MAX_PROCESSES: "FcgidMaxProcesses" = "MaxProcessCount", GLOBAL, "value", "1000",
        "Max total process count",
        "The most processes of all classes together.",
        SAME,
        |at, word| Ok(limits(at).processes = number(word));
    IDLE_SCAN_INTERVAL: "FcgidIdleScanInterval" = "IdleScanInterval", GLOBAL, "seconds", "120",
        "scan interval for idle timeout process",
        "How often it is looked which processes have been idle for `FcgidIdleTimeout` or are \
         older than `FcgidProcessLifeTime`.",
        SAME,
        |at, word| Ok(limits(at).idle_scan = number(word));
    BUSY_SCAN_INTERVAL: "FcgidBusyScanInterval" = "BusyScanInterval", GLOBAL, "seconds", "120",
        "scan interval for busy timeout process",
        "How often it is looked which processes are beyond `FcgidBusyTimeout`.",
        SAME,
        |at, word| Ok(limits(at).busy_scan = number(word));
    ERROR_SCAN_INTERVAL: "FcgidErrorScanInterval" = "ErrorScanInterval", GLOBAL, "seconds", "3",
        "scan interval for exited process",
        "How long a process that was told to end with SIGTERM may take; then it gets SIGKILL.",
        Compat::Differs("SIGTERM comes at once, not with the next scan"),
        |at, word| Ok(limits(at).error_scan = number(word));
    ZOMBIE_SCAN_INTERVAL: "FcgidZombieScanInterval" = "ZombieScanInterval", GLOBAL, "seconds",
        "3",
        "scan interval for zombiz process",
        "How often it is looked which processes have ended by themselves.",
        Compat::Ignored("the server hears at once of a process that ends"),
        |_, _| Ok(());
    SPAWN_SCORE: "FcgidSpawnScore" = "SpawnScore", GLOBAL, "value", "1",
        "Score of spawn",
        "What each start of a process adds to its class's score; see `FcgidSpawnScoreUpLimit`.",
        SAME,
        |at, word| Ok(limits(at).spawn_score = score(word));
    SPAWN_SCORE_UP_LIMIT: "FcgidSpawnScoreUpLimit" = "SpawnScoreUpLimit", GLOBAL, "value", "10",
        "Spawn score up limit",
        "No further process of a class is started while its score is not below this. Starts add \
         `FcgidSpawnScore`, ends `FcgidTerminationScore`, and each second takes \
         `FcgidTimeScore` away. Requests wait meanwhile.",
        SAME,
        |at, word| Ok(limits(at).score_limit = score(word));
    TERMINATION_SCORE: "FcgidTerminationScore" = "TerminationScore", GLOBAL, "value", "2",
        "Score of termination",
        "What each end of a process adds to its class's score; see `FcgidSpawnScoreUpLimit`. It \
         may be negative.",
        SAME,
        |at, word| Ok(limits(at).termination_score = score(word));
    TIME_SCORE: "FcgidTimeScore" = "TimeScore", GLOBAL, "value", "1",
        "Score of passage of time (in seconds)",
        "What each second takes away from a class's score; see `FcgidSpawnScoreUpLimit`.",
        SAME,
        |at, word| Ok(limits(at).time_score = score(word));
}
