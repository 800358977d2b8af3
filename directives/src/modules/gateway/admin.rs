//! `GatewayAdmin`: how the gateway is, on a listener of its own. Nothing that a client sends
//! elsewhere leads here, so no health check can be mistaken for a request.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::Method;

use crate::compile::Scope;
use crate::effect::{Answer, Effect};
use crate::modules::core::listen;
use crate::modules::status::{self, Form};
use crate::phase::{DONE, Verdict};
use crate::reply::Body;
use crate::request::Request;
use crate::schema::{Context, Directive, Problem, Result, Set, Word};

/// A listener's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The address; `None` for all of the machine.
    ip: Option<IpAddr>,
    /// The port.
    port: u16,
}

impl Admin {
    /// Is this the listener of a connection's own end?
    pub fn is(&self, local: SocketAddr) -> bool {
        self.port == local.port()
            && self.ip.is_none_or(|ip| ip.to_canonical() == local.ip().to_canonical())
    }
}

pub(super) static GATEWAY_ADMIN: Directive = Directive {
    name: "GatewayAdmin",
    syntax: "[address:]port",
    context: Context::SERVER,
    summary: "a port, with an address or without, that answers about the gateway itself",
    docs: r"
A listener of its own, which answers

| | |
|---|---|
| `GET /health` | 200 as long as the server serves |
| `GET /ready` | 200, and 503 while it is ending: no new requests are wanted then |
| `GET /metrics` | the metrics of `fastcgi-status`, and decisions and kept answers, for Prometheus |
| `POST /purge` | forgets all answers that are kept, and says how many there were |

and nothing else; virtual hosts and sections do not apply to it. It stays open while requests are being
finished; `GracefulShutdownDelay` gives those who look at `/ready` time to notice. Whoever can reach it may ask: give it an address that only the right ones can reach.

## Example
    GatewayAdmin 127.0.0.1:9901
",
    set: Set::One(set),
    ..Directive::EXACT
};

fn set(at: &mut Scope, word: &Word) -> Result {
    listen(at, word, None)?;
    let Some(opened) = at.process().core.listen.last() else {
        return Err(Problem::from("Invalid address or port").at(word.span));
    };
    let admin = Admin { ip: opened.ip, port: opened.port };
    at.process().gateway.admin.push(admin);
    Ok(())
}

/// What is to be done with a request to such a listener; `None` if it came elsewhere.
pub(crate) fn admin(r: &mut Request) -> Option<Verdict> {
    let local = r.connection.local;
    if !r.snapshot.process.gateway.admin.iter().any(|admin| admin.is(local)) {
        return None;
    }
    let path = r.unparsed_uri.split(|&b| b == b'?').next().unwrap_or_default();
    let is_get = matches!(r.method, Method::GET | Method::HEAD);
    Some(match path {
        b"/health" if is_get => say(r, 200, "ok\n"),
        b"/ready" if is_get => Verdict::Ask(Effect::Ready, ready),
        b"/metrics" if is_get => Verdict::Ask(Effect::Status, metrics),
        // Not what a page in somebody's browser asks for.
        b"/purge" if r.method == Method::POST && !r.headers_in.contains_key("origin") => {
            Verdict::Ask(Effect::Forget, purged)
        }
        b"/health" | b"/ready" | b"/metrics" => refuse(r, "GET, HEAD"),
        b"/purge" => refuse(r, "POST"),
        _ => say(r, 404, "there are /health, /ready, /metrics and /purge\n"),
    })
}

fn ready(r: &mut Request, answer: Answer) -> Verdict {
    match answer {
        Answer::Ready(true) => say(r, 200, "ready\n"),
        _ => say(r, 503, "ending\n"),
    }
}

fn metrics(r: &mut Request, answer: Answer) -> Verdict {
    let Answer::Status(report) = answer else { return say(r, 500, "no report\n") };
    let form = match status::choose(b"", &r.header("accept").unwrap_or_default()) {
        Form::OpenMetrics => Form::OpenMetrics,
        _ => Form::Metrics,
    };
    let text = status::fastcgi(&report, form, "", None);
    let verdict = say(r, 200, text);
    r.content_type = Some(Bytes::from_static(form.content_type()));
    verdict
}

fn purged(r: &mut Request, answer: Answer) -> Verdict {
    match answer {
        Answer::Forgotten(count) => say(r, 200, format!("{count}\n")),
        _ => say(r, 500, "nothing was forgotten\n"),
    }
}

fn refuse(r: &mut Request, allow: &'static str) -> Verdict {
    r.headers_out.set("Allow", allow);
    say(r, 405, "not so\n")
}

fn say(r: &mut Request, status: u16, text: impl Into<Bytes>) -> Verdict {
    r.status = status;
    r.headers_out.set("Cache-Control", "no-store");
    r.content_type = Some(Bytes::from_static(b"text/plain; charset=utf-8"));
    r.body = Body::Bytes(text.into());
    DONE
}
