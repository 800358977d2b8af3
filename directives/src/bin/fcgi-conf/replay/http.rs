//! One request, one connection: as much of HTTP/1.1's client as comparing wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use directives::replay::{Answer, Asked};

/// The most of a line, a head and a body that is taken, bytes.
const MAX_LINE: u64 = 64 * 1024;
const MAX_FIELDS: usize = 1000;
const MAX_BODY: u64 = 256 * 1024 * 1024;

/// A server.
pub struct Server {
    /// `host:port`, without the port where it is the usual one.
    pub name: String,
    address: String,
    timeout: Duration,
}

impl Server {
    /// From `http://host:port`. The error is a sentence.
    pub fn new(url: &str, timeout: Duration) -> Result<Server, String> {
        let Some(rest) = url.strip_prefix("http://") else {
            return Err(format!("{url} is no http://host:port"));
        };
        let name = rest.trim_end_matches('/').to_owned();
        if name.is_empty() || name.contains('/') {
            return Err(format!("{url} is no http://host:port"));
        }
        let port =
            name.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if port { name.clone() } else { format!("{name}:80") };
        Ok(Server { name, address, timeout })
    }

    /// Sends a request, and reads the answer. The error is a sentence.
    pub fn ask(&self, asked: &Asked, host: &str) -> Result<Answer, String> {
        self.exchange(asked, host).map_err(|error| error.to_string())
    }

    fn exchange(&self, asked: &Asked, host: &str) -> std::io::Result<Answer> {
        let address = self.address.to_socket_addrs()?.next();
        let address = address.ok_or_else(|| bad("there is no such host"))?;
        let mut stream = TcpStream::connect_timeout(&address, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let mut head =
            format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", asked.method, asked.target);
        for (name, value) in &asked.fields {
            head += &format!("{name}: {value}\r\n");
        }
        if !asked.is_safe() {
            head += "Content-Length: 0\r\n";
        }
        head += "Connection: close\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        let mut input = BufReader::new(stream);
        loop {
            let (status, fields) = read_head(&mut input)?;
            // Interim answers are not the answer.
            if (100..200).contains(&status) {
                continue;
            }
            let body = read_body(&mut input, asked, status, &fields)?;
            return Ok(Answer { status, fields, body });
        }
    }
}

fn bad(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned())
}

fn line(input: &mut impl BufRead) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut bytes)?;
    if bytes.last() != Some(&b'\n') {
        return Err(bad("the connection ended within the head"));
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

type Fields = Vec<(String, String)>;

fn read_head(input: &mut impl BufRead) -> std::io::Result<(u16, Fields)> {
    let first = line(input)?;
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = status.and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| bad("what came is no HTTP"))?;
    let mut fields = Vec::new();
    loop {
        let line = line(input)?;
        if line.is_empty() {
            return Ok((status, fields));
        }
        if fields.len() >= MAX_FIELDS {
            return Err(bad("too many fields"));
        }
        let (name, value) =
            line.split_once(':').ok_or_else(|| bad("a field has no name"))?;
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_body(
    input: &mut impl BufRead,
    asked: &Asked,
    status: u16,
    fields: &Fields,
) -> std::io::Result<Vec<u8>> {
    let value = |name: &str| {
        let found = fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    let mut body = Vec::new();
    if asked.method == "HEAD" || status == 204 || status == 304 {
        return Ok(body);
    }
    if value("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        loop {
            let size = line(input)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size =
                u64::from_str_radix(size, 16).map_err(|_| bad("a chunk has no size"))?;
            if size == 0 {
                while !line(input)?.is_empty() {}
                return Ok(body);
            }
            take(input, size, &mut body)?;
            line(input)?;
        }
    }
    match value("content-length") {
        Some(length) => {
            let length = length.parse().map_err(|_| bad("there is no such length"))?;
            take(input, length, &mut body)?;
        }
        None => drop(input.take(MAX_BODY).read_to_end(&mut body)?),
    }
    Ok(body)
}

fn take(input: &mut impl BufRead, length: u64, out: &mut Vec<u8>) -> std::io::Result<()> {
    if length + out.len() as u64 > MAX_BODY {
        return Err(bad("the body is too long"));
    }
    let before = out.len() as u64;
    input.take(length).read_to_end(out)?;
    if out.len() as u64 - before < length {
        return Err(bad("the connection ended within the body"));
    }
    Ok(())
}
