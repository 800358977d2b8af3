//! mod_auth_basic: HTTP's Basic authentication (RFC 7617), and the providers it asks.

use std::sync::Arc;

use bytes::Bytes;

use super::auth_digest::proof::{Claim, Proof};
use super::authn_core::{self, Alias, Credentials, Numbers};
use super::{authn_anon, authn_file, authnz_fcgi};
use crate::bundle::OsError;
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::effect::{Answer, Effect};
use crate::expr::Template;
use crate::log::Level;
use crate::merge::Merge;
use crate::phase::{DECLINED, OK, Phase, Verdict, last, on};
use crate::request::Request;
use crate::schema::{
    Compat, Context, Directive, Module, Override, Problem, Result, Set, Word,
};

/// Who knows passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// `file`: mod_authn_file.
    File,
    /// `anon`: mod_authn_anon.
    Anon,
    /// An application: mod_authnz_fcgi.
    Fcgi(Arc<authnz_fcgi::Provider>),
    /// One of these with settings of its own: mod_authn_core.
    Alias(Arc<Alias>),
}

impl Provider {
    /// Does it know hashes of users in realms (`get_realm_hash`)?
    pub fn is_of_file(&self) -> bool {
        match self {
            Provider::File => true,
            Provider::Alias(alias) => alias.base.is_of_file(),
            Provider::Anon | Provider::Fcgi(_) => false,
        }
    }

    /// Its file, where it has one, or else its section's.
    pub fn file<'a>(&'a self, section: &'a authn_file::Dir) -> Option<&'a Bytes> {
        let own = match self {
            Provider::Alias(alias) => alias.file(),
            _ => None,
        };
        own.or(section.file())
    }
}

/// Whether a password is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is.
    Granted,
    /// It is not.
    Denied,
    /// There is no such user.
    NoUser,
    /// It cannot be said: the file cannot be read.
    Failed(OsError),
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    providers: Vec<Provider>,
    authoritative: Option<bool>,
    fake: Option<Fake>,
    hashes_realm: Option<bool>,
}

/// `AuthBasicFake`: user and password to be sent on.
type Fake = Option<Arc<(Template, Template)>>;

impl Merge for Dir {
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let providers =
            if inner.providers.is_empty() { &outer.providers } else { &inner.providers };
        Dir {
            providers: providers.clone(),
            authoritative: inner.authoritative.or(outer.authoritative),
            fake: inner.fake.clone().or_else(|| outer.fake.clone()),
            hashes_realm: inner.hashes_realm.or(outer.hashes_realm),
        }
    }
}

/// Settings of a server: none.
pub type Server = ();

static AUTH_BASIC_PROVIDER: Directive = Directive {
    name: "AuthBasicProvider",
    syntax: "provider-name [provider-name] ...",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    default: "file",
    summary: "specify the auth providers for a directory or location",
    docs: r#"
Who knows users and passwords: `file` (`AuthUserFile`) and `anon` (`Anonymous`). They are
asked in this order until one knows the user. Other names are those of `<AuthnProviderAlias>`
and `AuthnzFcgiDefineProvider`; providers that are not built in are refused.

## Example
    <Location /intern>
        AuthType Basic
        AuthName "Members and guests"
        AuthBasicProvider file anon
        AuthUserFile conf/users
        Anonymous guest
        Require valid-user
    </Location>
"#,
    set: Set::Each(|at, word| {
        let provider = provider(at, word)?;
        at.dir.auth_basic().providers.push(provider);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The provider of a name.
pub fn provider(at: &mut Scope, word: &Word) -> Result<Provider> {
    provider_for(at, word, "AuthBasicProvider")
}

/// The provider of a name, that a directive names.
pub fn provider_for(at: &mut Scope, word: &Word, directive: &str) -> Result<Provider> {
    if let Some(application) = authnz_fcgi::provider(at, word, true) {
        return Ok(Provider::Fcgi(application));
    }
    if let Some(alias) = at.process().authn_core.get(&word.bytes) {
        return Ok(Provider::Alias(alias.clone()));
    }
    let name = word.lossy();
    Ok(match name.as_str() {
        "file" => Provider::File,
        "anon" => Provider::Anon,
        "dbm" | "dbd" | "ldap" | "socache" | "PAM" | "external" => {
            let message = format!("{directive} {name} is refused: it is not built in");
            return Err(Problem::new(&codes::REFUSED, message).at(word.span));
        }
        _ => {
            let message = format!("Unknown Authn provider: {name}");
            return Err(Problem::from(message).at(word.span));
        }
    })
}

static AUTH_BASIC_AUTHORITATIVE: Directive = Directive {
    name: "AuthBasicAuthoritative",
    syntax: "On|Off",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    default: "On",
    summary: "Set to 'Off' to allow access control to be passed along to lower modules if the \
              UserID is not known to this module",
    docs: r"
With Off, a user whom no provider knows is left to the authentication of other modules.

## Example
    <Location /intern>
        AuthBasicAuthoritative Off
    </Location>
",
    set: Set::Flag(|at, on| {
        at.dir.auth_basic().authoritative = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

static AUTH_BASIC_FAKE: Directive = Directive {
    name: "AuthBasicFake",
    syntax: "off|username [password]",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    summary: "Fake basic authentication using the given expressions for username and password, \
              'off' to disable. Password defaults to 'password' if missing.",
    docs: r#"
Replaces the client's credentials by made ones, once the request was let in, for an
application that wants some. Name and password are expressions. `off` ends it.

## Example
    <Location /legacy>
        AuthBasicFake "%{REMOTE_USER}" secret
    </Location>
"#,
    set: Set::OneOrTwo(|at, user, password| {
        let fake = if user.is("off") && password.is_none() {
            None
        } else {
            let rules = at.rules();
            let shown = user.lossy();
            let name = Template::parse(&user.bytes, rules).map_err(|why| {
                let message =
                    format!("Could not parse fake username expression '{shown}': {why}");
                Problem::from(message).at(user.span)
            })?;
            let word = password.unwrap_or(user);
            let text = password.map_or(&b"password"[..], |word| &word.bytes[..]);
            let password = Template::parse(text, rules).map_err(|why| {
                let message = format!(
                    "Could not parse fake password expression associated to user '{shown}': {why}"
                );
                Problem::from(message).at(word.span)
            })?;
            Some(Arc::new((name, password)))
        };
        at.dir.auth_basic().fake = Some(fake);
        Ok(())
    }),
    ..Directive::EXACT
};

static AUTH_BASIC_USE_DIGEST_ALGORITHM: Directive = Directive {
    name: "AuthBasicUseDigestAlgorithm",
    syntax: "MD5|Off",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    default: "Off",
    summary: "Set to 'MD5' to use the auth provider's authentication check for digest auth, \
              using a hash of 'user:realm:pass'",
    docs: r#"
With MD5, `AuthUserFile` is a file of `htdigest`, as `AuthType Digest` has it: the password that
the client sends is hashed together with its name and `AuthName`, and compared with the line
`user:realm:hash`. Only provider `file` has such hashes.

## Example
    <Location /intern>
        AuthType Basic
        AuthName "Members only"
        AuthUserFile conf/digests
        AuthBasicUseDigestAlgorithm MD5
        Require valid-user
    </Location>
"#,
    compat: Compat::Differs("a line whose hash is none is nobody's password"),
    set: Set::One(|at, word| {
        let hashes = word.is("MD5");
        if !hashes && !word.is("Off") {
            let message = format!(
                "Invalid algorithm in AuthBasicUseDigestAlgorithm: {}",
                word.lossy()
            );
            return Err(Problem::from(message).at(word.span));
        }
        at.dir.auth_basic().hashes_realm = Some(hashes);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_auth_basic.c",
    id: "auth_basic_module",
    directives: &[
        &AUTH_BASIC_PROVIDER,
        &AUTH_BASIC_AUTHORITATIVE,
        &AUTH_BASIC_FAKE,
        &AUTH_BASIC_USE_DIGEST_ALGORITHM,
    ],
    hooks: &[
        on(Phase::Authn, authenticate),
        last(Phase::Fixups, fake)
            .where_set(|at| matches!(at.dir.auth_basic.fake, Some(Some(_)))),
    ],
};

const NUMBERS: Numbers = Numbers { name: 1615, scheme: 1614, module: "auth_basic" };

/// `authenticate_basic_user`.
fn authenticate(r: &mut Request) -> Verdict {
    match authn_core::credentials(r, NUMBERS) {
        Ok(Some(given)) => ask(r, given, 0),
        Ok(None) => DECLINED,
        Err(status) => Verdict::Status(status),
    }
}

/// Asks the provider at `index`, and those behind it.
fn ask(r: &mut Request, given: Credentials, index: usize) -> Verdict {
    let dir = r.dir.clone();
    let providers = match &dir.auth_basic.providers[..] {
        [] => &[Provider::File][..],
        some => some,
    };
    let Some(provider) = providers.get(index) else {
        return conclude(r, Checked::NoUser);
    };
    // Where nothing more is known it is the one that answers.
    r.asking = index;
    if dir.auth_basic.hashes_realm == Some(true) {
        return ask_for_hash(r, provider, &given);
    }
    let (provider, alias) = match provider {
        Provider::Alias(alias) => (&alias.base, Some(alias)),
        own => (own, None),
    };
    match provider {
        Provider::Anon => {
            let checked = match alias {
                Some(alias) => authn_anon::check(r, &alias.anon(&dir.authn_anon), &given),
                None => authn_anon::check(r, &dir.authn_anon, &given),
            };
            match checked {
                Checked::NoUser => ask(r, given, index + 1),
                checked => conclude(r, checked),
            }
        }
        // Aliases are made of what is no alias.
        Provider::Alias(_) => Verdict::Status(500),
        Provider::Fcgi(application) => {
            authnz_fcgi::check_password(r, application, &given)
        }
        Provider::File => {
            let Some(file) = file(r) else {
                let text = "AuthUserFile not specified in the configuration";
                r.log(Level::Error, "authn_file", 1619, text);
                return Verdict::Status(500);
            };
            Verdict::Ask(Effect::Password { file, given }, checked)
        }
    }
}

/// The file of the provider that is asked.
fn file(r: &Request) -> Option<Bytes> {
    let provider = r.dir.auth_basic.providers.get(r.asking).unwrap_or(&Provider::File);
    provider.file(&r.dir.authn_file).cloned()
}

/// Asks a provider with `AuthBasicUseDigestAlgorithm`.
fn ask_for_hash(r: &mut Request, provider: &Provider, given: &Credentials) -> Verdict {
    if !provider.is_of_file() {
        let text = "Authn provider does not support AuthBasicUseDigestAlgorithm";
        r.log(Level::Error, "auth_basic", 2493, text);
        return Verdict::Status(500);
    }
    let Some(file) = file(r) else {
        let text = "AuthUserFile not specified in the configuration";
        r.log(Level::Error, "authn_file", 1621, text);
        return Verdict::Status(500);
    };
    let realm = authn_core::auth_name(r).unwrap_or_default();
    let user = given.user.clone();
    let proof = Proof::of_password(&user, &realm, &given.password);
    let claim = Claim { file, user, realm, proof };
    Verdict::Ask(Effect::RealmHash(Box::new(claim)), checked)
}

fn checked(r: &mut Request, answer: Answer) -> Verdict {
    let answer = match answer {
        Answer::RealmHash(proved) => Answer::Password(proved.checked),
        answer => answer,
    };
    match answer {
        // Others may know the user.
        Answer::Password(Checked::NoUser) => match authn_core::credentials(r, NUMBERS) {
            Ok(Some(given)) => ask(r, given, r.asking + 1),
            _ => Verdict::Status(500),
        },
        Answer::Password(checked) => conclude(r, checked),
        _ => Verdict::Status(500),
    }
}

/// What a check leads to.
pub fn conclude(r: &mut Request, checked: Checked) -> Verdict {
    let dir = r.dir.clone();
    let left_to_others = dir.auth_basic.authoritative == Some(false);
    let is_known = match checked {
        Checked::Granted => return OK,
        Checked::Failed(error) => {
            let file = file(r).unwrap_or_default();
            let text = [b"Could not open password file: ", &file[..]].concat();
            let number =
                if dir.auth_basic.hashes_realm == Some(true) { 1622 } else { 1620 };
            r.log_os(Level::Error, "authn_file", number, Some(error), text);
            return Verdict::Status(500);
        }
        Checked::NoUser if left_to_others => return DECLINED,
        Checked::NoUser => false,
        Checked::Denied => true,
    };
    let user = String::from_utf8_lossy(r.user.as_deref().unwrap_or_default());
    let uri = String::from_utf8_lossy(&r.uri);
    let (number, text) = if is_known {
        let what = "authentication failure";
        (1617, format!("user {user}: {what} for \"{uri}\": Password Mismatch"))
    } else {
        (1618, format!("user {user} not found: {uri}"))
    };
    r.log(Level::Error, "auth_basic", number, text);
    authn_core::challenge(r);
    Verdict::Status(401)
}

/// `authenticate_basic_fake`.
fn fake(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    let Some(Some(fake)) = &dir.auth_basic.fake else { return DECLINED };
    let mut texts = Vec::new();
    for (template, what, wrong, empty) in
        [(&fake.0, "username", 2455, 2458), (&fake.1, "password", 2456, 2459)]
    {
        match template.fill(r) {
            Ok(Ok(text)) if !text.is_empty() => texts.push(text),
            Ok(Ok(_)) => {
                // What the client says of itself must not be taken for what is made here.
                Arc::make_mut(&mut r.headers_in).remove(http::header::AUTHORIZATION);
                let uri = String::from_utf8_lossy(&r.uri);
                let text = format!(
                    "AuthBasicFake: empty {what} expression for URI '{uri}', ignoring"
                );
                r.log(Level::Info, "auth_basic", empty, text);
                return DECLINED;
            }
            Ok(Err(why)) => {
                let uri = String::from_utf8_lossy(&r.uri);
                let text = format!(
                    "AuthBasicFake: could not evaluate {what} expression for URI '{uri}': {why}"
                );
                r.log(Level::Error, "auth_basic", wrong, text);
                return Verdict::Status(500);
            }
            Err(want) => return super::core::expr_wants(r, want, self::fake),
        }
    }
    let value = format!("Basic {}", authn_core::encode_base64(&texts.join(&b':')));
    let line = format!("AuthBasicFake: \"Authorization: {value}\"");
    r.log(Level::Info, "auth_basic", 2457, line);
    if let Ok(value) = http::HeaderValue::from_str(&value) {
        let headers = Arc::make_mut(&mut r.headers_in);
        headers.insert(http::header::AUTHORIZATION, value);
    }
    DECLINED
}
