//! A connection whose protocol the upstream has changed: bytes in both directions, until
//! one side has enough (mod_proxy's tunnels).

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use directives::reply::Reply;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::finish::Guard;
use super::socket::Shared;
use crate::upstream::exchange::Exchange;

/// How much is passed on at once, bytes.
const PIECE: usize = 16 * 1024;

/// Tells the client that protocols have changed, and passes on what both say. `guard`
/// counts what the client gets.
pub async fn run(
    exchange: Exchange,
    shared: &Rc<Shared>,
    reply: &Reply,
    guard: &mut Guard,
) {
    let patience = exchange.patience();
    let Some((stream, first)) = exchange.into_socket().await else { return };
    if shared.write_raw(&head(reply)).await.is_err() {
        return;
    }
    guard.count(first.len() as u64);
    if shared.write_raw(&first).await.is_err() {
        return;
    }
    let (mut from, mut to) = tokio::io::split(stream);
    let active = Cell::new(Instant::now());
    let out = async {
        let mut piece = vec![0; PIECE];
        loop {
            let read = patient(patience, &active, from.read(&mut piece)).await?;
            if read == 0 {
                // The upstream has said all; the client is told so.
                timeout(patience, shared.end_raw()).await.ok()?.ok()?;
                return Some(());
            }
            timeout(patience, shared.write_raw(&piece[..read])).await.ok()?.ok()?;
            guard.count(read as u64);
        }
    };
    let back = async {
        let mut piece = vec![0; PIECE];
        loop {
            let read = patient(patience, &active, shared.read_raw(&mut piece)).await?;
            if read == 0 {
                let _ = to.shutdown().await;
                return Some(());
            }
            timeout(patience, to.write_all(&piece[..read])).await.ok()?.ok()?;
        }
    };
    // Who has said all may still listen; an error or silence ends it for both.
    let (mut out, mut back) = (std::pin::pin!(out), std::pin::pin!(back));
    tokio::select! {
        ended = &mut out => if ended.is_some() { back.await; },
        ended = &mut back => if ended.is_some() { out.await; },
    }
}

/// A read, unless both sides are silent for too long.
async fn patient(
    patience: Duration,
    active: &Cell<Instant>,
    read: impl Future<Output = std::io::Result<usize>>,
) -> Option<usize> {
    let mut read = std::pin::pin!(read);
    loop {
        match timeout_at(active.get() + patience, read.as_mut()).await {
            Ok(done) => {
                active.set(Instant::now());
                return done.ok();
            }
            Err(_) if active.get() + patience > Instant::now() => {}
            Err(_) => return None,
        }
    }
}

fn head(reply: &Reply) -> Vec<u8> {
    let reason = match &reply.reason {
        Some(line) => line.get(4..).unwrap_or_default().to_vec(),
        None => b"Switching Protocols".to_vec(),
    };
    let mut out = [b"HTTP/1.1 101 ", &reason[..], b"\r\n"].concat();
    for (name, value) in reply.headers.iter() {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}
