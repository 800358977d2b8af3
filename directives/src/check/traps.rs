//! The traps.

use super::{Placed, words};
use crate::Compiled;
use crate::bundle::Files;
use crate::convert::edit::backend;
use crate::convert::name_of;
use crate::diagnostic::{Diagnostic, codes};
use crate::expand::Item;
use crate::modules::fastcgi::{App, Kind, app};
use crate::path;

pub(super) fn find(
    compiled: &Compiled,
    all: &[Placed],
    files: &dyn Files,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for one in all {
        let next = match one.name.as_str() {
            "fastcgiipcdir" => ipc_dir(compiled, one),
            "fastcgiwrapper" | "fastcgisuexec" => wrapper(one, all),
            "gatewayservice" => gateway(one, &compiled.items),
            "addhandler" => suffixes(one, all),
            "proxypass" => proxied(one, one.word(1), all),
            "sethandler" => proxied(one, one.word(0), all),
            "fastcgiauthenticator" | "fcgidauthenticator" => unasked(one),
            name if DEFINITIONS.contains(&name) => {
                found.extend(authorization(one, all));
                found.extend(idle(one, all));
                script_filename(compiled, one, all, files)
            }
            _ => None,
        };
        found.extend(next);
    }
    found
}

/// An authenticator beside `AuthType Digest`.
fn unasked(one: &Placed) -> Option<Diagnostic> {
    let body = one.around.last()?.body.as_deref()?;
    let is_digest = |item: &Item| {
        name_of(item) == "authtype"
            && words(item).first().is_some_and(|word| word.eq_ignore_ascii_case("digest"))
    };
    if !body.iter().any(is_digest) {
        return None;
    }
    let message = "with AuthType Digest it is not asked: clients send no password that it \
                   could look at, and AuthDigestProvider decides";
    let help = "AuthType Basic, over TLS";
    Some(one.found(&codes::CHECK_AUTHENTICATOR, message.to_owned()).help(help))
}

const DEFINITIONS: [&str; 4] =
    ["fastcgiserver", "appclass", "fastcgiexternalserver", "externalappclass"];

/// Directories that everybody may write to, and that are swept.
const FOR_EVERYBODY: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/private/tmp"];

fn ipc_dir(compiled: &Compiled, one: &Placed) -> Option<Diagnostic> {
    let dir = path::server_relative(&compiled.server_root, one.word(0).as_bytes())?;
    let dir = String::from_utf8_lossy(&dir).into_owned();
    let below = |base: &&&str| {
        dir.strip_prefix(**base)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let base = FOR_EVERYBODY.iter().find(below)?;
    let message = format!(
        "{dir} is below {base}: what sweeps old files there removes the sockets of running \
         applications, and everybody can make files of their names first"
    );
    let help = "a directory below /run or /var/run that only the server may write to";
    Some(one.found(&codes::CHECK_IPC_DIR, message).help(help))
}

fn wrapper(one: &Placed, all: &[Placed]) -> Option<Diagnostic> {
    if one.word(0).eq_ignore_ascii_case("off") {
        return None;
    }
    let external = all.iter().find(|other| {
        other.name == "fastcgiexternalserver" || other.name == "externalappclass"
    })?;
    let message = format!(
        "with a wrapper an application is a path, a user and a group, also {}, which \
         somebody else runs: a request of another user than its definition's does not find it",
        external.word(0)
    );
    let mut found = one.found(&codes::CHECK_WRAPPER, message);
    found.also.push((external.item.name_span, "run by somebody else".to_owned()));
    Some(found.help("-user and -group at the definition, or no wrapper"))
}

/// Is there a `GatewayTrust` beside it or around it?
fn gateway(one: &Placed, items: &[Item]) -> Option<Diagnostic> {
    if one.word(0).eq_ignore_ascii_case("off") {
        return None;
    }
    let trusts =
        |items: &[Item]| items.iter().any(|item| name_of(item) == "gatewaytrust");
    let bodies = one.around.iter().map(|item| item.body.as_deref().unwrap_or_default());
    if std::iter::once(items).chain(bodies).any(trusts) {
        return None;
    }
    let message = "GatewayService without GatewayTrust answers nobody but with 403: there is \
                   nobody whose word about a request is taken";
    let help = "GatewayTrust with the addresses of the servers that ask";
    Some(one.found(&codes::CHECK_GATEWAY_TRUST, message.to_owned()).help(help))
}

/// `AddHandler` looks at every suffix of a name: `evil.php.jpg` is run.
fn suffixes(one: &Placed, all: &[Placed]) -> Option<Diagnostic> {
    let handler = one.word(0);
    let runs = ["fastcgi-script", "fcgid-script", "cgi-script"].contains(&handler)
        || handler.contains("php")
        || all.iter().any(|other| other.name == "action" && other.word(0) == handler);
    // A section for names that end so has looked already.
    let by_end = one.around.iter().any(|section| {
        name_of(section).starts_with("<files")
            && words(section).iter().any(|word| word.ends_with('$'))
    });
    if !runs || by_end {
        return None;
    }
    let suffix = one.word(1).trim_start_matches('.');
    let message = format!(
        "AddHandler {handler} .{suffix} is for every name with this suffix anywhere: \
         evil.{suffix}.jpg is run, too"
    );
    let help = format!(
        "<FilesMatch \"\\.{suffix}$\"> SetHandler {handler} </FilesMatch> instead"
    );
    Some(one.found(&codes::CHECK_DOUBLE_EXTENSION, message).help(help))
}

/// Words of paths and URLs of programs that look at credentials themselves.
const ASK_THEMSELVES: [&str; 22] = [
    "api",
    "caldav",
    "carddav",
    "dav",
    "git",
    "gitea",
    "nextcloud",
    "oauth",
    "oauth2",
    "openid",
    "owncloud",
    "radosgw",
    "registry",
    "remote",
    "rest",
    "restconf",
    "rgw",
    "rt",
    "s3",
    "svn",
    "token",
    "webdav",
];

/// Words of paths and URLs of what takes long.
const TAKE_LONG: [&str; 16] = [
    "backup", "batch", "cron", "deploy", "events", "export", "import", "long",
    "longpoll", "report", "reports", "slow", "sse", "stream", "sync", "upload",
];

/// The words of a path that are listed.
fn listed<'a>(text: &str, list: &[&'a str]) -> Option<&'a str> {
    let lower = text.to_ascii_lowercase();
    let mut parts = lower.split(|c: char| !c.is_ascii_alphanumeric());
    parts.find_map(|part| list.iter().find(|word| **word == part).copied())
}

/// What leads to an application: its path, and the URLs of aliases to it.
fn names<'a>(one: &'a Placed, all: &'a [Placed]) -> Vec<&'a str> {
    let app = one.word(0);
    let leads = |other: &&Placed| {
        ["alias", "scriptalias"].contains(&other.name.as_str())
            && (app.starts_with(other.word(1)) || other.word(1).starts_with(app))
    };
    let urls = all.iter().filter(leads).map(|other| other.word(0));
    std::iter::once(app).chain(urls).collect()
}

/// Is the field handed on by other means: rewriting, a variable, `CGIPassAuth`?
fn passes_otherwise(all: &[Placed]) -> bool {
    all.iter().any(|one| match one.name.as_str() {
        "cgipassauth" => one.word(0).eq_ignore_ascii_case("on"),
        "rewriterule" | "setenvif" | "setenvifnocase" | "proxyfcgisetenvif" => one
            .words
            .iter()
            .any(|word| word.to_ascii_lowercase().contains("http_authorization")),
        _ => false,
    })
}

fn credentials(one: &Placed, why: &str, help: &str) -> Diagnostic {
    let message = format!(
        "the field Authorization is not passed to it; {why} looks as if it asked for \
         credentials itself"
    );
    one.found(&codes::CHECK_AUTHORIZATION, message).help(help)
}

fn authorization(one: &Placed, all: &[Placed]) -> Option<Diagnostic> {
    let has = one.words.windows(2).any(|pair| {
        pair[0].eq_ignore_ascii_case("-pass-header")
            && pair[1].eq_ignore_ascii_case("authorization")
    });
    if has || passes_otherwise(all) {
        return None;
    }
    let names = names(one, all);
    let name =
        names.iter().find_map(|name| listed(name, &ASK_THEMSELVES).map(|_| *name))?;
    Some(credentials(one, name, "-pass-header Authorization at its definition"))
}

/// The same for applications that mod_proxy_fcgi leads to.
fn proxied(one: &Placed, target: &str, all: &[Placed]) -> Option<Diagnostic> {
    let is_handler = one.name == "sethandler";
    if (is_handler && !target.starts_with("proxy:")) || backend(target).is_none() {
        return None;
    }
    if !passes_otherwise(all) {
        let own = if is_handler { "" } else { one.word(0) };
        let sections = one.around.iter().flat_map(|section| words(section));
        let mut names = std::iter::once(own.to_owned()).chain(sections);
        if let Some(name) = names.find(|name| listed(name, &ASK_THEMSELVES).is_some()) {
            return Some(credentials(one, &name, "CGIPassAuth On in its section"));
        }
    }
    let host = target.split("fcgi://").nth(1).unwrap_or_default();
    let host = host.split(['/', '|']).next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let local = target.contains("unix:")
        || ["localhost", "[::1]"].contains(&host)
        || host.starts_with("127.");
    if local || !is_handler {
        return None;
    }
    Some(elsewhere(one, host))
}

fn elsewhere(one: &Placed, host: &str) -> Diagnostic {
    let message = format!(
        "the application runs on {host}, and is told paths of this machine: \
         SCRIPT_FILENAME names no file there unless the same tree is mounted at the same place"
    );
    let help = "mount the documents there under the same path, or give it its own files";
    one.found(&codes::CHECK_SCRIPT_FILENAME, message).help(help)
}

fn idle(one: &Placed, all: &[Placed]) -> Option<Diagnostic> {
    if one.words.iter().any(|word| word.eq_ignore_ascii_case("-idle-timeout")) {
        return None;
    }
    let names = names(one, all);
    let by_name = names
        .iter()
        .find_map(|name| listed(name, &TAKE_LONG).map(|_| (*name).to_owned()));
    let limit = || {
        let option = one.words.iter().find(|word| {
            let (name, value) = word.split_once('=').unwrap_or_default();
            let name = name.to_ascii_lowercase();
            (name.contains("timeout") || name.contains("max_execution_time"))
                && value.parse::<u32>().is_ok_and(|seconds| seconds > DEFAULT_IDLE)
        });
        let value = all.iter().find(|other| {
            ["php_value", "php_admin_value"].contains(&other.name.as_str())
                && other.word(0).eq_ignore_ascii_case("max_execution_time")
                && other
                    .word(1)
                    .parse::<u32>()
                    .is_ok_and(|seconds| seconds > DEFAULT_IDLE)
        });
        option.cloned().or_else(|| value.map(|value| value.words.join(" ")))
    };
    let hint = by_name.or_else(limit)?;
    let message = format!(
        "it has {DEFAULT_IDLE} seconds between two pieces of an answer, and {hint} may take \
         longer: such requests end with an error"
    );
    let help = "-idle-timeout with as many seconds as the longest request is silent";
    Some(one.found(&codes::CHECK_IDLE, message).help(help))
}

/// `-idle-timeout` where it is not given: seconds.
const DEFAULT_IDLE: u32 = 30;

/// An application on another machine that files of this one are given to.
fn script_filename(
    compiled: &Compiled,
    one: &Placed,
    all: &[Placed],
    files: &dyn Files,
) -> Option<Diagnostic> {
    let snapshot = compiled.snapshot.as_ref()?;
    let file = path::server_relative(&compiled.server_root, one.word(0).as_bytes())?;
    let apps = snapshot.process.fastcgi.apps().iter();
    let app: &App = apps.clone().find(|app| *app.path == file[..])?;
    let host = match (&app.kind, &app.address) {
        (Kind::External, app::Address::Tcp(addresses)) => {
            let mut local = addresses.iter();
            if local.any(|address| address.ip().is_loopback()) {
                return None;
            }
            app.settings.host.as_ref().map(|(name, _)| name.clone())?
        }
        _ => return None,
    };
    // Scripts of its own, by name: an Action leads to it, or its path is a file here.
    let gate = |url: &str| {
        all.iter().any(|alias| {
            ["alias", "scriptalias"].contains(&alias.name.as_str())
                && url.strip_prefix(alias.word(0)).is_some_and(|rest| {
                    let to = format!("{}{rest}", alias.word(1));
                    to.trim_end_matches('/') == one.word(0).trim_end_matches('/')
                })
        })
    };
    let acted = all.iter().any(|other| other.name == "action" && gate(other.word(1)));
    (acted || files.stat(&file).is_ok()).then(|| elsewhere(one, &host))
}
