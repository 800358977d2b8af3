//! JSON, as far as it is written here.

use std::fmt::{Display, Formatter, Result};

/// A value.
#[derive(Clone, Debug)]
pub enum Json {
    /// Nothing is known.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(usize),
    /// A number with a fraction, of three digits.
    Fraction(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// Names and values, in order.
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    /// A text.
    pub fn text(text: impl Into<String>) -> Json {
        Json::Text(text.into())
    }

    /// A list.
    pub fn list(values: impl IntoIterator<Item = Json>) -> Json {
        Json::List(values.into_iter().collect())
    }
}

impl Display for Json {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Number(number) => write!(f, "{number}"),
            // There is no other way to write a number that is none.
            Json::Fraction(number) if !number.is_finite() => f.write_str("null"),
            Json::Fraction(number) => write!(f, "{number:.3}"),
            Json::Text(text) => quoted(text, f),
            Json::List(values) => {
                f.write_str("[")?;
                for (i, value) in values.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    write!(f, "{comma}{value}")?;
                }
                f.write_str("]")
            }
            Json::Object(fields) => {
                f.write_str("{")?;
                for (i, (name, value)) in fields.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    write!(f, "{comma}\"{name}\":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(text: &str, f: &mut Formatter<'_>) -> Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let json = Json::Object(vec![
            ("a", Json::text("\"\\\n\t\u{1}é")),
            ("b", Json::list([Json::Number(1), Json::List(Vec::new())])),
            ("c", Json::list([Json::Null, Json::Bool(true)])),
            ("d", Json::list([Json::Fraction(0.0625), Json::Fraction(f64::NAN)])),
        ]);
        assert_eq!(
            json.to_string(),
            "{\"a\":\"\\\"\\\\\\n\\u0009\\u0001é\",\"b\":[1,[]],\"c\":[null,true],\
             \"d\":[0.062,null]}"
        );
    }
}
