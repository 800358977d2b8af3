//! Who is busy: which processes hold a connection that came through an application's
//! socket. The kernel knows; nobody has to be believed.

use std::collections::HashSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::socket::Place;

/// Connections that came through a socket.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Those that a process has accepted, by inode.
    accepted: HashSet<u64>,
    /// Those that wait to be accepted.
    waiting: usize,
}

impl Connections {
    /// Those there are now.
    pub fn of(place: &Place) -> Connections {
        match place {
            Place::Unix { bound, .. } => {
                let table = std::fs::read("/proc/net/unix").unwrap_or_default();
                Connections::from_unix(&table, bound)
            }
            Place::Tcp { port } => {
                let mut all = Connections::default();
                for name in ["/proc/net/tcp", "/proc/net/tcp6"] {
                    let table = std::fs::read_to_string(name).unwrap_or_default();
                    all.add_tcp(&table, *port);
                }
                all
            }
        }
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.accepted.is_empty() && self.waiting == 0
    }

    /// Num, RefCount, Protocol, Flags, Type, St, Inode, Path. What was accepted bears the
    /// name of the socket that it came through; state 3 is connected, 2 waits to be
    /// accepted, 1 is the listening socket itself.
    fn from_unix(table: &[u8], bound: &[u8]) -> Connections {
        let mut found = Connections::default();
        for line in table.split(|&b| b == b'\n') {
            // The path is what is left behind the columns, blanks and all.
            let Some(columns) =
                line.strip_suffix(bound).and_then(|c| c.strip_suffix(b" "))
            else {
                continue;
            };
            let Ok(columns) = std::str::from_utf8(columns) else { continue };
            let columns: Vec<&str> = columns.split_whitespace().collect();
            if let [_, _, _, _, _, "02" | "03", inode] = columns[..] {
                found.add(inode.parse().unwrap_or(0));
            }
        }
        found
    }

    /// sl, local address, remote address, state, …, inode (the tenth); state 1 is
    /// established.
    fn add_tcp(&mut self, table: &str, port: u16) {
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let local = fields.get(1).and_then(|local| local.rsplit_once(':'));
            let local = local.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
            if local == Some(port) && matches!(fields.get(3), Some(&("01" | "08"))) {
                let inode = fields.get(9).and_then(|inode| inode.parse().ok());
                self.add(inode.unwrap_or(0));
            }
        }
    }

    fn add(&mut self, inode: u64) {
        if inode == 0 {
            self.waiting += 1;
        } else {
            self.accepted.insert(inode);
        }
    }

    /// Does the process hold one?
    fn are_held_by(&self, pid: Pid) -> bool {
        sockets(pid).any(|inode| self.accepted.contains(&inode))
    }
}

/// The sockets that a process has, by inode; none if it is not ours to look at.
pub fn sockets(pid: Pid) -> impl Iterator<Item = u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    entries.flatten().filter_map(|entry| {
        let link = std::fs::read_link(entry.path()).ok()?;
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

/// The processes that a process has started, or taken over.
pub fn children(pid: Pid) -> Vec<Pid> {
    let children = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(children).unwrap_or_default();
    let numbers = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    numbers.map(Pid::from_raw).collect()
}

/// A process and its descendants.
pub fn family(pid: Pid) -> Vec<Pid> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        next += 1;
        all.extend(children(parent));
    }
    all
}

/// Tells a process to end, with `signal`, unless it or a descendant is answering a
/// request. It is stopped while it is looked at, so that it cannot take a request in
/// between. Says whether it was told.
pub fn retire(pid: Pid, place: &Place, signal: Signal) -> bool {
    // Who has ended meanwhile needs none of these signals.
    let all = |signal| {
        for member in family(pid) {
            let _ = kill(member, signal);
        }
    };
    all(Signal::SIGSTOP);
    let connections = Connections::of(place);
    let busy = family(pid).into_iter().any(|member| connections.are_held_by(member));
    if !busy {
        let _ = kill(pid, signal);
    }
    all(Signal::SIGCONT);
    !busy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_the_kernel_are_read() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 31870 /run/a b\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 31871 /run/a b\n\
            0000000000000000: 00000002 00000000 00000000 0001 02     0 /run/a b\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 31872 /srv/run/a b\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 31873\n";
        let found = Connections::from_unix(table, b"/run/a b");
        assert_eq!((found.accepted, found.waiting), (HashSet::from([31871]), 1));

        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:2008 00000000:0000 0A 00000000:00000000 00:00000000 00000000 33 0 100 1\n\
            \x20  1: 0100007F:2008 0100007F:9C40 01 00000000:00000000 00:00000000 00000000 33 0 101 1\n\
            \x20  2: 0100007F:9C40 0100007F:2008 01 00000000:00000000 00:00000000 00000000 33 0 102 1\n";
        let mut found = Connections::default();
        found.add_tcp(table, 0x2008);
        assert_eq!((found.accepted, found.waiting), (HashSet::from([101]), 0));
    }

    #[test]
    fn a_connection_is_seen_where_it_is_held() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let place = Place::Unix {
            path: path.to_str().unwrap().as_bytes().to_vec(),
            bound: path.to_str().unwrap().as_bytes().to_vec(),
            id: (0, 0),
        };
        assert!(Connections::of(&place).is_empty());
        let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert_eq!(Connections::of(&place).waiting, 1);
        let (server, _) = listener.accept().unwrap();
        let found = Connections::of(&place);
        assert!(found.waiting == 0 && found.are_held_by(Pid::this()));
        drop((server, client));
        assert!(Connections::of(&place).is_empty());
    }
}
