//! The PROXY protocol, versions 1 and 2: what a proxy says of a client before anything
//! else. Not a byte behind it is taken from the socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpStream;

/// The longest header of version 1, bytes, its end of line included.
const LONGEST_LINE: usize = 107;
/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of version 2, bytes.
const FIXED: usize = 16;
/// The most that version 2 may add, bytes; addresses take 36, the rest is extensions.
const MOST_EXTRA: usize = 4096;

/// Reads the header. `None` stands for a connection that the proxy made for itself, or of
/// a kind that has no addresses: the client is who is connected.
pub async fn read(stream: &TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut head = Vec::with_capacity(LONGEST_LINE);
    loop {
        let wanted = match missing(&head)? {
            0 => return parse(&head),
            wanted => wanted,
        };
        let mut buffer = [0; LONGEST_LINE];
        let room = wanted.min(buffer.len());
        let seen = stream.peek(&mut buffer[..room]).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // A line ends where it says so: what follows it is a request.
        let seen = match buffer[..seen].iter().position(|&byte| byte == b'\n') {
            Some(end) if !is_second(&head, &buffer) => end + 1,
            _ => seen,
        };
        match stream.try_read(&mut buffer[..seen]) {
            Ok(taken) => head.extend_from_slice(&buffer[..taken]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// May these be bytes of version 2?
fn is_second(head: &[u8], next: &[u8]) -> bool {
    head.first().or(next.first()) == Some(&SIGNATURE[0])
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// How many bytes to look at next: 0 if the header is complete.
pub fn missing(head: &[u8]) -> io::Result<usize> {
    if head.is_empty() {
        return Ok(FIXED);
    }
    if is_second(head, &[]) {
        if head.len() < FIXED {
            return Ok(FIXED - head.len());
        }
        let extra = usize::from(u16::from_be_bytes([head[14], head[15]]));
        if &head[..12] != SIGNATURE || extra > MOST_EXTRA {
            return Err(invalid("this is no PROXY header"));
        }
        return Ok(FIXED + extra - head.len());
    }
    let start = b"PROXY ";
    let known = head.len().min(start.len());
    if head[..known] != start[..known] {
        return Err(invalid("this is no PROXY header"));
    }
    if head.last() == Some(&b'\n') {
        return Ok(0);
    }
    match LONGEST_LINE - head.len() {
        0 => Err(invalid("the PROXY header does not end")),
        left => Ok(left),
    }
}

/// Whose connection a complete header says it is; `None` where it says nothing of that.
pub fn parse(head: &[u8]) -> io::Result<Option<SocketAddr>> {
    if is_second(head, &[]) { parse_second(head) } else { parse_line(head) }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`.
fn parse_line(head: &[u8]) -> io::Result<Option<SocketAddr>> {
    let text = head.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
    let text = text.ok_or_else(|| invalid("the PROXY header is no line"))?;
    let words: Vec<&str> = text.split(' ').collect();
    if words.get(1) == Some(&"UNKNOWN") {
        return Ok(None);
    }
    let [_, family, source, target, source_port, target_port] = words[..] else {
        return Err(invalid("the PROXY header lacks something"));
    };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port = |text: &str| text.parse::<u16>().ok();
    match (address(source), address(target), port(source_port), port(target_port)) {
        (Some(ip), Some(_), Some(port), Some(_)) => Ok(Some(SocketAddr::new(ip, port))),
        _ => Err(invalid("the PROXY header has a wrong address")),
    }
}

fn parse_second(head: &[u8]) -> io::Result<Option<SocketAddr>> {
    let (version, command) = (head[12] >> 4, head[12] & 15);
    let body = &head[FIXED..];
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    match (version, command, head[13] >> 4) {
        (2, 0, _) => Ok(None),
        (2, 1, 1) if body.len() >= 12 => {
            let ip = Ipv4Addr::new(body[0], body[1], body[2], body[3]);
            Ok(Some(SocketAddr::new(ip.into(), port(8))))
        }
        (2, 1, 2) if body.len() >= 36 => {
            let mut ip = [0; 16];
            ip.copy_from_slice(&body[..16]);
            Ok(Some(SocketAddr::new(Ipv6Addr::from(ip).into(), port(32))))
        }
        // Neither by IPv4 nor by IPv6: nothing that could be told.
        (2, 1, 0 | 3) => Ok(None),
        _ => Err(invalid("the PROXY header is of an unknown kind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let line = |text: &str| parse(text.as_bytes());
        let found = line("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n").unwrap();
        assert_eq!(found.unwrap(), "192.0.2.1:56324".parse().unwrap());
        let found = line("PROXY TCP6 2001:db8::1 ::1 1 2\r\n").unwrap();
        assert_eq!(found.unwrap(), "[2001:db8::1]:1".parse().unwrap());
        assert_eq!(line("PROXY UNKNOWN\r\n").unwrap(), None);
        for bad in [
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 70000\r\n",
            "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        ] {
            assert!(line(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_second_version_is_binary() {
        let head = |command: u8, family: u8, body: &[u8]| {
            let length = (body.len() as u16).to_be_bytes();
            [&SIGNATURE[..], &[command, family], &length, body].concat()
        };
        let four = head(0x21, 0x11, &[192, 0, 2, 1, 1, 1, 1, 1, 0xdc, 4, 1, 187]);
        assert_eq!(missing(&four).unwrap(), 0);
        assert_eq!(missing(&four[..20]).unwrap(), 8);
        assert_eq!(parse(&four).unwrap(), Some("192.0.2.1:56324".parse().unwrap()));
        assert_eq!(parse(&head(0x20, 0, &[])).unwrap(), None);
        assert!(parse(&head(0x21, 0x11, &[1, 2, 3])).is_err());
        assert!(parse(&head(0x31, 0x11, &[0; 12])).is_err());
        assert!(missing(b"GET / HTTP/1.1\r\n").is_err());
        assert!(missing(&head(0x21, 0x11, &[0; 5000])).is_err());
    }
}
