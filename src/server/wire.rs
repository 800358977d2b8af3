//! TLS between the socket and hyper: rustls' state, fed with what comes and drained of what
//! goes. It knows no clock; whoever waits for it has one.

use std::cell::Cell;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use directives::modules::core::Protocol;
use directives::modules::ssl::Security;
use directives::snapshot::Server;
use rustls::ServerConnection;
use rustls::server::{Accepted, Acceptor};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use super::live::Generation;

/// How HTTP begins that is spoken where TLS is: the words that OpenSSL knows.
const HTTP: [&[u8]; 4] = [b"GET ", b"POST", b"HEAD", b"PUT "];
/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI";
/// How long is waited for the rest of the first word.
const REST_TIME: Duration = Duration::from_millis(10);

/// A connection's TLS.
#[derive(Debug)]
pub struct Wire(ServerConnection);

/// The socket as rustls sees it.
struct Raw<'a>(&'a TcpStream);

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_waiting(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

impl Wire {
    /// Takes what is in the socket. The answer is how many bytes that were; none is the end.
    pub fn receive(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let n = self.0.read_tls(&mut Raw(stream))?;
        if let Err(error) = self.0.process_new_packets() {
            // The client is told why, if it can be.
            let _ = self.send(stream);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(n)
    }

    /// Has the client said something that nobody has read? No, if it has ended;
    /// `WouldBlock` if it may still do so.
    pub fn is_heard(&mut self) -> io::Result<bool> {
        match self.0.reader().fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            said => said.map(|bytes| !bytes.is_empty()),
        }
    }

    /// Gives out what the client said. `WouldBlock` if there is nothing, no bytes at the end.
    pub fn read(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<usize> {
        let read = self.0.reader().read(buf.initialize_unfilled());
        let n = match read {
            // The socket was closed without a word: HTTP knows by itself what is missing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            read => read?,
        };
        buf.advance(n);
        Ok(n)
    }

    /// Takes what is to be said to the client, as much as there is room for.
    pub fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.writer().write_vectored(bufs)
    }

    /// Is something left that [`Wire::send`] did not send?
    pub fn wants_to_send(&self) -> bool {
        self.0.wants_write()
    }

    /// Puts into the socket what there is room for. The answer is how many bytes that were.
    pub fn send(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let mut sent = 0;
        while self.0.wants_write() {
            match self.0.write_tls(&mut Raw(stream)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => sent += n,
                Err(error) if is_waiting(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Says that nothing follows.
    pub fn say_end(&mut self) {
        self.0.send_close_notify();
    }
}

/// What a connection turned out to be.
pub struct Opened {
    /// Its TLS.
    pub wire: Option<Wire>,
    /// What is to be said of it.
    pub security: Security,
    /// It is HTTP/2.
    pub is_h2: bool,
    /// Bytes of the handshake: received, sent.
    pub bytes: (u64, u64),
}

impl Opened {
    /// HTTP/1 without TLS.
    pub const PLAIN: Opened =
        Opened { wire: None, security: Security::Plain, is_h2: false, bytes: (0, 0) };
}

/// Why there is no connection.
pub enum Failed {
    /// The client has gone, or said nothing.
    Gone,
    /// What it said; the server's name and rustls' sentence.
    Handshake(String, String),
}

impl From<io::Error> for Failed {
    fn from(_: io::Error) -> Failed {
        Failed::Gone
    }
}

/// Without TLS: does the client begin with HTTP/2?
pub async fn begins_with_h2(stream: &TcpStream) -> io::Result<bool> {
    begins_with(stream, &[PREFACE]).await
}

/// Are the first bytes one of these? Says so as soon as it is clear.
async fn begins_with(stream: &TcpStream, words: &[&[u8]]) -> io::Result<bool> {
    let mut first = [0; 4];
    loop {
        let n = stream.peek(&mut first).await?;
        let seen = &first[..n];
        if words.iter().any(|word| seen.starts_with(word)) {
            return Ok(true);
        }
        if n == 0 || !words.iter().any(|word| word.starts_with(seen)) {
            return Ok(false);
        }
        tokio::time::sleep(REST_TIME).await;
    }
}

/// Makes the handshake with a client of an address whose default host is `server`.
/// `received` counts the bytes of the client's part, while they come.
pub async fn handshake(
    stream: &TcpStream,
    generation: &Generation,
    server: &Arc<Server>,
    received: &Cell<u64>,
) -> Result<Opened, Failed> {
    if begins_with(stream, &HTTP).await? {
        let security = Security::NotSpoken;
        return Ok(Opened { wire: None, security, is_h2: false, bytes: (0, 0) });
    }
    let mut sent = 0;
    let accepted = hello(stream, server, received).await?;
    let hello = accepted.client_hello();
    let snapshot = &generation.snapshot;
    let sni = hello.server_name().map(str::to_ascii_lowercase);
    let named = sni
        .as_deref()
        .and_then(|name| snapshot.server_named(stream.local_addr().ok()?, name));
    let named = named.filter(|server| generation.tls.of(snapshot, server).is_some());
    let server = named.as_ref().unwrap_or(server);
    let Some(host) = generation.tls.of(snapshot, server) else {
        return Err(Failed::Gone);
    };
    let (config, protocol) = host.choose(server, &hello);
    let own = host.certificate(&hello);
    let failed =
        |error: rustls::Error| Failed::Handshake(name(server), error.to_string());
    let mut connection = match accepted.into_connection(config) {
        Ok(connection) => connection,
        Err((error, mut alert)) => {
            let _ = alert.write_all(&mut Raw(stream));
            return Err(failed(error));
        }
    };
    loop {
        while connection.wants_write() {
            match connection.write_tls(&mut Raw(stream)) {
                Ok(n) => sent += n as u64,
                Err(error) if is_waiting(&error) => stream.writable().await?,
                Err(error) => return Err(error.into()),
            }
        }
        if !connection.is_handshaking() {
            break;
        }
        stream.readable().await?;
        match connection.read_tls(&mut Raw(stream)) {
            Ok(0) => return Err(Failed::Gone),
            Ok(n) => received.set(received.get() + n as u64),
            Err(error) if is_waiting(&error) => continue,
            Err(error) => return Err(error.into()),
        }
        if let Err(error) = connection.process_new_packets() {
            let _ = connection.write_tls(&mut Raw(stream));
            return Err(failed(error));
        }
    }
    let security = host.security(&connection, sni, own);
    let is_h2 = protocol == Protocol::H2;
    let bytes = (received.get(), sent);
    Ok(Opened { wire: Some(Wire(connection)), security, is_h2, bytes })
}

/// The client's first words.
async fn hello(
    stream: &TcpStream,
    server: &Server,
    received: &Cell<u64>,
) -> Result<Accepted, Failed> {
    let mut acceptor = Acceptor::default();
    loop {
        stream.readable().await?;
        match acceptor.read_tls(&mut Raw(stream)) {
            Ok(0) => return Err(Failed::Gone),
            Ok(n) => received.set(received.get() + n as u64),
            Err(error) if is_waiting(&error) => continue,
            Err(error) => return Err(error.into()),
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let _ = alert.write_all(&mut Raw(stream));
                return Err(Failed::Handshake(name(server), error.to_string()));
            }
        }
    }
}

fn name(server: &Server) -> String {
    let core = &server.config.core;
    let port = server.addresses.iter().find_map(|address| address.port);
    let name = core.server_name.as_deref().unwrap_or_default();
    format!("{name}:{}", port.or(core.port).unwrap_or(443))
}
