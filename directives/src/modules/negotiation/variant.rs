//! A variant, and what is known of it: `var_rec`.

use bytes::Bytes;

use super::accept::{self, Accepted};
use crate::path;
use crate::request::Request;

/// One of the things that may be sent.
#[derive(Clone)]
pub struct Variant {
    /// The request for it, once it was looked up.
    pub request: Option<Box<Request>>,
    /// Its media type, in lower case.
    pub mime_type: Bytes,
    /// Its name, or URL, below the directory.
    pub file_name: Bytes,
    /// A text that stands in the type map itself.
    pub body: Option<Bytes>,
    /// Its content encoding.
    pub encoding: Option<Bytes>,
    /// Its languages.
    pub languages: Vec<Bytes>,
    /// Its character set; empty if unknown.
    pub charset: Bytes,
    /// What a type map says of it to people.
    pub description: Bytes,
    /// What the variant itself is worth: `qs`.
    pub source_quality: f32,
    /// HTML's level.
    pub level: f32,
    /// Its length, bytes, if a type map says so or it was looked up.
    pub bytes: Option<u64>,
    /// HTML, or what becomes HTML.
    pub is_html: bool,
    /// What the client gives for its language.
    pub lang_quality: f32,
    /// What the client gives for its encoding.
    pub encoding_quality: f32,
    /// What the client gives for its character set.
    pub charset_quality: f32,
    /// What the client gives for its media type.
    pub type_quality: f32,
    /// Its place in `LanguagePriority`.
    pub lang_index: Option<usize>,
    /// The level, if the client accepts just that.
    pub level_matched: f32,
    /// How exactly the media type was named: 1 `*/*`, 2 `type/*`, 3 wholly.
    pub stars: u8,
    /// No guess was needed to like it (RFC 2296).
    pub is_definite: bool,
}

impl Default for Variant {
    fn default() -> Variant {
        Variant {
            request: None,
            mime_type: Bytes::new(),
            file_name: Bytes::new(),
            body: None,
            encoding: None,
            languages: Vec::new(),
            charset: Bytes::new(),
            description: Bytes::new(),
            source_quality: 0.0,
            level: 0.0,
            bytes: None,
            is_html: false,
            lang_quality: 1.0,
            encoding_quality: 1.0,
            charset_quality: 1.0,
            type_quality: 1.0,
            lang_index: None,
            level_matched: 0.0,
            stars: 0,
            is_definite: true,
        }
    }
}

impl Variant {
    /// A file that was looked up.
    pub fn file(name: &[u8], request: Box<Request>, content_type: &[u8]) -> Variant {
        let mut variant = Variant {
            file_name: Bytes::copy_from_slice(name),
            encoding: request.content_encoding.clone(),
            languages: request.content_languages.clone(),
            bytes: request.finfo.map(|meta| meta.size),
            request: Some(request),
            ..Variant::default()
        };
        variant.set_type(accept::item(&mut &content_type[..]));
        variant
    }

    /// What a media type says: `set_mime_fields`.
    pub fn set_type(&mut self, kind: Accepted) {
        self.is_html = is_pseudo_html(&kind.name);
        self.mime_type = kind.name;
        self.source_quality = kind.quality;
        self.level = kind.level;
        self.charset = kind.charset;
    }

    /// Its languages with commas between them.
    pub fn language_list(&self) -> Option<Vec<u8>> {
        (!self.languages.is_empty()).then(|| self.languages.join(&b','))
    }

    /// Its length in bytes: `find_content_length`.
    pub fn length(&self, r: &Request) -> Option<u64> {
        self.bytes.or_else(|| {
            let file = path::join(path::dir_name(&r.filename), &self.file_name);
            r.files.stat(&file).ok().map(|meta| meta.size)
        })
    }

    /// Its encoding is as good as none: `is_identity_encoding`.
    pub fn is_unencoded(&self) -> bool {
        matches!(
            self.encoding.as_deref(),
            None | Some(b"" | b"7bit" | b"8bit" | b"binary")
        )
    }
}

/// HTML as it is, or before its includes were put in.
pub fn is_pseudo_html(kind: &[u8]) -> bool {
    matches!(
        kind,
        b"text/html" | b"text/x-server-parsed-html" | b"text/x-server-parsed-html3"
    )
}
