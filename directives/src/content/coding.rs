//! Content codings: what mod_deflate and mod_brotli do to the head of a response before
//! they pack its body.

use bytes::Bytes;

use crate::filter::Filter;
use crate::reply::Body;
use crate::request::Request;

/// What becomes of a packed response's entity tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlterEtag {
    /// It gets a suffix.
    #[default]
    AddSuffix,
    /// It stays.
    NoChange,
    /// It goes.
    Remove,
}

impl AlterEtag {
    /// The value of a directive.
    pub fn named(text: &[u8]) -> Option<AlterEtag> {
        let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
        Some(match () {
            () if is("AddSuffix") => AlterEtag::AddSuffix,
            () if is("NoChange") => AlterEtag::NoChange,
            () if is("Remove") => AlterEtag::Remove,
            () => return None,
        })
    }

    /// Applies it: `deflate_check_etag`.
    pub fn apply(self, r: &mut Request, suffix: &str) {
        match self {
            AlterEtag::NoChange => {}
            AlterEtag::Remove => r.headers_out.unset("ETag"),
            AlterEtag::AddSuffix => {
                // An application's own fields stand in the other table.
                for headers in [&mut r.headers_out, &mut r.err_headers_out] {
                    let tag = headers.get("ETag").filter(|tag| tag.len() > 2);
                    if let Some(bare) = tag.and_then(|tag| tag.strip_suffix(b"\"")) {
                        let tag = [bare, b"-", suffix.as_bytes(), b"\""].concat();
                        headers.set("ETag", tag);
                    }
                }
            }
        }
    }
}

/// One coding, and which variables say what about it.
#[derive(Clone, Copy, Debug)]
pub struct Coding {
    /// `gzip`.
    pub name: &'static str,
    /// The variable that forbids it.
    pub no: &'static [u8],
    /// The variable that demands it, whatever the client accepts.
    pub force: Option<&'static [u8]>,
    /// The variable that allows it for HTML only.
    pub html_only: Option<&'static [u8]>,
    /// Bodies that are known to be no longer than this are left alone, bytes; `None` packs
    /// all.
    pub least: Option<u64>,
}

/// Prepares the head of a response for packing; `false` if it is not to be packed.
/// `deflate_out_filter`, `compress_filter`.
pub fn pack(r: &mut Request, coding: &Coding, etag: AlterEtag) -> bool {
    if r.main.is_some()
        || r.status == 204
        || r.env.has(coding.no)
        || r.headers_out.has("Content-Range")
        || r.err_headers_out.has("Content-Range")
        || coding.least.is_some_and(|least| is_too_small(r, least))
    {
        return false;
    }
    if let Some(only) = coding.html_only
        && r.env.get(only).is_some_and(|value| value == "1")
        && !r.content_type.as_deref().is_some_and(|kind| kind.starts_with(b"text/html"))
    {
        return false;
    }
    let before = encodings(r);
    if before.iter().any(|encoding| !is_plain(encoding)) {
        return false;
    }
    r.headers_out.merge("Vary", b"Accept-Encoding");
    let forced = coding.force.is_some_and(|name| r.env.has(name));
    if !forced
        && !r
            .header(http::header::ACCEPT_ENCODING)
            .is_some_and(|list| accepts(&list, coding.name))
    {
        return false;
    }
    let merged = if before.is_empty() || before == ["identity"] {
        coding.name.to_owned()
    } else {
        format!("{}, {}", before.join(", "), coding.name)
    };
    let merged = Bytes::from(merged);
    r.err_headers_out.unset("Content-Encoding");
    r.headers_out.set("Content-Encoding", merged.clone());
    r.content_encoding = r.content_encoding.as_ref().map(|_| merged);
    for headers in [&mut r.headers_out, &mut r.err_headers_out] {
        headers.unset("Content-Length");
        headers.unset("Content-MD5");
    }
    etag.apply(r, coding.name);
    r.status != 304
}

/// Is the body known to be smaller than what packing costs? httpd knows it if all of the
/// body comes in one piece, its end included.
fn is_too_small(r: &Request, least: u64) -> bool {
    let length = match &r.body {
        // The head of a 304 is that of the body that is not sent.
        Body::None if r.status == 304 => 0,
        Body::None => return true,
        Body::Bytes(bytes) => bytes.len() as u64,
        Body::File { size, .. } => *size,
        Body::Stream | Body::Raw | Body::Tunnel | Body::Http2(_) => return false,
    };
    length <= least && (length == 0 || !r.body_filters.iter().any(|f| cuts(f, r)))
}

/// Does a filter send the end of a short body behind the body? mod_substitute always does,
/// mod_include where the page has elements, and a listing where it is not whole.
fn cuts(filter: &Filter, r: &Request) -> bool {
    match filter {
        Filter::Substitute(_) | Filter::Insert(_) => true,
        Filter::Include(page) => {
            let begins = |text: &[u8]| page.has_element_in(text);
            match &r.body {
                Body::Bytes(bytes) => begins(bytes),
                Body::File { .. } => {
                    r.files.read(&r.filename).is_ok_and(|text| begins(&text))
                }
                _ => false,
            }
        }
        Filter::Inflate | Filter::Deflate(_) | Filter::Brotli(_) => false,
    }
}

/// All codings that the response has already.
fn encodings(r: &Request) -> Vec<String> {
    let fields = r.headers_out.get("Content-Encoding").into_iter();
    let fields = fields.chain(r.err_headers_out.get("Content-Encoding"));
    let fields = fields.chain(&r.content_encoding);
    fields
        .flat_map(|value| value.split(|&b| b == b','))
        .map(|token| String::from_utf8_lossy(token.trim_ascii()).into_owned())
        .filter(|token| !token.is_empty())
        .collect()
}

fn is_plain(encoding: &str) -> bool {
    matches!(encoding, "identity" | "7bit" | "8bit" | "binary")
}

/// Does an `Accept-Encoding` name a coding? One with `q=0` is refused.
fn accepts(list: &[u8], coding: &str) -> bool {
    list.split(|&b| b == b',').any(|item| {
        let mut parts = item.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let names = parts.next().unwrap_or_default();
        let mut names = names.split(u8::is_ascii_whitespace);
        let named = names.any(|name| name.eq_ignore_ascii_case(coding.as_bytes()));
        named && !parts.any(is_zero)
    })
}

fn is_zero(parameter: &[u8]) -> bool {
    let Some(value) =
        parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))
    else {
        return false;
    };
    value.first() == Some(&b'0') && value.iter().all(|b| matches!(b, b'0' | b'.'))
}

/// Takes gzip off a list of codings, if it is the outermost: `check_gzip`. The rest comes
/// back, `None` if gzip is not there.
pub fn without_gzip(list: &[u8]) -> Option<Bytes> {
    let mut tokens: Vec<&[u8]> =
        list.split(|&b| b == b',').map(<[u8]>::trim_ascii).collect();
    while let Some(last) = tokens.pop() {
        if last.eq_ignore_ascii_case(b"gzip") || last.eq_ignore_ascii_case(b"x-gzip") {
            return Some(tokens.join(&b", "[..]).into());
        }
        if !last.is_empty() && !last.eq_ignore_ascii_case(b"identity") {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_accepted_by_name() {
        let gzip = |list: &str| accepts(list.as_bytes(), "gzip");
        assert!(gzip("gzip") && gzip("br, GZIP;q=0.5") && gzip("deflate gzip"));
        assert!(!gzip("") && !gzip("x-gzip") && !gzip("*") && !gzip("br;gzip"));
        assert!(!gzip("gzip;q=0") && !gzip("gzip; q=0.000") && gzip("gzip;q=0.001"));
    }

    #[test]
    fn gzip_is_taken_off() {
        let rest = |list: &str| without_gzip(list.as_bytes());
        assert_eq!(rest("gzip").unwrap(), "");
        assert_eq!(rest("br, x-gzip, identity").unwrap(), "br");
        assert_eq!(rest("gzip, br"), None);
        assert_eq!(rest(""), None);
    }
}
