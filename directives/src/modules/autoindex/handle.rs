//! The handler: `handle_autoindex` and `index_directory`. Each entry is looked up as a
//! request of its own would be, so that a listing shows nothing that its reader could not
//! ask for.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method};

use super::Settings;
use super::entry::{self, Entry};
use super::insert::{self, Page, Part, Parts};
use super::items::{self, DIRECTORY, File};
use super::options::Bits;
use super::page;
use super::query::{Key, Query};
use crate::bundle::{Kind, Meta};
use crate::content::{conditions, etag};
use crate::filter::Filter;
use crate::fnmatch::{self, Rules};
use crate::log::Level;
use crate::modules::core::OptionSet;
use crate::modules::dir::DIRECTORY_TYPE;
use crate::path::{self, escape_html};
use crate::phase::{DECLINED, Lookup, OK, Verdict};
use crate::reply::Body;
use crate::request::Request;
use crate::status;

/// How much of a page is searched for its title, bytes: httpd's `MAX_STRING_LEN` but one.
const TITLE_WITHIN: usize = 8191;
/// A longer file is not read for its title, bytes.
const TITLE_FILE: u64 = 4 << 20;

/// The end of a page.
const END: &[u8] = b"</body></html>\n";

/// A listing that is being made: entries are looked up one after the other.
#[derive(Clone, Debug)]
pub struct Listing {
    query: Query,
    title: Vec<u8>,
    /// Names that have not been looked up yet.
    names: Vec<Vec<u8>>,
    entries: Vec<Entry>,
    /// The page so far, or since the last of `parts`.
    out: Vec<u8>,
    /// What stands before `out`, where a header is not text that is there.
    parts: Parts,
    /// The client's own fields, while a header is looked up with others.
    headers_in: Option<Arc<http::HeaderMap>>,
}

/// A directory has the type's name for its handler, unless a directive gave it one.
pub const HANDLERS: &[&[u8]] = &[DIRECTORY_TYPE, b"default-handler"];

/// `handle_autoindex`.
pub fn handle(r: &mut Request) -> Verdict {
    if !r.has_handler(HANDLERS) || r.finfo.is_none_or(|meta| meta.kind != Kind::Directory)
    {
        return DECLINED;
    }
    crate::content::allow_methods(r, &[Method::GET]);
    if !matches!(r.method, Method::GET | Method::HEAD) {
        return DECLINED;
    }
    if !r.dir.core.options.set.has(OptionSet::INDEXES) {
        let names = r.notes.get(b"dir-index-names").cloned();
        let names = names.unwrap_or_else(|| Bytes::from_static(b"none"));
        let text = [
            b"Cannot serve directory ",
            &r.filename[..],
            b": No matching DirectoryIndex (",
            &names,
            b") found, and server-generated directory index forbidden by Options directive",
        ];
        r.log(Level::Error, "autoindex", 1276, text.concat());
        return Verdict::Status(403);
    }
    if r.filename.last() != Some(&b'/') {
        r.filename.push(b'/');
    }
    index(r)
}

fn index(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    let config = dir.autoindex.whole();
    let names = match r.files.list(&r.filename) {
        Ok(names) => names,
        Err(error) => {
            let text = [b"Can't open directory for index: ", &r.filename[..]].concat();
            r.log_os(Level::Error, "autoindex", 1275, Some(error), text);
            return Verdict::Status(403);
        }
    };
    let options = config.keywords.set;
    let kind = config.kind.as_deref().unwrap_or(b"text/html");
    let charset = config.charset.as_deref().unwrap_or(b"ISO-8859-1");
    r.content_type = Some(match charset {
        b"" => Bytes::copy_from_slice(kind),
        charset => [kind, b";charset=", charset].concat().into(),
    });
    if let Some(meta) = r.finfo.filter(|_| options.any(Bits::TRACK_MODIFIED)) {
        let modified = meta.mtime.min(r.request_time / 1_000_000);
        r.headers_out.set("Last-Modified", conditions::http_date(modified));
        if let Some(tag) = etag::make(r, &meta) {
            r.headers_out.set("ETag", tag);
        }
    }
    if r.header_only {
        return OK;
    }
    let query = Query::read(config.order(), options, r.args.as_deref());
    let mut title = escape_html(&r.uri);
    while title.len() > 1 && title.last() == Some(&b'/') {
        title.pop();
    }
    let mut listing = Listing {
        query,
        title,
        // They are taken from the end.
        names: names.into_iter().rev().collect(),
        entries: Vec::new(),
        out: Vec::new(),
        parts: Parts::new(),
        headers_in: None,
    };
    listing.entries.extend(parent(r, config, listing.query.options));
    let Some(header) = &config.header else {
        begin(config, &mut listing, true, true);
        r.listing = Some(Box::new(listing));
        return next(r);
    };
    // Among several forms of the header the page's own is wanted, and no other coding.
    let mut fields = (*r.headers_in).clone();
    fields
        .insert(http::header::ACCEPT, HeaderValue::from_static("text/html, text/plain"));
    fields.remove(http::header::ACCEPT_ENCODING);
    listing.headers_in = Some(std::mem::replace(&mut r.headers_in, Arc::new(fields)));
    r.listing = Some(Box::new(listing));
    let mut uri = beside(r, header);
    if let Some(args) = &r.args {
        uri = [&uri, &b"?"[..], args].concat();
    }
    Verdict::Look(Lookup::Uri(uri.into()), header_found)
}

/// A URL below the directory unless it is absolute.
fn beside(r: &Request, name: &[u8]) -> Vec<u8> {
    if name.first() == Some(&b'/') {
        return name.to_vec();
    }
    let directory = path::escape_uri(path::dir_name(&r.uri));
    [&directory[..], name].concat()
}

/// What a header or readme puts into the page.
enum Amble {
    /// HTML, as it is.
    Html(Arc<[u8]>),
    /// Text, to be shown as such.
    Text(Arc<[u8]>),
    /// HTML that a program makes, or filters.
    Page(Box<Request>),
    Nothing,
}

fn amble(r: &Request, found: Box<Request>) -> Amble {
    let is_file = found.finfo.is_some_and(|meta| meta.kind == Kind::File);
    let Some(kind) = media_type(&found).filter(|_| is_file && found.status == 200) else {
        return Amble::Nothing;
    };
    let is_html = is_html(&kind);
    if !is_html
        && !kind.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"text/"))
    {
        return Amble::Nothing;
    }
    if is_html && !insert::is_file(&found) {
        return Amble::Page(found);
    }
    match r.files.read(&found.filename) {
        Ok(bytes) if is_html => Amble::Html(bytes),
        Ok(bytes) => Amble::Text(bytes),
        Err(_) => Amble::Nothing,
    }
}

/// `emit_head`, behind its look-up.
fn header_found(r: &mut Request, _: &Lookup, found: Box<Request>) -> Verdict {
    let Some(mut listing) = r.listing.take() else { return Verdict::Status(500) };
    if let Some(fields) = listing.headers_in.take() {
        r.headers_in = fields;
    }
    let dir = r.dir.clone();
    let config = dir.autoindex.whole();
    let suppressed = listing.query.options.any(Bits::SUPPRESS_PREAMBLE);
    match amble(r, found) {
        Amble::Html(bytes) => {
            begin(config, &mut listing, !suppressed, false);
            listing.out.extend_from_slice(&bytes);
        }
        Amble::Page(found) => {
            begin(config, &mut listing, !suppressed, false);
            let begun = std::mem::take(&mut listing.out);
            begin(config, &mut listing, suppressed, true);
            let otherwise = std::mem::replace(&mut listing.out, begun);
            listing.insert(found, otherwise);
        }
        Amble::Text(bytes) => {
            begin(config, &mut listing, true, false);
            preformatted(&bytes, &mut listing.out);
        }
        Amble::Nothing => begin(config, &mut listing, true, true),
    }
    r.listing = Some(listing);
    next(r)
}

fn begin(config: &Settings, listing: &mut Listing, preamble: bool, heading: bool) {
    if preamble {
        let xhtml = listing.query.options.any(Bits::XHTML);
        page::preamble(config, xhtml, &listing.title, &mut listing.out);
    }
    if heading {
        page::heading(config, &listing.title, &mut listing.out);
    }
}

/// `do_emit_plain`.
fn preformatted(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"<pre>\n");
    for &byte in bytes {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            byte => out.push(byte),
        }
    }
    out.extend_from_slice(b"</pre>\n");
}

/// The way up: `make_parent_entry`.
fn parent(r: &Request, config: &Settings, options: Bits) -> Option<Entry> {
    let name = path::normalize(&path::join(&r.uri, b"../"), true)?;
    // Seen by patterns as `..` of the directory.
    let shown = path::join(&r.filename, b"..");
    if name.is_empty() || items::is_ignored(&config.ignored, &shown) {
        return None;
    }
    let mut entry = Entry { name, ..Entry::default() };
    if options.any(Bits::FANCY) {
        let choose = |list| {
            items::find(list, &File::named(&shown))
                .or_else(|| items::find(list, &File::named(DIRECTORY)))
                .cloned()
        };
        entry.icon = choose(&config.icons);
        entry.alt = choose(&config.alts).or(Some(Bytes::from_static(b"PARENTDIR")));
        entry.desc = items::describe(&config.descriptions, &shown).cloned();
    }
    Some(entry)
}

/// Looks up the next name, or ends the page.
fn next(r: &mut Request) -> Verdict {
    let Some(mut listing) = r.listing.take() else { return Verdict::Status(500) };
    let pattern = listing.query.pattern.as_deref().map(without_escapes);
    while let Some(name) = listing.names.pop() {
        let hidden = pattern.as_ref().is_some_and(|pattern| {
            let rules = Rules { period: true, ..Rules::default() };
            !fnmatch::matches(pattern, &name, rules)
        });
        let full = path::join(&r.filename, &name);
        if hidden || items::is_ignored(&r.dir.autoindex.whole().ignored, &full) {
            continue;
        }
        // What has gone, or leads nowhere, is passed over.
        if r.files.stat(&full).is_err() {
            continue;
        }
        r.listing = Some(listing);
        let lookup = Lookup::Entry { name: name.into(), with_args: false };
        return Verdict::Look(lookup, looked);
    }
    finish(r, *listing)
}

/// Backslashes of a client's pattern mean themselves.
fn without_escapes(pattern: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pattern.len());
    for &byte in pattern {
        if byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out
}

/// `make_autoindex_entry`, behind its look-up.
fn looked(r: &mut Request, lookup: &Lookup, found: Box<Request>) -> Verdict {
    let (Some(mut listing), Lookup::Entry { name, .. }) = (r.listing.take(), lookup)
    else {
        return Verdict::Status(500);
    };
    let dir = r.dir.clone();
    listing.entries.extend(make(
        r,
        dir.autoindex.whole(),
        listing.query.options,
        name,
        &found,
    ));
    r.listing = Some(listing);
    next(r)
}

fn make(
    r: &Request,
    config: &Settings,
    options: Bits,
    name: &[u8],
    found: &Request,
) -> Option<Entry> {
    let meta = found.finfo?;
    let forbidden =
        options.any(Bits::SHOW_FORBIDDEN) && matches!(found.status, 401 | 403);
    let fine = (200..300).contains(&found.status) || status::is_redirect(found.status);
    if !matches!(meta.kind, Kind::Directory | Kind::File) || !(fine || forbidden) {
        return None;
    }
    let full = path::join(&r.filename, name);
    let is_directory = r.files.stat(&full).is_ok_and(|meta| meta.kind == Kind::Directory);
    let mut entry = Entry { name: name.to_vec(), ..Entry::default() };
    if is_directory {
        entry.name.push(b'/');
    }
    if options.any(Bits::FANCY.with(Bits::TABLE)) {
        describe(r, config, options, &mut entry, &full, is_directory, meta, found);
    }
    Some(entry)
}

#[expect(clippy::too_many_arguments, reason = "all of what is known of one entry")]
fn describe(
    r: &Request,
    config: &Settings,
    options: Bits,
    entry: &mut Entry,
    full: &[u8],
    is_directory: bool,
    meta: Meta,
    found: &Request,
) {
    entry.modified = Some(meta.modified() / 1000);
    if is_directory {
        entry.is_folder = options.any(Bits::FOLDERS_FIRST);
        let choose = |list| {
            items::find(list, &File::named(full))
                .or_else(|| items::find(list, &File::named(DIRECTORY)))
                .cloned()
        };
        entry.icon = choose(&config.icons);
        entry.alt = choose(&config.alts).or(Some(Bytes::from_static(b"DIR")));
    } else {
        let kind = media_type(found);
        let file = File {
            path: full,
            kind: kind.as_deref(),
            encoding: found.content_encoding.as_deref(),
            path_only: false,
        };
        entry.icon = items::find(&config.icons, &file).cloned();
        entry.alt = items::find(&config.alts, &file).cloned();
        entry.size = Some(meta.size);
    }
    entry.desc = items::describe(&config.descriptions, full).cloned();
    if entry.desc.is_none() && options.any(Bits::SCAN_HTML_TITLES) {
        entry.desc = title(r, found, meta).map(Bytes::from);
    }
}

/// A page's title, in one line: `find_title`.
fn title(r: &Request, found: &Request, meta: Meta) -> Option<Vec<u8>> {
    let is_page = media_type(found).is_some_and(|kind| is_html(&kind));
    if found.status != 200 || !is_page || found.content_encoding.is_some() {
        return None;
    }
    if meta.kind != Kind::File || meta.size > TITLE_FILE {
        return None;
    }
    let bytes = r.files.read(&found.filename).ok()?;
    let bytes = &bytes[..bytes.len().min(TITLE_WITHIN)];
    let lower = bytes.to_ascii_lowercase();
    let start = lower.windows(7).position(|tag| tag == b"<title>")? + 7;
    let text = &bytes[start..];
    let end = text.iter().position(|&byte| byte == b'<').unwrap_or(text.len());
    let text = &text[..end];
    let blank = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let one_line = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
    Some(text[blank..].iter().map(one_line).collect())
}

fn is_html(kind: &[u8]) -> bool {
    [&b"text/html"[..], b"application/xhtml+xml"]
        .iter()
        .any(|k| kind.eq_ignore_ascii_case(k))
}

/// A media type without its parameters.
fn media_type(r: &Request) -> Option<Vec<u8>> {
    let kind = r.content_type.as_deref()?;
    Some(kind.split(|&byte| byte == b';').next()?.trim_ascii().to_vec())
}

fn finish(r: &mut Request, mut listing: Listing) -> Verdict {
    let dir = r.dir.clone();
    let config = dir.autoindex.whole();
    entry::sort(&mut listing.entries, &listing.query);
    let files = r.files.clone();
    let offset = |micros| files.utc_offset(micros);
    page::list(config, &listing.query, &listing.entries, &offset, &mut listing.out);
    let Some(readme) = &config.readme else {
        end(r, listing, Amble::Nothing);
        return OK;
    };
    let uri = beside(r, readme);
    listing.entries = Vec::new();
    r.listing = Some(Box::new(listing));
    Verdict::Look(Lookup::Uri(uri.into()), readme_found)
}

/// `emit_tail`, behind its look-up.
fn readme_found(r: &mut Request, _: &Lookup, found: Box<Request>) -> Verdict {
    let Some(listing) = r.listing.take() else { return Verdict::Status(500) };
    let amble = amble(r, found);
    end(r, *listing, amble);
    OK
}

impl Listing {
    /// Puts what a sub-request answers behind what there is.
    fn insert(&mut self, found: Box<Request>, otherwise: Vec<u8>) {
        let before = std::mem::take(&mut self.out);
        self.parts.push_back(Part::Text(before.into()));
        self.parts.push_back(Part::Page(Page { found, otherwise: otherwise.into() }));
    }
}

fn end(r: &mut Request, mut listing: Listing, readme: Amble) {
    let mut ends = true;
    match readme {
        Amble::Html(bytes) => {
            listing.out.extend_from_slice(&bytes);
            ends = !listing.query.options.any(Bits::SUPPRESS_PREAMBLE);
        }
        Amble::Page(found) => {
            ends = !listing.query.options.any(Bits::SUPPRESS_PREAMBLE);
            let mut otherwise = status::signature(r, b"");
            if !ends {
                otherwise.extend_from_slice(END);
            }
            listing.insert(found, otherwise);
        }
        Amble::Text(bytes) => preformatted(&bytes, &mut listing.out),
        Amble::Nothing => listing.out.extend(status::signature(r, b"")),
    }
    if ends {
        listing.out.extend_from_slice(END);
    }
    if listing.parts.is_empty() {
        r.body = Body::Bytes(listing.out.into());
        return;
    }
    listing.parts.push_back(Part::Text(listing.out.into()));
    if let Some(Part::Text(first)) = listing.parts.pop_front() {
        r.body = Body::Bytes(first);
    }
    r.body_filters.push(Filter::Insert(listing.parts));
}

impl Settings {
    /// The column to sort by, and whether from small to large.
    fn order(&self) -> (Key, bool) {
        (self.key.unwrap_or(Key::Name), self.ascending.unwrap_or(true))
    }
}
