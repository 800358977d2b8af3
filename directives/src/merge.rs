//! Inner settings over outer ones, and the tree that remembers the results.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use rustc_hash::FxHashMap;

use crate::cgi::Constants;
use crate::hooks::AtWork;
use crate::modules::DirConfig;
use crate::section::{Section, SectionId};

/// Settings that an inner section lays over an outer one.
pub trait Merge: Default + Send + Sync + 'static {
    /// The result. Merging with silence is identity; merging is associative.
    #[must_use]
    fn merge(outer: &Self, inner: &Self) -> Self;
}

impl Merge for () {
    fn merge((): &(), (): &()) {}
}

/// Implements [`Merge`] field by field: what the inner section says holds, otherwise what
/// the outer one said. For structs whose fields are `Option`s.
#[macro_export]
macro_rules! merge_options {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::merge::Merge for $type {
            fn merge(outer: &Self, inner: &Self) -> Self {
                Self { $($field: inner.$field.clone().or_else(|| outer.$field.clone())),* }
            }
        }
    };
}

/// A merged configuration: what a request reads. Equal lists of sections lead to the
/// same node, so "the configuration did not change" is pointer equality.
#[derive(Debug, Default)]
pub struct Merged {
    /// The settings.
    pub config: DirConfig,
    /// The hooks that have to do with these settings, once a request asked.
    pub at_work: OnceLock<AtWork>,
    /// The variables that applications get with every request, once one got them.
    pub constants: OnceLock<Constants>,
    /// The last section that was laid over, and those before it; none at a root.
    pub way: Option<Arc<Way>>,
    next: RwLock<FxHashMap<Edge, (SectionId, Arc<Merged>)>>,
}

/// How a merged configuration came about.
#[derive(Debug)]
pub struct Way {
    /// The sections before this one.
    pub outer: Option<Arc<Way>>,
    /// The section.
    pub section: Arc<Section>,
}

/// How a node is left. A `.htaccess` file is known by its place, so that a new version
/// replaces the old one and what was merged from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Edge {
    Section(SectionId),
    Htaccess(u64),
}

/// How many directories with `.htaccess` files a node remembers.
const MAX_HTACCESS_EDGES: usize = 4096;

impl std::ops::Deref for Merged {
    type Target = DirConfig;

    fn deref(&self) -> &DirConfig {
        &self.config
    }
}

impl Merged {
    /// A root.
    pub fn root(config: DirConfig) -> Arc<Merged> {
        Merged::reached(config, None)
    }

    fn reached(config: DirConfig, way: Option<Arc<Way>>) -> Arc<Merged> {
        let (at_work, constants) = (OnceLock::new(), OnceLock::new());
        Arc::new(Merged { config, at_work, constants, way, next: RwLock::default() })
    }

    /// The sections that it was merged from, in order.
    pub fn sections(&self) -> Vec<Arc<Section>> {
        let ways = std::iter::successors(self.way.as_ref(), |way| way.outer.as_ref());
        let mut sections: Vec<_> = ways.map(|way| way.section.clone()).collect();
        sections.reverse();
        sections
    }

    /// This configuration with a section laid over it.
    pub fn then(self: &Arc<Merged>, section: &Arc<Section>) -> Arc<Merged> {
        self.follow(Edge::Section(section.id), section)
    }

    /// This configuration with a `.htaccess` file's laid over it; `place` is the same for
    /// all versions of the file.
    pub fn then_htaccess(
        self: &Arc<Merged>,
        section: &Arc<Section>,
        place: u64,
    ) -> Arc<Merged> {
        self.follow(Edge::Htaccess(place), section)
    }

    fn follow(self: &Arc<Merged>, edge: Edge, section: &Arc<Section>) -> Arc<Merged> {
        let known = self.next.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, node)) = known.get(&edge)
            && *id == section.id
        {
            return node.clone();
        }
        drop(known);
        let mut next = self.next.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, node)) = next.get(&edge)
            && *id == section.id
        {
            return node.clone();
        }
        if matches!(edge, Edge::Htaccess(_)) && next.len() >= MAX_HTACCESS_EDGES {
            next.retain(|edge, _| matches!(edge, Edge::Section(_)));
        }
        let way = Way { outer: self.way.clone(), section: section.clone() };
        let node = Merged::reached(self.config.with(&section.part), Some(Arc::new(way)));
        next.insert(edge, (section.id, node.clone()));
        node
    }
}
