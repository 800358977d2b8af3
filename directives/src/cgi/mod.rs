//! The CGI variables of a request: `ap_add_common_vars` and `ap_add_cgi_vars`.

mod own;

use std::borrow::Cow;

use bytes::Bytes;

pub use own::Constants;

use crate::fcgi::params::{Opening, Pairs};
use crate::request::Request;

/// What a call adds to or takes from a request's variables.
#[derive(Clone, Debug, Default)]
pub struct Extras<'a> {
    /// What comes before all others, and in place of others of these names.
    pub first: &'a [(Bytes, Bytes)],
    /// Request header fields to export although they would not be: `-pass-header`.
    pub pass_headers: &'a [Bytes],
    /// The length of a body whose length the client did not announce.
    pub content_length: Option<u64>,
    /// Names in the environment stay as they are.
    pub raw_names: bool,
    /// Variables to leave out, unless they are the call's own.
    pub without: &'a [&'a str],
}

/// Who gets variables.
pub trait Sink {
    /// One.
    fn pair(&mut self, name: &[u8], value: &[u8]);

    /// Some that many requests have.
    fn pairs(&mut self, pairs: &Pairs) {
        pairs.each(|name, value| self.pair(name, value));
    }
}

impl<F: FnMut(&[u8], &[u8])> Sink for F {
    fn pair(&mut self, name: &[u8], value: &[u8]) {
        self(name, value);
    }
}

impl Sink for &mut Opening {
    fn pair(&mut self, name: &[u8], value: &[u8]) {
        Opening::pair(self, name, value);
    }

    fn pairs(&mut self, pairs: &Pairs) {
        Opening::pairs(self, pairs);
    }
}

/// Gives `sink` every variable that an application gets for a request: the call's own, the
/// request's environment, its header fields, then the server's and CGI's own. No name comes
/// twice.
pub fn variables(r: &Request, extras: &Extras, mut sink: impl Sink) {
    for (name, value) in extras.first {
        sink.pair(name, value);
    }
    if extras.without.is_empty() {
        return all_others(r, extras, &mut sink);
    }
    all_others(r, extras, &mut |name: &[u8], value: &[u8]| {
        let left_out = extras.without.iter().any(|without| without.as_bytes() == name);
        if !left_out {
            sink.pair(name, value);
        }
    });
}

fn all_others(r: &Request, extras: &Extras, sink: &mut impl Sink) {
    if !r.env.is_empty() {
        environment(r, extras, sink);
    }
    let passed: Vec<Vec<u8>> =
        extras.pass_headers.iter().map(|name| passed_name(name)).collect();
    headers(r, |name, value| {
        if !passed.iter().any(|passed| passed == name) {
            sink.pair(name, value);
        }
    });
    if let Some(length) = extras.content_length {
        sink.pair(b"CONTENT_LENGTH", length.to_string().as_bytes());
    }
    for (i, name) in extras.pass_headers.iter().enumerate() {
        if !passed[..i].contains(&passed[i])
            && let Some(value) = field(r, name)
        {
            sink.pair(&passed[i], &value);
        }
    }
    own::variables(r, sink);
}

/// The request's environment, but for what has a variable of its own.
fn environment(r: &Request, extras: &Extras, sink: &mut impl Sink) {
    let name =
        |name: &Bytes| if extras.raw_names { name.clone() } else { sanitized(name) };
    let mut names: Vec<(Bytes, bool)> =
        r.env.iter().map(|(known, _)| (name(known), false)).collect();
    // It is a handful beside the others: those are held against it, and not kept.
    let mut take = |name: &[u8]| {
        for (own, taken) in &mut names {
            *taken |= *own == name;
        }
    };
    headers(r, |name, _| take(name));
    for name in extras.pass_headers {
        if field(r, name).is_some() {
            take(&passed_name(name));
        }
    }
    if extras.content_length.is_some() {
        take(b"CONTENT_LENGTH");
    }
    own::variables(r, &mut |name: &[u8], _: &[u8]| take(name));
    for (name, _) in extras.first {
        take(name);
    }
    for (i, (_, value)) in r.env.iter().enumerate() {
        let (name, taken) = &names[i];
        // Of names that have become one, the last one's value counts.
        if !taken && !names[i + 1..].iter().any(|(later, _)| later == name) {
            sink.pair(name, value);
        }
    }
}

/// Puts the variables into the request's environment, where an internal redirect finds
/// them again as `REDIRECT_*` (E-16).
pub fn populate(r: &mut Request) {
    // TZ is not the request's: `ap_create_environment` adds it for a program.
    fill(r, &Extras { without: &["TZ"], ..Extras::default() });
}

/// The same, with the names that modules gave and without what `ap_create_environment` adds
/// for programs: what mod_proxy_fcgi sends.
pub fn populate_raw(r: &mut Request) {
    fill(r, &Extras { raw_names: true, without: &["TZ"], ..Extras::default() });
}

fn fill(r: &mut Request, extras: &Extras) {
    let mut all = Vec::new();
    variables(r, extras, |name: &[u8], value: &[u8]| {
        all.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)));
    });
    for (name, value) in all {
        r.env.set(name, value);
    }
}

fn field<'r>(r: &'r Request, name: &[u8]) -> Option<Cow<'r, [u8]>> {
    r.header(http::HeaderName::from_bytes(name).ok()?)
}

/// What the server says about a request by itself, and nobody else: which file is meant, who
/// is connected, how the request was made.
const FACTS: &[&str] = &[
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "CONTEXT_DOCUMENT_ROOT",
    "CONTEXT_PREFIX",
    "DOCUMENT_ROOT",
    "FCGI_APACHE_ROLE",
    "FCGI_ROLE",
    "GATEWAY_INTERFACE",
    "HTTPS",
    "HTTP_PROXY",
    "LD_LIBRARY_PATH",
    "PATH",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "REQUEST_METHOD",
    "REQUEST_SCHEME",
    "REQUEST_URI",
    "SCRIPT_FILENAME",
    "SCRIPT_NAME",
    "SERVER_ADDR",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
];

/// Does a variable say what only the server may say, whatever stands between its letters?
pub fn is_fact(name: &[u8]) -> bool {
    let plain = |b: &u8| if b.is_ascii_alphanumeric() { *b } else { b'_' };
    let mut facts = FACTS.iter().filter(|fact| fact.len() == name.len());
    facts.any(|fact| name.iter().map(plain).eq(fact.bytes()))
}

/// Are two names one for applications? They see `_` in place of everything but letters and
/// digits.
pub fn is_spelling(name: &[u8], of: &[u8]) -> bool {
    let plain =
        |b: &u8| if b.is_ascii_alphanumeric() { b.to_ascii_lowercase() } else { b'-' };
    name.len() == of.len() && name.iter().map(plain).eq(of.iter().map(plain))
}

/// The request's fields that applications could take for `name`.
pub fn spellings(r: &Request, name: &[u8]) -> Vec<http::HeaderName> {
    let keys = r.headers_in.keys();
    keys.filter(|key| is_spelling(key.as_str().as_bytes(), name)).cloned().collect()
}

/// `HTTP_` and the name in capitals; every character but letters and digits becomes `_`
/// (E-12).
fn passed_name(name: &[u8]) -> Vec<u8> {
    let mut out = b"HTTP_".to_vec();
    out.extend(name.iter().map(|&b| match b {
        b if b.is_ascii_alphanumeric() => b.to_ascii_uppercase(),
        _ => b'_',
    }));
    out
}

/// The request's header fields as variables. A name with other characters than letters,
/// digits and `-` becomes none: it could pass for another field's (E-9). Repeated fields
/// are joined.
fn headers(r: &Request, mut emit: impl FnMut(&[u8], &[u8])) {
    let pass_auth = r.dir.core.cgi_pass_auth == Some(true);
    let is_repeated = r.headers_in.len() > r.headers_in.keys_len();
    let mut name = Vec::with_capacity(64);
    let mut before = None;
    for (key, value) in &*r.headers_in {
        // A name's values follow each other.
        if is_repeated && before.replace(key) == Some(key) {
            continue;
        }
        let text = key.as_str();
        match text {
            "content-type" => name = b"CONTENT_TYPE".to_vec(),
            "content-length" => name = b"CONTENT_LENGTH".to_vec(),
            "authorization" | "proxy-authorization" if !pass_auth => continue,
            "proxy" => continue,
            _ if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
                continue;
            }
            _ => {
                name.clear();
                name.extend_from_slice(b"HTTP_");
                name.extend(
                    text.bytes()
                        .map(|b| if b == b'-' { b'_' } else { b.to_ascii_uppercase() }),
                );
            }
        }
        if is_repeated {
            let joined = r.header(key).unwrap_or_default();
            emit(&name, &joined);
        } else {
            emit(&name, value.as_bytes());
        }
    }
}

/// A name as `ap_create_environment` lets it be (E-13).
pub(crate) fn sanitized(name: &Bytes) -> Bytes {
    let good = |(i, b): (usize, &u8)| {
        b.is_ascii_alphanumeric() && (i > 0 || !b.is_ascii_digit()) || *b == b'_'
    };
    if name.iter().enumerate().all(good) {
        return name.clone();
    }
    let fixed =
        name.iter().enumerate().map(|(i, b)| if good((i, b)) { *b } else { b'_' });
    fixed.collect::<Vec<u8>>().into()
}

/// Writes a number's digits at the end of `room`, which has five bytes for every number; says
/// where they begin.
pub fn put_decimal(room: &mut [u8], mut number: u16) -> usize {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return at;
        }
    }
}
