//! From URL paths to files: `DocumentRoot`, encoded slashes, and how paths and
//! credentials reach applications.

use crate::bundle::Kind;
use crate::diagnostic::codes;
use crate::log::Level;
use crate::path::EncodedSlashes;
use crate::phase::{DECLINED, OK, Verdict};
use crate::request::Request;
use crate::schema::{Context, Directive, Override, Problem, Set};

/// The last translation: below `DocumentRoot`. See `ap_core_translate`.
pub fn translate(r: &mut Request) -> Verdict {
    if r.uri.first() != Some(&b'/') && r.uri != b"*" {
        if r.method == http::Method::CONNECT {
            r.filename.clone_from(&r.uri);
            return OK;
        }
        let text = format!(
            "Invalid URI in request '{}' '{}'",
            String::from_utf8_lossy(&r.uri),
            String::from_utf8_lossy(&r.the_request())
        );
        r.log(Level::Error, "core", 126, text);
        return Verdict::Status(400);
    }
    let core = &r.server.config.core;
    let rest = match &core.server_path {
        Some(prefix) if r.uri.starts_with(prefix) => match r.uri.get(prefix.len()) {
            None | Some(b'/') => &r.uri[prefix.len()..],
            _ => &r.uri[..],
        },
        _ => &r.uri[..],
    };
    if core.document_root.is_empty() && rest == b"*" {
        return DECLINED;
    }
    // A slash may come between them.
    let mut filename = Vec::with_capacity(core.document_root.len() + 1 + rest.len());
    filename.extend_from_slice(&core.document_root);
    if filename.last() != Some(&b'/') {
        filename.push(b'/');
    }
    filename.extend_from_slice(rest.strip_prefix(b"/").unwrap_or(rest));
    r.filename = filename;
    OK
}

pub static DOCUMENT_ROOT: Directive = Directive {
    name: "DocumentRoot",
    syntax: "directory-path",
    context: Context::SERVERS,
    summary: "Root directory of the document tree",
    docs: r"
The directory that URL paths begin at. It may also be the path of a FastCGI application,
which then answers everything.

## Example
    DocumentRoot /
",
    set: Set::One(|at, word| {
        let shown = word.lossy();
        let Some(mut path) = at.server_relative(&word.bytes) else {
            return Err(
                Problem::from(format!("Invalid DocumentRoot path {shown}")).at(word.span)
            );
        };
        if path.len() > 1 && path.last() == Some(&b'/') {
            path.pop();
        }
        if !at.build.skip_document_roots {
            let is_application = at.build.process.fastcgi.matches(&path).is_some();
            let there = at.files().stat(&path).is_ok_and(|m| m.kind == Kind::Directory);
            if !there && !is_application {
                let shown = String::from_utf8_lossy(&path);
                if !at.in_virtual_host() {
                    let message = format!(
                        "DocumentRoot '{shown}' is not a directory, or is not readable"
                    );
                    return Err(Problem::from(message).at(word.span));
                }
                let message = format!("Warning: DocumentRoot [{shown}] does not exist");
                at.note(Problem::new(&codes::DOCUMENT_ROOT, message).at(word.span));
            }
        }
        at.server.core().document_root = path.into();
        Ok(())
    }),
    ..Directive::EXACT
};

pub static DEFAULT_RUNTIME_DIR: Directive = Directive {
    name: "DefaultRuntimeDir",
    syntax: "directory-path",
    context: Context::SERVER,
    summary: "Common directory for run-time files (shared memory, locks, etc.)",
    docs: r"
Where files of the running server go; `FastCgiIpcDir` is below it unless it is given.

## Example
    DefaultRuntimeDir /
",
    set: Set::One(|at, word| {
        let path = at.server_relative(&word.bytes);
        let path = path.filter(|path| {
            at.files().stat(path).is_ok_and(|meta| meta.kind == Kind::Directory)
        });
        match path {
            Some(path) => at.process().core.runtime_dir = Some(path.into()),
            None => {
                let message = "DefaultRuntimeDir must be a valid directory, absolute or relative \
                               to ServerRoot";
                return Err(Problem::from(message).at(word.span));
            }
        }
        Ok(())
    }),
    ..Directive::EXACT
};

pub static ALLOW_ENCODED_SLASHES: Directive = Directive {
    name: "AllowEncodedSlashes",
    syntax: "On|Off|NoDecode",
    context: Context::SERVERS,
    default: "Off",
    summary: "Allow URLs containing '/' encoded as '%2F'",
    docs: r"
A path with `%2F` is answered 404, or decoded (On), or passed on encoded (NoDecode).

## Example
    AllowEncodedSlashes NoDecode
",
    set: Set::One(|at, word| {
        at.dir.core().allow_encoded_slashes = Some(match word.flag() {
            Some(true) => EncodedSlashes::On,
            Some(false) => EncodedSlashes::Off,
            None if word.is("nodecode") => EncodedSlashes::NoDecode,
            None => {
                let message = "AllowEncodedSlashes must be On, Off, or NoDecode";
                return Err(Problem::from(message).at(word.span));
            }
        });
        Ok(())
    }),
    ..Directive::EXACT
};

pub static MERGE_SLASHES: Directive = Directive {
    name: "MergeSlashes",
    syntax: "On|Off",
    context: Context::SERVERS,
    default: "On",
    summary: "Controls whether consecutive slashes in the URI path are merged",
    docs: r"
Are repeated slashes in a path one slash?

## Example
    MergeSlashes Off
",
    set: Set::Flag(|at, on| {
        at.server.core().merge_slashes = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CGI_PASS_AUTH: Directive = Directive {
    name: "CGIPassAuth",
    syntax: "On|Off",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    default: "Off",
    summary: "Controls whether HTTP authorization headers, normally hidden, will be passed to \
              scripts",
    docs: r"
Do applications see the client's credentials, as HTTP_AUTHORIZATION and
HTTP_PROXY_AUTHORIZATION?

## Example
    <Location /api>
        CGIPassAuth On
    </Location>
",
    set: Set::Flag(|at, on| {
        at.dir.core().cgi_pass_auth = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CGI_VAR: Directive = Directive {
    name: "CGIVar",
    syntax: "variable rule",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "REQUEST_URI original-uri",
    summary: "Controls how some CGI variables are set",
    docs: r"
REQUEST_URI after an internal redirect: as the client sent it (`original-uri`) or as it
is now (`current-uri`).

## Example
    CGIVar REQUEST_URI original-uri
",
    set: Set::Two(|at, variable, rule| {
        if &variable.bytes[..] != b"REQUEST_URI" {
            let message = format!("Invalid environment variable {}", variable.lossy());
            return Err(Problem::from(message).at(variable.span));
        }
        let current = match &rule.bytes[..] {
            b"current-uri" => true,
            b"original-uri" => false,
            _ => {
                let message = format!("Invalid rule for REQUEST_URI: {}", rule.lossy());
                return Err(Problem::from(message).at(rule.span));
            }
        };
        at.dir.core().request_uri_current = Some(current);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static QUALIFY_REDIRECT_URL: Directive = Directive {
    name: "QualifyRedirectURL",
    syntax: "On|Off",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "Off",
    summary: "Controls whether the REDIRECT_URL environment variable is fully qualified",
    docs: r"
Is REDIRECT_URL a whole URL, with scheme and host?

## Example
    QualifyRedirectURL Off
",
    set: Set::Flag(|at, on| {
        at.dir.core().qualify_redirect_url = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};
