//! Log files: httpd's error log, and the sinks that lines go to.

pub mod error;
pub mod sink;

pub use sink::Sink;

/// Microseconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// Local time's distance from UTC at a moment, seconds.
pub fn utc_offset(micros: i64) -> i32 {
    use std::sync::OnceLock;
    static ZONE: OnceLock<jiff::tz::TimeZone> = OnceLock::new();
    let zone = ZONE.get_or_init(jiff::tz::TimeZone::system);
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(time) => zone.to_offset(time).seconds(),
        Err(_) => 0,
    }
}
