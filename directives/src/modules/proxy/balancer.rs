//! `balancer://`: which of several upstreams gets a request. mod_proxy_balancer,
//! mod_lbmethod_byrequests, mod_lbmethod_bybusyness.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::params::{BalancerParams, Method};
use super::worker::Worker;
use crate::log::Level;
use crate::request::Request;

/// A balancer.
#[derive(Clone, Debug)]
pub struct Balancer {
    /// `balancer://name`, in lower case.
    pub name: String,
    /// Its settings.
    pub params: BalancerParams,
    /// Its members.
    pub members: Vec<Arc<Worker>>,
    /// Held while one is chosen.
    choosing: Arc<Mutex<()>>,
}

/// A session's tie to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The cookie or parameter that has it.
    pub name: Bytes,
    /// The route.
    pub route: Bytes,
}

/// Why there is no member for a request: it is answered 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// Its session's member cannot take it, and no other one may (`nofailover`); the log
    /// says so.
    OfRoute,
    /// No member can; one may be able to a little later (`timeout`).
    AtAll,
}

impl Balancer {
    /// Without members.
    pub fn new(name: String) -> Balancer {
        let params = BalancerParams::default();
        Balancer { name, params, members: Vec::new(), choosing: Arc::default() }
    }

    /// The same balancer with the members of another one.
    #[must_use]
    pub fn with_members(&self, of: &Balancer) -> Balancer {
        Balancer { members: of.members.clone(), ..self.clone() }
    }

    /// How often another member may be tried.
    pub fn attempts(&self) -> u32 {
        let others = (self.members.len() as u32).saturating_sub(1);
        self.params.attempts.unwrap_or(others)
    }

    /// The member for a request.
    pub fn choose(&self, r: &mut Request, url: &[u8]) -> Result<Arc<Worker>, Nobody> {
        let guard = self.choosing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = r.now;
        if !self.params.no_recovery
            && self.members.iter().all(|m| m.has_failed() && !m.is_usable(now))
        {
            self.members.iter().for_each(|member| member.recover());
        }
        let session = self.session(r, url);
        let routed =
            session.as_ref().and_then(|session| self.routed(&session.route, now, 1));
        let chosen = match routed {
            Some(member) => {
                self.count(&member, now);
                if session
                    .as_ref()
                    .is_some_and(|session| session.route != member.params.route)
                {
                    r.env.set("BALANCER_ROUTE_CHANGED", "1");
                }
                Some(member)
            }
            None => {
                let is_known = |session: &Session| {
                    self.members.iter().any(|m| {
                        !m.params.route.is_empty() && m.params.route == session.route
                    })
                };
                if self.params.no_failover && session.as_ref().is_some_and(is_known) {
                    let route = session.map(|session| session.route).unwrap_or_default();
                    let route = String::from_utf8_lossy(&route).into_owned();
                    let text = format!(
                        "{}: All workers are in error state for route ({route})",
                        self.name
                    );
                    r.log(Level::Error, "proxy_balancer", 1167, text);
                    return Err(Nobody::OfRoute);
                }
                let best = self.best(now);
                if best.is_some() && !self.params.sticky.is_empty() {
                    r.env.set("BALANCER_ROUTE_CHANGED", "1");
                }
                best
            }
        };
        drop(guard);
        let Some(member) = chosen else { return Err(Nobody::AtAll) };
        r.env.set("BALANCER_NAME", self.name.clone());
        r.env.set("BALANCER_WORKER_NAME", member.shown.clone());
        r.env.set("BALANCER_WORKER_ROUTE", member.params.route.clone());
        if let Some(session) = session {
            r.env.set("BALANCER_SESSION_STICKY", session.name);
            r.env.set("BALANCER_SESSION_ROUTE", session.route);
        }
        Ok(member)
    }

    /// The line about a balancer that has nobody to send a request to.
    pub fn log_exhausted(&self, r: &mut Request) {
        let (ah, why) = if self.members.is_empty() {
            (1171, "No workers in balancer")
        } else {
            (1170, "All workers are in error state")
        };
        r.log(Level::Error, "proxy_balancer", ah, format!("{}: {why}", self.name));
    }

    /// `find_session_route`.
    fn session(&self, r: &Request, url: &[u8]) -> Option<Session> {
        let BalancerParams { sticky, sticky_path, semicolon, .. } = &self.params;
        if sticky.is_empty() {
            return None;
        }
        let query =
            r.args.as_ref().map_or_else(Vec::new, |args| [b"?", &args[..]].concat());
        let whole = [url, &query].concat();
        let found =
            path_value(&whole, sticky_path, *semicolon).map(|value| (sticky_path, value));
        let (name, value) = match found {
            Some(found) => found,
            None => (sticky, cookie_value(&r.header(http::header::COOKIE)?, sticky)?),
        };
        let route = match self.params.separator.unwrap_or(Some(b'.')) {
            Some(separator) => {
                let at = value.iter().position(|&b| b == separator)?;
                value[at + 1..].to_vec()
            }
            None => value,
        };
        (!route.is_empty()).then(|| Session { name: name.clone(), route: route.into() })
    }

    /// `find_route_worker`: the member of a route, or the one it points to.
    fn routed(&self, route: &[u8], now: i64, depth: usize) -> Option<Arc<Worker>> {
        for standby in [false, true] {
            for member in
                self.members.iter().filter(|m| m.params.status.standby == standby)
            {
                if member.params.route.is_empty() || member.params.route[..] != *route {
                    continue;
                }
                if member.is_usable(now) {
                    return Some(member.clone());
                }
                let redirect = &member.params.redirect;
                if !redirect.is_empty() && depth < self.members.len() {
                    let other = self.routed(redirect, now, depth + 1);
                    if let Some(other) = other.filter(|other| other.is_usable(now)) {
                        return Some(other);
                    }
                }
            }
        }
        None
    }

    /// A request that went where its session is counts among all.
    fn count(&self, chosen: &Worker, now: i64) {
        let mut total = 0;
        for member in self.members.iter().filter(|member| member.is_usable(now)) {
            total += member.factor();
            member.state.share.fetch_add(member.factor(), Ordering::Relaxed);
        }
        chosen.state.share.fetch_sub(total, Ordering::Relaxed);
    }

    /// `ap_proxy_balancer_get_best_worker`.
    fn best(&self, now: i64) -> Option<Arc<Worker>> {
        let last = self.members.iter().map(|member| member.params.set).max()?;
        for set in 0..=last {
            let mut search = Search { method: self.params.method, best: None, total: 0 };
            let (mut spares, mut standbys, mut missing) =
                (Vec::new(), Vec::new(), 0_usize);
            for member in self.members.iter().filter(|member| member.params.set == set) {
                let status = member.params.status;
                let usable = member.is_usable(now);
                match (status.spare, status.standby) {
                    (false, false) if status.drain || !usable => missing += 1,
                    _ if status.drain => {}
                    (true, _) if usable => spares.push(member),
                    (_, true) if usable => standbys.push(member),
                    (false, false) => search.consider(member),
                    _ => {}
                }
            }
            for spare in spares.into_iter().take(missing) {
                search.consider(spare);
            }
            if search.best.is_none() {
                for standby in standbys {
                    search.consider(standby);
                }
            }
            if let Some(best) = search.best {
                best.state.share.fetch_sub(search.total, Ordering::Relaxed);
                return Some(best.clone());
            }
        }
        None
    }
}

/// The best one so far.
struct Search<'a> {
    method: Method,
    best: Option<&'a Arc<Worker>>,
    total: i64,
}

impl<'a> Search<'a> {
    fn consider(&mut self, member: &'a Arc<Worker>) {
        let share = member.state.share.fetch_add(member.factor(), Ordering::Relaxed)
            + member.factor();
        self.total += member.factor();
        let is_better = self.best.is_none_or(|best| {
            let ahead = share > best.state.share.load(Ordering::Relaxed);
            match self.method {
                Method::Requests => ahead,
                Method::Busyness => {
                    member.busy() < best.busy() || member.busy() == best.busy() && ahead
                }
            }
        });
        if is_better {
            self.best = Some(member);
        }
    }
}

impl Worker {
    /// `loadfactor`, in hundredths.
    fn factor(&self) -> i64 {
        i64::from(self.params.load_factor.unwrap_or(100))
    }
}

/// The value of `name=` in a path or query: `get_path_param`.
fn path_value(url: &[u8], name: &[u8], semicolon: bool) -> Option<Vec<u8>> {
    if name.is_empty() {
        // `stickysession=COOKIE|` names none.
        return None;
    }
    let ends = |b: &u8| matches!(b, b'?' | b'&') || semicolon && *b == b';';
    let mut from = 0;
    while let Some(at) = url[from..].windows(name.len()).position(|part| part == name) {
        let behind = from + at + name.len();
        if url.get(behind) == Some(&b'=') {
            let value = &url[behind + 1..];
            let value = value.split(ends).find(|piece| !piece.is_empty());
            return value.map(<[u8]>::to_vec);
        }
        from += at + 1;
    }
    None
}

/// A cookie's value: `get_cookie_param`.
fn cookie_value(cookies: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    cookies.split(|b| matches!(b, b';' | b',')).find_map(|cookie| {
        let rest = cookie.trim_ascii_start().strip_prefix(name)?;
        let value = rest.trim_ascii_start().strip_prefix(b"=")?;
        (!value.is_empty()).then(|| value.to_vec())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::proxy::params::Params;
    use crate::modules::proxy::url::Parts;

    fn member(name: &str, change: impl Fn(&mut Params)) -> Arc<Worker> {
        let name = format!("http://{name}");
        let mut params = Params::default();
        change(&mut params);
        Arc::new(Worker {
            parts: Parts::of(name.as_bytes()).unwrap(),
            shown: name.clone(),
            name,
            socket: None,
            is_match: false,
            params,
            addresses: Vec::new(),
            state: Arc::default(),
        })
    }

    fn chosen(balancer: &Balancer, times: usize) -> String {
        let names = (0..times).map(|_| match balancer.best(1) {
            Some(member) => member.parts.host.clone(),
            None => "-".to_owned(),
        });
        names.collect()
    }

    fn balancer(members: Vec<Arc<Worker>>) -> Balancer {
        Balancer { members, ..Balancer::new("balancer://b".to_owned()) }
    }

    #[test]
    fn shares_follow_the_factors() {
        let even = balancer(vec![member("a", |_| {}), member("b", |_| {})]);
        assert_eq!(chosen(&even, 6), "ababab");
        let uneven = balancer(vec![
            member("a", |p| p.load_factor = Some(300)),
            member("b", |_| {}),
        ]);
        let all = chosen(&uneven, 8);
        assert_eq!(all.matches('a').count(), 6, "{all}");
    }

    #[test]
    fn spares_standbys_and_sets_wait() {
        let all = balancer(vec![
            member("a", |_| {}),
            member("r", |p| p.status.spare = true),
            member("h", |p| p.status.standby = true),
            member("l", |p| p.set = 1),
        ]);
        assert_eq!(chosen(&all, 2), "aa");
        all.members[0].fail(1);
        assert_eq!(chosen(&all, 2), "rr");
        all.members[1].fail(1);
        assert_eq!(chosen(&all, 2), "hh");
        all.members[2].fail(1);
        assert_eq!(chosen(&all, 2), "ll");
        all.members[3].fail(1);
        assert_eq!(chosen(&all, 1), "-");
    }

    #[test]
    fn the_least_busy_gets_it() {
        let mut busy = balancer(vec![member("a", |_| {}), member("b", |_| {})]);
        busy.params.method = Method::Busyness;
        let hold = busy.members[0].hold();
        assert_eq!(chosen(&busy, 3), "bbb");
        drop(hold);
        assert!(chosen(&busy, 4).contains('a'));
    }

    #[test]
    fn sessions_are_found_in_paths_and_cookies() {
        let value = |found: Option<Vec<u8>>| found.map(|v| String::from_utf8(v).unwrap());
        assert_eq!(value(path_value(b"/x;s=1.a?b", b"s", true)).as_deref(), Some("1.a"));
        assert_eq!(
            value(path_value(b"/x?t&s=1.a&u", b"s", false)).as_deref(),
            Some("1.a")
        );
        assert_eq!(value(path_value(b"/s/x", b"s", false)), None);
        assert_eq!(value(path_value(b"/x?s=1", b"", false)), None);
        assert_eq!(value(cookie_value(b"a=b; s=1.b", b"s")).as_deref(), Some("1.b"));
        assert_eq!(value(cookie_value(b"xs=1", b"s")), None);
    }
}
