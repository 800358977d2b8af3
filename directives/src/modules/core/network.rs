//! `Listen`, time-outs, keeping connections.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Server;
use crate::compile::Scope;
use crate::schema::word::Unit;
use crate::schema::{Context, Directive, Problem, Result, Set, Word};
use crate::syntax::Span;

/// A `Listen` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; `None` for all, by IPv6 where the machine has it.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// `https` or another protocol; `http` if none was named and the port is not 443.
    pub protocol: String,
    /// Where it stands.
    pub span: Span,
}

impl Listen {
    /// The address as it is shown.
    pub fn shown(&self) -> String {
        match self.ip {
            Some(ip) => SocketAddr::new(ip, self.port).to_string(),
            None => format!("*:{}", self.port),
        }
    }
}

impl Server {
    /// How long a connection may be silent while a request is read or an answer sent.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_mins(1))
    }

    /// How long a kept connection may be idle.
    pub fn keep_alive_timeout(&self) -> Duration {
        self.keep_alive_timeout.unwrap_or(Duration::from_secs(5))
    }

    /// Requests after the first one of a connection; `None` is no limit.
    pub fn max_keep_alive_requests(&self) -> Option<u32> {
        Some(self.max_keep_alive_requests.unwrap_or(100)).filter(|&max| max > 0)
    }
}

pub static LISTEN: Directive = Directive {
    name: "Listen",
    syntax: "[IP-address:]portnumber [protocol]",
    context: Context::SERVER,
    summary: "A port number or a numeric IP address and a port number, and an optional protocol",
    docs: r"
Where the server waits for clients. Without an address it is every address of the
machine.

## Example
    Listen 127.0.0.1:8080
    Listen [::1]:8443 https
",
    set: Set::Words(|at, words| match words {
        [word] => listen(at, word, None),
        [word, protocol] => listen(at, word, Some(protocol)),
        _ => Err("Listen requires 1 or 2 arguments.".into()),
    }),
    ..Directive::EXACT
};

pub(crate) fn listen(at: &mut Scope, word: &Word, protocol: Option<&Word>) -> Result {
    let text = word.lossy();
    let invalid = || Problem::from("Invalid address or port").at(word.span);
    let portless = || Problem::from("Port must be specified").at(word.span);
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(invalid)?;
        (Some(host), rest.strip_prefix(':').unwrap_or(""))
    } else {
        match text.rsplit_once(':') {
            Some((host, port)) => (Some(host), port),
            None if text.bytes().all(|b| b.is_ascii_digit()) => (None, text.as_str()),
            None => return Err(portless()),
        }
    };
    // What does not end in digits has no port.
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(portless());
    }
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(invalid)?;
    let ip = match host {
        None | Some("*") => None,
        Some("") => return Err(invalid()),
        Some(host) => match host.parse::<IpAddr>() {
            Ok(ip) => Some(ip),
            Err(_) => {
                let found = at.files().resolve(host);
                let help = format!("no address was found for the name {host}");
                let failed =
                    || Problem::from("Listen setup failed").at(word.span).help(help);
                Some(found.first().copied().ok_or_else(failed)?)
            }
        },
    };
    let protocol = match protocol {
        Some(word) => word.lossy().to_ascii_lowercase(),
        None if port == 443 => "https".to_owned(),
        None => "http".to_owned(),
    };
    let span = word.span;
    at.process().core.listen.push(Listen { ip, port, protocol, span });
    Ok(())
}

pub static LISTEN_BACKLOG: Directive = Directive {
    name: "ListenBacklog",
    syntax: "backlog",
    context: Context::SERVER,
    default: "511",
    summary: "Maximum length of the queue of pending connections, as used by listen(2)",
    docs: r"
How many connections may wait to be accepted.

## Example
    ListenBackLog 1024
",
    set: Set::One(|at, word| {
        match word.integer() {
            Some(number) if number >= 1 => at.process().core.backlog = number as u32,
            _ => return Err(Problem::from("ListenBacklog must be > 0").at(word.span)),
        }
        Ok(())
    }),
    ..Directive::EXACT
};

pub static TIMEOUT: Directive = Directive {
    name: "Timeout",
    syntax: "seconds",
    context: Context::SERVERS,
    default: "60",
    summary: "Timeout duration (sec)",
    docs: r"
How long a client may be silent while its request is read or the answer is sent.

## Example
    Timeout 120
",
    set: Set::One(|at, word| {
        let message = "Timeout has wrong format";
        let time = word.duration(Unit::Seconds);
        let time = time.ok_or_else(|| Problem::from(message).at(word.span))?;
        at.server.core().timeout = Some(time);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static KEEP_ALIVE: Directive = Directive {
    name: "KeepAlive",
    syntax: "On|Off",
    context: Context::SERVERS,
    default: "On",
    summary: "Whether persistent connections should be On or Off",
    docs: r"
May a connection carry more than one request?

## Example
    KeepAlive Off
",
    set: Set::Flag(|at, on| {
        at.server.core().keep_alive = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static KEEP_ALIVE_TIMEOUT: Directive = Directive {
    name: "KeepAliveTimeout",
    syntax: "num[ms]",
    context: Context::SERVERS,
    default: "5",
    summary: "Keep-Alive timeout duration (sec)",
    docs: r"
How long a connection waits for its next request.

## Example
    KeepAliveTimeout 500ms
",
    set: Set::One(|at, word| {
        let message = "KeepAliveTimeout has wrong format";
        let time = word.duration(Unit::Seconds);
        let time = time.ok_or_else(|| Problem::from(message).at(word.span))?;
        at.server.core().keep_alive_timeout = Some(time);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static MAX_KEEP_ALIVE_REQUESTS: Directive = Directive {
    name: "MaxKeepAliveRequests",
    syntax: "number",
    context: Context::SERVERS,
    default: "100",
    summary: "Maximum number of Keep-Alive requests per connection, or 0 for infinite",
    docs: r"
How many further requests a connection may carry after its first one.

## Example
    MaxKeepAliveRequests 500
",
    set: Set::One(|at, word| {
        at.server.core().max_keep_alive_requests = Some(word.atoi().max(0) as u32);
        Ok(())
    }),
    ..Directive::EXACT
};
