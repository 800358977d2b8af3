//! httpd's scoreboard: what every connection is doing, and totals. Only a thread's own
//! tasks touch its connections, so a request costs no lock and no allocation here; whoever
//! wants to see them asks the thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use directives::cgi::put_decimal;
use directives::modules::status::{Connection, State};
use directives::request::{Head, Request};
use tokio::sync::{mpsc, oneshot};

use super::socket::Shared;

/// How much of a request line is kept: httpd's 63 characters.
const LINE: usize = 63;
/// How much of a host's name is kept.
const HOST: usize = 127;

/// Totals of one thread, which alone adds to them.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests answered.
    pub accesses: AtomicU64,
    /// Bytes sent for them, heads included, as httpd counts.
    pub bytes: AtomicU64,
    /// How long they took, all together, microseconds.
    pub duration: AtomicU64,
}

impl Tally {
    /// One more request.
    fn add(&self, bytes: u64, micros: u64) {
        self.accesses.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.duration.fetch_add(micros, Ordering::Relaxed);
    }
}

/// Where a thread is asked for its connections, and where it is answered.
pub type Question = oneshot::Sender<Vec<Connection>>;

/// A thread's part of the scoreboard, seen from the thread.
#[derive(Debug)]
pub struct Seats {
    /// Its totals.
    pub tally: Arc<Tally>,
    connections: RefCell<BTreeMap<u64, Rc<Shared>>>,
}

impl Seats {
    /// Without connections.
    pub fn new(tally: Arc<Tally>) -> Rc<Seats> {
        Rc::new(Seats { tally, connections: RefCell::default() })
    }

    /// A connection has come; it is there until the answer is dropped.
    pub fn take(self: &Rc<Seats>, id: u64, connection: &Rc<Shared>) -> Seat {
        self.connections.borrow_mut().insert(id, connection.clone());
        Seat { seats: self.clone(), id }
    }

    /// Answers whoever asks, as long as the thread lives.
    pub async fn answer(
        self: Rc<Seats>,
        mut questions: mpsc::UnboundedReceiver<Question>,
    ) {
        while let Some(question) = questions.recv().await {
            let now = crate::log::now();
            let connections = self.connections.borrow();
            let shown = connections.values().map(|shared| shared.shown(now));
            // Who does not wait any more does not want to know.
            let _ = question.send(shown.collect());
        }
    }
}

/// A connection's place.
#[derive(Debug)]
pub struct Seat {
    seats: Rc<Seats>,
    id: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.connections.borrow_mut().remove(&self.id);
        crate::log::told::forget(self.id);
    }
}

/// The latest request of a connection.
#[derive(Debug, Default)]
pub struct Record {
    line: Text<LINE>,
    host: Text<HOST>,
    protocol: &'static str,
    /// When it began, microseconds since 1970.
    began: i64,
    /// How long it took, once it is over, microseconds.
    took: Option<u64>,
}

impl Record {
    /// A request begins. Its line is kept if `keep` says so: `ExtendedStatus`, and with
    /// `Some(true)` its end (`SeeRequestTail`).
    pub fn begin(&mut self, head: &Head, now: i64, keep: Option<bool>) {
        (self.began, self.took) = (now, None);
        self.line.clear();
        self.host.clear();
        let Some(tail) = keep else { return };
        let (version, protocol) = match head.version {
            10 => (" HTTP/1.0", "http/1.0"),
            20 => (" HTTP/2.0", "h2"),
            _ => (" HTTP/1.1", "http/1.1"),
        };
        self.protocol = protocol;
        let [before, mask, behind] = without_password(&head.target);
        let method = head.method.as_str().as_bytes();
        self.line.join(&[method, b" ", before, mask, behind, version.as_bytes()], tail);
    }

    /// The request's virtual host is known, if its line is kept.
    pub fn host(&mut self, r: &Request) {
        if self.line.is_empty() || !self.host.is_empty() {
            return;
        }
        let name = r.server.config.core.server_name.as_deref().unwrap_or_default();
        // What does not fit is cut.
        self.host.push(name.as_bytes());
        self.host.push(b":");
        let mut digits = [0; 5];
        let at = put_decimal(&mut digits, r.connection.local.port());
        self.host.push(&digits[at..]);
    }

    /// A request is over, and so many bytes were sent for it.
    pub fn end(&mut self, tally: &Tally, bytes: u64, micros: u64) {
        self.took = Some(micros);
        tally.add(bytes, micros);
    }

    /// For whoever wants to see it.
    pub fn shown(&self, state: State, now: i64) -> Connection {
        let since = u64::try_from(now - self.began).unwrap_or(0);
        Connection {
            state,
            client: String::new(),
            host: String::from_utf8_lossy(&self.host.bytes[..self.host.length]).into(),
            request: self.line.bytes[..self.line.length].to_vec(),
            protocol: self.protocol,
            accesses: 0,
            bytes: 0,
            since: if self.began == 0 { 0 } else { since },
            took: self.took,
        }
    }
}

/// A target in three parts, of which the second stands for a password: nobody has to see
/// what `http://user:password@host/` says.
fn without_password(target: &[u8]) -> [&[u8]; 3] {
    let all = [target, &[][..], &[][..]];
    if target.first() == Some(&b'/') {
        return all;
    }
    let begin = target.windows(3).position(|w| w == b"://").map_or(0, |at| at + 3);
    let end = target[begin..].iter().position(|&b| b == b'/' || b == b'?');
    let authority = &target[begin..end.map_or(target.len(), |end| begin + end)];
    let Some(at) = authority.iter().rposition(|&b| b == b'@') else { return all };
    let Some(colon) = authority[..at].iter().position(|&b| b == b':') else { return all };
    [&target[..=begin + colon], b"XXXXXXXX", &target[begin + at..]]
}

/// A text that needs no memory of its own, cut at its end or at its beginning.
#[derive(Debug)]
struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Text<N> {
    fn clear(&mut self) {
        self.length = 0;
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends what there is room for.
    fn push(&mut self, bytes: &[u8]) {
        let n = bytes.len().min(N - self.length);
        self.bytes[self.length..self.length + n].copy_from_slice(&bytes[..n]);
        self.length += n;
    }

    /// These pieces, or with `tail` the end of them.
    fn join(&mut self, pieces: &[&[u8]], tail: bool) {
        let all: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut skip = if tail { all.saturating_sub(N) } else { 0 };
        for piece in pieces {
            let from = skip.min(piece.len());
            skip -= from;
            self.push(&piece[from..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(target: &'static [u8], keep: Option<bool>) -> String {
        let head = Head {
            method: "GET".parse().unwrap(),
            target: target.into(),
            version: 11,
            headers: hyper::HeaderMap::new(),
        };
        let mut record = Record::default();
        record.begin(&head, 1, keep);
        String::from_utf8(record.shown(State::Writing, 2).request).unwrap()
    }

    #[test]
    fn one_end_of_a_long_line_is_kept() {
        const LONG: &[u8] =
            b"/a/long/path/that/does/not/fit/into/the/room/there/is/for/a/line?with=args";
        assert_eq!(line(b"/a?b", Some(false)), "GET /a?b HTTP/1.1");
        assert_eq!(line(b"/a?b", Some(true)), "GET /a?b HTTP/1.1");
        assert_eq!(line(b"/a?b", None), "");
        let all = format!("GET {} HTTP/1.1", std::str::from_utf8(LONG).unwrap());
        assert_eq!(line(LONG, Some(false)), all[..LINE]);
        assert_eq!(line(LONG, Some(true)), all[all.len() - LINE..]);
    }

    #[test]
    fn passwords_are_not_kept() {
        assert_eq!(
            line(b"http://joe:pa:ss@w@h.example/x@y:z", Some(false)),
            "GET http://joe:XXXXXXXX@h.example/x@y:z HTTP/1.1"
        );
        assert_eq!(
            line(b"http://h.example:80/a@b", Some(false)),
            "GET http://h.example:80/a@b HTTP/1.1"
        );
        assert_eq!(line(b"/a:b@c", Some(false)), "GET /a:b@c HTTP/1.1");
    }
}
