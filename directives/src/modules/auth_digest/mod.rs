//! mod_auth_digest: HTTP's Digest authentication (RFC 7616 with MD5), as httpd has it since
//! 2.4.69: with a quality of protection, and with clients that are known by number where
//! their nonces are counted. The secret and the clients are the world's: see [`nonce`].

mod authenticate;
mod clients;
pub mod header;
mod info;
pub mod nonce;
pub mod proof;
mod uri;

use bytes::Bytes;

use super::auth_basic::{self, Provider};
use crate::compile::Scope;
use crate::merge::Merge;
use crate::phase::{Phase, on};
use crate::schema::{
    Compat, Context, Directive, Module, Override, Problem, Result, Set, Word,
};

pub(crate) use authenticate::{State, challenge, settle};

/// How long a nonce lives where nothing is said, seconds.
const LIFETIME: i64 = 300;

/// Settings of a section.
#[derive(Clone, Debug)]
pub struct Dir {
    providers: Vec<Provider>,
    rules: nonce::Rules,
    domain: Vec<Bytes>,
}

impl Default for Dir {
    fn default() -> Dir {
        let rules = nonce::Rules { lifetime: LIFETIME * MICROSECONDS, counts: false };
        Dir { providers: Vec::new(), rules, domain: Vec::new() }
    }
}

impl Merge for Dir {
    // The module has no merger: a section that says anything of it says everything.
    fn merge(_: &Dir, inner: &Dir) -> Dir {
        inner.clone()
    }
}

/// Settings of a server: none.
pub type Server = ();

/// In a second.
const MICROSECONDS: i64 = 1_000_000;

/// What the module's directives have in common.
const OF_SECTIONS: Directive = Directive {
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    ..Directive::EXACT
};

static AUTH_DIGEST_PROVIDER: Directive = Directive {
    name: "AuthDigestProvider",
    syntax: "provider-name [provider-name] ...",
    default: "file",
    summary: "specify the auth providers for a directory or location",
    docs: r#"
Who knows the hashes of users and passwords: `file`, whose `AuthUserFile` is then one that
`htdigest` writes, with lines `user:realm:hash` for the realm of `AuthName`; or names of
`<AuthnProviderAlias>` for such files. They are asked in this order until one knows the user.
Anonymous users and applications have no such hashes.

A section that has any of this module's directives has none of those around it. Prefer `AuthType
Basic` over TLS: the hash in the file is as good as the password.

## Example
    <Location /intern>
        AuthType Digest
        AuthName "Members only"
        AuthDigestProvider file
        AuthUserFile conf/digests
        Require valid-user
    </Location>
"#,
    compat: Compat::Differs(
        "the alias of a provider without hashes is refused, where httpd's process ends when it \
         is asked; a line whose hash is none is nobody's password",
    ),
    set: Set::Each(|at, word| {
        let provider = provider(at, word)?;
        at.dir.auth_digest().providers.push(provider);
        Ok(())
    }),
    ..OF_SECTIONS
};

/// The provider of a name; one that has hashes.
fn provider(at: &mut Scope, word: &Word) -> Result<Provider> {
    let provider = auth_basic::provider_for(at, word, "AuthDigestProvider")?;
    if provider.is_of_file() {
        return Ok(provider);
    }
    let message = format!(
        "The '{}' Authn provider doesn't support Digest Authentication",
        word.lossy()
    );
    Err(Problem::from(message).at(word.span))
}

static AUTH_DIGEST_QOP: Directive = Directive {
    name: "AuthDigestQop",
    syntax: "auth",
    default: "auth",
    summary: "A list of quality-of-protection options",
    docs: r"
What is protected: who asks for what, `auth`. There is nothing else: httpd 2.4.69 has given up
`none`, and never had `auth-int`.

## Example
    <Location /intern>
        AuthDigestQop auth
    </Location>
",
    set: Set::Each(|at, word| {
        if !word.is("auth") {
            let message = "AuthDigestQop is deprecated: only 'auth' is supported";
            let help = "leave the directive out: every browser knows 'auth'";
            return Err(Problem::from(message).at(word.span).help(help));
        }
        at.dir.auth_digest();
        Ok(())
    }),
    ..OF_SECTIONS
};

static AUTH_DIGEST_NONCE_LIFETIME: Directive = Directive {
    name: "AuthDigestNonceLifetime",
    syntax: "seconds",
    default: "300",
    summary: "Maximum lifetime of the server nonce (seconds)",
    docs: r"
How long a client may go on with a nonce; then it is given a new one, which browsers take
without asking for the password again. 0 is a nonce for each request, fewer seconds than 0
are a nonce for good.

A nonce is one of this server's until the server ends, reloads included.

## Example
    <Location /intern>
        AuthDigestNonceLifetime 60
    </Location>
",
    set: Set::One(|at, word| {
        let Some(seconds) = seconds(&word.bytes) else {
            let message =
                format!("Invalid time in AuthDigestNonceLifetime: {}", word.lossy());
            return Err(Problem::from(message).at(word.span));
        };
        at.dir.auth_digest().rules.lifetime = seconds.saturating_mul(MICROSECONDS);
        Ok(())
    }),
    ..OF_SECTIONS
};

/// `strtol` of a whole text, or of what stands before a blank in it.
fn seconds(text: &[u8]) -> Option<i64> {
    let (number, rest) = header::strtol(text, 10);
    let ends = rest.first().is_none_or(|&byte| header::is_space(byte));
    ends.then_some(number)
}

static AUTH_DIGEST_NC_CHECK: Directive = Directive {
    name: "AuthDigestNcCheck",
    syntax: "On|Off",
    default: "Off",
    summary: "Whether or not to check the nonce-count sent by the client",
    docs: r"
Has every request of a client to count higher than the one before? What was overheard is then
worth nothing once the client has used it. Clients that send several requests at a time may
be asked again.

## Example
    <Location /intern>
        AuthDigestNcCheck On
    </Location>
",
    compat: Compat::Differs(
        "sub-requests and internal redirects of a request that has counted do not count again",
    ),
    set: Set::Flag(|at, on| {
        at.dir.auth_digest().rules.counts = on;
        Ok(())
    }),
    ..OF_SECTIONS
};

static AUTH_DIGEST_ALGORITHM: Directive = Directive {
    name: "AuthDigestAlgorithm",
    syntax: "MD5",
    default: "MD5",
    summary: "The algorithm used for the hash calculation",
    docs: r"
How hashes are made: with `MD5`. httpd has nothing else either.

## Example
    <Location /intern>
        AuthDigestAlgorithm MD5
    </Location>
",
    set: Set::One(|at, word| {
        if !word.is("MD5") {
            let message =
                format!("Unsupported algorithm in AuthDigestAlgorithm: {}", word.lossy());
            return Err(Problem::from(message).at(word.span));
        }
        at.dir.auth_digest();
        Ok(())
    }),
    ..OF_SECTIONS
};

static AUTH_DIGEST_DOMAIN: Directive = Directive {
    name: "AuthDigestDomain",
    syntax: "URI [URI] ...",
    summary: "A list of URI's which belong to the same protection space as the current URI",
    docs: r"
Where else the client may say who it is without being asked; it is told so together with the
question. Everything below these URIs belongs to them.

## Example
    <Location /intern>
        AuthDigestDomain /intern/ /reports/
    </Location>
",
    set: Set::Each(|at, word| {
        at.dir.auth_digest().domain.push(word.bytes.clone());
        Ok(())
    }),
    ..OF_SECTIONS
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_auth_digest.c",
    id: "auth_digest_module",
    directives: &[
        &AUTH_DIGEST_PROVIDER,
        &AUTH_DIGEST_QOP,
        &AUTH_DIGEST_NONCE_LIFETIME,
        &AUTH_DIGEST_NC_CHECK,
        &AUTH_DIGEST_ALGORITHM,
        &AUTH_DIGEST_DOMAIN,
    ],
    hooks: &[
        on(Phase::Authn, authenticate::authenticate),
        on(Phase::Fixups, info::add_info),
    ],
};

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_read_as_strtol_does() {
        for (text, read) in [
            ("300", Some(300)),
            ("-1", Some(-1)),
            (" 7 minutes", Some(7)),
            ("", Some(0)),
            ("99999999999999999999", Some(i64::MAX)),
            ("5m", None),
            ("abc", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), read, "{text}");
        }
    }
}
