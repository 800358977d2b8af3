//! Gates: what another module's back end becomes here, a path that an application is
//! defined at and requests are led to.

use std::collections::{HashMap, HashSet};

use super::{Change, indent, lines};
use crate::Compiled;
use crate::convert::{name_of, quoted};
use crate::expand::Item;
use crate::syntax::Span;

pub(super) struct Gates<'a> {
    compiled: &'a Compiled,
    /// The names of gates by what is behind them.
    names: HashMap<String, String>,
    /// The gates that a server has an `Alias` for.
    aliased: HashSet<(String, Option<Span>)>,
    texts: String,
}

impl Gates<'_> {
    pub(super) fn new(compiled: &Compiled) -> Gates<'_> {
        let texts = compiled.sources.iter();
        let texts =
            texts.map(|source| String::from_utf8_lossy(&source.bytes).into_owned());
        Gates {
            compiled,
            names: HashMap::new(),
            aliased: HashSet::new(),
            texts: texts.collect(),
        }
    }

    /// The gate for a back end, and the edit that opens it where this is its first use, or
    /// the first in this server. The edit stands before the outermost container, seen from
    /// the server, around `item`. In the definition `{path}` is the path given, or one that
    /// nothing else has.
    pub(super) fn open(
        &mut self,
        definition: &str,
        path: Option<&str>,
        by_action: bool,
        item: &Item,
        why: &str,
    ) -> (String, Option<Change>) {
        let key = definition.replace("{path}", path.unwrap_or("{path}"));
        let known = self.names.get(&key).cloned();
        let name = known.clone().unwrap_or_else(|| self.unused());
        let (server, outer) = outermost(&self.compiled.items, item, None);
        let outer = outer.unwrap_or(item);
        let blank = indent(self.compiled, outer);
        let path = quoted(&path.map_or_else(|| format!("/{name}"), str::to_owned));
        let mut text = String::new();
        if known.is_none() {
            self.names.insert(key, name.clone());
            text += &format!("{blank}{}\n", definition.replace("{path}", &path));
        }
        if by_action && self.aliased.insert((name.clone(), server)) {
            text += &format!(
                "{blank}Alias /{name} {path}\n{blank}<Location /{name}>\n{blank}    Require \
                 env REDIRECT_STATUS\n{blank}</Location>\n"
            );
        }
        if text.is_empty() {
            return (name, None);
        }
        let start = lines(self.compiled, outer).start;
        let span = Span { file: outer.name_span.file, start, end: start };
        (name, Some(Change { span, text, safe: false, why: why.to_owned() }))
    }

    /// A name that stands in none of the texts.
    fn unused(&self) -> String {
        let mut number = self.names.len() + 1;
        while self.texts.contains(&format!("fcgi-gate-{number}")) {
            number += 1;
        }
        format!("fcgi-gate-{number}")
    }
}

/// The virtual host that an item stands in, and the container around it that stands
/// directly in that server; the item itself if it does.
fn outermost<'a>(
    items: &'a [Item],
    wanted: &Item,
    server: Option<Span>,
) -> (Option<Span>, Option<&'a Item>) {
    let holds = |item: &&Item| item.name_span == wanted.name_span || within(item, wanted);
    match items.iter().find(holds) {
        Some(found) if name_of(found) == "<virtualhost" => {
            let body = found.body.as_deref().unwrap_or_default();
            outermost(body, wanted, Some(found.name_span))
        }
        found => (server, found),
    }
}

fn within(item: &Item, wanted: &Item) -> bool {
    let body = item.body.as_deref().unwrap_or_default();
    body.iter().any(|inner| inner.name_span == wanted.name_span || within(inner, wanted))
}
