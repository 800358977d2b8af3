//! Files on their way to a client: large ones by sendfile(2), small ones from memory as
//! long as a look at the file says that they are the same.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use directives::bundle::{Kind, Meta, OsError};
use directives::reply::Part;
use rustc_hash::FxHashMap;

use super::body::Cut;
use super::socket::Shared;
use crate::disk;

/// Files up to this are kept in memory, bytes.
const SMALL: u64 = 16 * 1024;
/// How much is kept, bytes, on each thread.
const MOST_KEPT: u64 = 4 * 1024 * 1024;
/// What is read at a time where sendfile(2) does not pay, bytes.
const PIECE: usize = 64 * 1024;
/// What stands for a file's bytes until the socket sends them (see [`Shared`]).
pub static STANDS_FOR_FILE: [u8; 1 << 20] = [0; 1 << 20];

/// An open file, or what is in it.
#[derive(Debug)]
pub enum Content {
    /// Open.
    Open(Rc<File>),
    /// Whole.
    Whole(Bytes),
}

#[derive(Default)]
struct Cache {
    files: FxHashMap<Bytes, (Meta, Bytes)>,
    kept: u64,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// Opens a file for sending. `seen` is what a look at it has just said: what is in memory
/// of a file that looks the same is not read again.
pub fn open(path: &Bytes, seen: Option<Meta>) -> Result<(Content, Meta), OsError> {
    if let Some(seen) = seen.filter(|meta| meta.size <= SMALL) {
        let known = CACHE.with_borrow(|cache| {
            let (meta, bytes) = cache.files.get(path)?;
            (*meta == seen).then(|| bytes.clone())
        });
        if let Some(bytes) = known {
            return Ok((Content::Whole(bytes), seen));
        }
    }
    let file = File::open(disk::path(path)).map_err(|error| disk::os_error(&error))?;
    let meta = disk::meta_of(&file)?;
    if meta.kind != Kind::File {
        let text = "Permission denied".into();
        return Err(OsError { code: OsError::DENIED, text });
    }
    if meta.size > SMALL || seen != Some(meta) || !meta.is_settled(crate::log::now()) {
        return Ok((Content::Open(Rc::new(file)), meta));
    }
    let mut bytes = BytesMut::zeroed(meta.size as usize);
    if file.read_exact_at(&mut bytes, 0).is_err() {
        return Ok((Content::Open(Rc::new(file)), meta));
    }
    let bytes = bytes.freeze();
    CACHE.with_borrow_mut(|cache| {
        if cache.kept + meta.size > MOST_KEPT {
            *cache = Cache::default();
        }
        cache.kept += meta.size;
        if let Some((old, _)) = cache.files.insert(path.clone(), (meta, bytes.clone())) {
            cache.kept -= old.size;
        }
    });
    Ok((Content::Whole(bytes), meta))
}

/// Parts of a file that are still to be sent.
pub struct FileParts {
    content: Content,
    parts: VecDeque<Part>,
}

impl FileParts {
    /// Of a file.
    pub fn new(content: Content, parts: Vec<Part>) -> FileParts {
        FileParts { content, parts: parts.into() }
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.parts.iter().map(|part| part.head.len() as u64 + part.end - part.start).sum()
    }

    /// The next bytes, or what stands for them on this socket.
    pub fn next(&mut self, shared: &Shared) -> Option<Result<Bytes, Cut>> {
        self.next_piece(Some(shared))
    }

    /// The next bytes, for whoever wants to look at them.
    pub fn next_bytes(&mut self) -> Option<Result<Bytes, Cut>> {
        self.next_piece(None)
    }

    fn next_piece(&mut self, shared: Option<&Shared>) -> Option<Result<Bytes, Cut>> {
        loop {
            let part = self.parts.front_mut()?;
            if !part.head.is_empty() {
                return Some(Ok(std::mem::take(&mut part.head)));
            }
            let left = part.end - part.start;
            if left == 0 {
                self.parts.pop_front();
                continue;
            }
            let (start, left) = (part.start, usize::try_from(left).unwrap_or(usize::MAX));
            let file = match &self.content {
                Content::Whole(bytes) => {
                    let end = part.end as usize;
                    part.start = part.end;
                    return Some(Ok(bytes.slice(start as usize..end)));
                }
                Content::Open(file) => file,
            };
            if left >= PIECE
                && let Some(shared) = shared.filter(|shared| shared.sends_files())
            {
                let size = left.min(STANDS_FOR_FILE.len());
                part.start += size as u64;
                shared.files.borrow_mut().push_back((file.clone(), start, size));
                return Some(Ok(Bytes::from_static(&STANDS_FOR_FILE[..size])));
            }
            let mut piece = BytesMut::zeroed(left.min(PIECE));
            // A file that became shorter cannot be what its length said.
            return Some(match file.read_exact_at(&mut piece, start) {
                Ok(()) => {
                    part.start += piece.len() as u64;
                    Ok(piece.freeze())
                }
                Err(_) => Err(Cut),
            });
        }
    }
}
