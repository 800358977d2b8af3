//! What a negotiated response says of the choice: `set_neg_headers`, `make_variant_list`.

use super::variant::Variant;
use crate::path::{escape_html, escape_segment};
use crate::request::Request;

/// A dimension of negotiation by which variants may differ.
type Dimension = fn(&Variant) -> Vec<u8>;

/// Each with its name in `Vary`.
const DIMENSIONS: [(&[u8], Dimension); 4] = [
    (b"accept", |variant| variant.mime_type.to_vec()),
    (b"accept-language", |variant| variant.language_list().unwrap_or_default()),
    (b"accept-charset", |variant| variant.charset.to_vec()),
    (b"accept-encoding", |variant| variant.encoding.clone().unwrap_or_default().to_vec()),
];

/// Sets `Alternates`, `Vary` and `TCN`. They survive errors.
pub fn set(
    r: &mut Request,
    variants: &[Variant],
    is_transparent: bool,
    alternates: bool,
    is_choice: bool,
) {
    if alternates && !variants.is_empty() {
        let all: Vec<Vec<u8>> =
            variants.iter().map(|variant| alternate(r, variant)).collect();
        r.err_headers_out.merge("Alternates", &all.join(&b", "[..]));
    }
    let mut vary: Vec<&[u8]> = Vec::new();
    if is_transparent {
        vary.push(b"negotiate");
    }
    for (name, of) in DIMENSIONS {
        let differ = |pair: &[Variant]| of(&pair[0]) != of(&pair[1]);
        if variants.windows(2).any(differ) {
            vary.push(name);
        }
    }
    if !vary.is_empty() {
        r.err_headers_out.merge("Vary", &vary.join(&b", "[..]));
    }
    if is_transparent {
        r.err_headers_out.set("TCN", if is_choice { "choice" } else { "list" });
    }
}

/// One variant in `Alternates`: RFC 2295, section 5.
fn alternate(r: &Request, variant: &Variant) -> Vec<u8> {
    let mut out = [b"{\"", &escape_segment(&variant.file_name)[..], b"\" "].concat();
    let quality = format!("{:.3}", variant.source_quality);
    let quality = match quality.trim_end_matches('0') {
        whole if whole.ends_with('.') => &whole[..whole.len() - 1],
        short => short,
    };
    out.extend_from_slice(quality.as_bytes());
    let mut attribute = |name: &[u8], value: &[u8]| {
        if !value.is_empty() {
            out.extend_from_slice(&[b" {", name, b" ", value, b"}"].concat());
        }
    };
    attribute(b"type", &variant.mime_type);
    attribute(b"charset", &variant.charset);
    attribute(b"language", &variant.language_list().unwrap_or_default());
    attribute(b"encoding", variant.encoding.as_deref().unwrap_or_default());
    // A program's length is not that of what it says.
    let is_program =
        variant.request.as_ref().is_some_and(|found| found.handler.is_some());
    if let Some(length) = variant.length(r).filter(|_| !is_program) {
        attribute(b"length", length.to_string().as_bytes());
    }
    out.push(b'}');
    out
}

/// The variants as HTML, for 300 and 406.
pub fn list(variants: &[Variant]) -> Vec<u8> {
    let mut out = b"Available variants:\n<ul>\n".to_vec();
    for variant in variants {
        let url = escape_html(&escape_segment(&variant.file_name));
        let name = escape_html(&variant.file_name);
        let link =
            [b"<li><a href=\"", &url[..], b"\">", &name, b"</a> ", &variant.description];
        out.extend_from_slice(&link.concat());
        let mut say = |what: &[u8], value: Option<&[u8]>| {
            if let Some(value) = value {
                out.extend_from_slice(&[b", ", what, b" ", value].concat());
            }
        };
        let some = |value| Some(value).filter(|value: &&[u8]| !value.is_empty());
        say(b"type", some(&variant.mime_type));
        say(b"language", variant.language_list().as_deref());
        say(b"charset", some(&variant.charset));
        say(b"encoding", variant.encoding.as_deref());
        out.extend_from_slice(b"</li>\n");
    }
    out.extend_from_slice(b"</ul>\n");
    out
}
