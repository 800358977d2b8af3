//! What closes something, as a rule of the other server: guards, their order, their paths.

use super::*;

/// The URLs of a directory: of what lies in it, and of where it lies.
pub(super) fn directory(path: &str, draft: &Draft) -> Vec<Matcher> {
    let below = |base: &str, path: &str| -> Option<String> {
        let rest = path.strip_prefix(base.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    };
    let mut out: Vec<Matcher> = Vec::new();
    let root = [(draft.host.root.as_str(), "")];
    let aliases =
        draft.aliases.iter().map(|(url, dir, ..)| (&dir[..], url.trim_end_matches('/')));
    for (base, url) in root.into_iter().chain(aliases) {
        let found = if below(path, base).is_some() {
            Some(url.to_owned())
        } else {
            below(base, path).map(|rest| format!("{url}{rest}"))
        };
        let found = found.map(Matcher::Prefix);
        out.extend(found.filter(|found| !out.contains(found)));
    }
    out
}

/// Adds a rule: it takes the place of what was said before of the same URLs and those below.
pub(super) fn guard(guards: &mut Vec<Guard>, matcher: Matcher, rule: Rule) {
    if let Matcher::Prefix(prefix) = &matcher {
        guards.retain(|guard| match &guard.matcher {
            Matcher::Prefix(other) => !is_below(other, prefix),
            _ => true,
        });
    }
    guards.push(Guard { matcher, rule });
}

/// Is a prefix another one, or below it?
pub(in crate::convert) fn is_below(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Why directives that can be said for a whole host are not carried over for a section.
pub(super) fn of_whole_host(name: &str) -> Option<&'static str> {
    const OF_HOSTS: [&str; 6] = [
        "setenv",
        "header",
        "directoryindex",
        "errordocument",
        "limitrequestbody",
        "redirect",
    ];
    OF_HOSTS.contains(&name).then_some("it is carried over for whole hosts only")
}

/// What is said of a directive that closes what cannot be named.
pub(super) const ALL_DENIED: &str =
    "all of the host is denied: say by hand who may come in where";

/// Is this no handler?
pub(super) fn is_none(words: &[String]) -> bool {
    let none =
        |word: &String| word.eq_ignore_ascii_case("none") || word == "default-handler";
    words.first().is_some_and(none)
}

/// Do directives of another kind, or applications, close a prefix that a rule of `styles` is
/// for? What the rule itself closes is remembered.
pub(super) fn closed_by_others(
    closed: &mut [Vec<String>; 3],
    styles: [bool; 2],
    prefix: &str,
    rule: &Rule,
) -> bool {
    for (style, _) in styles.iter().enumerate().filter(|(_, used)| **used) {
        closed[style].retain(|other| !is_below(other, prefix));
        if *rule != Rule::Granted {
            closed[style].push(prefix.to_owned());
        }
    }
    closed.iter().enumerate().any(|(style, prefixes)| {
        let own = style < styles.len() && styles[style];
        !own && prefixes.iter().any(|other| is_below(prefix, other))
    })
}

/// The directives that let `.htaccess` files say something.
pub(super) fn overrides<'a>(items: &'a [Item], out: &mut Vec<&'a Item>) {
    for item in items {
        let name = name_of(item);
        let none = words(item).iter().all(|word| word.eq_ignore_ascii_case("none"));
        if ["allowoverride", "allowoverridelist"].contains(&name.as_str()) && !none {
            out.push(item);
        }
        overrides(item.body.as_deref().unwrap_or_default(), out);
    }
}

/// Does `AuthBasicUseDigestAlgorithm` stand anywhere? What inherits it is not looked for.
pub(super) fn hashes_realms(items: &[Item]) -> bool {
    items.iter().any(|item| {
        let hashes = |word: &String| word.eq_ignore_ascii_case("md5");
        name_of(item) == "authbasicusedigestalgorithm" && words(item).iter().any(hashes)
            || hashes_realms(item.body.as_deref().unwrap_or_default())
    })
}

/// Who may come in; `None` if it cannot be said. Users are those of a file of `htpasswd`,
/// where the section itself says that they are asked for a password as `Basic` has it.
/// `other_files` says that some files are others.
pub(super) fn rule(
    items: &[&Item],
    realm: &str,
    file: Option<String>,
    other_files: bool,
) -> Option<Rule> {
    let mut addresses = Vec::new();
    let mut found = None;
    let (mut is_basic, mut is_other) = (false, other_files);
    for item in items {
        let words: Vec<String> =
            words(item).iter().map(|word| word.to_ascii_lowercase()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = match (name_of(item).as_str(), &words[..]) {
            ("require", ["all", "granted"]) | ("allow", ["from", "all"]) => Rule::Granted,
            ("require", ["all", "denied"]) | ("deny", ["from", "all"]) => Rule::Denied,
            ("require", ["ip", rest @ ..]) => {
                addresses.extend(rest.iter().map(|word| (*word).to_owned()));
                continue;
            }
            ("require", ["valid-user"]) => {
                Rule::Users { realm: realm.to_owned(), file: file.clone()? }
            }
            ("order", ["allow,deny" | "deny,allow"]) => continue,
            ("authtype", ["basic"]) => {
                is_basic = true;
                continue;
            }
            ("authbasicusedigestalgorithm", ["off"]) => {
                is_other = false;
                continue;
            }
            ("authbasicprovider", ["file"]) => continue,
            ("authname" | "authuserfile", _) | ("authmerging", ["off"]) => continue,
            _ => return None,
        };
        if found.replace(said).is_some() {
            return None;
        }
    }
    match (found, addresses.is_empty()) {
        (Some(Rule::Users { .. }), _) if !is_basic || is_other => None,
        (Some(rule), true) => Some(rule),
        (None, false)
            if addresses.iter().all(|a| a.split('.').count() == 4 || a.contains(':')) =>
        {
            Some(Rule::Addresses(addresses))
        }
        _ => None,
    }
}

/// A text as a regular expression that matches it.
pub(in crate::convert) fn escaped(text: &str) -> String {
    let special = |c: char| ".^$*+?()[]{}|\\".contains(c);
    text.chars()
        .map(|c| if special(c) { format!("\\{c}") } else { c.to_string() })
        .collect()
}

/// A glob as a regular expression.
pub(in crate::convert) fn of_glob(glob: &str) -> String {
    let mut out = "^".to_owned();
    for c in glob.chars() {
        match c {
            '*' => out += "[^/]*",
            '?' => out += "[^/]",
            c => out += &escaped(&c.to_string()),
        }
    }
    out + "$"
}
