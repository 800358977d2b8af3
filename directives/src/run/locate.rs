//! From the request target to the sections that a URL falls into.

use bytes::Bytes;

use crate::log::Level;
use crate::path::{self, EncodedSlashes};
use crate::pattern::Groups;
use crate::request::Request;
use crate::section::{Matcher, Section};

/// Splits a target into path and query: `ap_parse_uri`. The authority of an absolute
/// target is returned.
pub fn parse_uri(r: &mut Request, target: &Bytes) -> Option<Vec<u8>> {
    let mut rest = &target[..];
    let mut host = None;
    if !target.starts_with(b"/") && path::is_url(target) {
        let start = target.windows(3).position(|w| w == b"://").map_or(0, |i| i + 3);
        let end = target[start..].iter().position(|b| b"/?#".contains(b));
        let end = end.map_or(target.len(), |n| start + n);
        let authority = &target[start..end];
        let at = authority.iter().rposition(|&b| b == b'@').map_or(0, |i| i + 1);
        host = Some(authority[at..].to_vec());
        rest = &target[end..];
    }
    let (path, args) = match rest.iter().position(|&b| b == b'?') {
        Some(mark) => (&rest[..mark], Some(target.slice_ref(&rest[mark + 1..]))),
        None => (rest, None),
    };
    r.args = args;
    r.uri = if path.is_empty() { b"/".to_vec() } else { path.to_vec() };
    host
}

/// Decodes and normalises the path, then lays the `<Location>` sections over the
/// server's settings.
pub fn decode(r: &mut Request) -> Result<(), u16> {
    // Most paths are as they should be.
    if path::is_normal(&r.uri) {
        locations(r);
        return Ok(());
    }
    let raw = std::mem::take(&mut r.uri);
    let merge = r.server.config.core.merge_slashes.unwrap_or(true);
    if raw.first() != Some(&b'/') {
        r.uri = raw;
        locations(r);
        return Ok(());
    }
    let slashes = r.dir.core.allow_encoded_slashes.unwrap_or(EncodedSlashes::Off);
    let shown = |raw: &[u8]| String::from_utf8_lossy(raw).into_owned();
    // A fragment has no place in a request.
    let decoded = match path::unescape(&raw, slashes) {
        Ok(decoded) if !raw.contains(&b'#') => decoded,
        Err(path::BadEscape::Forbidden) => {
            let shown = shown(&raw);
            let text =
                format!("found %2f (encoded '/') in URI path ({shown}), returning 404");
            // An error document is told the decoded path.
            r.uri = path::unescape(&raw, EncodedSlashes::On).unwrap_or(raw);
            r.log(Level::Info, "core", 26, text);
            return Err(404);
        }
        Ok(_) | Err(path::BadEscape::Malformed) => {
            let shown = shown(&raw);
            r.uri = raw;
            r.log(Level::Error, "core", 10_244, format!("invalid URI path ({shown})"));
            return Err(400);
        }
    };
    match path::normalize(&decoded, merge) {
        Some(path) => r.uri = path,
        None => {
            let shown = shown(&raw);
            r.uri = raw;
            r.log(Level::Error, "core", 10_244, format!("invalid URI path ({shown})"));
            return Err(400);
        }
    }
    locations(r);
    Ok(())
}

/// `ap_location_walk`.
pub fn locations(r: &mut Request) {
    let (dir, env) = (&mut r.dir, &mut r.env);
    r.server.locations.each(&r.uri, |section, groups| {
        *dir = dir.then(section);
        remember(env, section, &groups, &r.uri);
    });
}

/// Named groups of a section's pattern become `MATCH_NAME` variables.
pub fn remember(
    env: &mut crate::env::Env,
    section: &Section,
    groups: &Groups,
    subject: &[u8],
) {
    let Matcher::Regex(pattern) = &section.matcher else { return };
    for (n, name) in pattern.named() {
        if let Some(value) = groups.get(*n, subject) {
            let name = format!("MATCH_{}", name.to_ascii_uppercase());
            env.set(name, Bytes::copy_from_slice(value));
        }
    }
}
