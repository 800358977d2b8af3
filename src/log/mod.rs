//! Log files: httpd's error log, and the sinks that lines go to.

pub mod error;
pub mod sink;

pub use crate::disk::utc_offset;
pub use sink::Sink;

/// The process's and the thread's number.
pub fn ids() -> (u32, u64) {
    thread_local! {
        static IDS: (u32, u64) =
            (std::process::id(), nix::unistd::gettid().as_raw() as u64);
    }
    IDS.with(|ids| *ids)
}

/// Microseconds since 1970.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as i64)
}
