//! Upstreams that the configuration names, httpd's workers: their settings, and what the
//! requests of all threads know of them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::params::{Params, Status};
use super::url::{Parts, split_socket};
use crate::compile::Scope;
use crate::modules::fastcgi::Address;

/// How long an upstream that failed is left alone unless `retry` says otherwise.
const RETRY: Duration = Duration::from_mins(1);

/// An upstream.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Its URL without a socket, scheme and host in lower case: by this it is found.
    pub name: String,
    /// As messages call it: with its socket.
    pub shown: String,
    /// The URL's parts.
    pub parts: Parts,
    /// The path of its socket.
    pub socket: Option<Bytes>,
    /// `$1` and the like in its name stand for anything.
    pub is_match: bool,
    /// Its settings.
    pub params: Params,
    /// Where it listens, as far as its name could be looked up.
    pub addresses: Vec<IpAddr>,
    /// What is known of it.
    pub state: Arc<State>,
}

/// What changes while the server runs.
#[derive(Debug, Default)]
pub struct State {
    /// When it failed, microseconds since 1970; 0 if it did not.
    failed: AtomicI64,
    /// Requests that are with it.
    busy: AtomicU32,
    /// How far it is behind its share of a balancer's requests.
    pub share: AtomicI64,
}

/// A request that is with an upstream, until it is dropped.
#[derive(Debug)]
pub struct Hold(Arc<State>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    /// Of a URL that may have its socket before it; the error is a sentence.
    pub fn define(at: &Scope, url: &[u8], is_match: bool) -> Result<Worker, String> {
        let shown = String::from_utf8_lossy(url).into_owned();
        let Some((socket, url)) = split_socket(url) else {
            return Err(format!("{shown} uses an invalid \"unix:\" URL"));
        };
        let parts = match Parts::of(&url) {
            Ok(parts) => parts,
            Err(_) if is_match => Parts::of(&before_groups(&url))
                .map_err(|why| format!("{why}: {shown}"))?,
            Err(_) => return Err(format!("Unable to parse URL: {shown}")),
        };
        check_scheme(&parts.scheme)?;
        let socket = match socket {
            Some(path) => {
                let path =
                    at.server_relative(&path).ok_or(format!("{shown}: not a path"))?;
                Some(Bytes::from(path))
            }
            None => None,
        };
        let addresses =
            if socket.is_some() { Vec::new() } else { resolve(at, &parts.host) };
        let name = format!(
            "{}://{}{}",
            parts.scheme,
            parts.authority(),
            String::from_utf8_lossy(&parts.path)
        );
        let shown = match &socket {
            Some(path) => format!("unix:{}|{name}", String::from_utf8_lossy(path)),
            None => name.clone(),
        };
        Ok(Worker {
            name,
            shown,
            parts,
            socket,
            is_match,
            params: Params::default(),
            addresses,
            state: Arc::default(),
        })
    }

    /// May connections be used again? Those of a name with `$1` lead anywhere.
    pub fn may_reuse(&self) -> bool {
        !(self.is_match && self.name.contains('$'))
    }

    /// Where to connect to; nothing if its name has to be looked up first.
    pub fn address(&self) -> Option<Address> {
        if let Some(path) = &self.socket {
            return Some(Address::Unix(path.clone()));
        }
        let port = self.parts.port();
        let all: Vec<SocketAddr> =
            self.addresses.iter().map(|ip| (*ip, port).into()).collect();
        (!all.is_empty()).then_some(Address::Tcp(all))
    }

    /// May something be sent to it now? What failed may again once `retry` is over:
    /// `ap_proxy_retry_worker`.
    pub fn is_usable(&self, now: i64) -> bool {
        let Status { disabled, stopped, ignores_errors, .. } = self.params.status;
        let failed = self.state.failed.load(Ordering::Relaxed);
        if disabled || stopped {
            return false;
        }
        let over = now > failed + self.retry().as_micros() as i64;
        if failed != 0 && (ignores_errors || over) {
            self.state.failed.store(0, Ordering::Relaxed);
            return true;
        }
        failed == 0
    }

    /// Has it failed, and is not to be tried again yet?
    pub fn has_failed(&self) -> bool {
        self.state.failed.load(Ordering::Relaxed) != 0
    }

    /// It failed.
    pub fn fail(&self, now: i64) {
        if !self.params.status.ignores_errors {
            self.state.failed.store(now.max(1), Ordering::Relaxed);
        }
    }

    /// It may be tried again at once.
    pub fn recover(&self) {
        self.state.failed.store(0, Ordering::Relaxed);
    }

    /// How long it is left alone when it failed.
    pub fn retry(&self) -> Duration {
        self.params.retry.unwrap_or(RETRY)
    }

    /// Requests that are with it.
    pub fn busy(&self) -> u32 {
        self.state.busy.load(Ordering::Relaxed)
    }

    /// One request more.
    pub fn hold(&self) -> Arc<Hold> {
        self.state.busy.fetch_add(1, Ordering::Relaxed);
        Arc::new(Hold(self.state.clone()))
    }

    /// Is this worker for a URL (without socket, scheme and host in lower case)?
    fn serves(&self, url: &[u8], least: usize) -> bool {
        let name = self.name.as_bytes();
        if name.len() < least || name.len() > url.len() {
            return false;
        }
        if self.is_match && name.contains(&b'$') {
            matches_groups(name, url)
        } else {
            url.starts_with(name)
        }
    }
}

/// What of a handler `proxy:url` can be said when it is set; the error is a sentence.
pub fn check_handler(url: &[u8]) -> Result<(), String> {
    let shown = String::from_utf8_lossy(url).into_owned();
    let Some((_, url)) = split_socket(url) else {
        return Err(format!("proxy:{shown} has a socket and no URL behind it"));
    };
    match Parts::of(&url) {
        Ok(parts) => check_scheme(&parts.scheme),
        Err(why) => Err(format!("proxy:{shown}: {why}")),
    }
}

/// The schemes that there is something for.
fn check_scheme(scheme: &str) -> Result<(), String> {
    match scheme {
        "http" | "https" | "fcgi" | "ws" | "wss" | "balancer" => Ok(()),
        other => Err(format!(
            "there is no protocol {other} here; upstreams speak http, https, ws, wss or fcgi"
        )),
    }
}

/// What stands before the first `$`, as far as it is a URL.
fn before_groups(url: &[u8]) -> Vec<u8> {
    let end = url.iter().position(|&b| b == b'$').unwrap_or(url.len());
    url[..end].to_vec()
}

fn resolve(at: &Scope, host: &str) -> Vec<IpAddr> {
    match host.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        Err(_) => at.files().resolve(host),
    }
}

/// `$1` in a name stands for anything: `ap_proxy_strcmp_ematch`. A name is the beginning of
/// a URL, so that each text between groups may be taken where it is found first; trying all
/// places would let a client's URL take its time.
fn matches_groups(name: &[u8], url: &[u8]) -> bool {
    let (mut name, mut rest, mut is_first) = (name, url, true);
    loop {
        let group =
            name.windows(2).position(|two| two[0] == b'$' && two[1].is_ascii_digit());
        let (text, behind) = match group {
            Some(at) => (&name[..at], Some(&name[at + 2..])),
            None => (name, None),
        };
        let found = match text {
            [] => Some(0),
            text if is_first => rest.starts_with(text).then_some(0),
            text => rest.windows(text.len()).position(|part| part == text),
        };
        let (Some(at), Some(behind)) = (found, behind) else { return found.is_some() };
        (name, rest, is_first) = (behind, &rest[at + text.len()..], false);
    }
}

/// The worker of a URL: the one with the longest name that fits.
/// `ap_proxy_get_worker_ex`.
pub fn find<'a>(workers: &'a [Arc<Worker>], url: &[u8]) -> Option<&'a Arc<Worker>> {
    longest(workers, url, |_| true)
}

/// The worker that a URL of the configuration shares: of those for plain URLs, or of those
/// for patterns.
pub fn shared<'a>(
    workers: &'a [Arc<Worker>],
    url: &[u8],
    is_match: bool,
) -> Option<&'a Arc<Worker>> {
    longest(workers, url, |worker| worker.is_match == is_match)
}

fn longest<'a>(
    workers: &'a [Arc<Worker>],
    url: &[u8],
    may: impl Fn(&Worker) -> bool,
) -> Option<&'a Arc<Worker>> {
    let (_, url) = split_socket(url)?;
    let (url, least) = comparable(&url)?;
    let fitting =
        workers.iter().filter(|worker| may(worker) && worker.serves(&url, least));
    fitting.fold(None, |best: Option<&Arc<Worker>>, worker| match best {
        Some(best) if best.name.len() >= worker.name.len() => Some(best),
        _ => Some(worker),
    })
}

/// Scheme and host in lower case, and how much of the URL they are.
fn comparable(url: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut url = url.to_vec();
    let start = url.windows(3).position(|three| three == b"://")? + 3;
    let end =
        url[start..].iter().position(|&b| b == b'/').map_or(url.len(), |n| start + n);
    url[..end].make_ascii_lowercase();
    Some((url, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(url: &str, is_match: bool) -> Arc<Worker> {
        Arc::new(Worker {
            name: url.to_owned(),
            shown: url.to_owned(),
            parts: Parts::of(url.as_bytes()).unwrap(),
            socket: None,
            is_match,
            params: Params::default(),
            addresses: Vec::new(),
            state: Arc::default(),
        })
    }

    #[test]
    fn the_longest_name_is_found() {
        let all = [
            worker("http://h/", false),
            worker("http://h/a/", false),
            worker("fcgi://h/$1.php", true),
        ];
        let found =
            |url: &str| find(&all, url.as_bytes()).map(|worker| worker.name.clone());
        assert_eq!(found("HTTP://H/a/b").as_deref(), Some("http://h/a/"));
        assert_eq!(found("http://h/b").as_deref(), Some("http://h/"));
        assert_eq!(found("unix:/s|http://h/b").as_deref(), Some("http://h/"));
        assert_eq!(found("fcgi://h/x/y.php").as_deref(), Some("fcgi://h/$1.php"));
        assert_eq!(found("fcgi://h/x"), None);
        assert_eq!(found("http://other/"), None);
    }

    #[test]
    fn groups_of_a_name_stand_for_anything() {
        let fits =
            |name: &str, url: &str| matches_groups(name.as_bytes(), url.as_bytes());
        assert!(fits("http://h/$1/x/$2.php", "http://h/a/x/b/x/c.php?d"));
        assert!(fits("http://h$1", "http://h") && fits("http://h/$1", "http://h/"));
        assert!(!fits("http://h/$1.php", "http://h/php") && !fits("x$1", "ax"));
        assert!(fits("a$1$2b", "ab") && fits("a$b", "a$b") && !fits("a$b", "axb"));
        let long = format!("http://h{}", "/x".repeat(4000));
        assert!(!fits("http://h/$1/x/$2/x/$3/x/$4.php", &long));
    }

    #[test]
    fn who_failed_is_left_alone_for_a_while() {
        let worker = worker("http://h/", false);
        let minute = 60_000_000;
        assert!(worker.is_usable(1));
        worker.fail(5);
        assert!(!worker.is_usable(5 + minute) && worker.has_failed());
        assert!(worker.is_usable(6 + minute) && !worker.has_failed());
    }

    #[test]
    fn a_hold_ends_with_its_request() {
        let worker = worker("http://h/", false);
        let hold = worker.hold();
        assert_eq!(worker.busy(), 1);
        drop(hold);
        assert_eq!(worker.busy(), 0);
    }
}
