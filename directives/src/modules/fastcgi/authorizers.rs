//! The three authorizer phases: which application is asked, and whether its word is the
//! last one.

use std::sync::Arc;

use bytes::Bytes;

use super::app::App;
use super::permission;
use crate::bundle::Files;
use crate::compile::Scope;
use crate::diagnostic::{Diagnostic, codes};
use crate::merge_options;
use crate::modules::{Process, core};
use crate::schema::{Compat, Context, Directive, Problem, Result, Set, Word};
use crate::section::{Kind, Section};
use crate::syntax::{Span, Text};

/// The application of one phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorizer {
    /// The application.
    pub app: Arc<App>,
    /// `-compat`: fewer variables go, and only `Variable-` fields come back.
    pub compat: bool,
    /// `-pass-response`: what it says to a denial goes to the client.
    pub pass_response: bool,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    /// `FastCgiAuthenticator`.
    pub authenticator: Option<Authorizer>,
    /// `FastCgiAuthenticatorAuthoritative`.
    pub authenticator_authoritative: Option<bool>,
    /// `FastCgiAuthorizer`.
    pub authorizer: Option<Authorizer>,
    /// `FastCgiAuthorizerAuthoritative`.
    pub authorizer_authoritative: Option<bool>,
    /// `FastCgiAccessChecker`.
    pub access_checker: Option<Authorizer>,
    /// `FastCgiAccessCheckerAuthoritative`.
    pub access_checker_authoritative: Option<bool>,
}

// The original had no merger: one directive in an inner section dropped all that the
// outer ones said, and so could open what they had closed.
merge_options!(Dir {
    authenticator,
    authenticator_authoritative,
    authorizer,
    authorizer_authoritative,
    access_checker,
    access_checker_authoritative,
});

impl Dir {
    /// The applications that are set, by directive.
    fn apps(&self) -> impl Iterator<Item = &'static str> {
        let apps = [
            (FAST_CGI_AUTHENTICATOR.name, &self.authenticator),
            (FAST_CGI_AUTHORIZER.name, &self.authorizer),
            (FAST_CGI_ACCESS_CHECKER.name, &self.access_checker),
        ];
        apps.into_iter().filter(|(_, app)| app.is_some()).map(|(name, _)| name)
    }
}

/// What a person who knows the original should be told about a section: that a user is
/// wanted without a `Require`, and that applications are inherited which the
/// original dropped.
pub fn cautions(section: &Section, core: &core::Server) -> Vec<Problem> {
    let mut found = Vec::new();
    let Some(own) = &section.part.fastcgi else { return found };
    if section.part.implies_user() == Some(true) {
        let apps: Vec<_> =
            own.apps().filter(|name| *name != "FastCgiAccessChecker").collect();
        found.push(Problem::new(
            &codes::FASTCGI_FIXED,
            format!(
                "{} stands here without Require: whom the application accepts is let in; \
             mod_fastcgi did not ask it",
                apps.join(" and ")
            ),
        ));
    }
    let siblings = match section.kind {
        Kind::Directory => &core.directories,
        Kind::Location => &core.locations,
        Kind::Files | Kind::Htaccess | Kind::If | Kind::Proxy => return found,
    };
    for sibling in siblings {
        let Some(other) = &sibling.part.fastcgi else { continue };
        let (path, around) = (section.matcher.source(), sibling.matcher.source());
        let (inner, outer, place) = if is_below(path, around) {
            (own, other, path)
        } else if is_below(around, path) {
            (other, own, around)
        } else {
            continue;
        };
        let kept: Vec<_> = inner.apps().collect();
        for name in outer.apps().filter(|name| !kept.contains(name)) {
            let place = String::from_utf8_lossy(place);
            found.push(Problem::new(&codes::AUTH_MERGE, format!(
                "{name} is inherited by {place}; mod_fastcgi dropped it there, since the inner \
                 section has FastCgi auth directives of its own"
            )));
        }
    }
    found
}

/// Is a literal path below another one?
fn is_below(path: &[u8], around: &[u8]) -> bool {
    let around = around.strip_suffix(b"/").unwrap_or(around);
    path.len() > around.len() + 1
        && path.starts_with(around)
        && path.get(around.len()) == Some(&b'/')
}

/// A program of a directive: one that the server starts, or that an auth phase asks and no
/// directive defines.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) program: Bytes,
    pub(super) directive: &'static str,
    pub(super) span: Span,
    pub(super) line: u32,
}

/// Programs that the final `User` may not run.
pub(super) fn check_access(process: &Process, files: &dyn Files) -> Vec<Diagnostic> {
    let (uid, gid) = (process.core.uid(), process.core.gid());
    let wrapped = process.fastcgi.wrapper.is_some();
    let check = |candidate: &Candidate, help: Option<&str>| {
        let Candidate { program, directive, span, line } = candidate;
        let looked = files.stat(program);
        let why = permission::program(program, looked, uid, gid, wrapped, files)?;
        let message = refused(directive, program, &why);
        let found = Diagnostic::new(&codes::VALUE, message, *span, *line);
        Some(Diagnostic { help: help.map(str::to_owned), ..found })
    };
    let (started, candidates) = (&process.fastcgi.started, &process.fastcgi.candidates);
    let asked =
        candidates.iter().filter_map(|candidate| check(candidate, Some(UNDEFINED)));
    started.iter().filter_map(|candidate| check(candidate, None)).chain(asked).collect()
}

const UNDEFINED: &str =
    "a FastCgiExternalServer has to stand before the directive that uses it";

fn refused(directive: &str, program: &[u8], why: &str) -> String {
    format!("{directive}: \"{}\" {why}", String::from_utf8_lossy(program))
}

const USAGE: &str = "takes 1-2 arguments, a fastcgi-script path (absolute or relative to \
                     ServerRoot) followed by an optional -compat";

fn authorizer(at: &mut Scope, args: &Text) -> Result<Authorizer> {
    let name = at.cmd.name;
    let words = Word::all(args);
    let (path, rest) = match words.split_first() {
        Some((path, rest)) if rest.len() <= 2 => (path, rest),
        _ => return Err(Problem::new(&codes::USAGE, format!("{name} {USAGE}"))),
    };
    let (mut compat, mut pass_response) = (false, false);
    for word in rest {
        if word.is("-compat") {
            compat = true;
        } else if word.is("-pass-response") {
            pass_response = true;
        } else {
            let message = format!("{name}: unknown option: \"{}\"", word.lossy());
            return Err(Problem::from(message).at(word.span));
        }
    }
    let Some(file) = at.server_relative(&path.bytes) else {
        return Err(format!("{name} {}: invalid filepath", path.lossy()).into());
    };
    if let Some(app) = at.process().fastcgi.matches(&file) {
        return Ok(Authorizer { app: app.clone(), compat, pass_response });
    }
    // Not defined: a candidate for a dynamic application (C-38). Whether the server may run
    // it is asked at the end: `User` may still come (C-41).
    let looked = at.files().stat(&file);
    if let Some(why) = permission::program(&file, looked, 0, 0, true, at.files()) {
        let message = refused(name, &file, &why);
        return Err(Problem::from(message).at(path.span).help(UNDEFINED));
    }
    let candidate = Candidate {
        program: file.clone().into(),
        directive: name,
        span: path.span,
        line: at.cmd.item.line,
    };
    let app = at.process().fastcgi.dynamic_app(&file, None);
    at.process().fastcgi.candidates.push(candidate);
    Ok(Authorizer { app, compat, pass_response })
}

macro_rules! phases {
    ($($app:ident: $app_name:literal, $app_field:ident, $switch:ident: $switch_name:literal, $switch_field:ident, $what:literal, $more:expr;)*) => {
        $(
            pub static $app: Directive = Directive {
                name: $app_name,
                syntax: "filename [-compat] [-pass-response]",
                context: Context::CONTAINERS,
                docs: concat!(
                    "\n", $what, "\n\nThe application is a `FastCgiServer` or ",
                    "`FastCgiExternalServer` defined before, or a program that is started when ",
                    "it is needed. With `-compat` it gets no CONTENT_LENGTH, PATH_INFO, ",
                    "PATH_TRANSLATED and SCRIPT_NAME, and only header fields that begin with ",
                    "`Variable-` become variables of the request; without it all do.\n",
                    "With `-pass-response` a refusal's status, header fields and body go to the ",
                    "client as the FastCGI specification has it, redirects to a login page ",
                    "included (a Location without a Status is one); the body is cut behind a ",
                    "megabyte. Without it the client gets the server's own page for the phase's ",
                    "status.\n",
                    $more,
                    "\n## Example\n",
                    "    FastCgiExternalServer /virtual/auth -host 127.0.0.1:9009\n",
                    "    <Location /members>\n",
                    "        ", $app_name, " /virtual/auth\n",
                    "    </Location>\n",
                ),
                compat: Compat::Differs(
                    "settings of enclosing sections are inherited one by one; the original \
                     dropped them all as soon as an inner section mentioned any",
                ),
                set: Set::Raw(|at, args| {
                    let authorizer = authorizer(at, args)?;
                    at.dir.fastcgi().$app_field = Some(authorizer);
                    Ok(())
                }),
                ..Directive::EXACT
            };

            pub static $switch: Directive = Directive {
                name: $switch_name,
                syntax: "On|Off",
                context: Context::CONTAINERS,
                default: "On",
                docs: concat!(
                    "\nIs the word of `", $app_name, "` final? With Off a refusal, and also an ",
                    "application that cannot be reached, leaves the decision to the other ",
                    "modules of the phase.\n\n## Example\n",
                    "    <Location /members>\n",
                    "        ", $switch_name, " Off\n",
                    "    </Location>\n",
                ),
                set: Set::Flag(|at, on| {
                    at.dir.fastcgi().$switch_field = Some(on);
                    Ok(())
                }),
                ..Directive::EXACT
            };
        )*
    };
}

phases! {
    FAST_CGI_AUTHENTICATOR: "FastCgiAuthenticator", authenticator,
        FAST_CGI_AUTHENTICATOR_AUTHORITATIVE: "FastCgiAuthenticatorAuthoritative",
        authenticator_authoritative,
        "An application that checks user and password: it gets REMOTE_USER and REMOTE_PASSWD, \
         and a status of 200 lets the user in. With `AuthType Digest`, where clients send no \
         password, it is not asked.",
        "";
    FAST_CGI_AUTHORIZER: "FastCgiAuthorizer", authorizer,
        FAST_CGI_AUTHORIZER_AUTHORITATIVE: "FastCgiAuthorizerAuthoritative",
        authorizer_authoritative,
        "An application that decides whether an authenticated user may have what was asked \
         for: a status of 200 lets the request in, whatever `Require` says.",
        include_str!("outcomes.md");
    FAST_CGI_ACCESS_CHECKER: "FastCgiAccessChecker", access_checker,
        FAST_CGI_ACCESS_CHECKER_AUTHORITATIVE: "FastCgiAccessCheckerAuthoritative",
        access_checker_authoritative,
        "An application that decides whether a request may be made at all, before any user \
         is asked for: a status of 200 lets it in, anything else is answered 403.",
        "";
}
