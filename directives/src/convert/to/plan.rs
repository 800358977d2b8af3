//! What holds below which URL prefix: servers that choose one place for a request need
//! all of it said there.

use crate::convert::model::{Host, Matcher, Route, Rule};
use crate::convert::read::is_below;

/// What holds for a prefix and what lies below it, up to longer ones.
#[derive(Debug)]
pub struct Place<'a> {
    /// The prefix; empty for everything.
    pub prefix: &'a str,
    /// Who may come in.
    pub rule: &'a Rule,
    /// What answers.
    pub content: Content<'a>,
}

/// What answers.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// An application that is itself the script: its route's prefix, and which.
    Script(&'a str, usize),
    /// Files of an alias: its prefix and directory.
    Alias(&'a str, &'a str),
    /// The host's own files.
    Files,
}

/// All prefixes of a host, the longest first.
pub fn places(host: &Host) -> Vec<Place<'_>> {
    let mut prefixes: Vec<&str> = vec![""];
    let prefix = |matcher: &'_ Matcher| matches!(matcher, Matcher::Prefix(_));
    for matcher in host
        .routes
        .iter()
        .map(|route| &route.matcher)
        .chain(host.guards.iter().map(|guard| &guard.matcher))
        .filter(|matcher| prefix(matcher))
    {
        if let Matcher::Prefix(text) = matcher {
            prefixes.push(text);
        }
    }
    prefixes.extend(host.aliases.iter().map(|(url, _)| url.as_str()));
    prefixes.sort_by_key(|prefix| (std::cmp::Reverse(prefix.len()), *prefix));
    prefixes.dedup();
    prefixes.into_iter().map(|prefix| place(host, prefix)).collect()
}

fn place<'a>(host: &'a Host, prefix: &'a str) -> Place<'a> {
    let rules = host.guards.iter().filter_map(|guard| match &guard.matcher {
        Matcher::Prefix(other) if is_below(prefix, other) => {
            Some((other.len(), &guard.rule))
        }
        _ => None,
    });
    let rule =
        rules.max_by_key(|(length, _)| *length).map_or(&Rule::Granted, |(_, rule)| rule);
    let scripts = host.routes.iter().filter_map(|route| match &route.matcher {
        Matcher::Prefix(other) if route.is_script && is_below(prefix, other) => {
            Some((other.len(), 1, Content::Script(other, route.app)))
        }
        _ => None,
    });
    let aliases = host.aliases.iter().filter(|(url, _)| is_below(prefix, url));
    let aliases = aliases.map(|(url, dir)| (url.len(), 0, Content::Alias(url, dir)));
    let content = scripts.chain(aliases).max_by_key(|(length, kind, _)| (*length, *kind));
    let content = content.map_or(Content::Files, |(.., content)| content);
    Place { prefix, rule, content }
}

/// The routes whose script is the file that the URL leads to.
pub fn by_file(host: &Host) -> impl Iterator<Item = &Route> {
    host.routes.iter().filter(|route| !route.is_script)
}

/// A regular expression on a URL path for one on its last name, which `rest` may follow.
pub fn of_name(pattern: &str, rest: &str) -> String {
    let (front, body) = match pattern.strip_prefix('^') {
        Some(body) => ("/", body),
        None => ("/[^/]*", pattern),
    };
    match body.strip_suffix('$').filter(|body| !body.ends_with('\\')) {
        Some(body) => format!("{front}(?:{body}){rest}$"),
        None => format!("{front}(?:{body})[^/]*{rest}$"),
    }
}

/// The suffixes that a pattern on a name stands for, as `.php`; none if it is another one.
pub fn suffixes(pattern: &str) -> Vec<String> {
    let Some(inner) = pattern.strip_prefix("\\.").and_then(|rest| rest.strip_suffix('$'))
    else {
        return Vec::new();
    };
    let inner =
        inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(inner);
    let parts: Vec<&str> = inner.split('|').collect();
    let plain =
        |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    if !parts.iter().all(plain) {
        return Vec::new();
    }
    parts.into_iter().map(|part| format!(".{part}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_names() {
        assert_eq!(of_name("\\.php$", ""), "/[^/]*(?:\\.php)$");
        assert_eq!(of_name("^a\\$", "(/.*)?"), "/(?:a\\$)[^/]*(/.*)?$");
        assert_eq!(suffixes("\\.(php|phtml)$"), [".php", ".phtml"]);
        assert_eq!(suffixes("\\.php$"), [".php"]);
        assert!(suffixes("\\.ph(p|tml)$").is_empty() && suffixes("^x$").is_empty());
    }
}
