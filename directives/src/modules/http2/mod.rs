//! mod_http2: HTTP/2 with clients. Its frames are hyper's; what stands here is what its
//! sessions are made with. Which protocols are spoken at all says the core's `Protocols`.

mod upgrade;

use std::time::Duration;

use crate::merge_options;
use crate::phase::{Phase, first};
use crate::schema::word::Unit;
use crate::schema::{Compat, Context, Directive, Module, Problem, Result, Set, Word};

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    /// `H2Upgrade`.
    pub upgrade: Option<bool>,
}

merge_options!(Dir { upgrade });

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    max_streams: Option<u32>,
    window: Option<u32>,
    stream_memory: Option<u32>,
    stream_timeout: Option<Duration>,
    max_errors: Option<u32>,
    direct: Option<bool>,
}

merge_options!(Server {
    max_streams,
    window,
    stream_memory,
    stream_timeout,
    max_errors,
    direct
});

impl Server {
    /// `H2MaxSessionStreams`: requests at a time on a connection.
    pub fn max_streams(&self) -> u32 {
        self.max_streams.unwrap_or(100)
    }

    /// `H2WindowSize`: how much of a body a client may send unasked, bytes.
    pub fn window(&self) -> u32 {
        self.window.unwrap_or(65_535)
    }

    /// `H2StreamMaxMemSize`: how much of an answer waits in memory, bytes.
    pub fn stream_memory(&self) -> u32 {
        self.stream_memory.unwrap_or(32 * 1024)
    }

    /// `H2StreamTimeout`: how long a client may take nothing of an answer that is there,
    /// unless it is `Timeout`; zero is for ever.
    pub fn stream_timeout(&self) -> Option<Duration> {
        self.stream_timeout
    }

    /// `H2MaxStreamErrors`: requests that a client may take back before they are answered,
    /// beyond as many as it had answered.
    pub fn max_errors(&self) -> u32 {
        self.max_errors.unwrap_or(100)
    }

    /// `H2Direct`: may a client begin with HTTP/2 without asking? Where h2c is spoken it
    /// may, unless told.
    pub fn is_direct(&self) -> bool {
        self.direct.unwrap_or(true)
    }
}

fn number(word: &Word, least: i64) -> Result<u32> {
    let number = word.integer().filter(|number| *number >= least);
    number.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
        let least = if least == 1 { "> 0".to_owned() } else { format!(">= {least}") };
        Problem::from(format!("value must be {least}")).at(word.span)
    })
}

static H2_MAX_SESSION_STREAMS: Directive = Directive {
    name: "H2MaxSessionStreams",
    syntax: "n",
    context: Context::SERVERS,
    default: "100",
    summary: "maximum number of open streams per session",
    docs: r"
How many requests may be under way on a connection at a time.

## Example
    H2MaxSessionStreams 250
",
    set: Set::One(|at, word| {
        at.server.http2().max_streams = Some(number(word, 1)?);
        Ok(())
    }),
    ..Directive::EXACT
};

static H2_WINDOW_SIZE: Directive = Directive {
    name: "H2WindowSize",
    syntax: "bytes",
    context: Context::SERVERS,
    default: "65535",
    summary: "window size on client DATA",
    docs: r"
How much of a request's body a client may send before somebody reads it.

## Example
    H2WindowSize 128000
",
    set: Set::One(|at, word| {
        let size = number(word, 1024)?;
        if size > i32::MAX as u32 {
            return Err(Problem::from("value must be below 2^31").at(word.span));
        }
        at.server.http2().window = Some(size);
        Ok(())
    }),
    ..Directive::EXACT
};

static H2_STREAM_MAX_MEM_SIZE: Directive = Directive {
    name: "H2StreamMaxMemSize",
    syntax: "bytes",
    context: Context::SERVERS,
    default: "32768",
    summary: "maximum number of bytes buffered in memory for a stream",
    docs: r"
How much of an answer waits in memory for the client to take it.

## Example
    H2StreamMaxMemSize 128000
",
    set: Set::One(|at, word| {
        at.server.http2().stream_memory = Some(number(word, 1024)?);
        Ok(())
    }),
    ..Directive::EXACT
};

static H2_STREAM_TIMEOUT: Directive = Directive {
    name: "H2StreamTimeout",
    syntax: "time-interval[s]",
    context: Context::CONFIG,
    summary: "set stream timeout",
    docs: r"
How long a client may take nothing of an answer that is there; then its request is taken
back. Without it, it is as long as `Timeout` says; 0 is for ever.

## Example
    H2StreamTimeout 30
",
    compat: Compat::Differs("it counts for a virtual host, wherever it stands"),
    set: Set::One(|at, word| {
        let time = word.duration(Unit::Seconds);
        let time =
            time.ok_or_else(|| Problem::from("Timeout has wrong format").at(word.span))?;
        at.server.http2().stream_timeout = Some(time);
        Ok(())
    }),
    ..Directive::EXACT
};

static H2_MAX_STREAM_ERRORS: Directive = Directive {
    name: "H2MaxStreamErrors",
    syntax: "n",
    context: Context::SERVERS,
    default: "100",
    summary: "maximum number of flow control errors tolerated",
    docs: r"
How many requests a client may take back before they are answered, beyond as many as it let
be answered; then its connection is closed.

## Example
    H2MaxStreamErrors 8
",
    compat: Compat::Differs("it counts requests that are taken back"),
    set: Set::One(|at, word| {
        at.server.http2().max_errors = Some(number(word, 0)?);
        Ok(())
    }),
    ..Directive::EXACT
};

static H2_DIRECT: Directive = Directive {
    name: "H2Direct",
    syntax: "on|off",
    context: Context::SERVERS,
    default: "on for h2c",
    summary: "on to enable direct HTTP/2 mode",
    docs: r"
May a client without TLS begin with HTTP/2, where `Protocols` names h2c?

## Example
    Protocols h2c http/1.1
    H2Direct off
",
    set: Set::Flag(|at, on| {
        at.server.http2().direct = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

static H2_UPGRADE: Directive = Directive {
    name: "H2Upgrade",
    syntax: "on|off",
    context: Context::CONFIG,
    summary: "on to allow HTTP/1 Upgrades to h2/h2c",
    default: "on",
    docs: r"
May a client without TLS that began with HTTP/1.1 change to HTTP/2, where `Protocols` names
h2c? It asks with `Upgrade: h2c` and `HTTP2-Settings` in a request without a body; what
answers the request then is HTTP/2 (`curl --http2 http://...`). That is decided where a
handler would be called: what access control refuses is answered with HTTP/1.1. Further
requests may follow on the connection; the original closes it. Where the settings are not
well-formed the answer is HTTP/1.1, and the connection goes on; the original changes protocols
first and closes it then. With TLS there is no such change: HTTP/2 is chosen in the handshake.

That it could be asked for is not told to clients that do not ask (the original's own
`Upgrade: h2c` in answers): front ends that pass that on confuse browsers with it.

## Example
    Protocols h2c http/1.1
    <Location /upload>
        H2Upgrade off
    </Location>
",
    compat: Compat::Differs("clients that do not ask are not told that they could"),
    set: Set::Flag(|at, on| {
        at.dir.http2().upgrade = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

static H2_MODERN_TLS_ONLY: Directive = Directive {
    name: "H2ModernTLSOnly",
    syntax: "on|off",
    context: Context::SERVERS,
    default: "on",
    summary: "off to not impose RFC 7540 restrictions on TLS",
    docs: r"
Accepted without effect: there is no TLS here that HTTP/2 would not allow.

## Example
    H2ModernTLSOnly on
",
    compat: Compat::Ignored("there is no TLS here that HTTP/2 would not allow"),
    set: Set::Flag(|_, _| Ok(())),
    ..Directive::EXACT
};

static H2_MAX_DATA_FRAME_LEN: Directive = Directive {
    name: "H2MaxDataFrameLen",
    syntax: "bytes",
    context: Context::SERVERS,
    default: "0",
    summary: "maximum number of bytes in a single HTTP/2 DATA frame",
    docs: r"
Accepted without effect: frames are as long as the client takes them, 16 KiB unless it asks
for longer ones.

## Example
    H2MaxDataFrameLen 16384
",
    compat: Compat::Ignored("frames are as long as the client takes them"),
    set: Set::One(|_, word| number(word, 0).map(|_| ())),
    ..Directive::EXACT
};

static H2_MAX_HEADER_BLOCK_LEN: Directive = Directive {
    name: "H2MaxHeaderBlockLen",
    syntax: "bytes",
    context: Context::SERVERS,
    default: "0",
    summary: "maximum number of bytes in a response header block",
    docs: r"
Accepted without effect: fields of an answer are sent whatever their length.

## Example
    H2MaxHeaderBlockLen 65536
",
    compat: Compat::Ignored("fields of an answer are sent whatever their length"),
    set: Set::One(|_, word| number(word, 0).map(|_| ())),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_http2.c",
    id: "http2_module",
    directives: &[
        &H2_DIRECT,
        &H2_MAX_SESSION_STREAMS,
        &H2_WINDOW_SIZE,
        &H2_STREAM_MAX_MEM_SIZE,
        &H2_STREAM_TIMEOUT,
        &H2_MAX_STREAM_ERRORS,
        &H2_MAX_DATA_FRAME_LEN,
        &H2_MAX_HEADER_BLOCK_LEN,
        &H2_MODERN_TLS_ONLY,
        &H2_UPGRADE,
    ],
    hooks: &[first(Phase::Handle, upgrade::answer)],
};
