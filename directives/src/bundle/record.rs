//! A recording of every question that a compilation asked and of its answers. Compiling
//! the recording gives the same configuration again, in another process and without
//! its privilege; the recording is also a complete bug report, but for private keys, which
//! it holds, too: answers of tag `k`, to be left out of what others are shown.
//!
//! The format is a sequence of length-prefixed fields; it is read only by the program
//! version that wrote it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Entry, Files, Group, Kind, Meta, OsError, Secret, User, Who};

const MAGIC: &[u8] =
    concat!("fcgi-httpd bundle ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

type Facts = BTreeMap<Vec<u8>, Vec<u8>>;

/// An entry point and the recorded answers. It is itself a [`Files`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Where reading starts.
    pub entry: Entry,
    facts: Facts,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // There are private keys among the answers.
        f.debug_struct("Bundle").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// Passes questions on and keeps the answers.
pub struct Recorder<'a> {
    inner: &'a dyn Files,
    facts: Mutex<Facts>,
}

impl<'a> Recorder<'a> {
    /// Records what is asked of `inner`.
    pub fn new(inner: &'a dyn Files) -> Recorder<'a> {
        Recorder { inner, facts: Mutex::default() }
    }

    /// The recording.
    pub fn finish(self, entry: Entry) -> Bundle {
        let facts = self.facts.into_inner().unwrap_or_else(PoisonError::into_inner);
        Bundle { entry, facts }
    }

    fn keep<T>(&self, key: Vec<u8>, answer: T, encode: impl FnOnce(&T, &mut Out)) -> T {
        let mut out = Out(Vec::new());
        encode(&answer, &mut out);
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).insert(key, out.0);
        answer
    }
}

impl Files for Recorder<'_> {
    fn read(&self, path: &[u8]) -> Result<Arc<[u8]>, OsError> {
        self.keep(key(b'r', path), self.inner.read(path), |answer, out| {
            out.result(answer.as_ref(), |out, bytes| out.field(bytes));
        })
    }

    fn secret(&self, path: &[u8]) -> Result<Secret, OsError> {
        self.keep(key(b'k', path), self.inner.secret(path), |answer, out| {
            out.result(answer.as_ref(), |out, secret| out.field(secret.bytes()));
        })
    }

    fn stat(&self, path: &[u8]) -> Result<Meta, OsError> {
        self.keep(key(b's', path), self.inner.stat(path), |answer, out| {
            out.result(answer.as_ref(), Out::meta);
        })
    }

    fn lstat(&self, path: &[u8]) -> Result<Meta, OsError> {
        self.keep(key(b'l', path), self.inner.lstat(path), |answer, out| {
            out.result(answer.as_ref(), Out::meta);
        })
    }

    fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, OsError> {
        self.keep(key(b'd', path), self.inner.list(path), |answer, out| {
            out.result(answer.as_ref(), |out, names| out.fields(names));
        })
    }

    fn user(&self, who: Who<'_>) -> Option<User> {
        self.keep(who_key(b'u', who), self.inner.user(who), |answer, out| {
            if let Some(user) = answer {
                out.field(user.name.as_bytes());
                out.number(user.uid.into());
                out.number(user.gid.into());
                out.field(&user.home);
            }
        })
    }

    fn group(&self, who: Who<'_>) -> Option<Group> {
        self.keep(who_key(b'g', who), self.inner.group(who), |answer, out| {
            if let Some(group) = answer {
                out.field(group.name.as_bytes());
                out.number(group.gid.into());
                out.fields(&group.members);
            }
        })
    }

    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        self.keep(key(b'h', host.as_bytes()), self.inner.resolve(host), |answer, out| {
            out.fields(&answer.iter().map(ToString::to_string).collect::<Vec<_>>());
        })
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.keep(key(b'e', name), self.inner.env(name), |answer, out| {
            if let Some(value) = answer {
                out.field(value);
            }
        })
    }

    fn zone_name(&self, micros: i64) -> String {
        self.inner.zone_name(micros)
    }

    fn utc_offset(&self, micros: i64) -> i32 {
        self.inner.utc_offset(micros)
    }
}

impl Bundle {
    fn ask(&self, key: &[u8]) -> Option<In<'_>> {
        self.facts.get(key).map(|bytes| In(bytes))
    }

    fn meta(&self, tag: u8, path: &[u8]) -> Result<Meta, OsError> {
        let mut fact = self.ask(&key(tag, path)).ok_or_else(OsError::not_found)?;
        fact.result(In::meta)
    }

    /// The recording as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Out(MAGIC.to_vec());
        out.field(&self.entry.file);
        out.field(&self.entry.server_root);
        out.fields(&self.entry.defines);
        out.fields(&self.entry.before);
        out.fields(&self.entry.after);
        out.number(self.entry.skip_document_roots.into());
        out.number(self.entry.euid.into());
        out.number(self.entry.egid.into());
        out.number(self.facts.len() as u64);
        for (key, answer) in &self.facts {
            out.field(key);
            out.field(answer);
        }
        out.0
    }

    /// The recording back; `None` if the bytes are of another version, or cut.
    pub fn decode(bytes: &[u8]) -> Option<Bundle> {
        let mut input = In(bytes.strip_prefix(MAGIC)?);
        let entry = Entry {
            file: input.field()?.to_vec(),
            server_root: input.field()?.to_vec(),
            defines: input.strings()?,
            before: input.strings()?,
            after: input.strings()?,
            skip_document_roots: input.number()? != 0,
            euid: input.number()? as u32,
            egid: input.number()? as u32,
        };
        let mut facts = Facts::new();
        for _ in 0..input.number()? {
            let key = input.field()?.to_vec();
            facts.insert(key, input.field()?.to_vec());
        }
        input.0.is_empty().then_some(Bundle { entry, facts })
    }
}

impl Files for Bundle {
    fn read(&self, path: &[u8]) -> Result<Arc<[u8]>, OsError> {
        let mut fact = self.ask(&key(b'r', path)).ok_or_else(OsError::not_found)?;
        fact.result(|input| input.field().map(Arc::from))
    }

    fn secret(&self, path: &[u8]) -> Result<Secret, OsError> {
        let mut fact = self.ask(&key(b'k', path)).ok_or_else(OsError::not_found)?;
        fact.result(|input| input.field().map(|bytes| Secret::new(bytes.to_vec())))
    }

    fn stat(&self, path: &[u8]) -> Result<Meta, OsError> {
        self.meta(b's', path)
    }

    fn lstat(&self, path: &[u8]) -> Result<Meta, OsError> {
        self.meta(b'l', path)
    }

    fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, OsError> {
        let mut fact = self.ask(&key(b'd', path)).ok_or_else(OsError::not_found)?;
        fact.result(|input| {
            Some(input.fields()?.into_iter().map(<[u8]>::to_vec).collect())
        })
    }

    fn user(&self, who: Who<'_>) -> Option<User> {
        let mut fact = self.ask(&who_key(b'u', who))?;
        Some(User {
            name: fact.string()?,
            uid: fact.number()? as u32,
            gid: fact.number()? as u32,
            home: fact.field()?.to_vec(),
        })
    }

    fn group(&self, who: Who<'_>) -> Option<Group> {
        let mut fact = self.ask(&who_key(b'g', who))?;
        Some(Group {
            name: fact.string()?,
            gid: fact.number()? as u32,
            members: fact.strings()?,
        })
    }

    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        let fact = self.ask(&key(b'h', host.as_bytes()));
        let names = fact.and_then(|mut input| input.strings()).unwrap_or_default();
        names.iter().filter_map(|name| name.parse().ok()).collect()
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        Some(self.ask(&key(b'e', name))?.field()?.to_vec())
    }

    // Nothing that a configuration says depends on it.
    fn utc_offset(&self, _: i64) -> i32 {
        0
    }
}

fn key(tag: u8, subject: &[u8]) -> Vec<u8> {
    let mut key = vec![tag];
    key.extend_from_slice(subject);
    key
}

fn who_key(tag: u8, who: Who<'_>) -> Vec<u8> {
    match who {
        Who::Name(name) => key(tag, format!("n{name}").as_bytes()),
        Who::Id(id) => key(tag, format!("i{id}").as_bytes()),
    }
}

struct Out(Vec<u8>);

impl Out {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn field(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn fields<T: AsRef<[u8]>>(&mut self, fields: &[T]) {
        self.number(fields.len() as u64);
        for field in fields {
            self.field(field.as_ref());
        }
    }

    fn result<T>(
        &mut self,
        result: Result<T, &OsError>,
        encode: impl FnOnce(&mut Out, T),
    ) {
        match result {
            Ok(value) => {
                self.number(0);
                encode(self, value);
            }
            Err(error) => {
                self.number(error.code as u64);
                self.field(error.text.as_bytes());
            }
        }
    }

    fn meta(&mut self, meta: &Meta) {
        let kind = match meta.kind {
            Kind::File => 0,
            Kind::Directory => 1,
            Kind::Link => 2,
            Kind::Other => 3,
        };
        let ids = [meta.mode, meta.uid, meta.gid, meta.mtime_nanos].map(u64::from);
        let sizes = [kind, meta.size, meta.mtime as u64, meta.inode, meta.device];
        for number in ids.into_iter().chain(sizes) {
            self.number(number);
        }
    }
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    fn fields(&mut self) -> Option<Vec<&'a [u8]>> {
        (0..self.number()?).map(|_| self.field()).collect()
    }

    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.field()?.to_vec()).ok()
    }

    fn strings(&mut self) -> Option<Vec<String>> {
        (0..self.number()?).map(|_| self.string()).collect()
    }

    fn result<T>(
        &mut self,
        decode: impl FnOnce(&mut In<'a>) -> Option<T>,
    ) -> Result<T, OsError> {
        match self.number() {
            Some(0) => decode(self).ok_or_else(OsError::not_found),
            Some(code) => {
                let text = self.string().unwrap_or_default().into();
                Err(OsError { code: code as i32, text })
            }
            None => Err(OsError::not_found()),
        }
    }

    fn meta(&mut self) -> Option<Meta> {
        let mut numbers = [0; 9];
        for number in &mut numbers {
            *number = self.number()?;
        }
        let [mode, uid, gid, nanos, kind, size, mtime, inode, device] = numbers;
        Some(Meta {
            kind: match kind {
                0 => Kind::File,
                1 => Kind::Directory,
                2 => Kind::Link,
                _ => Kind::Other,
            },
            mode: mode as u32,
            uid: uid as u32,
            gid: gid as u32,
            mtime_nanos: nanos as u32,
            size,
            mtime: mtime as i64,
            inode,
            device,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_survives_its_bytes_and_no_cut_does() {
        let entry =
            Entry { file: b"/x".to_vec(), defines: vec!["A".into()], ..Entry::default() };
        let mut bundle = Bundle { entry, facts: Facts::new() };
        bundle.facts.insert(key(b'e', b"HOME"), {
            let mut out = Out(Vec::new());
            out.field(b"/root");
            out.0
        });
        let bytes = bundle.encode();
        assert_eq!(Bundle::decode(&bytes), Some(bundle.clone()));
        assert_eq!(bundle.env(b"HOME"), Some(b"/root".to_vec()));
        for cut in 0..bytes.len() {
            assert_eq!(Bundle::decode(&bytes[..cut]), None);
        }
    }
}
