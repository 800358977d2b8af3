//! The options of `FastCgiServer`, `FastCgiExternalServer` and `FastCgiConfig`: one table,
//! of which each directive takes the part that is meant for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;

use super::app::{Policy, Settings, TERM};
use crate::bundle::Files;
use crate::schema::option::{Arg, Opt, Value};

/// Static applications.
pub const STATIC: u8 = 1;
/// External applications.
pub const EXTERNAL: u8 = 2;
/// Dynamic applications.
pub const DYNAMIC: u8 = 4;

/// What the options of one directive fill.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// Of an application.
    pub settings: Settings,
    /// Of all dynamic applications.
    pub policy: Policy,
}

/// Signals that tell a process to end, with their numbers.
const SIGNALS: [(&str, u32); 7] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", TERM),
    ("WINCH", 28),
];

/// How many `-initial-env` there may be.
const MAX_INITIAL_ENV: usize = 64;

macro_rules! opts {
    ($($name:literal $(= $alias:literal)?, $on:expr, $arg:expr, $default:literal, $docs:literal, $set:expr;)*) => {
        /// The table.
        pub static OPTIONS: &[Opt<Draft>] = &[$(Opt {
            name: $name,
            alias: opts!(@alias $($alias)?),
            on: $on,
            arg: $arg,
            default: $default,
            docs: $docs,
            set: $set,
        }),*];
    };
    (@alias) => { "" };
    (@alias $alias:literal) => { $alias };
}

const S: u8 = STATIC;
const E: u8 = EXTERNAL;
const D: u8 = DYNAMIC;

opts! {
    "-processes", S, Arg::Uint(1), "1",
        "Instances that are kept running.",
        |d, v| Ok(d.settings.processes = v.number());
    "-init-start-delay", S | D, Arg::Int(0), "1",
        "Seconds between the first starts of instances.",
        |d, v| Ok(d.settings.init_start_delay = v.number());
    "-restart-delay", S | D, Arg::Uint(0), "5",
        "Seconds between the application's last start and the restart of an instance that ended.",
        |d, v| Ok(d.settings.restart_delay = v.number());
    "-min-server-life", S | D, Arg::Uint(0), "30",
        "Seconds that an instance has to live; after three that did not, restarts wait 600 s.",
        |d, v| Ok(d.settings.min_server_life = v.number());
    "-priority", S, Arg::Uint(0), "0",
        "Added to the nice value of each instance.",
        |d, v| Ok(d.settings.priority = v.number());
    "-listen-queue-depth", S | D, Arg::Uint(1), "100",
        "Connections that may wait at the application's socket.",
        |d, v| Ok(d.settings.listen_queue_depth = v.number());
    "-appConnTimeout", S | E | D, Arg::Uint(0), "0",
        "Seconds to wait for a connection; 0 waits as long as it takes.",
        |d, v| Ok(d.settings.app_conn_timeout = v.number());
    "-idle-timeout", S | E | D, Arg::Uint(1), "30",
        "Seconds of silence from the application before the request is given up.",
        |d, v| Ok(d.settings.idle_timeout = v.number());
    "-port", S, Arg::Port, "",
        "TCP port at which the application listens, on the loopback address.",
        |d, v| Ok(d.settings.port = Some(v.port()));
    "-listen-all", S, Arg::Flag, "",
        "The port of `-port` is open at all addresses, as it was with the original.",
        |d, _| Ok(d.settings.listen_all = true);
    "-socket", S | E, Arg::Text, "",
        "Unix socket; a relative name is below `FastCgiIpcDir`.",
        |d, v| Ok(d.settings.socket = Some(v.bytes()));
    "-host", E, Arg::HostPort, "",
        "TCP address, `name:port`, `1.2.3.4:port` or `[IPv6]:port`.",
        |d, v| Ok(d.settings.host = Some((v.text(), v.addresses())));
    "-initial-env", S | D, Arg::Env, "",
        "`NAME=value` in the application's environment, which holds nothing else; `NAME` copies \
         the server's variable. May be repeated.",
        |d, v| {
            if d.settings.initial_env.len() >= MAX_INITIAL_ENV {
                return Err("too many variables, must be <= MAX_INIT_ENV_VARS".to_owned());
            }
            d.settings.initial_env.push(v.pair());
            Ok(())
        };
    "-pass-header", S | E | D, Arg::Text, "",
        "Request header field that the application gets although it would not, such as \
         Authorization. May be repeated.",
        |d, v| Ok(d.settings.pass_headers.push(v.bytes()));
    "-flush", S | E | D, Arg::Flag, "",
        "Output goes to the client as it comes.",
        |d, _| Ok(d.settings.flush = true);
    "-no-keep-conn", S | E | D, Arg::Flag, "",
        "Each request gets a connection of its own, as with mod_fastcgi. Without it, connections \
         are used again as long as nobody waits for the application.",
        |d, _| Ok(d.settings.keep_conn = false);
    "-queue-timeout", S | E | D, Arg::Uint(0), "0",
        "Seconds that a request may wait until the application can take it; then it is answered \
         503 with Retry-After. 0 waits as mod_fastcgi did, in the application's listen queue, as \
         long as `-appConnTimeout` and `-idle-timeout` allow. Otherwise requests wait in the \
         server, and what has been sent is under `-idle-timeout` alone. Not with `-no-keep-conn` \
         or `-nph`.",
        |d, v| Ok(d.settings.queue_timeout = v.number());
    "-queue-length", S | E | D, Arg::Uint(0), "",
        "Requests that may wait in the server until the application can take them; one more is \
         answered 503 with Retry-After at once. Without it there is no limit. Not with `-no-keep-conn` or `-nph`.",
        |d, v| Ok(d.settings.queue_length = Some(v.number()));
    "-nph", S | E, Arg::Flag, "",
        "Output is the complete HTTP response and is passed on as it is.",
        |d, _| Ok(d.settings.nph = true);
    "-kill-signal", S | D, Arg::Signal, "TERM",
        "How an instance is told to end: HUP, INT, QUIT, TERM, USR1, USR2 or WINCH. TERM follows \
         if it does not, then KILL.",
        |d, v| Ok(d.settings.kill_signal = v.number());
    "-user", S | E, Arg::Text, "",
        "User for the wrapper.",
        |d, v| Ok(d.settings.user = Some(v.text()));
    "-group", S | E, Arg::Text, "",
        "Group for the wrapper.",
        |d, v| Ok(d.settings.group = Some(v.text()));
    "-maxProcesses", D, Arg::Uint(1), "50",
        "Most instances of all dynamic applications together.",
        |d, v| Ok(d.policy.max_processes = v.number());
    "-minProcesses", D, Arg::Int(0), "5",
        "Instances that are not ended for want of work.",
        |d, v| Ok(d.policy.min_processes = v.number());
    "-maxClassProcesses", D, Arg::Int(1), "10",
        "Most instances of one application.",
        |d, v| Ok(d.policy.max_class_processes = v.number());
    "-killInterval", D, Arg::Uint(1), "300",
        "Seconds between decisions which instances to end.",
        |d, v| Ok(d.policy.kill_interval = v.number());
    "-updateInterval", D, Arg::Uint(1), "300",
        "Seconds over which load is measured.",
        |d, v| Ok(d.policy.update_interval = v.number());
    "-gainValue", D, Arg::Float(0.0, 1.0), "0.5",
        "Weight of the newest measurement.",
        |d, v| Ok(d.policy.gain = v.float());
    "-singleThreshold" = "-singleThreshhold", D, Arg::Int(0), "0",
        "Load in percent below which the last instance of an application may be ended; 0 keeps it.",
        |d, v| Ok(d.policy.single_threshold = v.number());
    "-multiThreshold" = "-multiThreshhold", D, Arg::Int(0), "50",
        "Load in percent below which one of several instances is ended.",
        |d, v| Ok(d.policy.multi_threshold = v.number());
    "-startDelay", D, Arg::Uint(1), "3",
        "Seconds that a request waits for a first byte before another instance is started.",
        |d, v| Ok(d.policy.start_delay = v.number());
    "-processSlack", D, Arg::Uint(1), "5",
        "Instances below `-maxProcesses` from which on superfluous ones are ended at once.",
        |d, v| Ok(d.policy.process_slack = v.number());
    "-restart", D, Arg::Flag, "",
        "An instance that ends is started again at once.",
        |d, _| Ok(d.policy.restart = true);
    "-autoUpdate", D, Arg::Flag, "",
        "Instances are replaced when their program was changed.",
        |d, _| Ok(d.policy.auto_update = true);
}

/// Reads the value of an option; the error is the `<err>` of C-13.
pub fn value(arg: Arg, word: &Bytes, files: &dyn Files) -> Result<Value, String> {
    let text = String::from_utf8_lossy(word).into_owned();
    if text.is_empty() && arg != Arg::Flag {
        return Err("\"\"".to_owned());
    }
    match arg {
        Arg::Flag => Ok(Value::Flag),
        Arg::Uint(min) => {
            let junk = || format!("\"{text}\" must be a positive integer");
            let number: u32 = text.trim_start().parse().map_err(|_| junk())?;
            if number < min {
                Err(format!("\"{number}\" must be >= {min}"))
            } else {
                Ok(Value::Number(number))
            }
        }
        Arg::Int(min) => {
            let number: i32 = text
                .trim_start()
                .parse()
                .map_err(|_| format!("can't parse \"{text}\""))?;
            match u32::try_from(number) {
                Ok(value) if value >= min => Ok(Value::Number(value)),
                _ => Err(format!("\"{number}\" must be >= {min}")),
            }
        }
        Arg::Port => {
            let junk = || format!("\"{text}\" must be a positive integer");
            let number: i64 = text.trim_start().parse().map_err(|_| junk())?;
            match u16::try_from(number) {
                Ok(port) if port > 0 => Ok(Value::Port(port)),
                _ => Err(format!("\"{number}\" must be >= 1 and < 65535")),
            }
        }
        Arg::Float(min, max) => {
            let junk = || format!("\"{text}\" is not a floating point number");
            let number: f64 = text.trim_start().parse().map_err(|_| junk())?;
            if number < min || number > max || number.is_nan() {
                return Err(format!(
                    "\"{number:.6}\" is not between {min:.6} and {max:.6}"
                ));
            }
            Ok(Value::Float(number))
        }
        Arg::Text => Ok(Value::Text(word.clone())),
        Arg::Env => match word.iter().position(|&b| b == b'=') {
            Some(split) => Ok(Value::Pair(word.slice(..split), word.slice(split + 1..))),
            None => {
                let value = files.env(word).unwrap_or_default();
                Ok(Value::Pair(word.clone(), value.into()))
            }
        },
        Arg::HostPort => host_port(&text, files),
        Arg::Signal => {
            let name = text.to_ascii_uppercase();
            let name = name.strip_prefix("SIG").unwrap_or(&name);
            let found = SIGNALS.iter().find(|(known, _)| *known == name);
            let unknown = || format!("\"{text}\" is not a signal for ending a process");
            found.map(|(_, number)| Value::Number(*number)).ok_or_else(unknown)
        }
    }
}

/// `name:port`; IPv6 in brackets. The port is checked before it is narrowed.
fn host_port(text: &str, files: &dyn Files) -> Result<Value, String> {
    let missing = || "missing port specification".to_owned();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(missing)?;
            (host, rest.strip_prefix(':').ok_or_else(missing)?)
        }
        None => text.split_once(':').ok_or_else(missing)?,
    };
    let bad = || format!("bad port number \"{port}\"");
    let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(bad)?;
    let ips = match host.parse::<IpAddr>().ok().or_else(|| old_address(host)) {
        Some(ip) => vec![ip],
        None if host.is_empty() => Vec::new(),
        None => {
            let mut found = files.resolve(host);
            // The original knew IPv4 only: what it would have used comes first.
            found.sort_by_key(IpAddr::is_ipv6);
            found
        }
    };
    let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    Ok(Value::Host(text.to_owned(), addresses))
}

/// The forms of `inet_addr` with fewer than four parts: `127.1`.
fn old_address(text: &str) -> Option<IpAddr> {
    let parts: Vec<u32> =
        text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let mut ip: u32 = 0;
    for (i, part) in first.iter().enumerate() {
        ip |= part << (24 - 8 * i);
    }
    let room = 32 - 8 * first.len() as u32;
    if room < 32 && *last >= 1 << room {
        return None;
    }
    Some(IpAddr::V4(Ipv4Addr::from(ip | last)))
}
