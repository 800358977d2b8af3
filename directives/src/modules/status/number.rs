//! Numbers, times and names as pages show them.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::Report;
use crate::path;

/// APR's `%g`: six digits, and no 0 before the point.
pub fn g(value: f64) -> String {
    g_of(value, 6)
}

/// The same with so many digits.
pub fn g_of(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let shown = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let fraction = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
    let plain = format!("{value:.fraction$}");
    let plain = trimmed(&plain);
    plain.strip_prefix('0').filter(|rest| !rest.is_empty()).unwrap_or(plain).to_owned()
}

/// Without the zeros at its end.
fn trimmed(number: &str) -> &str {
    if !number.contains('.') {
        return number;
    }
    number.trim_end_matches('0').trim_end_matches('.')
}

/// `format_byte_out`.
pub fn bytes(bytes: f64) -> String {
    const KB: f64 = 1024.0;
    if bytes < 5.0 * KB {
        format!("{bytes:.0} B")
    } else if bytes < KB * KB / 2.0 {
        format!("{:.1} kB", bytes / KB)
    } else if bytes < KB * KB * KB / 2.0 {
        format!("{:.1} MB", bytes / KB / KB)
    } else {
        format!("{:.1} GB", bytes / KB / KB / KB)
    }
}

/// `format_kbyte_out`.
pub fn kilobytes(kilobytes: u64) -> String {
    let number = kilobytes as f64;
    match kilobytes {
        0..1024 => format!("{kilobytes} kB"),
        1024..1_048_576 => format!("{:.1} MB", number / 1024.0),
        _ => format!("{:.1} GB", number / 1_048_576.0),
    }
}

/// `show_time`: each part that is not zero, a blank before it.
pub fn uptime(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let shown = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| {
        let plural = if *n == 1 { "" } else { "s" };
        format!(" {n} {unit}{plural}")
    });
    shown.collect()
}

/// A duration (microseconds) in the two largest units that say something.
pub fn age(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A waiting time (microseconds).
pub fn wait(micros: u64) -> String {
    let millis = micros as f64 / 1000.0;
    if millis < 10.0 {
        format!("{millis:.1} ms")
    } else if millis < 1000.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{:.1} s", millis / 1000.0)
    }
}

/// A rate: a few digits, whatever its size.
pub fn rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// A count, with a thin gap between thousands.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A moment in local time, as httpd's page writes it.
pub fn moment(report: &Report, micros: i64) -> String {
    let offset = Offset::from_seconds(report.utc_offset);
    let zone = offset.map_or(TimeZone::UTC, TimeZone::fixed);
    match Timestamp::from_microsecond(micros) {
        Ok(time) => {
            let shown = time.to_zoned(zone).strftime("%A, %d-%b-%Y %H:%M:%S");
            format!("{shown} {}", report.zone)
        }
        Err(_) => String::new(),
    }
}

/// A text for a page: whatever bytes it has, none of them is markup.
pub fn html(text: impl AsRef<[u8]>) -> String {
    let escaped = path::escape_html(shown(text.as_ref()).as_bytes());
    String::from_utf8_lossy(&escaped).into_owned()
}

/// A text without control characters, which terminals obey.
pub fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let control = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    text.chars()
        .flat_map(|c| {
            let escaped = control(c).then(|| c.escape_default());
            let plain = (!control(c)).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aprs() {
        let shown =
            [0.0, 3.0, 1.0 / 3.0, 0.25, 2_097_152.0, 12_345.678, 0.000_012_3, 1e5];
        let shown = shown.map(g);
        assert_eq!(
            shown,
            ["0", "3", ".333333", ".25", "2.09715e+06", "12345.7", "1.23e-05", "100000"]
        );
        assert_eq!(
            [g_of(0.75, 3), g_of(1234.0, 3), g_of(99.96, 3)],
            [".75", "1.23e+03", "100"]
        );
    }

    #[test]
    fn sizes_and_times_are_those_of_mod_status() {
        assert_eq!(
            [bytes(512.0), bytes(13_312.0), bytes(6e5)],
            ["512 B", "13.0 kB", "0.6 MB"]
        );
        assert_eq!([kilobytes(13), kilobytes(2048)], ["13 kB", "2.0 MB"]);
        assert_eq!(uptime(0), "");
        assert_eq!(uptime(90_061), " 1 day 1 hour 1 minute 1 second");
        assert_eq!(uptime(7200), " 2 hours");
        assert_eq!(
            [age(59_999_999), age(61_000_000), age(90_061_000_000)],
            ["59 s", "1 min 1 s", "1 d 1 h"]
        );
    }

    #[test]
    fn a_text_is_never_markup() {
        assert_eq!(
            html(b"<a href=\"x\">&\x1b[1m\xff"),
            "&lt;a href=&quot;x&quot;&gt;&amp;\\u{1b}[1m\u{fffd}"
        );
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
