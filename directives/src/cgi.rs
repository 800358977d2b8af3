//! The CGI variables of a request: `ap_add_common_vars` and `ap_add_cgi_vars`.

use bytes::Bytes;

use crate::path::escape_html;
use crate::request::{Lookup, Request};
use crate::status;

/// What a call adds to or takes from a request's variables.
#[derive(Clone, Debug, Default)]
pub struct Extras<'a> {
    /// What comes before all others, and in place of others of these names.
    pub first: &'a [(Bytes, Bytes)],
    /// Request header fields to export although they would not be: `-pass-header`.
    pub pass_headers: &'a [Bytes],
    /// The length of a body whose length the client did not announce.
    pub content_length: Option<u64>,
    /// Variables to leave out.
    pub without: &'a [&'a str],
}

/// Calls `emit` with every variable that an application gets for a request: the call's
/// own, the request's environment, its header fields, then the server's and CGI's own. No name comes twice.
pub fn variables(r: &Request, extras: &Extras, mut emit: impl FnMut(&[u8], &[u8])) {
    let mut emit = |name: &[u8], value: &[u8]| {
        let left_out = extras.without.iter().any(|without| without.as_bytes() == name);
        if !left_out {
            emit(name, value);
        }
    };
    let mut fields: Vec<Bytes> = Vec::with_capacity(r.headers_in.len());
    headers(r, |name, _| fields.push(Bytes::copy_from_slice(name)));
    for name in extras.pass_headers {
        if field(r, name).is_some() {
            fields.push(passed_name(name).into());
        }
    }
    if extras.content_length.is_some() {
        fields.push(Bytes::from_static(b"CONTENT_LENGTH"));
    }
    for (name, value) in extras.first {
        emit(name, value);
    }
    let own = OwnVariables::of(r);
    let names: Vec<Bytes> = r.env.iter().map(|(name, _)| sanitized(name)).collect();
    for (i, (_, value)) in r.env.iter().enumerate() {
        let name = &names[i];
        // Of names that have become one, the last one's value counts.
        let overridden = own.has(name)
            || fields.contains(name)
            || extras.first.iter().any(|(first, _)| first == name)
            || names[i + 1..].contains(name);
        if !overridden {
            emit(name, value);
        }
    }
    let passed: Vec<Vec<u8>> =
        extras.pass_headers.iter().map(|name| passed_name(name)).collect();
    headers(r, |name, value| {
        if !passed.iter().any(|passed| passed == name) {
            emit(name, value);
        }
    });
    if let Some(length) = extras.content_length {
        emit(b"CONTENT_LENGTH", length.to_string().as_bytes());
    }
    for (i, name) in extras.pass_headers.iter().enumerate() {
        if !passed[..i].contains(&passed[i])
            && let Some(value) = field(r, name)
        {
            emit(&passed[i], &value);
        }
    }
    own.each(|name, value| emit(name, value));
}

/// Puts the variables into the request's environment, where an internal redirect finds
/// them again as `REDIRECT_*` (E-16).
pub fn populate(r: &mut Request) {
    let mut all = Vec::new();
    variables(r, &Extras::default(), |name, value| {
        all.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)));
    });
    for (name, value) in all {
        r.env.set(name, value);
    }
}

fn field(r: &Request, name: &[u8]) -> Option<Bytes> {
    r.header(http::HeaderName::from_bytes(name).ok()?.as_str())
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
    let mut name = Vec::with_capacity(64);
    for key in r.headers_in.keys() {
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
        let mut values = r.headers_in.get_all(key).iter();
        let first = values.next().map(http::HeaderValue::as_bytes).unwrap_or_default();
        if values.next().is_some() {
            let joined = r.header(text).unwrap_or_default();
            emit(&name, &joined);
        } else {
            emit(&name, first);
        }
    }
}

/// A name as `ap_create_environment` lets it be (E-13).
fn sanitized(name: &Bytes) -> Bytes {
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

/// The server's and CGI's variables of one request, computed once.
struct OwnVariables(Vec<(&'static [u8], Bytes)>);

impl OwnVariables {
    fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|(own, _)| *own == name)
    }

    fn each(&self, mut emit: impl FnMut(&[u8], &[u8])) {
        for (name, value) in &self.0 {
            emit(name, value);
        }
    }

    fn of(r: &Request) -> OwnVariables {
        let mut vars: Vec<(&'static [u8], Bytes)> = Vec::with_capacity(36);
        let mut add =
            |name: &'static str, value: Bytes| vars.push((name.as_bytes(), value));
        let copy = Bytes::copy_from_slice;
        let process = &r.snapshot.process.core;
        let core = &r.server.config.core;
        add("PATH", process.path_variable.clone());
        if let Some(path) = &process.library_path {
            add("LD_LIBRARY_PATH", path.clone());
        }
        if let Some(zone) = &process.time_zone {
            add("TZ", zone.clone());
        }
        add("SERVER_SIGNATURE", status::signature(r, b"").into());
        add("SERVER_SOFTWARE", process.banner().clone());
        add("SERVER_NAME", escape_html(r.server_name().as_bytes()).into());
        add("SERVER_ADDR", r.connection.local.ip().to_canonical().to_string().into());
        add("SERVER_PORT", r.server_port().to_string().into());
        if let Lookup::Known(host) = &r.remote_host {
            add("REMOTE_HOST", host.clone().into());
        }
        add("REMOTE_ADDR", r.useragent_ip.to_string().into());
        add("DOCUMENT_ROOT", r.document_root().clone());
        add("REQUEST_SCHEME", copy(r.scheme().as_bytes()));
        add("CONTEXT_PREFIX", r.context_prefix.clone());
        let root = r.context_document_root.clone();
        add("CONTEXT_DOCUMENT_ROOT", root.unwrap_or_else(|| r.document_root().clone()));
        let admin =
            core.server_admin.clone().unwrap_or_else(|| "[no address given]".to_owned());
        add("SERVER_ADMIN", admin.into());
        add("SCRIPT_FILENAME", copy(&r.filename));
        add("REMOTE_PORT", r.connection.client.port().to_string().into());
        if let Some(user) = &r.user {
            add("REMOTE_USER", user.clone());
        } else if let Some(user) = r.prev.as_ref().and_then(|prev| prev.user.as_ref()) {
            add("REDIRECT_REMOTE_USER", user.clone());
        }
        if let Some(kind) = &r.auth_type {
            add("AUTH_TYPE", kind.clone());
        }
        if let Some(prev) = &r.prev {
            if let Some(args) = &prev.args {
                add("REDIRECT_QUERY_STRING", args.clone());
            }
            let url = if r.dir.core.qualify_redirect_url == Some(true) {
                r.construct_url(&prev.uri).into()
            } else {
                copy(&prev.uri)
            };
            add("REDIRECT_URL", url);
        }
        add("GATEWAY_INTERFACE", Bytes::from_static(b"CGI/1.1"));
        let included = r.main.is_some();
        let protocol = if included { "INCLUDED" } else { r.protocol() };
        add("SERVER_PROTOCOL", Bytes::from_static(protocol.as_bytes()));
        add("REQUEST_METHOD", copy(r.method.as_str().as_bytes()));
        add("QUERY_STRING", r.args.clone().unwrap_or_default());
        add("REQUEST_URI", request_uri(r));
        let script =
            if included { r.uri.len() } else { script_name_length(&r.uri, &r.path_info) };
        add("SCRIPT_NAME", copy(&r.uri[..script]));
        if !r.path_info.is_empty() {
            add("PATH_INFO", copy(&r.path_info));
            if let Some(translated) = r.notes.get(b"path-translated") {
                add("PATH_TRANSLATED", translated.clone());
            }
        }
        OwnVariables(vars)
    }
}

/// The target as the client sent it: `original_uri`.
fn request_uri(r: &Request) -> Bytes {
    if r.dir.core.request_uri_current == Some(true) {
        let mut uri = r.uri.clone();
        if let Some(args) = &r.args {
            uri.push(b'?');
            uri.extend_from_slice(args);
        }
        return uri.into();
    }
    r.unparsed_uri.clone()
}

/// Where PATH_INFO begins in the URL path: `ap_find_path_info`.
fn script_name_length(uri: &[u8], path_info: &[u8]) -> usize {
    if path_info.is_empty() {
        return uri.len();
    }
    let (mut u, mut p) = (uri.len(), path_info.len());
    while u > 0 && p > 0 && uri[u - 1] == path_info[p - 1] {
        if path_info[p - 1] == b'/' {
            while u > 1 && uri[u - 2] == b'/' {
                u -= 1;
            }
        }
        u -= 1;
        p -= 1;
    }
    while u < uri.len() && uri[u] != b'/' {
        u += 1;
    }
    u
}

#[cfg(test)]
mod tests {
    use super::script_name_length;

    #[test]
    fn path_info_is_cut_off() {
        assert_eq!(script_name_length(b"/app/a/b", b"/a/b"), 4);
        assert_eq!(script_name_length(b"/app//a", b"/a"), 4);
        assert_eq!(script_name_length(b"/app", b""), 4);
        assert_eq!(script_name_length(b"/x", b"/x"), 0);
    }
}
