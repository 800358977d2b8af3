//! mod_reqtimeout: how long a client may take to send a request. The server keeps the
//! time; what is allowed is said here.

use std::time::Duration;

use crate::merge_options;
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Problem, Set};
use crate::snapshot::Snapshot;

/// The identifier by which `LoadModule` brings httpd's defaults.
const ID: &str = "reqtimeout_module";

/// The time for one stage of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// At first; never zero.
    timeout: Duration,
    /// In all, however much comes.
    most: Option<Duration>,
    /// So many bytes are worth a second more.
    min_rate: Option<u32>,
}

impl Stage {
    /// The time that a client has which has sent so many bytes.
    pub fn allows(&self, bytes: u64) -> Duration {
        let more = self.min_rate.map_or(0, |rate| bytes / u64::from(rate));
        let all = self.timeout.saturating_add(Duration::from_secs(more));
        self.most.map_or(all, |most| all.min(most))
    }
}

/// Settings of a section: none.
pub type Dir = ();

/// Settings of a server; the inner `None` is no limit.
#[derive(Debug, Default)]
pub struct Server {
    handshake: Option<Option<Stage>>,
    header: Option<Option<Stage>>,
    body: Option<Option<Stage>>,
}

merge_options!(Server { handshake, header, body });

/// What holds where the module was loaded, and nothing said.
const HEADER: Stage = Stage {
    timeout: Duration::from_secs(20),
    most: Some(Duration::from_secs(40)),
    min_rate: Some(500),
};
const BODY: Stage =
    Stage { timeout: Duration::from_secs(20), most: None, min_rate: Some(500) };

impl Server {
    /// The time for the head of a request; `None` is no limit of its own.
    pub fn header(&self, snapshot: &Snapshot) -> Option<Stage> {
        self.header.unwrap_or_else(|| snapshot.names_module(ID).then_some(HEADER))
    }

    /// The time for TLS's handshake; `None` is no limit of its own.
    pub fn handshake(&self) -> Option<Stage> {
        self.handshake.flatten()
    }
}

/// The time for a request's body; `None` is no limit of its own.
pub fn body(r: &Request) -> Option<Stage> {
    let set = r.server.config.reqtimeout.body;
    set.unwrap_or_else(|| r.snapshot.names_module(ID).then_some(BODY))
}

static REQUEST_READ_TIMEOUT: Directive = Directive {
    name: "RequestReadTimeout",
    syntax: "[handshake=timeout[-maxtimeout][,MinRate=rate]] \
             [header=timeout[-maxtimeout][,MinRate=rate]] \
             [body=timeout[-maxtimeout][,MinRate=rate]]",
    context: Context::SERVERS,
    summary: "Set various timeout parameters for TLS handshake and/or reading request headers \
              and body",
    docs: r"
How long a client may take, in seconds, for TLS's handshake, for the head of a request and
for its body. With `MinRate` each so many bytes are worth a second more, up to the second
number if there is one. 0 is no limit but that of `Timeout`. A client that takes longer gets
a 408, or nothing if it has not sent a whole request line.

Where the module is loaded and this is not said, `header=20-40,MinRate=500
body=20,MinRate=500` holds. While the server or an application keeps a client waiting, its
time does not run.

## Example
    RequestReadTimeout header=20-40,MinRate=500 body=20,MinRate=500
",
    set: Set::Words(|at, words| {
        for word in words {
            let shown = word.lossy();
            let Some((key, value)) = shown.split_once('=') else {
                let message = "Invalid RequestReadTimeout parameter. Parameter must be in the \
                               form 'key=value'";
                return Err(Problem::from(message).at(word.span));
            };
            let fail = |why: String| {
                let message = format!("RequestReadTimeout: {key}={value}: {why}");
                Problem::from(message).at(word.span)
            };
            let config = at.server.reqtimeout();
            let place = match key.to_ascii_lowercase().as_str() {
                "handshake" => &mut config.handshake,
                "header" => &mut config.header,
                "body" => &mut config.body,
                _ => return Err(fail("Unknown RequestReadTimeout parameter".to_owned())),
            };
            *place = Some(stage(value).map_err(fail)?);
        }
        Ok(())
    }),
    ..Directive::EXACT
};

/// `set_reqtimeout_param`.
fn stage(value: &str) -> Result<Option<Stage>, String> {
    let lower = value.to_ascii_lowercase();
    let (times, rate) = match lower.find(",minrate=") {
        Some(at) => (&value[..at], Some(&value[at + ",minrate=".len()..])),
        None => (value, None),
    };
    let Some(rate) = rate else {
        if times.contains('-') {
            return Err("Must set MinRate option if using timeout range".to_owned());
        }
        let timeout = number(times)?;
        return Ok(stage_of(timeout, 0, None));
    };
    let rate = number(rate)?;
    if rate == 0 {
        return Err("Minimum data rate must be larger than 0".to_owned());
    }
    let (first, most) = match times.split_once('-') {
        Some((first, most)) => {
            let most = number(most)?;
            (number(first)?, most)
        }
        None => (number(times)?, 0),
    };
    if most != 0 && first >= most {
        return Err("Maximum timeout must be larger than initial timeout".to_owned());
    }
    Ok(stage_of(first, most, Some(rate)))
}

fn stage_of(timeout: u32, most: u32, min_rate: Option<u32>) -> Option<Stage> {
    let seconds = |n: u32| Duration::from_secs(n.into());
    let most = (most != 0).then(|| seconds(most));
    (timeout != 0).then(|| Stage { timeout: seconds(timeout), most, min_rate })
}

fn number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 {
        return Err(format!("Value '{text}' not numerical"));
    }
    if end < digits.len() {
        return Err(format!("Cannot parse '{}'", &digits[end..]));
    }
    if text.starts_with('-') {
        return Err("Value must be non-negative".to_owned());
    }
    digits.parse().map_err(|_| format!("Value '{text}' is too large"))
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_reqtimeout.c",
    id: ID,
    directives: &[&REQUEST_READ_TIMEOUT],
    hooks: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_worth_time() {
        let stage = stage("20-40,MinRate=500").unwrap().unwrap();
        let seconds = |bytes| stage.allows(bytes).as_secs();
        assert_eq!(
            (seconds(0), seconds(499), seconds(1000), seconds(1 << 20)),
            (20, 20, 22, 40)
        );
        assert_eq!(super::stage("0"), Ok(None));
        assert!(
            super::stage("10-20").is_err() && super::stage("20-10,minrate=1").is_err()
        );
    }
}
