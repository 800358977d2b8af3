//! Content filters: which of httpd's output and input filters a request gets, and what a
//! reply says is to be done with its body. They are chosen here; bytes go through them
//! where the reply is sent.

use std::sync::Arc;

use crate::modules::autoindex;
use crate::modules::brotli;
use crate::modules::core::expr_wants;
use crate::modules::deflate;
use crate::modules::filter::Smart;
use crate::modules::{include, ratelimit, substitute};
use crate::phase::{DECLINED, Hook, Verdict};
use crate::request::Request;
use crate::schema::{Problem, Result, Word};

/// A filter by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `INFLATE`.
    Inflate,
    /// `INCLUDES`.
    Includes,
    /// `SUBSTITUTE`.
    Substitute,
    /// `RATE_LIMIT`.
    RateLimit,
    /// `DEFLATE`.
    Deflate,
    /// `BROTLI_COMPRESS`.
    Brotli,
}

impl Kind {
    /// The filter of a name, without regard to case.
    pub fn named(name: &[u8]) -> Option<Kind> {
        const NAMES: [(&[u8], Kind); 6] = [
            (b"INFLATE", Kind::Inflate),
            (b"INCLUDES", Kind::Includes),
            (b"SUBSTITUTE", Kind::Substitute),
            (b"RATE_LIMIT", Kind::RateLimit),
            (b"DEFLATE", Kind::Deflate),
            (b"BROTLI_COMPRESS", Kind::Brotli),
        ];
        let found = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, kind)| *kind)
    }

    /// Its place in the chain, httpd's `ftype`: lower ones come first.
    pub fn place(self) -> u8 {
        match self {
            Kind::Inflate => 9,
            Kind::Includes | Kind::Substitute => 10,
            Kind::Deflate | Kind::Brotli => 20,
            Kind::RateLimit => 33,
        }
    }

    /// Changes the head of the response, and says what is to be done with its body;
    /// `None` if this response is left alone.
    fn begin(self, r: &mut Request) -> Option<Filter> {
        match self {
            Kind::Inflate => deflate::inflate(r),
            Kind::Includes => include::begin(r),
            Kind::Substitute => substitute::begin(r),
            Kind::RateLimit => {
                ratelimit::begin(r);
                None
            }
            Kind::Deflate => deflate::deflate(r),
            Kind::Brotli => brotli::compress(r),
        }
    }
}

/// An output filter that a request was given.
#[derive(Clone, Debug)]
pub enum Added {
    /// By its name: it decides itself.
    Plain(Kind),
    /// By `FilterChain` or `AddOutputFilterByType`: only for some responses.
    Smart(Arc<Smart>),
}

impl Added {
    fn may_be(&self, wanted: Kind) -> bool {
        match self {
            Added::Plain(kind) => *kind == wanted,
            Added::Smart(smart) => smart.may_be(wanted),
        }
    }

    fn place(&self) -> u8 {
        match self {
            Added::Plain(kind) => kind.place(),
            Added::Smart(smart) => smart.place,
        }
    }
}

/// What is to be done with a body, and with what settings.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Send these behind the beginning of a listing.
    Insert(autoindex::Parts),
    /// Unpack gzip.
    Inflate,
    /// Carry out the elements of a page.
    Include(Box<include::Page>),
    /// Replace what matches.
    Substitute(substitute::Substitution),
    /// Pack with gzip.
    Deflate(deflate::Settings),
    /// Pack with Brotli.
    Brotli(brotli::Settings),
}

/// A list of filters as directives name them: `DEFLATE`, `INFLATE;DEFLATE`.
pub fn list(word: &Word) -> Result<Arc<[Kind]>> {
    if word.is("none") {
        return Ok(Arc::default());
    }
    let names = word.bytes.split(|&b| b == b';').filter(|name| !name.is_empty());
    let kinds = names.map(|name| {
        Kind::named(name).ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            Problem::from(format!("there is no output filter {name} here")).at(word.span).help(
                "known are INCLUDES, SUBSTITUTE, INFLATE, DEFLATE, BROTLI_COMPRESS and RATE_LIMIT; httpd would only write into \
                 its log that a filter is unknown, and send the body as it is",
            )
        })
    });
    kinds.collect::<Result<Vec<Kind>>>().map(Arc::from)
}

/// A list of input filters: `DEFLATE` is the only one.
pub fn input_list(word: &Word) -> Result<bool> {
    let mut inflates = false;
    if word.is("none") {
        return Ok(false);
    }
    for name in word.bytes.split(|&b| b == b';').filter(|name| !name.is_empty()) {
        if !name.eq_ignore_ascii_case(b"DEFLATE") {
            let name = String::from_utf8_lossy(name);
            return Err(Problem::from(format!("there is no input filter {name} here"))
                .at(word.span)
                .help("DEFLATE is known: it unpacks request bodies"));
        }
        inflates = true;
    }
    Ok(inflates)
}

/// Gives a request the filters that its sections name, behind those that its file's
/// extensions did: `insert_filter`.
pub(crate) fn insert(r: &mut Request) {
    let dir = r.dir.clone();
    if let Some(kinds) = &dir.core.output_filters {
        r.filters.extend(kinds.iter().copied().map(Added::Plain));
    }
    if dir.core.inflates_input == Some(true) {
        r.inflates_input = true;
    }
    dir.filter.insert(r);
    if r.filters.len() > 1 {
        r.filters.sort_by_key(Added::place);
    }
    if r.filters.iter().any(|added| added.may_be(Kind::Includes)) {
        include::setup(r);
    }
}

/// Lets the filters change the head of the response. What they do with the body is kept
/// for the reply. Where one has to know something first, `hook` goes on with it.
pub(crate) fn begin(r: &mut Request, hook: Hook) -> Verdict {
    let mut filters = std::mem::take(&mut r.filters).into_iter();
    while let Some(added) = filters.next() {
        let kind = match &added {
            Added::Plain(kind) => Some(*kind),
            Added::Smart(smart) => match smart.choose(r) {
                Ok(kind) => kind,
                Err(want) => {
                    r.filters = std::iter::once(added).chain(filters).collect();
                    return expr_wants(r, want, hook);
                }
            },
        };
        if let Some(filter) = kind.and_then(|kind| kind.begin(r)) {
            r.body_filters.push(filter);
        }
    }
    DECLINED
}
