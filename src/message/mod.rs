//! What the halves say about applications, as bytes. The server names an application by
//! what makes it one: its path, and under a wrapper its user and group. It cannot name a
//! file to execute: the parent looks the path up in its own configuration.

pub mod status;

use std::time::Duration;

use bytes::Bytes;
use directives::modules::fastcgi::{App, Identity};

/// Names an application.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppKey {
    /// Its path.
    pub path: Bytes,
    /// Under whose name it runs; `None` without a wrapper.
    pub identity: Option<Identity>,
}

impl AppKey {
    /// Of an application.
    pub fn of(app: &App) -> AppKey {
        AppKey { path: app.path.clone(), identity: app.identity.clone() }
    }
}

/// A CGI script that is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// A number that no other script has.
    pub id: u64,
    /// Its file, and under whose name it runs.
    pub key: AppKey,
    /// A command for the shell: then the file is a page's, and the command its.
    pub command: Option<Bytes>,
    /// Its arguments.
    pub args: Vec<Bytes>,
    /// Its environment as exec takes it: `NAME=value` and a NUL, again and again.
    pub env: Vec<u8>,
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToParent {
    /// The configuration of this number is served.
    Serving(u64),
    /// No request uses the configuration of this number any more.
    Released(u64),
    /// Nobody listens there, or it is not known whether somebody does.
    Need {
        /// The application.
        key: AppKey,
        /// It is one that requests start.
        dynamic: bool,
    },
    /// A dynamic application's program is newer than its processes.
    Newer(AppKey),
    /// A request waits for the first byte of a dynamic application's answer.
    Slow(AppKey),
    /// Requests kept processes of a dynamic application busy for so long.
    Busy(AppKey, Duration),
    /// All its threads answer, as it was asked.
    Alive,
    /// The state of all processes is wanted.
    Status,
    /// A script is to be run. Three descriptors come with this: what it reads, what it
    /// writes, and where it complains.
    Run(Box<Script>),
    /// The script of this number is not waited for any more.
    EndScript(u64),
    /// A RewriteMap's program is not listened to any more.
    EndMap {
        /// The configuration.
        number: u64,
        /// Which of its programs.
        index: u64,
        /// How many processes of it there were in this configuration.
        process: u64,
    },
}

/// What the parent says about an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppState {
    /// Its socket is there; processes are, or will be when somebody connects.
    Listening {
        /// Since when there is this version of it, nanoseconds since 1970.
        since: i64,
    },
    /// It may not or cannot be started; the log says why.
    Refused,
}

mod tag {
    pub const SERVING: u8 = b'R';
    pub const RELEASED: u8 = b'O';
    pub const NEED_STATIC: u8 = b'n';
    pub const NEED_DYNAMIC: u8 = b'N';
    pub const NEWER: u8 = b'U';
    pub const SLOW: u8 = b'T';
    pub const BUSY: u8 = b'F';
    pub const ALIVE: u8 = b'A';
    pub const STATUS: u8 = b'Q';
    pub const RUN: u8 = b'X';
    pub const END_SCRIPT: u8 = b'x';
    pub const END_MAP: u8 = b'm';
}

impl ToParent {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::new());
        match self {
            ToParent::Serving(number) => out.tag(tag::SERVING).number(*number),
            ToParent::Released(number) => out.tag(tag::RELEASED).number(*number),
            ToParent::Need { key, dynamic: true } => out.tag(tag::NEED_DYNAMIC).key(key),
            ToParent::Need { key, dynamic: false } => out.tag(tag::NEED_STATIC).key(key),
            ToParent::Newer(key) => out.tag(tag::NEWER).key(key),
            ToParent::Slow(key) => out.tag(tag::SLOW).key(key),
            ToParent::Busy(key, busy) => {
                let micros = u64::try_from(busy.as_micros()).unwrap_or(u64::MAX);
                out.tag(tag::BUSY).number(micros).key(key)
            }
            ToParent::Alive => out.tag(tag::ALIVE),
            ToParent::Status => out.tag(tag::STATUS),
            ToParent::Run(script) => out.tag(tag::RUN).script(script),
            ToParent::EndScript(id) => out.tag(tag::END_SCRIPT).number(*id),
            ToParent::EndMap { number, index, process } => {
                out.tag(tag::END_MAP).number(*number).number(*index).number(*process)
            }
        };
        out.0
    }

    /// From bytes; `None` if they are none of ours.
    pub fn decode(bytes: &[u8]) -> Option<ToParent> {
        let mut input = Reader(bytes);
        let message = match input.tag()? {
            tag::SERVING => ToParent::Serving(input.number()?),
            tag::RELEASED => ToParent::Released(input.number()?),
            tag::NEED_STATIC => ToParent::Need { key: input.key()?, dynamic: false },
            tag::NEED_DYNAMIC => ToParent::Need { key: input.key()?, dynamic: true },
            tag::NEWER => ToParent::Newer(input.key()?),
            tag::SLOW => ToParent::Slow(input.key()?),
            tag::BUSY => {
                let busy = Duration::from_micros(input.number()?);
                ToParent::Busy(input.key()?, busy)
            }
            tag::ALIVE => ToParent::Alive,
            tag::STATUS => ToParent::Status,
            tag::RUN => ToParent::Run(Box::new(input.script()?)),
            tag::END_SCRIPT => ToParent::EndScript(input.number()?),
            tag::END_MAP => {
                let (number, index) = (input.number()?, input.number()?);
                ToParent::EndMap { number, index, process: input.number()? }
            }
            _ => return None,
        };
        input.0.is_empty().then_some(message)
    }
}

/// An application and its state as bytes.
pub fn encode_app(key: &AppKey, state: &AppState) -> Vec<u8> {
    let mut out = Writer(Vec::new());
    match state {
        AppState::Listening { since } => out.tag(1).bytes(&since.to_le_bytes()),
        AppState::Refused => out.tag(0),
    };
    out.key(key);
    out.0
}

/// The reverse of [`encode_app`].
pub fn decode_app(bytes: &[u8]) -> Option<(AppKey, AppState)> {
    let mut input = Reader(bytes);
    let state = match input.tag()? {
        1 => AppState::Listening {
            since: i64::from_le_bytes(input.field()?.try_into().ok()?),
        },
        0 => AppState::Refused,
        _ => return None,
    };
    let key = input.key()?;
    input.0.is_empty().then_some((key, state))
}

/// Tags are bytes, everything else is bytes with their length before them.
struct Writer(Vec<u8>);

impl Writer {
    fn tag(&mut self, tag: u8) -> &mut Writer {
        self.0.push(tag);
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Writer {
        self.0.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(&mut self, number: u64) -> &mut Writer {
        self.bytes(&number.to_le_bytes())
    }

    fn key(&mut self, key: &AppKey) -> &mut Writer {
        self.bytes(&key.path);
        match &key.identity {
            None => self.tag(0),
            Some(identity) => self
                .tag(1)
                .number(identity.uid.into())
                .number(identity.gid.into())
                .bytes(identity.user.as_bytes())
                .bytes(identity.group.as_bytes()),
        }
    }

    fn script(&mut self, script: &Script) -> &mut Writer {
        self.number(script.id).key(&script.key);
        match &script.command {
            None => self.tag(0),
            Some(command) => self.tag(1).bytes(command),
        };
        self.number(script.args.len() as u64);
        for arg in &script.args {
            self.bytes(arg);
        }
        self.0.extend_from_slice(&script.env);
        self
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn tag(&mut self) -> Option<u8> {
        let (tag, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*tag)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.tag()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn field(&mut self) -> Option<&[u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (field, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.field()?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.field()?.to_vec()).ok()
    }

    fn key(&mut self) -> Option<AppKey> {
        let path = Bytes::copy_from_slice(self.field()?);
        let identity = match self.tag()? {
            0 => None,
            1 => Some(Identity {
                uid: self.number()?.try_into().ok()?,
                gid: self.number()?.try_into().ok()?,
                user: self.text()?,
                group: self.text()?,
            }),
            _ => return None,
        };
        Some(AppKey { path, identity })
    }

    /// What is left is the environment.
    fn script(&mut self) -> Option<Script> {
        let (id, key) = (self.number()?, self.key()?);
        let command = match self.flag()? {
            true => Some(Bytes::copy_from_slice(self.field()?)),
            false => None,
        };
        let mut args = Vec::new();
        for _ in 0..self.number()? {
            args.push(Bytes::copy_from_slice(self.field()?));
        }
        let env = std::mem::take(&mut self.0).to_vec();
        Some(Script { id, key, command, args, env })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<AppKey> {
        let identity =
            Identity { uid: 33, gid: 34, user: "~joe".into(), group: "joe".into() };
        let path = Bytes::from_static(b"/srv/a b*/app\n.fcgi");
        vec![
            AppKey { path: path.clone(), identity: None },
            AppKey { path, identity: Some(identity) },
        ]
    }

    #[test]
    fn messages_arrive_as_they_were_sent() {
        for key in keys() {
            let messages = [
                ToParent::Serving(u64::MAX),
                ToParent::Released(7),
                ToParent::Need { key: key.clone(), dynamic: true },
                ToParent::Need { key: key.clone(), dynamic: false },
                ToParent::Newer(key.clone()),
                ToParent::Slow(key.clone()),
                ToParent::Busy(key.clone(), Duration::from_micros(12_345)),
                ToParent::Status,
                ToParent::Run(Box::new(Script {
                    id: 9,
                    key: key.clone(),
                    command: key.identity.is_none().then(|| "echo; x".into()),
                    args: vec!["a".into(), "".into()],
                    env: b"A=b=c\0B=\0".to_vec(),
                })),
                ToParent::EndScript(9),
                ToParent::EndMap { number: 3, index: 1, process: 2 },
            ];
            for message in messages {
                assert_eq!(ToParent::decode(&message.encode()), Some(message));
            }
            for state in [AppState::Listening { since: -5 }, AppState::Refused] {
                let bytes = encode_app(&key, &state);
                assert_eq!(decode_app(&bytes), Some((key.clone(), state)));
            }
        }
    }

    #[test]
    fn what_is_cut_or_longer_is_refused() {
        let mut bytes = ToParent::Slow(keys().remove(1)).encode();
        for end in 0..bytes.len() {
            assert_eq!(ToParent::decode(&bytes[..end]), None, "{end}");
        }
        bytes.push(0);
        assert_eq!(ToParent::decode(&bytes), None);
        assert_eq!(ToParent::decode(b"?"), None);
    }
}
