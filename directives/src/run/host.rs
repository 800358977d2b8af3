//! From the request line and `Host` to the virtual host, and what httpd refuses at once:
//! `ap_parse_request_line`, `ap_check_request_header`, `ap_update_vhost_from_headers`.

use std::sync::Arc;

use bytes::Bytes;

use super::locate;
use crate::log::Level;
use crate::request::Request;
use crate::status;

/// Checks the head and chooses the virtual host. An error is the status to answer.
pub fn check(r: &mut Request) -> Result<(), u16> {
    // Nobody needs it meanwhile, and a clone would cost memory.
    let target = std::mem::take(&mut r.unparsed_uri);
    let checked = check_head(r, &target);
    r.unparsed_uri = target;
    checked
}

fn check_head(r: &mut Request, target: &Bytes) -> Result<(), u16> {
    let limit = r.snapshot.main().config.core.limit_request_line();
    let line = r.method.as_str().len() + target.len() + 10;
    // httpd reads one byte more before it gives up.
    if line as u64 > limit + 1 {
        r.reason = Some(Bytes::from_static(b"414 Request-URI Too Long"));
        let text = format!(
            "request failed: client's request-line exceeds LimitRequestLine (longer than \
             {limit})"
        );
        r.log(Level::Info, "core", 565, text);
        return Err(414);
    }
    if r.server.config.core.registered_methods == Some(true)
        && !crate::content::is_registered_method(r)
    {
        let method = r.method.to_string();
        let text = format!(
            "HTTP Request Line; Unrecognized HTTP method: '{method}' (disallowed by \
             RegisteredMethods)"
        );
        r.log(Level::Debug, "core", 2423, text);
        return Err(501);
    }
    if !is_target(r, target) {
        let target = String::from_utf8_lossy(target);
        let text = format!("HTTP Request Line; Unable to parse URI: '{target}'");
        r.log(Level::Debug, "core", 3450, text);
        return Err(400);
    }
    let absolute_host = locate::parse_uri(r, target);
    if let Err(problem) = choose_host(r, absolute_host) {
        r.log(Level::Debug, "core", 550, problem);
        return Err(400);
    }
    let strict = r.server.config.core.strict_host_check == Some(true);
    let is_found = choose_server(r);
    if strict && !is_found && r.hostname.is_some() && !is_main(r) {
        return unnamed(r);
    }
    check_fields(r)?;
    if r.hostname.is_none() && r.version >= 11 {
        let text =
            "client sent HTTP/1.1 request without hostname (see RFC2616 section 14.23): ";
        let uri = String::from_utf8_lossy(target).into_owned();
        r.log(Level::Debug, "core", 569, text.to_owned() + &uri);
        return Err(400);
    }
    if r.method == http::Method::CONNECT {
        r.uri = target.to_vec();
    }
    if let Some(expect) = r.header(http::header::EXPECT)
        && !expect.eq_ignore_ascii_case(b"100-continue")
    {
        let expect = String::from_utf8_lossy(&expect);
        let text =
            format!("client sent an unrecognized expectation value of Expect: {expect}");
        r.log(Level::Info, "core", 570, text);
        return Err(417);
    }
    Ok(())
}

/// A path, a URL of HTTP's, or what belongs to the method.
fn is_target(r: &Request, target: &[u8]) -> bool {
    let is_url = |scheme: &[u8]| {
        target
            .split_at_checked(scheme.len())
            .is_some_and(|(start, _)| start.eq_ignore_ascii_case(scheme))
    };
    match r.method {
        http::Method::CONNECT => true,
        http::Method::OPTIONS if target == b"*" => true,
        // What stands behind a `#` is the browser's own.
        _ if target.contains(&b'#') => false,
        _ if target.starts_with(b"/") => true,
        _ if is_url(b"http://") => is_host(&target[7..]),
        _ if is_url(b"https://") => is_host(&target[8..]),
        _ => false,
    }
}

/// Is what a URL begins with behind its scheme a host? A name and a password are none of it.
fn is_host(rest: &[u8]) -> bool {
    let end = rest.iter().position(|b| b"/?".contains(b)).unwrap_or(rest.len());
    !rest[..end].contains(&b'@')
}

/// `Host`, or the authority of an absolute target, which wins over it.
fn choose_host(r: &mut Request, absolute: Option<Vec<u8>>) -> Result<(), String> {
    let mut fields = r.headers_in.get_all(http::header::HOST).iter();
    let field = fields.next().map(http::HeaderValue::as_bytes);
    if fields.next().is_some() {
        return Err("Multiple host headers in request".to_owned());
    }
    let Some(host) = absolute.as_deref().or(field) else { return Ok(()) };
    let split = split_host(host).ok_or_else(|| {
        let host = String::from_utf8_lossy(host);
        format!("Client sent malformed Host header: {host}")
    });
    if let Some(host) = &absolute
        && let Ok(value) = http::HeaderValue::from_bytes(host)
    {
        // Everybody after us sees the host that counts.
        Arc::make_mut(&mut r.headers_in).insert(http::header::HOST, value);
    }
    let (name, port) = split?;
    r.hostname = (!name.is_empty()).then_some(name);
    r.host_port = port;
    Ok(())
}

/// Name (lower case, without a final dot) and port. `None` for what cannot be a host:
/// see `fix_hostname`.
fn split_host(host: &[u8]) -> Option<(String, Option<u16>)> {
    let text = std::str::from_utf8(host).ok()?.trim();
    if text.starts_with('[') {
        let end = text.find(']')?;
        let inner = &text[1..end];
        inner.parse::<std::net::Ipv6Addr>().ok()?;
        let port = match &text[end + 1..] {
            "" => None,
            rest => Some(parse_port(rest.strip_prefix(':')?)?),
        };
        return Some((text[..=end].to_ascii_lowercase(), port.flatten()));
    }
    let (name, port) = match text.bytes().position(|b| b == b':') {
        Some(colon) => (&text[..colon], parse_port(&text[colon + 1..])?),
        None => (text, None),
    };
    // A dot may not begin a name, nor follow another.
    let mut before = b'.';
    for byte in name.bytes() {
        let allowed =
            matches!(byte, b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | 128..);
        if !allowed && (byte != b'.' || before == b'.') {
            return None;
        }
        before = byte;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    Some((name.to_ascii_lowercase(), port))
}

fn parse_port(port: &str) -> Option<Option<u16>> {
    if port.is_empty() {
        return Some(None);
    }
    let number: u16 = port.parse().ok()?;
    (number > 0 && port.bytes().all(|b| b.is_ascii_digit())).then_some(Some(number))
}

/// By the host that the client names; for one that names none, by `ServerPath`. Says whether
/// there is such a virtual host.
fn choose_server(r: &mut Request) -> bool {
    let host = r.hostname.as_deref().filter(|host| !host.is_empty());
    let server = match host {
        Some(host) => r.snapshot.server_named(r.connection.local, host),
        None => r.snapshot.server_with_path(r.connection.local, &r.uri),
    };
    let Some(server) = server else { return false };
    r.dir = server.root.clone();
    r.server = server;
    true
}

/// Is the request for the main server, and by a name of it?
fn is_main(r: &Request) -> bool {
    r.snapshot.names_at(r.connection.local).is_none()
        && r.hostname.as_deref().is_some_and(|host| r.server.config.core.is_called(host))
}

/// `StrictHostCheck`: nobody is called that.
fn unnamed(r: &mut Request) -> Result<(), u16> {
    let host = r.hostname.as_deref().unwrap_or_default();
    let (ah, whose) = match &r.server.place {
        None => (10156, "the global server configuration ".to_owned()),
        Some((file, line)) => {
            let place = format!("default vhost for current connection is {file}:{line}");
            (10157, format!("the matching virtual host ({place})"))
        }
    };
    let text = format!(
        "Requested hostname '{host}' did not match any ServerName/ServerAlias in {whose}"
    );
    r.log(Level::Warn, "core", ah, text);
    Err(400)
}

/// `LimitRequestFields` and `LimitRequestFieldSize`.
fn check_fields(r: &mut Request) -> Result<(), u16> {
    let limits = &r.server.config.core;
    let (fields, size) =
        (limits.limit_request_fields(), limits.limit_request_field_size());
    let note = |r: &mut Request, text: &'static str| {
        r.notes.set("error-notes", text);
        Err(400)
    };
    if fields > 0 && r.headers_in.len() as u64 > fields {
        r.log(
            Level::Info,
            "core",
            563,
            "Number of request headers exceeds LimitRequestFields",
        );
        return note(
            r,
            "The number of request header fields exceeds this server's limit.",
        );
    }
    let long = r
        .headers_in
        .iter()
        .find(|(name, value)| (name.as_str().len() + 2 + value.len()) as u64 > size + 1)
        .map(|(name, _)| crate::content::title_case(name.as_str()));
    if let Some(name) = long {
        let text = format!("Request header exceeds LimitRequestFieldSize: {name}");
        r.log(Level::Info, "core", 561, text);
        return note(r, "Size of a request header field exceeds server limit.");
    }
    debug_assert!(status::drops_connection(400));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::split_host;

    #[test]
    fn hosts_are_split_and_strange_ones_refused() {
        let ok = |h: &str| split_host(h.as_bytes());
        assert_eq!(ok("Example.ORG."), Some(("example.org".to_owned(), None)));
        assert_eq!(ok("a:8080"), Some(("a".to_owned(), Some(8080))));
        assert_eq!(ok("[::1]:80"), Some(("[::1]".to_owned(), Some(80))));
        assert_eq!(ok("a b"), None);
        assert_eq!(ok("a:99999"), None);
        assert_eq!(ok("a/b"), None);
        assert_eq!(ok("a..b"), None);
    }
}
