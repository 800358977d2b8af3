//! mod_deflate: bodies packed with gzip, and unpacked.

use bytes::Bytes;

use crate::content::coding::{self, AlterEtag, Coding};
use crate::filter::Filter;
use crate::merge::Merge;
use crate::request::Request;
use crate::schema::{Compat, Context, Directive, Module, Override, Problem, Set, Word};

/// How a body is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// 1 (fast) to 9 (small).
    pub level: u8,
    /// How much packed output is gathered before it is sent, bytes.
    pub buffer: usize,
    /// What the access log is told when the body has been packed.
    pub notes: Notes,
}

/// Names of notes for the access log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// For the bytes that came in.
    pub input: Option<Bytes>,
    /// For the bytes that went out.
    pub output: Option<Bytes>,
    /// For the percentage that they are.
    pub ratio: Option<Bytes>,
}

impl Notes {
    /// The notes about a body, as name and value; a body without a byte is shown as `-`.
    pub fn about(&self, input: u64, output: u64) -> Vec<(Bytes, Bytes)> {
        let shown = |value: u64| match input {
            0 => Bytes::from_static(b"-"),
            _ => Bytes::from(value.to_string()),
        };
        let ratio = (output * 100).checked_div(input).unwrap_or(0);
        let all = [(&self.input, input), (&self.output, output), (&self.ratio, ratio)];
        all.into_iter()
            .filter_map(|(name, value)| Some((name.clone()?, shown(value))))
            .collect()
    }

    /// Sets one by the kind that a directive names; the error is httpd's sentence.
    pub fn set(
        &mut self,
        kind: &Word,
        name: Option<&Word>,
        unknown: impl Fn(&str) -> String,
    ) -> Result<(), Problem> {
        let slot = match name {
            None => return Ok(self.ratio = Some(kind.bytes.clone())),
            Some(_) if kind.is("ratio") => &mut self.ratio,
            Some(_) if kind.is("input") => &mut self.input,
            Some(_) if kind.is("output") => &mut self.output,
            Some(_) => {
                return Err(Problem::from(unknown(&kind.lossy())).at(kind.span));
            }
        };
        *slot = name.map(|name| name.bytes.clone());
        Ok(())
    }
}

/// Bounds of what is unpacked, so that a few bytes do not become too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InflateLimits {
    /// The most unpacked bytes; `None` is no limit.
    pub size: Option<u64>,
    /// How many bytes a packed one may become...
    pub ratio: u64,
    /// ... and how many times more than that may come before it is too much.
    pub burst: u64,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    size: Option<u64>,
    ratio: Option<u64>,
    burst: Option<u64>,
}

crate::merge_options!(Dir { size, ratio, burst });

impl Dir {
    /// The bounds for a request's body; `LimitRequestBody` is one, too.
    pub fn inflate_limits(&self, body_limit: Option<u64>) -> InflateLimits {
        InflateLimits {
            size: self.size.or(body_limit).filter(|&size| size > 0),
            ratio: self.ratio.unwrap_or(200),
            burst: self.burst.unwrap_or(3),
        }
    }
}

/// Settings of a server. A virtual host that has any of them takes none of the main
/// server's: mod_deflate does not merge them.
#[derive(Debug, Default, Clone)]
pub struct Server {
    said: bool,
    level: Option<u8>,
    buffer: Option<usize>,
    notes: Notes,
    etag: AlterEtag,
}

impl Merge for Server {
    fn merge(main: &Server, own: &Server) -> Server {
        if own.said { own.clone() } else { main.clone() }
    }
}

impl Server {
    fn settings(&self) -> Settings {
        Settings {
            level: self.level.unwrap_or(6),
            buffer: self.buffer.unwrap_or(8096),
            notes: self.notes.clone(),
        }
    }
}

const GZIP: Coding = Coding {
    name: "gzip",
    no: b"no-gzip",
    force: Some(b"force-gzip"),
    html_only: Some(b"gzip-only-text/html"),
    // gzip's header and trailer, and fifty for the fields that say so.
    least: Some(10 + 8 + 50),
};

/// `DEFLATE`: `deflate_out_filter` as far as the head goes.
pub(crate) fn deflate(r: &mut Request) -> Option<Filter> {
    let server = r.server.clone();
    let config = &server.config.deflate;
    coding::pack(r, &GZIP, config.etag).then(|| Filter::Deflate(config.settings()))
}

/// `INFLATE`: `inflate_out_filter` as far as the head goes.
pub(crate) fn inflate(r: &mut Request) -> Option<Filter> {
    if r.main.is_some()
        || matches!(r.status, 204 | 304)
        || r.env.has(b"no-gzip")
        || r.headers_out.has("Content-Range")
    {
        return None;
    }
    let found =
        [&mut r.headers_out, &mut r.err_headers_out].into_iter().find_map(|headers| {
            let rest = coding::without_gzip(headers.get("Content-Encoding")?)?;
            if rest.is_empty() {
                headers.unset("Content-Encoding");
            } else {
                headers.set("Content-Encoding", rest);
            }
            Some(())
        });
    if found.is_none() {
        let rest = coding::without_gzip(r.content_encoding.as_ref()?)?;
        r.content_encoding = Some(rest).filter(|rest| !rest.is_empty());
    }
    for headers in [&mut r.headers_out, &mut r.err_headers_out] {
        headers.unset("Content-Length");
        headers.unset("Content-MD5");
    }
    r.server.clone().config.deflate.etag.apply(r, "gunzip");
    Some(Filter::Inflate)
}

/// Is the request's body to be unpacked before an application gets it? Then its fields say
/// so no more: `deflate_in_filter`.
pub fn unpacks(r: &mut Request) -> bool {
    if !r.inflates_input {
        return false;
    }
    let Some(rest) =
        r.header("content-encoding").and_then(|list| coding::without_gzip(&list))
    else {
        return false;
    };
    let fields = std::sync::Arc::make_mut(&mut r.headers_in);
    fields.remove(http::header::CONTENT_LENGTH);
    fields.remove("content-md5");
    fields.remove(http::header::CONTENT_ENCODING);
    if !rest.is_empty()
        && let Ok(rest) = http::HeaderValue::from_maybe_shared(rest)
    {
        fields.insert(http::header::CONTENT_ENCODING, rest);
    }
    true
}

fn number(
    word: &Word,
    least: i64,
    most: i64,
    message: &'static str,
) -> Result<i64, Problem> {
    let number = word.atoi();
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(Problem::from(message).at(word.span))
}

macro_rules! server_numbers {
    ($($id:ident: $name:literal, $default:literal, $compat:expr, $set:expr, $summary:literal, $docs:literal;)*) => {
        $(static $id: Directive = Directive {
            name: $name,
            syntax: "value",
            context: Context::SERVERS,
            default: $default,
            summary: $summary,
            docs: $docs,
            compat: $compat,
            set: Set::One($set),
            ..Directive::EXACT
        };)*
    };
}

server_numbers! {
    COMPRESSION_LEVEL: "DeflateCompressionLevel", "6", Compat::Exact, |at, word| {
        let level = number(word, 1, 9, "Compression Level must be between 1 and 9")?;
        let config = at.server.deflate();
        (config.said, config.level) = (true, Some(level as u8));
        Ok(())
    }, "Set the Deflate Compression Level (1-9)", r"
How hard the filter DEFLATE tries: 1 is fast, 9 is small.

## Example
    DeflateCompressionLevel 4
";
    BUFFER_SIZE: "DeflateBufferSize", "8096", Compat::Exact, |at, word| {
        let size = number(word, 1, i64::from(i32::MAX), "DeflateBufferSize should be positive")?;
        let config = at.server.deflate();
        (config.said, config.buffer) = (true, Some(size as usize));
        Ok(())
    }, "Set the Deflate Buffer Size", r"
How much packed output is gathered before it is sent, bytes. A response that fits into it
is sent with its length.

## Example
    DeflateBufferSize 16384
";
    WINDOW_SIZE: "DeflateWindowSize", "15", Compat::Ignored("the window is always 32 KiB, which is httpd's default"), |at, word| {
        number(word, 1, 15, "DeflateWindowSize must be between 1 and 15")?;
        at.server.deflate().said = true;
        Ok(())
    }, "Set the Deflate window size (1-15)", r"
Accepted without effect: the window is always 32 KiB.

## Example
    DeflateWindowSize 15
";
    MEM_LEVEL: "DeflateMemLevel", "9", Compat::Ignored("the compressor's memory has one size"), |at, word| {
        number(word, 1, 9, "DeflateMemLevel must be between 1 and 9")?;
        at.server.deflate().said = true;
        Ok(())
    }, "Set the Deflate Memory Level (1-9)", r"
Accepted without effect: the compressor's memory has one size.

## Example
    DeflateMemLevel 9
";
}

static FILTER_NOTE: Directive = Directive {
    name: "DeflateFilterNote",
    syntax: "[Input|Output|Ratio] notename",
    context: Context::SERVERS,
    summary: "Set a note to report on compression ratio",
    docs: r#"
Keeps a figure about the packing in a note for the access log: how many bytes came in,
how many went out, or how many percent that is, which is also what a name alone means.

## Example
    DeflateFilterNote Ratio ratio
    LogFormat "%r %b (%{ratio}n%%)" packed
"#,
    set: Set::OneOrTwo(|at, kind, name| {
        let config = at.server.deflate();
        config.said = true;
        config.notes.set(kind, name, |kind| format!("Unknown note type {kind}"))
    }),
    ..Directive::EXACT
};

static ALTER_ETAG: Directive = Directive {
    name: "DeflateAlterETag",
    syntax: "AddSuffix|NoChange|Remove",
    context: Context::SERVERS,
    default: "AddSuffix",
    summary: "Set how mod_deflate should modify ETAG response headers: 'AddSuffix' (default), \
              'NoChange' (2.2.x behavior), 'Remove'",
    docs: r"
What becomes of the entity tag of a packed response: it gets `-gzip` behind it, stays, or
goes. With a suffix, a client that asks whether its packed copy is still good is sent the
body again, as httpd does.

## Example
    DeflateAlterETag NoChange
",
    set: Set::One(|at, word| {
        let Some(etag) = AlterEtag::named(&word.bytes) else {
            let message =
                "DeflateAlterETAG accepts only 'NoChange', 'AddSuffix', and 'Remove'";
            return Err(Problem::from(message).at(word.span));
        };
        let config = at.server.deflate();
        (config.said, config.etag) = (true, etag);
        Ok(())
    }),
    ..Directive::EXACT
};

macro_rules! limits {
    ($($id:ident: $name:literal, $field:ident, $least:literal, $default:literal, $message:literal, $summary:literal, $docs:literal;)*) => {
        $(static $id: Directive = Directive {
            name: $name,
            syntax: "value",
            context: Context::ANYWHERE,
            overrides: Override::ALL,
            default: $default,
            summary: $summary,
            docs: $docs,
            set: Set::One(|at, word| {
                let value = word.integer().filter(|&value| value >= $least);
                let value = value.ok_or_else(|| Problem::from($message).at(word.span))?;
                at.dir.deflate().$field = Some(value as u64);
                Ok(())
            }),
            ..Directive::EXACT
        };)*
    };
}

limits! {
    INFLATE_LIMIT: "DeflateInflateLimitRequestBody", size, 0, "LimitRequestBody",
        "DeflateInflateLimitRequestBody requires a non-negative integer.",
        "Set a limit on size of inflated input", r"
The longest that a request's body may become when the input filter DEFLATE unpacks it,
bytes; 0 is no limit. Without it `LimitRequestBody` holds.

## Example
    DeflateInflateLimitRequestBody 1048576
";
    INFLATE_RATIO: "DeflateInflateRatioLimit", ratio, 1, "200",
        "DeflateInflateRatioLimit must be positive",
        "Set the inflate ratio limit above which inflation is aborted (default: 200)", r"
How many bytes one packed byte of a request's body may become: more is a sign of a body
that is made to be too much.

## Example
    DeflateInflateRatioLimit 500
";
    INFLATE_BURST: "DeflateInflateRatioBurst", burst, 1, "3",
        "DeflateInflateRatioBurst must be positive",
        "Set the maximum number of following inflate ratios above limit (default: 3)", r"
How many pieces in a row may break `DeflateInflateRatioLimit` before the body is refused.

## Example
    DeflateInflateRatioBurst 5
";
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_deflate.c",
    id: "deflate_module",
    directives: &[
        &FILTER_NOTE,
        &WINDOW_SIZE,
        &BUFFER_SIZE,
        &MEM_LEVEL,
        &COMPRESSION_LEVEL,
        &ALTER_ETAG,
        &INFLATE_LIMIT,
        &INFLATE_RATIO,
        &INFLATE_BURST,
    ],
    hooks: &[],
};
