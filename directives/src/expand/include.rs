//! `Include` and `IncludeOptional`: files, directories, globs. See
//! `ap_process_resource_config` and `ap_process_fnmatch_configs`.

use super::{Item, MAX_DEPTH, Reader};
use crate::bundle::{Kind, Origin, OsError, Source};
use crate::diagnostic::codes;
use crate::fnmatch::{self, Rules};
use crate::path;
use crate::schema::Word;

impl Reader<'_> {
    pub(super) fn include(
        &mut self,
        item: &Item,
        word: &Word,
        optional: bool,
        out: &mut Vec<Item>,
    ) {
        if self.is_endless {
            return;
        }
        if self.depth >= MAX_DEPTH {
            // A file that includes itself twice would be read more often than anybody
            // could wait for.
            self.is_endless = true;
            let message = format!(
                "Exceeded maximum include depth of {MAX_DEPTH}, There appears to be a recursion."
            );
            self.fail_at(item, &codes::INCLUDE, word.span, message);
            return;
        }
        let Some(path) = path::server_relative(&self.server_root, &word.bytes) else {
            let message = format!("Invalid Include path {}", word.lossy());
            self.fail_at(item, &codes::INCLUDE, word.span, message);
            return;
        };
        let found = if fnmatch::is_glob(&path) {
            self.glob(&path, optional)
        } else {
            match self.files.stat(&path) {
                Err(_) if optional => Ok(Vec::new()),
                Err(error) => Err(open_error(&path, &error)),
                Ok(meta) if meta.kind == Kind::Directory => self.tree(&path),
                Ok(_) => Ok(vec![path]),
            }
        };
        let files = match found {
            Ok(files) => files,
            Err(message) => {
                self.fail_at(item, &codes::INCLUDE, word.span, message);
                return;
            }
        };
        for file in files {
            self.include_file(item, word, &file, out);
        }
    }

    fn include_file(
        &mut self,
        item: &Item,
        word: &Word,
        file: &[u8],
        out: &mut Vec<Item>,
    ) {
        match self.files.read(file) {
            Ok(bytes) => {
                let origin = Origin::Included { file: item.args.file(), line: item.line };
                let name = String::from_utf8_lossy(file).into_owned();
                self.depth += 1;
                out.extend(self.read(Source { name, bytes, origin, is_file: true }));
                self.depth -= 1;
            }
            Err(error) => {
                let message = open_error(file, &error);
                self.fail_at(item, &codes::INCLUDE, word.span, message);
            }
        }
    }

    /// All files below a directory, each level in the order of names.
    fn tree(&self, directory: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let mut names = self.files.list(directory).map_err(|error| {
            let shown = String::from_utf8_lossy(directory);
            format!("Could not open config directory {shown}: {}", error.text)
        })?;
        names.sort();
        let mut found = Vec::new();
        for name in names {
            let path = path::join(directory, &name);
            match self.files.stat(&path) {
                Ok(meta) if meta.kind == Kind::Directory => {
                    found.extend(self.tree(&path)?);
                }
                _ => found.push(path),
            }
        }
        Ok(found)
    }

    /// The files that a pattern names. Every component may be a glob; without a match
    /// `Include` fails.
    fn glob(&self, pattern: &[u8], optional: bool) -> Result<Vec<Vec<u8>>, String> {
        let mut found = vec![Vec::new()];
        let mut parts =
            pattern.split(|&b| b == b'/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let mut next = Vec::new();
            for base in found {
                if !fnmatch::is_glob(part) {
                    next.push(path::join(&base, part));
                    continue;
                }
                let directory =
                    if base.is_empty() { b"/".to_vec() } else { base.clone() };
                let mut names = match self.files.list(&directory) {
                    Ok(names) => names,
                    Err(_) if optional => Vec::new(),
                    Err(error) => return Err(directory_error(&directory, &error)),
                };
                names.sort();
                let rules = Rules { period: true, path: true, ignore_case: false };
                for name in names {
                    let path = path::join(&base, &name);
                    let fits = fnmatch::matches(part, &name, rules);
                    let is_directory = || {
                        self.files.stat(&path).is_ok_and(|m| m.kind == Kind::Directory)
                    };
                    if fits && (last || is_directory()) {
                        next.push(path);
                    }
                }
            }
            if next.is_empty() && !optional {
                let shown = String::from_utf8_lossy(pattern);
                return Err(format!(
                    "Include/IncludeOptional: No matches for the wildcard '{}' in '{}', failing",
                    String::from_utf8_lossy(part),
                    shown.rsplit_once('/').map_or("/", |(directory, _)| directory)
                ));
            }
            found = next;
        }
        let mut files = Vec::new();
        for path in found {
            match self.files.stat(&path) {
                Ok(meta) if meta.kind == Kind::Directory => {
                    files.extend(self.tree(&path)?);
                }
                Err(_) if optional => {}
                _ => files.push(path),
            }
        }
        Ok(files)
    }
}

fn open_error(path: &[u8], error: &OsError) -> String {
    let shown = String::from_utf8_lossy(path);
    format!("Could not open configuration file {shown}: {}", error.text)
}

fn directory_error(path: &[u8], error: &OsError) -> String {
    let shown = String::from_utf8_lossy(path);
    format!("Include/IncludeOptional: Could not open directory {shown}: {}", error.text)
}
