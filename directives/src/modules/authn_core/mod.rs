//! mod_authn_core: what kind of authentication a section has, and for which realm.

mod alias;

use std::sync::Arc;

use bytes::Bytes;

pub use alias::{Alias, Process, taken};

use super::auth_digest;
use crate::compile::Scope;
use crate::expr::Template;
use crate::log::Level;
use crate::merge_options;
use crate::phase::{OK, Phase, Verdict, last};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Result, Set, Word};

/// Settings of a section. Both are texts with expressions in them.
#[derive(Debug, Default)]
pub struct Dir {
    /// `None` inside for `AuthType None`.
    kind: Option<Option<Arc<Template>>>,
    name: Option<Arc<Template>>,
}

merge_options!(Dir { kind, name });

/// `AuthType`, unless it is `None`: `ap_auth_type`.
pub fn auth_type(r: &mut Request) -> Option<Bytes> {
    let kind = r.dir.authn_core.kind.clone()??;
    let kind = fill(r, &kind, "AuthType", 2834)?;
    (!kind.eq_ignore_ascii_case(b"none")).then_some(kind)
}

/// Is `AuthType` `Basic`?
pub fn is_basic(r: &mut Request) -> bool {
    auth_type(r).is_some_and(|kind| kind.eq_ignore_ascii_case(b"basic"))
}

/// Is `AuthType` `Digest`?
pub fn is_digest(r: &mut Request) -> bool {
    auth_type(r).is_some_and(|kind| kind.eq_ignore_ascii_case(b"digest"))
}

/// `AuthName`, with its quotes escaped: `ap_auth_name`.
pub fn auth_name(r: &mut Request) -> Option<Bytes> {
    let name = r.dir.authn_core.name.clone()?;
    fill(r, &name, "AuthName", 2835).map(|name| escape_quotes(&name).into())
}

fn fill(r: &mut Request, text: &Template, what: &str, ah: u32) -> Option<Bytes> {
    match text.fill(r) {
        Ok(Ok(text)) => Some(text),
        Ok(Err(why)) => {
            let line = format!("{what} expression could not be evaluated: {why}");
            r.log(Level::Error, "authn_core", ah, line);
            None
        }
        // The client's name is known before anybody asks who it is.
        Err(_) => None,
    }
}

fn template(at: &Scope, word: &Word) -> Result<Arc<Template>> {
    Template::parse(&word.bytes, at.rules()).map(Arc::new).map_err(|why| {
        let (text, name) = (word.lossy(), at.cmd.name);
        Problem::from(format!("Cannot parse expression '{text}' in {name}: {why}"))
            .at(word.span)
    })
}

/// Settings of a server: none.
pub type Server = ();

static AUTH_TYPE: Directive = Directive {
    name: "AuthType",
    syntax: "None|Basic|Digest",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    default: "None",
    summary: "an HTTP authorization type (e.g., \"Basic\")",
    docs: r#"
How users say who they are; a text with expressions in it. `Basic` and `Digest` are built in;
any other word leaves the question to an application, which then has to be one that answers it.

## Example
    <Location /intern>
        AuthType Basic
        AuthName "Members only"
        AuthUserFile conf/users
        Require valid-user
    </Location>
"#,
    set: Set::One(|at, word| {
        let kind = if word.is("none") { None } else { Some(template(at, word)?) };
        at.dir.authn_core().kind = Some(kind);
        Ok(())
    }),
    ..Directive::EXACT
};

static AUTH_NAME: Directive = Directive {
    name: "AuthName",
    syntax: "auth-domain",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    summary: "the authentication realm (e.g. \"Members Only\")",
    docs: r#"
The realm that browsers show when they ask for a password; a text with expressions in it.

## Example
    <Location /intern>
        AuthType Basic
        AuthName "Members only"
        AuthUserFile conf/users
        Require valid-user
    </Location>
"#,
    set: Set::One(|at, word| {
        at.dir.authn_core().name = Some(template(at, word)?);
        Ok(())
    }),
    ..Directive::EXACT
};

/// Puts a backslash before every quote that has none: `ap_escape_quotes`.
pub(super) fn escape_quotes(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut escaped = false;
    for &byte in text {
        if byte == b'"' && !escaped {
            out.push(b'\\');
        }
        escaped = byte == b'\\' && !escaped;
        out.push(byte);
    }
    out
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_authn_core.c",
    id: "authn_core_module",
    directives: &[&AUTH_TYPE, &AUTH_NAME, &alias::AUTHN_PROVIDER_ALIAS],
    hooks: &[last(Phase::Authn, no_user)],
};

/// Without `AuthType` there is nothing to do, and whether that is enough, the caller sees;
/// with one, somebody should have done it: `authenticate_no_user`.
fn no_user(r: &mut Request) -> Verdict {
    let Some(kind) = auth_type(r) else { return OK };
    let kind = String::from_utf8_lossy(&kind);
    let text = format!("AuthType {kind} configured without corresponding module");
    r.log(Level::Error, "authn_core", 1796, text);
    Verdict::Status(500)
}

/// A client's user name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: Bytes,
    /// The password.
    pub password: Bytes,
}

/// Not for logs.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials {{ user: {:?}, password: … }}", self.user)
    }
}

/// The numbers of the log lines of those who ask for credentials.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// `need AuthName`.
    pub name: u32,
    /// `client used wrong authentication scheme`.
    pub scheme: u32,
    /// The module's name.
    pub module: &'static str,
}

/// The client's credentials, for `AuthType Basic`; `None` if that is another one. The
/// user is the request's from then on. An error is the status: without credentials the
/// client is asked for them. See `ap_get_basic_auth_pw`.
pub fn credentials(
    r: &mut Request,
    numbers: Numbers,
) -> std::result::Result<Option<Credentials>, u16> {
    let Numbers { name, scheme, module } = numbers;
    if !is_basic(r) {
        return Ok(None);
    }
    if auth_name(r).is_none() {
        let text = [b"need AuthName: ", &r.uri[..]].concat();
        r.log(Level::Error, module, name, text);
        return Err(500);
    }
    let Some(field) = r.header(http::header::AUTHORIZATION) else {
        challenge(r);
        return Err(401);
    };
    let (used, rest) = match field.iter().position(|&b| b == b' ') {
        Some(blank) => (&field[..blank], field[blank..].trim_ascii()),
        None => (&field[..], &b""[..]),
    };
    if !used.eq_ignore_ascii_case(b"basic") {
        let text = [b"client used wrong authentication scheme: ", &r.uri[..]].concat();
        r.log(Level::Error, module, scheme, text);
        challenge(r);
        return Err(401);
    }
    let decoded = decode_base64(rest);
    // A NUL ends what C sees of it.
    let end = decoded.iter().position(|&b| b == 0).unwrap_or(decoded.len());
    let decoded = Bytes::from(decoded).slice(..end);
    let (user, password) = match decoded.iter().position(|&b| b == b':') {
        Some(colon) => (decoded.slice(..colon), decoded.slice(colon + 1..)),
        None => (decoded, Bytes::new()),
    };
    r.user = Some(user.clone());
    r.auth_type = Some(Bytes::from_static(b"Basic"));
    Ok(Some(Credentials { user, password }))
}

/// Bytes in base64.
pub fn encode_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// base64 up to the first character that does not belong: `apr_base64_decode`.
pub fn decode_base64(text: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    static ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
    let good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let end = text.iter().position(|b| !good(b)).unwrap_or(text.len());
    // A single character at the end holds no byte.
    let end = if end % 4 == 1 { end - 1 } else { end };
    ENGINE.decode(&text[..end]).unwrap_or_default()
}

/// Asks the client for credentials: `ap_note_auth_failure`.
pub fn challenge(r: &mut Request) {
    match auth_type(r) {
        Some(kind) if kind.eq_ignore_ascii_case(b"basic") => {
            let name = auth_name(r).unwrap_or_default();
            let value = [b"Basic realm=\"", &name[..], b"\""].concat();
            r.err_headers_out.set("WWW-Authenticate", value);
        }
        Some(kind) if kind.eq_ignore_ascii_case(b"digest") => {
            auth_digest::challenge(r, false);
        }
        Some(_) => {}
        None => {
            let text = [b"need AuthType to note auth failure: ", &r.uri[..]].concat();
            r.log(Level::Error, "core", 571, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_far_as_it_goes() {
        assert_eq!(decode_base64(b"am9lOng="), b"joe:x");
        assert_eq!(decode_base64(b"am9lOng"), b"joe:x");
        assert_eq!(decode_base64(b"am9l!Ong="), b"joe");
        assert_eq!(decode_base64(b"!"), b"");
        assert_eq!(decode_base64(b"a"), b"");
    }

    #[test]
    fn realms_cannot_end_early() {
        assert_eq!(escape_quotes(br#"a "b\" c"#), br#"a \"b\" c"#);
    }
}
