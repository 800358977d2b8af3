//! From a file name to what is there: `core_map_to_storage`, `ap_directory_walk`,
//! `ap_file_walk`.

use std::sync::Arc;

use super::OptionSet;
use crate::bundle::{Kind, Meta, OsError};
use crate::htaccess;
use crate::log::Level;
use crate::path;
use crate::phase::{OK, Verdict};
use crate::request::Request;
use crate::run::remember;
use crate::walk;

/// Walks down the directories of the file name, laying their sections and `.htaccess`
/// files over the server's settings, then the `<Files>` sections.
pub fn map_to_storage(r: &mut Request) -> Verdict {
    if r.filename.first() != Some(&b'/') {
        return OK;
    }
    match directory_walk(r) {
        Ok(()) => {
            file_walk(r);
            OK
        }
        Err(status) => Verdict::Status(status),
    }
}

/// What may be followed: owner check, or everything, or nothing.
fn symlinks(r: &Request) -> (bool, bool) {
    let set = r.dir.core.options.set;
    (set.has(OptionSet::SYM_LINKS), set.has(OptionSet::SYM_OWNER))
}

fn directory_walk(r: &mut Request) -> Result<(), u16> {
    let mut full = std::mem::take(&mut r.filename);
    if !path::is_normal_file(&full) {
        full = path::normalize(&full, true).ok_or(403_u16)?;
    }
    let files = r.files.clone();
    // Most requests name something that is there; one look tells, and only behind a link
    // another one. Nothing need be where an external application's path leads (C-11, H-6).
    let seen = if r.snapshot.process.fastcgi.is_external(&full) {
        files.glance(&full, false)
    } else {
        files.lstat(&full)
    };
    let is_missing = matches!(&seen, Err(error) if error.code == OsError::NOT_FOUND);
    let mut known = match seen {
        Ok(meta) if meta.kind == Kind::Link => files.stat(&full).ok(),
        seen => seen.ok(),
    };
    if full.len() > 1 && full.last() == Some(&b'/') {
        known = known.filter(|meta| meta.kind == Kind::Directory);
    }
    let mut saved = std::mem::take(&mut r.path_info);
    if known.is_some_and(|meta| meta.kind == Kind::Directory) && !saved.is_empty() {
        full = path::join(&full, &std::mem::take(&mut saved));
        known = None;
    }
    // What is not there is mostly missing in a directory that is: the way down to it needs
    // no look either.
    let there = match known {
        Some(_) => full.len(),
        None => {
            let parent = path::dir_name(&full);
            let is_directory =
                |meta: Meta| meta.kind == Kind::Directory && parent.len() > 1;
            if files.glance(parent, true).is_ok_and(is_directory) {
                parent.len()
            } else {
                0
            }
        }
    };
    let mut found: Option<Meta> = None;
    // The part of `full` that has been walked; the root to begin with.
    let mut at = 1;
    // Each level with its slash: only the last one may have none.
    let ends_with_slash = full.last() == Some(&b'/');
    if !ends_with_slash {
        full.push(b'/');
    }
    let length = full.len() - usize::from(!ends_with_slash);
    loop {
        let level = &full[..at + usize::from(full[at - 1] != b'/')];
        let dir = &mut r.dir;
        r.server.directories.at_level(level, |section| *dir = dir.then(section));
        let is_file = known.is_some_and(|m| m.kind != Kind::Directory) && at == length;
        if !is_file {
            htaccess::apply(r, level)?;
        }
        if at >= length {
            break;
        }
        let start = if full[at] == b'/' { at + 1 } else { at };
        let rest = &full[start..length];
        let end = rest.iter().position(|&b| b == b'/').map_or(length, |n| start + n);
        if start == end {
            at = length;
            break;
        }
        at = end;
        let (follow, owner) = symlinks(r);
        if at <= there && follow && !owner {
            continue;
        }
        let seen = if is_missing && there > 0 && at == length {
            None
        } else {
            look(r, &full[..at], follow, owner)?
        };
        match seen {
            None => {
                found = None;
                break;
            }
            Some(meta) => {
                found = Some(meta);
                match meta.kind {
                    Kind::Directory => {}
                    Kind::File | Kind::Link => break,
                    Kind::Other => {
                        let shown = String::from_utf8_lossy(&full[..at]).into_owned();
                        let text = format!(
                            "Forbidden: {shown} doesn't point to a file or directory"
                        );
                        r.log(Level::Error, "core", 38, text);
                        return Err(403);
                    }
                }
            }
        }
    }
    full.truncate(length);
    r.finfo = known.or(found);
    let mut info = full.split_off(at);
    if saved.is_empty() {
        r.path_info = info;
    } else if info.is_empty() {
        r.path_info = saved;
    } else {
        info = path::join(&info, &saved);
        r.path_info = info;
    }
    r.filename = full;
    let (dir, env) = (&mut r.dir, &mut r.env);
    r.server.directories.patterns(&r.filename, |section, groups| {
        *dir = dir.then(section);
        remember(env, section, &groups, &r.filename);
    });
    Ok(())
}

/// One component: what it is, or that nothing is there, or why not to look further.
fn look(
    r: &mut Request,
    path: &[u8],
    follow: bool,
    owner: bool,
) -> Result<Option<Meta>, u16> {
    let files = r.files.clone();
    let uri = String::from_utf8_lossy(&r.uri).into_owned();
    let meta = match files.lstat(path) {
        Ok(meta) => meta,
        Err(error) if error.code == OsError::NOT_FOUND => return Ok(None),
        Err(error) if error.code == OsError::DENIED => {
            let shown = String::from_utf8_lossy(path).into_owned();
            let text = format!(
                "access to {uri} denied (filesystem path '{shown}') because search permissions \
                 are missing on a component of the path"
            );
            r.log_os(Level::Error, "core", 35, Some(error), text);
            return Err(403);
        }
        Err(error) => {
            let shown = String::from_utf8_lossy(path).into_owned();
            let text = format!("access to {uri} failed (filesystem path '{shown}')");
            r.log_os(Level::Error, "core", 36, Some(error), text);
            return Err(403);
        }
    };
    if meta.kind != Kind::Link {
        return Ok(Some(meta));
    }
    let target = if follow || owner { files.stat(path).ok() } else { None };
    match target {
        Some(target) if !owner || target.uid == meta.uid => Ok(Some(target)),
        _ => {
            let shown = String::from_utf8_lossy(path).into_owned();
            let text = format!(
                "Symbolic link not allowed or link target not accessible: {shown}"
            );
            r.log(Level::Error, "core", 37, text);
            Err(403)
        }
    }
}

fn file_walk(r: &mut Request) {
    if r.dir.core.files.is_empty() {
        return;
    }
    let dir = Arc::clone(&r.dir);
    let name = path::base_name(&r.filename).to_vec();
    walk::files(&dir.core.files, &name, |section, groups| {
        r.dir = r.dir.then(section);
        remember(&mut r.env, section, &groups, &name);
    });
}
