//! Internal redirects: `ap_internal_redirect`. The new request remembers the old one, and
//! the old one's variables come back as `REDIRECT_*`.

use bytes::Bytes;

use super::{At, Frame, Turn, die, locate};
use crate::env::Env;
use crate::log::Level;
use crate::phase::{Phase, Redirect};
use crate::request::Request;
use crate::status;

pub(super) fn redirect(frame: &mut Frame, to: Redirect) -> Turn {
    if let Some((number, text)) = too_many(&frame.r, count(&frame.r)) {
        frame.r.log(Level::Error, "core", number, text);
        return match die::die(&mut frame.r, 500) {
            die::Fate::Respond => Turn::Respond,
            // An error document would be one redirect more.
            die::Fate::Redirect(_) => {
                die::canned(&mut frame.r, 500, None);
                Turn::Respond
            }
        };
    }
    let mut new = frame.r.offspring();
    locate::parse_uri(&mut new, &to.uri);
    new.content_type = to.content_type;
    if status::is_redirect(new.status)
        && let Some(location) = frame.r.headers_out.get("Location")
    {
        new.headers_out.set("Location", location.clone());
    }
    new.err_headers_out = std::mem::take(&mut frame.r.err_headers_out);
    new.vlist_validator = frame.r.vlist_validator.take();
    new.no_cache = frame.r.no_cache;
    new.lines = std::mem::take(&mut frame.r.lines);
    new.script_log = std::mem::take(&mut frame.r.script_log);
    new.gateway = frame.r.gateway.take();
    new.decision = frame.r.decision.take();
    new.env = renamed(&frame.r.env);
    new.env.set("REDIRECT_STATUS", frame.r.status.to_string());
    let old = std::mem::replace(&mut frame.r, Box::new(new));
    frame.r.prev = Some(old);
    frame.after_answer = None;
    frame.at = At { phase: Phase::Received, index: 0 };
    Turn::Go
}

/// The line about one redirect too many for `LimitInternalRecursion`, after `redirects`:
/// `ap_is_recursion_limit_exceeded`.
pub(super) fn too_many(r: &Request, redirects: u32) -> Option<(u32, String)> {
    let limit = r.server.config.core.limit_internal_redirects();
    (redirects >= limit).then(|| (124, exceeded(limit, "internal redirects")))
}

pub(super) fn exceeded(limit: u32, what: &str) -> String {
    format!(
        "Request exceeded the limit of {limit} {what} due to probable configuration error. \
         Use 'LimitInternalRecursion' to increase the limit if necessary. Use 'LogLevel \
         debug' to get a backtrace."
    )
}

/// How many internal redirects led to a request.
pub(super) fn count(r: &Request) -> u32 {
    let mut count = 0;
    let mut at = r;
    while let Some(prev) = &at.prev {
        count += 1;
        at = prev;
    }
    count
}

/// `rename_original_env`.
fn renamed(env: &Env) -> Env {
    let mut out = Env::default();
    for (name, value) in env.iter() {
        out.set(Bytes::from([b"REDIRECT_", &name[..]].concat()), value.clone());
    }
    out
}
