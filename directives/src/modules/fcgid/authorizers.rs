//! The phases in which an application decides, in mod_fcgid's spelling: the same phases as
//! mod_fastcgi's, with `-compat` for every application.

use std::sync::Arc;

use super::class::Command;
use super::wrapper::program_file;
use crate::compile::Scope;
use crate::effect::Failure;
use crate::log::Level;
use crate::modules::DirConfig;
use crate::modules::fastcgi::app::{Address, App, Kind, Settings};
use crate::modules::fastcgi::phases::{self, Family, Words};
use crate::modules::fastcgi::{Authorizer, Dir};
use crate::path;
use crate::phase::Verdict;
use crate::request::Request;
use crate::schema::{Compat, Context, Directive, Override, Result, Set, Word};

/// The note that keeps how an application denied.
const REASON: &str = "fcgid-reason";

/// mod_fcgid's.
struct Fcgid;

impl Family for Fcgid {
    const PREFIX: &'static str = "Fcgid";
    const MODULE: &'static str = "fcgid";
    const REDIRECT_DENIES: bool = true;

    fn settings(dir: &DirConfig) -> &Dir {
        &dir.fcgid.authorizers
    }

    fn resolve(
        r: &mut Request,
        authorizer: &Authorizer,
    ) -> std::result::Result<(Arc<App>, Option<i64>), u16> {
        let path = &authorizer.app.path;
        let wrapper = r.dir.fcgid.wrapper(path).map(|wrapper| wrapper.command.clone());
        let command = wrapper.unwrap_or_else(|| Command::of(path));
        super::handler::app(r, &command).map(|app| (app, None))
    }

    fn failed(r: &mut Request, _: &str, failure: &Failure, _: u64) -> u16 {
        super::handler::log_failure(r, failure)
    }

    fn extra(r: &Request) -> Vec<(bytes::Bytes, bytes::Bytes)> {
        super::handler::passed(r)
    }

    const ACCESS_DENIED: u16 = 401;

    fn denied(r: &mut Request, status: u16, redirects: bool) {
        let why = if redirects { "; internal redirection not allowed" } else { "" };
        r.notes.set(REASON, format!("{status}{why}"));
    }

    fn refusal(r: &Request, phase: &Words, status: u16) -> String {
        let uri = String::from_utf8_lossy(&r.uri);
        let user = match &r.user {
            Some(user) if phase.is_of_user => {
                format!(" of user {}", String::from_utf8_lossy(user))
            }
            _ => String::new(),
        };
        let reason = r.notes.get(REASON.as_bytes()).map_or_else(
            || {
                format!(
                    "200; error or unexpected condition while parsing response ({status})"
                )
            },
            |reason| String::from_utf8_lossy(reason).into_owned(),
        );
        format!(
            "mod_fcgid: {}{user} to access {uri} failed, reason: script returned status {reason}",
            phase.fcgid
        )
    }

    fn passed_on(r: &Request, _: &str, phase: &Words, status: u16) -> (Level, String) {
        (Level::Error, Self::refusal(r, phase, status))
    }

    fn malformed(r: &mut Request, _: &str, line: &str) {
        let script = String::from_utf8_lossy(path::base_name(&r.filename)).into_owned();
        let text = format!("malformed header from script '{script}': Bad header: {line}");
        r.log(Level::Error, "core", 0, text);
    }
}

/// The access checker.
pub fn access(r: &mut Request) -> Verdict {
    phases::access_of::<Fcgid>(r)
}

/// The authenticator.
pub fn authenticate(r: &mut Request) -> Verdict {
    phases::authenticate_of::<Fcgid>(r)
}

/// The authorizer.
pub fn authorize(r: &mut Request) -> Verdict {
    phases::authorize_of::<Fcgid>(r)
}

/// What the program of a directive is called in messages.
fn what(directive: &str) -> &'static str {
    match directive {
        "FcgidAuthenticator" => "Authenticator",
        "FcgidAuthorizer" => "Authorizer",
        _ => "Access checker",
    }
}

/// What a directive names: which application it is depends on the server and on
/// `FcgidWrapper`, and is seen with the request.
fn authorizer(at: &mut Scope<'_, '_>, word: &Word) -> Result<Authorizer> {
    let path = program_file(at, what(at.cmd.name), word, &word.bytes)?;
    at.process().fcgid.commands.push(Command::of(&path));
    let app = App {
        path,
        kind: Kind::Fcgid,
        address: Address::Unix(bytes::Bytes::new()),
        settings: Settings::default(),
        identity: None,
        span: None,
        class: None,
    };
    Ok(Authorizer { app: Arc::new(app), compat: true, pass_response: false })
}

macro_rules! directives {
    ($($app:ident: $app_name:literal, $field:ident, $switch:ident: $switch_name:literal, $switch_field:ident, $summary:literal, $what:literal;)*) => {$(
        pub static $app: Directive = Directive {
            name: $app_name,
            syntax: "command",
            context: Context::ANYWHERE,
            overrides: Override::FILE_INFO,
            summary: $summary,
            docs: concat!(
                "\n", $what, " The application is a program that is started when it is needed, \
                 through `FcgidWrapper` where that is for its suffix; it learns the phase from \
                 FCGI_APACHE_ROLE. Header fields that begin with `Variable-` become variables of \
                 the request; a Location is no consent. Everything else that is not a status of \
                 200 denies, an application that cannot be reached included.\n",
                "\n## Example\n",
                "    <Location /members>\n",
                "        ", $app_name, " /usr/lib/fcgi-bin/auth.fcgi\n",
                "    </Location>\n",
            ),
            compat: Compat::Differs(
                "no Status at all is a consent, as the FastCGI specification has it; a section \
                 that names an authenticator or an authorizer and has no Require wants a user \
                 all the same",
            ),
            set: Set::One(|at, word| {
                let authorizer = authorizer(at, word)?;
                at.dir.fcgid().authorizers.$field = Some(authorizer);
                Ok(())
            }),
            ..Directive::EXACT
        };

        pub static $switch: Directive = Directive {
            name: $switch_name,
            syntax: "On|Off",
            context: Context::ANYWHERE,
            overrides: Override::FILE_INFO,
            default: "On",
            summary: "Set to 'off' to allow the phase to be passed along to lower modules upon failure",
            docs: concat!(
                "\nIs the word of `", $app_name, "` final? With Off a refusal, and also an ",
                "application that cannot be reached, leaves the decision to the other ",
                "modules of the phase.\n\n## Example\n",
                "    <Location /members>\n",
                "        ", $switch_name, " Off\n",
                "    </Location>\n",
            ),
            set: Set::Flag(|at, on| {
                at.dir.fcgid().authorizers.$switch_field = Some(on);
                Ok(())
            }),
            ..Directive::EXACT
        };
    )*};
}

directives! {
    AUTHENTICATOR: "FcgidAuthenticator", authenticator,
        AUTHENTICATOR_AUTHORITATIVE: "FcgidAuthenticatorAuthoritative",
        authenticator_authoritative,
        "a absolute authenticator file path",
        "Checks user and password: it gets REMOTE_USER and REMOTE_PASSWD.";
    AUTHORIZER: "FcgidAuthorizer", authorizer,
        AUTHORIZER_AUTHORITATIVE: "FcgidAuthorizerAuthoritative", authorizer_authoritative,
        "a absolute authorizer file path",
        "Decides whether an authenticated user may have what was asked for, whatever `Require` \
         says.";
    ACCESS_CHECKER: "FcgidAccessChecker", access_checker,
        ACCESS_CHECKER_AUTHORITATIVE: "FcgidAccessCheckerAuthoritative",
        access_checker_authoritative,
        "a absolute access checker file path",
        "Decides whether a request may be made at all, before any user is asked for.";
}
