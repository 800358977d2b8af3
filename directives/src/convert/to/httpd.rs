//! httpd with the modules that come with it: what it has stays, and what is mod_fastcgi's
//! becomes mod_proxy_fcgi's.

use std::collections::{BTreeSet, HashMap};

use super::Carried;
use super::head;
use crate::Compiled;
use crate::bundle::Files;
use crate::convert::edit::{Change, replaced};
use crate::convert::ledger::{Fate, Ledger};
use crate::convert::model::{App, Matcher, Route};
use crate::convert::target::Target;
use crate::convert::{name_of, quoted, words_of};
use crate::expand::Item;
use crate::known::{self, Known};
use crate::schema::lookup;
use crate::syntax::Span;

/// What was found out of the applications and what leads to them.
struct Writer {
    /// What stands in the place of a directive; nothing for one that goes.
    lines: HashMap<Span, Vec<String>>,
    modules: BTreeSet<&'static str>,
    ledger: Ledger,
    /// The URLs of aliases that lead to applications.
    gates: Vec<String>,
    out: String,
}

pub(super) fn carry(compiled: &Compiled, files: &dyn Files) -> Carried {
    let (site, facts) = crate::convert::read::read(compiled, Target::Httpd, files);
    let known = facts.entries(compiled);
    let mut w = Writer {
        lines: HashMap::new(),
        modules: BTreeSet::from(["mpm_event", "dir"]),
        ledger: Ledger::default(),
        gates: Vec::new(),
        out: String::new(),
    };
    let routes: Vec<(&Route, &App)> = site
        .hosts
        .iter()
        .flat_map(|host| &host.routes)
        .map(|route| (route, &site.apps[route.app]))
        .collect();
    w.plan(&compiled.items, &compiled.items, &routes);
    w.write(&compiled.items, 0);
    // What is said of applications was found out by the reader.
    for item in apps(&compiled.items) {
        let place = compiled.sources.line(item.name_span.file, item.name_span.start);
        let file = compiled.sources.name(item.name_span.file);
        let entry = known
            .iter()
            .find(|entry| entry.place.line == place && entry.place.file == file);
        if let Some(entry) = entry {
            w.ledger.set(item, entry.fate.clone());
        }
    }
    let entries = w.ledger.entries(compiled);
    let mut loads = String::new();
    for module in &w.modules {
        loads += &format!(
            "<IfModule !{module}_module>\n    LoadModule {module}_module \
             /usr/lib/apache2/modules/mod_{module}.so\n</IfModule>\n"
        );
    }
    let root = String::from_utf8_lossy(&compiled.server_root).into_owned();
    let text = format!(
        "{}ServerRoot {}\n{loads}{}",
        head(&entries, &super::commands(&site)),
        quoted(&root),
        w.out
    );
    Carried { text, entries }
}

/// mod_fastcgi's directives of a configuration that is httpd's as mod_proxy_fcgi's, one by
/// one: the rest of the files stays as it is.
pub(super) fn edits(compiled: &Compiled, files: &dyn Files) -> Vec<Change> {
    let (site, _) = crate::convert::read::read(compiled, Target::Httpd, files);
    let mut w = Writer {
        lines: HashMap::new(),
        modules: BTreeSet::new(),
        ledger: Ledger::default(),
        gates: Vec::new(),
        out: String::new(),
    };
    let routes: Vec<(&Route, &App)> = site
        .hosts
        .iter()
        .flat_map(|host| &host.routes)
        .map(|route| (route, &site.apps[route.app]))
        .collect();
    w.plan(&compiled.items, &compiled.items, &routes);
    let mut found = Vec::new();
    w.one_by_one(&compiled.items, &mut found);
    replaced(compiled, found)
}

/// All definitions of applications.
fn apps(items: &[Item]) -> Vec<&Item> {
    let mut out = Vec::new();
    for item in items {
        if DEFINITIONS.contains(&name_of(item).as_str()) {
            out.push(item);
        }
        out.extend(apps(item.body.as_deref().unwrap_or_default()));
    }
    out
}

const DEFINITIONS: [&str; 4] =
    ["fastcgiserver", "appclass", "fastcgiexternalserver", "externalappclass"];

/// An application's URL for mod_proxy.
fn url(app: &App, rest: &str) -> String {
    match app.address.strip_prefix("unix:") {
        Some(path) => format!("unix:{path}|fcgi://localhost{rest}"),
        None => format!("fcgi://{}{rest}", app.address),
    }
}

impl Writer {
    /// Finds what stands in the place of directives that lead to applications.
    fn plan(&mut self, all: &[Item], items: &[Item], routes: &[(&Route, &App)]) {
        for item in items {
            let words: Vec<String> = words_of(&item.args)
                .iter()
                .map(crate::schema::word::Word::lossy)
                .collect();
            let name = name_of(item);
            match name.as_str() {
                "alias" | "scriptalias" => {
                    let prefix =
                        words.first().map(|word| word.trim_end_matches('/').to_owned());
                    let found = routes.iter().find(|(route, _)| {
                        let own = matches!(&route.matcher, Matcher::Prefix(p) if Some(p) == prefix.as_ref());
                        own && route.is_script
                    });
                    if let (Some((_, app)), Some(prefix)) = (found, prefix) {
                        let line = passed(&prefix, app);
                        self.modules.extend(["proxy", "proxy_fcgi"]);
                        self.lines.insert(item.name_span, line);
                        self.gates.push(prefix);
                    }
                }
                "documentroot" => {
                    let root = words.first().cloned().unwrap_or_default();
                    let lines = inside(&root, routes);
                    if !lines.is_empty() {
                        self.modules.extend(["proxy", "proxy_fcgi"]);
                        let own = format!("DocumentRoot {}", quoted(&root));
                        self.lines.insert(item.name_span, [vec![own], lines].concat());
                    }
                }
                "addhandler" | "sethandler" | "addtype" => {
                    let handler = words.first().cloned().unwrap_or_default();
                    let Some(app) = through(all, &handler, routes) else { continue };
                    let handler = format!(
                        "SetHandler {}",
                        quoted(&format!("proxy:{}", url(app, "")))
                    );
                    let lines = if name == "sethandler" {
                        vec![handler]
                    } else {
                        words[1..]
                            .iter()
                            .flat_map(|suffix| {
                                let suffix = crate::convert::read::escaped(
                                    suffix.trim_start_matches('.'),
                                );
                                [
                                    format!("<FilesMatch \"\\.{suffix}(\\.|$)\">"),
                                    format!("    {handler}"),
                                    "</FilesMatch>".to_owned(),
                                ]
                            })
                            .collect()
                    };
                    self.modules.extend(["proxy", "proxy_fcgi"]);
                    self.lines.insert(item.name_span, lines);
                }
                _ => {}
            }
            self.plan(all, item.body.as_deref().unwrap_or_default(), routes);
        }
    }

    fn write(&mut self, items: &[Item], depth: usize) {
        let blank = "    ".repeat(depth);
        for item in items {
            let name = name_of(item);
            let args = String::from_utf8_lossy(item.args.bytes()).trim().to_owned();
            let written = String::from_utf8_lossy(&item.name).into_owned();
            if let Some(lines) = self.lines.get(&item.name_span) {
                self.ledger.set(item, Fate::Carried);
                for line in lines {
                    self.out += &format!("{blank}{line}\n");
                }
                continue;
            }
            let Some(module) = self.module(item, &name) else {
                if name == "fastcgiaccesschecker"
                    || name == "fastcgiauthenticator"
                    || name == "fastcgiauthorizer"
                {
                    self.modules.extend(["authz_core", "access_compat"]);
                    // What applications decide holds for inner sections whatever these say
                    // themselves; <If> is the one section that comes after all of them.
                    self.out += &format!(
                        "{blank}<If \"true\">\n{blank}    Require all denied\n\
                         {blank}    Satisfy All\n{blank}</If>\n"
                    );
                }
                continue;
            };
            // Both kinds would let in whom one of them does.
            let guarded = items.iter().any(|item| {
                let name = name_of(item);
                name.starts_with("fastcgia") && !name.ends_with("authoritative")
            });
            if guarded
                && (name == "require"
                    || name.starts_with("<require")
                    || name == "satisfy")
            {
                let why = "an application decided beside it: it is denied".to_owned();
                self.lose(item, &why);
                continue;
            }
            self.modules.extend(module);
            self.ledger.set(item, Fate::Carried);
            match &item.body {
                Some(body) => {
                    let gap = if args == ">" { "" } else { " " };
                    self.out += &format!("{blank}{written}{gap}{args}\n");
                    self.write(body, depth + 1);
                    self.out +=
                        &format!("{blank}</{}>\n", written.trim_start_matches('<'));
                }
                None => self.out += format!("{blank}{written} {args}").trim_end(),
            }
            if item.body.is_none() {
                self.out.push('\n');
            }
        }
    }

    /// What stands in the place of each directive that changes, or why nothing does.
    fn one_by_one<'a>(
        &self,
        items: &'a [Item],
        found: &mut Vec<(&'a Item, Result<Vec<String>, String>)>,
    ) {
        for item in items {
            let name = name_of(item);
            if let Some(lines) = self.lines.get(&item.name_span) {
                found.push((item, Ok(lines.clone())));
            } else if DEFINITIONS.contains(&name.as_str()) {
                let why = "its ProxyPass or SetHandler says where it listens; something else \
                           has to start it";
                found.push((item, Err(why.to_owned())));
            } else if [
                "fastcgiaccesschecker",
                "fastcgiauthenticator",
                "fastcgiauthorizer",
            ]
            .contains(&name.as_str())
            {
                let why =
                    "# Not carried over: applications decide nothing there: it is denied";
                let shown = String::from_utf8_lossy(item.args.bytes()).trim().to_owned();
                found.push((
                    item,
                    Ok([
                        why.to_owned(),
                        format!("# {} {shown}", String::from_utf8_lossy(&item.name)),
                        "<If \"true\">".to_owned(),
                        "    Require all denied".to_owned(),
                        "    Satisfy All".to_owned(),
                        "</If>".to_owned(),
                    ]
                    .into()),
                ));
            } else if name.starts_with("fastcgi")
                || name == "action" && self.is_gate(item)
            {
                let why = match name.as_str() {
                    "action" => "what it led to is named by the handler",
                    "fastcgiwrapper" | "fastcgisuexec" => {
                        "start each application as its user: fcgi-conf spawn -u -g"
                    }
                    "fastcgiconfig" => "requests start no programs",
                    _ => "mod_proxy_fcgi has no such directive",
                };
                found.push((item, Err(why.to_owned())));
            }
            self.one_by_one(item.body.as_deref().unwrap_or_default(), found);
        }
    }

    /// Was a handler that this Action is for replaced?
    fn is_gate(&self, item: &Item) -> bool {
        let words = words_of(&item.args);
        let Some(url) = words.get(1).map(crate::schema::word::Word::lossy) else {
            return false;
        };
        !self.lines.is_empty()
            && self.gates.iter().any(|gate| url.starts_with(gate.as_str()))
    }

    fn lose(&mut self, item: &Item, why: &str) {
        self.ledger.set(item, Fate::Lost(why.to_owned()));
        for inner in item.body.as_deref().unwrap_or_default() {
            self.lose(inner, why);
        }
    }

    /// The modules to load for a directive that stays; `None` for one that goes, whose fate
    /// is noted.
    fn module(&mut self, item: &Item, name: &str) -> Option<Vec<&'static str>> {
        if DEFINITIONS.contains(&name) {
            return None;
        }
        let found = lookup::directive(&item.name);
        let Some(found) = found else {
            let typed = String::from_utf8_lossy(&item.name).into_owned();
            let (fate, modules) = match known::find(&typed) {
                Some(entry) => match stock(entry.module) {
                    Some(modules) => (None, modules),
                    None => {
                        let why = match entry.known {
                            Known::Ignored(why) => Fate::Needless(why.to_owned()),
                            Known::Refused(_) => Fate::Lost(format!(
                                "{} does not come with httpd",
                                entry.module
                            )),
                        };
                        (Some(why), Vec::new())
                    }
                },
                None => {
                    (Some(Fate::Lost("nobody knows this directive".into())), Vec::new())
                }
            };
            return match fate {
                Some(fate) => {
                    self.all(item, &fate);
                    None
                }
                None => Some(modules),
            };
        };
        match found.module.name {
            "mod_fastcgi.c" => {
                let fate = match name {
                    "fastcgiipcdir" => {
                        Fate::Needless("sockets are named one by one".into())
                    }
                    "fastcgiconfig" => Fate::Lost("requests start no programs".into()),
                    "fastcgiwrapper" | "fastcgisuexec" => Fate::Lost(
                        "start each application as its user: fcgi-conf spawn".into(),
                    ),
                    _ => Fate::Lost(
                        "applications decide nothing there: it is denied".into(),
                    ),
                };
                self.all(item, &fate);
                None
            }
            "mod_actions.c" if name == "action" => {
                let fate =
                    Fate::Needless("what it led to is named by the handler".into());
                self.all(item, &fate);
                None
            }
            module => match stock(module) {
                Some(modules) => Some(modules),
                None => {
                    let fate = Fate::Lost(format!("{module} does not come with httpd"));
                    self.all(item, &fate);
                    None
                }
            },
        }
    }

    fn all(&mut self, item: &Item, fate: &Fate) {
        self.ledger.set(item, fate.clone());
        for inner in item.body.as_deref().unwrap_or_default() {
            self.all(inner, fate);
        }
    }
}

/// The lines that lead a prefix to an application, PATH_INFO as CGI has it.
fn passed(prefix: &str, app: &App) -> Vec<String> {
    let from = if prefix.is_empty() { "/" } else { prefix };
    let slash = if prefix.is_empty() { "/" } else { "" };
    let front = crate::convert::read::escaped(prefix);
    let timeout = app.idle_timeout.map(|s| format!(" timeout={s}")).unwrap_or_default();
    let connect = app.connect_timeout.filter(|s| *s > 0);
    let connect = connect.map(|s| format!(" connectiontimeout={s}")).unwrap_or_default();
    let flush = if app.flush { " flushpackets=on" } else { "" };
    let target = quoted(&url(app, &format!("{}{slash}", app.path)));
    vec![
        format!("ProxyPass {} {target}{timeout}{connect}{flush}", quoted(from)),
        format!("<Location {}>", quoted(from)),
        format!("    ProxyFCGISetEnvIf \"true\" SCRIPT_NAME {}", quoted(prefix)),
        format!("    ProxyFCGISetEnvIf \"true\" SCRIPT_FILENAME {}", quoted(&app.path)),
        format!(
            "    ProxyFCGISetEnvIf \"%{{REQUEST_URI}} =~ m#^{front}(/[^?]*)#\" PATH_INFO \"$1\""
        ),
        "</Location>".to_owned(),
    ]
}

/// The lines that lead to applications that lie in a directory of documents.
fn inside(root: &str, routes: &[(&Route, &App)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (route, app) in routes.iter().filter(|(route, _)| route.is_script) {
        let Matcher::Prefix(prefix) = &route.matcher else { continue };
        let name = app.path.rsplit('/').next().unwrap_or_default();
        let head = format!("<Files {}>", quoted(name));
        if app.path == format!("{}{prefix}", root.trim_end_matches('/'))
            && !lines.contains(&head)
        {
            let handler = quoted(&format!("proxy:{}", url(app, "")));
            lines.extend([
                head,
                format!("    SetHandler {handler}"),
                "</Files>".to_owned(),
            ]);
        }
    }
    lines
}

/// The application that a handler's Action leads to.
fn through<'a>(
    all: &[Item],
    handler: &str,
    routes: &[(&'a Route, &'a App)],
) -> Option<&'a App> {
    let is_action = |item: &Item| {
        name_of(item) == "action"
            && words_of(&item.args).first().is_some_and(|word| word.lossy() == handler)
    };
    fn any(items: &[Item], is: &dyn Fn(&Item) -> bool) -> bool {
        items.iter().any(|item| is(item) || any(item.body.as_deref().unwrap_or(&[]), is))
    }
    if !any(all, &is_action) {
        return None;
    }
    let url = action_url(all, handler)?;
    let gate = alias_target(all, &url)?;
    routes
        .iter()
        .find(|(route, app)| !route.is_script && app.path == gate)
        .map(|(_, app)| *app)
}

fn action_url(items: &[Item], handler: &str) -> Option<String> {
    items.iter().find_map(|item| {
        let words = words_of(&item.args);
        if name_of(item) == "action"
            && words.first().is_some_and(|word| word.lossy() == handler)
        {
            return words.get(1).map(crate::schema::word::Word::lossy);
        }
        action_url(item.body.as_deref().unwrap_or_default(), handler)
    })
}

fn alias_target(items: &[Item], url: &str) -> Option<String> {
    items.iter().find_map(|item| {
        let words = words_of(&item.args);
        if ["alias", "scriptalias"].contains(&name_of(item).as_str())
            && let [from, to] = &words[..]
            && let Some(rest) = url.strip_prefix(from.lossy().trim_end_matches('/'))
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return Some(format!("{}{rest}", to.lossy().trim_end_matches('/')));
        }
        alias_target(item.body.as_deref().unwrap_or_default(), url)
    })
}

/// The modules that httpd loads for a directive of this one; `None` if it has no such.
fn stock(module: &str) -> Option<Vec<&'static str>> {
    Some(match module {
        "core.c" | "mod_so.c" | "http_core.c" | "mod_log_config.c" | "mod_version.c"
        | "mod_unixd.c" | "mod_watchdog.c" | "mpm" | "event.c" | "mpm_common.c" => {
            Vec::new()
        }
        "mod_alias.c" => vec!["alias"],
        "mod_rewrite.c" => vec!["rewrite"],
        "mod_env.c" => vec!["env"],
        "mod_setenvif.c" => vec!["setenvif"],
        "mod_mime.c" => vec!["mime"],
        "mod_dir.c" => vec!["dir"],
        "mod_actions.c" => vec!["actions"],
        "mod_expires.c" => vec!["expires"],
        "mod_headers.c" => vec!["headers"],
        "mod_access_compat.c" => vec!["authz_core", "authz_host", "access_compat"],
        "mod_allowmethods.c" => vec!["allowmethods"],
        "mod_authn_core.c" => vec!["authn_core"],
        "mod_auth_basic.c" => vec!["authn_core", "authz_core", "auth_basic"],
        "mod_auth_digest.c" => vec!["authn_core", "authz_core", "auth_digest"],
        "mod_authn_file.c" => vec!["authn_file"],
        "mod_authn_anon.c" => vec!["authn_anon"],
        "mod_authz_user.c" => vec!["authz_user"],
        "mod_authz_groupfile.c" => vec!["authz_groupfile"],
        "mod_authz_owner.c" => vec!["authz_owner"],
        "mod_authz_core.c" => vec!["authz_core", "authz_host", "authz_user"],
        "mod_authz_host.c" => vec!["authz_host"],
        "mod_userdir.c" => vec!["userdir"],
        "mod_suexec.c" => vec!["suexec"],
        "mod_status.c" => vec!["status"],
        "mod_ssl.c" => vec!["socache_shmcb", "ssl"],
        "mod_proxy.c" => vec!["proxy"],
        "mod_proxy_fcgi.c" => vec!["proxy", "proxy_fcgi"],
        "mod_remoteip.c" => vec!["remoteip"],
        "mod_autoindex.c" => vec!["autoindex"],
        "mod_negotiation.c" => vec!["negotiation"],
        "mod_include.c" => vec!["include"],
        "mod_filter.c" => vec!["filter"],
        "mod_deflate.c" => vec!["filter", "deflate"],
        "mod_reqtimeout.c" => vec!["reqtimeout"],
        "mod_speling.c" => vec!["speling"],
        "mod_vhost_alias.c" => vec!["vhost_alias"],
        "mod_authnz_fcgi.c" => vec!["authn_core", "authz_core", "authnz_fcgi"],
        _ => return None,
    })
}
