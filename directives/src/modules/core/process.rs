//! The process: identity, files, banner.

use std::time::Duration;

use crate::bundle::Who;
use crate::schema::word::Unit;
use crate::schema::{Compat, Context, Directive, Problem, Result, Set, Word};
use crate::version::Tokens;

/// `#number`, or the number that a name stands for.
fn number(word: &Word, kind: &str, find: impl Fn(&str) -> Option<u32>) -> Result<u32> {
    let text = word.lossy();
    if let Some(digits) = text.strip_prefix('#') {
        let message = format!("bad {kind} name {text}");
        return digits.parse().map_err(|_| Problem::from(message).at(word.span));
    }
    find(&text)
        .ok_or_else(|| Problem::from(format!("bad {kind} name {text}")).at(word.span))
}

pub static USER: Directive = Directive {
    name: "User",
    syntax: "unix-userid",
    context: Context::SERVER,
    default: "#-1",
    summary: "Effective user id for this server",
    docs: r"
Under whose name the serving process and the applications run when the server is started
by root: a name, or `#` and a number.

## Example
    User nobody
",
    compat: Compat::Differs(
        "the process that starts applications keeps root's rights; it never reads from the \
         network",
    ),
    set: Set::One(|at, word| {
        let files = at.files();
        let uid = number(word, "user", |name| {
            files.user(Who::Name(name)).map(|user| user.uid)
        })?;
        if uid == 0 {
            let message = "Error:\tApache has not been designed to serve pages while\n\trunning \
                           as root.";
            return Err(Problem::from(message).at(word.span));
        }
        let account = files.user(Who::Id(uid));
        let name =
            account.as_ref().map_or_else(|| word.lossy(), |user| user.name.clone());
        let core = &mut at.process().core;
        if core.user.as_ref().is_none_or(|(_, old)| *old != uid) {
            core.identity_changes += 1;
        }
        core.user_gid = account.map(|user| user.gid);
        core.user = Some((name, uid));
        Ok(())
    }),
    ..Directive::EXACT
};

pub static GROUP: Directive = Directive {
    name: "Group",
    syntax: "unix-group",
    context: Context::SERVER,
    default: "#-1",
    summary: "Effective group id for this server",
    docs: r"
The group of the serving process and of applications: a name, or `#` and a number.

## Example
    Group nogroup
",
    set: Set::One(|at, word| {
        let files = at.files();
        let find = |name: &str| files.group(Who::Name(name)).map(|group| group.gid);
        let gid = number(word, "group", find)?;
        let core = &mut at.process().core;
        if core.group.as_ref().is_none_or(|(_, old)| *old != gid) {
            core.identity_changes += 1;
        }
        core.group = Some((word.lossy(), gid));
        Ok(())
    }),
    ..Directive::EXACT
};

pub static PID_FILE: Directive = Directive {
    name: "PidFile",
    syntax: "filename",
    context: Context::SERVER,
    default: "logs/httpd.pid",
    summary: "A file for logging the server process ID",
    docs: r"
Where the number of the parent process is written: the one that takes signals.

## Example
    PidFile logs/httpd.pid
",
    set: Set::One(|at, word| {
        let path = at.server_relative(&word.bytes);
        let message = format!("Invalid PID file path {}", word.lossy());
        let path = path.ok_or_else(|| Problem::from(message).at(word.span))?;
        at.process().core.pid_file = Some(path.into());
        Ok(())
    }),
    ..Directive::EXACT
};

pub static SERVER_TOKENS: Directive = Directive {
    name: "ServerTokens",
    syntax: "Major|Minor|Min[imal]|Prod[uctOnly]|OS|Full",
    context: Context::SERVER,
    default: "Full",
    summary: "Determine tokens displayed in the Server: header - Min(imal), Major, Minor, \
              Prod(uctOnly), OS, or Full",
    docs: r"
How much the `Server` field and SERVER_SOFTWARE tell. This server's name is followed by
`Apache` and the version that it is compatible with: applications look for that word.

## Example
    ServerTokens Prod
",
    compat: Compat::Differs("our own name and version stand before Apache's"),
    set: Set::One(|at, word| {
        let tokens = match word.lossy().to_ascii_lowercase().as_str() {
            "os" => Tokens::Os,
            "min" | "minimal" => Tokens::Minimal,
            "major" => Tokens::Major,
            "minor" => Tokens::Minor,
            "prod" | "productonly" => Tokens::Prod,
            "full" => Tokens::Full,
            _ => {
                let message = "ServerTokens takes 1 argument: 'Prod(uctOnly)', 'Major', 'Minor', \
                               'Min(imal)', 'OS', or 'Full'";
                return Err(Problem::from(message).at(word.span));
            }
        };
        at.process().core.server_tokens = tokens;
        Ok(())
    }),
    ..Directive::EXACT
};

pub static GRACEFUL_SHUTDOWN_TIMEOUT: Directive = Directive {
    name: "GracefulShutdownTimeout",
    syntax: "seconds",
    context: Context::SERVER,
    default: "0",
    summary: "Maximum time in seconds to wait for child processes to complete transactions during \
              shutdown",
    docs: r"
How long a graceful stop waits for requests that are being answered; 0 is no limit.

## Example
    GracefulShutdownTimeout 30
",
    set: Set::One(|at, word| {
        let time = word.duration(Unit::Seconds).unwrap_or(Duration::ZERO);
        at.process().core.graceful_shutdown_timeout = time;
        Ok(())
    }),
    ..Directive::EXACT
};

pub static GRACEFUL_SHUTDOWN_DELAY: Directive = Directive {
    name: "GracefulShutdownDelay",
    syntax: "seconds",
    context: Context::SERVER,
    default: "0",
    summary: "Time in seconds for which the server goes on serving when it was told to end",
    docs: r"
Behind a load balancer or a front end it takes a while until everybody knows that this server
is about to end. For so long after TERM or WINCH it goes on accepting connections; each answer
ends its connection, and readiness is denied. Then the listening sockets are closed and the
requests under way are finished, as without it. A second TERM ends at once.

## Example
    GracefulShutdownDelay 5
",
    compat: Compat::Differs("httpd does not have it"),
    set: Set::One(|at, word| {
        let Some(delay) = word.duration(Unit::Seconds) else {
            let message = "GracefulShutdownDelay must be a time, in seconds";
            return Err(Problem::from(message).at(word.span));
        };
        at.process().core.graceful_shutdown_delay = delay;
        Ok(())
    }),
    ..Directive::EXACT
};

pub static MUTEX: Directive = Directive {
    name: "Mutex",
    syntax: "mechanism [default|mutex-name] ... [OmitPID]",
    context: Context::SERVER,
    summary: "mutex (or \"default\") and mechanism",
    docs: r"
Accepted without effect: there are no mutexes between processes.

## Example
    Mutex file:logs default
",
    compat: Compat::Ignored("there are no mutexes between processes"),
    set: Set::Words(|_, _| Ok(())),
    ..Directive::EXACT
};

pub static EXTENDED_STATUS: Directive = Directive {
    name: "ExtendedStatus",
    syntax: "On|Off",
    context: Context::SERVER,
    default: "On",
    summary: "\"On\" to track extended status information, \"Off\" to disable",
    docs: r"
Whether `server-status` shows totals, and for each connection its client and the beginning
of its request line. Numbers are counted all the same; request lines are not kept when it
is off.

## Example
    ExtendedStatus Off
",
    set: Set::Flag(|at, on| {
        at.process().core.extended_status = on;
        Ok(())
    }),
    ..Directive::EXACT
};

pub static SEE_REQUEST_TAIL: Directive = Directive {
    name: "SeeRequestTail",
    syntax: "On|Off",
    context: Context::SERVER,
    default: "Off",
    summary: "For extended status, \"On\" to see the last 63 chars of the request line, \"Off\" \
              (default) to see the first 63",
    docs: r"
Which end of a long request line `server-status` shows.

## Example
    SeeRequestTail On
",
    set: Set::Flag(|at, on| {
        at.process().core.see_request_tail = on;
        Ok(())
    }),
    ..Directive::EXACT
};
