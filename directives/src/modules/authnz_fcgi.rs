//! mod_authnz_fcgi: httpd's own way of asking FastCGI authorizers, on the machinery of the
//! three phases.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::auth_basic::{self, Checked};
use super::authn_core::{self, Credentials, Numbers};
use super::authz_core::Outcome;
use super::fastcgi::app::{Address, App, Kind as AppKind, Settings};
use super::fastcgi::{remember_variables, response};
use crate::compile::Scope;
use crate::effect::{Answer, Call, Effect, Role};
use crate::expr::{Rules, Template};
use crate::log::Level;
use crate::merge_options;
use crate::modules::core::expr_wants;
use crate::phase::{DECLINED, OK, Phase, Verdict, on};
use crate::request::Request;
use crate::schema::{
    Compat, Context, Directive, Module, Override, Problem, Result, Set, Word,
};

/// What a provider decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who the user is.
    Authn,
    /// What the user may do.
    Authz,
    /// Both, in one question: the FastCGI specification's own authorizer.
    Authnz,
}

/// An application that was defined as a provider.
#[derive(Debug)]
pub struct Provider {
    name: Bytes,
    kind: Kind,
    app: Arc<App>,
}

impl PartialEq for Provider {
    fn eq(&self, other: &Provider) -> bool {
        self.name == other.name
    }
}

impl Eq for Provider {}

/// The providers, by name.
pub type Process = HashMap<Bytes, Arc<Provider>>;

/// `AuthnzFcgiCheckAuthnProvider`.
#[derive(Debug)]
struct Check {
    provider: Arc<Provider>,
    authoritative: bool,
    default_user: Option<Bytes>,
    needs_basic: bool,
    user: Option<Template>,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    check: Option<Option<Arc<Check>>>,
}

merge_options!(Dir { check });

/// Settings of a server: none of its own.
pub type Server = ();

/// The provider of a name, for a question of this kind.
pub fn provider(at: &mut Scope, name: &Word, authn: bool) -> Option<Arc<Provider>> {
    let wrong = if authn { Kind::Authz } else { Kind::Authn };
    at.process().authnz_fcgi.get(&name.bytes).filter(|found| found.kind != wrong).cloned()
}

static DEFINE_PROVIDER: Directive = Directive {
    name: "AuthnzFcgiDefineProvider",
    syntax: "type provider-name backend-address",
    context: Context::SERVER,
    summary: "keyword-type keyword-name backend-address",
    docs: r#"
Makes a FastCGI application a provider for `AuthBasicProvider` (type `authn` or `authnz`),
`Require` (`authz` or `authnz`) and `AuthnzFcgiCheckAuthnProvider`. The address is
`fcgi://host:port/`; here also `unix:/path`.

## Example
    AuthnzFcgiDefineProvider authn FooAuthn fcgi://127.0.0.1:10102/
    <Location "/protected/">
        AuthType Basic
        AuthName "Restricted"
        AuthBasicProvider FooAuthn
        Require valid-user
    </Location>
"#,
    compat: Compat::Differs("Unix sockets are possible, and connections are used again"),
    set: Set::Words(|at, words| {
        let [kind, name, address] = words else {
            return Err(
                "AuthnzFcgiDefineProvider requires a type, a name and an address".into(),
            );
        };
        let kind = match kind.lossy().to_ascii_lowercase().as_str() {
            "authn" => Kind::Authn,
            "authz" => Kind::Authz,
            "authnz" => Kind::Authnz,
            other => {
                let message = format!(
                    "Invalid provider type '{other}'; expected 'authn', \
                                       'authz', or 'authnz'"
                );
                return Err(Problem::from(message).at(kind.span));
            }
        };
        if at.process().authnz_fcgi.contains_key(&name.bytes) {
            let message = format!("provider {} is defined already", name.lossy());
            return Err(Problem::from(message).at(name.span));
        }
        let app = App {
            path: address.bytes.clone(),
            kind: AppKind::External,
            address: self::address(at, address)?,
            settings: Settings::default(),
            identity: None,
            span: Some(at.cmd.item.name_span),
            class: None,
        };
        let provider = Provider { name: name.bytes.clone(), kind, app: Arc::new(app) };
        at.process().authnz_fcgi.insert(name.bytes.clone(), Arc::new(provider));
        Ok(())
    }),
    ..Directive::EXACT
};

fn address(at: &Scope, word: &Word) -> Result<Address> {
    let text = word.lossy();
    if let Some(path) = text.strip_prefix("unix:") {
        let path = at.server_relative(path.as_bytes()).ok_or("not a path")?;
        return Ok(Address::Unix(path.into()));
    }
    let wrong = || {
        let message =
            format!("Invalid backend address '{text}'; expected fcgi://host:port/");
        Problem::from(message).at(word.span)
    };
    let rest = text.strip_prefix("fcgi://").ok_or_else(wrong)?;
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<_> =
        at.files().resolve(host).into_iter().map(|ip| (ip, port).into()).collect();
    if addresses.is_empty() {
        return Err(Problem::from(format!("failed to resolve \"{host}\"")).at(word.span));
    }
    Ok(Address::Tcp(addresses))
}

static CHECK_AUTHN_PROVIDER: Directive = Directive {
    name: "AuthnzFcgiCheckAuthnProvider",
    syntax: "provider-name|None [option ...]",
    context: Context::PER_DIRECTORY,
    overrides: Override::FILE_INFO,
    default: "None",
    summary: "enable a FastCGI authorizer to handle check_authn",
    docs: r#"
An application that finds out by itself who the user is. What it answers to a refusal,
status and body, goes to the client. Options: `Authoritative On|Off` (may other modules try
when it refuses), `RequireBasicAuth On|Off` (is it asked about Basic credentials only),
`UserExpr expression` (where its answer has the user's name), `DefaultUser name` (if that is
empty).

## Example
    AuthnzFcgiDefineProvider authn Site fcgi://127.0.0.1:10102/
    <Location "/protected/">
        AuthType Site
        AuthName "Restricted"
        AuthnzFcgiCheckAuthnProvider Site Authoritative On UserExpr "%{reqenv:REMOTE_USER}"
        Require valid-user
    </Location>
"#,
    set: Set::Words(check_authn_provider),
    ..Directive::EXACT
};

fn check_authn_provider(at: &mut Scope, words: &[Word]) -> Result {
    let Some((name, options)) = words.split_first() else {
        return Err("AuthnzFcgiCheckAuthnProvider: No provider name".into());
    };
    if name.is("none") {
        if let Some(extra) = options.first() {
            let message = "Options aren't supported with \"None\"";
            return Err(Problem::from(message).at(extra.span));
        }
        at.dir.authnz_fcgi().check = Some(None);
        return Ok(());
    }
    let Some(provider) = provider(at, name, true) else {
        let message = format!(
            "Provider {} is not defined, or not for authentication",
            name.lossy()
        );
        let help = "AuthnzFcgiDefineProvider has to stand before";
        return Err(Problem::from(message).at(name.span).help(help));
    };
    let mut check = Check {
        provider,
        authoritative: true,
        default_user: None,
        needs_basic: false,
        user: None,
    };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let Some(value) = options.next() else {
            let message = format!("Option {} needs a value", option.lossy());
            return Err(Problem::from(message).at(option.span));
        };
        let flag = || {
            let message = format!("{} must be On or Off", option.lossy());
            value.flag().ok_or_else(|| Problem::from(message).at(value.span))
        };
        match option.lossy().to_ascii_lowercase().as_str() {
            "authoritative" => check.authoritative = flag()?,
            "requirebasicauth" => check.needs_basic = flag()?,
            "defaultuser" => check.default_user = Some(value.bytes.clone()),
            "userexpr" => {
                let rules = Rules {
                    restricted: at.place.context == Context::HTACCESS,
                    regex: at.rules().regex,
                    ..Rules::default()
                };
                let template = Template::parse(&value.bytes, rules).map_err(|why| {
                    Problem::from(format!("UserExpr: {why}")).at(value.span)
                })?;
                check.user = Some(template);
            }
            other => {
                let message = format!("Unexpected option '{other}'");
                return Err(Problem::from(message).at(option.span));
            }
        }
    }
    at.dir.authnz_fcgi().check = Some(Some(Arc::new(check)));
    Ok(())
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_authnz_fcgi.c",
    id: "authnz_fcgi_module",
    directives: &[&DEFINE_PROVIDER, &CHECK_AUTHN_PROVIDER],
    hooks: &[on(Phase::Authn, check_authn)],
};

/// What no authorizer gets, as the FastCGI specification says.
const WITHOUT: &[&str] =
    &["CONTENT_LENGTH", "PATH_INFO", "PATH_TRANSLATED", "SCRIPT_NAME"];

type AfterAnswer = fn(&mut Request, Answer) -> Verdict;

/// Asks a provider.
fn ask(
    r: &mut Request,
    provider: &Arc<Provider>,
    role: Option<&'static str>,
    password: Option<Bytes>,
    then: AfterAnswer,
) -> Verdict {
    let mut extra: Vec<(Bytes, Bytes)> = Vec::new();
    if let Some(password) = password {
        extra.push(("REMOTE_PASSWD".into(), password));
    }
    if let Some(role) = role {
        extra.push(("FCGI_APACHE_ROLE".into(), role.into()));
    }
    extra.push(("FCGI_ROLE".into(), "AUTHORIZER".into()));
    r.asked = Some(provider.clone());
    let app = provider.app.clone();
    (r.findings.application, r.findings.cached) = (Some(app.path.clone()), None);
    let call = Call {
        app,
        role: Role::Authorizer,
        extra,
        without: WITHOUT,
        variables: None,
        hold: None,
        nph: false,
        newest: None,
    };
    Verdict::Ask(Effect::FastCgi(call), then)
}

/// What an application said.
struct Heard {
    status: u16,
    fields: Vec<response::Field>,
}

/// The head of an answer; a failure is logged, and is no answer.
fn hear(r: &mut Request, answer: Answer) -> Option<Heard> {
    let provider = r.asked.clone()?;
    let name = |_: &Request| String::from_utf8_lossy(&provider.app.path).into_owned();
    let head = match answer {
        Answer::Head(head) => head,
        Answer::Failed { failure, received } => {
            response::log_failure(r, &name(r), &failure, received, false);
            return None;
        }
        _ => return None,
    };
    let (said, fields) =
        response::authorizers(r, "authnz_fcgi", name, &head, |r, name, line| {
            r.log(Level::Error, "authnz_fcgi", 0, response::malformed(name, line));
        })?;
    let status = said.map_or(200, |(status, _)| status);
    Some(Heard { status, fields })
}

/// Asks about a password, for `AuthBasicProvider`.
pub fn check_password(
    r: &mut Request,
    provider: &Arc<Provider>,
    given: &Credentials,
) -> Verdict {
    let role = (provider.kind == Kind::Authn).then_some("AUTHENTICATOR");
    ask(r, provider, role, Some(given.password.clone()), password_answered)
}

fn password_answered(r: &mut Request, answer: Answer) -> Verdict {
    match hear(r, answer) {
        None => Verdict::Status(500),
        Some(heard) if heard.status == 200 => {
            r.held = heard.fields;
            Verdict::Ask(Effect::Finish, password_finished)
        }
        Some(heard) => match response::add_fields(r, heard.fields) {
            Some(verdict) => verdict,
            None => auth_basic::conclude(r, Checked::Denied),
        },
    }
}

fn password_finished(r: &mut Request, answer: Answer) -> Verdict {
    if !consent(r, &answer) {
        return Verdict::Status(500);
    }
    auth_basic::conclude(r, Checked::Granted)
}

/// The end of a consent has come: its variables count.
fn consent(r: &mut Request, answer: &Answer) -> bool {
    let fields = std::mem::take(&mut r.held);
    if !matches!(answer, Answer::Finished(Ok(()))) {
        return false;
    }
    remember_variables(r, fields, true);
    if let Some(provider) = r.asked.take()
        && provider.kind == Kind::Authnz
    {
        // The same provider is not asked again by `Require`.
        r.notes.set(note(&provider), "1");
    }
    true
}

fn note(provider: &Provider) -> Bytes {
    [b"authnz_fcgi:", &provider.name[..]].concat().into()
}

/// `Require provider`: known from before, or to be asked.
pub fn require(r: &Request, provider: &Arc<Provider>) -> Outcome {
    match r.notes.get(&note(provider)) {
        Some(known) if &known[..] == b"1" => Outcome::Granted,
        Some(_) => Outcome::Denied,
        None => Outcome::Asks(provider.clone()),
    }
}

/// Asks what `Require` wants to know; then `r.resume` goes on.
pub fn authorize(r: &mut Request, provider: &Arc<Provider>) -> Verdict {
    let role = (provider.kind == Kind::Authz).then_some("AUTHORIZER");
    ask(r, provider, role, None, authorized)
}

fn authorized(r: &mut Request, answer: Answer) -> Verdict {
    match hear(r, answer) {
        None => Verdict::Status(500),
        Some(heard) if heard.status == 200 => {
            r.held = heard.fields;
            Verdict::Ask(Effect::Finish, authorized_finished)
        }
        Some(heard) => match response::add_fields(r, heard.fields) {
            Some(verdict) => verdict,
            None => settled(r, "0"),
        },
    }
}

fn authorized_finished(r: &mut Request, answer: Answer) -> Verdict {
    let provider = r.asked.clone();
    if !consent(r, &answer) {
        return Verdict::Status(500);
    }
    r.asked = provider;
    settled(r, "1")
}

fn settled(r: &mut Request, verdict: &'static str) -> Verdict {
    if let Some(provider) = r.asked.take() {
        r.notes.set(note(&provider), verdict);
    }
    match r.resume.take() {
        Some(hook) => hook(r),
        None => Verdict::Status(500),
    }
}

/// `fcgi_check_authn`.
fn check_authn(r: &mut Request) -> Verdict {
    const NUMBERS: Numbers = Numbers { name: 2502, scheme: 2503, module: "authnz_fcgi" };
    let dir = r.dir.clone();
    let Some(Some(check)) = &dir.authnz_fcgi.check else { return DECLINED };
    let mut password = None;
    if check.needs_basic {
        match authn_core::credentials(r, NUMBERS) {
            Ok(Some(given)) => password = Some(given.password),
            Ok(None) => return Verdict::Status(500),
            Err(status) => return Verdict::Status(status),
        }
    } else if authn_core::is_basic(r)
        && r.header(http::header::AUTHORIZATION).is_some()
        && let Ok(Some(given)) = authn_core::credentials(r, NUMBERS)
    {
        password = Some(given.password);
    }
    let role = (check.provider.kind == Kind::Authn).then_some("AUTHENTICATOR");
    ask(r, &check.provider, role, password, authn_answered)
}

fn authn_answered(r: &mut Request, answer: Answer) -> Verdict {
    let dir = r.dir.clone();
    let Some(Some(check)) = &dir.authnz_fcgi.check else { return Verdict::Status(500) };
    match hear(r, answer) {
        None if check.authoritative => Verdict::Status(500),
        None => DECLINED,
        Some(heard) if heard.status == 200 => {
            r.held = heard.fields;
            Verdict::Ask(Effect::Finish, authn_finished)
        }
        Some(_) if !check.authoritative => DECLINED,
        Some(heard) => response::pass_on(r, (heard.status, None), heard.fields, true),
    }
}

fn authn_finished(r: &mut Request, answer: Answer) -> Verdict {
    if !consent(r, &answer) {
        return Verdict::Status(500);
    }
    name_user(r)
}

/// Takes the user's name from where `UserExpr` says.
fn name_user(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    let Some(Some(check)) = &dir.authnz_fcgi.check else { return Verdict::Status(500) };
    let Some(template) = &check.user else {
        // Basic credentials have named the user, or nobody has.
        return if r.user.is_some() { OK } else { Verdict::Status(500) };
    };
    let name = match template.fill(r) {
        Ok(Ok(name)) => name,
        Ok(Err(why)) => {
            r.log(Level::Error, "authnz_fcgi", 2504, format!("UserExpr failed: {why}"));
            return Verdict::Status(500);
        }
        Err(want) => return expr_wants(r, want, name_user),
    };
    let name = if name.is_empty() { check.default_user.clone() } else { Some(name) };
    let Some(name) = name else {
        let text = "UserExpr gives no name, and there is no DefaultUser";
        r.log(Level::Error, "authnz_fcgi", 2505, text);
        return Verdict::Status(500);
    };
    r.user = Some(name);
    r.auth_type = authn_core::auth_type(r);
    OK
}
