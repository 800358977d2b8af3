//! nginx: `nginx.conf`, whole.

use super::plan::{Content, Place, by_file, of_name, places};
use crate::convert::model::{App, Host, Matcher, Rule, Site};

pub(super) fn text(site: &Site) -> String {
    let mut out = String::new();
    if let Some(user) = &site.user {
        let group =
            site.group.as_ref().map(|group| format!(" {group}")).unwrap_or_default();
        out += &format!("user {user}{group};\n");
    }
    out += "events {\n}\nhttp {\n    include /etc/nginx/mime.types;\n    default_type \
            application/octet-stream;\n";
    site.hosts.iter().for_each(|host| out += &server(site, host));
    out + "}\n"
}

/// A word in quotes.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A pattern in quotes: its backslashes are its own.
fn pattern(pattern: &str) -> String {
    format!("\"{}\"", pattern.replace('"', "\\\""))
}

fn server(site: &Site, host: &Host) -> String {
    let mut lines = Vec::new();
    let tls = if host.tls.is_some() { " ssl" } else { "" };
    for (ip, port) in &host.listens {
        let colon = if ip.is_empty() { "" } else { ":" };
        lines.push(format!("listen {ip}{colon}{port}{tls};"));
    }
    let names =
        if host.names.is_empty() { "\"\"".to_owned() } else { host.names.join(" ") };
    lines.push(format!("server_name {names};"));
    if let Some((certificate, key)) = &host.tls {
        lines.push(format!("ssl_certificate {};", quoted(certificate)));
        lines.push(format!("ssl_certificate_key {};", quoted(key)));
    }
    lines.push(format!("root {};", quoted(&host.root)));
    lines.push(format!("index {};", host.index.join(" ")));
    if let Some(file) = &host.error_log {
        lines.push(format!("error_log {};", quoted(file)));
    }
    if let Some(file) = &host.access_log {
        lines.push(format!("access_log {} combined;", quoted(file)));
    }
    if let Some(limit) = host.body_limit {
        lines.push(format!("client_max_body_size {limit};"));
    }
    for (name, value) in &host.headers {
        lines.push(format!("add_header {name} {} always;", quoted(value)));
    }
    for (status, url) in &host.errors {
        lines.push(format!("error_page {status} {url};"));
    }
    for (status, from, to) in &host.redirects {
        lines.push(format!("if ($uri ~ {}) {{", pattern(from)));
        lines.push(format!("    return {status} {};", quoted(to)));
        lines.push("}".to_owned());
    }
    for guard in &host.guards {
        let from = match &guard.matcher {
            Matcher::Prefix(_) => continue,
            Matcher::Path(from) => from.clone(),
            Matcher::Name(from) => of_name(from, "(?:/.*)?"),
        };
        // Only denials come here, and what cannot be said is one.
        lines.push(format!("if ($uri ~ {}) {{", pattern(&from)));
        lines.push("    return 403;".to_owned());
        lines.push("}".to_owned());
    }
    for place in places(host) {
        let below = location(site, host, &place);
        let mut bodies = Vec::new();
        if place.prefix.is_empty() {
            bodies.push(("location /".to_owned(), below));
        } else {
            let exact = quoted(place.prefix);
            bodies.push((format!("location = {exact}"), itself(&below, host, &place)));
            bodies.push((
                format!("location ^~ {}", quoted(&format!("{}/", place.prefix))),
                below,
            ));
        }
        for (head, body) in bodies {
            lines.push(format!("{head} {{"));
            lines.extend(body.iter().map(|line| format!("    {line}")));
            lines.push("}".to_owned());
        }
    }
    let lines: String = lines.iter().map(|line| format!("        {line}\n")).collect();
    format!("    server {{\n{lines}    }}\n")
}

/// The path itself: there are no patterns within one, and a script's source is nobody's.
fn itself(below: &[String], host: &Host, place: &Place) -> Vec<String> {
    if !below.iter().any(|line| line.starts_with("location ")) {
        return below.to_vec();
    }
    let may_be_script = by_file(host).next().is_some() && place.prefix.contains('.');
    let mut lines = rule(place.rule);
    if may_be_script {
        lines.push("return 403;".to_owned());
    } else if let Content::Alias(url, dir) = place.content {
        lines.push(format!(
            "alias {};",
            quoted(&format!("{dir}{}", &place.prefix[url.len()..]))
        ));
    }
    lines
}

fn location(site: &Site, host: &Host, place: &Place) -> Vec<String> {
    let mut lines = rule(place.rule);
    if *place.rule == Rule::Denied {
        return lines;
    }
    match place.content {
        Content::Script(prefix, app) => {
            let app = &site.apps[app];
            let front = crate::convert::read::escaped(prefix);
            lines.push(format!(
                "fastcgi_split_path_info {};",
                pattern(&format!("^({front})(/.*)?$"))
            ));
            lines.extend(parameters(host, app, &quoted(&app.path)));
            lines.extend(pass(app));
        }
        Content::Alias(url, dir) => {
            // Below the alias: the rest of the path behind it.
            let rest = &place.prefix[url.len()..];
            lines.push(format!("alias {};", quoted(&format!("{dir}{rest}"))));
            for route in by_file(host) {
                if let Matcher::Name(name) = &route.matcher {
                    // Its script's file cannot be said, and its source is nobody's.
                    lines.push(format!(
                        "location ~ {} {{",
                        pattern(&of_name(name, "(?:/.*)?"))
                    ));
                    lines.push("    return 403;".to_owned());
                    lines.push("}".to_owned());
                }
            }
        }
        Content::Files => {
            for route in by_file(host) {
                lines.extend(scripts(
                    host,
                    &site.apps[route.app],
                    &route.matcher,
                    place.prefix,
                ));
            }
        }
    }
    lines
}

/// Files that are scripts.
fn scripts(host: &Host, app: &App, matcher: &Matcher, prefix: &str) -> Vec<String> {
    let (head, split) = match matcher {
        Matcher::Name(name) => {
            let path = of_name(name, "(?:/.*)?");
            let split =
                format!("^(.*?{})(/.*)?$", of_name(name, "").trim_end_matches('$'));
            (format!("location ~ {}", pattern(&path)), split)
        }
        Matcher::Path(path) => {
            (format!("location ~ {}", pattern(path)), "^(.+?)(/.*)?$".to_owned())
        }
        Matcher::Prefix(other) if other == prefix => {
            let mut lines = parameters(host, app, "$document_root$fastcgi_script_name");
            lines.extend(pass(app));
            return lines;
        }
        Matcher::Prefix(_) => return Vec::new(),
    };
    let mut inner = vec![format!("fastcgi_split_path_info {};", pattern(&split))];
    inner.push("try_files $fastcgi_script_name =404;".to_owned());
    inner.extend(parameters(host, app, "$document_root$fastcgi_script_name"));
    inner.extend(pass(app));
    let mut lines = vec![format!("{head} {{")];
    lines.extend(inner.iter().map(|line| format!("    {line}")));
    lines.push("}".to_owned());
    lines
}

fn rule(rule: &Rule) -> Vec<String> {
    match rule {
        Rule::Granted => Vec::new(),
        Rule::Denied => vec!["deny all;".to_owned()],
        Rule::Addresses(addresses) => {
            let allow = addresses.iter().map(|address| format!("allow {address};"));
            allow.chain(["deny all;".to_owned()]).collect()
        }
        Rule::Users { realm, file } => vec![
            format!("auth_basic {};", quoted(realm)),
            format!("auth_basic_user_file {};", quoted(file)),
        ],
    }
}

/// The variables that CGI has, and the host's own.
fn parameters(host: &Host, app: &App, script: &str) -> Vec<String> {
    let mut lines = vec![
        "include /etc/nginx/fastcgi_params;".to_owned(),
        format!("fastcgi_param SCRIPT_FILENAME {script};"),
        "fastcgi_param SCRIPT_NAME $fastcgi_script_name;".to_owned(),
        "fastcgi_param PATH_INFO $fastcgi_path_info;".to_owned(),
    ];
    for (name, value) in &host.env {
        lines.push(format!("fastcgi_param {name} {};", quoted(value)));
    }
    if let Some(seconds) = app.idle_timeout {
        lines.push(format!("fastcgi_read_timeout {seconds}s;"));
        lines.push(format!("fastcgi_send_timeout {seconds}s;"));
    }
    if let Some(seconds) = app.connect_timeout.filter(|seconds| *seconds > 0) {
        lines.push(format!("fastcgi_connect_timeout {seconds}s;"));
    }
    if app.flush {
        lines.push("fastcgi_buffering off;".to_owned());
    }
    lines
}

fn pass(app: &App) -> [String; 1] {
    [format!("fastcgi_pass {};", app.address)]
}
