//! What becomes of the directives of a configuration, by kind.

use std::collections::BTreeMap;

use directives::expand::Item;
use directives::known::{self, Known};
use directives::schema::{Compat, lookup};
use directives::syntax::Span;

/// What becomes of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It does what it does in httpd.
    Kept,
    /// It does so with a difference.
    Differs,
    /// It has no effect.
    Ignored,
    /// The server does not start with it.
    Refused,
    /// Nobody knows it.
    Unknown,
}

impl Fate {
    /// All, from the best to the worst.
    pub const ALL: [Fate; 5] =
        [Fate::Kept, Fate::Differs, Fate::Ignored, Fate::Refused, Fate::Unknown];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Kept => "kept",
            Fate::Differs => "differs",
            Fate::Ignored => "ignored",
            Fate::Refused => "refused",
            Fate::Unknown => "unknown",
        }
    }
}

/// A kind of directive: how often it occurs, and why it is not simply kept.
#[derive(Clone, Debug, Default)]
pub struct Count {
    /// How often.
    pub times: usize,
    /// Why; empty for what is kept and for what is unknown.
    pub reason: &'static str,
    /// Where; empty for what is kept.
    pub places: Vec<Span>,
}

/// Kinds of directive by fate and name.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<(Fate, String), Count>);

impl Tally {
    /// Counts directives and what stands inside them.
    pub fn of(items: &[Item]) -> Tally {
        let mut tally = Tally::default();
        tally.add(items);
        tally
    }

    fn add(&mut self, items: &[Item]) {
        for item in items {
            let (fate, name, reason) = fate(&item.name);
            let count = self.0.entry((fate, name)).or_default();
            count.times += 1;
            count.reason = reason;
            if fate != Fate::Kept {
                count.places.push(item.name_span);
            }
            self.add(item.body.as_deref().unwrap_or_default());
        }
    }

    /// The kinds with a fate, by name.
    pub fn with(&self, fate: Fate) -> impl Iterator<Item = (&str, &Count)> {
        let kinds = self.0.iter().filter(move |((of, _), _)| *of == fate);
        kinds.map(|((_, name), count)| (name.as_str(), count))
    }
}

/// What becomes of a directive, its name as declared, and why.
fn fate(name: &[u8]) -> (Fate, String, &'static str) {
    if let Some(found) = lookup::directive(name) {
        let (fate, reason) = match found.directive.compat {
            Compat::Exact => (Fate::Kept, ""),
            Compat::Differs(how) => (Fate::Differs, how),
            Compat::Ignored(why) => (Fate::Ignored, why),
        };
        return (fate, closed(found.name), reason);
    }
    let typed = String::from_utf8_lossy(name).into_owned();
    let Some(entry) = known::find(&typed) else {
        return (Fate::Unknown, closed(&typed), "");
    };
    // A name of a family has no spelling of its own.
    let name = if entry.name.is_empty() { &typed } else { entry.name };
    match entry.known {
        Known::Ignored(why) => (Fate::Ignored, closed(name), why),
        Known::Refused(why) => (Fate::Refused, closed(name), why),
    }
}

/// `<Directory` as people write it.
fn closed(name: &str) -> String {
    if name.starts_with('<') { format!("{name}>") } else { name.to_owned() }
}
