//! Caddy: a Caddyfile.

use std::collections::BTreeSet;

use super::plan::{Content, Place, by_file, of_name, places, suffixes};
use crate::convert::model::{App, Host, Matcher, Rule, Site};
use crate::convert::shield::is_closed;

pub(super) fn text(site: &Site) -> String {
    let mut out = "{\n\tadmin off\n\tauto_https off\n".to_owned();
    // Caddy speaks no plain HTTP on the port that it takes for HTTPS, and the reverse.
    let is_odd = |tls: bool, odd: &str| {
        let mut hosts = site.hosts.iter().filter(|host| host.tls.is_some() == tls);
        hosts.any(|host| host.listens.iter().any(|(_, port)| port.to_string() == odd))
    };
    if is_odd(false, "443") {
        out += "\thttps_port 65535\n";
    }
    if is_odd(true, "80") {
        out += "\thttp_port 65534\n";
    }
    out += "}\n";
    let mut taken = BTreeSet::new();
    for host in &site.hosts {
        let scheme = if host.tls.is_some() { "https" } else { "http" };
        let names: Vec<&str> = host.names.iter().map(String::as_str).collect();
        // The first host of a port answers whoever asks it for anything else.
        let mut addresses = Vec::new();
        for (_, port) in &host.listens {
            for name in names.iter().copied().chain([""]) {
                let address = format!("{scheme}://{name}:{port}");
                if !name.contains('?') && taken.insert(address.clone()) {
                    addresses.push(address);
                }
            }
        }
        if !addresses.is_empty() {
            out +=
                &format!("{} {{\n{}}}\n", addresses.join(", "), Writer::host(site, host));
        }
    }
    out
}

fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A pattern between backquotes, where nothing has a meaning of its own.
fn pattern(pattern: &str) -> String {
    if pattern.contains('`') { quoted(pattern) } else { format!("`{pattern}`") }
}

/// Lines, and the number of the next matcher.
struct Writer {
    out: String,
    next: usize,
}

impl Writer {
    fn host(site: &Site, host: &Host) -> String {
        let mut w = Writer { out: String::new(), next: 1 };
        let ips: BTreeSet<&str> = host.listens.iter().map(|(ip, _)| &ip[..]).collect();
        if !ips.contains("") {
            let ips: Vec<&str> =
                ips.iter().map(|ip| ip.trim_matches(['[', ']'])).collect();
            w.line(1, &format!("bind {}", ips.join(" ")));
        }
        if let Some((certificate, key)) = &host.tls {
            w.line(1, &format!("tls {} {}", quoted(certificate), quoted(key)));
        }
        w.line(1, &format!("root * {}", quoted(&host.root)));
        if let Some(file) = &host.access_log {
            w.line(1, &format!("log {{\n\t\toutput file {}\n\t}}", quoted(file)));
        }
        if let Some(limit) = host.body_limit {
            w.line(1, &format!("request_body {{\n\t\tmax_size {limit}\n\t}}"));
        }
        for (status, url) in &host.errors {
            w.line(1, &format!("handle_errors {status} {{"));
            w.line(2, &format!("rewrite * {url}\n\t\tfile_server\n\t}}"));
        }
        w.line(1, "route {");
        for (name, value) in &host.headers {
            w.line(2, &format!("header {name} {}", quoted(value)));
        }
        for (status, from, to) in &host.redirects {
            let name = w.matcher(2, &format!("path_regexp {{name}} {}", pattern(from)));
            let to = (0..=9).fold(to.clone(), |to, n| {
                to.replace(&format!("${n}"), &format!("{{re.{name}.{n}}}"))
            });
            w.line(2, &format!("redir @{name} {} {status}", quoted(&to)));
        }
        for guard in &host.guards {
            let from = match &guard.matcher {
                Matcher::Prefix(_) => continue,
                Matcher::Path(from) => from.clone(),
                Matcher::Name(from) => of_name(from, "(?:/.*)?"),
            };
            let name = w.matcher(2, &format!("path_regexp {{name}} {}", pattern(&from)));
            w.line(2, &format!("respond @{name} 403"));
        }
        for place in places(host) {
            w.place(site, host, &place);
        }
        w.line(1, "}");
        w.out
    }

    fn line(&mut self, depth: usize, text: &str) {
        self.out += &format!("{}{text}\n", "\t".repeat(depth));
    }

    /// A matcher with a name of its own.
    fn matcher(&mut self, depth: usize, text: &str) -> String {
        let name = format!("m{}", self.next);
        self.next += 1;
        self.line(depth, &format!("@{name} {}", text.replace("{name}", &name)));
        name
    }

    fn place(&mut self, site: &Site, host: &Host, place: &Place) {
        let prefix = crate::convert::read::escaped(place.prefix);
        if prefix.is_empty() {
            self.line(2, "handle {");
        } else {
            let text =
                format!("path_regexp {{name}} {}", pattern(&format!("^{prefix}(/.*)?$")));
            let name = self.matcher(2, &text);
            self.line(2, &format!("handle @{name} {{"));
        }
        self.line(3, "route {");
        match place.rule {
            Rule::Granted => {}
            Rule::Addresses(addresses) => {
                let text = format!("not remote_ip {}", addresses.join(" "));
                let name = self.matcher(4, &text);
                self.line(4, &format!("respond @{name} 403"));
            }
            Rule::Denied | Rule::Users { .. } => self.line(4, "respond 403"),
        }
        match place.content {
            Content::Script(url, app) => self.script(host, url, &site.apps[app]),
            Content::Alias(url, dir) => {
                for route in by_file(host) {
                    if let Matcher::Name(name) = &route.matcher {
                        let from = pattern(&of_name(name, "(?:/.*)?"));
                        let name =
                            self.matcher(4, &format!("path_regexp {{name}} {from}"));
                        self.line(4, &format!("respond @{name} 403"));
                    }
                }
                self.line(4, &format!("uri strip_prefix {url}"));
                self.line(
                    4,
                    &format!(
                        "file_server {{\n\t\t\t\t\troot {}\n\t\t\t\t\tindex {}\n\t\t\t\t}}",
                        quoted(dir),
                        host.index.join(" ")
                    ),
                );
            }
            Content::Files => {
                for route in by_file(host) {
                    self.by_file(
                        host,
                        &site.apps[route.app],
                        &route.matcher,
                        place.prefix,
                    );
                }
                let index = host.index.join(" ");
                self.line(
                    4,
                    &format!("file_server {{\n\t\t\t\t\tindex {index}\n\t\t\t\t}}"),
                );
            }
        }
        self.line(3, "}");
        self.line(2, "}");
    }

    fn script(&mut self, host: &Host, url: &str, app: &App) {
        let from = pattern(&format!("^{}(/.*)?$", crate::convert::read::escaped(url)));
        let name = self.matcher(4, &format!("path_regexp {{name}} {from}"));
        let own = [
            ("SCRIPT_FILENAME", app.path.clone()),
            ("SCRIPT_NAME", url.to_owned()),
            ("PATH_INFO", format!("{{re.{name}.1}}")),
        ];
        self.pass(&format!("@{name}"), host, app, &[], &own);
    }

    fn by_file(&mut self, host: &Host, app: &App, matcher: &Matcher, prefix: &str) {
        match matcher {
            Matcher::Name(name) => {
                let from = pattern(&of_name(name, "(?:/.*)?"));
                let matcher = self.matcher(4, &format!("path_regexp {{name}} {from}"));
                self.index(host, name);
                self.pass(&format!("@{matcher}"), host, app, &suffixes(name), &[]);
            }
            Matcher::Path(path) => {
                let from = pattern(path);
                let matcher = self.matcher(4, &format!("path_regexp {{name}} {from}"));
                self.pass(&format!("@{matcher}"), host, app, &[], &[]);
            }
            Matcher::Prefix(other) if other == prefix => {
                self.pass("", host, app, &[], &[]);
            }
            Matcher::Prefix(_) => {}
        }
    }

    /// A directory's script is found before it is asked for.
    fn index(&mut self, host: &Host, name: &str) {
        if let [suffix, ..] = &suffixes(name)[..]
            && !is_closed(host, &format!("index{suffix}"))
        {
            let text = format!("file {{path}}index{suffix}");
            let matcher = self.matcher(4, &text);
            self.line(4, &format!("rewrite @{matcher} {{path}}index{suffix}"));
        }
    }

    fn pass(
        &mut self,
        matcher: &str,
        host: &Host,
        app: &App,
        split: &[String],
        own: &[(&str, String)],
    ) {
        let address = app.address.replacen("unix:", "unix/", 1);
        let flush = if app.flush { "\t\t\t\t\tflush_interval -1\n" } else { "" };
        self.line(4, &format!("reverse_proxy {matcher} {address} {{").replace("  ", " "));
        self.out += flush;
        self.line(5, "transport fastcgi {");
        self.line(6, &format!("root {}", quoted(&host.root)));
        if !split.is_empty() {
            self.line(6, &format!("split {}", split.join(" ")));
        }
        for (name, value) in own.iter().map(|(name, value)| (*name, value.as_str())) {
            self.line(6, &format!("env {name} {}", quoted(value)));
        }
        for (name, value) in &host.env {
            self.line(6, &format!("env {name} {}", quoted(value)));
        }
        if let Some(seconds) = app.idle_timeout {
            self.line(
                6,
                &format!("read_timeout {seconds}s\n\t\t\t\t\t\twrite_timeout {seconds}s"),
            );
        }
        if let Some(seconds) = app.connect_timeout.filter(|seconds| *seconds > 0) {
            self.line(6, &format!("dial_timeout {seconds}s"));
        }
        self.line(5, "}");
        self.line(4, "}");
    }
}
