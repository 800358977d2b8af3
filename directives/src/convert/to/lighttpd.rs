//! lighttpd 1.4: `lighttpd.conf`, whole.

use super::plan::{Content, Place, by_file, of_name, places, suffixes};
use crate::convert::model::{App, Host, Matcher, Rule, Site};
use crate::convert::read::escaped;

/// An address, a port, and a certificate with its key.
type Socket<'a> = (&'a String, u16, Option<&'a (String, String)>);

pub(super) fn text(site: &Site) -> String {
    let mut modules = vec![
        "mod_access",
        "mod_alias",
        "mod_redirect",
        "mod_setenv",
        "mod_auth",
        "mod_authn_file",
        "mod_fastcgi",
        "mod_accesslog",
    ];
    if site.hosts.iter().any(|host| host.tls.is_some()) {
        modules.push("mod_openssl");
    }
    let modules: Vec<String> = modules.iter().map(|module| quoted(module)).collect();
    let mut out = format!("server.modules = ( {} )\n", modules.join(", "));
    if let Some(user) = &site.user {
        out += &format!("server.username = {}\n", quoted(user));
    }
    if let Some(group) = &site.group {
        out += &format!("server.groupname = {}\n", quoted(group));
    }
    let mut sockets: Vec<Socket> = Vec::new();
    for host in &site.hosts {
        for (ip, port) in &host.listens {
            if !sockets.iter().any(|(other, p, _)| *other == ip && p == port) {
                sockets.push((ip, *port, host.tls.as_ref()));
            }
        }
    }
    if let Some(host) = site.hosts.first() {
        out += &format!("server.document-root = {}\n", quoted(&host.root));
        if let Some(file) = &host.error_log {
            out += &format!("server.errorlog = {}\n", quoted(file));
        }
        if let Some(limit) = host.body_limit {
            // In kilobytes.
            out += &format!("server.max-request-size = {}\n", limit.div_ceil(1024));
        }
    }
    out += "include_shell \"/usr/share/lighttpd/create-mime.conf.pl\"\n";
    let Some((first, others)) = sockets.split_first() else { return out };
    out += &format!("server.port = {}\n", first.1);
    if !first.0.is_empty() {
        out += &format!("server.bind = {}\n", quoted(first.0));
    }
    out += &tls(first.2, "");
    for (ip, port, pair) in others {
        let ip = if ip.is_empty() { "0.0.0.0" } else { ip };
        let inner = tls(*pair, "    ");
        out += &format!("$SERVER[\"socket\"] == \"{ip}:{port}\" {{\n{inner}}}\n");
    }
    for (index, host) in site.hosts.iter().enumerate() {
        let lines = settings(site, host);
        if index == 0 {
            // Whoever asks for another name is answered by the first host.
            out += &lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        } else {
            let names: Vec<String> =
                host.names.iter().map(|name| pattern_of(name)).collect();
            let names = names.join("|");
            let lines: String =
                lines.iter().map(|line| format!("    {line}\n")).collect();
            out +=
                &format!("$HTTP[\"host\"] =~ \"^({names})(:[0-9]+)?$\" {{\n{lines}}}\n");
        }
    }
    out
}

fn tls(pair: Option<&(String, String)>, blank: &str) -> String {
    let Some((certificate, key)) = pair else { return String::new() };
    format!(
        "{blank}ssl.engine = \"enable\"\n{blank}ssl.pemfile = {}\n{blank}ssl.privkey = {}\n",
        quoted(certificate),
        quoted(key)
    )
}

fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A pattern: backslashes are its own.
fn pattern(pattern: &str) -> String {
    format!("\"{}\"", pattern.replace('"', "\\\""))
}

fn pattern_of(name: &str) -> String {
    escaped(name).replace("\\*", "[^.]*").replace("\\?", ".")
}

fn settings(site: &Site, host: &Host) -> Vec<String> {
    let mut lines = vec![format!("server.document-root = {}", quoted(&host.root))];
    // What was said at the top may be said again only within a condition.
    if site.hosts.first().is_some_and(|first| std::ptr::eq(first, host)) {
        lines.clear();
    }
    let index: Vec<String> = host.index.iter().map(|name| quoted(name)).collect();
    lines.push(format!("index-file.names = ( {} )", index.join(", ")));
    if let Some(file) = &host.access_log {
        lines.push(format!("accesslog.filename = {}", quoted(file)));
    }
    let pairs = |pairs: &[(String, String)]| -> String {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{} => {}", quoted(name), quoted(value)))
            .collect();
        pairs.join(", ")
    };
    if !host.aliases.is_empty() {
        let ends = |(url, dir): &(String, String)| (format!("{url}/"), format!("{dir}/"));
        let aliases: Vec<_> = host.aliases.iter().map(ends).collect();
        lines.push(format!("alias.url = ( {} )", pairs(&aliases)));
    }
    if !host.env.is_empty() {
        lines.push(format!("setenv.add-environment = ( {} )", pairs(&host.env)));
    }
    if !host.headers.is_empty() {
        lines.push(format!("setenv.set-response-header = ( {} )", pairs(&host.headers)));
    }
    for (status, from, to) in &host.redirects {
        lines.push(format!("$HTTP[\"url\"] =~ {} {{", pattern(from)));
        lines.push(format!("    url.redirect-code = {status}"));
        lines.push(format!("    url.redirect = ( {} => {} )", pattern(from), quoted(to)));
        lines.push("}".to_owned());
    }
    lines.extend(scripts(site, host));
    let mut all = places(host);
    all.reverse();
    for place in &all {
        lines.extend(guard(place));
    }
    for guard in &host.guards {
        let from = match &guard.matcher {
            Matcher::Prefix(_) => continue,
            Matcher::Path(from) => from.clone(),
            Matcher::Name(from) => of_name(from, "(?:/.*)?"),
        };
        lines.push(format!("$HTTP[\"url\"] =~ {} {{", pattern(&from)));
        lines.push("    url.access-deny = ( \"\" )".to_owned());
        lines.push("}".to_owned());
    }
    lines
}

/// Who may come in at a prefix; later ones, which are longer, take precedence.
fn guard(place: &Place) -> Vec<String> {
    if place.prefix.is_empty() && *place.rule == Rule::Granted {
        return Vec::new();
    }
    let body = match place.rule {
        Rule::Granted => vec!["url.access-deny = ( )".to_owned()],
        Rule::Denied => vec!["url.access-deny = ( \"\" )".to_owned()],
        Rule::Addresses(addresses) => {
            let deny = vec!["url.access-deny = ( \"\" )".to_owned()];
            addresses.iter().rev().fold(deny, |inner, address| {
                let mut out =
                    vec![format!("$HTTP[\"remote-ip\"] != {} {{", quoted(address))];
                out.extend(inner.iter().map(|line| format!("    {line}")));
                out.push("}".to_owned());
                out
            })
        }
        Rule::Users { realm, file } => vec![
            "auth.backend = \"htpasswd\"".to_owned(),
            format!("auth.backend.htpasswd.userfile = {}", quoted(file)),
            format!(
                "auth.require = ( {} => ( \"method\" => \"basic\", \"realm\" => {}, \"require\" \
                 => \"valid-user\" ) )",
                quoted(if place.prefix.is_empty() { "/" } else { place.prefix }),
                quoted(realm)
            ),
        ],
    };
    let front = escaped(place.prefix);
    let mut lines =
        vec![format!("$HTTP[\"url\"] =~ {} {{", pattern(&format!("^{front}(/|$)")))];
    lines.extend(body.iter().map(|line| format!("    {line}")));
    lines.push("}".to_owned());
    lines
}

fn scripts(site: &Site, host: &Host) -> Vec<String> {
    let mut entries = Vec::new();
    let mut lines = Vec::new();
    for place in places(host) {
        if let Content::Script(url, app) = place.content
            && url == place.prefix
        {
            let key = if url.is_empty() { "/" } else { url };
            let root = if url.is_empty() {
                ", \"fix-root-scriptname\" => \"enable\""
            } else {
                ""
            };
            let more = format!(", \"check-local\" => \"disable\"{root}");
            entries.push(format!(
                "{} => (( {}{more} ))",
                quoted(key),
                options(&site.apps[app])
            ));
        }
    }
    for route in by_file(host) {
        let app = options(&site.apps[route.app]);
        match &route.matcher {
            Matcher::Name(name) if !suffixes(name).is_empty() => {
                for suffix in suffixes(name) {
                    entries.push(format!("{} => (( {app} ))", quoted(&suffix)));
                }
            }
            matcher => {
                let from = match matcher {
                    Matcher::Name(name) => of_name(name, "(?:/.*)?"),
                    Matcher::Path(path) => path.clone(),
                    Matcher::Prefix(prefix) => format!("^{}(/|$)", escaped(prefix)),
                };
                lines.push(format!("$HTTP[\"url\"] =~ {} {{", pattern(&from)));
                lines.push(format!("    fastcgi.server = ( \"/\" => (( {app} )) )"));
                lines.push("}".to_owned());
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    entries.retain(|entry| {
        let key = entry.split(" => ").next().unwrap_or_default().to_owned();
        seen.insert(key)
    });
    if !entries.is_empty() {
        lines
            .insert(0, format!("fastcgi.server = (\n    {}\n)", entries.join(",\n    ")));
    }
    lines.iter().flat_map(|line| line.split('\n')).map(str::to_owned).collect()
}

fn options(app: &App) -> String {
    let mut out = Vec::new();
    match app.address.strip_prefix("unix:") {
        Some(path) => out.push(format!("\"socket\" => {}", quoted(path))),
        None => {
            let (host, port) =
                app.address.rsplit_once(':').unwrap_or((&app.address, "80"));
            out.push(format!("\"host\" => {}, \"port\" => {port}", quoted(host)));
        }
    }
    if let Some(processes) = app.processes {
        out.push(format!("\"bin-path\" => {}", quoted(&app.path)));
        out.push(format!("\"max-procs\" => {processes}"));
        if !app.env.is_empty() {
            let pairs: Vec<String> = app
                .env
                .iter()
                .map(|(name, value)| format!("{} => {}", quoted(name), quoted(value)))
                .collect();
            out.push(format!("\"bin-environment\" => ( {} )", pairs.join(", ")));
        }
    }
    if let Some(seconds) = app.idle_timeout {
        out.push(format!("\"read-timeout\" => {seconds}"));
    }
    if let Some(seconds) = app.connect_timeout.filter(|seconds| *seconds > 0) {
        out.push(format!("\"connect-timeout\" => {seconds}"));
    }
    out.join(", ")
}
