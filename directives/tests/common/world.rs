//! A file system, accounts and a resolver in memory: the [`Files`] of tests.
//!
//! It is read from a text whose pieces begin with `#-- path`: the rest of the text up to
//! the next such line is the file's content. A path that ends with `/` is a directory,
//! `path -> target` a link; `mode=`, `uid=` and `gid=` may follow. What stands before the
//! first piece is the configuration, `/srv/conf/httpd.conf`. Everything else is the same
//! in every world: see [`World::empty`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use directives::bundle::{Entry, Files, Group, Kind, Meta, OsError, User, Who};

/// Where the configuration is.
pub const CONFIGURATION: &str = "/srv/conf/httpd.conf";
/// When everything was made, seconds since 1970.
pub const MADE: i64 = 1_600_000_000;
/// How many links are followed before there are too many.
const MAX_LINKS: usize = 16;

#[derive(Clone, Debug)]
enum Node {
    File(Arc<[u8]>),
    Directory,
    Link(String),
}

#[derive(Clone, Debug)]
struct Entity {
    node: Node,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// The world.
#[derive(Clone, Debug)]
pub struct World(BTreeMap<String, Entity>);

impl World {
    /// Server root, document root, and nothing in them.
    pub fn empty() -> World {
        let mut world = World(BTreeMap::new());
        for path in ["/srv/conf/", "/srv/htdocs/", "/srv/logs/"] {
            world.add(path, b"");
        }
        world
    }

    /// A world with the pieces of `text` in it.
    pub fn parse(text: &str) -> World {
        let mut world = World::empty();
        let mut heading = CONFIGURATION;
        let mut content = String::new();
        for line in text.split_inclusive('\n') {
            match line.strip_prefix("#-- ") {
                Some(next) => {
                    world.add(heading, std::mem::take(&mut content).as_bytes());
                    heading = next.trim_end();
                }
                None => content += line,
            }
        }
        world.add(heading, content.as_bytes());
        world
    }

    /// Adds what a heading names, and the directories above it.
    pub fn add(&mut self, heading: &str, content: &[u8]) {
        let mut words = heading.split(' ');
        let path = words.next().unwrap_or_default();
        let mut entity =
            Entity { node: Node::File(content.into()), mode: 0o644, uid: 0, gid: 0 };
        if path.ends_with('/') {
            (entity.node, entity.mode) = (Node::Directory, 0o755);
        }
        while let Some(word) = words.next() {
            let number = |text: &str| text.parse().expect("a number");
            match word.split_once('=') {
                Some(("mode", mode)) => {
                    entity.mode = u32::from_str_radix(mode, 8).expect("a mode");
                }
                Some(("uid", uid)) => entity.uid = number(uid),
                Some(("gid", gid)) => entity.gid = number(gid),
                _ => {
                    assert_eq!(word, "->", "what is {word:?} in {heading:?}?");
                    let target = words.next().expect("a link's target");
                    (entity.node, entity.mode) = (Node::Link(target.to_owned()), 0o777);
                }
            }
        }
        let path = path.trim_end_matches('/');
        for (at, _) in path.match_indices('/').skip(1) {
            let above = Entity { node: Node::Directory, mode: 0o755, uid: 0, gid: 0 };
            self.0.entry(path[..at].to_owned()).or_insert(above);
        }
        self.0.insert(path.to_owned(), entity);
    }

    /// Reading starts at the configuration, after these lines.
    pub fn entry(before: &[&str]) -> Entry {
        Entry {
            file: CONFIGURATION.into(),
            server_root: b"/srv".to_vec(),
            before: before.iter().map(|&line| line.to_owned()).collect(),
            ..Entry::default()
        }
    }

    /// What a path leads to; `last` says whether a link at its end is followed.
    fn find(&self, path: &[u8], last: bool) -> Result<(String, &Entity), OsError> {
        let path = std::str::from_utf8(path).map_err(|_| OsError::not_found())?;
        self.walk(path, last, 0)
    }

    fn walk(
        &self,
        path: &str,
        last: bool,
        links: usize,
    ) -> Result<(String, &Entity), OsError> {
        if links > MAX_LINKS {
            let text = "Too many levels of symbolic links".into();
            return Err(OsError { code: 40, text });
        }
        let mut at = String::new();
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        let mut found = &ROOT;
        while let Some(part) = parts.next() {
            if !matches!(found.node, Node::Directory) {
                let text = "Not a directory".into();
                return Err(OsError { code: OsError::NOT_A_DIRECTORY, text });
            }
            match part {
                "." => continue,
                ".." => at.truncate(at.rfind('/').unwrap_or(0)),
                _ => at = format!("{at}/{part}"),
            }
            found = match self.0.get(&at) {
                Some(found) => found,
                None if at.is_empty() => &ROOT,
                None => return Err(OsError::not_found()),
            };
            let follow = last || parts.peek().is_some() || path.ends_with('/');
            if let (Node::Link(target), true) = (&found.node, follow) {
                let target = match target.strip_prefix('/') {
                    Some(_) => target.clone(),
                    None => format!("{}/{target}", &at[..at.rfind('/').unwrap_or(0)]),
                };
                (at, found) = self.walk(&target, true, links + 1)?;
            }
        }
        Ok((at, found))
    }

    fn meta(&self, path: &[u8], last: bool) -> Result<Meta, OsError> {
        let (at, entity) = self.find(path, last)?;
        let (kind, size) = match &entity.node {
            Node::File(content) => (Kind::File, content.len() as u64),
            Node::Directory => (Kind::Directory, 4096),
            Node::Link(target) => (Kind::Link, target.len() as u64),
        };
        let inode = self.0.keys().position(|known| *known == at).unwrap_or(0);
        Ok(Meta {
            kind,
            mode: entity.mode,
            uid: entity.uid,
            gid: entity.gid,
            size,
            mtime: MADE,
            mtime_nanos: 0,
            inode: inode as u64 + 2,
            device: 1,
        })
    }
}

static ROOT: Entity = Entity { node: Node::Directory, mode: 0o755, uid: 0, gid: 0 };

impl Files for World {
    fn read(&self, path: &[u8]) -> Result<Arc<[u8]>, OsError> {
        match &self.find(path, true)?.1.node {
            Node::File(content) => Ok(content.clone()),
            _ => Err(OsError { code: 21, text: "Is a directory".into() }),
        }
    }

    fn stat(&self, path: &[u8]) -> Result<Meta, OsError> {
        self.meta(path, true)
    }

    fn lstat(&self, path: &[u8]) -> Result<Meta, OsError> {
        self.meta(path, false)
    }

    fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, OsError> {
        let (at, entity) = self.find(path, true)?;
        if !matches!(entity.node, Node::Directory) {
            let text = "Not a directory".into();
            return Err(OsError { code: OsError::NOT_A_DIRECTORY, text });
        }
        let names = self.0.keys().filter_map(|known| {
            let name = known.strip_prefix(&at)?.strip_prefix('/')?;
            (!name.contains('/')).then(|| name.as_bytes().to_vec())
        });
        Ok(names.collect())
    }

    fn user(&self, who: Who<'_>) -> Option<User> {
        let (name, id) = account(who, &USERS)?;
        let home = format!("/home/{name}").into_bytes();
        Some(User { name: name.to_owned(), uid: id, gid: id, home })
    }

    fn group(&self, who: Who<'_>) -> Option<Group> {
        let (name, gid) = account(who, &GROUPS)?;
        Some(Group { name: name.to_owned(), gid, members: Vec::new() })
    }

    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        match host {
            "localhost" => vec![IpAddr::from([127, 0, 0, 1])],
            "www.example.org" => vec![IpAddr::from([192, 0, 2, 10])],
            _ => host.parse().into_iter().collect(),
        }
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        (name == b"PATH").then(|| b"/usr/bin:/bin".to_vec())
    }

    fn utc_offset(&self, _: i64) -> i32 {
        0
    }
}

const USERS: [(&str, u32); 4] =
    [("root", 0), ("www-data", 33), ("alice", 1000), ("nobody", 65534)];
const GROUPS: [(&str, u32); 5] =
    [("root", 0), ("www-data", 33), ("alice", 1000), ("users", 100), ("nogroup", 65534)];

fn account(who: Who<'_>, known: &[(&'static str, u32)]) -> Option<(&'static str, u32)> {
    let is_meant = |(name, id): &&(&str, u32)| match who {
        Who::Name(wanted) => *name == wanted,
        Who::Id(wanted) => *id == wanted,
    };
    known.iter().find(is_meant).copied()
}
