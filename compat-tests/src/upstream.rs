//! An HTTP upstream that does what the query string says, so that a test can show what a
//! real server would not do. It counts what happens to it.
//!
//! | directive | does |
//! |---|---|
//! | `status=404 Gone` | the status line |
//! | `header=Name: value` | a field |
//! | `text=words` | the body is this |
//! | `size=n` | the body is so many bytes |
//! | `name` | the body is the upstream's name |
//! | `chunked` | the body is sent in chunks |
//! | `eof` | the body ends with the connection |
//! | `length=n` | the length that is announced, whatever comes |
//! | `sleep=ms` | waits before it answers |
//! | `drip=ms` | waits before each half of the body |
//! | `continue` | says `100 Continue` before it reads the body |
//! | `early` | answers before it reads the body, and closes |
//! | `close` | closes without an answer |
//! | `raw=bytes` | sends these bytes and closes |
//! | `upgrade=name` | changes to a protocol that sends back what it gets |
//!
//! Without a body of its own the answer is the request: its line, its fields by name, its
//! body's length and beginning.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How much of a request's body an answer shows, bytes.
const SHOWN: usize = 60;

/// What has happened to an upstream.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that were accepted.
    pub connections: AtomicU32,
    /// Connections that are open.
    pub open: AtomicU32,
    /// Requests whose head was read.
    pub requests: AtomicU32,
}

/// A running upstream; it ends when this is dropped.
pub struct Upstream {
    /// The port that it listens on.
    pub port: u16,
    /// What has happened.
    pub counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Listens on a port of this machine.
    pub fn start(name: &str, port: u16) -> Result<Upstream> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let accept = move || {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            Ok(Box::new(Tcp(stream)) as Box<dyn Both>)
        };
        let wake = move || drop(TcpStream::connect(("127.0.0.1", port)));
        Ok(Upstream::run(name, port, accept, wake))
    }

    /// Listens on a socket of the file system, which anybody may use.
    pub fn start_unix(name: &str, path: &Path) -> Result<Upstream> {
        let listener = UnixListener::bind(path)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(path, mode)?;
        let accept = move || Ok(Box::new(listener.accept()?.0) as Box<dyn Both>);
        let path = path.to_owned();
        let wake = move || drop(std::os::unix::net::UnixStream::connect(&path));
        Ok(Upstream::run(name, 0, accept, wake))
    }

    fn run(
        name: &str,
        port: u16,
        accept: impl Fn() -> Result<Box<dyn Both>> + Send + 'static,
        wake: impl Fn() + Send + 'static,
    ) -> Upstream {
        let (counts, stop) = (Arc::<Counts>::default(), Arc::<AtomicBool>::default());
        let (name, counted, stopped) = (name.to_owned(), counts.clone(), stop.clone());
        let waker = stop.clone();
        let closers: Closers = Arc::default();
        let opened = closers.clone();
        let accepting = std::thread::spawn(move || {
            while let Ok(stream) = accept() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (name, counts) = (name.clone(), counted.clone());
                opened.lock().expect("no panic").extend(stream.closer());
                counts.connections.fetch_add(1, Ordering::SeqCst);
                counts.open.fetch_add(1, Ordering::SeqCst);
                let stopped = stopped.clone();
                std::thread::spawn(move || {
                    // The server's going away is nothing to report.
                    let _ = serve(stream, &name, &counts, &stopped);
                    counts.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        // Dropping the last handle of `wake` needs a thread of its own: accept() blocks.
        let thread = std::thread::spawn(move || {
            while !waker.load(Ordering::SeqCst) {
                std::thread::park_timeout(Duration::from_millis(20));
            }
            wake();
            let _ = accepting.join();
            // Whoever keeps a connection finds it closed.
            closers.lock().expect("no panic").iter().for_each(|close| close());
        });
        Upstream { port, counts, stop, thread: Some(thread) }
    }

    /// Requests so far.
    pub fn requests(&self) -> u32 {
        self.counts.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// What ends the connections.
type Closers = Arc<Mutex<Vec<Box<dyn Fn() + Send>>>>;

/// A stream that can be read and written at the same time.
trait Both: Send {
    fn closer(&self) -> Option<Box<dyn Fn() + Send>>;
    fn halves(&self) -> Result<(Box<dyn Read + Send>, Box<dyn Write + Send>)>;
    fn end(&self);
}

struct Tcp(TcpStream);

impl Both for Tcp {
    fn closer(&self) -> Option<Box<dyn Fn() + Send>> {
        let stream = self.0.try_clone().ok()?;
        Some(Box::new(move || drop(stream.shutdown(Shutdown::Both))))
    }

    fn halves(&self) -> Result<(Box<dyn Read + Send>, Box<dyn Write + Send>)> {
        self.0.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok((Box::new(self.0.try_clone()?), Box::new(self.0.try_clone()?)))
    }

    fn end(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Both for std::os::unix::net::UnixStream {
    fn closer(&self) -> Option<Box<dyn Fn() + Send>> {
        let stream = self.try_clone().ok()?;
        Some(Box::new(move || drop(stream.shutdown(Shutdown::Both))))
    }

    fn halves(&self) -> Result<(Box<dyn Read + Send>, Box<dyn Write + Send>)> {
        Ok((Box::new(self.try_clone()?), Box::new(self.try_clone()?)))
    }

    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// A request as it came.
#[derive(Default)]
struct Request {
    line: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn shown(&self) -> Vec<u8> {
        let mut fields: Vec<String> = self
            .fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        fields.sort();
        let (length, start) = (self.body.len(), &self.body[..self.body.len().min(SHOWN)]);
        format!(
            "{}\n{}\n{length} bytes: {}\n",
            self.line,
            fields.concat(),
            String::from_utf8_lossy(start)
        )
        .into_bytes()
    }
}

fn serve(
    stream: Box<dyn Both>,
    name: &str,
    counts: &Counts,
    stop: &AtomicBool,
) -> Result<()> {
    let (input, mut output) = stream.halves()?;
    let mut input = BufReader::new(input);
    while let Some(mut request) = head(&mut input)? {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        counts.requests.fetch_add(1, Ordering::SeqCst);
        let target = request.line.split(' ').nth(1).unwrap_or_default().to_owned();
        let query = target.split_once('?').map_or("", |(_, query)| query).to_owned();
        let directives: Vec<(String, String)> = query
            .split('&')
            .map(|one| one.split_once('=').unwrap_or((one, "")))
            .map(|(name, value)| (name.to_owned(), decode(value)))
            .collect();
        let has = |wanted: &str| directives.iter().any(|(name, _)| name == wanted);
        let value = |wanted: &str| {
            directives
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.clone())
        };
        if has("continue") {
            output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if !has("early") {
            request.body = body(&mut input, &request)?;
        }
        if let Some(pause) = value("sleep") {
            std::thread::sleep(Duration::from_millis(pause.parse().unwrap_or(0)));
        }
        if has("close") {
            break;
        }
        if let Some(raw) = value("raw") {
            output.write_all(raw.as_bytes())?;
            break;
        }
        if let Some(protocol) = value("upgrade") {
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n";
            output.write_all(format!("{head}Upgrade: {protocol}\r\n\r\n").as_bytes())?;
            let mut piece = [0; 4096];
            loop {
                let read = input.read(&mut piece)?;
                if read == 0 {
                    break;
                }
                output.write_all(&piece[..read])?;
            }
            break;
        }
        let text = match (value("text"), value("size")) {
            (Some(text), _) => text.into_bytes(),
            (_, Some(size)) => pattern(size.parse().unwrap_or(0)),
            _ if has("name") => format!("{name}\n").into_bytes(),
            _ => request.shown(),
        };
        let mut out = format!(
            "HTTP/1.1 {}\r\n",
            value("status").unwrap_or_else(|| "200 OK".into())
        );
        for (_, field) in directives.iter().filter(|(name, _)| name == "header") {
            out += &format!("{field}\r\n");
        }
        if !out.to_ascii_lowercase().contains("content-type:") {
            out += "Content-Type: text/plain\r\n";
        }
        let ends = has("eof") || has("early") || value("length").is_some();
        if has("chunked") {
            out += "Transfer-Encoding: chunked\r\n";
        } else if !has("eof") {
            let length = value("length").unwrap_or_else(|| text.len().to_string());
            out += &format!("Content-Length: {length}\r\n");
        }
        output.write_all(format!("{out}\r\n").as_bytes())?;
        let is_head = request.line.starts_with("HEAD ");
        let pause =
            value("drip").and_then(|pause| pause.parse().ok()).map(Duration::from_millis);
        for half in text.chunks(text.len().div_ceil(2).max(1)) {
            if is_head {
                break;
            }
            std::thread::sleep(pause.unwrap_or_default());
            if has("chunked") {
                output.write_all(format!("{:x}\r\n", half.len()).as_bytes())?;
                output.write_all(half)?;
                output.write_all(b"\r\n")?;
            } else {
                output.write_all(half)?;
            }
        }
        if has("chunked") && !is_head {
            output.write_all(b"0\r\n\r\n")?;
        }
        let closes =
            request.field("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
        if ends || closes || request.line.ends_with("/1.0") {
            break;
        }
    }
    stream.end();
    Ok(())
}

fn head(input: &mut impl BufRead) -> Result<Option<Request>> {
    let mut request = Request::default();
    if input.read_line(&mut request.line)? == 0 {
        return Ok(None);
    }
    request.line.truncate(request.line.trim_end().len());
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                request.fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => return Ok(Some(request)),
        }
    }
}

fn body(input: &mut impl BufRead, request: &Request) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = request.field("content-length") {
        input.take(length.parse().unwrap_or(0)).read_to_end(&mut body)?;
    } else if request.field("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
            input.take(size).read_to_end(&mut body)?;
            input.read_line(&mut line)?;
            if size == 0 {
                break;
            }
        }
    }
    Ok(body)
}

/// Bytes that show where one was lost: a prime number of letters, again and again.
pub fn pattern(length: usize) -> Vec<u8> {
    b"abcdefghijklmnopqrstuvwABCDEFGH".iter().copied().cycle().take(length).collect()
}

/// The escapes of a URL.
fn decode(value: &str) -> String {
    let mut out = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if first == b'%' => {
                out.push(byte);
                rest = &after[2..];
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
