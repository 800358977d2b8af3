//! An HTTP/1 client that sends what it is told and keeps what it gets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Names and values of a header, in their order.
pub type Fields = Vec<(String, String)>;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A response as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The number of the status.
    pub status: u16,
    /// The words behind it.
    pub reason: String,
    /// Names and values, in order.
    pub headers: Fields,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// How its end was found: `length`, `chunked`, `close` or `none`.
    pub framing: &'static str,
    /// Trailer fields behind a chunked body.
    pub trailers: Fields,
}

impl Response {
    /// A field's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The most of a body that a message shows.
const SHOWN: usize = 4000;

/// As it came, for messages.
impl std::fmt::Display for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} {}", self.status, self.reason)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        let body = &self.body[..self.body.len().min(SHOWN)];
        write!(f, "\n{}", String::from_utf8_lossy(body))
    }
}

/// A connection that requests are sent over.
pub struct Client {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Client {
    /// Connects.
    pub fn connect(port: u16) -> Result<Client> {
        Client::connect_to(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Connects to another address than the usual one.
    pub fn connect_to(address: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, rest: Vec::new() })
    }

    /// Our end's address.
    pub fn local(&self) -> Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) -> Result<()> {
        Ok(self.stream.shutdown(std::net::Shutdown::Write)?)
    }

    /// Reads the next response; `method` is that of its request.
    pub fn response(&mut self, method: &str) -> Result<Response> {
        loop {
            let response = self.any_response(method)?;
            if response.status != 100 {
                return Ok(response);
            }
        }
    }

    /// The next response, an interim one included.
    pub fn any_response(&mut self, method: &str) -> Result<Response> {
        let head = self.until(b"\r\n\r\n").context("reading the head")?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let mut words = line.splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        if !version.starts_with("HTTP/1.") {
            bail!("no status line: {line:?}");
        }
        let status = words.next().unwrap_or_default().parse().context("no status")?;
        let reason = words.next().unwrap_or_default().to_owned();
        let headers = fields(lines);
        let mut response = Response { status, reason, headers, ..Response::default() };
        let no_body = method == "HEAD" || status < 200 || status == 204 || status == 304;
        if no_body {
            response.framing = "none";
        } else if response
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            response.framing = "chunked";
            (response.body, response.trailers) = self.chunks()?;
        } else if let Some(length) = response.header("content-length") {
            let length = length.trim().parse().context("no length")?;
            response.framing = "length";
            response.body = self.exactly(length)?;
        } else {
            response.framing = "close";
            self.stream.read_to_end(&mut self.rest)?;
            response.body = std::mem::take(&mut self.rest);
        }
        Ok(response)
    }

    /// Has the other end said all?
    pub fn is_at_end(&mut self) -> Result<bool> {
        if self.rest.is_empty() {
            self.stream.read_to_end(&mut self.rest)?;
        }
        Ok(self.rest.is_empty())
    }

    /// Everything up to the end of the connection.
    pub fn everything(&mut self) -> Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.rest)?;
        Ok(std::mem::take(&mut self.rest))
    }

    fn more(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        let n = loop {
            match self.stream.read(&mut buffer) {
                // A read with a time limit ends when the process is stopped and goes on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if n == 0 {
            bail!("the connection ended after {:?}", String::from_utf8_lossy(&self.rest));
        }
        self.rest.extend_from_slice(&buffer[..n]);
        Ok(())
    }

    /// Reads up to a mark; what is before it comes back.
    pub fn until(&mut self, end: &[u8]) -> Result<Vec<u8>> {
        loop {
            let found = self.rest.windows(end.len()).position(|w| w == end);
            if let Some(found) = found {
                let head = self.rest[..found].to_vec();
                self.rest.drain(..found + end.len());
                return Ok(head);
            }
            self.more()?;
        }
    }

    /// So many bytes.
    pub fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.rest.len() < length {
            self.more()?;
        }
        Ok(self.rest.drain(..length).collect())
    }

    fn chunks(&mut self) -> Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n")?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).context("no chunk size")?;
            if size == 0 {
                let mut trailers = Vec::new();
                loop {
                    let line = self.until(b"\r\n")?;
                    if line.is_empty() {
                        return Ok((body, trailers));
                    }
                    let line = String::from_utf8_lossy(&line).into_owned();
                    trailers.extend(fields(std::iter::once(line.as_str())));
                }
            }
            body.extend(self.exactly(size)?);
            self.exactly(2)?;
        }
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Fields {
    lines
        .filter(|line| !line.is_empty())
        .map(|line| match line.split_once(':') {
            Some((name, value)) => (name.to_owned(), value.trim().to_owned()),
            None => (line.to_owned(), String::new()),
        })
        .collect()
}
