//! A word of a directive's arguments, and what it can be taken for.

use bytes::Bytes;

use super::{Problem, Result};
use crate::syntax::lexer;
use crate::syntax::{Span, Text};

/// One argument.
#[derive(Clone, Debug)]
pub struct Word {
    /// Its bytes, quotes and escapes undone.
    pub bytes: Bytes,
    /// Where it stands.
    pub span: Span,
    /// Written in quotes.
    pub quoted: bool,
}

impl Word {
    /// All words of a text.
    pub fn all(text: &Text) -> Vec<Word> {
        lexer::words(text.bytes())
            .into_iter()
            .map(|raw| Word {
                span: text.span(raw.range.clone()),
                bytes: raw.bytes.into(),
                quoted: raw.quoted,
            })
            .collect()
    }

    /// The word as text; bytes that are no UTF-8 are shown as `?`-like marks.
    pub fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The word as text, or an error.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.bytes)
            .map_err(|_| Problem::from("the argument is not valid UTF-8").at(self.span))
    }

    /// The same word, without regard to case?
    pub fn is(&self, other: &str) -> bool {
        self.bytes.eq_ignore_ascii_case(other.as_bytes())
    }

    /// `On` or `Off`.
    pub fn flag(&self) -> Option<bool> {
        if self.is("on") {
            Some(true)
        } else if self.is("off") {
            Some(false)
        } else {
            None
        }
    }

    /// A decimal number that fills the word, like C's `strtol` followed by a check.
    pub fn integer(&self) -> Option<i64> {
        std::str::from_utf8(&self.bytes).ok()?.parse().ok()
    }

    /// What C's `atoi` makes of it: leading digits, otherwise 0.
    pub fn atoi(&self) -> i64 {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = text.trim_start();
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        sign * digits[..end].parse::<i64>().unwrap_or(if end == 0 { 0 } else { i64::MAX })
    }

    /// A time: a number with an optional unit, of which `default` is assumed. Units as
    /// `ap_timeout_parameter_parse` has them: `ms`, `s`, `mi`/`min`, `h`.
    pub fn duration(&self, default: Unit) -> Option<std::time::Duration> {
        use std::time::Duration;
        let text = std::str::from_utf8(&self.bytes).ok()?;
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().ok()?;
        let unit = &text[digits..];
        let millis = match unit.to_ascii_lowercase().as_str() {
            "" => match default {
                Unit::Seconds => number.checked_mul(1000)?,
                Unit::Millis => number,
            },
            "ms" => number,
            "s" => number.checked_mul(1000)?,
            "mi" | "min" => number.checked_mul(60_000)?,
            "h" => number.checked_mul(3_600_000)?,
            _ => return None,
        };
        Some(Duration::from_millis(millis))
    }
}

/// The unit of a bare number.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
}
