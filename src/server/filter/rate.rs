//! Bodies that are sent no faster than they may be.

use std::time::Duration;

use bytes::Bytes;
use directives::modules::ratelimit::Rate;
use tokio::time::{Instant, sleep_until};

use super::super::body::{Cut, Piece};
use super::{Next, Stage};

/// How often bytes are sent: httpd's `RATE_INTERVAL_MS`.
const INTERVAL: Duration = Duration::from_millis(200);

/// A body and its speed.
pub struct Rated {
    inner: Box<dyn Stage>,
    /// Bytes of an interval.
    portion: usize,
    /// What may still be sent at once.
    burst: u64,
    rest: Bytes,
    next: Option<Instant>,
}

impl Rated {
    /// What comes from `inner`, no faster than `rate`.
    pub fn new(inner: Box<dyn Stage>, rate: Rate) -> Rated {
        let portion = rate.speed * INTERVAL.as_millis() as u64 / 1000;
        let portion = usize::try_from(portion).unwrap_or(usize::MAX).max(1);
        Rated { inner, portion, burst: rate.burst, rest: Bytes::new(), next: None }
    }

    async fn step(&mut self) -> Option<Result<Piece, Cut>> {
        while self.rest.is_empty() {
            match self.inner.next().await? {
                Ok(piece) => self.rest = piece.bytes,
                Err(cut) => return Some(Err(cut)),
            }
        }
        if self.burst > 0 {
            let most = usize::try_from(self.burst).unwrap_or(usize::MAX);
            let bytes = self.rest.split_to(self.rest.len().min(most));
            self.burst -= bytes.len() as u64;
            return Some(Ok(Piece { bytes, flush: true }));
        }
        if let Some(next) = self.next {
            sleep_until(next).await;
        }
        let bytes = self.rest.split_to(self.rest.len().min(self.portion));
        // A small piece takes as much less time.
        let share = bytes.len() as f64 / self.portion as f64;
        self.next = Some(Instant::now() + INTERVAL.mul_f64(share));
        Some(Ok(Piece { bytes, flush: true }))
    }
}

impl Stage for Rated {
    fn next(&mut self) -> Next<'_> {
        Box::pin(self.step())
    }
}
