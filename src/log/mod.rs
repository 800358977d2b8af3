//! Log files: httpd's error log, and the sinks that lines go to.

pub mod error;
pub mod sink;

pub use crate::disk::utc_offset;
pub use sink::Sink;

/// Microseconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
