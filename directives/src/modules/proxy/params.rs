//! What `key=value` behind the URL of an upstream or of a balancer says:
//! `set_worker_param`, `set_balancer_param`.

use std::time::Duration;

use bytes::Bytes;

use crate::schema::word::{Unit, Word};

/// Settings of one upstream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    /// `timeout`: of reading and writing.
    pub timeout: Option<Duration>,
    /// `connectiontimeout`.
    pub connect: Option<Duration>,
    /// `retry`: how long an upstream that failed is left alone.
    pub retry: Option<Duration>,
    /// `acquire`: how long a request waits for its turn where `max` is reached.
    pub acquire: Option<Duration>,
    /// `ttl`: how long a connection is kept without a request.
    pub ttl: Option<Duration>,
    /// `ping`: how long `100 Continue` is waited for.
    pub ping: Option<Duration>,
    /// `max`: the most connections at the same time.
    pub max: Option<u32>,
    /// `enablereuse` or, turned round, `disablereuse`.
    pub reuse: Option<bool>,
    /// `flushpackets`: everything is passed on as it comes.
    pub flush: Option<bool>,
    /// `upgrade`: the protocol that may be changed to; `*` is any.
    pub upgrade: Option<Bytes>,
    /// `responsefieldsize`, bytes.
    pub field_size: Option<usize>,
    /// `loadfactor`, in hundredths.
    pub load_factor: Option<u32>,
    /// `lbset`.
    pub set: u32,
    /// `route`.
    pub route: Bytes,
    /// `redirect`.
    pub redirect: Bytes,
    /// `status`.
    pub status: Status,
}

/// `status`: what may be done with a balancer's member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `D`: gets nothing.
    pub disabled: bool,
    /// `S`: gets nothing.
    pub stopped: bool,
    /// `I`: errors change nothing.
    pub ignores_errors: bool,
    /// `H`: gets something when nobody else can.
    pub standby: bool,
    /// `R`: stands in for a member of its set that cannot.
    pub spare: bool,
    /// `E`: begins as one that failed.
    pub error: bool,
    /// `N`: only requests with its route.
    pub drain: bool,
}

/// What a parameter comes to: nothing to say, or what it does not do here.
pub type Outcome = Result<Option<&'static str>, String>;

fn flag(value: &Word, message: &str) -> Result<bool, String> {
    value.flag().ok_or_else(|| message.to_owned())
}

fn time(
    value: &Word,
    unit: Unit,
    format: &str,
    least: &str,
) -> Result<Option<Duration>, String> {
    let time = value.duration(unit).ok_or_else(|| format.to_owned())?;
    if time < Duration::from_millis(1) {
        return Err(least.to_owned());
    }
    Ok(Some(time))
}

fn number(value: &Word, least: i64, message: &str) -> Result<u32, String> {
    u32::try_from(value.atoi())
        .ok()
        .filter(|n| i64::from(*n) >= least)
        .ok_or_else(|| message.to_owned())
}

impl Params {
    /// Sets one of them.
    pub fn set(&mut self, key: &str, value: &Word) -> Outcome {
        let one_milli = "must be at least one millisecond";
        match key.to_ascii_lowercase().as_str() {
            "loadfactor" => {
                let factor: f64 = value.lossy().trim().parse().unwrap_or(0.0);
                if !(1.0..=100.0).contains(&factor) {
                    return Err("LoadFactor must be a number between 1..100".into());
                }
                self.load_factor = Some((factor * 100.0) as u32);
            }
            "retry" => {
                let seconds = number(value, 0, "Retry must be a positive value")?;
                self.retry = Some(Duration::from_secs(seconds.into()));
            }
            "ttl" => {
                let seconds = number(value, 1, "TTL must be at least one second")?;
                self.ttl = Some(Duration::from_secs(seconds.into()));
            }
            "max" => {
                self.max = Some(number(value, 0, "Max must be a positive number")?)
                    .filter(|n| *n > 0);
            }
            "min" => {
                number(value, 0, "Min must be a positive number")?;
                return Ok(Some("connections are opened when they are needed"));
            }
            "smax" => {
                number(value, 0, "Smax must be a positive number")?;
                return Ok(Some("all connections without a request end after their ttl"));
            }
            "acquire" => {
                self.acquire = time(
                    value,
                    Unit::Millis,
                    "Acquire timeout has wrong format",
                    &format!("Acquire {one_milli}"),
                )?;
            }
            "timeout" => {
                let seconds = number(value, 1, "Timeout must be at least one second")?;
                self.timeout = Some(Duration::from_secs(seconds.into()));
            }
            "connectiontimeout" => {
                let least = format!("Connectiontimeout {one_milli}.");
                self.connect = time(
                    value,
                    Unit::Seconds,
                    "Connectiontimeout has wrong format",
                    &least,
                )?;
            }
            "ping" => {
                let least = format!("Ping/Pong timeout {one_milli}");
                self.ping = time(
                    value,
                    Unit::Seconds,
                    "Ping/Pong timeout has wrong format",
                    &least,
                )?;
            }
            "iobuffersize" => {
                if (1..512).contains(&value.atoi()) {
                    return Err(
                        "IOBufferSize must be >= 512 bytes, or 0 for system default."
                            .into(),
                    );
                }
                return Ok(Some("buffers grow with what passes through them"));
            }
            "receivebuffersize" => {
                if value.atoi() < 512 && value.atoi() != 0 {
                    return Err(
                        "ReceiveBufferSize must be >= 512 bytes, or 0 for system default.".into()
                    );
                }
                return Ok(Some("the system chooses the sizes of sockets' buffers"));
            }
            "keepalive" => {
                flag(value, "KeepAlive must be On|Off")?;
                return Ok(Some("a connection that was closed meanwhile is not used"));
            }
            "disablereuse" => {
                self.reuse = Some(!flag(value, "DisableReuse must be On|Off")?);
            }
            "enablereuse" => {
                self.reuse = Some(flag(value, "EnableReuse must be On|Off")?);
            }
            "addressttl" => {
                return Ok(Some("names are looked up when the configuration is read"));
            }
            "route" => {
                self.route = short(value, 96, "Route length must be < 96 characters")?;
            }
            "redirect" => {
                self.redirect =
                    short(value, 96, "Redirect length must be < 96 characters")?;
            }
            "status" => self.status.set(value)?,
            "flushpackets" => {
                self.flush = Some(match value.lossy().to_ascii_lowercase().as_str() {
                    "on" | "auto" => true,
                    "off" => false,
                    _ => return Err("flushpackets must be on|off|auto".into()),
                });
            }
            "flushwait" => {
                if !(0..=1000).contains(&value.atoi()) {
                    let message = "flushwait must be <= 1000, or 0 for system default of 10 millseconds.";
                    return Err(message.into());
                }
                return Ok(Some("what flushpackets=auto lets wait does not wait"));
            }
            "lbset" => {
                let message = "lbset must be between 0 and 99";
                self.set = number(value, 0, message)?;
                if self.set > 99 {
                    return Err(message.into());
                }
            }
            "upgrade" => {
                let any = value.is("any");
                self.upgrade = Some(if any {
                    Bytes::from_static(b"*")
                } else {
                    value.bytes.clone()
                });
            }
            "responsefieldsize" => {
                let size = number(
                    value,
                    0,
                    "ResponseFieldSize must be greater than 0 bytes, or 0 for system default.",
                )?;
                self.field_size = Some(size as usize).filter(|size| *size > 0);
            }
            "flusher" => return Ok(Some("there is one way of flushing")),
            "secret" => return Err("secret is AJP's, and AJP is not spoken here".into()),
            "multipathtcp" => return Err("multipathtcp is not possible here".into()),
            key if key.starts_with("hc") => {
                return Err(format!(
                    "{key}: health checks (mod_proxy_hcheck) are not made here"
                ));
            }
            _ => return Err("unknown Worker parameter".into()),
        }
        Ok(None)
    }
}

fn short(value: &Word, limit: usize, message: &str) -> Result<Bytes, String> {
    if value.bytes.len() >= limit {
        Err(message.to_owned())
    } else {
        Ok(value.bytes.clone())
    }
}

impl Status {
    fn set(&mut self, value: &Word) -> Result<(), String> {
        let mut on = true;
        for letter in value.lossy().chars() {
            match letter.to_ascii_uppercase() {
                '+' => on = true,
                '-' => on = false,
                'D' => self.disabled = on,
                'S' => self.stopped = on,
                'I' => self.ignores_errors = on,
                'H' => self.standby = on,
                'R' => self.spare = on,
                'E' => self.error = on,
                'N' => self.drain = on,
                _ => return Err("Unknown status parameter option".into()),
            }
        }
        Ok(())
    }
}

/// How a balancer chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// `byrequests`: by shares of the requests.
    #[default]
    Requests,
    /// `bybusyness`: whoever has the least to do.
    Busyness,
}

/// Settings of a balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalancerParams {
    /// `stickysession`: the cookie's name.
    pub sticky: Bytes,
    /// `stickysession`: the name in the path or query.
    pub sticky_path: Bytes,
    /// `stickysessionsep`; `Some(None)` is `Off`.
    pub separator: Option<Option<u8>>,
    /// `scolonpathdelim`.
    pub semicolon: bool,
    /// `nofailover`.
    pub no_failover: bool,
    /// `timeout`: how long a member is waited for.
    pub timeout: Option<Duration>,
    /// `maxattempts`.
    pub attempts: Option<u32>,
    /// `lbmethod`.
    pub method: Method,
    /// `failonstatus`.
    pub fail_on: Vec<u16>,
    /// `failontimeout`.
    pub fail_on_timeout: bool,
    /// `forcerecovery`.
    pub no_recovery: bool,
}

impl BalancerParams {
    /// Sets one of them.
    pub fn set(&mut self, key: &str, value: &Word) -> Outcome {
        match key.to_ascii_lowercase().as_str() {
            "stickysession" => {
                let bar = value.bytes.iter().position(|&b| b == b'|');
                let (cookie, path) = match bar {
                    Some(bar) => (value.bytes.slice(..bar), value.bytes.slice(bar + 1..)),
                    None => (value.bytes.clone(), value.bytes.clone()),
                };
                (self.sticky, self.sticky_path) = (cookie, path);
            }
            "stickysessionsep" => {
                self.separator = Some(match &value.bytes[..] {
                    [one] => Some(*one),
                    text if text.eq_ignore_ascii_case(b"off") => None,
                    _ => {
                        return Err(
                            "stickysessionsep must be a single character or Off".into()
                        );
                    }
                });
            }
            "nofailover" => self.no_failover = flag(value, "failover must be On|Off")?,
            "timeout" => {
                let seconds = number(value, 1, "timeout must be at least one second")?;
                self.timeout = Some(Duration::from_secs(seconds.into()));
            }
            "maxattempts" => {
                let message = "maximum number of attempts must be a positive number";
                self.attempts = Some(number(value, 0, message)?);
            }
            "lbmethod" => {
                self.method = match value.lossy().as_str() {
                    "byrequests" => Method::Requests,
                    "bybusyness" => Method::Busyness,
                    other @ ("bytraffic" | "heartbeat") => {
                        return Err(format!(
                            "lbmethod {other} is not built in; use byrequests or bybusyness"
                        ));
                    }
                    _ => return Err("unknown lbmethod".into()),
                };
            }
            "scolonpathdelim" => {
                self.semicolon = flag(value, "scolonpathdelim must be On|Off")?;
            }
            "failonstatus" => {
                let text = value.lossy();
                for code in text.split([',', ' ']).filter(|code| !code.is_empty()) {
                    let code: u16 = code.parse().unwrap_or(0);
                    if !(100..600).contains(&code) {
                        let message =
                            "failonstatus must be one or more HTTP response codes";
                        return Err(message.into());
                    }
                    self.fail_on.push(code);
                }
            }
            "failontimeout" => {
                self.fail_on_timeout = flag(value, "failontimeout must be On|Off")?;
            }
            "forcerecovery" => {
                self.no_recovery = !flag(value, "forcerecovery must be On|Off")?;
            }
            "growth" | "nonce" => return Ok(Some("there is no balancer-manager")),
            _ => return Err("unknown Balancer parameter".into()),
        }
        Ok(None)
    }
}
