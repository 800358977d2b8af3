//! The sections that apply to a request, what each says, and what of it still holds.

use std::sync::Arc;

use super::places::{Place, Texts};
use super::written::Written;
use crate::bundle::{Origin, Source};
use crate::expand::{Item, Reader};
use crate::merge::Merged;
use crate::request::Request;
use crate::schema::{Context, lookup};
use crate::section::{Kind, Section};
use crate::syntax::Span;

/// A section that applies.
#[derive(Debug)]
pub struct Applied {
    /// As its tag says: `<Directory /srv/www>`, a `.htaccess` file's path, or the server.
    pub title: String,
    /// Where it begins; `None` for the main server.
    pub place: Option<Place>,
    /// What it says.
    pub settings: Vec<Setting>,
}

/// A directive that applies.
#[derive(Debug)]
pub struct Setting {
    /// Its name as declared.
    pub name: String,
    /// What follows, as it was read: variables are replaced.
    pub args: String,
    /// Its module, as `<IfModule>` names it.
    pub module: &'static str,
    /// Where it stands.
    pub place: Place,
    /// Does it still hold behind all sections?
    pub state: State,
}

/// What becomes of a setting behind all sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It holds, alone or beside others.
    Holds,
    /// A later one says otherwise.
    Replaced(Place),
    /// Virtual hosts do not take it over from the main server.
    NotInherited,
}

/// How directives of one name, one after another, get on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The last one holds.
    Last,
    /// The last one with its first word holds.
    LastOfKey,
    /// All hold.
    All,
    /// Those of the last section that has any of these names hold.
    Section(&'static [&'static str]),
}

/// What a user must be is said anew by a section that says anything about it.
const RULES: [&str; 6] =
    ["Require", "<RequireAll", "<RequireAny", "<RequireNone", "<Limit", "<LimitExcept"];
const HOSTS: [&str; 3] = ["order", "allow", "deny"];
const REWRITE: [&str; 2] = ["RewriteRule", "RewriteCond"];
/// Directives with a key of their own.
const KEYED: [&str; 9] = [
    "SetEnv",
    "UnsetEnv",
    "PassEnv",
    "ErrorDocument",
    "Action",
    "Script",
    "CGIVar",
    "ExpiresByType",
    "Define",
];
/// Directives that are meant to be given again and again.
const ADDING: [&str; 27] = [
    "Options",
    "Header",
    "RequestHeader",
    "SetEnvIf",
    "SetEnvIfNoCase",
    "SetEnvIfExpr",
    "BrowserMatch",
    "BrowserMatchNoCase",
    "AddType",
    "AddHandler",
    "AddCharset",
    "AddEncoding",
    "AddLanguage",
    "RemoveType",
    "RemoveHandler",
    "RemoveCharset",
    "RemoveEncoding",
    "RemoveLanguage",
    "Alias",
    "AliasMatch",
    "ScriptAlias",
    "ScriptAliasMatch",
    "Redirect",
    "RedirectMatch",
    "ServerAlias",
    "RewriteMap",
    "CustomLog",
];

fn rule(name: &str) -> Rule {
    if RULES.contains(&name) {
        return Rule::Section(&RULES);
    }
    if HOSTS.contains(&name) {
        return Rule::Section(&HOSTS);
    }
    if REWRITE.contains(&name) {
        return Rule::Section(&REWRITE);
    }
    if KEYED.contains(&name) {
        return Rule::LastOfKey;
    }
    if ADDING.contains(&name) { Rule::All } else { Rule::Last }
}

/// Directives that define applications.
const APPS: [&str; 2] = ["FastCgiServer", "FastCgiExternalServer"];

/// Containers that become sections of their own, or servers.
const SECTIONS: [&str; 10] = [
    "<Directory",
    "<DirectoryMatch",
    "<Files",
    "<FilesMatch",
    "<Location",
    "<LocationMatch",
    "<VirtualHost",
    "<If",
    "<ElseIf",
    "<Else",
];

/// The sections that a request's settings were merged from, with what holds in the end.
pub(super) fn applied(
    written: &Written<'_>,
    r: &Request,
    merged: &Merged,
    texts: &mut Texts,
) -> Vec<Applied> {
    let mut sections = vec![Applied {
        title: "the main server".to_owned(),
        place: None,
        settings: settings(written.items, None, written, texts),
    }];
    let is_virtual = r.server.place.is_some();
    if let Some((file, line)) = &r.server.place {
        let is_it = |item: &&Item| {
            let name = written.sources.name(item.name_span.file);
            item.body.is_some() && item.line == *line && name == file
        };
        if let Some(item) = written.items.iter().find(is_it) {
            let body = item.body.as_deref().unwrap_or_default();
            sections.push(Applied {
                title: tag(item),
                place: Some(texts.at(file, *line)),
                settings: settings(body, None, written, texts),
            });
        }
    }
    for section in merged.sections() {
        sections.push(section_applied(&section, written, r, texts));
    }
    judge(&mut sections, is_virtual);
    sections
}

fn section_applied(
    section: &Arc<Section>,
    written: &Written<'_>,
    r: &Request,
    texts: &mut Texts,
) -> Applied {
    let Some(file) = &section.htaccess else {
        let item = find(written.items, section.span);
        let body = item.and_then(|item| item.body.as_deref()).unwrap_or_default();
        let file = written.sources.name(section.span.file).to_owned();
        return Applied {
            title: item.map_or_else(String::new, tag),
            place: Some(texts.at(&file, section.line)),
            settings: settings(body, None, written, texts),
        };
    };
    let items = read_htaccess(file, r);
    let of_file = section.kind == Kind::Htaccess;
    let item = find(&items, section.span).filter(|_| !of_file);
    let body = match item {
        Some(item) => item.body.as_deref().unwrap_or_default(),
        None if of_file => &items[..],
        None => &[],
    };
    Applied {
        title: item.map_or_else(|| file.to_string(), tag),
        place: Some(texts.at(file, section.line)),
        settings: settings(body, Some(file), written, texts),
    }
}

fn read_htaccess(file: &Arc<str>, r: &Request) -> Vec<Item> {
    let Ok(bytes) = r.files.read(file.as_bytes()) else { return Vec::new() };
    let root = r.snapshot.server_root.clone();
    let mut reader = Reader::new(&*r.files, root, Context::HTACCESS);
    reader.defines.clone_from(&r.snapshot.defines);
    let name = file.to_string();
    reader.read(Source { name, bytes, origin: Origin::Root, is_file: true })
}

fn find(items: &[Item], span: Span) -> Option<&Item> {
    items.iter().find_map(|item| {
        let body = item.body.as_deref()?;
        if item.name_span == span { Some(item) } else { find(body, span) }
    })
}

/// A container's tag.
fn tag(item: &Item) -> String {
    let args = String::from_utf8_lossy(item.args.bytes()).trim().to_owned();
    let name = String::from_utf8_lossy(&item.name).into_owned();
    if args == ">" || args.is_empty() {
        format!("{name}>")
    } else {
        format!("{name} {args}")
    }
}

fn settings(
    items: &[Item],
    htaccess: Option<&Arc<str>>,
    written: &Written<'_>,
    texts: &mut Texts,
) -> Vec<Setting> {
    let mut out = Vec::new();
    for item in items {
        let Some(found) = lookup::directive(&item.name) else { continue };
        // A process's own settings say nothing about one request; the application that
        // answers is shown with its own place.
        let of_process = found.directive.context == Context::SERVER
            || APPS.contains(&found.directive.name);
        if SECTIONS.contains(&found.name) || of_process {
            continue;
        }
        let place = match htaccess {
            Some(file) => texts.at(file, item.line),
            None => texts.at(written.sources.name(item.name_span.file), item.line),
        };
        out.push(Setting {
            name: found.directive.name.to_owned(),
            args: written.args(item),
            module: found.module.name,
            place,
            state: State::Holds,
        });
        if let Some(body) = &item.body {
            out.extend(settings(body, htaccess, written, texts));
        }
    }
    out
}

/// Marks what a later setting replaces.
fn judge(sections: &mut [Applied], is_virtual: bool) {
    let merges = |name: &str, words: &[&str]| {
        let said = |setting: &Setting| {
            let word = words.iter().any(|word| setting.args.eq_ignore_ascii_case(word));
            setting.name == name && word
        };
        sections.iter().any(|section| section.settings.iter().any(said))
    };
    let rules_merge = merges("AuthMerging", &["And", "Or"]);
    let rewriting_merges = merges("RewriteOptions", &["Inherit", "InheritBefore"]);
    for i in (0..sections.len()).rev() {
        for j in (0..sections[i].settings.len()).rev() {
            let (before, later) = sections.split_at(i + 1);
            let setting = &before[i].settings[j];
            let after = before[i].settings[j + 1..].iter();
            let outer = later.iter().flat_map(|section| &section.settings);
            let name = setting.name.as_str();
            let first = |args: &str| args.split_whitespace().next().map(str::to_owned);
            let by = match rule(name) {
                Rule::All => None,
                Rule::Last => after.chain(outer).rfind(|other| other.name == name),
                Rule::LastOfKey => after.chain(outer).rfind(|other| {
                    other.name == name && first(&other.args) == first(&setting.args)
                }),
                Rule::Section(names) if names == RULES && rules_merge => None,
                Rule::Section(names) if names == REWRITE && rewriting_merges => None,
                Rule::Section(names) if names == REWRITE && i <= 1 => {
                    if i == 0 && is_virtual {
                        sections[i].settings[j].state = State::NotInherited;
                    }
                    None
                }
                Rule::Section(names) => {
                    let mut outer =
                        outer.filter(|other| names.contains(&other.name.as_str()));
                    outer.next()
                }
            };
            if let Some(by) = by {
                let place = by.place.clone();
                sections[i].settings[j].state = State::Replaced(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_directives() {
        let tables: [&[&str]; 7] =
            [&RULES, &HOSTS, &REWRITE, &KEYED, &ADDING, &SECTIONS, &APPS];
        for name in tables.concat() {
            let found = lookup::directive(name.as_bytes());
            assert_eq!(found.map(|found| found.name), Some(name));
        }
    }
}
