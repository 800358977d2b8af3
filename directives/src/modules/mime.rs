//! mod_mime: what a file's extensions say about it.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;

use super::dir::DIRECTORY_TYPE;
use crate::bundle::Kind;
use crate::merge::Merge;
use crate::path;
use crate::phase::{DECLINED, OK, Phase, Verdict, on};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Set, Word};
use crate::table::Table;

/// What one extension means; an empty value is what a `Remove…` directive leaves.
#[derive(Clone, Debug, Default)]
struct Extension {
    media_type: Option<Bytes>,
    encoding: Option<Bytes>,
    language: Option<Bytes>,
    handler: Option<Bytes>,
    charset: Option<Bytes>,
}

impl Extension {
    fn over(&self, outer: &Extension) -> Extension {
        let or = |a: &Option<Bytes>, b: &Option<Bytes>| a.clone().or_else(|| b.clone());
        Extension {
            media_type: or(&self.media_type, &outer.media_type),
            encoding: or(&self.encoding, &outer.encoding),
            language: or(&self.language, &outer.language),
            handler: or(&self.handler, &outer.handler),
            charset: or(&self.charset, &outer.charset),
        }
    }
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    /// By extension, lower case, without its dot.
    extensions: IndexMap<Bytes, Extension>,
    default_language: Option<Bytes>,
    use_path_info: Option<bool>,
}

impl Merge for Dir {
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let mut extensions = outer.extensions.clone();
        for (name, extension) in &inner.extensions {
            let merged = match extensions.get(name) {
                Some(old) => extension.over(old),
                None => extension.clone(),
            };
            extensions.insert(name.clone(), merged);
        }
        Dir {
            extensions,
            default_language: inner
                .default_language
                .clone()
                .or_else(|| outer.default_language.clone()),
            use_path_info: inner.use_path_info.or(outer.use_path_info),
        }
    }
}

/// Settings of a server: the table of `TypesConfig`.
#[derive(Debug, Default)]
pub struct Server {
    types: Option<Arc<Table<Bytes>>>,
}

impl Merge for Server {
    fn merge(main: &Server, own: &Server) -> Server {
        Server { types: own.types.clone().or_else(|| main.types.clone()) }
    }
}

fn key(extension: &Word) -> Bytes {
    let bare = extension.bytes.strip_prefix(b".").unwrap_or(&extension.bytes);
    bare.to_ascii_lowercase().into()
}

macro_rules! additions {
    ($($name:ident: $spelling:literal, $field:ident, $lower:literal, $summary:literal, $docs:literal;)*) => {
        $(static $name: Directive = Directive {
            name: $spelling,
            syntax: concat!(stringify!($field), " extension [extension] ..."),
            context: Context::ANYWHERE,
            overrides: Override::FILE_INFO,
            summary: $summary,
            docs: $docs,
            set: Set::FirstThenEach(|at, value, extension| {
                let value = if $lower {
                    value.bytes.to_ascii_lowercase().into()
                } else {
                    value.bytes.clone()
                };
                at.dir.mime().extensions.entry(key(extension)).or_default().$field = Some(value);
                Ok(())
            }),
            ..Directive::EXACT
        };)*
    };
}

additions! {
    ADD_TYPE: "AddType", media_type, true,
        "a mime type followed by one or more file extensions", r"
A media type for extensions, with or without their dot. A type may also name an
`Action`, or `fastcgi-script`.

## Example
    AddType application/x-httpd-php .php
";
    ADD_HANDLER: "AddHandler", handler, true,
        "a handler name followed by one or more file extensions", r"
A handler for extensions, with or without their dot. Any extension of a file counts, not
only the last.

## Example
    AddHandler fastcgi-script .fcgi fcg fpl
";
    ADD_ENCODING: "AddEncoding", encoding, true,
        "an encoding (e.g., gzip), followed by one or more file extensions", r"
A content encoding for extensions.

## Example
    AddEncoding x-gzip .gz .tgz
";
    ADD_LANGUAGE: "AddLanguage", language, false,
        "a language (e.g., fr), followed by one or more file extensions", r"
A language for extensions.

## Example
    AddLanguage fr .fr
";
    ADD_CHARSET: "AddCharset", charset, true,
        "a charset (e.g., iso-2022-jp), followed by one or more file extensions", r"
A character set for extensions.

## Example
    AddCharset UTF-8 .utf8
";
}

macro_rules! removals {
    ($($name:ident: $spelling:literal, $field:ident, $example:literal;)*) => {
        $(static $name: Directive = Directive {
            name: $spelling,
            syntax: "extension [extension] ...",
            context: Context::ANYWHERE,
            overrides: Override::FILE_INFO,
            summary: "one or more file extensions",
            docs: concat!(
                "\nTakes back what an enclosing section said of extensions.\n\n## Example\n    ",
                $example,
                "\n"
            ),
            set: Set::Each(|at, extension| {
                let entry = at.dir.mime().extensions.entry(key(extension)).or_default();
                entry.$field = Some(Bytes::new());
                Ok(())
            }),
            ..Directive::EXACT
        };)*
    };
}

removals! {
    REMOVE_TYPE: "RemoveType", media_type, "RemoveType .cgi";
    REMOVE_HANDLER: "RemoveHandler", handler, "RemoveHandler .php";
    REMOVE_ENCODING: "RemoveEncoding", encoding, "RemoveEncoding .gz";
    REMOVE_LANGUAGE: "RemoveLanguage", language, "RemoveLanguage .en";
    REMOVE_CHARSET: "RemoveCharset", charset, "RemoveCharset .utf8";
}

static DEFAULT_LANGUAGE: Directive = Directive {
    name: "DefaultLanguage",
    syntax: "language-tag",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "language to use for documents with no other language file extension",
    docs: r"
The language of files whose extensions name none.

## Example
    DefaultLanguage en
",
    set: Set::One(|at, word| {
        at.dir.mime().default_language = Some(word.bytes.clone());
        Ok(())
    }),
    ..Directive::EXACT
};

static MOD_MIME_USE_PATH_INFO: Directive = Directive {
    name: "ModMimeUsePathInfo",
    syntax: "On|Off",
    context: Context::CONTAINERS,
    default: "Off",
    summary: "Set to 'yes' to allow mod_mime to use path info for type checking",
    docs: r"
Do extensions in PATH_INFO count?

## Example
    <Location /x>
        ModMimeUsePathInfo On
    </Location>
",
    set: Set::Flag(|at, on| {
        at.dir.mime().use_path_info = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

static TYPES_CONFIG: Directive = Directive {
    name: "TypesConfig",
    syntax: "file-path",
    context: Context::SERVERS,
    default: "mime.types",
    summary: "the MIME types config file",
    docs: r"
The table of media types by extension: a type, then its extensions, on each line.

## Example
    TypesConfig /dev/null
",
    set: Set::One(|at, word| {
        let path = at.server_relative(&word.bytes);
        let message = format!("Invalid mime types config path {}", word.lossy());
        let path = path.ok_or_else(|| Problem::from(message).at(word.span))?;
        let shown = String::from_utf8_lossy(&path).into_owned();
        let text = at.files().read(&path).map_err(|error| {
            let message =
                format!("could not open mime types config file {shown}: {}.", error.text);
            Problem::from(message).at(word.span)
        })?;
        at.server.mime().types = Some(Arc::new(parse_types(&text)));
        Ok(())
    }),
    ..Directive::EXACT
};

fn parse_types(text: &[u8]) -> Table<Bytes> {
    let mut types = Table::default();
    for line in text.split(|&b| b == b'\n') {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(kind) = words.next().filter(|kind| kind[0] != b'#') else { continue };
        let kind = Bytes::copy_from_slice(kind);
        for extension in words {
            types.insert(extension.to_ascii_lowercase().into(), kind.clone());
        }
    }
    types
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_mime.c",
    id: "mime_module",
    directives: &[
        &ADD_CHARSET,
        &ADD_ENCODING,
        &ADD_HANDLER,
        &ADD_LANGUAGE,
        &ADD_TYPE,
        &DEFAULT_LANGUAGE,
        &REMOVE_CHARSET,
        &REMOVE_ENCODING,
        &REMOVE_HANDLER,
        &REMOVE_LANGUAGE,
        &REMOVE_TYPE,
        &TYPES_CONFIG,
        &MOD_MIME_USE_PATH_INFO,
    ],
    hooks: &[on(Phase::Type, find_type)],
};

/// `find_ct`.
fn find_type(r: &mut Request) -> Verdict {
    if r.finfo.is_some_and(|meta| meta.kind == Kind::Directory) {
        r.content_type = Some(Bytes::from_static(DIRECTORY_TYPE));
        return OK;
    }
    let dir = r.dir.clone();
    let config = &dir.mime;
    let server = r.server.clone();
    let name = if config.use_path_info == Some(true) {
        [&r.filename[..], &r.path_info].concat()
    } else {
        r.filename.clone()
    };
    let base = path::base_name(&name);
    // Leading periods belong to the base name, which is no extension.
    let leading = base.iter().take_while(|&&b| b == b'.').count();
    let mut parts = base[leading..].split(|&b| b == b'.');
    parts.next();
    let mut charset: Option<Bytes> = None;
    let set = |value: &Option<Bytes>| value.clone().filter(|value| !value.is_empty());
    for part in parts.filter(|part| !part.is_empty()) {
        let part = part.to_ascii_lowercase();
        let found = config.extensions.get(&part[..]);
        let forced = found.and_then(|extension| extension.media_type.clone());
        match forced {
            Some(kind) if !kind.is_empty() => r.content_type = Some(kind),
            // RemoveType hides the table's entry, too.
            Some(_) => {}
            None => {
                let types = server.config.mime.types.as_ref();
                if let Some(kind) = types.and_then(|types| types.get(&part[..])) {
                    r.content_type = Some(kind.clone());
                }
            }
        }
        let Some(extension) = found else { continue };
        if let Some(value) = set(&extension.charset) {
            charset = Some(value);
        }
        if let Some(language) = set(&extension.language) {
            r.content_languages.push(language);
        }
        if let Some(encoding) = set(&extension.encoding) {
            r.content_encoding = Some(match &r.content_encoding {
                Some(before) => [&before[..], b", ", &encoding].concat().into(),
                None => encoding,
            });
        }
        if let Some(handler) = set(&extension.handler) {
            r.handler = Some(handler);
        }
    }
    if let (Some(charset), Some(kind)) = (charset, &r.content_type) {
        let end = kind.to_ascii_lowercase().windows(8).position(|w| w == b"charset=");
        if end.is_none() {
            r.content_type = Some([&kind[..], b"; charset=", &charset].concat().into());
        }
    }
    if r.content_languages.is_empty()
        && let Some(language) = &config.default_language
    {
        r.content_languages.push(language.clone());
    }
    if r.content_type.is_some() { OK } else { DECLINED }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_is_read() {
        let types = super::parse_types(b"# no\ntext/html\thtml HTM\n\nimage/png png\n");
        assert_eq!(types.get(b"htm").unwrap(), "text/html");
        assert!(types.get(b"no").is_none());
    }
}
