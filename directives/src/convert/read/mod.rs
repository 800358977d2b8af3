//! From httpd's directives to a [`Site`], with a fate for each. Longer than others: it is
//! one table of directives with what each comes to. Sections are in `sections.rs`.

mod closing;
mod sections;

use closing::*;
pub(super) use closing::{escaped, is_below, of_glob};

use super::edit::backend;
use super::ledger::{Fate, Ledger};
use super::model::{App, Guard, Host, Matcher, Route, Rule, Site};
use super::shield::{self, protects};
use super::target::{Feature, Target};
use super::{name_of, words_of};
use crate::Compiled;
use crate::bundle::Files;
use crate::expand::Item;
use crate::path;

/// A host while it is read.
#[derive(Clone, Default)]
struct Draft<'a> {
    host: Host,
    aliases: Vec<(String, String, bool, &'a Item)>,
    actions: Vec<(String, String, &'a Item)>,
    /// Handler or type, URLs, whether it is for suffixes only, and what said it.
    handlers: Vec<(String, Matcher, &'a Item)>,
    sections: Vec<&'a Item>,
    listens: Vec<(String, u16)>,
    /// Something closes URLs that cannot be said: all of the host is closed.
    sealed: bool,
    /// What patterns of rewriting refuse.
    refused: Vec<Matcher>,
    /// `RewriteCond` of the rule to come, and the rest of its words.
    conditions: Vec<String>,
    /// URLs whose files are no scripts whatever their names.
    inert: Vec<String>,
    /// What closes URLs whatever is said of those below: old directives, `Require`, and
    /// applications do not open what another of them closed.
    closed: [Vec<String>; 3],
    /// The client's address is said by somebody else.
    remote: bool,
    /// The directives that let `.htaccess` files be read.
    overrides: Vec<&'a Item>,
    /// The names of such files.
    access_names: Vec<String>,
    /// Some password files are those of Digest authentication.
    hashes_realms: bool,
}

/// Who closes URLs: see [`Draft::closed`].
const OLD: usize = 0;
const REQUIRE: usize = 1;
const APPLICATION: usize = 2;

pub(super) struct Reader<'a> {
    target: Target,
    files: &'a dyn Files,
    root: Vec<u8>,
    site: Site,
    ledger: Ledger,
    /// The applications, whether a host leads to them or not, and what defined them.
    apps: Vec<(App, &'a Item, Vec<String>)>,
    /// Those that a host leads to.
    used: Vec<bool>,
}

/// Reads a configuration for a target.
pub(super) fn read(
    compiled: &Compiled,
    target: Target,
    files: &dyn Files,
) -> (Site, Ledger) {
    let mut reader = Reader {
        target,
        files,
        root: compiled.server_root.clone(),
        site: Site::default(),
        ledger: Ledger::default(),
        apps: Vec::new(),
        used: Vec::new(),
    };
    reader.applications(&compiled.items);
    let mut main = Draft::default();
    main.host.index.push("index.html".to_owned());
    main.host.root = reader.path("htdocs");
    main.access_names.push(".htaccess".to_owned());
    overrides(&compiled.items, &mut main.overrides);
    main.hashes_realms = hashes_realms(&compiled.items);
    reader.server(&compiled.items, &mut main);
    let hosts: Vec<&Item> =
        compiled.items.iter().filter(|item| name_of(item) == "<virtualhost").collect();
    for item in &hosts {
        let mut draft = main.clone();
        draft.host.names.clear();
        reader.server(item.body.as_deref().unwrap_or_default(), &mut draft);
        draft.host.listens = reader.addresses(item, &main.listens);
        if draft.host.names.is_empty() {
            draft.host.names.clone_from(&main.host.names);
        }
        reader.ledger.set(item, Fate::Carried);
        let secured = draft.host.tls.is_some();
        let cannot = draft.host.listens.iter().any(|(_, port)| !secured && *port == 443);
        match target.lacks(Feature::PlainAt443).filter(|_| cannot) {
            Some(why) => reader.all(item, &Fate::Lost(why.to_owned())),
            None => reader.host(draft),
        }
    }
    let answered = |port: u16| {
        let mut ports = reader.site.hosts.iter().flat_map(|host| &host.listens);
        ports.any(|(_, other)| *other == port)
    };
    let left: Vec<_> =
        main.listens.iter().filter(|(_, port)| !answered(*port)).cloned().collect();
    if !left.is_empty() || hosts.is_empty() {
        main.host.listens =
            if left.is_empty() { vec![(String::new(), 80)] } else { left };
        reader.host(main);
    }
    reader.finish()
}

fn words(item: &Item) -> Vec<String> {
    words_of(&item.args).iter().map(super::super::schema::word::Word::lossy).collect()
}

impl<'a> Reader<'a> {
    fn lose(&mut self, item: &Item, why: &str) {
        self.ledger.set(item, Fate::Lost(why.to_owned()));
    }

    fn needless(&mut self, item: &Item, why: &str) {
        self.ledger.set(item, Fate::Needless(why.to_owned()));
    }

    fn carry(&mut self, item: &Item) {
        self.ledger.set(item, Fate::Carried);
    }

    /// Carried if the target has it.
    fn carry_if(&mut self, item: &Item, feature: Feature) -> bool {
        match self.target.lacks(feature) {
            None => self.carry(item),
            Some(why) => self.lose(item, why),
        }
        self.target.lacks(feature).is_none()
    }

    fn path(&self, word: &str) -> String {
        let path = path::server_relative(&self.root, word.as_bytes());
        let path = path.unwrap_or_else(|| word.as_bytes().to_vec());
        let text = String::from_utf8_lossy(&path).into_owned();
        if text.len() > 1 { text.trim_end_matches('/').to_owned() } else { text }
    }

    /// All applications, wherever they are defined.
    fn applications(&mut self, items: &'a [Item]) {
        for item in items {
            let name = name_of(item);
            let external = match name.as_str() {
                "fastcgiexternalserver" | "externalappclass" => true,
                "fastcgiserver" | "appclass" => false,
                _ => {
                    self.applications(item.body.as_deref().unwrap_or_default());
                    continue;
                }
            };
            let words = words(item);
            let Some((path, options)) = words.split_first() else { continue };
            let mut app = App { path: self.path(path), ..App::default() };
            let lost = self.options(&mut app, options, external);
            self.apps.push((app, item, lost));
            self.used.push(false);
        }
    }

    /// Fills an application; the answer is what of its options is not carried over.
    fn options(&self, app: &mut App, options: &[String], external: bool) -> Vec<String> {
        let mut lost = Vec::new();
        let mut words = options.iter();
        if !external {
            app.processes = Some(1);
        }
        while let Some(option) = words.next() {
            let flag = ["-flush", "-no-keep-conn", "-nph", "-listen-all"];
            let name = option.to_ascii_lowercase();
            let value = if flag.contains(&name.as_str()) {
                String::new()
            } else {
                words.next().cloned().unwrap_or_default()
            };
            match name.as_str() {
                "-host" => app.address = value,
                "-port" => app.address = format!("127.0.0.1:{value}"),
                "-socket" => app.address = format!("unix:{}", self.path(&value)),
                "-processes" => app.processes = value.parse().ok(),
                "-idle-timeout" => app.idle_timeout = value.parse().ok(),
                "-appconntimeout" => app.connect_timeout = value.parse().ok(),
                "-initial-env" => {
                    let (name, value) = value.split_once('=').unwrap_or((&value, ""));
                    app.env.push((name.to_owned(), value.to_owned()));
                }
                "-flush" => app.flush = true,
                "-user" => app.identity.0 = Some(value),
                "-group" => app.identity.1 = Some(value),
                // The others do so anyway.
                "-no-keep-conn" => {}
                "-pass-header" if value.eq_ignore_ascii_case("authorization") => {}
                _ => lost.push(format!("{option} {value}").trim_end().to_owned()),
            }
        }
        if app.address.is_empty() {
            let name = app.path.rsplit('/').next().unwrap_or_default();
            app.address = format!("unix:/run/{name}.sock");
        }
        lost
    }

    /// What stands directly in a server.
    fn server(&mut self, items: &'a [Item], draft: &mut Draft<'a>) {
        let mut certificate = None;
        for item in items {
            let words = words(item);
            let word = |i: usize| words.get(i).cloned().unwrap_or_default();
            match name_of(item).as_str() {
                "listen" => {
                    let (ip, port) = match word(0).rsplit_once(':') {
                        Some((ip, port)) => (ip.to_owned(), port.to_owned()),
                        None => (String::new(), word(0)),
                    };
                    draft.listens.push((ip, port.parse().unwrap_or(80)));
                    self.carry(item);
                }
                "user" | "group" => {
                    let is_user = name_of(item) == "user";
                    let slot =
                        if is_user { &mut self.site.user } else { &mut self.site.group };
                    *slot = Some(word(0));
                    self.carry_if(item, Feature::User);
                }
                "servername" => {
                    let name = word(0);
                    let name = name.rsplit("//").next().unwrap_or_default();
                    let name = name.split(':').next().unwrap_or_default();
                    draft.host.names.insert(0, name.to_owned());
                    self.carry(item);
                }
                "serveralias" => {
                    draft.host.names.extend(words);
                    self.carry(item);
                }
                "documentroot" => {
                    draft.host.root = self.path(&word(0));
                    self.carry(item);
                }
                "directoryindex" => {
                    draft.host.index.clone_from(&words);
                    self.carry(item);
                }
                "errorlog" => {
                    let file = word(0);
                    if file.starts_with(['|', 's']) && !file.starts_with("s/") {
                        self.lose(item, "it is a program, or the system's log");
                    } else if self.carry_if(item, Feature::ErrorLog) {
                        draft.host.error_log = Some(self.path(&file));
                    }
                }
                "customlog" | "transferlog" => self.access_log(item, &words, draft),
                "logformat" => {
                    self.needless(item, "the other server has formats of its own");
                }
                "limitrequestbody" => {
                    draft.host.body_limit = word(0).parse().ok().filter(|n| *n > 0);
                    self.carry(item);
                }
                "sslcertificatefile" => {
                    certificate = Some(word(0));
                    draft.host.tls = Some((self.path(&word(0)), self.path(&word(0))));
                    self.carry(item);
                }
                "sslcertificatekeyfile" => {
                    let cert = certificate.clone().unwrap_or_else(|| word(0));
                    draft.host.tls = Some((self.path(&cert), self.path(&word(0))));
                    self.carry(item);
                }
                "sslengine" => self.carry(item),
                "alias" | "scriptalias" => {
                    let script = name_of(item) == "scriptalias";
                    draft.aliases.push((word(0), self.path(&word(1)), script, item));
                }
                "action" | "addhandler" | "addtype" | "sethandler" => {
                    self.handling(item, &Matcher::Prefix(String::new()), draft);
                }
                "proxypass" => match backend(&word(1)) {
                    Some(options) => {
                        let mut app = App { path: word(0), ..App::default() };
                        let options: Vec<String> =
                            options.split(' ').map(str::to_owned).collect();
                        self.options(&mut app, &options, true);
                        let url = word(0).trim_end_matches('/').to_owned();
                        self.route(draft, Matcher::Prefix(url), app, item, true);
                    }
                    None => self.lose(item, "it is no FastCGI application"),
                },
                "redirect" | "redirectmatch" if shield::is_refusal(&word(0)) => {
                    let is_pattern = name_of(item) == "redirectmatch";
                    let from = word(1);
                    let from =
                        if is_pattern { from } else { format!("^{}", escaped(&from)) };
                    draft.refused.push(Matcher::Path(from));
                    let why = "it is denied, with 403".to_owned();
                    self.ledger.set(item, Fate::Partly(why));
                }
                "redirect" | "redirectpermanent" | "redirecttemp" | "redirectmatch" => {
                    self.redirect(item, &words, draft);
                }
                "rewritecond" => {
                    draft.conditions.push(words.join(" ").to_ascii_lowercase());
                    self.common(item, "rewritecond", &words);
                }
                "rewriterule" => self.rewrite(item, &words, draft),
                "sslverifyclient" if word(0).eq_ignore_ascii_case("require") => {
                    draft.sealed = true;
                    self.lose(item, ALL_DENIED);
                }
                "remoteipheader" | "remoteipproxyprotocol" => {
                    draft.remote = true;
                    self.lose(item, "rules for addresses are denied: whose they are is said by a proxy");
                }
                "accessfilename" => {
                    draft.access_names.clone_from(&words);
                    self.common(item, "accessfilename", &words);
                }
                "errordocument" => match (word(0).parse(), word(1).starts_with('/')) {
                    (Ok(status), true) => {
                        if self.carry_if(item, Feature::ErrorPage) {
                            draft.host.errors.push((status, word(1)));
                        }
                    }
                    _ => self.lose(item, "it is a text or another server's URL"),
                },
                "setenv" => {
                    draft.host.env.push((word(0), word(1)));
                    self.carry(item);
                }
                "header" => self.header(item, &words, draft),
                "fastcgiserver"
                | "appclass"
                | "fastcgiexternalserver"
                | "externalappclass"
                | "<virtualhost" => {}
                name if name.starts_with('<') => draft.sections.push(item),
                name => self.common(item, name, &words),
            }
        }
    }

    /// A rule of the whole host: what refuses is denied.
    fn rewrite(&mut self, item: &'a Item, words: &[String], draft: &mut Draft<'a>) {
        let conditions = std::mem::take(&mut draft.conditions);
        self.common(item, "rewriterule", words);
        if !shield::refuses(words) {
            return;
        }
        // The others have no such method.
        let only_trace = conditions.len() == 1
            && conditions[0].starts_with("%{request_method}")
            && conditions[0].contains("trac");
        if only_trace {
            self.needless(item, "the other server has no TRACE");
            return;
        }
        match words.first().map(String::as_str) {
            Some(pattern) if !pattern.starts_with('!') && !pattern.is_empty() => {
                // A condition would let some pass: it is denied to all.
                draft.refused.push(Matcher::Path(pattern.to_owned()));
                self.lose(item, "it is denied whatever its conditions say");
            }
            _ => {
                draft.sealed = true;
                self.lose(item, ALL_DENIED);
            }
        }
    }

    /// Denies what `.htaccess` files among a host's documents close.
    fn htaccess(&mut self, draft: &mut Draft<'a>) {
        if draft.overrides.is_empty() || self.target == Target::Httpd {
            return;
        }
        let (mut found, mut whole) = (0, true);
        let root = (String::new(), draft.host.root.clone());
        for (url, dir) in std::iter::once(root).chain(draft.host.aliases.clone()) {
            let (closed, all) =
                shield::of_htaccess(self.files, &draft.access_names, &dir, &url);
            whole &= all;
            found += closed.len();
            for matcher in closed {
                guard(&mut draft.host.guards, matcher, Rule::Denied);
            }
        }
        let mut why = format!(
            "the other server reads no .htaccess files; what they close is denied: {found} found"
        );
        if !whole {
            why += "; NOT ALL COULD BE LOOKED AT, and what the others close is open";
        }
        for item in draft.overrides.clone() {
            self.lose(item, &why);
        }
    }

    /// Directives that mean the same wherever they stand.
    fn common(&mut self, item: &Item, name: &str, words: &[String]) {
        match name {
            "pidfile" => {
                self.needless(item, "the other server's unit says where its own is");
            }
            "allowoverride"
                if words.iter().all(|word| word.eq_ignore_ascii_case("none")) =>
            {
                self.needless(item, "there are no .htaccess files");
            }
            "allowoverride" | "allowoverridelist" | "accessfilename" => {
                self.lose(item, "the other server reads no .htaccess files");
            }
            "options" => {
                let harmless = |word: &String| {
                    let word = word.trim_start_matches('+').to_ascii_lowercase();
                    let off = word.starts_with('-');
                    off || ["none", "followsymlinks", "execcgi", "symlinksifownermatch"]
                        .contains(&word.as_str())
                };
                if words.iter().all(harmless) {
                    self.needless(item, "it lists no directories and runs no programs");
                } else {
                    self.lose(
                        item,
                        "listings, includes and variants are to be asked for by hand",
                    );
                }
            }
            "rewriteengine" | "rewriterule" | "rewritecond" | "rewritebase"
            | "rewritemap" | "rewriteoptions" => {
                self.lose(
                    item,
                    "rewriting is a program: write it anew, and replay requests",
                );
            }
            "fastcgiipcdir" => self.needless(item, "sockets are named one by one"),
            "fastcgiconfig" => self.lose(item, "requests start no programs there"),
            "fastcgiwrapper" | "suexecusergroup" => {
                self.lose(
                    item,
                    "start each application as its user: fcgi-conf spawn -u -g",
                );
            }
            _ => {}
        }
    }

    fn access_log(&mut self, item: &'a Item, words: &[String], draft: &mut Draft<'a>) {
        let file = words.first().cloned().unwrap_or_default();
        if file.starts_with('|') {
            self.lose(item, "it is a program");
            return;
        }
        if words.len() > 2 {
            self.lose(item, "it is for some requests only");
            return;
        }
        draft.host.access_log = Some(self.path(&file));
        let format = words.get(1).map_or("common", String::as_str);
        if format == "combined" && self.target != Target::Caddy {
            self.carry(item);
        } else {
            let why = "the format is the other server's own".to_owned();
            self.ledger.set(item, Fate::Partly(why));
        }
    }

    fn header(&mut self, item: &'a Item, words: &[String], draft: &mut Draft<'a>) {
        let words = match words {
            [first, rest @ ..] if first.eq_ignore_ascii_case("always") => rest,
            all => all,
        };
        match words {
            [action, name, value]
                if action.eq_ignore_ascii_case("set")
                    && !value.contains(['%', '$', '{']) =>
            {
                draft.host.headers.push((name.clone(), value.clone()));
                self.carry(item);
            }
            _ => self.lose(item, "only `Header set` of a plain value is carried over"),
        }
    }

    fn redirect(&mut self, item: &'a Item, words: &[String], draft: &mut Draft<'a>) {
        let name = name_of(item);
        let mut words = words.to_vec();
        let mut status = if name == "redirectpermanent" { 301 } else { 302 };
        let first =
            words.first().map(|word| word.to_ascii_lowercase()).unwrap_or_default();
        let named = match first.as_str() {
            "permanent" => Some(301),
            "temp" => Some(302),
            "seeother" => Some(303),
            other => other.parse().ok(),
        };
        if let Some(named) = named {
            status = named;
            words.remove(0);
        }
        match &words[..] {
            [from, to] if (300..400).contains(&status) && !to.contains(['"', '{']) => {
                let pattern = if name == "redirectmatch" {
                    from.clone()
                } else {
                    format!("^{}(.*)$", escaped(from))
                };
                let to =
                    if name == "redirectmatch" { to.clone() } else { format!("{to}$1") };
                draft.host.redirects.push((status, pattern, to));
                self.carry(item);
            }
            _ => self.lose(item, "only redirects to a URL are carried over"),
        }
    }

    /// Handlers and what they lead to, within some URLs.
    #[allow(clippy::unused_self)] // one of the reader's ways to look at the configuration
    fn handling(&mut self, item: &'a Item, matcher: &Matcher, draft: &mut Draft<'a>) {
        let words = words(item);
        let Some((name, rest)) = words.split_first() else { return };
        match name_of(item).as_str() {
            "action" => {
                let url = rest.first().cloned().unwrap_or_default();
                draft.actions.push((name.clone(), url, item));
            }
            "sethandler" => draft.handlers.push((name.clone(), matcher.clone(), item)),
            _ => {
                let suffixes: Vec<String> = rest
                    .iter()
                    .map(|word| escaped(word.trim_start_matches('.')))
                    .collect();
                let pattern = match &suffixes[..] {
                    [one] => format!("\\.{one}$"),
                    many => format!("\\.({})$", many.join("|")),
                };
                draft.handlers.push((name.clone(), Matcher::Name(pattern), item));
            }
        }
    }

    /// A new application, or the one that is the same.
    fn route(
        &mut self,
        draft: &mut Draft<'a>,
        matcher: Matcher,
        app: App,
        item: &'a Item,
        is_script: bool,
    ) {
        let same = |known: &(App, &Item, Vec<String>)| {
            known.0.address == app.address && known.0.path == app.path
        };
        let index = self.apps.iter().position(same).unwrap_or_else(|| {
            self.apps.push((app, item, Vec::new()));
            self.used.push(false);
            self.apps.len() - 1
        });
        self.used[index] = true;
        self.carry(item);
        draft.host.routes.push(Route { matcher, app: index, is_script });
    }

    #[allow(clippy::unused_self)] // one of the reader's ways to look at the configuration
    fn addresses(&self, item: &Item, listens: &[(String, u16)]) -> Vec<(String, u16)> {
        let mut out = Vec::new();
        for word in words(item) {
            let (ip, port) = match word.rsplit_once(':') {
                Some((ip, port)) if !port.contains(']') => (ip, port),
                _ => (&word[..], "*"),
            };
            let ip = if ["*", "_default_"].contains(&ip) { "" } else { ip };
            match port.parse() {
                Ok(port) => out.push((ip.to_owned(), port)),
                Err(_) => {
                    out.extend(listens.iter().map(|(_, port)| (ip.to_owned(), *port)));
                }
            }
        }
        out
    }

    /// Puts a host's parts together.
    fn host(&mut self, mut draft: Draft<'a>) {
        for (url, to, script, item) in draft.aliases.clone() {
            let url = url.trim_end_matches('/').to_owned();
            let found = self.apps.iter().position(|(app, ..)| {
                to == app.path || to.starts_with(&format!("{}/", app.path))
            });
            let below: Vec<usize> = (0..self.apps.len())
                .filter(|i| self.apps[*i].0.path.starts_with(&format!("{to}/")))
                .collect();
            if let Some(index) = found {
                self.used[index] = true;
                self.carry(item);
                let matcher = Matcher::Prefix(url);
                draft.host.routes.push(Route { matcher, app: index, is_script: true });
            } else if !below.is_empty() {
                for index in below {
                    let rest = self.apps[index].0.path[to.len()..].to_owned();
                    self.used[index] = true;
                    let matcher = Matcher::Prefix(format!("{url}{rest}"));
                    draft.host.routes.push(Route {
                        matcher,
                        app: index,
                        is_script: true,
                    });
                }
                let why =
                    "only the defined applications: requests start no programs there";
                self.ledger.set(item, Fate::Partly(why.to_owned()));
            } else if script {
                self.lose(item, "requests start no programs there");
            } else {
                draft.host.aliases.push((url, to));
                self.carry(item);
            }
        }
        let root = format!("{}/", draft.host.root.trim_end_matches('/'));
        for index in 0..self.apps.len() {
            let path = self.apps[index].0.path.clone();
            if let Some(rest) = path.strip_prefix(&root).filter(|_| root.len() > 1) {
                self.used[index] = true;
                let matcher = Matcher::Prefix(format!("/{rest}"));
                draft.host.routes.push(Route { matcher, app: index, is_script: true });
            }
        }
        // httpd's order: directories from the outside in, then files, then URLs.
        let mut sections = std::mem::take(&mut draft.sections);
        sections.sort_by_key(|item| match name_of(item).as_str() {
            "<directory" => {
                let word =
                    words(item).first().map(|word| self.path(word)).unwrap_or_default();
                (0, if word == "/" { 0 } else { word.matches('/').count() })
            }
            name if name.starts_with("<directory") => (1, 0),
            name if name.starts_with("<files") => (2, 0),
            _ => (3, 0),
        });
        for item in sections {
            self.section(item, &mut draft, None);
        }
        self.htaccess(&mut draft);
        for matcher in std::mem::take(&mut draft.refused) {
            draft.host.guards.push(Guard { matcher, rule: Rule::Denied });
        }
        self.handlers(&mut draft);
        for url in std::mem::take(&mut draft.inert) {
            for route in draft.host.routes.iter().filter(|route| !route.is_script) {
                if let Matcher::Name(name) = &route.matcher {
                    let matcher = shield::below(&url, name);
                    draft.host.guards.push(Guard { matcher, rule: Rule::Denied });
                }
            }
        }
        if draft.sealed {
            shield::seal(&mut draft.host);
        }
        shield::without_closed_indexes(&mut draft.host);
        self.site.hosts.push(draft.host);
    }

    fn finish(mut self) -> (Site, Ledger) {
        for index in 0..self.apps.len() {
            let (app, item, lost) = &self.apps[index];
            let name = name_of(item);
            if !name.contains("server") && !name.contains("appclass") {
                continue;
            }
            let mut lost = lost.clone();
            if app.processes.is_some()
                && let Some(why) = self.target.lacks(Feature::Start)
            {
                lost.insert(0, why.to_owned());
            }
            let fate = match (self.used[index], lost.is_empty()) {
                (false, _) => Fate::Needless("no URL of a host leads to it".to_owned()),
                (true, true) => Fate::Carried,
                (true, false) => Fate::Partly(lost.join("; ")),
            };
            let item = *item;
            self.ledger.set(item, fate);
        }
        self.site.apps = self.apps.into_iter().map(|(app, ..)| app).collect();
        (self.site, self.ledger)
    }
}
