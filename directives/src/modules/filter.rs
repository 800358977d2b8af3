//! mod_filter: filters for responses of some media types.

use std::sync::Arc;

use bytes::Bytes;

use crate::filter::{self, Added, Kind};
use crate::merge::Merge;
use crate::phase::{DECLINED, Phase, Verdict, on};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Set};

/// A filter for responses of some types: one of httpd's smart filters.
#[derive(Debug)]
pub struct Smart {
    /// The filter.
    pub kind: Kind,
    /// Its name as it was written: httpd's table of these is one with case.
    name: Bytes,
    types: Vec<Bytes>,
}

impl Smart {
    /// Is it for this response? `filter_harness` and `filter_lookup`: anything but 200 is
    /// left alone unless the variable `filter-errordocs` is set, and types are compared
    /// with their case.
    pub fn wants(&self, r: &Request) -> bool {
        if r.status != 200 && !r.env.has(b"filter-errordocs") {
            return false;
        }
        let Some(kind) = &r.content_type else { return false };
        let end = kind.iter().position(|b| b"; \t".contains(b)).unwrap_or(kind.len());
        self.types.iter().any(|wanted| wanted[..] == kind[..end])
    }
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    /// The chain, in order; one entry for each filter of a section.
    chain: Vec<Arc<Smart>>,
}

impl Merge for Dir {
    // See filter_merge: an inner section's types for a filter take the place of the outer
    // section's; where the filter stands in the chain stays.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let mut chain = outer.chain.clone();
        for smart in &inner.chain {
            match chain.iter_mut().find(|old| old.name == smart.name) {
                Some(old) => *old = smart.clone(),
                None => chain.push(smart.clone()),
            }
        }
        Dir { chain }
    }
}

impl Dir {
    /// Adds the chain to a request's filters: `filter_insert`.
    pub(crate) fn insert(&self, r: &mut Request) {
        r.filters.extend(self.chain.iter().cloned().map(Added::Smart));
    }
}

/// Settings of a server: none of its own.
pub type Server = ();

static ADD_OUTPUT_FILTER_BY_TYPE: Directive = Directive {
    name: "AddOutputFilterByType",
    syntax: "filter[;filter...] media-type [media-type] ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "output filter name followed by one or more content-types",
    docs: r"
Sends responses of the named media types through filters; `SetOutputFilter` says which
there are. Only responses with the status 200 are filtered, unless the variable
`filter-errordocs` is set. What a response's own fields say of its type counts: it is
compared as it stands, up to a semicolon, case included. The types that an inner section
names for a filter take the place of those of the outer section.

## Example
    AddOutputFilterByType DEFLATE text/html text/css text/javascript
",
    set: Set::Words(|at, words| {
        let [filters, types @ ..] = words else {
            return Err("AddOutputFilterByType requires at least two arguments".into());
        };
        if types.is_empty() {
            let message = "AddOutputFilterByType requires at least two arguments";
            return Err(Problem::from(message).at(filters.span));
        }
        let types: Vec<Bytes> = types.iter().map(|word| word.bytes.clone()).collect();
        let names = filters.bytes.split(|&b| b == b';').filter(|name| !name.is_empty());
        for (name, kind) in names.zip(filter::list(filters)?.iter().copied()) {
            let chain = &mut at.dir.filter().chain;
            let old = chain.iter_mut().find(|old| old.name == name);
            let before = old.as_ref().map_or(&[][..], |old| &old.types[..]);
            let types = before.iter().chain(&types).cloned().collect();
            let smart =
                Arc::new(Smart { kind, name: Bytes::copy_from_slice(name), types });
            match old {
                Some(old) => *old = smart,
                None => chain.push(smart),
            }
        }
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_filter.c",
    id: "filter_module",
    directives: &[&ADD_OUTPUT_FILTER_BY_TYPE],
    hooks: &[on(Phase::Respond, respond)],
};

/// All output filters have their say about the head, behind what mod_expires says and
/// before mod_headers.
fn respond(r: &mut Request) -> Verdict {
    if !r.filters.is_empty() {
        filter::begin(r);
    }
    DECLINED
}
