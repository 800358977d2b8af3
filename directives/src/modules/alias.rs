//! mod_alias: URL paths that lead elsewhere, and redirections. Longer than others: a quarter
//! of it is what its ten directives say of themselves.

use std::sync::Arc;

use bytes::Bytes;

use crate::compile::Scope;
use crate::expr::Template;
use crate::log::Level;
use crate::merge::Merge;
use crate::path;
use crate::pattern::Pattern;
use crate::phase::{DECLINED, OK, Phase, Verdict, on};
use crate::request::Request;
use crate::schema::{
    Compat, Context, Directive, Module, Override, Problem, Result, Set, Word,
};
use crate::template;

/// What a URL path is compared with.
#[derive(Debug)]
enum From {
    Prefix(Bytes),
    /// Everything in a section of this path, which is replaced whole.
    Section(Bytes),
    Regex(Pattern),
}

#[derive(Debug)]
struct Alias {
    from: From,
    to: Bytes,
    /// In a section the target is a text with expressions.
    text: Option<Template>,
    /// `ScriptAlias`.
    script: bool,
}

#[derive(Debug)]
struct Redirect {
    from: From,
    /// Empty for a status without a place to go.
    to: Bytes,
    /// In a section the target is a text with expressions.
    text: Option<Template>,
    status: u16,
}

/// Settings of a section: redirections, and an `Alias` with one argument.
#[derive(Debug, Default)]
pub struct Dir {
    redirects: Vec<Arc<Redirect>>,
    alias: Option<Arc<Alias>>,
    relative: Option<bool>,
    /// `AliasPreservePath`.
    preserve: Option<bool>,
}

impl Merge for Dir {
    // Inner redirections come first. See merge_alias_dir_config.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        Dir {
            redirects: inner.redirects.iter().chain(&outer.redirects).cloned().collect(),
            alias: inner.alias.clone().or_else(|| outer.alias.clone()),
            relative: inner.relative.or(outer.relative),
            preserve: inner.preserve.or(outer.preserve),
        }
    }
}

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    aliases: Vec<Arc<Alias>>,
    redirects: Vec<Arc<Redirect>>,
}

impl Merge for Server {
    fn merge(outer: &Server, inner: &Server) -> Server {
        Server {
            aliases: inner.aliases.iter().chain(&outer.aliases).cloned().collect(),
            redirects: inner.redirects.iter().chain(&outer.redirects).cloned().collect(),
        }
    }
}

/// The directories and files that a `ScriptAlias` leads to, as far as they are written
/// out: what a pattern fills in is cut off.
pub fn script_targets<'a>(
    server: &'a super::ServerConfig,
    dir: &'a super::DirConfig,
) -> impl Iterator<Item = &'a [u8]> {
    let scripts =
        server.alias.aliases.iter().chain(&dir.alias.alias).filter(|a| a.script);
    scripts.map(|alias| match &alias.from {
        From::Prefix(_) | From::Section(_) => &alias.to[..],
        From::Regex(_) => {
            let end = alias.to.iter().position(|&b| b == b'$').unwrap_or(alias.to.len());
            &alias.to[..end]
        }
    })
}

/// How much of `uri` the path `fake` matches; repeated slashes count as one. See
/// `alias_matches`.
pub(super) fn prefix(uri: &[u8], fake: &[u8]) -> Option<usize> {
    let (mut u, mut f) = (0, 0);
    while f < fake.len() {
        if fake[f] == b'/' {
            if uri.get(u) != Some(&b'/') {
                return None;
            }
            while fake.get(f) == Some(&b'/') {
                f += 1;
            }
            while uri.get(u) == Some(&b'/') {
                u += 1;
            }
        } else {
            if uri.get(u) != Some(&fake[f]) {
                return None;
            }
            u += 1;
            f += 1;
        }
    }
    let whole = fake.last() == Some(&b'/') || matches!(uri.get(u), None | Some(b'/'));
    (whole && u > 0).then_some(u)
}

fn regex(at: &Scope, word: &Word) -> Result<From> {
    at.pattern(&word.bytes, false).map(From::Regex).map_err(|why| {
        Problem::from("Regular expression could not be compiled.").at(word.span).help(why)
    })
}

fn add_alias(at: &mut Scope, from: From, to: &Word, script: bool) -> Result {
    let alias = Arc::new(Alias { from, to: to.bytes.clone(), text: None, script });
    at.server.alias().aliases.push(alias);
    Ok(())
}

fn alias(at: &mut Scope, first: &Word, second: Option<&Word>, script: bool) -> Result {
    let name = at.cmd.name;
    let in_location = at.place.container.is_some_and(|c| c != "<VirtualHost");
    match second {
        None if in_location => {
            let container = at.place.container.unwrap_or_default();
            if !container.starts_with("<Location") {
                let message = format!("{name} cannot occur within {container}> section");
                return Err(message.into());
            }
            let from = From::Section(at.place.path.cloned().unwrap_or_default());
            let text = Some(text(at, first, "alias")?);
            let alias = Alias { from, to: first.bytes.clone(), text, script };
            at.dir.alias().alias = Some(Arc::new(alias));
            Ok(())
        }
        None => Err(format!("{name} must have two arguments when used globally").into()),
        Some(_) if in_location => {
            Err(format!("{name} cannot occur within directory context").into())
        }
        Some(to) => add_alias(at, From::Prefix(first.bytes.clone()), to, script),
    }
}

fn text(at: &Scope, word: &Word, what: &str) -> Result<Template> {
    Template::parse(&word.bytes, at.rules()).map_err(|why| {
        let text = word.lossy();
        Problem::from(format!("Cannot parse {what} expression '{text}': {why}"))
            .at(word.span)
    })
}

static ALIAS: Directive = Directive {
    name: "Alias",
    syntax: "[URL-path] file-path|directory-path",
    context: Context::CONFIG,
    summary: "a fakename and a realname, or a realname in a Location",
    docs: r"
Maps a URL path, and what lies below it, to a file or directory outside of
`DocumentRoot`. The first alias that matches is used. The target need not exist: it may
be the path of a FastCGI application.

With a slash at the end of the URL path, the path without it is not mapped. In a
`<Location>`, without a URL path, the target is a text with expressions, and the whole name
unless `AliasPreservePath` is on.

## Example
    FastCgiExternalServer /virtual/app -host 127.0.0.1:9000
    Alias /app /virtual/app
",
    set: Set::OneOrTwo(|at, first, second| alias(at, first, second, false)),
    ..Directive::EXACT
};

static SCRIPT_ALIAS: Directive = Directive {
    name: "ScriptAlias",
    syntax: "[URL-path] file-path|directory-path",
    context: Context::CONFIG,
    summary: "a fakename and a realname, or a realname in a Location",
    docs: r"
As `Alias`, and what is found there is run. A path of a FastCGI application goes to that
application; a dynamic FastCGI application needs no `Options ExecCGI` there.

## Example
    ScriptAlias /fcgi-bin/ /srv/fcgi/
",
    set: Set::OneOrTwo(|at, first, second| alias(at, first, second, true)),
    ..Directive::EXACT
};

static ALIAS_MATCH: Directive = Directive {
    name: "AliasMatch",
    syntax: "regex file-path|directory-path",
    context: Context::SERVERS,
    summary: "a regular expression and a filename",
    docs: r"
Maps URL paths that a regular expression matches; the target may use `$1` and so on, and
without them the rest of the path is lost.

## Example
    AliasMatch ^/app(/.*)?$ /virtual/app$1
",
    set: Set::Two(|at, pattern, to| {
        let from = regex(at, pattern)?;
        add_alias(at, from, to, false)
    }),
    ..Directive::EXACT
};

static SCRIPT_ALIAS_MATCH: Directive = Directive {
    name: "ScriptAliasMatch",
    syntax: "regex file-path|directory-path",
    context: Context::SERVERS,
    summary: "a regular expression and a filename",
    docs: r"
As `AliasMatch`, and what is found there is run.

## Example
    ScriptAliasMatch ^/cgi/(.*) /srv/cgi/$1
",
    set: Set::Two(|at, pattern, to| {
        let from = regex(at, pattern)?;
        add_alias(at, from, to, true)
    }),
    ..Directive::EXACT
};

/// `permanent`, `301` and their like.
fn redirect_status(word: &Word) -> Option<u16> {
    match word.lossy().to_ascii_lowercase().as_str() {
        "permanent" => Some(301),
        "temp" => Some(302),
        "seeother" => Some(303),
        "gone" => Some(410),
        text if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() => {
            text.parse().ok()
        }
        _ => None,
    }
}

/// `ap_is_HTTP_REDIRECT`: 304 is one too.
fn takes_target(status: u16) -> bool {
    (300..400).contains(&status)
}

fn redirect(
    at: &mut Scope,
    words: [Option<&Word>; 3],
    regex_form: bool,
    status: Option<u16>,
) -> Result {
    let given: Vec<&Word> = words.into_iter().flatten().collect();
    let (status, rest) = match (status, given.split_first()) {
        (Some(status), _) => (status, &given[..]),
        (None, Some((first, rest))) => match redirect_status(first) {
            Some(status) => (status, rest),
            None if given.len() == 3 => {
                let message = "Redirect: invalid first argument (of three)";
                return Err(Problem::from(message).at(first.span));
            }
            None => (302, &given[..]),
        },
        (None, None) => return Err("URL to redirect to is missing".into()),
    };
    let in_section = at.place.container.is_some_and(|c| c != "<VirtualHost")
        || at.place.allowed.is_some();
    let redirects = takes_target(status);
    let (from, to) = match (rest, redirects) {
        ([from, to], true) => (Some(*from), Some(*to)),
        ([to], true) if in_section => (None, Some(*to)),
        ([from], false) => (Some(*from), None),
        ([], false) if in_section => (None, None),
        ([_, to], false) => {
            let message = "Redirect URL not valid for this status";
            return Err(Problem::from(message).at(to.span));
        }
        _ => return Err("URL to redirect to is missing".into()),
    };
    if let (Some(to), Some(_)) = (to, from)
        && !regex_form
        && !path::is_url(&to.bytes)
        && to.bytes.first() != Some(&b'/')
    {
        return Err(Problem::from("Redirect to non-URL").at(to.span));
    }
    let from = match from {
        Some(word) if regex_form => regex(at, word)?,
        Some(word) => From::Prefix(word.bytes.clone()),
        None => From::Section(at.place.path.cloned().unwrap_or_default()),
    };
    let text = match (&from, to) {
        (From::Section(_), Some(word)) => Some(text(at, word, "redirect")?),
        _ => None,
    };
    let to = to.map(|word| word.bytes.clone()).unwrap_or_default();
    let redirect = Arc::new(Redirect { from, to, text, status });
    if in_section {
        at.dir.alias().redirects.push(redirect);
    } else {
        at.server.alias().redirects.push(redirect);
    }
    Ok(())
}

macro_rules! redirects {
    ($($name:ident: $spelling:literal, $syntax:literal, $summary:literal, $docs:literal, $set:expr;)*) => {
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

redirects! {
    REDIRECT: "Redirect", "[status] [URL-path] URL",
        "an optional status, then document to be redirected and destination URL", r"
Sends clients elsewhere: what follows the URL path is appended to the target. The status
is `permanent`, `temp` (the default), `seeother`, `gone` or a number; one that is no
redirection takes no target. In a section, without a URL path, the target is a text with
expressions, and the whole of it.

## Example
    Redirect permanent /old https://www.example.org/new
    Redirect gone /secret
",
        Set::UpToThree(|at, a, b, c| redirect(at, [Some(a), b, c], false, None));
    REDIRECT_TEMP: "RedirectTemp", "URL-path URL",
        "a document to be redirected, then the destination URL", r"
As `Redirect temp`.

## Example
    RedirectTemp /one http://example.org/two
",
        Set::Two(|at, a, b| redirect(at, [Some(a), Some(b), None], false, Some(302)));
    REDIRECT_PERMANENT: "RedirectPermanent", "URL-path URL",
        "a document to be redirected, then the destination URL", r"
As `Redirect permanent`.

## Example
    RedirectPermanent /one http://example.org/two
",
        Set::Two(|at, a, b| redirect(at, [Some(a), Some(b), None], false, Some(301)));
    REDIRECT_MATCH: "RedirectMatch", "[status] regex URL",
        "an optional status, then a regular expression and destination URL", r"
As `Redirect`, for URL paths that a regular expression matches; the target may use `$1`
and so on.

## Example
    RedirectMatch (.*)\.gif$ http://other.example.org$1.jpg
",
        Set::TwoOrThree(|at, a, b, c| redirect(at, [Some(a), Some(b), c], true, None));
}

static REDIRECT_RELATIVE: Directive = Directive {
    name: "RedirectRelative",
    syntax: "On|Off",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "Off",
    summary: "Set to ON to allow relative redirect targets to be issued as-is",
    docs: r"
Are targets without a host sent as they are?

## Example
    RedirectRelative On
",
    compat: Compat::Exact,
    set: Set::Flag(|at, on| {
        at.dir.alias().relative = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

static ALIAS_PRESERVE_PATH: Directive = Directive {
    name: "AliasPreservePath",
    syntax: "OFF|ON",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "OFF",
    summary: "Set to ON to preserve the path after the alias in a Location",
    docs: r"
Is what follows a `<Location>`'s path appended to the target of an `Alias` or `ScriptAlias`
without a URL path in it? Otherwise all of the section is mapped to the target itself.

## Example
    <Location /app>
        Alias /virtual/app
        AliasPreservePath On
    </Location>
",
    set: Set::Flag(|at, on| {
        at.dir.alias().preserve = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_alias.c",
    id: "alias_module",
    directives: &[
        &ALIAS,
        &SCRIPT_ALIAS,
        &REDIRECT,
        &ALIAS_MATCH,
        &SCRIPT_ALIAS_MATCH,
        &REDIRECT_MATCH,
        &REDIRECT_TEMP,
        &REDIRECT_PERMANENT,
        &REDIRECT_RELATIVE,
        &ALIAS_PRESERVE_PATH,
    ],
    hooks: &[
        on(Phase::Translate, translate).where_set(|at| {
            let config = &at.server.config.alias;
            !config.redirects.is_empty()
                || !config.aliases.is_empty()
                || at.dir.alias.alias.is_some()
        }),
        on(Phase::Fixups, fixups).where_set(|at| !at.dir.alias.redirects.is_empty()),
    ],
};

fn translate(r: &mut Request) -> Verdict {
    if !matches!(r.uri.first(), None | Some(b'/')) {
        return DECLINED;
    }
    let server = r.server.clone();
    let config = &server.config.alias;
    if let Some(verdict) = redirected(r, &config.redirects) {
        return verdict;
    }
    let dir = r.dir.clone();
    for alias in dir.alias.alias.iter().chain(&config.aliases) {
        match map(r, alias) {
            Ok(true) => return OK,
            Ok(false) => {}
            Err(status) => return Verdict::Status(status),
        }
    }
    DECLINED
}

/// What a target's expressions come to; an error is the status.
fn filled(
    r: &mut Request,
    text: &Template,
    what: &str,
    ah: u32,
    status: u16,
) -> std::result::Result<Bytes, u16> {
    // Names of clients are known before any target is wanted.
    let text = text.fill(r).unwrap_or_else(|_| Err("too early for a look-up".to_owned()));
    text.map_err(|why| {
        let line = format!("Can't evaluate {what} expression: {why}");
        r.log(Level::Error, "alias", ah, line);
        status
    })
}

/// `fixup_redir`.
fn fixups(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    redirected(r, &dir.alias.redirects).unwrap_or(DECLINED)
}

/// Maps the path if the alias matches. See `try_alias_list`.
fn map(r: &mut Request, alias: &Alias) -> std::result::Result<bool, u16> {
    let mut to = alias.to.clone();
    // Only where a tree begins there is a context: httpd sets none for a pattern, and for a
    // section only if its paths are kept.
    let (found, context) = match (&alias.from, &alias.text) {
        (From::Prefix(fake), _) => {
            let Some(length) = prefix(&r.uri, fake) else { return Ok(false) };
            ([&to[..], &r.uri[length..]].concat(), Some(fake))
        }
        (From::Section(fake), text) => {
            if let Some(text) = text {
                to = filled(r, text, "alias", 2825, 403)?;
            }
            let keeps = r.dir.alias.preserve == Some(true);
            match keeps.then(|| prefix(&r.uri, fake)).flatten() {
                Some(length) => ([&to[..], &r.uri[length..]].concat(), Some(fake)),
                None => (to.to_vec(), None),
            }
        }
        (From::Regex(pattern), _) => {
            let Some(groups) = pattern.captures(&r.uri) else { return Ok(false) };
            (template::substitute(&to, &groups, &r.uri).to_vec(), None)
        }
    };
    let Some(filename) = path::server_relative(&r.snapshot.server_root, &found) else {
        return Ok(false);
    };
    if let Some(fake) = context {
        r.context_prefix = fake.clone();
        r.context_document_root = Some(to);
    }
    r.filename = filename;
    if alias.script {
        r.handler = Some(Bytes::from_static(b"cgi-script"));
        r.script_alias = true;
    }
    Ok(true)
}

fn redirected(r: &mut Request, redirects: &[Arc<Redirect>]) -> Option<Verdict> {
    let (redirect, target) = redirects.iter().find_map(|redirect| {
        let target = match &redirect.from {
            From::Prefix(fake) => {
                let length = prefix(&r.uri, fake)?;
                if redirect.to.is_empty() {
                    Vec::new()
                } else {
                    [&redirect.to[..], &escaped(&r.uri[length..])].concat()
                }
            }
            From::Section(_) => redirect.to.to_vec(),
            From::Regex(pattern) => {
                let groups = pattern.captures(&r.uri)?;
                escaped_url(&template::substitute(&redirect.to, &groups, &r.uri))
            }
        };
        Some((redirect.clone(), target))
    })?;
    let status = redirect.status;
    if !takes_target(status) {
        return Some(Verdict::Status(status));
    }
    let relative = r.dir.alias.relative.unwrap_or(false);
    let mut target = match &redirect.text {
        None => target,
        Some(text) => match filled(r, text, "redirect", 2826, 500) {
            Ok(text) => escaped_url(&text),
            Err(status) => return Some(Verdict::Status(status)),
        },
    };
    if target.first() == Some(&b'/') && !relative {
        target = r.construct_url(&target);
    } else if !(path::is_url(&target) || relative && target.first() == Some(&b'/')) {
        let text = format!(
            "cannot redirect '{}' to '{}'; target is not a valid absoluteURI or abs_path",
            String::from_utf8_lossy(&r.uri),
            String::from_utf8_lossy(&target)
        );
        r.log(Level::Error, "alias", 674, text);
        return Some(Verdict::Status(500));
    }
    if let Some(args) = &r.args
        && !target.contains(&b'?')
    {
        target.push(b'?');
        target.extend_from_slice(args);
    }
    r.headers_out.set("Location", target);
    Some(Verdict::Status(status))
}

/// A path for a URL; without the `./` of `ap_os_escape_path`, as with its `partial`.
fn escaped(rest: &[u8]) -> Vec<u8> {
    let out = path::escape_path(rest);
    match out.strip_prefix(b"./") {
        Some(bare) if !rest.starts_with(b"./") => bare.to_vec(),
        _ => out,
    }
}

/// Escapes what a substitution may have brought into a URL: blanks and control bytes.
fn escaped_url(url: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(url.len());
    for &byte in url {
        if byte <= b' ' || byte >= 0x7f || b"\"<>\\^`{|}".contains(&byte) {
            out.extend_from_slice(format!("%{byte:02x}").as_bytes());
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn aliases_match_whole_segments() {
        assert_eq!(prefix(b"/app/x", b"/app"), Some(4));
        assert_eq!(prefix(b"/apple", b"/app"), None);
        assert_eq!(prefix(b"/app", b"/app/"), None);
        assert_eq!(prefix(b"//app//x", b"/app/"), Some(7));
        assert_eq!(prefix(b"/x", b"/"), Some(1));
    }
}
