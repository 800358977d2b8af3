//! `<AuthzProviderAlias>`: a condition of `Require` under a name of its own.

use std::collections::HashMap;

use bytes::Bytes;

use super::provider::{self, Provider};
use crate::compile::Scope;
use crate::modules::authn_core::taken;
use crate::modules::{DirPart, authnz_fcgi};
use crate::schema::{Compat, Context, Directive, Problem, Result, Set, Word};
use crate::syntax::lexer;

/// The conditions, by name.
pub type Process = HashMap<Bytes, Provider>;

pub(super) static AUTHZ_PROVIDER_ALIAS: Directive = Directive {
    name: "<AuthzProviderAlias",
    syntax: "base-provider alias require-parameters",
    context: Context::SERVER,
    summary: "container for grouping an authorization provider's directives under a provider \
              alias",
    docs: r#"
A condition of `Require` under a name of its own: the words that the condition has are given
here, all of them as one argument, and `AuthGroupFile` inside goes before that of the section
that names the alias. An alias has to stand before it is named, and is not the base of another.

## Example
    <AuthzProviderAlias ip office "192.0.2.0/24 198.51.100.7">
    </AuthzProviderAlias>
    <AuthzProviderAlias group editors "editors chiefs">
        AuthGroupFile conf/editors
    </AuthzProviderAlias>
    <Location /intern>
        <RequireAll>
            Require office
            Require editors
        </RequireAll>
    </Location>
"#,
    compat: Compat::Differs(
        "several arguments without quotation marks are an error (httpd takes the first), and \
         so are words behind the alias in Require (httpd passes over them)",
    ),
    set: Set::Section(|at, args| {
        let words = at.section_words(args)?;
        let (base, name, given) = match &words[..] {
            [base, name] => (base, name, None),
            [base, name, given] => (base, name, Some(given)),
            [] | [_] => {
                let name = at.cmd.name;
                let message = format!("{name}> directive requires additional arguments");
                return Err(message.into());
            }
            [.., extra] => {
                let message = "When several arguments are passed to <AuthzProviderAlias>, they \
                               must be enclosed in quotation marks";
                return Err(Problem::from(message).at(extra.span));
            }
        };
        if at.process().authz_core.contains_key(&base.bytes) {
            let message = format!("{} is an alias itself", base.lossy());
            return Err(Problem::from(message).at(base.span));
        }
        let is_taken = provider::is_known(&name.lossy())
            || at.process().authz_core.contains_key(&name.bytes)
            || authnz_fcgi::provider(at, name, false).is_some();
        if is_taken {
            return Err(taken(name));
        }
        let text = given.map_or_else(Bytes::new, |word| word.bytes.clone());
        let span = given.unwrap_or(base).span;
        let words: Vec<Word> = lexer::words(&text)
            .into_iter()
            .map(|word| Word { bytes: word.bytes.into(), span, quoted: word.quoted })
            .collect();
        let condition = provider::parse(at, base, &words, text.trim_ascii())?;
        let mut part = DirPart::default();
        at.body(None, &mut part);
        let groups = part.authz_groupfile.as_ref().and_then(|dir| dir.file());
        let condition = condition.with_groups(groups);
        at.process().authz_core.insert(name.bytes.clone(), condition);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The condition that an alias stands for.
pub(super) fn find(
    at: &mut Scope,
    name: &Word,
    args: &[Word],
) -> Result<Option<Provider>> {
    let Some(found) = at.process().authz_core.get(&name.bytes).cloned() else {
        return Ok(None);
    };
    match args {
        [] => Ok(Some(found)),
        [extra, ..] => {
            let message = format!(
                "'Require {}' takes no words: those of its <AuthzProviderAlias> count",
                name.lossy()
            );
            Err(Problem::from(message).at(extra.span))
        }
    }
}
