//! mod_include: server-side includes.

mod elements;
mod exec;
mod legacy;
mod page;
mod syntax;
mod text;
mod variables;

use bytes::Bytes;

use crate::filter::{Added, Filter, Kind};
use crate::log::Level;
use crate::merge_options;
use crate::modules::core::OptionSet;
use crate::phase::{DECLINED, Phase, Verdict, last};
use crate::request::Request;
use crate::schema::{Compat, Context, Directive, Module, Override, Problem, Set, Word};

pub use exec::Command;
pub use page::{Page, Step, Sub, Then};

/// What an executable bit of an HTML file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum XBitHack {
    Off,
    On,
    /// The group's bit says that the page has the file's time.
    Full,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    xbithack: Option<XBitHack>,
    error: Option<Bytes>,
    time_format: Option<Bytes>,
    start: Option<Bytes>,
    end: Option<Bytes>,
    undefined: Option<Bytes>,
    last_modified: Option<bool>,
    etag: Option<bool>,
    legacy: Option<bool>,
}

merge_options!(Dir {
    xbithack,
    error,
    time_format,
    start,
    end,
    undefined,
    last_modified,
    etag,
    legacy,
});

/// Settings of a server: none of its own.
pub type Server = ();

/// How a page is read and shown.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub start: Bytes,
    pub end: Bytes,
    pub error: Bytes,
    pub time_format: Bytes,
    pub undefined: Bytes,
    /// No programs: `IncludesNOEXEC`.
    pub no_exec: bool,
    /// Expressions are those of httpd 2.2.
    pub legacy: bool,
}

impl Settings {
    fn of(r: &Request) -> Settings {
        let config = &r.dir.include;
        let or = |value: &Option<Bytes>, default: &'static str| {
            value.clone().unwrap_or(Bytes::from_static(default.as_bytes()))
        };
        Settings {
            start: or(&config.start, "<!--#"),
            end: or(&config.end, "-->"),
            error: or(
                &config.error,
                "[an error occurred while processing this directive]",
            ),
            time_format: or(&config.time_format, "%A, %d-%b-%Y %H:%M:%S %Z"),
            undefined: or(&config.undefined, "(none)"),
            legacy: config.legacy == Some(true),
            no_exec: !r.dir.core.options.set.has(OptionSet::INCLUDES_EXEC),
        }
    }
}

/// Does the group's executable bit say that the page is as old as its file?
fn has_file_time(r: &Request) -> bool {
    r.dir.include.xbithack == Some(XBitHack::Full)
        && r.finfo.is_some_and(|meta| meta.mode & 0o010 != 0)
}

/// Before the handler: a page is not the file that it is made from. `includes_setup`.
pub(crate) fn setup(r: &mut Request) {
    if !has_file_time(r) {
        r.no_local_copy = true;
    }
    if r.dir.include.etag != Some(true) {
        r.notes.set("no-etag", "");
    }
}

/// `INCLUDES`: `includes_filter` as far as the head goes.
pub(crate) fn begin(r: &mut Request) -> Option<Filter> {
    if !r.dir.core.options.set.has(OptionSet::INCLUDES) {
        let uri = String::from_utf8_lossy(&r.uri).into_owned();
        let text = format!(
            "mod_include: Options +Includes (or IncludesNoExec) wasn't set, INCLUDES filter \
             removed: {uri}"
        );
        r.log(Level::Warn, "include", 1374, text);
        return None;
    }
    for headers in [&mut r.headers_out, &mut r.err_headers_out] {
        headers.unset("Content-Length");
    }
    let modified = r.finfo.map(|meta| meta.mtime.min(r.request_time / 1_000_000));
    let modified = modified.map(crate::content::conditions::http_date);
    if r.dir.include.last_modified == Some(true) {
        if let Some(modified) = modified
            && !r.headers_out.has("Last-Modified")
        {
            r.headers_out.set("Last-Modified", modified);
        }
    } else if has_file_time(r)
        && let Some(modified) = modified
    {
        r.headers_out.set("Last-Modified", modified);
    } else {
        r.headers_out.unset("Last-Modified");
        r.err_headers_out.unset("Last-Modified");
    }
    let settings = Settings::of(r);
    Some(Filter::Include(Box::new(Page::new(r.clone(), settings))))
}

/// The handler `server-parsed`, and `XBitHack`: `include_fixup`.
fn fixups(r: &mut Request) -> Verdict {
    if r.handler.as_deref() == Some(b"server-parsed") {
        if r.content_type.is_none() {
            r.content_type = Some(Bytes::from_static(b"text/html"));
        }
        r.handler = Some(Bytes::from_static(b"default-handler"));
    } else {
        let executable = r.finfo.is_some_and(|meta| meta.mode & 0o100 != 0);
        let html =
            r.content_type.as_deref().is_some_and(|kind| kind.starts_with(b"text/html"));
        if matches!(r.dir.include.xbithack, None | Some(XBitHack::Off))
            || !executable
            || !html
        {
            return DECLINED;
        }
    }
    // A page that was found for a directory has it already.
    if !r.filters.iter().any(|added| matches!(added, Added::Plain(Kind::Includes))) {
        r.filters.push(Added::Plain(Kind::Includes));
    }
    DECLINED
}

static XBITHACK: Directive = Directive {
    name: "XBitHack",
    syntax: "On|Off|Full",
    context: Context::ANYWHERE,
    overrides: Override::OPTIONS,
    default: "Off",
    summary: "Off, On, or Full",
    docs: r"
`On` reads an HTML file whose owner may execute it as a page with server-side includes.
With `Full` such a page says that it is as old as its file, if its group may execute it.

## Example
    XBitHack On
",
    set: Set::One(|at, word| {
        let value = match word.flag() {
            Some(true) => XBitHack::On,
            Some(false) => XBitHack::Off,
            None if word.is("full") => XBitHack::Full,
            None => {
                let message = "XBitHack must be set to Off, On, or Full";
                return Err(Problem::from(message).at(word.span));
            }
        };
        at.dir.include().xbithack = Some(value);
        Ok(())
    }),
    ..Directive::EXACT
};

fn tag(word: &Word, name: &str) -> Result<Bytes, Problem> {
    if word.bytes.is_empty() || word.bytes.iter().any(u8::is_ascii_whitespace) {
        let message = format!("{name} may not contain any whitespaces");
        return Err(Problem::from(message).at(word.span));
    }
    Ok(word.bytes.clone())
}

macro_rules! texts {
    ($($id:ident: $name:literal, $syntax:literal, $overrides:ident, $context:ident, $default:literal, $set:expr, $summary:literal, $docs:literal;)*) => {
        $(static $id: Directive = Directive {
            name: $name,
            syntax: $syntax,
            context: Context::$context,
            overrides: Override::$overrides,
            default: $default,
            summary: $summary,
            docs: $docs,
            set: $set,
            ..Directive::EXACT
        };)*
    };
}

texts! {
    ERROR_MSG: "SSIErrorMsg", "message", ALL, ANYWHERE,
        "[an error occurred while processing this directive]",
        Set::One(|at, word| {
            at.dir.include().error = Some(word.bytes.clone());
            Ok(())
        }), "a string", r#"
What stands in a page in the place of an element that failed; the log says why.

## Example
    SSIErrorMsg "<!-- error -->"
"#;
    TIME_FORMAT: "SSITimeFormat", "formatstring", ALL, ANYWHERE, "%A, %d-%b-%Y %H:%M:%S %Z",
        Set::One(|at, word| {
            at.dir.include().time_format = Some(word.bytes.clone());
            Ok(())
        }), "a strftime(3) formatted string", r#"
How pages show dates, in the letters of strftime(3).

## Example
    SSITimeFormat "%R, %B %d, %Y"
"#;
    START_TAG: "SSIStartTag", "tag", NONE, CONFIG, "<!--#",
        Set::One(|at, word| {
            at.dir.include().start = Some(tag(word, "SSIStartTag")?);
            Ok(())
        }), "SSI Start String Tag", r#"
What an element begins with.

## Example
    SSIStartTag "<%"
    SSIEndTag "%>"
"#;
    END_TAG: "SSIEndTag", "tag", NONE, CONFIG, "-->",
        Set::One(|at, word| {
            at.dir.include().end = Some(tag(word, "SSIEndTag")?);
            Ok(())
        }), "SSI End String Tag", r#"
What an element ends with.

## Example
    SSIEndTag "%>"
"#;
    UNDEFINED_ECHO: "SSIUndefinedEcho", "string", ALL, ANYWHERE, "(none)",
        Set::One(|at, word| {
            at.dir.include().undefined = Some(word.bytes.clone());
            Ok(())
        }), "String to be displayed if an echoed variable is undefined", r#"
What `echo` shows of a variable that is not set.

## Example
    SSIUndefinedEcho "<!-- undef -->"
"#;
    LAST_MODIFIED: "SSILastModified", "On|Off", LIMIT, PER_DIRECTORY, "Off",
        Set::Flag(|at, on| {
            at.dir.include().last_modified = Some(on);
            Ok(())
        }), "Whether to set the last modified header or respect an existing header. Limited to \
             'on' or 'off'", r"
Do pages say that they are as old as their files? What they include may be younger.

## Example
    <Directory /srv/www>
        SSILastModified On
    </Directory>
";
    ETAG: "SSIEtag", "On|Off", LIMIT, PER_DIRECTORY, "Off",
        Set::Flag(|at, on| {
            at.dir.include().etag = Some(on);
            Ok(())
        }), "Whether to allow the generation of ETags within the server. Existing ETags will be \
             preserved. Limited to 'on' or 'off'", r"
Do pages have their files' entity tags? What they include may change without them.

## Example
    <Directory /srv/www>
        SSIEtag On
    </Directory>
";
}

static LEGACY: Directive = Directive {
    name: "SSILegacyExprParser",
    syntax: "On|Off",
    context: Context::PER_DIRECTORY,
    overrides: Override::LIMIT,
    default: "Off",
    summary: "Whether to use the legacy expression parser compatible with <= 2.2.x. Limited to \
              'on' or 'off'",
    docs: r"
`On` reads the conditions of pages as httpd 2.2 did: `$NAME = text`, `!=`, `<`, `<=`, `>`,
`>=`, `/regular expression/` behind `=` and `!=`, `!`, `&&`, `||` and parentheses. `&&` and
`||` bind alike, and from the right. `-A` is an error in them.

## Example
    <Directory /srv/www>
        SSILegacyExprParser On
    </Directory>
",
    compat: Compat::Differs("`-A`, which asks whether a URL may be had, is an error"),
    set: Set::Flag(|at, on| {
        at.dir.include().legacy = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_include.c",
    id: "include_module",
    directives: &[
        &XBITHACK,
        &ERROR_MSG,
        &TIME_FORMAT,
        &START_TAG,
        &END_TAG,
        &UNDEFINED_ECHO,
        &LEGACY,
        &LAST_MODIFIED,
        &ETAG,
    ],
    hooks: &[last(Phase::Fixups, fixups)],
};
