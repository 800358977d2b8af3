//! Which sections apply to a path, in httpd's order. Literal paths are found by look-up,
//! one for each slash in the request's path; globs and regular expressions are tried in
//! order.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::path;
use crate::pattern::Groups;
use crate::section::{Matcher, Section};
use crate::table::Table;

/// The `<Location>` sections of a server, in the order of the texts: first those of the main
/// server, which all virtual hosts share.
#[derive(Debug, Default)]
pub struct Locations {
    main: Option<Arc<Locations>>,
    all: Vec<Arc<Section>>,
    literal: Table<Vec<u32>>,
    patterns: Vec<u32>,
}

impl Locations {
    /// Indexes the sections.
    pub fn new(sections: &[Arc<Section>]) -> Locations {
        let mut index = Locations { all: sections.to_vec(), ..Locations::default() };
        for (i, section) in sections.iter().enumerate() {
            match &section.matcher {
                Matcher::Literal(path) => {
                    index.literal.entry(path.clone()).push(i as u32);
                }
                _ => index.patterns.push(i as u32),
            }
        }
        index
    }

    /// Those of a virtual host: the main server's, and its own.
    pub fn of_host(main: &Arc<Locations>, own: &[Arc<Section>]) -> Arc<Locations> {
        if own.is_empty() {
            return main.clone();
        }
        Arc::new(Locations { main: Some(main.clone()), ..Locations::new(own) })
    }

    /// Calls `found` for each section that a URL path falls into. See
    /// `ap_location_walk`: regular expressions see the path with its double slashes.
    pub fn each(&self, uri: &[u8], mut found: impl FnMut(&Arc<Section>, Groups)) {
        let main = self.main.as_deref().filter(|main| !main.all.is_empty());
        if self.all.is_empty() && main.is_none() {
            return;
        }
        let merged = if path::has_2slash(uri) && uri.first() == Some(&b'/') {
            Cow::Owned(path::no2slash(uri))
        } else {
            Cow::Borrowed(uri)
        };
        for locations in main.into_iter().chain([self]) {
            locations.each_own(uri, &merged, &mut found);
        }
    }

    /// The sections of this index alone, in order.
    fn each_own(
        &self,
        uri: &[u8],
        merged: &[u8],
        found: &mut impl FnMut(&Arc<Section>, Groups),
    ) {
        // Most paths have one place: what stands there is in order.
        let (mut first, mut rest) = (&[][..], Vec::new());
        self.literal_hits(merged, |list| {
            if first.is_empty() {
                first = list;
            } else {
                rest.extend_from_slice(list);
            }
        });
        if rest.is_empty() && self.patterns.is_empty() {
            for &i in first {
                found(&self.all[i as usize], Groups::default());
            }
            return;
        }
        let literal = first.iter().chain(&rest).map(|i| (*i, Groups::default()));
        let mut hits: Vec<(u32, Groups)> = literal.collect();
        for &i in &self.patterns {
            let section = &self.all[i as usize];
            if let Some(groups) = section.matcher.matches_location(uri, merged) {
                hits.push((i, groups));
            }
        }
        hits.sort_by_key(|(i, _)| *i);
        for (i, groups) in hits {
            found(&self.all[i as usize], groups);
        }
    }

    /// Calls `hit` with the sections of a path and of all above it, with and without their
    /// slashes.
    fn literal_hits<'s>(&'s self, path: &[u8], mut hit: impl FnMut(&'s [u32])) {
        // No shorter path is one of them.
        let shortest = self.literal.shortest();
        if path.len() < shortest {
            return;
        }
        let mut look = |path: &[u8]| {
            if let Some(list) = self.literal.get(path) {
                hit(list);
            }
        };
        let ends = path.iter().enumerate().skip(shortest.saturating_sub(1));
        for (i, _) in ends.filter(|(_, b)| **b == b'/') {
            look(&path[..i]);
            look(&path[..=i]);
        }
        if path.last() != Some(&b'/') {
            look(path);
        }
    }
}

/// The `<Directory>` sections of a server, in the order of merging: by the number of
/// components, then in the order of the texts; regular expressions last. See
/// `ap_core_reorder_directories`.
#[derive(Debug, Default)]
pub struct Directories {
    literal: Table<Vec<Arc<Section>>>,
    globs: Vec<(usize, u32, Arc<Section>)>,
    order: HashMap<u32, u32>,
    patterns: Vec<Arc<Section>>,
}

impl Directories {
    /// Indexes the sections.
    pub fn new(sections: &[Arc<Section>]) -> Directories {
        let mut index = Directories::default();
        for (i, section) in sections.iter().enumerate() {
            index.order.insert(section.id.0, i as u32);
            match &section.matcher {
                Matcher::Literal(path) => {
                    index.literal.entry(path.clone()).push(section.clone());
                }
                Matcher::Glob(glob) => {
                    let components = path::count_dirs(glob);
                    index.globs.push((components, i as u32, section.clone()));
                }
                Matcher::Regex(_) => index.patterns.push(section.clone()),
            }
        }
        index
    }

    /// Calls `found` for each section of exactly this directory (with its final slash).
    pub fn at_level(&self, directory: &[u8], mut found: impl FnMut(&Arc<Section>)) {
        let literal = self.literal.get(directory).map_or(&[][..], Vec::as_slice);
        if self.globs.is_empty() {
            literal.iter().for_each(found);
            return;
        }
        let level = path::count_dirs(directory);
        let mut hits: Vec<(u32, &Arc<Section>)> =
            literal.iter().map(|section| (self.order[&section.id.0], section)).collect();
        for (components, order, section) in &self.globs {
            if *components == level && section.matcher.matches(directory).is_some() {
                hits.push((*order, section));
            }
        }
        hits.sort_by_key(|(order, _)| *order);
        for (_, section) in hits {
            found(section);
        }
    }

    /// Calls `found` for each regular expression that the whole file name matches.
    pub fn patterns(
        &self,
        filename: &[u8],
        mut found: impl FnMut(&Arc<Section>, Groups),
    ) {
        for section in &self.patterns {
            if let Some(groups) = section.matcher.matches(filename) {
                found(section, groups);
            }
        }
    }
}

/// Calls `found` for each `<Files>` section that a file name matches.
pub fn files(
    sections: &[Arc<Section>],
    name: &[u8],
    mut found: impl FnMut(&Arc<Section>, Groups),
) {
    for section in sections {
        if let Some(groups) = section.matcher.matches(name) {
            found(section, groups);
        }
    }
}
