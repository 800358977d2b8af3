//! mod_negotiation: the best of several files, by what the client accepts.

mod accept;
mod choose;
mod headers;
mod hooks;
mod map;
mod quality;
mod variant;

use bytes::Bytes;

pub use hooks::Negotiation;

use crate::merge_options;
use crate::modules::core::OptionSet;
use crate::phase::{Phase, first, on};
use crate::schema::{Context, Directive, Module, Override, Problem, Set};

/// What `ForceLanguagePriority` says: a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Force(u8);

impl Force {
    const NONE: Force = Force(1);
    const PREFER: Force = Force(2);
    const FALLBACK: Force = Force(4);

    fn has(self, other: Force) -> bool {
        self.0 & other.0 != 0
    }
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    priority: Option<Vec<Bytes>>,
    force: Option<Force>,
}

merge_options!(Dir { priority, force });

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    cache: Option<bool>,
}

merge_options!(Server { cache });

static CACHE_NEGOTIATED_DOCS: Directive = Directive {
    name: "CacheNegotiatedDocs",
    syntax: "On|Off",
    context: Context::SERVERS,
    default: "Off",
    summary: "Either 'on' or 'off' (default)",
    docs: r"
May caches of HTTP/1.0 keep what was negotiated? Without it they are sent an `Expires` of
now.

## Example
    CacheNegotiatedDocs On
",
    set: Set::Flag(|at, on| {
        at.server.negotiation().cache = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

static LANGUAGE_PRIORITY: Directive = Directive {
    name: "LanguagePriority",
    syntax: "language [language] ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "space-delimited list of MIME language abbreviations",
    docs: r"
The order of languages where the client has no preference, with `Options MultiViews` and in
type maps. See `ForceLanguagePriority`.

## Example
    LanguagePriority en de fr
",
    set: Set::Each(|at, language| {
        let list = at.dir.negotiation().priority.get_or_insert_default();
        list.push(language.bytes.clone());
        Ok(())
    }),
    ..Directive::EXACT
};

static FORCE_LANGUAGE_PRIORITY: Directive = Directive {
    name: "ForceLanguagePriority",
    syntax: "None|Prefer|Fallback [Prefer|Fallback]",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "Prefer",
    summary: "Force LanguagePriority elections, either None, or Fallback and/or Prefer",
    docs: r"
When `LanguagePriority` decides: with `Prefer` among languages that the client likes equally
well, with `Fallback` where it accepts none (406 otherwise), with `None` never.

## Example
    ForceLanguagePriority Prefer Fallback
",
    set: Set::Each(|at, word| {
        let force = &mut at.dir.negotiation().force;
        let before = force.unwrap_or(Force(0));
        let fail = |message: String| Err(Problem::from(message).at(word.span));
        let (added, name) = match () {
            () if word.is("none") => {
                if before.has(Force::PREFER) || before.has(Force::FALLBACK) {
                    let message =
                        "Cannot combine ForceLanguagePriority options with None";
                    return fail(message.to_owned());
                }
                *force = Some(Force::NONE);
                return Ok(());
            }
            () if word.is("prefer") => (Force::PREFER, "Prefer"),
            () if word.is("fallback") => (Force::FALLBACK, "Fallback"),
            () => {
                return fail(format!(
                    "Invalid ForceLanguagePriority option {}",
                    word.lossy()
                ));
            }
        };
        if before.has(Force::NONE) {
            return fail(format!(
                "Cannot combine ForceLanguagePriority options None and {name}"
            ));
        }
        *force = Some(Force(before.0 | added.0));
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_negotiation.c",
    id: "negotiation_module",
    directives: &[&CACHE_NEGOTIATED_DOCS, &FORCE_LANGUAGE_PRIORITY, &LANGUAGE_PRIORITY],
    hooks: &[
        first(Phase::Type, hooks::multi_views)
            .where_set(|at| at.dir.core.options.set.has(OptionSet::MULTI_VIEWS)),
        on(Phase::Fixups, hooks::fix_encoding),
        on(Phase::Handle, hooks::type_map).of_handlers(hooks::HANDLERS),
    ],
};
