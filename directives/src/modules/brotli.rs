//! mod_brotli: bodies packed with Brotli.

use super::deflate::Notes;
use crate::content::coding::{self, AlterEtag, Coding};
use crate::filter::Filter;
use crate::merge::Merge;
use crate::request::Request;
use crate::schema::{Compat, Context, Directive, Module, Problem, Set, Word};

/// How a body is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// 0 (fast) to 11 (small).
    pub quality: u8,
    /// Binary logarithm of the window, bytes.
    pub window: u8,
    /// What the access log is told when the body has been packed.
    pub notes: Notes,
}

/// Settings of a section: none.
pub type Dir = ();

/// Settings of a server; as with mod_deflate, a virtual host that has any of them takes
/// none of the main server's.
#[derive(Debug, Default, Clone)]
pub struct Server {
    said: bool,
    quality: Option<u8>,
    window: Option<u8>,
    notes: Notes,
    etag: AlterEtag,
}

impl Merge for Server {
    fn merge(main: &Server, own: &Server) -> Server {
        if own.said { own.clone() } else { main.clone() }
    }
}

const BR: Coding =
    Coding { name: "br", no: b"no-brotli", force: None, html_only: None, least: None };

/// `BROTLI_COMPRESS`: `compress_filter` as far as the head goes.
pub(crate) fn compress(r: &mut Request) -> Option<Filter> {
    let server = r.server.clone();
    let config = &server.config.brotli;
    coding::pack(r, &BR, config.etag).then(|| {
        Filter::Brotli(Settings {
            quality: config.quality.unwrap_or(5),
            window: config.window.unwrap_or(18),
            notes: config.notes.clone(),
        })
    })
}

fn number(
    word: &Word,
    least: i64,
    most: i64,
    message: &'static str,
) -> Result<u8, Problem> {
    let number = word.atoi();
    if (least..=most).contains(&number) {
        return Ok(number as u8);
    }
    Err(Problem::from(message).at(word.span))
}

static QUALITY: Directive = Directive {
    name: "BrotliCompressionQuality",
    syntax: "value",
    context: Context::SERVERS,
    default: "5",
    summary: "Compression quality between 0 and 11 (higher quality means slower compression)",
    docs: r"
How hard the filter BROTLI_COMPRESS tries: 0 is fast, 11 is small.

## Example
    BrotliCompressionQuality 4
",
    set: Set::One(|at, word| {
        let message = "BrotliCompressionQuality must be between 0 and 11";
        let quality = number(word, 0, 11, message)?;
        let config = at.server.brotli();
        (config.said, config.quality) = (true, Some(quality));
        Ok(())
    }),
    ..Directive::EXACT
};

static WINDOW: Directive = Directive {
    name: "BrotliCompressionWindow",
    syntax: "value",
    context: Context::SERVERS,
    default: "18",
    summary: "Sliding window size between 10 and 24 (larger windows can improve compression, but \
              require more memory)",
    docs: r"
The binary logarithm of how far back the packing looks, bytes: more is smaller, and takes
more memory here and with the client.

## Example
    BrotliCompressionWindow 16
",
    set: Set::One(|at, word| {
        let message = "BrotliCompressionWindow must be between 10 and 24";
        let window = number(word, 10, 24, message)?;
        let config = at.server.brotli();
        (config.said, config.window) = (true, Some(window));
        Ok(())
    }),
    ..Directive::EXACT
};

static MAX_INPUT_BLOCK: Directive = Directive {
    name: "BrotliCompressionMaxInputBlock",
    syntax: "value",
    context: Context::SERVERS,
    summary: "Maximum input block size between 16 and 24 (larger block sizes require more memory)",
    docs: r"
Accepted without effect: the compressor chooses its blocks itself.

## Example
    BrotliCompressionMaxInputBlock 16
",
    compat: Compat::Ignored("the compressor chooses its blocks itself"),
    set: Set::One(|at, word| {
        number(word, 16, 24, "BrotliCompressionMaxInputBlock must be between 16 and 24")?;
        at.server.brotli().said = true;
        Ok(())
    }),
    ..Directive::EXACT
};

static FILTER_NOTE: Directive = Directive {
    name: "BrotliFilterNote",
    syntax: "[Input|Output|Ratio] notename",
    context: Context::SERVERS,
    summary: "Set a note to report on compression ratio",
    docs: r"
Keeps a figure about the packing in a note for the access log; see `DeflateFilterNote`.

## Example
    BrotliFilterNote Ratio ratio
",
    set: Set::OneOrTwo(|at, kind, name| {
        let config = at.server.brotli();
        config.said = true;
        config
            .notes
            .set(kind, name, |kind| format!("Unknown BrotliFilterNote type '{kind}'"))
    }),
    ..Directive::EXACT
};

static ALTER_ETAG: Directive = Directive {
    name: "BrotliAlterETag",
    syntax: "AddSuffix|NoChange|Remove",
    context: Context::SERVERS,
    default: "AddSuffix",
    summary: "Set how mod_brotli should modify ETag response headers: 'AddSuffix' (default), \
              'NoChange', 'Remove'",
    docs: r"
What becomes of the entity tag of a packed response: it gets `-br` behind it, stays, or
goes.

## Example
    BrotliAlterETag NoChange
",
    set: Set::One(|at, word| {
        let Some(etag) = AlterEtag::named(&word.bytes) else {
            let message =
                "BrotliAlterETag accepts only 'AddSuffix', 'NoChange' and 'Remove'";
            return Err(Problem::from(message).at(word.span));
        };
        let config = at.server.brotli();
        (config.said, config.etag) = (true, etag);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_brotli.c",
    id: "brotli_module",
    directives: &[&FILTER_NOTE, &QUALITY, &WINDOW, &MAX_INPUT_BLOCK, &ALTER_ETAG],
    hooks: &[],
};
