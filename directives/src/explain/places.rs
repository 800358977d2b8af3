//! Files and lines, and the texts that a page shows them in.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::bundle::{Files, Sources};
use crate::syntax::Span;

/// A line of configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's path, or the words for lines that are in no file.
    pub file: String,
    /// From one.
    pub line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The texts of a configuration, `.htaccess` files included, and which of them somebody
/// pointed into.
pub(super) struct Texts {
    sources: Arc<Sources>,
    files: Arc<dyn Files>,
    wanted: BTreeSet<String>,
}

impl Texts {
    pub(super) fn new(sources: Arc<Sources>, files: Arc<dyn Files>) -> Texts {
        Texts { sources, files, wanted: BTreeSet::new() }
    }

    /// A place that is shown.
    pub(super) fn at(&mut self, file: &str, line: u32) -> Place {
        self.want(file);
        Place { file: file.to_owned(), line }
    }

    /// The line in the server's own files on which a span begins.
    pub(super) fn span(&mut self, span: Span) -> Place {
        let line = self.sources.line(span.file, span.start);
        let file = self.sources.name(span.file).to_owned();
        self.at(&file, line)
    }

    pub(super) fn want(&mut self, file: &str) {
        if !self.wanted.contains(file) {
            self.wanted.insert(file.to_owned());
        }
    }

    /// The texts in the order in which they were read, `.htaccess` files last.
    pub(super) fn wanted(&self) -> Vec<(String, String)> {
        let mut texts: Vec<(String, String)> = Vec::new();
        for source in self.sources.iter() {
            let known = texts.iter().any(|(name, _)| *name == source.name);
            if self.wanted.contains(&source.name) && !known {
                let text = String::from_utf8_lossy(&source.bytes).into_owned();
                texts.push((source.name.clone(), text));
            }
        }
        for name in &self.wanted {
            if !texts.iter().any(|(known, _)| known == name)
                && let Ok(bytes) = self.files.read(name.as_bytes())
            {
                texts.push((name.clone(), String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        texts
    }
}
