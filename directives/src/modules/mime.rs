//! mod_mime: what a file's extensions say about it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;

use super::dir::DIRECTORY_TYPE;
use crate::bundle;
use crate::diagnostic::codes;
use crate::filter::{self, Added, Kind};
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
    output_filters: Option<Arc<[Kind]>>,
    inflates_input: Option<bool>,
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
            output_filters: self
                .output_filters
                .clone()
                .or_else(|| outer.output_filters.clone()),
            inflates_input: self.inflates_input.or(outer.inflates_input),
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
    multiviews: Option<Multiviews>,
}

/// `MultiviewsMatch`: which extensions need not be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Multiviews {
    any: bool,
    handlers: bool,
    filters: bool,
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
            multiviews: inner.multiviews.or(outer.multiviews),
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

macro_rules! filters {
    ($($name:ident: $spelling:literal, $syntax:literal, $set:expr, $summary:literal, $docs:literal;)*) => {
        $(static $name: Directive = Directive {
            name: $spelling,
            syntax: $syntax,
            context: Context::ANYWHERE,
            overrides: Override::FILE_INFO,
            summary: $summary,
            docs: $docs,
            set: $set,
            ..Directive::EXACT
        };)*
    };
}

filters! {
    ADD_OUTPUT_FILTER: "AddOutputFilter", "filter[;filter...] extension [extension] ...",
        Set::FirstThenEach(|at, filters, extension| {
            let kinds = filter::list(filters)?;
            let entry = at.dir.mime().extensions.entry(key(extension)).or_default();
            entry.output_filters = Some(kinds);
            Ok(())
        }),
        "output filter name (or ; delimited names) followed by one or more file extensions", r"
Filters for the responses of files with an extension; `SetOutputFilter` says which there
are. Any extension of a file counts, not only the last.

## Example
    AddOutputFilter DEFLATE .svg .xml
";
    REMOVE_OUTPUT_FILTER: "RemoveOutputFilter", "extension [extension] ...",
        Set::Each(|at, extension| {
            let entry = at.dir.mime().extensions.entry(key(extension)).or_default();
            entry.output_filters = Some(Arc::default());
            Ok(())
        }),
        "one or more file extensions", r"
Takes back what an enclosing section said of extensions.

## Example
    RemoveOutputFilter .svg
";
    ADD_INPUT_FILTER: "AddInputFilter", "DEFLATE extension [extension] ...",
        Set::FirstThenEach(|at, filters, extension| {
            let inflates = filter::input_list(filters)?;
            let entry = at.dir.mime().extensions.entry(key(extension)).or_default();
            entry.inflates_input = Some(inflates);
            Ok(())
        }),
        "input filter name (or ; delimited names) followed by one or more file extensions", r"
Filters for the bodies of requests to files with an extension; see `SetInputFilter`.

## Example
    AddInputFilter DEFLATE .php
";
    REMOVE_INPUT_FILTER: "RemoveInputFilter", "extension [extension] ...",
        Set::Each(|at, extension| {
            let entry = at.dir.mime().extensions.entry(key(extension)).or_default();
            entry.inflates_input = Some(false);
            Ok(())
        }),
        "one or more file extensions", r"
Takes back what an enclosing section said of extensions.

## Example
    RemoveInputFilter .php
";
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

static MULTIVIEWS_MATCH: Directive = Directive {
    name: "MultiviewsMatch",
    syntax: "Any|NegotiatedOnly|Filters|Handlers [Filters|Handlers]",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "NegotiatedOnly",
    summary: "NegotiatedOnly (default), Handlers and/or Filters, or Any",
    docs: r"
Which files `Options MultiViews` finds for a name: those whose further extensions have to do
with negotiation (type, language, character set, encoding), those that have a handler or a
filter as well, or any.

## Example
    MultiviewsMatch Handlers Filters
",
    set: Set::Each(|at, word| {
        for container in ["<Location", "<LocationMatch"] {
            if at.place.is_within(container) {
                let message =
                    format!("MultiviewsMatch cannot occur within {container}> section");
                return Err(Problem::new(&codes::CONTEXT, message));
            }
        }
        let multiviews = &mut at.dir.mime().multiviews;
        let before = *multiviews;
        let now = before.unwrap_or_default();
        let only = before == Some(Multiviews::default());
        let fail = |message: &str| Err(Problem::from(message).at(word.span));
        let (name, now) = match () {
            () if word.is("any") => {
                if before.is_some_and(|before| before != ANY) {
                    return fail(
                        "Any is incompatible with NegotiatedOnly, Filters and Handlers",
                    );
                }
                ("", ANY)
            }
            () if word.is("negotiatedonly") => {
                if before.is_some() && !only {
                    return fail(
                        "NegotiatedOnly is incompatible with Any, Filters and Handlers",
                    );
                }
                ("", Multiviews::default())
            }
            () if word.is("filters") => ("Filters", Multiviews { filters: true, ..now }),
            () if word.is("handlers") => {
                ("Handlers", Multiviews { handlers: true, ..now })
            }
            () => {
                let message = format!("Unrecognized option '{}'", word.lossy());
                return fail(&message);
            }
        };
        if !name.is_empty() && (only || now.any) {
            return fail(&format!("{name} is incompatible with Any and NegotiatedOnly"));
        }
        *multiviews = Some(now);
        Ok(())
    }),
    ..Directive::EXACT
};

const ANY: Multiviews = Multiviews { any: true, handlers: false, filters: false };

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
        let mut words =
            line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
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
        &ADD_INPUT_FILTER,
        &ADD_LANGUAGE,
        &ADD_OUTPUT_FILTER,
        &ADD_TYPE,
        &DEFAULT_LANGUAGE,
        &MULTIVIEWS_MATCH,
        &REMOVE_CHARSET,
        &REMOVE_ENCODING,
        &REMOVE_HANDLER,
        &REMOVE_INPUT_FILTER,
        &REMOVE_LANGUAGE,
        &REMOVE_OUTPUT_FILTER,
        &REMOVE_TYPE,
        &TYPES_CONFIG,
        &MOD_MIME_USE_PATH_INFO,
    ],
    hooks: &[on(Phase::Type, find_type)],
};

/// Extensions are mostly in lower case.
fn lowercase(part: &[u8]) -> Cow<'_, [u8]> {
    if part.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(part.to_ascii_lowercase())
    } else {
        Cow::Borrowed(part)
    }
}

/// `find_ct`.
fn find_type(r: &mut Request) -> Verdict {
    if r.finfo.is_some_and(|meta| meta.kind == bundle::Kind::Directory) {
        r.content_type = Some(Bytes::from_static(DIRECTORY_TYPE));
        return OK;
    }
    let config = &r.dir.mime;
    let name: Cow<[u8]> = if config.use_path_info == Some(true) {
        Cow::Owned([&r.filename[..], &r.path_info].concat())
    } else {
        Cow::Borrowed(&r.filename)
    };
    let base = path::base_name(&name);
    // Leading periods belong to the base name, which is no extension.
    let leading = base.iter().take_while(|&&b| b == b'.').count();
    let mut parts = base[leading..].split(|&b| b == b'.');
    parts.next();
    let mut charset: Option<Bytes> = None;
    let set = |value: &Option<Bytes>| value.clone().filter(|value| !value.is_empty());
    for part in parts.filter(|part| !part.is_empty()) {
        let part = lowercase(part);
        let found = config.extensions.get(&part[..]);
        let forced = found.and_then(|extension| extension.media_type.clone());
        match forced {
            Some(kind) if !kind.is_empty() => r.content_type = Some(kind),
            // RemoveType hides the table's entry, too.
            Some(_) => {}
            None => {
                let types = r.server.config.mime.types.as_ref();
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
        if let Some(kinds) = &extension.output_filters {
            r.filters.extend(kinds.iter().copied().map(Added::Plain));
        }
        r.inflates_input |= extension.inflates_input == Some(true);
    }
    if let (Some(charset), Some(kind)) = (charset, &r.content_type) {
        let mut parts = kind.windows(b"charset=".len());
        if !parts.any(|part| part.eq_ignore_ascii_case(b"charset=")) {
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

/// The parts of a file's name that say nothing about it, for negotiation: the base name
/// first. `None` if no part says anything. httpd's `ap-mime-exceptions-list`.
pub fn exceptions(r: &Request, name: &[u8]) -> Option<Vec<Vec<u8>>> {
    let dir = r.dir.clone();
    let config = &dir.mime;
    let types = r.server.config.mime.types.as_ref();
    let matching = config.multiviews.unwrap_or_default();
    let leading = name.iter().take_while(|&&b| b == b'.').count();
    let end = name[leading..].iter().position(|&b| b == b'.');
    let end = end.map_or(name.len(), |length| leading + length);
    let mut unknown = vec![name[..end].to_vec()];
    let mut says_something = false;
    let is_set =
        |value: &Option<Bytes>| value.as_ref().is_some_and(|value| !value.is_empty());
    for part in name[end..].split(|&b| b == b'.').filter(|part| !part.is_empty()) {
        let key = part.to_ascii_lowercase();
        let extension = config.extensions.get(&key[..]);
        let says = match extension {
            Some(extension) => {
                is_set(&extension.media_type)
                    || is_set(&extension.charset)
                    || is_set(&extension.language)
                    || is_set(&extension.encoding)
                    || is_set(&extension.handler) && matching.handlers
            }
            None => false,
        };
        let hidden = extension.is_some_and(|extension| extension.media_type.is_some());
        let listed = !hidden && types.is_some_and(|types| types.get(&key[..]).is_some());
        if says || listed || matching.any {
            says_something = true;
        } else {
            unknown.push(part.to_vec());
        }
    }
    says_something.then_some(unknown)
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
