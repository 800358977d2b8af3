//! `.htaccess` files: one with an error answers every request below it with 500, and says
//! so only when the first one comes.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::Snapshot;
use crate::bundle::{Files, Kind};
use crate::compile::{Allowed, Broken, Nonfatal, compile_htaccess};
use crate::diagnostic::{Diagnostic, codes};
use crate::merge::Merged;
use crate::path;
use crate::section::Matcher;
use crate::snapshot::Server;

/// How many names of files are looked at, in all.
const MOST: usize = 200_000;
/// How deep a tree is followed.
const DEEPEST: usize = 64;

/// A look at the trees of a configuration.
struct Look<'a> {
    snapshot: &'a Snapshot,
    files: &'a dyn Files,
    /// Directories and what may be said in them: virtual hosts share trees.
    seen: HashSet<(Vec<u8>, usize)>,
    left: usize,
    found: Vec<Diagnostic>,
}

/// What is wrong with the files below document roots, and below `<Directory>` sections
/// whose `AllowOverride` lets them speak. Links are not followed.
pub fn htaccess(snapshot: &Snapshot, files: &dyn Files) -> Vec<Diagnostic> {
    let (seen, found) = (HashSet::new(), Vec::new());
    let mut look = Look { snapshot, files, seen, left: MOST, found };
    for server in &snapshot.servers {
        let core = &server.config.core;
        let sections = core.directories.iter().filter_map(|section| {
            let own = section.part.core.as_ref()?;
            match &section.matcher {
                Matcher::Literal(path) if own.allow_override.is_some() => Some(path),
                _ => None,
            }
        });
        // Whoever allows everything everywhere has documents somewhere.
        let mut roots: Vec<&Bytes> = sections.filter(|path| &path[..] != b"/").collect();
        roots.extend([&core.document_root].into_iter().filter(|root| root.len() > 1));
        for root in roots {
            let mut directory = root.to_vec();
            if directory.last() != Some(&b'/') {
                directory.push(b'/');
            }
            look.tree(server, &directory, &above(server, &directory), 0);
        }
    }
    if look.left == 0 {
        let message = format!(
            "there are more than {MOST} files: not every .htaccess file was looked at"
        );
        look.found.push(Diagnostic::global(&codes::CHECK_HTACCESS, message));
    }
    look.found.dedup_by_key(|found| found.message.clone());
    look.found
}

/// The settings above a directory.
fn above(server: &Server, directory: &[u8]) -> Arc<Merged> {
    let mut dir = server.root.clone();
    let ends = directory.iter().enumerate().filter(|(_, b)| **b == b'/');
    for (end, _) in ends.filter(|(end, _)| end + 1 < directory.len()) {
        server
            .directories
            .at_level(&directory[..=end], |section| dir = dir.then(section));
    }
    dir
}

impl Look<'_> {
    /// A directory, with its final slash, and those below it.
    fn tree(
        &mut self,
        server: &Server,
        directory: &[u8],
        outer: &Arc<Merged>,
        depth: usize,
    ) {
        let mut dir = outer.clone();
        server.directories.at_level(directory, |section| dir = dir.then(section));
        let allowed = dir.core.allow_override.clone();
        let identity =
            allowed.as_ref().map_or(0, |allowed| Arc::as_ptr(allowed) as usize);
        if !self.seen.insert((directory.to_vec(), identity)) {
            return;
        }
        // Where nobody may speak nobody does; sections below have roots of their own.
        let Some(allowed) = allowed.filter(|allowed| {
            allowed.classes.0 != 0
                || !allowed.list.is_empty()
                || allowed.nonfatal != Nonfatal::None
        }) else {
            return;
        };
        let Ok(mut names) = self.files.list(directory) else { return };
        names.sort_unstable();
        if names.len() > self.left {
            self.left = 0;
            return;
        }
        self.left -= names.len();
        let default = [Bytes::from_static(b".htaccess")];
        let access = server.config.core.access_names.as_deref().unwrap_or(&default);
        // The first one speaks.
        let spoken = |name: &&Bytes| names.iter().any(|have| have == &name[..]);
        if let Some(name) = access.iter().find(spoken) {
            self.file(&path::join(directory, name), &allowed);
        }
        if depth >= DEEPEST {
            return;
        }
        for name in names {
            let mut below = path::join(directory, &name);
            let meta = self.files.lstat(&below);
            if meta.is_ok_and(|meta| meta.kind == Kind::Directory) {
                below.push(b'/');
                self.tree(server, &below, &dir, depth + 1);
            }
        }
    }

    fn file(&mut self, file: &[u8], allowed: &Allowed) {
        let name = || String::from_utf8_lossy(file).into_owned();
        let broken = match self.files.read(file) {
            Err(error) => Broken { message: error.text.into_owned(), place: name() },
            Ok(bytes) => {
                match compile_htaccess(file, bytes, allowed, self.snapshot, self.files) {
                    Ok(_) => return,
                    Err(broken) => broken,
                }
            }
        };
        let Broken { message, place } = broken;
        // What is missing at the end of a file has its place already.
        let message = if message.starts_with(&place) {
            message
        } else {
            format!("{place}: {message}")
        };
        let found = Diagnostic::global(&codes::CHECK_HTACCESS, message);
        self.found.push(found.help("every request below it is answered with an error"));
    }
}
