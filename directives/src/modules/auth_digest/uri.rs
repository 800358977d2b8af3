//! Is what the client says it asks for what it asks for? A proxy on the way may have written
//! the same in another way.

use http::Method;

use super::header::strtol;
use crate::path;
use crate::request::Request;

/// How the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// What the client says is no URI.
    Invalid,
    /// They are two.
    Other,
}

/// The variable that lets old browsers leave the query out.
const HACK: &[u8] = b"AuthDigestEnableQueryStringHack";

/// Compares the client's `uri` with the request's, part by part where they are not spelled
/// alike. Says whether the query was left out, and may be.
pub fn compare(r: &Request, said: &[u8]) -> Result<bool, Mismatch> {
    if said == &r.unparsed_uri[..] {
        return Ok(false);
    }
    let asked = asked(r);
    let mut said = Uri::parse(said).ok_or(Mismatch::Invalid)?;
    if r.original_method == Method::CONNECT {
        return Err(Mismatch::Other);
    }
    let hack = said.query.is_none() && asked.query.is_some() && r.env.has(HACK);
    if hack {
        said.query.clone_from(&asked.query);
    }
    let own_host = match asked.host() {
        Some(host) => host.to_vec(),
        None => r.server_name().as_bytes().to_vec(),
    };
    let own_port = asked.port.flatten().unwrap_or_else(|| r.server_port().into());
    let default = if r.connection.secure { 443 } else { 80 };
    let differs_in_host =
        said.host().is_some_and(|host| !host.eq_ignore_ascii_case(&own_host));
    let differs_in_port = match said.port {
        Some(port) => port.unwrap_or(said.default_port()) != own_port,
        None => said.host().is_some() && own_port != default,
    };
    // "*" stands for a server without a path.
    let is_server = asked.path.is_none()
        && asked.host.is_some()
        && said.path.as_deref() == Some(&b"*"[..]);
    let differs_in_path = said.path != asked.path && !is_server;
    let differs = differs_in_host
        || differs_in_port
        || differs_in_path
        || said.query != asked.query;
    if differs { Err(Mismatch::Other) } else { Ok(hack) }
}

/// The request's own, as the client sent it, without detours: `ap_parse_uri` and
/// `ap_normalize_path`.
fn asked(r: &Request) -> Uri {
    let target = &r.unparsed_uri[..];
    // Two slashes are no host there.
    let extra = target.iter().take_while(|&&b| b == b'/').count().saturating_sub(1);
    let mut uri = Uri::parse(&target[extra..]).unwrap_or_default();
    let merges = r.server.config.core.merge_slashes.unwrap_or(true);
    uri.path = uri.path.map(|path| path::normalize(&path, merges).unwrap_or(path));
    uri
}

/// A URI's parts, decoded. See `apr_uri_parse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Uri {
    scheme: Vec<u8>,
    host: Option<Vec<u8>>,
    /// What stands behind the host's colon, which may be nothing.
    port: Option<Option<i64>>,
    path: Option<Vec<u8>>,
    query: Option<Vec<u8>>,
}

impl Uri {
    fn parse(text: &[u8]) -> Option<Uri> {
        let mut uri = Uri::default();
        let rest = if let Some(rest) = text.strip_prefix(b"//") {
            uri.authority(rest)?
        } else {
            let end = text.iter().position(|b| b":/?#".contains(b)).unwrap_or(text.len());
            let is_scheme = text.first().is_some_and(u8::is_ascii_alphabetic);
            match &text[end..] {
                [b':', b'/', b'/', rest @ ..] if is_scheme => {
                    uri.scheme = text[..end].to_vec();
                    uri.authority(rest)?
                }
                [b':', rest @ ..] if is_scheme => {
                    uri.scheme = text[..end].to_vec();
                    rest
                }
                _ => text,
            }
        };
        let end = rest.iter().position(|b| b"?#".contains(b)).unwrap_or(rest.len());
        let (path, rest) = rest.split_at(end);
        uri.path = (!path.is_empty()).then(|| decode(path));
        if let Some(query) = rest.strip_prefix(b"?") {
            let end = query.iter().position(|&b| b == b'#').unwrap_or(query.len());
            uri.query = Some(decode(&query[..end]));
        }
        Some(uri)
    }

    /// Reads host and port, and leaves what follows; `None` if they are none.
    fn authority<'a>(&mut self, text: &'a [u8]) -> Option<&'a [u8]> {
        let end = text.iter().position(|b| b"/?#".contains(b)).unwrap_or(text.len());
        let (authority, rest) = text.split_at(end);
        let at = authority.iter().rposition(|&b| b == b'@').map_or(0, |at| at + 1);
        let authority = &authority[at..];
        let (host, behind) = if let Some(inner) = authority.strip_prefix(b"[") {
            let end = inner.iter().position(|&b| b == b']')?;
            (&inner[..end], &inner[end + 1..])
        } else {
            let end =
                authority.iter().position(|&b| b == b':').unwrap_or(authority.len());
            authority.split_at(end)
        };
        self.host = Some(decode(host));
        if let Some(port) = behind.strip_prefix(b":") {
            self.port = Some(match port {
                [] => None,
                port => match strtol(port, 10) {
                    (number, []) => Some(number),
                    _ => return None,
                },
            });
        }
        Some(rest)
    }

    /// The host, if it has a name.
    fn host(&self) -> Option<&[u8]> {
        self.host.as_deref().filter(|host| !host.is_empty())
    }

    /// `apr_uri_port_of_scheme`.
    fn default_port(&self) -> i64 {
        match &self.scheme.to_ascii_lowercase()[..] {
            b"http" => 80,
            b"https" => 443,
            _ => 0,
        }
    }
}

/// Decodes every `%xx`; what is none stays. Unlike `ap_unescape_url` and a C string, a NUL
/// ends nothing: what stands behind it is compared as well.
fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [b'%', high, low, behind @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    behind
                }
                _ => {
                    out.push(b'%');
                    &rest[1..]
                }
            },
            [byte, behind @ ..] => {
                out.push(*byte);
                behind
            }
            [] => return out,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text.as_bytes()).expect(text)
    }

    #[test]
    fn parts_are_apr_s() {
        let all = uri("http://u:p@Ho%73t:81/a%2fb?c%3dd#e");
        assert_eq!(all.host(), Some(&b"Host"[..]));
        assert_eq!(all.port, Some(Some(81)));
        assert_eq!(all.path.as_deref(), Some(&b"/a/b"[..]));
        assert_eq!(all.query.as_deref(), Some(&b"c=d"[..]));
        let bare = uri("https://host:");
        assert_eq!(
            (bare.port, bare.default_port(), &bare.path),
            (Some(None), 443, &None)
        );
        assert_eq!(uri("http://[::1]:8/").host(), Some(&b"::1"[..]));
        assert_eq!(uri("//host/a").host(), Some(&b"host"[..]));
        assert_eq!(uri("/a:b//c?").query.as_deref(), Some(&b""[..]));
        assert_eq!(uri("a/b").path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(uri("mailto:a@b").path.as_deref(), Some(&b"a@b"[..]));
        assert_eq!(uri("*").path.as_deref(), Some(&b"*"[..]));
        assert_eq!(uri(""), Uri::default());
        for wrong in ["http://a:b/", "http://[::1/", "//x:9x"] {
            assert_eq!(Uri::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    /// Whatever a client says it asks for is read to its end, and nothing is said of a URI
    /// that does not stand in it.
    #[test]
    fn hostile_uris_end() {
        let pieces: [&[u8]; 16] = [
            b"/",
            b"//",
            b":",
            b"@",
            b"?",
            b"#",
            b"[",
            b"]",
            b"http",
            b"%",
            b"%2f",
            b"%0",
            b"99999999999999999999",
            b"\xff",
            b"-1",
            b"a",
        ];
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let mut text = Vec::new();
            for _ in 0..8 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.extend_from_slice(pieces[(seed >> 60) as usize]);
            }
            let Some(uri) = Uri::parse(&text) else { continue };
            let parts = [uri.host, uri.path, uri.query];
            let length: usize = parts.iter().flatten().map(Vec::len).sum();
            assert!(length <= text.len(), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn everything_is_decoded_and_nothing_cut() {
        assert_eq!(decode(b"%41%zz%4"), b"A%zz%4");
        assert_ne!(decode(b"a%00b"), decode(b"a%00c"));
        assert_eq!(decode(b"%"), b"%");
    }
}
