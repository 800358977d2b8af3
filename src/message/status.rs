//! What the parent says when the server asks how the applications' processes are.

use bytes::Bytes;
use directives::modules::fastcgi::Address;
use directives::modules::status::{Class, Process, ProcessState};

use super::{AppKey, Reader, Writer};

/// One version of one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The application.
    pub key: AppKey,
    /// Where it listens.
    pub address: Address,
    /// Requests start it.
    pub dynamic: bool,
    /// Requests do not go to it any more.
    pub is_old: bool,
    /// Its processes, and what became of others.
    pub class: Class,
}

/// Versions as bytes.
pub fn encode(versions: &[Version]) -> Vec<u8> {
    let mut out = Writer(Vec::new());
    for Version { key, address, dynamic, is_old, class } in versions {
        out.key(key);
        match address {
            Address::Unix(path) => out.tag(b'u').bytes(path),
            Address::Tcp(all) => {
                out.tag(b't').number(all.len() as u64);
                all.iter()
                    .fold(&mut out, |out, one| out.bytes(one.to_string().as_bytes()))
            }
        };
        for flag in [*dynamic, *is_old, class.listens, class.given_up] {
            out.tag(u8::from(flag));
        }
        out.number(class.starts).number(class.restarts);
        match &class.last_exit {
            None => out.tag(0),
            Some((how, when)) => out.tag(1).bytes(how.as_bytes()).number(*when as u64),
        };
        out.number(class.processes.len() as u64);
        for process in &class.processes {
            out.number(process.pid.unwrap_or(0).into());
            out.tag(match process.state {
                ProcessState::Due => b'd',
                ProcessState::Running => b'r',
                ProcessState::Finishing => b'f',
                ProcessState::Ending => b'e',
            });
            out.number(process.age);
        }
    }
    out.0
}

/// The reverse of [`encode`].
pub fn decode(bytes: &[u8]) -> Option<Vec<Version>> {
    let mut input = Reader(bytes);
    let mut versions = Vec::new();
    while !input.0.is_empty() {
        versions.push(version(&mut input)?);
    }
    Some(versions)
}

fn version(input: &mut Reader<'_>) -> Option<Version> {
    let key = input.key()?;
    let address = match input.tag()? {
        b'u' => Address::Unix(Bytes::copy_from_slice(input.field()?)),
        b't' => {
            let count = input.number()?;
            let all = (0..count).map(|_| input.text()?.parse().ok());
            Address::Tcp(all.collect::<Option<_>>()?)
        }
        _ => return None,
    };
    let (dynamic, is_old) = (input.flag()?, input.flag()?);
    let mut class = Class {
        listens: input.flag()?,
        given_up: input.flag()?,
        starts: input.number()?,
        restarts: input.number()?,
        ..Class::default()
    };
    if input.flag()? {
        class.last_exit = Some((input.text()?, input.number()? as i64));
    }
    for _ in 0..input.number()? {
        let pid = u32::try_from(input.number()?).ok()?;
        let state = match input.tag()? {
            b'd' => ProcessState::Due,
            b'r' => ProcessState::Running,
            b'f' => ProcessState::Finishing,
            b'e' => ProcessState::Ending,
            _ => return None,
        };
        let pid = Some(pid).filter(|pid| *pid != 0);
        class.processes.push(Process { pid, state, age: input.number()? });
    }
    Some(Version { key, address, dynamic, is_old, class })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions() -> Vec<Version> {
        let key = AppKey { path: "/srv/a b.fcgi".into(), identity: None, class: None };
        let process = |pid, state| Process { pid, state, age: 1_234_567 };
        let class = Class {
            listens: true,
            given_up: true,
            starts: 7,
            restarts: u64::MAX,
            last_exit: Some(("gone".to_owned(), -1)),
            processes: vec![
                process(None, ProcessState::Due),
                process(Some(1), ProcessState::Running),
                process(Some(u32::MAX), ProcessState::Finishing),
                process(Some(2), ProcessState::Ending),
            ],
        };
        let tcp = ["127.0.0.1:9000", "[::1]:9000"].map(|one| one.parse().unwrap());
        vec![
            Version {
                key: key.clone(),
                address: Address::Unix("/run/a b".into()),
                dynamic: true,
                is_old: false,
                class,
            },
            Version {
                key,
                address: Address::Tcp(tcp.into()),
                dynamic: false,
                is_old: true,
                class: Class::default(),
            },
        ]
    }

    #[test]
    fn versions_arrive_as_they_were_sent() {
        for count in 0..=2 {
            let versions = &versions()[..count];
            assert_eq!(decode(&encode(versions)).as_deref(), Some(versions));
        }
    }

    #[test]
    fn what_is_cut_is_refused() {
        let bytes = encode(&versions()[..1]);
        for end in 1..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "{end}");
        }
    }
}
