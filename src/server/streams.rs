//! HTTP/2's streams: each request has a task of its own, which ends with the stream, when
//! the client takes nothing of its answer any more, or when it takes the request back.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::socket::{Phase, Shared};

tokio::task_local! {
    static STREAM: Rc<Stream>;
}

/// A connection's streams, all together.
#[derive(Debug)]
pub struct Streams {
    open: Cell<u32>,
    answered: Cell<u32>,
    /// Requests that were taken back.
    lost: Cell<u32>,
    /// `H2MaxStreamErrors`.
    most_lost: u32,
    /// `H2StreamTimeout`.
    patience: Duration,
    /// Told when the client has taken back too many.
    abused: tokio::sync::Notify,
}

impl Streams {
    /// Of a new connection.
    pub fn new(most_lost: u32, patience: Duration) -> Streams {
        Streams {
            open: Cell::new(0),
            answered: Cell::new(0),
            lost: Cell::new(0),
            most_lost,
            patience,
            abused: tokio::sync::Notify::new(),
        }
    }

    /// Waits until the client has taken back more requests than it may.
    pub async fn abused(&self) {
        self.abused.notified().await;
    }
}

/// One request's stream.
#[derive(Debug)]
pub struct Stream {
    shared: Rc<Shared>,
    /// Since when the client has not taken what is there for it.
    offered: Cell<Option<Instant>>,
    answered: Cell<bool>,
}

impl Stream {
    /// That of the task at hand; `None` for HTTP/1.
    pub fn current() -> Option<Rc<Stream>> {
        STREAM.try_with(Rc::clone).ok()
    }

    /// A piece of the answer is there for the client.
    pub fn offer(&self) {
        self.offered.set(Some(Instant::now()));
    }

    /// The client has taken what was there.
    pub fn taken(&self) {
        self.offered.set(None);
    }

    /// All of the answer is on its way.
    pub fn answered(&self) {
        self.answered.set(true);
    }

    /// Waits until the client has taken nothing for too long.
    async fn stalled(&self) {
        let patience = self.shared.streams.get().map_or(Duration::ZERO, |s| s.patience);
        if patience.is_zero() {
            return std::future::pending().await;
        }
        loop {
            let since = self.offered.get();
            tokio::time::sleep_until(since.unwrap_or_else(Instant::now) + patience).await;
            if since.is_some() && self.offered.get() == since {
                return;
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(streams) = self.shared.streams.get() else { return };
        let sum = if self.answered.get() { &streams.answered } else { &streams.lost };
        sum.set(sum.get() + 1);
        if streams.lost.get() > streams.answered.get() + streams.most_lost {
            streams.abused.notify_one();
        }
        streams.open.set(streams.open.get() - 1);
        if streams.open.get() == 0 && self.shared.phase.get() == Phase::Busy {
            self.shared.phase.set(Phase::Idle);
        }
    }
}

/// Where hyper's streams run: on this thread, each as a task.
#[derive(Clone, Debug)]
pub struct Tasks(pub Rc<Shared>);

impl<F: Future + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, work: F) {
        let shared = self.0.clone();
        if let Some(streams) = shared.streams.get() {
            streams.open.set(streams.open.get() + 1);
        }
        shared.phase.set(Phase::Busy);
        let offered = Cell::new(None);
        let stream = Rc::new(Stream { shared, offered, answered: Cell::new(false) });
        tokio::task::spawn_local(STREAM.scope(stream.clone(), async move {
            tokio::select! {
                _ = work => {}
                // Without its task the stream is reset.
                () = stream.stalled() => {}
            }
        }));
    }
}
