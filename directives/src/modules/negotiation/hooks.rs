//! MultiViews and type maps: `handle_multi`, `handle_map_file`, `fix_encoding`.

use bytes::Bytes;
use http::Method;

use super::accept::{self, Fields, Negotiate, PROGRAM_TYPE};
use super::choose::Asked;
use super::variant::Variant;
use super::{headers, map};
use crate::bundle::{Kind, Meta, OsError};
use crate::content::{self, conditions, etag};
use crate::log::Level;
use crate::modules::core::OptionSet;
use crate::modules::mime;
use crate::path;
use crate::phase::{DECLINED, Lookup, OK, Redirect, Verdict};
use crate::reply::Body;
use crate::request::Request;

/// The media type of type maps.
const MAP_TYPE: &[u8] = b"application/x-type-map";

/// The handlers of type maps.
pub const HANDLERS: &[&[u8]] = &[MAP_TYPE, b"type-map"];

/// A negotiation that waits for a look-up: httpd's `negotiation_state`.
#[derive(Clone)]
pub struct Negotiation {
    variants: Vec<Variant>,
    /// Names of the directory that have not been looked up yet.
    names: Vec<Vec<u8>>,
    /// Some name began as the wanted one does.
    any_match: bool,
    /// How many variants were found in the directory; 0 for a type map.
    found: usize,
    is_transparent: bool,
    best: usize,
    goal: Goal,
}

/// What a choice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    MultiViews,
    TypeMap,
}

impl Negotiation {
    fn new(goal: Goal, names: Vec<Vec<u8>>) -> Negotiation {
        Negotiation {
            variants: Vec::new(),
            names,
            any_match: false,
            found: 0,
            is_transparent: false,
            best: 0,
            goal,
        }
    }
}

/// `handle_multi`: a name that is not there stands for those that go on with a period.
pub fn multi_views(r: &mut Request) -> Verdict {
    if r.finfo.is_some()
        || !r.dir.core.options.set.has(OptionSet::MULTI_VIEWS)
        || r.filename.first() != Some(&b'/')
    {
        return DECLINED;
    }
    let directory = path::dir_name(&r.filename).to_vec();
    let mut names = match r.files.list(&directory) {
        Ok(names) => names,
        Err(error) => {
            let text = [b"cannot read directory for multi: ", &directory[..]].concat();
            r.log_os(Level::Error, "negotiation", 686, Some(error), text);
            return Verdict::Status(403);
        }
    };
    let prefix = [path::base_name(&r.filename), b"."].concat();
    names.retain(|name| {
        let is_directory = || {
            let meta = r.files.lstat(&path::join(&directory, name));
            meta.is_ok_and(|meta| meta.kind == Kind::Directory)
        };
        name.starts_with(&prefix) && !is_directory()
    });
    // The last is looked up first; the order says nothing, since variants are sorted.
    names.sort_unstable_by(|a, b| b.cmp(a));
    let state = Negotiation {
        any_match: !names.is_empty(),
        ..Negotiation::new(Goal::MultiViews, names)
    };
    next(r, Box::new(state))
}

/// Looks up the next name, or chooses.
fn next(r: &mut Request, mut state: Box<Negotiation>) -> Verdict {
    if let Some(name) = state.names.pop() {
        r.negotiation = Some(state);
        let lookup = Lookup::Entry { name: name.into(), with_args: true };
        return Verdict::Look(lookup, looked);
    }
    if state.variants.is_empty() {
        if !state.any_match {
            return DECLINED;
        }
        let text = [
            b"Negotiation: discovered file(s) matching request: ",
            &r.filename[..],
            b" (None could be negotiated).",
        ];
        r.log(Level::Error, "negotiation", 687, text.concat());
        return Verdict::Status(404);
    }
    validate(r, r.finfo);
    state.found = state.variants.len();
    decide(r, state)
}

/// What the list of variants was made from becomes part of the entity tag:
/// `set_vlist_validator`.
fn validate(r: &mut Request, meta: Option<Meta>) {
    r.vlist_validator = match meta {
        Some(meta) => etag::make(r, &meta).map(Bytes::from),
        // For what is not there httpd has the time of the directory.
        None => match r.files.stat(path::dir_name(&r.filename)) {
            Ok(meta) => Some(format!("\"{:x}\"", meta.modified() / 1000).into()),
            Err(_) => None,
        },
    };
}

/// One look-up of `read_types_multi`.
fn looked(r: &mut Request, lookup: &Lookup, mut found: Box<Request>) -> Verdict {
    let (Some(mut state), Lookup::Entry { name, .. }) = (r.negotiation.take(), lookup)
    else {
        return Verdict::Status(500);
    };
    if found.finfo.is_none_or(|meta| meta.kind != Kind::File) {
        return next(r, state);
    }
    // What has a handler is taken for a program.
    if found.handler.is_some() && found.content_type.is_none() {
        found.content_type = Some(Bytes::from_static(PROGRAM_TYPE));
    }
    let wanted = path::base_name(&r.filename);
    let known =
        mime::exceptions(&found, name).is_some_and(|unknown| in_order(wanted, &unknown));
    let Some(kind) = found.content_type.clone().filter(|_| known && found.status == 200)
    else {
        return next(r, state);
    };
    if &kind[..] == MAP_TYPE || found.handler.as_deref() == Some(b"type-map") {
        // The map knows better.
        let mut state = Box::new(Negotiation::new(Goal::MultiViews, Vec::new()));
        match read_map(r, &found.filename, found.finfo) {
            Ok(variants) => state.variants = variants,
            Err(status) => return Verdict::Status(status),
        }
        return if state.variants.is_empty() { DECLINED } else { decide(r, state) };
    }
    state.variants.push(Variant::file(name, found, &kind));
    next(r, state)
}

/// Are all the parts of a name that mean nothing parts of the wanted name, in its order?
fn in_order(wanted: &[u8], unknown: &[Vec<u8>]) -> bool {
    let mut unknown = unknown.iter().peekable();
    for part in wanted.split(|&byte| byte == b'.') {
        if unknown.peek().is_some_and(|next| next[..] == *part) {
            unknown.next();
        }
    }
    unknown.peek().is_none()
}

fn read_map(
    r: &mut Request,
    name: &[u8],
    meta: Option<Meta>,
) -> Result<Vec<Variant>, u16> {
    let bytes = match r.files.read(name) {
        Ok(bytes) => bytes,
        Err(error) => {
            let missing =
                [OsError::NOT_FOUND, OsError::NOT_A_DIRECTORY].contains(&error.code);
            let text = [b"cannot access type map file: ", name].concat();
            r.log_os(Level::Error, "negotiation", 683, Some(error), text);
            return Err(if missing { 404 } else { 403 });
        }
    };
    let variants = map::read(r, name, &bytes)?;
    validate(r, meta);
    Ok(variants)
}

/// `do_negotiation`.
fn decide(r: &mut Request, mut state: Box<Negotiation>) -> Verdict {
    let is_get = matches!(r.method, Method::GET | Method::HEAD);
    let neighbours =
        |variant: &Variant| !variant.file_name.contains(&b'/') && variant.body.is_none();
    state.is_transparent =
        is_get && r.path_info.is_empty() && state.variants.iter().all(neighbours);
    let said = if state.is_transparent { Negotiate::of(r) } else { Negotiate::SILENT };
    let mut asked = Asked { fields: Fields::of(r), said };
    let prefers_programs = state.goal == Goal::MultiViews
        && (!is_get || r.args.is_some() || !r.path_info.is_empty());
    asked.complete(prefers_programs);
    let dir = r.dir.clone();
    let choice = asked.choose(r, &dir.negotiation, &mut state.variants);
    if !choice.is_clear {
        headers::set(r, &state.variants, state.is_transparent, true, false);
        r.notes.set("variant-list", headers::list(&state.variants));
        if state.is_transparent && said.is_transparent {
            return Verdict::Status(300);
        }
    }
    let Some(best) = choice.best else {
        let text = [b"no acceptable variant: ", &r.filename[..]].concat();
        r.log(Level::Error, "negotiation", 690, text);
        return Verdict::Status(406);
    };
    state.best = best;
    if !state.is_transparent {
        let alternates = !choice.is_clear;
        headers::set(r, &state.variants, false, alternates, choice.is_clear);
        return settle(r, *state);
    }
    let alternates = said.send_alternates;
    if state.variants[best].request.is_some() {
        return chosen(r, *state, alternates);
    }
    let name = state.variants[best].file_name.clone();
    r.negotiation = Some(state);
    let then = if alternates { map_variant_listed } else { map_variant };
    Verdict::Look(Lookup::Entry { name, with_args: false }, then)
}

fn map_variant(r: &mut Request, _: &Lookup, found: Box<Request>) -> Verdict {
    map_variant_found(r, found, false)
}

fn map_variant_listed(r: &mut Request, _: &Lookup, found: Box<Request>) -> Verdict {
    map_variant_found(r, found, true)
}

fn map_variant_found(r: &mut Request, found: Box<Request>, alternates: bool) -> Verdict {
    let Some(mut state) = r.negotiation.take() else { return Verdict::Status(500) };
    if found.status != 200 && !found.err_headers_out.has("TCN") {
        return Verdict::Status(found.status);
    }
    let best = state.best;
    state.variants[best].request = Some(found);
    chosen(r, *state, alternates)
}

/// `setup_choice_response`.
fn chosen(r: &mut Request, mut state: Negotiation, alternates: bool) -> Verdict {
    let best = state.best;
    let name = path::escape_segment(&state.variants[best].file_name);
    if let Some(found) = &mut state.variants[best].request {
        // What is negotiated itself cannot be a choice.
        if found.err_headers_out.has("TCN")
            || found.handler.as_deref() == Some(b"type-map")
        {
            return Verdict::Status(506);
        }
        if let Some(vary) = found.err_headers_out.get("Vary").cloned() {
            r.err_headers_out.set("Variant-Vary", vary.clone());
            r.err_headers_out.set("Vary", vary);
            found.err_headers_out.unset("Vary");
        }
    }
    r.err_headers_out.set("Content-Location", name);
    headers::set(r, &state.variants, true, alternates, true);
    settle(r, state)
}

/// The choice is made: takes over what was found.
fn settle(r: &mut Request, mut state: Negotiation) -> Verdict {
    let caches = r.server.config.negotiation.cache == Some(true);
    if !caches && r.version < 11 && state.found != 1 {
        r.no_cache = true;
    }
    let best = state.variants.swap_remove(state.best);
    match (state.goal, best.request) {
        (Goal::TypeMap, request) => send(r, Variant { request, ..best }),
        (Goal::MultiViews, Some(found)) => take_over(r, found),
        (Goal::MultiViews, None) => {
            let lookup = Lookup::Entry { name: best.file_name, with_args: false };
            Verdict::Look(lookup, |r, _, found| match found.status {
                200 => take_over(r, found),
                status => Verdict::Status(status),
            })
        }
    }
}

fn take_over(r: &mut Request, mut found: Box<Request>) -> Verdict {
    if found.args.is_none() {
        found.args.clone_from(&r.args);
    }
    if found.path_info.is_empty() {
        found.path_info.clone_from(&r.path_info);
    }
    r.fast_redirect(*found);
    OK
}

/// `handle_map_file`.
pub fn type_map(r: &mut Request) -> Verdict {
    if !r.has_handler(HANDLERS) {
        return DECLINED;
    }
    let (name, meta) = (r.filename.clone(), r.finfo);
    let mut state = Box::new(Negotiation::new(Goal::TypeMap, Vec::new()));
    match read_map(r, &name, meta) {
        Ok(variants) => state.variants = variants,
        Err(status) => return Verdict::Status(status),
    }
    decide(r, state)
}

/// The choice of a type map: its own text, or another URL.
fn send(r: &mut Request, best: Variant) -> Verdict {
    let Some(body) = best.body else {
        let uri = &r.uri[..r.uri.len().saturating_sub(r.path_info.len())];
        let mut new = path::escape_uri(path::dir_name(uri));
        new.extend_from_slice(&best.file_name);
        new.extend_from_slice(&r.path_info);
        if let Some(args) = &r.args {
            new.push(b'?');
            new.extend_from_slice(args);
        }
        return Verdict::Redirect(Redirect { uri: new.into(), content_type: None });
    };
    r.allowed.clear();
    content::allow_methods(r, &[Method::GET, Method::OPTIONS, Method::POST]);
    if !matches!(r.method, Method::GET | Method::HEAD | Method::POST) {
        return Verdict::Status(405);
    }
    r.headers_out.set("Accept-Ranges", "bytes");
    if !best.mime_type.is_empty() {
        r.content_type = Some(match &best.charset[..] {
            b"" => best.mime_type,
            charset => [&best.mime_type[..], b"; charset=", charset].concat().into(),
        });
    }
    if !best.languages.is_empty() {
        r.content_languages = best.languages;
    }
    if best.encoding.as_ref().is_some_and(|encoding| !encoding.is_empty()) {
        r.content_encoding = best.encoding;
    }
    let modified = r.finfo.map_or(0, |meta| meta.mtime);
    if let Some(status) = conditions::check(r, modified) {
        return Verdict::Status(status);
    }
    r.headers_out.set("Content-Length", body.len().to_string());
    r.body = if r.header_only { Body::None } else { Body::Bytes(body) };
    OK
}

/// Names the encoding as the client did: `gzip` or `x-gzip`. `fix_encoding`.
pub fn fix_encoding(r: &mut Request) -> Verdict {
    let Some(encoding) = r.content_encoding.clone().filter(|name| !name.is_empty())
    else {
        return DECLINED;
    };
    let Some(line) = r.header(http::header::ACCEPT_ENCODING) else { return DECLINED };
    let bare = encoding.strip_prefix(b"x-").unwrap_or(&encoding);
    let wanted = accept::items(&line);
    let plain = wanted.iter().find(|item| item.name[..] == *bare);
    let with_x = wanted.iter().rfind(|item| item.name.strip_prefix(b"x-") == Some(bare));
    match plain.or(with_x) {
        Some(item) => {
            r.content_encoding = Some(item.name.clone());
            OK
        }
        None => DECLINED,
    }
}
