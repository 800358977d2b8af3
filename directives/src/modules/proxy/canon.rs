//! The form in which a URL is sent: `proxy_fixup`, `ap_proxy_canon_url`, and the
//! `canon_handler` of each protocol.

use bytes::Bytes;

use super::url::{Parts, encode_path, has_controls, split_socket};
use crate::log::Level;
use crate::path::{self, EncodedSlashes};
use crate::phase::{DECLINED, OK, Verdict};
use crate::request::Request;

/// Behind rewriting, which may have said where a request goes.
pub fn fixups(r: &mut Request) -> Verdict {
    if !r.proxyreq {
        return DECLINED;
    }
    match url(r) {
        Ok(()) => OK,
        Err(status) => Verdict::Status(status),
    }
}

/// Brings the request's URL into its form.
pub fn url(r: &mut Request) -> Result<(), u16> {
    let Some(found) = super::url_of(r) else { return Ok(()) };
    let Some((socket, url)) = split_socket(&found) else { return Err(400) };
    if let Some(socket) = socket {
        r.notes.set("uds_path", socket);
    }
    let scheme =
        url.iter().position(|&b| b == b':').filter(|colon| *colon > 0).ok_or(400_u16)?;
    let scheme = String::from_utf8_lossy(&url[..scheme]).to_ascii_lowercase();
    let canonical = match scheme.as_str() {
        "http" | "https" | "ws" | "wss" => http(r, &url)?,
        "fcgi" => fcgi(r, &url)?,
        "balancer" => balancer(r, &url)?,
        // Nobody knows it; the handler says so.
        _ => url,
    };
    r.filename = [b"proxy:", &canonical[..]].concat();
    Ok(())
}

fn parts(
    r: &mut Request,
    url: &[u8],
    module: &'static str,
    ah: u32,
) -> Result<Parts, u16> {
    Parts::of(url).map_err(|why| {
        let shown = String::from_utf8_lossy(url).into_owned();
        let rest = shown.split_once(':').map_or("", |(_, rest)| rest);
        r.log(Level::Error, module, ah, format!("error parsing URL {rest}: {why}"));
        400
    })
}

/// The path in its form: encoded, unless it is passed on as it came.
fn path_of(r: &mut Request, path: &[u8]) -> Result<Vec<u8>, u16> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    if !r.notes.has(b"proxy-nocanon") {
        let keep = r.dir.core.allow_encoded_slashes == Some(EncodedSlashes::NoDecode);
        return encode_path(path, keep).ok_or(400);
    }
    if has_controls(path) {
        let text = "To be forwarded path contains control characters or spaces";
        r.log(Level::Error, "proxy_http", 10_415, text);
        return Err(403);
    }
    Ok(path.to_vec())
}

/// `proxy_http_canon`.
fn http(r: &mut Request, url: &[u8]) -> Result<Vec<u8>, u16> {
    let parts = parts(r, url, "proxy_http", 1083)?;
    let path = path_of(r, &parts.path)?;
    let mut out = format!("{}://{}/", parts.scheme, parts.authority()).into_bytes();
    out.extend_from_slice(&path);
    let raw = r.notes.has(b"proxy-nocanon");
    let query = r.args.clone().filter(|_| !raw);
    if let Some(query) = query {
        if has_controls(&query) {
            let text =
                "To be forwarded query string contains control characters or spaces";
            r.log(Level::Error, "proxy_http", 10_408, text);
            return Err(403);
        }
        out.push(b'?');
        out.extend_from_slice(&query);
    }
    Ok(out)
}

/// `proxy_balancer_canon`: the member's protocol has the last word.
fn balancer(r: &mut Request, url: &[u8]) -> Result<Vec<u8>, u16> {
    let parts = parts(r, url, "proxy_balancer", 1157)?;
    let path = parts.path.strip_prefix(b"/").unwrap_or(&parts.path);
    Ok([format!("balancer://{}/", parts.host).as_bytes(), path].concat())
}

/// `proxy_fcgi_canon`: also what of the path is PATH_INFO.
fn fcgi(r: &mut Request, url: &[u8]) -> Result<Vec<u8>, u16> {
    let parts = parts(r, url, "proxy_fcgi", 1059)?;
    // The file that a handler was set for has its own name.
    let by_handler = r.notes.has(b"proxy-sethandler");
    let path = if by_handler || r.notes.has(b"proxy-nocanon") {
        let path = parts.path.strip_prefix(b"/").unwrap_or(&parts.path).to_vec();
        let is_bad =
            |b: &u8| b.is_ascii_control() || !by_handler && matches!(b, b' ' | b'?');
        if path.iter().any(is_bad) {
            let what = if by_handler { "" } else { " or '?'" };
            let shown = String::from_utf8_lossy(&path).into_owned();
            let text = format!(
                "To be forwarded path contains control characters{what} ({shown})"
            );
            r.log(Level::Error, "proxy_fcgi", 10_414, text);
            return Err(403);
        }
        path
    } else {
        path_of(r, &parts.path)?
    };
    if let Some(kind) = r.env.get(b"proxy-fcgi-pathinfo").cloned() {
        path_info(r, &kind, &path);
    }
    Ok([format!("fcgi://{}/", parts.authority()).as_bytes(), &path].concat())
}

/// `proxy-fcgi-pathinfo`: behind the first or last dot of the path, or all of it.
fn path_info(r: &mut Request, kind: &Bytes, path: &[u8]) {
    let kind = kind.to_ascii_lowercase();
    let dot = match &kind[..] {
        b"full" => {
            r.notes.set("proxy-fcgi-walk", "1");
            return;
        }
        b"first-dot" => path.iter().position(|&b| b == b'.'),
        b"last-dot" => path.iter().rposition(|&b| b == b'.'),
        other => {
            let whole = [b"/", path].concat();
            r.path_info = if other == b"unescape" { decoded(&whole) } else { whole };
            return;
        }
    };
    let slash =
        dot.and_then(|dot| Some(dot + path[dot..].iter().position(|&b| b == b'/')?));
    if let Some(slash) = slash {
        r.path_info = decoded(&path[slash..]);
    }
}

fn decoded(text: &[u8]) -> Vec<u8> {
    path::unescape(text, EncodedSlashes::NoDecode).unwrap_or_else(|_| text.to_vec())
}
