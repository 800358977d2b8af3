//! Where rewriting takes part in a request: `hook_uri2file`, `hook_fixup`,
//! `hook_mimetype`, `handler_redirect`.

use std::sync::Arc;

use bytes::Bytes;

use super::rule::{Applied, Rule};
use super::text::Need;
use super::{program, trace, uri};
use crate::log::Level;
use crate::modules::core::{OptionSet, expr_wants, translate};
use crate::modules::proxy;
use crate::phase::{DECLINED, Hook, Lookup, OK, Redirect, Verdict};
use crate::request::Request;
use crate::status;

/// The handler of a request that has to begin again.
pub const HANDLER: &[u8] = b"redirect-handler";

/// What a list of rules led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Nothing,
    Changed { no_escape: bool, status: Option<u16>, pass_through: bool, proxy: bool },
    Status(u16),
}

/// `apply_rewrite_list`.
fn apply(
    r: &mut Request,
    rules: &[Arc<Rule>],
    per_dir: Option<&[u8]>,
) -> Result<Outcome, Need> {
    let mut changed = Outcome::Nothing;
    let mut rounds = 0;
    let mut i = 0;
    while let Some(rule) = rules.get(i) {
        i += 1;
        let flags = &rule.flags;
        if flags.not_in_subrequests && r.main.is_some() {
            continue;
        }
        let applied = rule.apply(r, per_dir)?;
        if applied == Applied::No {
            if flags.chain {
                while rules.get(i - 1).is_some_and(|rule| rule.flags.chain) {
                    i += 1;
                }
            }
            continue;
        }
        if r.notes.has(b"rewrite-forbidden") {
            return Ok(Outcome::Status(403));
        }
        if let Some(status) = flags.final_status() {
            trace(r, 2, per_dir, |r| {
                let name = String::from_utf8_lossy(&r.filename);
                format!("forcing responsecode {status} for {name}")
            });
            return Ok(Outcome::Status(status));
        }
        if applied == Applied::Changed {
            changed = Outcome::Changed {
                no_escape: flags.no_escape,
                status: flags.status,
                pass_through: flags.pass_through,
                proxy: flags.proxy,
            };
        } else if flags.pass_through && changed == Outcome::Nothing {
            changed = Outcome::Changed {
                no_escape: flags.no_escape,
                status: None,
                pass_through: true,
                proxy: false,
            };
        }
        if flags.end {
            trace(r, 8, per_dir, |_| {
                "Rule has END flag, no further rewriting for this request".to_owned()
            });
            r.notes.set("rewrite-end", "1");
            break;
        }
        if flags.pass_through || flags.proxy || flags.last {
            break;
        }
        if let Some(most) = flags.rounds {
            rounds += 1;
            if rounds > most {
                let text = format!(
                    "RewriteRule '{}' and URI '{}' exceeded maximum number of rounds ({most}) \
                     via the [N] flag",
                    String::from_utf8_lossy(rule.source()),
                    String::from_utf8_lossy(&r.uri)
                );
                r.log(Level::Error, "rewrite", 2596, text);
                return Ok(Outcome::Status(500));
            }
            i = 0;
            continue;
        }
        i += flags.skip;
    }
    Ok(changed)
}

/// Runs the rules; what they need to know first is asked, and they begin again.
fn run(
    r: &mut Request,
    rules: &[Arc<Rule>],
    per_dir: Option<&[u8]>,
    hook: Hook,
) -> Result<Outcome, Verdict> {
    let maps = &r.server.config.rewrite;
    let may_ask =
        |rule: &Arc<Rule>| rule.may_ask || rule.asks_maps && maps.asks_programs();
    let before = rules.iter().any(may_ask).then(|| Before::of(r));
    program::rewind(r);
    match apply(r, rules, per_dir) {
        Ok(outcome) => {
            r.map_answers = None;
            Ok(outcome)
        }
        Err(need) => {
            let Some(before) = before else { return Err(Verdict::Status(500)) };
            before.restore(r);
            Err(match need {
                Need::Expr(want) => expr_wants(r, want, hook),
                Need::Program(question) => program::ask(r, question, hook),
                Need::Ahead(lookup) => {
                    r.resume = Some(hook);
                    Verdict::Look(lookup, looked_ahead)
                }
            })
        }
    }
}

fn looked_ahead(r: &mut Request, lookup: &Lookup, found: Box<Request>) -> Verdict {
    r.ahead.push((lookup.clone(), found));
    match r.resume.take() {
        Some(hook) => hook(r),
        None => Verdict::Status(500),
    }
}

/// What rules change, to be put back before they run again.
struct Before {
    filename: Vec<u8>,
    path_info: Vec<u8>,
    args: Option<Bytes>,
    env: crate::env::Env,
    notes: crate::env::Env,
    err_headers_out: crate::reply::Headers,
    lines: usize,
}

impl Before {
    fn of(r: &Request) -> Before {
        Before {
            filename: r.filename.clone(),
            path_info: r.path_info.clone(),
            args: r.args.clone(),
            env: r.env.clone(),
            notes: r.notes.clone(),
            err_headers_out: r.err_headers_out.clone(),
            lines: r.lines.len(),
        }
    }

    fn restore(self, r: &mut Request) {
        r.filename = self.filename;
        r.path_info = self.path_info;
        r.args = self.args;
        r.env = self.env;
        r.notes = self.notes;
        r.err_headers_out = self.err_headers_out;
        r.lines.truncate(self.lines);
    }
}

/// Has a rule with `END` ended it, here or before an internal redirect?
fn has_ended(r: &Request) -> bool {
    let mut at = Some(r);
    while let Some(r) = at {
        if r.notes.has(b"rewrite-end") {
            return true;
        }
        at = r.prev.as_deref();
    }
    false
}

/// The rules of the server, before the URL becomes a file name.
pub fn translate_name(r: &mut Request) -> Verdict {
    let server = r.server.clone();
    let config = &server.config.rewrite;
    if !config.is_on() || has_ended(r) {
        return DECLINED;
    }
    if r.uri.first() != Some(&b'/') && !config.options.allow_any_uri {
        return DECLINED;
    }
    script_variables(r);
    r.filename = r.uri.clone();
    let args = r.args.clone();
    trace(r, 2, None, |r| {
        format!(
            "init rewrite engine with requested uri {}",
            String::from_utf8_lossy(&r.filename)
        )
    });
    let outcome = match run(r, &config.rules, None, translate_name) {
        Ok(outcome) => outcome,
        Err(verdict) => {
            r.filename.clear();
            return verdict;
        }
    };
    match outcome {
        Outcome::Status(status) => {
            r.filename = r.uri.clone();
            Verdict::Status(status)
        }
        Outcome::Nothing => {
            trace(r, 1, None, |r| {
                format!("pass through {}", String::from_utf8_lossy(&r.filename))
            });
            r.filename.clear();
            DECLINED
        }
        Outcome::Changed { proxy: true, no_escape, .. } => to_proxy(r, no_escape, None),
        Outcome::Changed { no_escape, status, pass_through, .. } => {
            if let Some(scheme) = uri::scheme(&r.filename) {
                return redirect(r, scheme, no_escape, status, args.as_ref(), None);
            }
            if pass_through {
                r.uri = std::mem::take(&mut r.filename);
                return DECLINED;
            }
            local(r)
        }
    }
}

/// A path of the file system if its first part is there, otherwise one below the document
/// root.
fn local(r: &mut Request) -> Verdict {
    trace(r, 2, None, |r| {
        format!("local path result: {}", String::from_utf8_lossy(&r.filename))
    });
    if r.filename.first() != Some(&b'/') {
        return Verdict::Status(400);
    }
    // What the client may have put together is a file only below the document root.
    let is_safe =
        !r.notes.has(b"rewrite-prefix-stat") || r.filename.starts_with(r.document_root());
    if !(is_safe && is_there(r)) {
        let uri = std::mem::replace(&mut r.uri, r.filename.clone());
        let verdict = translate(r);
        r.uri = uri;
        if !matches!(verdict, Verdict::Ok) {
            trace(r, 1, None, |r| {
                let name = String::from_utf8_lossy(&r.filename);
                format!("prefixing with document_root of {name} FAILED")
            });
            return verdict;
        }
        trace(r, 2, None, |r| {
            let name = String::from_utf8_lossy(&r.filename);
            format!("prefixed with document_root to {name}")
        });
    }
    trace(r, 1, None, |r| {
        format!("go-ahead with {} [OK]", String::from_utf8_lossy(&r.filename))
    });
    OK
}

/// `prefix_stat`: is the first part of the path in the file system?
fn is_there(r: &Request) -> bool {
    let rest = &r.filename[1..];
    let end = rest.iter().position(|&b| b == b'/').map_or(r.filename.len(), |i| i + 1);
    r.files.stat(&r.filename[..end]).is_ok()
}

/// `SCRIPT_URL` and `SCRIPT_URI`.
fn script_variables(r: &mut Request) {
    let url = match r.env.get(b"REDIRECT_SCRIPT_URL") {
        Some(url) => url.clone(),
        None => Bytes::copy_from_slice(&r.uri),
    };
    let uri = r.construct_url(&url);
    r.env.set("SCRIPT_URL", url);
    r.env.set("SCRIPT_URI", uri);
}

/// `P`: another server answers.
fn to_proxy(r: &mut Request, no_escape: bool, per_dir: Option<&[u8]>) -> Verdict {
    let mut url = std::mem::take(&mut r.filename);
    if per_dir.is_none() {
        url.extend_from_slice(&r.path_info);
    }
    if no_escape {
        // What the rule made is passed on as it is, with its query.
        r.notes.set("proxy-nocanon", "1");
        if let Some(args) = &r.args {
            url.push(b'?');
            url.extend_from_slice(args);
        }
    }
    proxy::send_to(r, &url);
    trace(r, 1, per_dir, |r| {
        format!(
            "go-ahead with proxy request {} [OK]",
            String::from_utf8_lossy(&r.filename)
        )
    });
    OK
}

/// Tells the client where to go.
fn redirect(
    r: &mut Request,
    scheme: usize,
    no_escape: bool,
    status: Option<u16>,
    args: Option<&Bytes>,
    per_dir: Option<&[u8]>,
) -> Verdict {
    let mut url = std::mem::take(&mut r.filename);
    if !no_escape {
        trace(r, 1, per_dir, |_| {
            format!("escaping {} for redirect", String::from_utf8_lossy(&url))
        });
        url = uri::escape(&url, scheme);
    }
    if let Some(own) = &r.args {
        // The client's own query is escaped as it has to be already.
        let query = if no_escape || args == Some(own) {
            own.to_vec()
        } else {
            crate::path::escape_path(own)
        };
        if query.iter().any(|&b| b <= b' ' || b == 0x7f) {
            let text = "Rewritten query string contains control characters or spaces";
            r.log(Level::Error, "rewrite", 10_410, text);
            return Verdict::Status(403);
        }
        url.push(b'?');
        url.extend_from_slice(&query);
    }
    let status = status.filter(|status| status::is_redirect(*status)).unwrap_or(302);
    trace(r, 1, per_dir, |_| {
        format!("redirect to {} [REDIRECT/{status}]", String::from_utf8_lossy(&url))
    });
    // Whoever looks ahead is told the new place as a name.
    r.filename = if r.main.is_some() { url.clone() } else { r.uri.clone() };
    r.headers_out.set("Location", url);
    Verdict::Status(status)
}

/// The rules of directories and `.htaccess` files, once the file name is known.
pub fn fixup(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    let config = &dir.rewrite;
    if !config.is_on() || config.directory.is_empty() || has_ended(r) || r.proxyreq {
        return DECLINED;
    }
    let slash = config.directory.strip_suffix(b"/");
    if slash == Some(&r.filename[..]) && !config.options.allow_no_slash {
        return DECLINED;
    }
    if config.rules.is_empty() {
        return DECLINED;
    }
    if !dir.core.options.set.has(OptionSet::SYM_LINKS)
        && !dir.core.options.set.has(OptionSet::SYM_OWNER)
    {
        let name = String::from_utf8_lossy(&r.filename).into_owned();
        let text = format!(
            "Options FollowSymLinks and SymLinksIfOwnerMatch are both off, so the RewriteRule \
             directive is also forbidden due to its similar ability to circumvent directory \
             restrictions : {name}"
        );
        r.log(Level::Error, "rewrite", 670, text);
        return Verdict::Status(403);
    }
    let per_dir = Some(&config.directory[..]);
    let old = r.filename.clone();
    let args = r.args.clone();
    let outcome = match run(r, &config.rules, per_dir, fixup) {
        Ok(outcome) => outcome,
        Err(verdict) => return verdict,
    };
    match outcome {
        Outcome::Status(status) => {
            r.filename = old;
            Verdict::Status(status)
        }
        Outcome::Nothing => {
            trace(r, 1, per_dir, |_| {
                format!("pass through {}", String::from_utf8_lossy(&old))
            });
            r.filename = old;
            r.args = args;
            DECLINED
        }
        Outcome::Changed { proxy: true, no_escape, .. } => {
            to_proxy(r, no_escape, per_dir)
        }
        Outcome::Changed { no_escape, status, .. } => {
            if let Some(scheme) = uri::scheme(&r.filename) {
                base_of_redirect(r, scheme, config);
                return redirect(r, scheme, no_escape, status, args.as_ref(), per_dir);
            }
            if r.filename.first() != Some(&b'/') {
                return Verdict::Status(400);
            }
            if r.filename == old {
                trace(r, 1, per_dir, |_| {
                    let name = String::from_utf8_lossy(&old);
                    format!("initial URL equal rewritten URL: {name} [IGNORING REWRITE]")
                });
                return OK;
            }
            begin_again(r, config, per_dir);
            OK
        }
    }
}

/// In the path of a redirect the directory becomes the base URL.
fn base_of_redirect(r: &mut Request, scheme: usize, config: &super::Dir) {
    let Some(base) = &config.base else { return };
    let Some(slash) = r.filename[scheme..].iter().position(|&b| b == b'/') else {
        return;
    };
    let path = r.filename[scheme + slash..].to_vec();
    let new = replace_prefix(r, &path, &config.directory, base, Some(&config.directory));
    r.filename.truncate(scheme + slash);
    r.filename.extend_from_slice(&new);
}

/// A file name becomes a URL path again, for an internal redirect.
fn begin_again(r: &mut Request, config: &super::Dir, per_dir: Option<&[u8]>) {
    let old = r.filename.clone();
    if let Some(base) = &config.base {
        r.filename = replace_prefix(r, &old, &config.directory, base, per_dir);
    } else {
        let root = r.document_root();
        let root = root.strip_suffix(b"/").unwrap_or(root);
        if let Some(rest) = old.strip_prefix(root)
            && rest.first() == Some(&b'/')
        {
            let rest = rest.to_vec();
            trace(r, 2, per_dir, |_| {
                let (old, rest) =
                    (String::from_utf8_lossy(&old), String::from_utf8_lossy(&rest));
                format!("strip document_root prefix: {old} -> {rest}")
            });
            r.filename = rest;
        }
    }
    if r.filename == old
        && !config.options.ignore_context_info
        && let Some(root) = r.context_document_root.clone()
        && !r.context_prefix.is_empty()
    {
        let prefix = r.context_prefix.clone();
        trace(r, 2, per_dir, |_| {
            let (root, prefix) =
                (String::from_utf8_lossy(&root), String::from_utf8_lossy(&prefix));
            format!(
                "trying to replace context docroot {root} with context prefix {prefix}"
            )
        });
        r.filename = replace_prefix(r, &old, &root, &prefix, per_dir);
    }
    trace(r, 1, per_dir, |r| {
        format!(
            "internal redirect with {} [INTERNAL REDIRECT]",
            String::from_utf8_lossy(&r.filename)
        )
    });
    r.filename = [b"redirect:", &r.filename[..]].concat();
    r.handler = Some(Bytes::from_static(HANDLER));
}

/// `subst_prefix_path`.
fn replace_prefix(
    r: &mut Request,
    path: &[u8],
    from: &[u8],
    to: &[u8],
    per_dir: Option<&[u8]>,
) -> Vec<u8> {
    trace(r, 2, per_dir, |_| {
        let (from, to) = (String::from_utf8_lossy(from), String::from_utf8_lossy(to));
        format!("trying to replace prefix {from} with {to}")
    });
    let from = from.strip_suffix(b"/").unwrap_or(from);
    let to = to.strip_suffix(b"/").unwrap_or(to);
    match path.strip_prefix(from) {
        Some(rest) if rest.first() == Some(&b'/') => [to, rest].concat(),
        _ => path.to_vec(),
    }
}

/// Begins again where a directory's rules led.
pub fn handle(r: &mut Request) -> Verdict {
    if r.handler.as_deref() != Some(HANDLER) {
        return DECLINED;
    }
    let Some(path) = r.filename.strip_prefix(b"redirect:") else { return DECLINED };
    // The new request decodes its path.
    let mut uri = path.to_vec();
    if let Some(args) = &r.args {
        uri.push(b'?');
        uri.extend_from_slice(args);
    }
    Verdict::Redirect(Redirect { uri: uri.into(), content_type: None })
}

/// `T` and `H`.
pub fn types(r: &mut Request) -> Verdict {
    if let Some(mime) = r.notes.get(b"rewrite-forced-mimetype").cloned() {
        trace(r, 1, None, |r| {
            let name = String::from_utf8_lossy(&r.filename);
            let mime = String::from_utf8_lossy(&mime);
            format!("force filename {name} to have MIME-type '{mime}'")
        });
        r.content_type = Some(mime);
    }
    if let Some(handler) = r.notes.get(b"rewrite-forced-handler").cloned() {
        trace(r, 1, None, |r| {
            let name = String::from_utf8_lossy(&r.filename);
            let handler = String::from_utf8_lossy(&handler);
            format!("force filename {name} to have the Content-handler '{handler}'")
        });
        r.handler = Some(handler);
    }
    DECLINED
}
