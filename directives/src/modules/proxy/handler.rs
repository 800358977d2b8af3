//! Sends a request to its upstream, and to another one if that fails and may be done:
//! `proxy_handler`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::balancer::{Balancer, Nobody};
use super::url::{Parts, split_socket};
use super::worker::{self, Hold, Worker};
use super::{canon, fcgi, forward, url_of};
use crate::content;
use crate::effect::{Answer, Effect};
use crate::log::Level;
use crate::modules::fastcgi::Address;
use crate::phase::{DECLINED, Verdict};
use crate::request::Request;

/// A request on its way to an upstream.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// `balancer://…`, as long as a member may be changed for another.
    url: Vec<u8>,
    balancer: Option<Arc<Balancer>>,
    /// The upstream; `None` for one that no directive names.
    pub worker: Option<Arc<Worker>>,
    /// Where it listens.
    pub address: Option<Address>,
    /// The URL's parts, for messages.
    pub parts: Option<Parts>,
    /// The upstream is busy with this request.
    pub hold: Option<Arc<Hold>>,
    attempts: u32,
    /// How long a member was waited for.
    waited: Duration,
}

impl Attempt {
    /// Was the upstream chosen by a balancer?
    pub(super) fn is_balanced(&self) -> bool {
        self.balancer.is_some()
    }
}

/// The hook.
pub fn handle(r: &mut Request) -> Verdict {
    let by_handler =
        !r.proxyreq && r.handler.as_ref().is_some_and(|name| name.starts_with(b"proxy:"));
    if by_handler {
        let old = r.filename.clone();
        let handler = r.handler.clone().unwrap_or_default();
        r.filename = [&handler[..], &old].concat();
        r.proxyreq = true;
        r.notes.set("proxy-sethandler", "1");
        if let Err(status) = canon::url(r) {
            r.filename = old;
            r.proxyreq = false;
            return Verdict::Status(status);
        }
    } else if !r.proxyreq || !r.filename.starts_with(b"proxy:") {
        return DECLINED;
    } else {
        r.notes.unset(b"proxy-sethandler");
    }
    if !r.filename[6..].contains(&b':') {
        return Verdict::Status(400);
    }
    if let Some(verdict) = max_forwards(r).or_else(|| trace(r)) {
        return verdict;
    }
    let url = url_of(r).unwrap_or_default();
    r.attempt = Some(Box::new(Attempt { url, ..Attempt::default() }));
    attempt(r)
}

/// `Max-Forwards`, and its own answers when it is used up.
fn max_forwards(r: &mut Request) -> Option<Verdict> {
    let next = match r.header("max-forwards") {
        None => r.server.config.proxy.max_forwards.filter(|most| *most >= 0)?,
        Some(text) => {
            let number = std::str::from_utf8(&text)
                .ok()
                .and_then(|text| text.trim().parse::<i64>().ok());
            match number {
                Some(0) if matches!(r.method, Method::TRACE | Method::OPTIONS) => {
                    r.proxyreq = false;
                    return Some(match r.method {
                        Method::TRACE => content::before_storage(r),
                        _ => content::unusual_method(r),
                    });
                }
                Some(0) => {
                    return Some(error(
                        r,
                        400,
                        "Max-Forwards has reached zero - proxy loop?",
                    ));
                }
                Some(number) if number > 0 => number - 1,
                _ => {
                    let shown = String::from_utf8_lossy(&text).into_owned();
                    let line =
                        format!("Max-Forwards value '{shown}' could not be parsed");
                    r.log(Level::Warn, "proxy", 10_188, line);
                    let why = "Max-Forwards request header could not be parsed";
                    return Some(error(r, 400, why));
                }
            }
        }
    };
    let headers = Arc::make_mut(&mut r.headers_in);
    headers.insert(http::header::MAX_FORWARDS, next.into());
    None
}

fn trace(r: &mut Request) -> Option<Verdict> {
    if r.method != Method::TRACE {
        return None;
    }
    let core = &r.server.config.core;
    let refused = if !core.traces() {
        Some((1139, 405, "TRACE forbidden by server configuration"))
    } else if !core.traces_body() && r.has_body() {
        Some((1140, 413, "TRACE with request body is not allowed"))
    } else {
        None
    };
    let (ah, status, why) = refused?;
    r.notes.set("error-notes", why);
    r.notes.set("verbose-error-to", "*");
    r.log(Level::Error, "proxy", ah, why);
    r.allowed = vec![Method::GET, Method::OPTIONS];
    Some(Verdict::Status(status))
}

/// Answers with an error of the proxy's own: `ap_proxyerror`.
pub(super) fn error(r: &mut Request, status: u16, why: &str) -> Verdict {
    let shown =
        String::from_utf8_lossy(&crate::path::escape_html(why.as_bytes())).into_owned();
    r.notes.set(
        "error-notes",
        format!("The proxy server could not handle the request<p>Reason: <strong>{shown}</strong></p>"),
    );
    r.notes.set("verbose-error-to", "*");
    r.reason = Some(format!("{status} Proxy Error").into());
    let uri = String::from_utf8_lossy(&r.uri).into_owned();
    r.log(Level::Error, "proxy", 898, format!("{why} returned by {uri}"));
    Verdict::Status(status)
}

/// The attempt under way.
pub(super) fn current(r: &mut Request) -> &mut Attempt {
    r.attempt.get_or_insert_default()
}

/// Chooses an upstream and asks it.
fn attempt(r: &mut Request) -> Verdict {
    let server = r.server.clone();
    let config = &server.config.proxy;
    let url = current(r).url.clone();
    let found = match config.balancer(&url).filter(|_| Balancer::is_url(&url)) {
        Some(balancer) => {
            let balancer = balancer.clone();
            match balancer.choose(r, &url) {
                Err(nobody) => return none_left(r, &balancer, nobody),
                Ok(member) => {
                    let path = url[11..]
                        .iter()
                        .position(|&b| b == b'/')
                        .map_or(&b""[..], |n| &url[11 + n..]);
                    r.filename = [b"proxy:", member.name.as_bytes(), path].concat();
                    r.notes.unset(b"uds_path");
                    if let Err(status) = canon::url(r) {
                        return settle(r, status);
                    }
                    current(r).balancer = Some(balancer);
                    Some(member)
                }
            }
        }
        None => worker::find(&config.workers, &url).cloned(),
    };
    if found.is_none() {
        r.env.set("proxy-nokeepalive", "1");
    }
    let hold = found.as_ref().map(|worker| worker.hold());
    let attempt = current(r);
    (attempt.worker, attempt.hold) = (found, hold);
    locate(r)
}

/// All of a balancer's members have failed; one may be waited for.
fn none_left(r: &mut Request, balancer: &Arc<Balancer>, nobody: Nobody) -> Verdict {
    if nobody == Nobody::OfRoute {
        return Verdict::Status(503);
    }
    let attempt = current(r);
    if let Some(limit) = balancer.params.timeout.filter(|limit| attempt.waited < *limit) {
        let step = limit / 100;
        attempt.waited += step;
        return Verdict::Ask(Effect::Wait(step), |r, _| self::attempt(r));
    }
    balancer.log_exhausted(r);
    Verdict::Status(503)
}

/// Finds out where the upstream listens.
fn locate(r: &mut Request) -> Verdict {
    let url = url_of(r).unwrap_or_default();
    let Some((_, url)) = split_socket(&url) else { return settle(r, 400) };
    let Ok(parts) = Parts::of(&url) else {
        let shown = String::from_utf8_lossy(&url).into_owned();
        let verdict = error(r, 400, &format!("URI cannot be parsed: {shown}"));
        return match verdict {
            Verdict::Status(status) => settle(r, status),
            other => other,
        };
    };
    if !matches!(parts.scheme.as_str(), "http" | "https" | "ws" | "wss" | "fcgi") {
        let uri = String::from_utf8_lossy(&r.uri).into_owned();
        let text = format!(
            "No protocol handler was valid for the URL {uri} (scheme '{}').",
            parts.scheme
        );
        r.log(Level::Warn, "proxy", 1144, text);
        return settle(r, 500);
    }
    if let Some(verdict) = blocked(r, &parts.host) {
        return verdict;
    }
    let own = current(r).worker.as_ref().and_then(|worker| worker.address());
    let socket = r.notes.get(b"uds_path").cloned();
    let port = parts.port();
    let literal = parts.host.parse::<std::net::IpAddr>().ok();
    let has_socket =
        current(r).worker.as_ref().is_some_and(|worker| worker.socket.is_some());
    let address = match (own, socket) {
        (Some(own), _) if has_socket => Some(own),
        (_, Some(path)) => {
            let root = &r.snapshot.server_root;
            crate::path::server_relative(root, &path)
                .map(|path| Address::Unix(path.into()))
        }
        // A worker of `$1` has its host, but not its port.
        (Some(own), None)
            if current(r).worker.as_ref().is_some_and(|w| w.parts.port() == port) =>
        {
            Some(own)
        }
        _ => literal.map(|ip| Address::Tcp(vec![(ip, port).into()])),
    };
    let host = parts.host.clone();
    let attempt = current(r);
    attempt.parts = Some(parts);
    attempt.address = address;
    if attempt.address.is_some() {
        return dispatch(r);
    }
    Verdict::Ask(Effect::Addresses { name: host }, looked_up)
}

fn looked_up(r: &mut Request, answer: Answer) -> Verdict {
    let (host, port) = match &current(r).parts {
        Some(parts) => (parts.host.clone(), parts.port()),
        None => return Verdict::Status(500),
    };
    match answer {
        Answer::Addresses(found) if !found.is_empty() => {
            let all = found.into_iter().map(|ip| (ip, port).into()).collect();
            current(r).address = Some(Address::Tcp(all));
            dispatch(r)
        }
        _ => {
            let _ = error(r, 500, &format!("DNS lookup failure for: {host}"));
            settle(r, 500)
        }
    }
}

/// `ProxyBlock`.
fn blocked(r: &mut Request, host: &str) -> Option<Verdict> {
    let server = r.server.clone();
    let hit = server.config.proxy.blocked.iter().find(|name| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        name.starts_with('*') || host.contains(&name)
    })?;
    let name = String::from_utf8_lossy(hit);
    let text = format!("connect to remote machine {host} blocked: name {name} matched");
    r.log(Level::Warn, "proxy", 916, text);
    let _ = error(r, 403, "Connect to remote machine blocked");
    Some(settle(r, 403))
}

/// Asks in the upstream's protocol.
fn dispatch(r: &mut Request) -> Verdict {
    let is_fcgi = current(r).parts.as_ref().is_some_and(|parts| parts.scheme == "fcgi");
    if is_fcgi { fcgi::ask(r) } else { forward::ask(r) }
}

/// An attempt ended with a status instead of an answer. A member that could not be reached
/// is left alone for a while, and another one tried.
pub(super) fn settle(r: &mut Request, status: u16) -> Verdict {
    let now = r.now;
    let attempt = current(r);
    attempt.hold = None;
    let (Some(balancer), Some(member)) =
        (attempt.balancer.clone(), attempt.worker.clone())
    else {
        return Verdict::Status(status);
    };
    if matches!(status, 500 | 503) {
        member.fail(now);
    }
    if status == 503 && member.has_failed() && attempt.attempts < balancer.attempts() {
        attempt.attempts += 1;
        return self::attempt(r);
    }
    after(r, status);
    Verdict::Status(status)
}

/// What the status of an answer means for the member that gave it:
/// `proxy_balancer_post_request`.
pub(super) fn after(r: &mut Request, status: u16) {
    let now = r.now;
    let attempt = current(r);
    let (Some(balancer), Some(member)) =
        (attempt.balancer.clone(), attempt.worker.clone())
    else {
        return;
    };
    if balancer.params.fail_on.contains(&status) {
        let text = format!(
            "{}: Forcing worker ({}) into error state due to status code {status} matching \
             'failonstatus' balancer parameter",
            balancer.name, member.shown
        );
        r.log(Level::Error, "proxy_balancer", 1174, text);
        member.fail(now);
    }
    if balancer.params.fail_on_timeout && r.notes.has(b"proxy_timedout") {
        let text = format!(
            "{}: Forcing worker ({}) into error state due to timeout and 'failontimeout' parameter \
             being set",
            balancer.name, member.shown
        );
        r.log(Level::Error, "proxy_balancer", 2460, text);
        member.fail(now);
    }
}

/// The lines about an upstream that could not be reached.
pub(super) fn unreachable(
    r: &mut Request,
    function: &str,
    error: Option<crate::bundle::OsError>,
) {
    let attempt = current(r).clone();
    let Some(parts) = &attempt.parts else { return };
    let (host, port) = (&parts.host, parts.port());
    let (ah, what) = match &attempt.address {
        Some(Address::Unix(path)) => {
            let path = String::from_utf8_lossy(path);
            (2454, format!("Unix domain socket {path}"))
        }
        Some(Address::Tcp(all)) => {
            (957, all.last().map_or_else(String::new, ToString::to_string))
        }
        None => return,
    };
    let text = format!("{function}: attempt to connect to {what} ({host}:{port}) failed");
    r.log_server(Level::Error, "proxy", ah, error, text);
    if let (Some(_), Some(member)) = (&attempt.balancer, &attempt.worker)
        && !member.params.status.ignores_errors
    {
        let seconds = member.retry().as_secs();
        let text = format!(
            "ap_proxy_connect_backend disabling worker for ({host}:{port}) for {seconds}s"
        );
        r.log_server(Level::Error, "proxy", 959, None, text);
    }
}

/// The server's own port, as httpd calls an upstream in messages of FastCGI.
pub fn own_port(r: &Request) -> String {
    let port = r.server_port();
    let default = if r.connection.secure { 443 } else { 80 };
    if port == default { String::new() } else { format!(":{port}") }
}

/// How long an upstream may say nothing, and how long connecting to it may take.
pub(super) fn timeouts(r: &Request) -> (Duration, Duration) {
    let params = r
        .attempt
        .as_ref()
        .and_then(|attempt| attempt.worker.as_ref())
        .map(|worker| &worker.params);
    let config = &r.server.config;
    let general = config.proxy.timeout.unwrap_or_else(|| config.core.timeout());
    let timeout = params.and_then(|params| params.timeout).unwrap_or(general);
    (timeout, params.and_then(|params| params.connect).unwrap_or(timeout))
}

/// The upstream's name for the pool of connections; none where no directive names it.
pub(super) fn pool(r: &Request) -> Option<Bytes> {
    let worker = r.attempt.as_ref()?.worker.as_ref()?;
    Some(Bytes::copy_from_slice(worker.shown.as_bytes()))
}
