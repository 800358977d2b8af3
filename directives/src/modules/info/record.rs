//! The directives of a configuration as they may be shown: without what applications and
//! keys are to keep for themselves.

use crate::bundle::Sources;
use crate::expand::Item;
use crate::modules::MODULES;
use crate::schema::Word;

/// A directive, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The file it stands in.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// How many containers are around it.
    pub depth: usize,
    /// The module that declares it; empty for one that is passed over.
    pub module: &'static str,
    /// What may be shown of it.
    pub text: String,
}

/// Does anything in the server's files name the handler?
pub fn is_wanted(items: &[Item]) -> bool {
    items.iter().any(|item| {
        let handles = item.name.eq_ignore_ascii_case(b"SetHandler")
            || item.name.eq_ignore_ascii_case(b"AddHandler");
        let names =
            || Word::all(&item.args).first().is_some_and(|word| word.is("server-info"));
        handles && names() || item.body.as_ref().is_some_and(|body| is_wanted(body))
    })
}

/// All directives that hold.
pub fn record(items: &[Item], sources: &Sources) -> Vec<Line> {
    let mut lines = Vec::new();
    add(items, sources, 0, &mut lines);
    lines
}

fn add(items: &[Item], sources: &Sources, depth: usize, lines: &mut Vec<Line>) {
    for item in items {
        let name = String::from_utf8_lossy(&item.name).into_owned();
        let declares = |d: &&&crate::schema::Directive| {
            let mut names = std::iter::once(&d.name).chain(d.aliases);
            names.any(|declared| declared.eq_ignore_ascii_case(&name))
        };
        let module = MODULES.iter().find(|m| m.directives.iter().any(|d| declares(&d)));
        let file = sources.name(item.name_span.file).to_owned();
        lines.push(Line {
            file: file.clone(),
            line: item.line,
            depth,
            module: module.map_or("", |module| module.name),
            text: shown(
                &name,
                &String::from_utf8_lossy(item.args.bytes()),
                &Word::all(&item.args),
            ),
        });
        if let Some(body) = &item.body {
            add(body, sources, depth + 1, lines);
            let text = format!("</{}>", name.trim_start_matches('<'));
            lines.push(Line { file, line: item.line, depth, module: "", text });
        }
    }
}

const HIDDEN: &str = "(not shown)";

/// Directives of which so many words are shown, since a secret may follow.
const SHORT: [(&str, usize); 15] = [
    ("SetEnv", 1),
    ("Define", 1),
    ("CGIVar", 1),
    ("FcgidInitialEnv", 1),
    ("DefaultInitEnv", 1),
    ("ProxyFCGISetEnvIf", 1),
    ("SetEnvIf", 1),
    ("SetEnvIfNoCase", 1),
    ("SetEnvIfExpr", 0),
    ("RequestHeader", 2),
    ("Header", 2),
    ("AuthBasicFake", 1),
    ("SSLPassPhraseDialog", 0),
    ("DBDParams", 0),
    ("SSLOpenSSLConfCmd", 1),
];

/// What may be shown of a directive.
fn shown(name: &str, args: &str, words: &[Word]) -> String {
    let lower = name.to_ascii_lowercase();
    let is_secret = ["password", "passphrase", "secret", "token", "crypto"]
        .iter()
        .any(|part| lower.contains(part));
    let short = SHORT.iter().find(|(short, _)| short.eq_ignore_ascii_case(name));
    let few = if is_secret { Some(0) } else { short.map(|(_, count)| *count) };
    let mut out = vec![name.to_owned()];
    if let Some(few) = few {
        out.extend(words.iter().take(few).map(Word::lossy));
        if words.len() > few {
            out.push(HIDDEN.to_owned());
        }
        return out.join(" ");
    }
    let plain = |word: &Word| masked(&word.lossy(), false) == word.lossy();
    // mod_fastcgi's option, and mod_fcgid's.
    let precedes_variable =
        |word: &Word| word.is("-initial-env") || word.is("InitialEnv");
    if words.iter().all(plain) && !words.iter().any(precedes_variable) {
        // As it is written, quotes and all.
        return format!("{name} {args}").trim_end().to_owned();
    }
    let mut is_variable = false;
    for word in words {
        out.push(masked(&word.lossy(), is_variable));
        is_variable = precedes_variable(word);
    }
    out.join(" ")
}

/// A word without the value of a variable, the password of a URL, or `secret=`.
fn masked(word: &str, is_variable: bool) -> String {
    if is_variable {
        return match word.split_once('=') {
            Some((name, _)) => format!("{name}={HIDDEN}"),
            None => word.to_owned(),
        };
    }
    if let Some((name, _)) = word.split_once('=')
        && ["secret", "password", "pass", "token", "key"]
            .contains(&&name.to_ascii_lowercase()[..])
    {
        return format!("{name}={HIDDEN}");
    }
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{HIDDEN}{}", &rest[at..]),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::syntax::{FileId, Span};

    fn show(name: &str, args: &str) -> String {
        let span = Span { file: FileId(0), start: 0, end: 0 };
        let word = |word: &str| {
            let bytes = Bytes::copy_from_slice(word.as_bytes());
            Word { bytes, span, quoted: false }
        };
        let words: Vec<Word> = args.split(' ').map(word).collect();
        shown(name, args, &words)
    }

    #[test]
    fn secrets_are_left_out() {
        let cases = [
            ("SetEnv", "DB_PASSWORD hunter2", "SetEnv DB_PASSWORD (not shown)"),
            (
                "FastCgiServer",
                "/a -initial-env K=hunter2 -processes 2",
                "FastCgiServer /a -initial-env K=(not shown) -processes 2",
            ),
            (
                "FcgidCmdOptions",
                "/a InitialEnv K=hunter2",
                "FcgidCmdOptions /a InitialEnv K=(not shown)",
            ),
            (
                "ProxyPass",
                "/x http://joe:hunter2@h/y",
                "ProxyPass /x http://(not shown)@h/y",
            ),
            (
                "BalancerMember",
                "ajp://h secret=hunter2",
                "BalancerMember ajp://h secret=(not shown)",
            ),
            ("AuthLDAPBindPassword", "hunter2", "AuthLDAPBindPassword (not shown)"),
            ("SSLPassPhraseDialog", "exec:/x", "SSLPassPhraseDialog (not shown)"),
            (
                "RequestHeader",
                "set Authorization hunter2",
                "RequestHeader set Authorization (not shown)",
            ),
            ("Options", "-Indexes +ExecCGI", "Options -Indexes +ExecCGI"),
        ];
        for (name, args, expected) in cases {
            assert_eq!(show(name, args), expected);
        }
    }
}
