//! Paths as bytes: decoding, normalising, joining. Named after what httpd calls them.

/// What `ap_unescape_url` finds wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadEscape {
    /// A `%` without two hexadecimal digits: 400.
    Malformed,
    /// `%2f` or `%00` where it may not be: 404.
    Forbidden,
}

/// What becomes of `%2f` in a path; the directive `AllowEncodedSlashes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodedSlashes {
    /// 404.
    #[default]
    Off,
    /// Decoded.
    On,
    /// Allowed and left as it is.
    NoDecode,
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Decodes `%xx`. See `unescape_url` in httpd's `server/util.c`.
pub fn unescape(path: &[u8], slashes: EncodedSlashes) -> Result<Vec<u8>, BadEscape> {
    let mut out = Vec::with_capacity(path.len());
    let mut forbidden = false;
    let mut malformed = false;
    let mut i = 0;
    while i < path.len() {
        if path[i] != b'%' {
            out.push(path[i]);
            i += 1;
            continue;
        }
        let pair = path
            .get(i + 1)
            .copied()
            .and_then(hex)
            .zip(path.get(i + 2).copied().and_then(hex));
        let Some((high, low)) = pair else {
            malformed = true;
            out.push(b'%');
            i += 1;
            continue;
        };
        match high << 4 | low {
            0 => forbidden = true,
            b'/' if slashes == EncodedSlashes::Off => forbidden = true,
            b'/' if slashes == EncodedSlashes::NoDecode => {
                out.extend_from_slice(&path[i..i + 3]);
            }
            byte => out.push(byte),
        }
        i += 3;
    }
    if malformed {
        Err(BadEscape::Malformed)
    } else if forbidden {
        Err(BadEscape::Forbidden)
    } else {
        Ok(out)
    }
}

/// Decodes `%xx` in a value of configuration or a query; what is malformed stays.
pub fn unescape_lenient(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while i < text.len() {
        let digits = (
            text.get(i + 1).copied().and_then(hex),
            text.get(i + 2).copied().and_then(hex),
        );
        match (text[i], digits) {
            (b'%', (Some(high), Some(low))) => {
                out.push(high << 4 | low);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    out
}

/// Is an encoded path one that decoding and normalising leave as it is? `false` also for
/// some that they would.
pub fn is_normal(path: &[u8]) -> bool {
    let is_odd = |&byte: &u8| byte == b'%' || byte == b'#';
    path.first() == Some(&b'/')
        && !path.iter().fold(false, |odd, byte| odd | is_odd(byte))
        && is_normal_file(path)
}

/// Removes `.` and `..` and, if asked, joins slashes. `None` if `..` leads above the
/// root. See `ap_normalize_path`.
pub fn normalize(path: &[u8], merge_slashes: bool) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    let mut i = 0;
    let mut above = false;
    while i < path.len() {
        let at_segment = out.is_empty() || out.last() == Some(&b'/');
        if path[i] == b'/' {
            if !(merge_slashes && out.last() == Some(&b'/')) {
                out.push(b'/');
            }
            i += 1;
        } else if at_segment {
            let end =
                path[i..].iter().position(|&b| b == b'/').map_or(path.len(), |n| i + n);
            match &path[i..end] {
                b"." => i = (end + 1).min(path.len()),
                b".." => {
                    // Drop the slash and the segment before it; what is above the root
                    // is the root.
                    if out.len() > 1 {
                        out.pop();
                        while out.last().is_some_and(|&b| b != b'/') {
                            out.pop();
                        }
                    } else {
                        above = true;
                    }
                    i = (end + 1).min(path.len());
                }
                segment => {
                    out.extend_from_slice(segment);
                    i = end;
                }
            }
        } else {
            out.push(path[i]);
            i += 1;
        }
    }
    (!above).then_some(out)
}

/// Has a file name neither two slashes nor a period behind one? Then there is nothing to
/// [normalise](normalize).
pub fn is_normal_file(path: &[u8]) -> bool {
    !has_pair(path, |first, second| first == b'/' && (second == b'/' || second == b'.'))
}

/// Are there slashes to be [joined](no2slash)?
pub fn has_2slash(path: &[u8]) -> bool {
    has_pair(path, |first, second| first == b'/' && second == b'/')
}

/// Is there such a pair of neighbours? Looks at all of them, so that many are looked at at
/// once.
fn has_pair(path: &[u8], is_such: impl Fn(u8, u8) -> bool) -> bool {
    let pairs = path.iter().zip(path.iter().skip(1));
    pairs.fold(false, |found, (&first, &second)| found | is_such(first, second))
}

/// Joins repeated slashes. See `ap_no2slash`.
pub fn no2slash(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    for &byte in path {
        if byte != b'/' || out.last() != Some(&b'/') {
            out.push(byte);
        }
    }
    out
}

/// `path`, below `root` unless absolute, without `.`, `..` and double slashes. A
/// trailing slash is kept. `None` for a path that leads above the root.
pub fn server_relative(root: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    if path.first() == Some(&b'/') {
        return normalize(path, true);
    }
    let mut joined = root.to_vec();
    joined.push(b'/');
    joined.extend_from_slice(path);
    normalize(&joined, true)
}

/// `dir` and `name` with exactly one slash between them. See `ap_make_full_path`.
pub fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(dir.len() + name.len() + 1);
    out.extend_from_slice(dir);
    if out.last() != Some(&b'/') {
        out.push(b'/');
    }
    out.extend_from_slice(name.strip_prefix(b"/").unwrap_or(name));
    out
}

/// The part behind the last slash.
pub fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

/// The part up to and including the last slash.
pub fn dir_name(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&b| b == b'/').map_or(0, |i| i + 1);
    &path[..end]
}

/// The slashes in a path. See `ap_count_dirs`.
pub fn count_dirs(path: &[u8]) -> usize {
    path.iter().filter(|&&b| b == b'/').count()
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn escape_where(path: &[u8], plain: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    for &byte in path {
        if plain(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
    }
}

/// Encodes a path for use in a URL. See `ap_os_escape_path`.
pub fn escape_path(path: &[u8]) -> Vec<u8> {
    let colon = path.iter().position(|&b| b == b':');
    let slash = path.iter().position(|&b| b == b'/');
    // A first segment with a colon would read as a scheme.
    let mut out = escape_uri(path);
    if let Some(colon) = colon
        && slash.is_none_or(|slash| colon < slash)
    {
        out.splice(0..0, *b"./");
    }
    out
}

/// Encodes a part of a path that something else stands before. See `ap_escape_uri`.
pub fn escape_uri(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"$-_.+!*'(),:;@&=/~".contains(&b);
    escape_where(path, plain, &mut out);
    out
}

/// Encodes a name that stands between slashes. See `ap_escape_path_segment`.
pub fn escape_segment(name: &[u8]) -> Vec<u8> {
    let parts: Vec<Vec<u8>> = name.split(|&b| b == b'/').map(escape_uri).collect();
    parts.join(&b"%2f"[..])
}

/// Encodes text for HTML. See `ap_escape_html2`.
pub fn escape_html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            _ => out.push(byte),
        }
    }
    out
}

/// Is it an absolute URL, `scheme://…`? See `ap_is_url`.
pub fn is_url(text: &[u8]) -> bool {
    let Some(colon) = text.iter().position(|&b| b == b':') else { return false };
    colon > 0
        && text[..colon].iter().all(|&b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && text[colon + 1..].starts_with(b"//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        let n = |p: &str| {
            normalize(p.as_bytes(), true).map(|p| String::from_utf8(p).unwrap())
        };
        assert_eq!(n("//a//b/../c").as_deref(), Some("/a/c"));
        assert_eq!(n("/a/./b/.").as_deref(), Some("/a/b/"));
        assert_eq!(n("/a/b/..").as_deref(), Some("/a/"));
        assert_eq!(n("/a/..").as_deref(), Some("/"));
        assert_eq!(n("/..a/.b").as_deref(), Some("/..a/.b"));
        assert_eq!(n("/../etc"), None);
        assert_eq!(n("/a/../../etc"), None);
    }

    #[test]
    fn escapes_are_decoded_once() {
        let off = EncodedSlashes::Off;
        assert_eq!(unescape(b"/a%20b+c%25d", off), Ok(b"/a b+c%d".to_vec()));
        assert_eq!(unescape(b"/a%2Fb", off), Err(BadEscape::Forbidden));
        assert_eq!(unescape(b"/a%00b", EncodedSlashes::On), Err(BadEscape::Forbidden));
        assert_eq!(unescape(b"/a%2Fb", EncodedSlashes::NoDecode), Ok(b"/a%2Fb".to_vec()));
        assert_eq!(unescape(b"/a%zz", off), Err(BadEscape::Malformed));
        assert_eq!(escape_path(b"a:b/c d"), b"./a:b/c%20d");
    }
}
