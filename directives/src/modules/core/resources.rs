//! `RLimitCPU`, `RLimitMEM`, `RLimitNPROC`: what a CGI script may use up.

use crate::schema::{Compat, Context, Directive, Override, Problem, Result, Set, Word};

/// A limit; see `setrlimit(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The soft limit; `None` for as much as the hard one allows.
    pub soft: Option<u64>,
    /// The hard limit; `None` for the one that the server has.
    pub hard: Option<u64>,
}

/// The limits of a section; `None` for those that the server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `RLimitCPU`, seconds of a process.
    pub cpu: Option<Limit>,
    /// `RLimitMEM`, bytes of a process's address space.
    pub memory: Option<Limit>,
    /// `RLimitNPROC`, processes of a user.
    pub processes: Option<Limit>,
}

impl Limits {
    /// Those of an inner section over those of an outer one.
    pub(super) fn merge(outer: Limits, inner: Limits) -> Limits {
        Limits {
            cpu: inner.cpu.or(outer.cpu),
            memory: inner.memory.or(outer.memory),
            processes: inner.processes.or(outer.processes),
        }
    }
}

/// `ap_unixd_set_rlimit`. What httpd takes for no limit without a word is an error here.
fn limit(soft: &Word, hard: Option<&Word>, name: &str) -> Result<Limit> {
    let number = |word: &Word| match word.integer() {
        _ if word.is("max") => Ok(None),
        Some(number) if number > 0 => Ok(Some(number as u64)),
        _ => {
            let message = format!("{name} takes numbers above 0, or max");
            Err(Problem::from(message).at(word.span))
        }
    };
    let limit = Limit { soft: number(soft)?, hard: hard.map_or(Ok(None), number)? };
    match (limit.soft, limit.hard, hard) {
        (Some(low), Some(high), Some(word)) if low > high => {
            let message = format!("{name}: the hard limit is below the soft one");
            Err(Problem::from(message).at(word.span))
        }
        _ => Ok(limit),
    }
}

const DIFFERS: Compat = Compat::Differs(
    "what is neither a number nor max is an error; httpd takes it for no limit",
);

macro_rules! limits {
    ($($id:ident: $name:literal, $field:ident, $unit:literal, $example:literal, $summary:literal, $docs:literal;)*) => {
        $(pub static $id: Directive = Directive {
            name: $name,
            syntax: concat!($unit, "|max [", $unit, "|max]"),
            context: Context::ANYWHERE,
            overrides: Override::ALL,
            summary: $summary,
            docs: concat!(
                "\n", $docs, " The first word is the soft limit, the second the hard one; `max` is \
                 the limit that the server itself has.\n\nIt is for CGI scripts, also those of \
                 pages with includes, and for suexec and the scripts behind it. FastCGI \
                 applications do not get it, as they do not from mod_fastcgi: they live on from \
                 request to request, and are started by the parent. Limit those where they are \
                 started: by `ulimit` in a script that executes the application, or with systemd's \
                 `LimitCPU=` and its like for all.\n\n## Example\n    <Directory \
                 /usr/lib/cgi-bin>\n        ", $name, " ", $example, "\n    </Directory>\n"
            ),
            compat: DIFFERS,
            set: Set::OneOrTwo(|at, soft, hard| {
                at.dir.core().rlimits.$field = Some(limit(soft, hard, $name)?);
                Ok(())
            }),
            ..Directive::EXACT
        };)*
    };
}

limits! {
    RLIMIT_CPU: "RLimitCPU", cpu, "seconds", "30 60",
        "Soft/hard limits for max CPU usage in seconds",
        "How many seconds of the processor a process may use.";
    RLIMIT_MEM: "RLimitMEM", memory, "bytes", "268435456",
        "Soft/hard limits for max memory usage per process",
        "How much memory, as address space, a process may have.";
    RLIMIT_NPROC: "RLimitNPROC", processes, "number", "50 100",
        "soft/hard limits for max number of processes per uid",
        "How many processes the user may have, all of his counted, when a process starts another.";
}
