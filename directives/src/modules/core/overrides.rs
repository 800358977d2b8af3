//! `AllowOverride`, `AllowOverrideList`, `AccessFileName`: what `.htaccess` may say.

use std::sync::Arc;

use super::OptionSet;
use crate::compile::{Allowed, Nonfatal, Scope};
use crate::diagnostic::codes;
use crate::known;
use crate::schema::{Context, Directive, Override, Problem, Result, Set, Word, lookup};
use crate::syntax::Text;

pub static ALLOW_OVERRIDE: Directive = Directive {
    name: "AllowOverride",
    syntax: "All|None|directive-type [directive-type] ...",
    context: Context::CONTAINERS,
    default: "None",
    summary: "Controls what groups of directives can be configured by per-directory config \
              files",
    docs: r"
The classes of directives that `.htaccess` files may use: `AuthConfig`, `FileInfo`,
`Indexes`, `Limit`, `Options[=option,...]`, or `All`, or `None` (the files are not even
looked for). `Nonfatal=Override|Unknown|All` passes over what is not allowed instead of
answering 500.

A changed `.htaccess` file is seen by the very next request.

## Example
    <Directory /srv/www>
        AllowOverride FileInfo Options=Indexes,MultiViews
    </Directory>
",
    set: Set::Raw(allow_override),
    ..Directive::EXACT
};

fn allow_override(at: &mut Scope, args: &Text) -> Result {
    if at.place.container != Some("<Directory")
        && at.place.container != Some("<DirectoryMatch")
    {
        // No file is looked for there; httpd says so and goes on.
        let message = "Useless use of AllowOverride";
        at.note(Problem::new(&codes::USELESS_OVERRIDE, message));
    }
    let mut allowed = Allowed::default();
    for word in Word::all(args) {
        let text = word.lossy();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text.clone(), None),
        };
        match (name.to_ascii_lowercase().as_str(), value) {
            ("options", Some(list)) => {
                allowed.classes = allowed.classes.with(Override::OPTIONS);
                allowed.options = Some(option_list(&list, &word)?);
            }
            ("nonfatal", Some(value)) => {
                allowed.nonfatal = match value.to_ascii_lowercase().as_str() {
                    "override" => Nonfatal::Override,
                    "unknown" => Nonfatal::Unknown,
                    "all" => Nonfatal::All,
                    _ => {
                        let message = "Illegal override option, Nonfatal=Override, Nonfatal=Unknown or \
                             Nonfatal=All expected";
                        return Err(Problem::from(message).at(word.span));
                    }
                };
            }
            ("all", None) => allowed.classes = Override::ALL,
            ("none", None) => allowed.classes = Override::NONE,
            (name, None) => {
                let class =
                    Override::NAMES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name));
                let Some((class, _)) = class else {
                    let message = format!("Illegal override option {text}");
                    return Err(Problem::from(message).at(word.span));
                };
                allowed.classes = allowed.classes.with(*class);
            }
            _ => {
                let message = format!("Illegal override option {text}");
                return Err(Problem::from(message).at(word.span));
            }
        }
    }
    let dir = at.dir.core();
    allowed.list = dir.override_list.clone().unwrap_or_default();
    dir.allow_override = Some(Arc::new(allowed));
    Ok(())
}

fn option_list(list: &str, word: &Word) -> Result<OptionSet> {
    let mut set = OptionSet(0);
    for name in list.split(',').filter(|name| !name.is_empty()) {
        match OptionSet::named(name) {
            Some(option) => set.0 |= option.0,
            None => {
                return Err(Problem::from(format!("Illegal option {name}")).at(word.span));
            }
        }
    }
    Ok(set)
}

pub static ALLOW_OVERRIDE_LIST: Directive = Directive {
    name: "AllowOverrideList",
    syntax: "None|directive [directive] ...",
    context: Context::CONTAINERS,
    default: "None",
    summary: "Controls what individual directives can be configured by per-directory config \
              files",
    docs: r"
Single directives that `.htaccess` files may use beside the classes of `AllowOverride`.

## Example
    <Directory /srv/www>
        AllowOverride None
        AllowOverrideList Redirect RedirectMatch
    </Directory>
",
    set: Set::Words(|at, words| {
        if at.place.container != Some("<Directory")
            && at.place.container != Some("<DirectoryMatch")
        {
            let message = "Useless use of AllowOverrideList";
            at.note(Problem::new(&codes::USELESS_OVERRIDE_LIST, message));
        }
        let mut list = Vec::new();
        for word in words {
            if word.is("none") {
                if words.len() > 1 {
                    let message =
                        "'None' not allowed with other directives in AllowOverrideList";
                    return Err(Problem::from(message).at(word.span));
                }
            } else if is_listable(at, word) {
                list.push(word.lossy().to_ascii_lowercase());
            }
        }
        let dir = at.dir.core();
        let mut allowed = dir.allow_override.as_deref().cloned().unwrap_or_default();
        allowed.list.clone_from(&list);
        dir.allow_override = Some(Arc::new(allowed));
        dir.override_list = Some(list);
        Ok(())
    }),
    ..Directive::EXACT
};

/// Can `.htaccess` files have the directive of this name? If not, it is passed over with a
/// warning.
fn is_listable(at: &mut Scope, word: &Word) -> bool {
    let name = word.lossy();
    let found = lookup::directive(&word.bytes);
    let problem = match found {
        Some(found) if found.directive.context.allows(Context::HTACCESS) => return true,
        Some(_) => {
            let message =
                format!("Discarding directive `{name}' not allowed in AllowOverrideList");
            Problem::new(&codes::OVERRIDE_NEVER, message)
        }
        None if known::find(&name).is_some() => return true,
        None => {
            let message = format!(
                "Discarding unrecognized directive `{name}' in AllowOverrideList"
            );
            Problem::new(&codes::OVERRIDE_LIST, message)
        }
    };
    at.note(problem.at(word.span));
    false
}

pub static ACCESS_FILE_NAME: Directive = Directive {
    name: "AccessFileName",
    syntax: "filename [filename] ...",
    context: Context::SERVERS,
    default: ".htaccess",
    summary: "Name(s) of per-directory config files (default: .htaccess)",
    docs: r"
The names of the per-directory files; the first that exists in a directory is used.

## Example
    AccessFileName .acl .htaccess
",
    // Not one of the shapes that need a word: none makes an empty list.
    set: Set::Words(|at, names| {
        let known = at.server.core().access_names.get_or_insert_default();
        known.extend(names.iter().map(|name| name.bytes.clone()));
        Ok(())
    }),
    ..Directive::EXACT
};
