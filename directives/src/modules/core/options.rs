//! `Options`: what a directory allows.

use crate::diagnostic::codes;
use crate::merge::Merge;
use crate::schema::{Context, Directive, Override, Problem, Result, Set, Word};
use crate::syntax::Text;

use crate::compile::Scope;

/// A set of options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionSet(pub u8);

impl OptionSet {
    /// `Indexes`.
    pub const INDEXES: OptionSet = OptionSet(1);
    /// `IncludesNOEXEC`, the half of `Includes` that runs no programs.
    pub const INCLUDES: OptionSet = OptionSet(2);
    /// `FollowSymLinks`.
    pub const SYM_LINKS: OptionSet = OptionSet(4);
    /// `ExecCGI`.
    pub const EXEC_CGI: OptionSet = OptionSet(8);
    /// The other half of `Includes`.
    pub const INCLUDES_EXEC: OptionSet = OptionSet(32);
    /// `SymLinksIfOwnerMatch`.
    pub const SYM_OWNER: OptionSet = OptionSet(64);
    /// `MultiViews`.
    pub const MULTI_VIEWS: OptionSet = OptionSet(128);
    /// `All`: everything but MultiViews and SymLinksIfOwnerMatch.
    pub const ALL: OptionSet = OptionSet(1 | 2 | 4 | 8 | 32);
    /// Every bit.
    pub const EVERY: OptionSet = OptionSet(255);

    /// The option called `name`, without regard to case.
    pub fn named(name: &str) -> Option<OptionSet> {
        Some(match name.to_ascii_lowercase().as_str() {
            "indexes" => OptionSet::INDEXES,
            "includes" => OptionSet(2 | 32),
            "includesnoexec" => OptionSet::INCLUDES,
            "followsymlinks" => OptionSet::SYM_LINKS,
            "symlinksifownermatch" => OptionSet::SYM_OWNER,
            "execcgi" => OptionSet::EXEC_CGI,
            "multiviews" => OptionSet::MULTI_VIEWS,
            "runscripts" => OptionSet(128 | 8),
            "none" => OptionSet(0),
            "all" => OptionSet::ALL,
            _ => return None,
        })
    }

    /// Are all of `other` among these?
    pub fn has(self, other: OptionSet) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The options of a section: named outright, or added to and taken from the outer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Options were named without a sign.
    pub explicit: bool,
    /// What holds.
    pub set: OptionSet,
    add: u8,
    remove: u8,
}

impl Default for Options {
    fn default() -> Options {
        Options { explicit: false, set: OptionSet::SYM_LINKS, add: 0, remove: 0 }
    }
}

impl Merge for Options {
    // See merge_core_dir_configs: signs change what the outer section allowed.
    fn merge(outer: &Options, inner: &Options) -> Options {
        if inner.explicit {
            return *inner;
        }
        let add = outer.add & !inner.remove | inner.add;
        let remove = outer.remove & !inner.add | inner.remove;
        let mut set = outer.set.0 & !remove | add;
        // IncludesNOEXEC inside Includes takes the programs away.
        let includes = OptionSet::INCLUDES.0 | OptionSet::INCLUDES_EXEC.0;
        if outer.set.0 & includes == includes && inner.add & includes == OptionSet::INCLUDES.0 {
            set &= !OptionSet::INCLUDES_EXEC.0;
        }
        Options { explicit: outer.explicit, set: OptionSet(set), add, remove }
    }
}

pub static OPTIONS: Directive = Directive {
    name: "Options",
    syntax: "[+|-]option [[+|-]option] ...",
    context: Context::ANYWHERE,
    overrides: Override::OPTIONS,
    default: "FollowSymLinks",
    summary: "Set a number of attributes for a given directory",
    docs: r"
Allows features in a directory: `ExecCGI` (run programs, dynamic FastCGI applications
among them), `FollowSymLinks`, `SymLinksIfOwnerMatch`, `Includes`, `IncludesNOEXEC`,
`Indexes`, `MultiViews`, `All` (all but MultiViews), `None`.

With `Includes` pages with server-side includes may run programs (`exec cmd`, `exec cgi`),
as the user of the server; with `IncludesNOEXEC` they may not. A command gets the page's
variables as its environment, what it says to its standard error goes into the error log with
the page's name, and where `SuexecUserGroup` wants another user it is not run.

Options without a sign replace those of the enclosing sections; options with `+` or `-`
change them. The two kinds cannot be mixed in one directive.

## Example
    <Directory /srv/www>
        Options -Indexes +ExecCGI
    </Directory>
",
    set: Set::Raw(set),
    ..Directive::EXACT
};

fn set(at: &mut Scope, args: &Text) -> Result {
    let allowed = at.place.allowed.and_then(|allowed| allowed.options);
    let mut signed = None;
    for word in Word::all(args) {
        let text = word.lossy();
        let (sign, name) = match text.as_bytes().first() {
            Some(b'+') => (Some(true), &text[1..]),
            Some(b'-') => (Some(false), &text[1..]),
            _ => (None, &text[..]),
        };
        if signed.replace(sign.is_some()).is_some_and(|before| before != sign.is_some()) {
            let message = "Either all Options must start with + or -, or no Option may.";
            return Err(Problem::from(message)
                .at(word.span)
                .help("httpd 2.2 took a mixture; say with a sign what is meant"));
        }
        let Some(option) = OptionSet::named(name) else {
            return Err(Problem::from(format!("Illegal option {name}")).at(word.span));
        };
        if allowed.is_some_and(|allowed| !allowed.has(option)) {
            let message = format!("Option {name} not allowed here");
            return Err(Problem::new(&codes::CONTEXT, message).at(word.span));
        }
        let options = &mut at.dir.core().options;
        match sign {
            Some(true) => {
                options.add |= option.0;
                options.remove &= !option.0;
                options.set.0 |= option.0;
            }
            Some(false) => {
                options.remove |= option.0;
                options.add &= !option.0;
                options.set.0 &= !option.0;
            }
            None => {
                if !options.explicit {
                    *options = Options {
                        explicit: true,
                        set: OptionSet(0),
                        add: 0,
                        remove: 0,
                    };
                }
                options.set.0 |= option.0;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(explicit: Option<u8>, add: u8, remove: u8) -> Options {
        let set = OptionSet(explicit.unwrap_or((4 | add) & !remove));
        Options { explicit: explicit.is_some(), set, add, remove }
    }

    #[test]
    fn signs_change_and_names_replace() {
        let base = options(Some(OptionSet::ALL.0), 0, 0);
        let minus = Options::merge(&base, &options(None, 0, OptionSet::INDEXES.0));
        assert!(!minus.set.has(OptionSet::INDEXES) && minus.set.has(OptionSet::EXEC_CGI));
        let none = Options::merge(&minus, &options(Some(0), 0, 0));
        assert_eq!(none.set, OptionSet(0));
    }
}
