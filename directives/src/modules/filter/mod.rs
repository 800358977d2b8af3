//! mod_filter: filters that look at a response before they take it, and their chain.

mod directives;
mod smart;

use std::sync::Arc;

use bytes::Bytes;

use crate::filter::{self, Added};
use crate::log::Level;
use crate::merge::Merge;
use crate::phase::{DECLINED, Phase, Verdict, on};
use crate::request::Request;
use crate::schema::Module;

pub use smart::{Provider, Smart};

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    /// The filters that are declared: httpd's `live_filters`, whose names have case.
    live: Vec<Arc<Smart>>,
    /// The chain, in order; `None` ends all that stands before it.
    chain: Vec<Option<Bytes>>,
}

impl Merge for Dir {
    // See filter_merge: an inner section's filter takes the place of the outer section's of
    // its name; the inner section's chain stands behind the outer one's.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let mut live = outer.live.clone();
        for smart in &inner.live {
            match live.iter_mut().find(|old| old.name == smart.name) {
                Some(old) => *old = smart.clone(),
                None => live.push(smart.clone()),
            }
        }
        let chain = outer.chain.iter().chain(&inner.chain).cloned().collect();
        Dir { live, chain }
    }
}

impl Dir {
    /// A filter of this section, or a new one.
    fn live(&mut self, name: &[u8]) -> Option<&mut Smart> {
        let found = self.live.iter_mut().find(|smart| smart.name == name);
        // Sections are read before they are shared.
        found.and_then(Arc::get_mut)
    }

    /// No chain?
    pub(crate) fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    fn declare(&mut self, smart: Smart) {
        self.live.retain(|old| old.name != smart.name);
        self.live.push(Arc::new(smart));
    }

    /// Adds the chain to a request's filters: `filter_insert`.
    pub(crate) fn insert(&self, r: &mut Request) {
        let reset = self.chain.iter().rposition(Option::is_none).map_or(0, |at| at + 1);
        for name in self.chain[reset..].iter().flatten() {
            let Some(smart) = self.live.iter().find(|smart| smart.name == *name) else {
                let name = String::from_utf8_lossy(name).into_owned();
                let text = format!("Unknown filter {name} not added");
                r.log(Level::Warn, "filter", 1380, text);
                continue;
            };
            if smart.hides_ranges() {
                Arc::make_mut(&mut r.headers_in).remove(http::header::RANGE);
            }
            r.filters.push(Added::Smart(smart.clone()));
        }
    }
}

/// Settings of a server: none of its own.
pub type Server = ();

/// The module.
pub static MODULE: Module = Module {
    name: "mod_filter.c",
    id: "filter_module",
    directives: directives::ALL,
    hooks: &[on(Phase::Respond, respond)],
};

/// All output filters have their say about the head, behind what mod_expires says and
/// before mod_headers.
fn respond(r: &mut Request) -> Verdict {
    if r.filters.is_empty() {
        return DECLINED;
    }
    filter::begin(r, respond)
}
