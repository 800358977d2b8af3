//! A connection that changes from HTTP/1.1 to HTTP/2 (`Upgrade: h2c`, RFC 7540, 3.2), its
//! request being the first stream. hyper's HTTP/2 knows no such beginning: it is given the
//! frames with which the client would have begun, and the client's own preface is kept from
//! it. The client does not expect its settings to be confirmed which came with HTTP/1.1: the
//! first confirmation is kept from it. Behind both nothing is looked at any more. The stream
//! begins when the preface has come: some clients have no room for much of an answer right
//! behind the word that protocols are changed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::h2::MAX_FIELDS;
use super::socket::Socket;

/// What a client of HTTP/2 says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame before its payload.
const FRAME: usize = 9;
/// Payload of a frame that everybody takes, bytes.
const MOST: usize = 16 * 1024;
/// Types of frames, and flags.
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Settings are confirmed: the whole frame.
const CONFIRMED: &[u8] = &[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0];
/// What a field counts beside its name and value (RFC 9113, 6.5.2).
const FIELD: usize = 32;

/// The fields that no stream has (RFC 9113, 8.2.2).
fn is_of_connection(name: &HeaderName, value: &HeaderValue) -> bool {
    match name.as_str() {
        "connection" | "http2-settings" | "keep-alive" | "proxy-connection"
        | "transfer-encoding" | "upgrade" => true,
        "te" => value != "trailers",
        _ => false,
    }
}

/// A request that asks for HTTP/2, as the field block (HPACK) of a stream; `None` for other
/// requests. Where it may not become one its `HTTP2-Settings` are taken away, without which
/// nothing is changed.
pub fn first_stream(parts: &mut Parts, may: bool) -> Option<Box<[u8]>> {
    if !parts.headers.contains_key("http2-settings") {
        return None;
    }
    let block = may.then(|| block(parts)).flatten();
    if block.is_none() {
        parts.headers.remove("http2-settings");
    }
    block
}

fn block(parts: &Parts) -> Option<Box<[u8]>> {
    let path = parts.uri.path_and_query()?.as_str();
    let authority = parts.uri.authority().map(Authority::as_str);
    let mut out = Vec::new();
    add(&mut out, b":method", parts.method.as_str().as_bytes());
    add(&mut out, b":scheme", b"http");
    if let Some(authority) = authority {
        add(&mut out, b":authority", authority.as_bytes());
    }
    add(&mut out, b":path", path.as_bytes());
    let mut count = 4;
    for (name, value) in &parts.headers {
        let is_host = authority.is_some() && *name == header::HOST;
        if !is_of_connection(name, value) && !is_host {
            add(&mut out, name.as_str().as_bytes(), value.as_bytes());
            count += 1;
        }
    }
    (out.len() + count * FIELD <= MAX_FIELDS as usize).then(|| out.into())
}

/// A field that no table remembers (RFC 7541, 6.2.3).
fn add(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0x10);
    for text in [name, value] {
        // A number that begins with seven bits (RFC 7541, 5.1).
        match text.len().checked_sub(0x7f) {
            None => out.push(text.len() as u8),
            Some(mut rest) => {
                out.push(0x7f);
                while rest >= 0x80 {
                    out.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                out.push(rest as u8);
            }
        }
        out.extend_from_slice(text);
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// What is said before client and hyper understand each other.
#[derive(Debug)]
pub struct Beginning {
    /// What hyper reads first.
    told: Vec<u8>,
    told_until: usize,
    /// Where the stream begins in it.
    stream: usize,
    /// So much of the client's preface has come, bytes.
    preface: usize,
    /// What hyper writes: the beginning of a frame, and how much of one is to come, bytes.
    frame: Vec<u8>,
    left: usize,
    /// A confirmation was kept back.
    confirmed: bool,
    /// What is on its way to the client.
    out: Vec<u8>,
}

impl Beginning {
    /// Of a client with these settings, whose request is this field block.
    pub fn new(settings: &[u8], block: &[u8]) -> Beginning {
        let mut told = PREFACE.to_vec();
        frame(&mut told, SETTINGS, 0, 0, settings);
        let stream = told.len();
        let mut pieces = block.chunks(MOST).peekable();
        let (mut kind, mut flags) = (HEADERS, END_STREAM);
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                flags |= END_HEADERS;
            }
            frame(&mut told, kind, flags, 1, piece);
            (kind, flags) = (CONTINUATION, 0);
        }
        Beginning {
            told,
            told_until: 0,
            stream,
            preface: 0,
            frame: Vec::with_capacity(FRAME),
            left: 0,
            confirmed: false,
            out: Vec::new(),
        }
    }

    /// Takes what the client sent already, behind its request. Is it how HTTP/2 begins?
    pub fn follows(&mut self, ahead: &[u8]) -> bool {
        let n = ahead.len().min(PREFACE.len());
        self.preface = n;
        self.told.extend_from_slice(&ahead[n..]);
        ahead[..n] == PREFACE[..n]
    }

    /// hyper and the client understand each other.
    fn is_over(&self) -> bool {
        self.told_until == self.told.len()
            && self.preface == PREFACE.len()
            && self.confirmed
            && self.out.is_empty()
    }

    /// Gives hyper what it reads first. The answer is whether that was all for this time;
    /// otherwise the socket has the turn.
    fn poll_read(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        loop {
            let has_come = self.preface == PREFACE.len();
            let until = if has_come { self.told.len() } else { self.stream };
            let told = &self.told[self.told_until..until];
            if !told.is_empty() {
                let n = told.len().min(buf.remaining());
                buf.put_slice(&told[..n]);
                self.told_until += n;
                return Poll::Ready(Ok(true));
            }
            if has_come {
                return Poll::Ready(Ok(false));
            }
            let expected = &PREFACE[self.preface..];
            let mut piece = [0; PREFACE.len()];
            let mut piece = ReadBuf::new(&mut piece[..expected.len()]);
            ready!(Pin::new(&mut *socket).poll_read(cx, &mut piece))?;
            let came = piece.filled();
            if came.is_empty() {
                return Poll::Ready(Ok(true));
            }
            if !expected.starts_with(came) {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            self.preface += came.len();
        }
    }

    /// Takes what hyper writes, but for the first confirmation.
    fn sift(&mut self, mut bytes: &[u8]) {
        while !self.confirmed && !bytes.is_empty() {
            if self.left > 0 {
                let n = self.left.min(bytes.len());
                self.out.extend_from_slice(&bytes[..n]);
                self.left -= n;
                bytes = &bytes[n..];
                continue;
            }
            let n = (FRAME - self.frame.len()).min(bytes.len());
            self.frame.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            if self.frame == CONFIRMED {
                self.confirmed = true;
            } else if let [a, b, c, ..] = self.frame[..]
                && self.frame.len() == FRAME
            {
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.out.append(&mut self.frame);
            }
        }
        self.out.extend_from_slice(bytes);
    }

    /// Ready when the client has been sent all that it is to have so far.
    fn poll_sent(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let n = ready!(Pin::new(&mut *socket).poll_write(cx, &self.out))?;
            self.out.drain(..n);
        }
        Poll::Ready(Ok(()))
    }
}

/// The socket of an HTTP/2 connection, which may have been one of HTTP/1.1 before.
pub struct Changed {
    /// The socket.
    pub socket: Socket,
    /// How it begins, until that is over.
    pub beginning: Option<Box<Beginning>>,
}

impl Changed {
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(beginning) = &mut self.beginning {
            ready!(beginning.poll_sent(&mut self.socket, cx))?;
            if beginning.is_over() {
                self.beginning = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Changed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Changed { socket, beginning } = self.get_mut();
        if let Some(beginning) = beginning
            && ready!(beginning.poll_read(socket, cx, buf))?
        {
            return Poll::Ready(Ok(()));
        }
        Pin::new(socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Changed {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_sent(cx))?;
        let Some(beginning) = &mut this.beginning else {
            return Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        };
        // hyper flushes what it has written.
        for buf in bufs {
            beginning.sift(buf);
        }
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_sent(cx))?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_sent(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}
