//! `.htaccess` files: looked for on every request, compiled when they are new. After
//! that nothing knows that a section came from one.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::bundle::{Meta, OsError};
use crate::compile::{Allowed, Nonfatal, compile_htaccess};
use crate::log::Level;
use crate::path;
use crate::request::Request;
use crate::section::Section;

/// How many files are remembered.
const CAPACITY: usize = 4096;

/// Compiled files by path, and by what they were allowed to say.
#[derive(Debug, Default)]
pub struct Cache {
    entries: Mutex<HashMap<Key, Entry>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    path: Bytes,
    /// The identity of the `AllowOverride` that held.
    allowed: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    meta: Meta,
    compiled: Result<Arc<Section>, Arc<str>>,
}

/// Lays the file of `directory` (with its final slash), if there is one and it may speak,
/// over the request's settings: `ap_parse_htaccess`. The error is a status.
pub fn apply(r: &mut Request, directory: &[u8]) -> Result<(), u16> {
    let Some(allowed) = &r.dir.core.allow_override else { return Ok(()) };
    let silent = allowed.classes.0 == 0
        && allowed.list.is_empty()
        && allowed.nonfatal == Nonfatal::None;
    if silent {
        return Ok(());
    }
    let allowed = &allowed.clone();
    let server = r.server.clone();
    let default = [Bytes::from_static(b".htaccess")];
    let names = server.config.core.access_names.as_deref().unwrap_or(&default);
    for name in names {
        let file = path::join(directory, name);
        match r.files.stat(&file) {
            Ok(meta) => return lay(r, file, meta, allowed),
            Err(error)
                if [OsError::NOT_FOUND, OsError::NOT_A_DIRECTORY]
                    .contains(&error.code) => {}
            Err(error) => return Err(unreadable(r, &file, directory, error)),
        }
    }
    Ok(())
}

fn unreadable(r: &mut Request, file: &[u8], directory: &[u8], error: OsError) -> u16 {
    let text = format!(
        "{} pcfg_openfile: unable to check htaccess file, ensure it is readable and that '{}' is \
         executable",
        String::from_utf8_lossy(file),
        String::from_utf8_lossy(directory)
    );
    r.log_os(Level::Crit, "core", 529, Some(error), text);
    let note = "Server unable to read htaccess file, denying access to be safe";
    r.notes.set("error-notes", note);
    403
}

fn lay(
    r: &mut Request,
    file: Vec<u8>,
    meta: Meta,
    allowed: &Arc<Allowed>,
) -> Result<(), u16> {
    let path = Bytes::from(file);
    let key = Key { path: path.clone(), allowed: Arc::as_ptr(allowed) as usize };
    let snapshot = r.snapshot.clone();
    let known = {
        let entries =
            snapshot.htaccess.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(&key).filter(|entry| entry.meta == meta).cloned()
    };
    let entry = match known {
        Some(entry) => entry,
        None => {
            let bytes = match r.files.read(&path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    return Err(unreadable(r, &path, path::dir_name(&path), error));
                }
            };
            let files = r.files.clone();
            let compiled = compile_htaccess(&path, bytes, allowed, &snapshot, &*files)
                .map(Arc::new)
                .map_err(|broken| Arc::from(broken.message));
            let entry = Entry { meta, compiled };
            // A file changed just now may change again without its time telling.
            if meta.is_settled(r.request_time) {
                let mut entries = snapshot
                    .htaccess
                    .entries
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                if entries.len() >= CAPACITY {
                    entries.clear();
                }
                entries.insert(key, entry.clone());
            }
            entry
        }
    };
    match &entry.compiled {
        Ok(section) => {
            let mut place = DefaultHasher::new();
            (&path, Arc::as_ptr(allowed) as usize).hash(&mut place);
            r.dir = r.dir.then_htaccess(section, place.finish());
            Ok(())
        }
        Err(message) => {
            let text = format!("{}: {message}", String::from_utf8_lossy(&path));
            r.log(Level::Alert, "core", 0, text);
            Err(500)
        }
    }
}
