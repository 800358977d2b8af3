//! What an exchange leaves for the next one of its thread. A timer that is put off takes no
//! lock and does not wake the reactor, as a new one would; a buffer whose pieces have been
//! sent is as good as new.

use std::cell::RefCell;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, Sleep, sleep_until};

/// So many of each are kept.
const MOST: usize = 32;

type Timer = Pin<Box<Sleep>>;

/// A thread has one runtime, and so its timers fit.
#[derive(Default)]
struct Spare {
    timers: Vec<(Duration, Timer)>,
    buffers: Vec<BytesMut>,
}

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
}

/// A timer for that long from now.
pub fn timer(time: Duration) -> Timer {
    let deadline = Instant::now() + time;
    let known = SPARE.with_borrow_mut(|spare| {
        // One that was for longer could not be put off, only set anew.
        let i = spare.timers.iter().rposition(|(of, _)| *of == time)?;
        Some(spare.timers.swap_remove(i).1)
    });
    match known {
        Some(mut timer) => {
            timer.as_mut().reset(deadline);
            timer
        }
        None => Box::pin(sleep_until(deadline)),
    }
}

/// Takes a timer back that was last set for `time`.
pub fn put_timer(time: Duration, timer: Timer) {
    SPARE.with_borrow_mut(|spare| {
        if spare.timers.len() < MOST {
            spare.timers.push((time, timer));
        }
    });
}

/// A buffer for reading, with nothing in it.
pub fn buffer() -> BytesMut {
    SPARE.with_borrow_mut(|spare| spare.buffers.pop()).unwrap_or_default()
}

/// Takes a buffer back. Pieces of it may still be under way.
pub fn put_buffer(mut buffer: BytesMut) {
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.buffers.len() < MOST {
            spare.buffers.push(buffer);
        }
    });
}
