//! `<AuthnProviderAlias>`: a provider under another name, with settings of its own.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::merge::Merge;
use crate::modules::auth_basic::{Provider, provider};
use crate::modules::{DirPart, authn_anon, authn_file};
use crate::schema::{Compat, Context, Directive, Problem, Result, Set, Word};
use crate::syntax::Text;

/// A provider with settings of its own.
#[derive(Debug)]
pub struct Alias {
    name: Bytes,
    /// What it is otherwise; itself no alias.
    pub base: Provider,
    file: authn_file::Dir,
    anon: authn_anon::Dir,
}

impl PartialEq for Alias {
    fn eq(&self, other: &Alias) -> bool {
        self.name == other.name
    }
}

impl Eq for Alias {}

impl Alias {
    /// Its own `AuthUserFile`.
    pub fn file(&self) -> Option<&Bytes> {
        self.file.file()
    }

    /// Its settings of `anon` over those of the section that asks it.
    pub fn anon(&self, section: &authn_anon::Dir) -> authn_anon::Dir {
        authn_anon::Dir::merge(section, &self.anon)
    }
}

/// The aliases, by name.
pub type Process = HashMap<Bytes, Arc<Alias>>;

pub(super) static AUTHN_PROVIDER_ALIAS: Directive = Directive {
    name: "<AuthnProviderAlias",
    syntax: "base-provider alias",
    context: Context::SERVER,
    summary: "container for grouping an authentication provider's directives under a provider \
              alias",
    docs: r#"
A provider of `AuthBasicProvider` or `AuthDigestProvider` under a name of its own, with settings that go before those
of the section that names it: several password files can be asked one after the other. The
base is `file`, `anon` or a provider of `AuthnzFcgiDefineProvider`, and no alias. An alias has
to stand before it is named.

## Example
    <AuthnProviderAlias file staff>
        AuthUserFile conf/staff
    </AuthnProviderAlias>
    <AuthnProviderAlias file guests>
        AuthUserFile conf/guests
    </AuthnProviderAlias>
    <Location /intern>
        AuthType Basic
        AuthName "Members and guests"
        AuthBasicProvider staff guests
        Require valid-user
    </Location>
"#,
    compat: Compat::Differs(
        "further words behind the alias are an error, and so is the alias of an alias, which \
         ends httpd's process when it is asked",
    ),
    set: Set::Section(|at, args| {
        let [base, name] = two(&at.section_words(args)?, args, at.cmd.name)?;
        if base.is(&name.lossy()) {
            let message =
                "The alias provider name must be different from the base provider name.";
            return Err(Problem::from(message).at(name.span));
        }
        if at.process().authn_core.contains_key(&base.bytes) {
            let message = format!("{} is an alias itself", base.lossy());
            return Err(Problem::from(message).at(base.span));
        }
        let base = provider(at, &base)?;
        // A name that nothing is known of is what is wanted.
        let is_taken = provider(at, &name).is_ok();
        if is_taken {
            return Err(taken(&name));
        }
        let mut part = DirPart::default();
        at.body(None, &mut part);
        let (file, anon) =
            (part.authn_file.unwrap_or_default(), part.authn_anon.unwrap_or_default());
        let alias = Alias { name: name.bytes.clone(), base, file, anon };
        at.process().authn_core.insert(name.bytes, Arc::new(alias));
        Ok(())
    }),
    ..Directive::EXACT
};

/// A base and a name.
fn two(words: &[Word], args: &Text, directive: &str) -> Result<[Word; 2]> {
    match words {
        [] | [_] => {
            Err(format!("{directive}> directive requires additional arguments").into())
        }
        [base, name] => Ok([base.clone(), name.clone()]),
        _ => {
            let message = format!("{directive}> takes a provider and a name for it");
            Err(Problem::from(message).at(args.whole()))
        }
    }
}

/// A name that somebody else has.
pub fn taken(name: &Word) -> Problem {
    let message = format!(
        "The alias provider {} has already be registered previously as either a base provider \
         or an alias provider.",
        name.lossy()
    );
    Problem::from(message).at(name.span)
}
