//! Finding a directive or a module by the name that somebody typed.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{Directive, Module};
use crate::known::{self, Known};
use crate::modules::MODULES;

/// A declared directive, the spelling of the name that was used, and its module.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The declaration.
    pub directive: &'static Directive,
    /// The name under which it was found, as declared: messages use this one (C-4).
    pub name: &'static str,
    /// Its module.
    pub module: &'static Module,
}

fn table() -> &'static HashMap<String, Found> {
    static TABLE: OnceLock<HashMap<String, Found>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = HashMap::new();
        for module in MODULES {
            for &directive in module.directives {
                for &name in std::iter::once(&directive.name).chain(directive.aliases) {
                    table.insert(
                        name.to_ascii_lowercase(),
                        Found { directive, name, module },
                    );
                }
            }
        }
        table
    })
}

/// The directive called `name`, without regard to case; sections with their `<`.
pub fn directive(name: &[u8]) -> Option<Found> {
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    table().get(&name).copied()
}

/// The module that `<IfModule>` means by `name`: its file or its identifier. The
/// comparison regards case, as httpd's does.
pub fn module(name: &str) -> Option<&'static Module> {
    MODULES.iter().copied().find(|module| module.name == name || module.id == name)
}

/// The known or declared name nearest to `typed`, if one is near enough to suggest.
pub fn nearest(typed: &str) -> Option<&'static str> {
    let wanted = typed.to_ascii_lowercase();
    let limit = (wanted.len() / 4).clamp(1, 3);
    let declared = table().values().map(|found| found.name);
    let known = known::entries()
        .iter()
        .filter(|entry| matches!(entry.known, Known::Ignored(_)))
        .map(|entry| entry.name);
    declared
        .chain(known)
        .filter(|name| name.starts_with('<') == wanted.starts_with('<'))
        // Each letter more or less is an edit: most names need no closer look.
        .filter(|name| name.len().abs_diff(wanted.len()) <= limit)
        .map(|name| (distance(&wanted, &name.to_ascii_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Edits (insert, delete, replace, swap of neighbours) between two names.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_near() {
        assert_eq!(distance("servername", "servernam"), 1);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(nearest("FastCgiServr"), Some("FastCgiServer"));
        assert_eq!(nearest("Zzyzx"), None);
    }
}
