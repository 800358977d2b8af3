//! What becomes of every directive of a configuration that is carried over to another
//! server. Every directive of every file is in the list, and each once.

use std::collections::{HashMap, HashSet};

use super::edit::{each_directive, files};
use crate::Compiled;
use crate::expand::Item;
use crate::explain::Place;
use crate::known::{self, Known};
use crate::schema::{Compat, Set, lookup};
use crate::syntax::Span;

/// What becomes of a directive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The other server does not need it, and why.
    Needless(String),
    /// The other server is told the same.
    Carried,
    /// The other server is told a part of it; the rest is named.
    Partly(String),
    /// The other server is not told, and why.
    Lost(String),
}

impl Fate {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Fate::Carried => "carried",
            Fate::Partly(_) => "partly carried",
            Fate::Needless(_) => "not needed",
            Fate::Lost(_) => "not carried",
        }
    }

    /// Why it is not simply carried; empty if it is.
    pub fn why(&self) -> &str {
        match self {
            Fate::Carried => "",
            Fate::Partly(why) | Fate::Needless(why) | Fate::Lost(why) => why,
        }
    }
}

/// One directive and its fate.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it stands.
    pub place: Place,
    /// The directive as written, in one line.
    pub text: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// The fates of all directives.
#[derive(Debug, Default)]
pub struct Ledger {
    fates: HashMap<Span, Fate>,
}

impl Ledger {
    /// Notes a fate. Of several (a section of the main server is looked at for every
    /// virtual host) the one that says most counts: lost before carried before needless.
    pub fn set(&mut self, item: &Item, fate: Fate) {
        let entry = self.fates.entry(item.name_span).or_insert_with(|| fate.clone());
        if fate > *entry {
            *entry = fate;
        }
    }

    /// All directives, in the order of the texts. What nobody noted a fate of is lost.
    pub fn entries(&self, compiled: &Compiled) -> Vec<Entry> {
        let mut out = Vec::new();
        let mut live = Vec::new();
        flat(&compiled.items, &mut live);
        let mut known = HashSet::new();
        let place = |span: Span| Place {
            file: compiled.sources.name(span.file).to_owned(),
            line: compiled.sources.line(span.file, span.start),
        };
        let text = |name: &[u8], args: &[u8]| {
            let text = [name, b" ", args].concat();
            String::from_utf8_lossy(&text)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        for item in live {
            if known.insert(item.name_span) {
                out.push((
                    item.name_span,
                    Entry {
                        place: place(item.name_span),
                        text: text(&item.name, item.args.bytes()),
                        fate: self.fate(item),
                    },
                ));
            }
        }
        for (_, nodes) in files(compiled) {
            each_directive(&nodes, &mut |directive| {
                if known.contains(&directive.name_span) {
                    return;
                }
                let acts = lookup::directive(&directive.name)
                    .is_some_and(|found| matches!(found.directive.set, Set::Read(..)));
                let why = if acts {
                    "it acts while the files are read, and did"
                } else {
                    "its condition does not hold, or its macro is not used"
                };
                out.push((
                    directive.name_span,
                    Entry {
                        place: place(directive.name_span),
                        text: text(&directive.name, directive.args.bytes()),
                        fate: Fate::Needless(why.to_owned()),
                    },
                ));
            });
        }
        out.sort_by_key(|(span, _)| (span.file, span.start));
        out.into_iter().map(|(_, entry)| entry).collect()
    }

    fn fate(&self, item: &Item) -> Fate {
        if let Some(fate) = self.fates.get(&item.name_span) {
            return fate.clone();
        }
        let ignored =
            |why: &str| Fate::Needless(format!("it has no effect here either: {why}"));
        if let Some(found) = lookup::directive(&item.name) {
            if let Compat::Ignored(why) = found.directive.compat {
                return ignored(why);
            }
        } else if let Some(entry) = known::find(&String::from_utf8_lossy(&item.name))
            && let Known::Ignored(why) = entry.known
        {
            return ignored(why);
        }
        Fate::Lost("nothing is made of it for the other server".to_owned())
    }
}

/// Items and what stands in them, in order.
fn flat<'a>(items: &'a [Item], out: &mut Vec<&'a Item>) {
    for item in items {
        out.push(item);
        flat(item.body.as_deref().unwrap_or_default(), out);
    }
}
