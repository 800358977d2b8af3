//! The flag `CO`: `add_cookie`.

use crate::request::Request;

/// Sets a cookie: `NAME:VALUE:DOMAIN[:minutes[:path[:secure[:httponly[:samesite]]]]]`, or
/// with semicolons where the first character is one. Once in a request and what it leads
/// to.
pub fn add(r: &mut Request, text: &[u8]) {
    let text = String::from_utf8_lossy(text).into_owned();
    let (text, separator) = match text.strip_prefix(';') {
        Some(rest) => (rest, ';'),
        None => (text.as_str(), ':'),
    };
    let mut parts = text.split(separator);
    let mut part = || parts.next().filter(|part| !part.is_empty());
    let (Some(name), Some(value), Some(domain)) = (part(), part(), part()) else {
        return;
    };
    let note = format!("{name}_rewrite");
    if r.notes.has(note.as_bytes())
        || r.prev.as_ref().is_some_and(|p| p.notes.has(note.as_bytes()))
    {
        return;
    }
    let minutes = part().and_then(|minutes| minutes.parse::<i64>().ok());
    let path = part().unwrap_or("/");
    let (secure, http_only, same_site) = (part(), part(), part());
    let mut cookie = format!("{name}={value}; path={path}; domain={domain}");
    if let Some(minutes) = minutes.filter(|minutes| *minutes != 0) {
        let seconds =
            (r.request_time / 1_000_000).saturating_add(minutes.saturating_mul(60));
        if let Ok(time) = jiff::Timestamp::from_second(seconds) {
            let time = time.to_zoned(jiff::tz::TimeZone::UTC);
            cookie += &time.strftime("; expires=%a, %d-%b-%Y %T GMT").to_string();
        }
    }
    let says = |value: Option<&str>, word: &str| {
        value.is_some_and(|value| {
            ["1", "true", word].iter().any(|w| value.eq_ignore_ascii_case(w))
        })
    };
    if says(secure, "secure") {
        cookie += "; secure";
    }
    if says(http_only, "HttpOnly") {
        cookie += "; HttpOnly";
    }
    if let Some(value) = same_site
        && !["0", "false"].contains(&value)
    {
        cookie += "; SameSite=";
        cookie += value;
    }
    r.err_headers_out.add("Set-Cookie", cookie);
    r.notes.set(note, "set");
}
