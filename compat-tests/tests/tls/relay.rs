//! Passes bytes from a Unix socket to a port of this machine.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

/// A relay; its threads end with the connections, and the listening one with the process.
pub struct Relay {
    connections: Arc<AtomicUsize>,
}

impl Relay {
    /// From `socket`, which everybody may connect to, to `port`.
    pub fn start(socket: &Path, port: u16) -> Result<Relay> {
        let listener = UnixListener::bind(socket)?;
        std::fs::set_permissions(socket, PermissionsExt::from_mode(0o777))?;
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                // Without a server the client reads its end.
                let _ = relay(client, port);
            }
        });
        Ok(Relay { connections })
    }

    /// Who has come so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn relay(client: UnixStream, port: u16) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port))?;
    let (mut to_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    let (mut from_client, mut from_server) = (client, server);
    std::thread::spawn(move || {
        copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    std::thread::spawn(move || {
        copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    });
    Ok(())
}

/// Until one of them is gone.
fn copy(from: &mut impl Read, to: &mut impl Write) {
    let mut buffer = [0; 8192];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 || to.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}
