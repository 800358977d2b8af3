//! `Order`, `Allow` and `Deny` as `Require`.
//!
//! Where both kinds stand they both have to let a client in, and a section that says
//! anything replaces what outer sections said of the same kind. So the one may only take
//! the other's place where it does so everywhere: where nothing else asks for a user or an
//! application, no `.htaccess` file may speak, and every section can be translated.

use super::{Change, indent, lines};
use crate::Compiled;
use crate::convert::{name_of, words_of};
use crate::expand::Item;

/// What makes the two kinds interfere.
const OTHERS: [&str; 14] = [
    "require",
    "<requireall",
    "<requireany",
    "<requirenone",
    "authmerging",
    "satisfy",
    "fastcgiaccesschecker",
    "fastcgiauthenticator",
    "fastcgiauthorizer",
    "fcgidaccesschecker",
    "fcgidauthenticator",
    "fcgidauthorizer",
    "authnzfcgicheckauthnprovider",
    "accessfilename",
];

const OWN: [&str; 3] = ["order", "allow", "deny"];

pub(super) fn changes(compiled: &Compiled) -> Vec<Change> {
    let mut bodies = Vec::new();
    let mut obstacle = None;
    look(&compiled.items, false, compiled, &mut bodies, &mut obstacle);
    let mut changes = Vec::new();
    let mut all = Vec::new();
    for body in &bodies {
        match translated(body) {
            Some(rules) => all.push((body, rules)),
            None => obstacle = obstacle.or(Some("a section cannot be said with Require")),
        }
    }
    let why = match obstacle {
        None => "nothing else decides who comes in, and no .htaccess file can".to_owned(),
        Some(why) => format!("not provably the same: {why}"),
    };
    for (body, rules) in all {
        let blank = indent(compiled, body[0]);
        for (i, item) in body.iter().enumerate() {
            let lines_of = rules.iter().map(|rule| format!("{blank}{rule}\n"));
            let text = if i == 0 { lines_of.collect() } else { String::new() };
            let safe = obstacle.is_none();
            changes.push(Change {
                span: lines(compiled, item),
                text,
                safe,
                why: why.clone(),
            });
        }
    }
    changes
}

/// Collects the directives of each section, and what stands against translating any.
fn look<'a>(
    items: &'a [Item],
    limited: bool,
    compiled: &Compiled,
    bodies: &mut Vec<Vec<&'a Item>>,
    obstacle: &mut Option<&'static str>,
) {
    let mut stop = |why| {
        obstacle.get_or_insert(why);
    };
    let mut own: Vec<&Item> = Vec::new();
    for item in items {
        let name = name_of(item);
        if OTHERS.contains(&name.as_str()) {
            stop("Require, Satisfy or an authorizer stands in the configuration as well");
        }
        let speaks = |word: &crate::schema::Word| !word.is("none");
        if name == "allowoverride" && words_of(&item.args).iter().any(speaks)
            || name == "allowoverridelist"
        {
            stop(".htaccess files may say something else");
        }
        if OWN.contains(&name.as_str()) {
            if limited {
                stop("it is for some methods only");
            }
            if !compiled.sources.get(item.name_span.file).is_file {
                stop("it comes from a macro or from the command line");
            }
            own.push(item);
        }
    }
    if own.iter().any(|item| item.name_span.file != own[0].name_span.file) {
        stop("a section's rules stand in several files");
    }
    if !own.is_empty() {
        bodies.push(own);
    }
    for item in items {
        if let Some(body) = &item.body {
            let limits = name_of(item).starts_with("<limit");
            look(body, limited || limits, compiled, bodies, obstacle);
        }
    }
}

/// The lines that say the same; `None` if there are none such.
fn translated(items: &[&Item]) -> Option<Vec<String>> {
    let (mut allow_first, mut allow, mut deny) = (false, Vec::new(), Vec::new());
    for item in items {
        let words: Vec<String> =
            words_of(&item.args).iter().map(crate::schema::word::Word::lossy).collect();
        match (name_of(item).as_str(), &words[..]) {
            ("order", [order]) => match order.to_ascii_lowercase().as_str() {
                "allow,deny" | "mutual-failure" => allow_first = true,
                "deny,allow" => allow_first = false,
                _ => return None,
            },
            (name, [from, whom @ ..])
                if from.eq_ignore_ascii_case("from") && !whom.is_empty() =>
            {
                let list = if name == "allow" { &mut allow } else { &mut deny };
                for word in whom {
                    list.push(subject(word)?);
                }
            }
            _ => return None,
        }
    }
    let all = |list: &[String]| list.iter().any(|subject| subject == "all granted");
    let granted = || vec!["Require all granted".to_owned()];
    let denied = || vec!["Require all denied".to_owned()];
    let each = |list: &[String], word: &str| -> Vec<String> {
        list.iter().map(|subject| format!("Require {word}{subject}")).collect()
    };
    let inside = |tag: &str, lines: Vec<String>| {
        let mut out = vec![format!("<{tag}>")];
        out.extend(lines.iter().map(|line| format!("    {line}")));
        out.push(format!("</{tag}>"));
        out
    };
    Some(if allow_first {
        if all(&deny) || allow.is_empty() {
            denied()
        } else if deny.is_empty() {
            if all(&allow) { granted() } else { each(&allow, "") }
        } else {
            let mut lines = if all(&allow) {
                granted()
            } else {
                inside("RequireAny", each(&allow, ""))
            };
            lines.extend(each(&deny, "not "));
            inside("RequireAll", lines)
        }
    } else if deny.is_empty() || all(&allow) {
        granted()
    } else if all(&deny) {
        if allow.is_empty() { denied() } else { each(&allow, "") }
    } else {
        let mut not = granted();
        not.extend(each(&deny, "not "));
        let not = inside("RequireAll", not);
        if allow.is_empty() {
            not
        } else {
            let mut any = each(&allow, "");
            any.extend(not);
            inside("RequireAny", any)
        }
    })
}

/// What `Require` says of whom `Allow` names.
fn subject(word: &str) -> Option<String> {
    if word.eq_ignore_ascii_case("all") {
        return Some("all granted".to_owned());
    }
    if let Some(name) = word.get(..4).filter(|name| name.eq_ignore_ascii_case("env=")) {
        let name = &word[name.len()..];
        // There is no such negation.
        return (!name.starts_with('!')).then(|| format!("env {name}"));
    }
    let address = |c: char| c.is_ascii_digit() || "./".contains(c);
    if word.contains(':') || word.chars().all(address) {
        return Some(format!("ip {word}"));
    }
    Some(format!("host {word}"))
}
