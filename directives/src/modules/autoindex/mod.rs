//! mod_autoindex: listings of directories.

mod entry;
mod handle;
mod insert;
mod items;
mod options;
mod page;
mod query;

use std::sync::Arc;

use bytes::Bytes;

pub use handle::Listing;
pub use insert::{Page, Part, Parts};

use crate::compile::{Place, Scope};
use crate::merge::Merge;
use crate::phase::{Phase, on};
use crate::schema::{Context, Directive, Module, Override, Problem, Result, Set, Word};
use items::{By, Description, Ignored, Item};
use options::{INDEX_OPTIONS, Keywords, Width};
use query::Key;

/// What a section says of listings.
#[derive(Clone, Debug, Default)]
struct Settings {
    keywords: Keywords,
    name_width: Option<Width>,
    desc_width: Option<Width>,
    /// Pixels; 0 if not said.
    icon_width: i64,
    icon_height: i64,
    kind: Option<Bytes>,
    charset: Option<Bytes>,
    old_dates: Option<bool>,
    default_icon: Option<Bytes>,
    style_sheet: Option<Bytes>,
    head_insert: Option<Bytes>,
    header: Option<Bytes>,
    readme: Option<Bytes>,
    key: Option<Key>,
    ascending: Option<bool>,
    icons: Vec<Item>,
    alts: Vec<Item>,
    descriptions: Vec<Description>,
    ignored: Vec<Ignored>,
    ignores_alone: bool,
}

impl Settings {
    // See merge_autoindex_configs. An inner section's items come first: the first that
    // fits counts.
    fn merge(outer: &Settings, inner: &Settings) -> Settings {
        macro_rules! or {
            ($field:ident) => {
                inner.$field.clone().or_else(|| outer.$field.clone())
            };
        }
        macro_rules! chain {
            ($field:ident) => {
                inner.$field.iter().chain(&outer.$field).cloned().collect()
            };
        }
        let size = |inner: i64, outer: i64| if inner != 0 { inner } else { outer };
        Settings {
            keywords: Keywords::merge(&outer.keywords, &inner.keywords),
            name_width: or!(name_width),
            desc_width: or!(desc_width),
            icon_width: size(inner.icon_width, outer.icon_width),
            icon_height: size(inner.icon_height, outer.icon_height),
            kind: or!(kind),
            charset: or!(charset),
            old_dates: or!(old_dates),
            default_icon: or!(default_icon),
            style_sheet: or!(style_sheet),
            head_insert: or!(head_insert),
            header: or!(header),
            readme: or!(readme),
            key: or!(key),
            ascending: or!(ascending),
            icons: chain!(icons),
            alts: chain!(alts),
            descriptions: chain!(descriptions),
            ignored: if inner.ignores_alone {
                inner.ignored.clone()
            } else {
                chain!(ignored)
            },
            ignores_alone: false,
        }
    }
}

/// Which of httpd's walks finds a section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Layer {
    #[default]
    Server,
    Directory,
    Files,
    Location,
    If,
}

impl Layer {
    fn of(place: &Place<'_>) -> Layer {
        let within = |names: &[&str]| names.iter().any(|name| place.is_within(name));
        if within(&["<If", "<ElseIf", "<Else"]) {
            Layer::If
        } else if within(&["<Files", "<FilesMatch"]) {
            Layer::Files
        } else if within(&["<Location", "<LocationMatch"]) {
            Layer::Location
        } else if place.context == Context::SERVER || place.context == Context::VHOST {
            Layer::Server
        } else {
            Layer::Directory
        }
    }
}

/// Settings of a section, or what sections make together.
///
/// httpd's walks merge the sections that they find with each other, and the result with
/// what held before. For most modules that is the same as one after the other; not so for
/// this one, whose signs and resets are spent in the first merge.
#[derive(Clone, Debug, Default)]
pub struct Dir {
    layer: Layer,
    /// The sections of the last walk.
    own: Settings,
    /// What held before that walk, and what holds now.
    over: Option<Arc<(Settings, Settings)>>,
    /// The main server's own, over which nothing lies that could be merged.
    is_outermost: bool,
}

impl Dir {
    /// What holds.
    fn whole(&self) -> &Settings {
        self.over.as_ref().map_or(&self.own, |over| &over.1)
    }
}

/// Settings of a server: none.
pub type Server = ();

impl Merge for Dir {
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        if inner.is_outermost {
            return inner.clone();
        }
        let layer = inner.layer;
        let is_outermost = false;
        let (before, own) = match &outer.over {
            _ if outer.layer != layer => (outer.whole().clone(), inner.own.clone()),
            Some(over) => (over.0.clone(), Settings::merge(&outer.own, &inner.own)),
            None => {
                let own = Settings::merge(&outer.own, &inner.own);
                return Dir { layer, own, over: None, is_outermost };
            }
        };
        let whole = Settings::merge(&before, &own);
        Dir { layer, own, over: Some(Arc::new((before, whole))), is_outermost }
    }
}

/// The settings at hand.
fn dir<'a>(at: &'a mut Scope<'_, '_>) -> &'a mut Settings {
    let is_outermost =
        at.place.context == Context::SERVER && at.place.container.is_none();
    let layer = Layer::of(at.place);
    let dir = at.dir.autoindex();
    (dir.is_outermost, dir.layer) = (is_outermost, layer);
    &mut dir.own
}

fn add_alt(at: &mut Scope, by: By, alt: &[u8], to: &Word) -> Result {
    let item = Item::new(by, at.place.path, &to.bytes, alt);
    dir(at).alts.push(item);
    Ok(())
}

/// An icon's URL, or `(text,url)`: `add_icon`.
fn add_icon(at: &mut Scope, by: By, icon: &Word, to: &Word) -> Result {
    let mut url = &icon.bytes[..];
    if url.first() == Some(&b'(') {
        let Some(close) = url.iter().position(|&byte| byte == b')') else {
            return Err(Problem::from("missing closing paren").at(icon.span));
        };
        let comma = url.iter().position(|&byte| byte == b',').unwrap_or(url.len());
        add_alt(at, by, &url[1..comma], to)?;
        let end = if close > comma { close } else { url.len() };
        url = url.get(comma + 1..end).unwrap_or_default();
    }
    let item = Item::new(by, at.place.path, &to.bytes, url);
    dir(at).icons.push(item);
    Ok(())
}

macro_rules! items {
    ($($name:ident: $spelling:literal, $syntax:literal, $add:ident, $by:ident, $summary:literal, $docs:literal;)*) => {
        $(static $name: Directive = Directive {
            name: $spelling,
            syntax: $syntax,
            context: Context::ANYWHERE,
            overrides: Override::INDEXES,
            summary: $summary,
            docs: $docs,
            set: Set::FirstThenEach(|at, value, to| items!(@$add at, $by, value, to)),
            ..Directive::EXACT
        };)*
    };
    (@icon $at:ident, $by:ident, $value:ident, $to:ident) => {
        add_icon($at, By::$by, $value, $to)
    };
    (@alt $at:ident, $by:ident, $value:ident, $to:ident) => {
        add_alt($at, By::$by, &$value.bytes, $to)
    };
}

items! {
    ADD_ICON: "AddIcon", "icon name [name] ...", icon, Path,
        "an icon URL followed by one or more filenames", r"
An icon in listings, by name: an extension, the end of a name, or a pattern;
`^^DIRECTORY^^` for directories, `^^BLANKICON^^` for the heading. `(text,url)` says what
stands in the icon's place where it is not shown.

## Example
    AddIcon (IMG,/icons/image2.gif) .gif .jpg
    AddIcon /icons/folder.gif ^^DIRECTORY^^
";
    ADD_ICON_BY_TYPE: "AddIconByType", "icon media-type [media-type] ...", icon, Type,
        "an icon URL followed by one or more MIME types", r"
An icon in listings, by media type; a pattern such as `image/*` is possible.

## Example
    AddIconByType (TXT,/icons/text.gif) text/*
";
    ADD_ICON_BY_ENCODING: "AddIconByEncoding", "icon encoding [encoding] ...", icon, Encoding,
        "an icon URL followed by one or more content encodings", r"
An icon in listings, by content encoding.

## Example
    AddIconByEncoding (CMP,/icons/compressed.gif) x-gzip
";
    ADD_ALT: "AddAlt", "string file [file] ...", alt, Path,
        "alternate descriptive text followed by one or more filenames", r"
What is said in an icon's place, by name.

## Example
    AddAlt PDF *.pdf
";
    ADD_ALT_BY_TYPE: "AddAltByType", "string media-type [media-type] ...", alt, Type,
        "alternate descriptive text followed by one or more MIME types", r"
What is said in an icon's place, by media type.

## Example
    AddAltByType TXT text/plain
";
    ADD_ALT_BY_ENCODING: "AddAltByEncoding", "string encoding [encoding] ...", alt, Encoding,
        "alternate descriptive text followed by one or more content encodings", r"
What is said in an icon's place, by content encoding.

## Example
    AddAltByEncoding gzip x-gzip
";
}

static ADD_DESCRIPTION: Directive = Directive {
    name: "AddDescription",
    syntax: "string file [file] ...",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    summary: "Descriptive text followed by one or more filenames",
    docs: r#"
What a listing says about files: a part of a name, a pattern, or a path with slashes. The
text may be HTML.

## Example
    AddDescription "The planet Mars" mars.png
"#,
    set: Set::FirstThenEach(|at, text, to| {
        let item = Description::new(&to.bytes, &text.bytes);
        dir(at).descriptions.push(item);
        Ok(())
    }),
    ..Directive::EXACT
};

static INDEX_IGNORE: Directive = Directive {
    name: "IndexIgnore",
    syntax: "file [file] ...",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    summary: "one or more file extensions",
    docs: r"
Names that listings leave out: names or patterns. They can be asked for all the same.

## Example
    IndexIgnore .??* *~ *# HEADER* README* RCS CVS
",
    set: Set::Each(|at, name| {
        let item = Ignored::new(at.place.path, &name.bytes);
        dir(at).ignored.push(item);
        Ok(())
    }),
    ..Directive::EXACT
};

static INDEX_IGNORE_RESET: Directive = Directive {
    name: "IndexIgnoreReset",
    syntax: "On|Off",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    default: "Off",
    summary: "Reset the inherited list of IndexIgnore filenames",
    docs: r"
Does this section forget what the enclosing ones leave out?

## Example
    <Directory /srv/www>
        IndexIgnoreReset On
        IndexIgnore .??*
    </Directory>
",
    set: Set::Flag(|at, on| {
        dir(at).ignores_alone = on;
        Ok(())
    }),
    ..Directive::EXACT
};

static INDEX_ORDER_DEFAULT: Directive = Directive {
    name: "IndexOrderDefault",
    syntax: "Ascending|Descending Name|Date|Size|Description",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    default: "Ascending Name",
    summary: "{Ascending,Descending} {Name,Size,Description,Date}",
    docs: r"
By what a listing is sorted unless the client wants something else.

## Example
    IndexOrderDefault Descending Date
",
    set: Set::Two(|at, direction, key| {
        let ascending = match () {
            () if direction.is("ascending") => true,
            () if direction.is("descending") => false,
            () => {
                let message = "First keyword must be 'Ascending' or 'Descending'";
                return Err(Problem::from(message).at(direction.span));
            }
        };
        let key = match () {
            () if key.is("name") => Key::Name,
            () if key.is("date") => Key::LastModified,
            () if key.is("size") => Key::Size,
            () if key.is("description") => Key::Description,
            () => {
                let message =
                    "Second keyword must be 'Name', 'Date', 'Size', or 'Description'";
                return Err(Problem::from(message).at(key.span));
            }
        };
        let dir = dir(at);
        (dir.key, dir.ascending) = (Some(key), Some(ascending));
        Ok(())
    }),
    ..Directive::EXACT
};

macro_rules! texts {
    ($($name:ident: $spelling:literal, $syntax:literal, $field:ident, $summary:literal, $compat:expr, $docs:literal;)*) => {
        $(static $name: Directive = Directive {
            name: $spelling,
            syntax: $syntax,
            context: Context::ANYWHERE,
            overrides: Override::INDEXES,
            summary: $summary,
            docs: $docs,
            compat: $compat,
            set: Set::One(|at, text| {
                dir(at).$field = Some(text.bytes.clone());
                Ok(())
            }),
            ..Directive::EXACT
        };)*
    };
}

use crate::schema::Compat::Exact;

texts! {
    DEFAULT_ICON: "DefaultIcon", "url-path", default_icon, "an icon URL", Exact, r"
The icon of files that no other icon is for.

## Example
    DefaultIcon /icons/unknown.gif
";
    HEADER_NAME: "HeaderName", "filename", header, "a filename", Exact, r"
A file at the top of listings, as a URL below the directory: HTML is put in as it is, also
what a program or a page with includes makes; a text file is shown as text. With `IndexOptions SuppressHTMLPreamble` an HTML file begins the whole
page.

## Example
    HeaderName HEADER.html
";
    README_NAME: "ReadmeName", "filename", readme, "a filename", Exact, r"
A file at the end of listings, in place of the server's signature; see `HeaderName`.

## Example
    ReadmeName README.html
";
    INDEX_STYLE_SHEET: "IndexStyleSheet", "url-path", style_sheet, "URL to style sheet", Exact, r"
A style sheet for listings; tables get classes and names for it.

## Example
    IndexStyleSheet /css/listing.css
";
    INDEX_HEAD_INSERT: "IndexHeadInsert", "text", head_insert,
        "String to insert in HTML HEAD section", Exact, r#"
A text in the head of listings.

## Example
    IndexHeadInsert "<link rel=\"sitemap\" href=\"/sitemap.html\">"
"#;
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_autoindex.c",
    id: "autoindex_module",
    directives: &[
        &ADD_ALT,
        &ADD_ALT_BY_ENCODING,
        &ADD_ALT_BY_TYPE,
        &ADD_DESCRIPTION,
        &ADD_ICON,
        &ADD_ICON_BY_ENCODING,
        &ADD_ICON_BY_TYPE,
        &DEFAULT_ICON,
        &HEADER_NAME,
        &INDEX_HEAD_INSERT,
        &INDEX_IGNORE,
        &INDEX_IGNORE_RESET,
        &INDEX_OPTIONS,
        &INDEX_ORDER_DEFAULT,
        &INDEX_STYLE_SHEET,
        &README_NAME,
    ],
    hooks: &[on(Phase::Handle, handle::handle).of_handlers(handle::HANDLERS)],
};
