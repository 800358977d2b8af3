//! What keeps people out with lighttpd, and cannot be said for this server: the same URLs
//! are closed to everybody. More may be closed than was, never less.

use super::parse::{Statement, Value};
use crate::convert::quoted;
use crate::convert::read::escaped;

/// Does a setting let in less than everybody?
pub(super) fn protects(name: &str, value: &Value) -> bool {
    match name {
        "auth.require" | "url.access-deny" | "url.access-allow" => {
            !value.list().is_empty()
        }
        "ssl.verifyclient.activate" => value.on(),
        _ => false,
    }
}

/// The lines of a section of all URLs that begin like this: other than `<Location>`,
/// lighttpd looks for no slash behind it.
pub(super) fn below(prefix: &str, within: &str) -> Vec<String> {
    if ["", "/"].contains(&prefix) {
        return section("Location", "/", within);
    }
    section("LocationMatch", &format!("^{}", escaped(prefix)), within)
}

/// The lines of a section with one directive in it.
pub(super) fn section(kind: &str, of: &str, within: &str) -> Vec<String> {
    vec![
        format!("<{kind} {}>", quoted(of)),
        format!("    {within}"),
        format!("</{kind}>"),
    ]
}

/// What closes to everybody.
const CLOSED: &str = "Require all denied";

/// The lines that close what one setting protects; none if it protects nothing.
pub(super) fn instead_of(name: &str, value: &Value) -> Vec<String> {
    if !protects(name, value) {
        return Vec::new();
    }
    let list = value.list();
    match name {
        "auth.require" => list
            .iter()
            .flat_map(|(url, ..)| below(url.as_deref().unwrap_or_default(), CLOSED))
            .collect(),
        "url.access-deny" => list
            .iter()
            .flat_map(|(_, suffix, _)| match suffix.text().as_str() {
                "" => below("/", CLOSED),
                suffix => section("FilesMatch", &format!("{}$", escaped(suffix)), CLOSED),
            })
            .collect(),
        _ => below("/", CLOSED),
    }
}

/// The lines that close what statements protect, whatever condition they stand under.
pub(super) fn instead(statements: &[Statement]) -> Vec<String> {
    let mut lines = Vec::new();
    for statement in statements {
        match statement {
            Statement::Other { .. } => {}
            Statement::Set { name, value, .. } => lines.extend(instead_of(name, value)),
            Statement::If { field, operator, value, body, is_else, .. } => {
                let inner = instead(body);
                if inner.is_empty() {
                    continue;
                }
                match (&field[..], &operator[..]) {
                    ("HTTP[url]", "=^") if !is_else => lines.extend(below(value, CLOSED)),
                    ("HTTP[url]", "=~") if !is_else => {
                        lines.extend(section("LocationMatch", value, CLOSED));
                    }
                    _ => lines.extend(inner),
                }
            }
        }
    }
    lines
}
