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
/// The room for the beginning of a request, and the most that is kept of it, bytes.
const OPENING: usize = 2048;
const OPENING_MOST: usize = 4 * OPENING;

type Timer = Pin<Box<Sleep>>;

/// A thread has one runtime, and so its timers fit.
#[derive(Default)]
struct Spare {
    timers: Vec<(Duration, Timer)>,
    buffers: Vec<BytesMut>,
    openings: Vec<Vec<u8>>,
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

/// Room for the beginning of a request.
pub fn opening() -> Vec<u8> {
    let known = SPARE.with_borrow_mut(|spare| spare.openings.pop());
    known.unwrap_or_else(|| Vec::with_capacity(OPENING))
}

/// Takes that room back.
pub fn put_opening(mut opening: Vec<u8>) {
    opening.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.openings.len() < MOST && opening.capacity() <= OPENING_MOST {
            spare.openings.push(opening);
        }
    });
}
