//! URLs of upstreams: cut into their parts, and brought into the form in which they are
//! sent. `ap_proxy_canon_netloc`, `ap_proxy_canonenc`, `ap_proxy_de_socketfy`.

use bytes::Bytes;

/// An upstream's URL, cut apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// In lower case.
    pub scheme: String,
    /// In lower case, without the brackets of an IPv6 address.
    pub host: String,
    /// As written, if it was.
    pub port: Option<u16>,
    /// What stands behind the host, with its slash; empty if there is nothing.
    pub path: Vec<u8>,
}

/// The port of a scheme: `ap_proxy_port_of_scheme`.
pub fn default_port(scheme: &str) -> u16 {
    match scheme {
        "http" | "ws" | "h2c" => 80,
        "https" | "wss" | "h2" => 443,
        "fcgi" => 8000,
        _ => 0,
    }
}

impl Parts {
    /// Cuts `scheme://[user@]host[:port][/path]` apart; the error is httpd's sentence.
    pub fn of(url: &[u8]) -> Result<Parts, &'static str> {
        let colon = url.iter().position(|&b| b == b':').ok_or("Malformed URL")?;
        let scheme = String::from_utf8_lossy(&url[..colon]).to_ascii_lowercase();
        let rest = url[colon + 1..].strip_prefix(b"//").ok_or("Malformed URL")?;
        let slash = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let at = authority.iter().rposition(|&b| b == b'@').map_or(0, |i| i + 1);
        let host = String::from_utf8_lossy(&authority[at..]).to_ascii_lowercase();
        let (host, port) = split_port(&host).ok_or("Invalid host/port")?;
        Ok(Parts { scheme, host: host.to_owned(), port, path: path.to_vec() })
    }

    /// The port, or that of the scheme.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or_else(|| default_port(&self.scheme))
    }

    /// `host` or `host:port`, the port only where it is not the scheme's.
    pub fn authority(&self) -> String {
        let host = bracketed(&self.host);
        match self.port.filter(|port| *port != default_port(&self.scheme)) {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

/// An IPv6 address gets its brackets back.
pub fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            match behind {
                "" => (host, None),
                _ => (host, Some(behind.strip_prefix(':')?)),
            }
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty()
        || host.contains(['%', '/'])
        || (host.contains(':') && !text.starts_with('['))
    {
        return None;
    }
    match port {
        None => Some((host, None)),
        Some(port) => Some((host, Some(port.parse().ok().filter(|port| *port > 0)?))),
    }
}

/// `unix:/socket|scheme://host/path`: the socket and the URL behind it. A URL without a
/// socket is itself; `None` is a socket without a URL.
pub fn split_socket(url: &[u8]) -> Option<(Option<Bytes>, Vec<u8>)> {
    let is_socket =
        url.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"unix:"));
    let bar = url.iter().position(|&b| b == b'|');
    let (true, Some(bar)) = (is_socket, bar) else { return Some((None, url.to_vec())) };
    let socket = Bytes::copy_from_slice(&url[5..bar]);
    let rest = &url[bar + 1..];
    let colon = rest.iter().position(|&b| b == b':')?;
    let whole = match &rest[colon + 1..] {
        b"" => [rest, b"//localhost"].concat(),
        b"//" => [rest, b"localhost"].concat(),
        _ => rest.to_vec(),
    };
    Some((Some(socket), whole))
}

/// Encodes what may not stand in a path as it is. With `keep_slashes` an encoded slash
/// stays one (`AllowEncodedSlashes NoDecode`). `None` if an escape is none.
pub fn encode_path(path: &[u8], keep_slashes: bool) -> Option<Vec<u8>> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(path.len());
    let mut i = 0;
    while i < path.len() {
        let byte = path[i];
        if keep_slashes && byte == b'%' {
            let digits = path
                .get(i + 1..i + 3)
                .filter(|two| two.iter().all(u8::is_ascii_hexdigit))?;
            if digits.eq_ignore_ascii_case(b"2f") {
                out.extend_from_slice(&path[i..i + 3]);
                i += 3;
                continue;
            }
        }
        if byte.is_ascii_alphanumeric() || b"/~$-_.+!*'(),;:@&=".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
        i += 1;
    }
    Some(out)
}

/// Does a text that is sent as it is hold blanks or control characters?
/// `ap_scan_vchar_obstext`.
pub fn has_controls(text: &[u8]) -> bool {
    text.iter().any(|&b| b <= b' ' || b == 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_cut_apart() {
        let parts = |url: &str| Parts::of(url.as_bytes());
        let found = parts("HTTP://User@Host:8080/A/b").unwrap();
        assert_eq!(
            (&*found.scheme, &*found.host, found.port),
            ("http", "host", Some(8080))
        );
        assert_eq!((&found.path[..], &*found.authority()), (&b"/A/b"[..], "host:8080"));
        assert_eq!(parts("fcgi://[::1]:9000").unwrap().authority(), "[::1]:9000");
        assert_eq!(parts("http://h:80/").unwrap().authority(), "h");
        for bad in
            ["http:/x", "http://", "http://h:0/", "http://h:x/", "http://::1/", "nothing"]
        {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sockets_stand_before_urls() {
        let split = |url: &str| split_socket(url.as_bytes());
        let some =
            |socket: &'static str, url: &str| Some((Some(socket.into()), url.into()));
        assert_eq!(split("unix:/a|fcgi://h/x"), some("/a", "fcgi://h/x"));
        assert_eq!(split("UNIX:/a|fcgi://"), some("/a", "fcgi://localhost"));
        assert_eq!(split("unix:/a|http:"), some("/a", "http://localhost"));
        assert_eq!(split("http://h/a|b"), Some((None, b"http://h/a|b".to_vec())));
        assert_eq!(split("unix:/a|nothing"), None);
    }

    #[test]
    fn paths_are_encoded() {
        assert_eq!(encode_path(b"a b%/\xc3?", false).unwrap(), b"a%20b%25/%C3%3F");
        assert_eq!(encode_path(b"a%2fb%20", true).unwrap(), b"a%2fb%2520");
        assert_eq!(encode_path(b"a%2", true), None);
    }
}
