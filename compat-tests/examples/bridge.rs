//! What a server of hyper and tokio costs that has nothing between the client and the
//! application: no configuration, no phases, no log, no look at a file. It answers `/s1k.txt` with
//! 1 KiB from memory and hands everything else to the FastCGI application, whose answer it
//! sends as it came. The bench of the project's shared material measures it as it measures
//! ours, in the same run with the same applications, so that what it takes is a floor:
//!
//! ```text
//! cargo build --release -p compat-tests --example bridge
//! bench --server 'target/release/examples/bridge -f {conf}' --peers lighttpd,nginx
//! ```
//!
//! With `-k` connections to the application are kept: half of [`WORKERS`] on each of two
//! threads; without it there is one for each request.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::IoSlice;
use std::net::TcpListener as StdListener;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Semaphore;

/// The application's processes, as many as the bench starts.
const WORKERS: usize = 4;
/// One thread for each of the machine's two processors.
const THREADS: usize = 2;
/// The small file of the bench.
const FILE: &str = "/s1k.txt";
static ANSWER: [u8; 1024] = [b'x'; 1024];
/// What mod_fastcgi would tell an application, without values that change.
const PARAMS: [(&str, &str); 18] = [
    ("HTTP_HOST", "127.0.0.1:40000"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("SERVER_SIGNATURE", ""),
    ("SERVER_SOFTWARE", "bridge"),
    ("SERVER_NAME", "127.0.0.1"),
    ("SERVER_ADDR", "127.0.0.1"),
    ("SERVER_PORT", "40000"),
    ("REMOTE_ADDR", "127.0.0.1"),
    ("DOCUMENT_ROOT", "/tmp/bench/htdocs"),
    ("REQUEST_SCHEME", "http"),
    ("SERVER_ADMIN", "[no address given]"),
    ("SCRIPT_FILENAME", "/tmp/bench/htdocs/app"),
    ("REMOTE_PORT", "50000"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_METHOD", "GET"),
    ("REQUEST_URI", "/app"),
    ("SCRIPT_NAME", "/app"),
];

/// The application, as a thread knows it.
struct App {
    socket: String,
    keeps: bool,
    idle: RefCell<Vec<UnixStream>>,
    turns: Semaphore,
}

/// Pieces of an answer.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// A record's header.
fn header(kind: u8, length: usize) -> [u8; 8] {
    let [high, low] = (length as u16).to_be_bytes();
    [1, kind, 0, 1, high, low, 0, 0]
}

/// BEGIN_REQUEST and the parameters.
fn opening(request: &Request<Incoming>, keeps: bool, length: u64) -> Vec<u8> {
    let query = request.uri().query().unwrap_or("");
    let length = length.to_string();
    let own = [("QUERY_STRING", query), ("CONTENT_LENGTH", length.as_str())];
    let mut content = Vec::with_capacity(1024);
    for (name, value) in PARAMS.iter().chain(&own) {
        content.extend([name.len() as u8, value.len() as u8]);
        content.extend(name.as_bytes());
        content.extend(value.as_bytes());
    }
    let mut out = Vec::with_capacity(1024);
    out.extend(header(1, 8));
    out.extend([0, 1, keeps.into(), 0, 0, 0, 0, 0]);
    out.extend(header(4, content.len()));
    out.extend(content);
    out.extend(header(4, 0));
    out
}

/// Asks the application.
async fn ask(app: &App, request: Request<Incoming>) -> Result<Pieces> {
    let hint = request.body().size_hint().lower();
    let mut out = VecDeque::from([Bytes::from(opening(&request, app.keeps, hint))]);
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame?.into_data() else { continue };
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(65535));
            out.push_back(Bytes::copy_from_slice(&header(5, piece.len())));
            out.push_back(piece);
        }
    }
    out.push_back(Bytes::copy_from_slice(&header(5, 0)));
    let turn = if app.keeps { Some(app.turns.acquire().await?) } else { None };
    let idle = app.idle.borrow_mut().pop();
    let mut stream = match idle {
        Some(stream) => stream,
        None => UnixStream::connect(&app.socket).await?,
    };
    while !out.is_empty() {
        let slices: Vec<_> = out.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut sent = stream.write_vectored(&slices).await?;
        while let Some(front) = out.front_mut().filter(|_| sent > 0) {
            let n = sent.min(front.len());
            front.advance(n);
            sent -= n;
            if front.is_empty() {
                out.pop_front();
            }
        }
    }
    let (mut input, mut pieces) = (BytesMut::with_capacity(16 * 1024), VecDeque::new());
    'answer: loop {
        input.reserve(16 * 1024);
        if stream.read_buf(&mut input).await? == 0 {
            bail!("the application has gone");
        }
        while let [1, kind, _, _, high, low, padding, _, ..] = *input {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if input.len() < 8 + length + usize::from(padding) {
                break;
            }
            input.advance(8);
            let content = input.split_to(length).freeze();
            input.advance(padding.into());
            match kind {
                3 => break 'answer,
                6 if length > 0 => pieces.push_back(content),
                _ => {}
            }
        }
    }
    if app.keeps {
        app.idle.borrow_mut().push(stream);
    }
    drop(turn);
    let head = pieces.front_mut().context("no answer")?;
    let end = head.windows(4).position(|four| four == b"\r\n\r\n").context("no head")?;
    head.advance(end + 4);
    Ok(Pieces(pieces))
}

async fn connection(stream: TcpStream, app: Rc<App>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let app = app.clone();
        async move {
            if request.uri().path() == FILE {
                let piece = Bytes::from_static(&ANSWER);
                return Ok::<_, anyhow::Error>(Response::new(Pieces([piece].into())));
            }
            let response = Response::builder().header("content-type", "text/plain");
            Ok(response.body(ask(&app, request).await?)?)
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// One thread: a runtime of its own, and the listener that all share.
fn serve(listener: StdListener, socket: String, keeps: bool) -> Result<()> {
    let runtime = Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build_local(LocalOptions::default())?;
    let turns = Semaphore::new(WORKERS / THREADS);
    let app = Rc::new(App { socket, keeps, idle: RefCell::default(), turns });
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            tokio::task::spawn_local(connection(listener.accept().await?.0, app.clone()));
        }
    })
}

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().collect();
    let at = args.iter().position(|arg| arg == "-f").context("-f FILE is missing")?;
    let text = std::fs::read_to_string(args.get(at + 1).context("-f wants a file")?)?;
    let word = |before: &str| -> Result<String> {
        let (_, rest) = text.split_once(before).with_context(|| before.to_owned())?;
        Ok(rest.split_whitespace().next().unwrap_or_default().to_owned())
    };
    let listener = StdListener::bind(word("Listen ")?)?;
    listener.set_nonblocking(true)?;
    let keeps = args.iter().any(|arg| arg == "-k");
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        let (listener, socket) = (listener.try_clone()?, word("-socket ")?);
        threads.push(std::thread::spawn(move || serve(listener, socket, keeps)));
    }
    for thread in threads {
        thread.join().ok().context("a thread ended badly")??;
    }
    Ok(())
}
