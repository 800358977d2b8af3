//! Sections of a configuration: which requests they are about, and what they come to.

use super::*;

impl<'a> Reader<'a> {
    pub(super) fn handlers(&mut self, draft: &mut Draft<'a>) {
        let mut gates = Vec::new();
        for (name, matcher, item) in std::mem::take(&mut draft.handlers) {
            if let Some(options) = backend(&name).filter(|_| name.starts_with("proxy:")) {
                let mut app = App { path: "php".to_owned(), ..App::default() };
                let options: Vec<String> =
                    options.split(' ').map(str::to_owned).collect();
                self.options(&mut app, &options, true);
                self.route(draft, matcher, app, item, false);
                continue;
            }
            let action =
                draft.actions.iter().find(|(action, ..)| *action == name).cloned();
            let Some((_, url, said)) = action else {
                match name.as_str() {
                    "fastcgi-script" => self.needless(
                        item,
                        "defined applications are led to by their paths; requests start no \
                         others there",
                    ),
                    "none" | "None" | "default-handler" => {
                        self.needless(item, "files are files unless something else is said");
                    }
                    _ if name_of(item) == "addtype" => {
                        self.lose(item, "types of files are the other server's own");
                    }
                    _ => self.lose(item, "there is no such handler"),
                }
                continue;
            };
            let gate = draft.host.routes.iter().find(|route| match &route.matcher {
                Matcher::Prefix(prefix) => *prefix == url.trim_end_matches('/'),
                _ => false,
            });
            match gate.map(|gate| gate.app) {
                Some(app) => {
                    gates.push(url.trim_end_matches('/').to_owned());
                    self.carry(item);
                    self.carry(said);
                    draft.host.routes.push(Route { matcher, app, is_script: false });
                }
                None => {
                    self.lose(item, "what its Action leads to is no defined application");
                    self.lose(said, "what it leads to is no defined application");
                }
            }
        }
        for (_, _, item) in &draft.actions {
            self.needless(item, "no handler of this name is used");
        }
        // A gate is for internal redirects: nobody comes there from outside.
        draft.host.routes.retain(|route| match &route.matcher {
            Matcher::Prefix(prefix) => !gates.contains(prefix),
            _ => true,
        });
    }

    /// The URLs of a section; the error is why there are none, or why they cannot be said.
    pub(super) fn matchers(
        &self,
        item: &Item,
        draft: &Draft<'a>,
    ) -> Result<Vec<Matcher>, Fate> {
        let words = words(item);
        let word = words.first().cloned().unwrap_or_default();
        let is_pattern = word == "~";
        let word =
            if is_pattern { words.get(1).cloned().unwrap_or_default() } else { word };
        let is_glob = crate::fnmatch::is_glob(word.as_bytes());
        let lost = |why: &str| Err(Fate::Lost(why.to_owned()));
        match name_of(item).as_str() {
            "<location" if is_pattern => Ok(vec![Matcher::Path(word)]),
            "<locationmatch" => Ok(vec![Matcher::Path(word)]),
            "<location" if is_glob => match shield::of_url_glob(&word) {
                Some(pattern) => Ok(vec![Matcher::Path(pattern)]),
                None => lost("such globs of URLs are not carried over"),
            },
            "<location" => {
                Ok(vec![Matcher::Prefix(word.trim_end_matches('/').to_owned())])
            }
            "<files" if is_pattern => Ok(vec![Matcher::Name(word)]),
            "<filesmatch" => Ok(vec![Matcher::Name(word)]),
            "<files" => Ok(vec![Matcher::Name(of_glob(&word))]),
            "<directory" if !is_pattern && !is_glob => {
                let path = self.path(&word);
                let found = directory(&path, draft);
                if found.is_empty() {
                    return Err(Fate::Needless(
                        "no URL of the other server leads there".into(),
                    ));
                }
                Ok(found)
            }
            "<directorymatch" | "<directory" if is_pattern || !is_glob => {
                let aliases = draft.aliases.iter().map(|(_, dir, ..)| &dir[..]);
                let roots: Vec<&str> =
                    std::iter::once(&draft.host.root[..]).chain(aliases).collect();
                match shield::of_directories(&word, &roots) {
                    Some(matcher) => Ok(vec![matcher]),
                    None => lost("patterns on directories are not carried over"),
                }
            }
            _ => lost("such sections are not carried over"),
        }
    }

    /// Reads a section; the answer is whether the one around it has to be denied.
    pub(super) fn section(
        &mut self,
        item: &'a Item,
        draft: &mut Draft<'a>,
        outer: Option<&[Matcher]>,
    ) -> bool {
        // Within a section for everything a section is what it is outside.
        let everything =
            |outer: &[Matcher]| outer.contains(&Matcher::Prefix(String::new()));
        let body = item.body.as_deref().unwrap_or_default();
        let matchers = match self.matchers(item, draft) {
            Ok(matchers) => matchers,
            // It could be for anything: what it is in is closed, or all of the host.
            Err(Fate::Lost(why)) if protects(body) => {
                match outer.filter(|outer| !everything(outer)) {
                    Some(_) => {
                        self.all(
                            item,
                            &Fate::Lost(format!("{why}: it is denied around it")),
                        );
                        return true;
                    }
                    None => {
                        draft.sealed = true;
                        self.all(item, &Fate::Lost(format!("{why}: {ALL_DENIED}")));
                        return false;
                    }
                }
            }
            Err(fate) => {
                self.all(item, &fate);
                return false;
            }
        };
        if outer.is_some_and(|outer| !everything(outer)) {
            let why = "it is a section in a section: what it decides is denied around it";
            self.all(item, &Fate::Lost(why.to_owned()));
            return protects(body);
        }
        self.carry(item);
        let mut rules: Vec<&Item> = Vec::new();
        let (mut realm, mut file) = (String::new(), None);
        let (mut asks, mut limited) = (false, false);
        let mut styles = [false; 2];
        for inner in body {
            let words = words(inner);
            let name = name_of(inner);
            match name.as_str() {
                "require" | "<requireall" | "<requireany" | "<requirenone" => {
                    styles[REQUIRE] = true;
                    rules.push(inner);
                }
                "order" | "allow" | "deny" | "satisfy" => {
                    styles[OLD] = true;
                    rules.push(inner);
                }
                // Inner rules are met beside the outer ones, or one of both is.
                "authmerging" => rules.push(inner),
                "sethandler" if is_none(&words) => self.inert(inner, &matchers, draft),
                "removehandler" | "removetype" | "php_flag" | "php_admin_flag"
                    if !name.starts_with("php")
                        || words.first().is_some_and(|word| word == "engine") =>
                {
                    self.inert(inner, &matchers, draft);
                }
                "redirect" | "redirectmatch" | "rewriterule" | "sslrequiressl"
                | "sslrequire" | "sslverifyclient" | "allowmethods"
                    if protects(std::slice::from_ref(inner)) =>
                {
                    limited = true;
                    self.lose(inner, "it cannot be said there: it is denied");
                }
                "authtype" | "authbasicprovider" | "authbasicusedigestalgorithm" => {
                    rules.push(inner);
                }
                name if name.starts_with("authdigest") => rules.push(inner),
                "authname" => {
                    realm = words.first().cloned().unwrap_or_default();
                    rules.push(inner);
                }
                "authuserfile" => {
                    file = words.first().map(|word| self.path(word));
                    rules.push(inner);
                }
                "fastcgiaccesschecker" | "fastcgiauthenticator" | "fastcgiauthorizer" => {
                    asks = true;
                    for matcher in &matchers {
                        if let Matcher::Prefix(prefix) = matcher {
                            draft.closed[APPLICATION].push(prefix.clone());
                        }
                    }
                    self.lose(inner, "applications decide nothing there: it is denied");
                }
                "fastcgiaccesscheckerauthoritative"
                | "fastcgiauthenticatorauthoritative"
                | "fastcgiauthorizerauthoritative" => {
                    asks = true;
                    self.lose(inner, "applications decide nothing there: it is denied");
                }
                "action" | "addhandler" | "addtype" | "sethandler" => {
                    for matcher in &matchers {
                        self.handling(inner, matcher, draft);
                    }
                }
                "<limit" | "<limitexcept" => {
                    limited = true;
                    self.all(
                        inner,
                        &Fate::Lost("it is for some methods: it is denied".into()),
                    );
                }
                name if name.starts_with('<') => {
                    limited |= self.section(inner, draft, Some(&matchers));
                }
                name => {
                    if let Some(why) = of_whole_host(name) {
                        self.lose(inner, why);
                    } else {
                        self.common(inner, name, &words);
                    }
                }
            }
        }
        if rules.is_empty() && !asks && !limited {
            return false;
        }
        let rule = match rule(&rules, &realm, file, draft.hashes_realms) {
            Some(Rule::Users { .. })
                if self.target.lacks(Feature::Passwords).is_some() =>
            {
                let why = self.target.lacks(Feature::Passwords).unwrap_or_default();
                for item in &rules {
                    self.all(item, &Fate::Lost(why.to_owned()));
                }
                Rule::Denied
            }
            Some(Rule::Addresses(_)) if draft.remote => {
                let why = "whose address it is, a proxy says: it is denied";
                for item in &rules {
                    self.all(item, &Fate::Lost(why.to_owned()));
                }
                Rule::Denied
            }
            Some(rule) if !asks && !limited => {
                for item in &rules {
                    self.all(item, &Fate::Carried);
                }
                rule
            }
            _ => {
                let why = "it cannot be said there who may come in: it is denied";
                for item in &rules {
                    self.all(item, &Fate::Lost(why.to_owned()));
                }
                Rule::Denied
            }
        };
        for matcher in matchers {
            let by_prefix = matches!(matcher, Matcher::Prefix(_));
            if rule == Rule::Granted && !by_prefix {
                let why = "it would open what something else closes; open it by hand";
                for item in &rules {
                    self.all(item, &Fate::Lost(why.to_owned()));
                }
                continue;
            }
            let mut rule = rule.clone();
            if let Matcher::Prefix(prefix) = &matcher
                && closed_by_others(&mut draft.closed, styles, prefix, &rule)
                && rule != Rule::Denied
            {
                let why = "it does not open what a directive of another kind closes around it: \
                           it is denied";
                for item in &rules {
                    self.all(item, &Fate::Lost(why.to_owned()));
                }
                rule = Rule::Denied;
            }
            guard(&mut draft.host.guards, matcher, rule);
        }
        false
    }

    /// Notes that files of some URLs are no scripts.
    pub(super) fn inert(
        &mut self,
        item: &Item,
        matchers: &[Matcher],
        draft: &mut Draft<'a>,
    ) {
        for matcher in matchers {
            match matcher {
                Matcher::Prefix(prefix) if !prefix.is_empty() => {
                    draft.inert.push(prefix.clone());
                }
                _ => {}
            }
        }
        let why = "what would be a script elsewhere is denied there".to_owned();
        self.ledger.set(item, Fate::Partly(why));
    }

    /// A fate for a directive and everything in it.
    pub(super) fn all(&mut self, item: &Item, fate: &Fate) {
        self.ledger.set(item, fate.clone());
        for inner in item.body.as_deref().unwrap_or_default() {
            self.all(inner, fate);
        }
    }
}
