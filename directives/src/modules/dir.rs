//! mod_dir: directories — the missing slash, the index file, and the fallback.

use bytes::Bytes;

use crate::bundle::Kind;
use crate::merge_options;
use crate::path;
use crate::phase::{DECLINED, Lookup, OK, Phase, Verdict, last};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Set};
use crate::status;

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    index: Option<Vec<Bytes>>,
    slash: Option<bool>,
    check_handler: Option<bool>,
    redirect: Option<u16>,
    fallback: Option<Bytes>,
}

merge_options!(Dir { index, slash, check_handler, redirect, fallback });

/// Settings of a server: none.
pub type Server = ();

static DIRECTORY_INDEX: Directive = Directive {
    name: "DirectoryIndex",
    syntax: "disabled|local-url [local-url] ...",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    default: "index.html",
    summary: "a list of file names",
    docs: r"
What a request for a directory gets: the first of these that exists, looked up as a URL
with all its rules. `disabled` turns it off.

## Example
    DirectoryIndex index.php index.html
",
    set: Set::Words(|at, words| {
        let dir = at.dir.dir();
        if let [only] = words
            && only.is("disabled")
        {
            dir.index = Some(Vec::new());
            return Ok(());
        }
        let list = dir.index.get_or_insert_default();
        list.extend(words.iter().map(|word| word.bytes.clone()));
        Ok(())
    }),
    ..Directive::EXACT
};

static DIRECTORY_SLASH: Directive = Directive {
    name: "DirectorySlash",
    syntax: "On|Off",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    default: "On",
    summary: "On or Off",
    docs: r"
Is a client that asks for a directory without its slash sent to the right URL?

## Example
    DirectorySlash Off
",
    set: Set::Flag(|at, on| {
        at.dir.dir().slash = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

static DIRECTORY_CHECK_HANDLER: Directive = Directive {
    name: "DirectoryCheckHandler",
    syntax: "On|Off",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    default: "Off",
    summary: "On or Off",
    docs: r"
Leave a directory to the handler that was configured for it, instead of looking for an
index file?

## Example
    DirectoryCheckHandler On
",
    set: Set::Flag(|at, on| {
        at.dir.dir().check_handler = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

static DIRECTORY_INDEX_REDIRECT: Directive = Directive {
    name: "DirectoryIndexRedirect",
    syntax: "On|Off|permanent|temp|seeother|3xx-code",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    default: "Off",
    summary: "On, Off, or a 3xx status code.",
    docs: r"
Send the client to the index file instead of answering with it?

## Example
    DirectoryIndexRedirect seeother
",
    set: Set::One(|at, word| {
        let status = match (word.flag(), word.lossy().to_ascii_lowercase().as_str()) {
            (Some(true), _) | (None, "temp") => 302,
            (Some(false), _) => 0,
            (None, "permanent") => 301,
            (None, "seeother") => 303,
            (None, text) => match text.parse() {
                Ok(code @ 300..=399) => code,
                _ => {
                    let message = "DirectoryIndexRedirect must be 'on', 'off', 'permanent', \
                                   'temp', 'seeother', or a 3xx status code";
                    return Err(Problem::from(message).at(word.span));
                }
            },
        };
        at.dir.dir().redirect = Some(status);
        Ok(())
    }),
    ..Directive::EXACT
};

static FALLBACK_RESOURCE: Directive = Directive {
    name: "FallbackResource",
    syntax: "disabled|local-url",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    default: "disabled",
    summary: "Set a default handler",
    docs: r"
What answers for URLs that lead to no file and no handler: a front controller without
rewrite rules.

## Example
    <Location />
        FallbackResource /index.php
    </Location>
",
    set: Set::One(|at, url| {
        at.dir.dir().fallback = Some(url.bytes.clone());
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_dir.c",
    id: "dir_module",
    directives: &[
        &FALLBACK_RESOURCE,
        &DIRECTORY_INDEX,
        &DIRECTORY_SLASH,
        &DIRECTORY_CHECK_HANDLER,
        &DIRECTORY_INDEX_REDIRECT,
    ],
    hooks: &[last(Phase::Fixups, fixups)],
};

/// The media type that stands for a directory.
pub const DIRECTORY_TYPE: &[u8] = b"httpd/unix-directory";

fn fixups(r: &mut Request) -> Verdict {
    match r.finfo.map(|meta| meta.kind) {
        Some(Kind::Directory) => directory(r),
        None if r.handler.is_none() => fallback(r),
        _ => DECLINED,
    }
}

fn directory(r: &mut Request) -> Verdict {
    if r.handler.is_none() {
        r.handler = Some(Bytes::from_static(DIRECTORY_TYPE));
    }
    if !r.path_info.is_empty() {
        return DECLINED;
    }
    let dir = r.dir.clone();
    let config = &dir.dir;
    if r.uri.last() != Some(&b'/') {
        if !config.slash.unwrap_or(true) {
            return DECLINED;
        }
        if r.method != http::Method::GET
            && r.method != http::Method::HEAD
            && r.env.has(b"redirect-carefully")
        {
            return DECLINED;
        }
        let mut target = path::escape_path(&r.uri);
        target.push(b'/');
        if let Some(args) = &r.args {
            target.push(b'?');
            target.extend_from_slice(args);
        }
        let url = r.construct_url(&target);
        r.headers_out.set("Location", url);
        return Verdict::Status(301);
    }
    let own = r.handler.as_deref() == Some(DIRECTORY_TYPE);
    if config.check_handler == Some(true) && !own {
        if r.content_type.as_deref() == Some(DIRECTORY_TYPE) {
            r.content_type = None;
        }
        return DECLINED;
    }
    r.notes.set("dir-index-next", "0");
    try_index(r)
}

const DEFAULT_INDEX: Bytes = Bytes::from_static(b"index.html");

fn index_names(r: &Request) -> Vec<Bytes> {
    match &r.dir.dir.index {
        Some(names) => names.clone(),
        None => vec![DEFAULT_INDEX],
    }
}

/// Which name is looked at: kept in the notes, since looking interrupts the hook.
fn position(r: &Request) -> usize {
    let text = r.notes.get(b"dir-index-next").cloned().unwrap_or_default();
    std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn try_index(r: &mut Request) -> Verdict {
    let names = index_names(r);
    let at = position(r);
    let Some(name) = names.get(at) else {
        let error = r.notes.get(b"dir-index-error").cloned();
        if let Some(error) = error {
            let status =
                std::str::from_utf8(&error).ok().and_then(|text| text.parse().ok());
            return Verdict::Status(status.unwrap_or(403));
        }
        r.notes.set("dir-index-names", names.join(&b","[..]));
        return DECLINED;
    };
    r.notes.set("dir-index-next", (at + 1).to_string());
    Verdict::Look(Lookup::Uri(relative(r, name)), looked)
}

/// A name, below the request's path unless absolute, with the request's query.
fn relative(r: &Request, name: &[u8]) -> Bytes {
    let mut uri = if name.first() == Some(&b'/') {
        name.to_vec()
    } else {
        let mut uri = path::escape_path(path::dir_name(&r.uri));
        uri.extend_from_slice(name);
        uri
    };
    if let Some(args) = &r.args {
        uri.push(b'?');
        uri.extend_from_slice(args);
    }
    uri.into()
}

fn looked(r: &mut Request, _: &Lookup, found: Box<Request>) -> Verdict {
    match settle(r, found, position(r) == index_names(r).len()) {
        Some(verdict) => verdict,
        None => try_index(r),
    }
}

/// What a looked-up name means; `None` to try the next one.
fn settle(r: &mut Request, found: Box<Request>, last: bool) -> Option<Verdict> {
    let is_file = found.finfo.is_some_and(|meta| meta.kind == Kind::File);
    let is_proxy = found.handler.as_deref() == Some(b"proxy-server");
    if found.status == 200 && (is_file || is_proxy) {
        let code = r.dir.dir.redirect.unwrap_or(0);
        if code != 0 {
            let url = r.construct_url(&path::escape_path(&found.uri));
            r.headers_out.set("Location", url);
            return Some(Verdict::Status(code));
        }
        r.fast_redirect(*found);
        return Some(OK);
    }
    let status = found.status;
    if status::is_redirect(status) || (last && (status == 406 || status == 401)) {
        r.headers_out = found.headers_out;
        r.err_headers_out = found.err_headers_out;
        if let Some(list) = found.notes.get(b"variant-list") {
            r.notes.set("variant-list", list.clone());
        }
        return Some(Verdict::Status(status));
    }
    if status != 404 && status != 200 {
        r.notes.set("dir-index-error", status.to_string());
    }
    None
}

/// `fixup_dflt`.
fn fallback(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    match &dir.dir.fallback {
        Some(url) if !url.eq_ignore_ascii_case(b"disabled") => {
            Verdict::Look(Lookup::Uri(relative(r, url)), fell_back)
        }
        _ => DECLINED,
    }
}

fn fell_back(r: &mut Request, _: &Lookup, found: Box<Request>) -> Verdict {
    let status = found.status;
    // An error's fields are left behind, a redirection's are not.
    match settle(r, found, false) {
        Some(verdict) => verdict,
        None if status != 404 && status != 200 => Verdict::Status(status),
        None => DECLINED,
    }
}
