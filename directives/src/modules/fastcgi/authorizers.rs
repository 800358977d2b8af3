//! The three authorizer phases: which application is asked, and whether its word is the
//! last one.

use std::sync::Arc;

use super::app::App;
use super::permission;
use crate::compile::Scope;
use crate::merge_options;
use crate::schema::{Compat, Context, Directive, Problem, Result, Set, Word};
use crate::syntax::Text;

/// The application of one phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorizer {
    /// The application.
    pub app: Arc<App>,
    /// `-compat`: fewer variables go, and only `Variable-` fields come back.
    pub compat: bool,
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

const USAGE: &str = "takes 1-2 arguments, a fastcgi-script path (absolute or relative to \
                     ServerRoot) followed by an optional -compat";

fn authorizer(at: &mut Scope, args: &Text) -> Result<Authorizer> {
    let name = at.cmd.name;
    let words = Word::all(args);
    let (path, rest) = match words.split_first() {
        Some((path, rest)) if rest.len() <= 1 => (path, rest),
        _ => return Err(Problem::new(&crate::diagnostic::codes::USAGE, format!("{name} {USAGE}"))),
    };
    let mut compat = false;
    for word in rest {
        if word.is("-compat") {
            compat = true;
        } else {
            let message = format!("{name}: unknown option: \"{}\"", word.lossy());
            return Err(Problem::from(message).at(word.span));
        }
    }
    let Some(file) = at.server_relative(&path.bytes) else {
        return Err(format!("{name} {}: invalid filepath", path.lossy()).into());
    };
    if let Some(app) = at.process().fastcgi.matches(&file) {
        return Ok(Authorizer { app: app.clone(), compat });
    }
    // Not defined: a candidate for a dynamic application (C-38).
    let (uid, gid) = (at.process().core.uid(), at.process().core.gid());
    let wrapped = at.process().fastcgi.wrapper.is_some();
    let looked = at.files().stat(&file);
    if let Some(why) = permission::program(&file, looked, uid, gid, wrapped, at.files()) {
        let shown = String::from_utf8_lossy(&file);
        let message = format!("{name}: \"{shown}\" {why}");
        let help = "a FastCgiExternalServer has to stand before the directive that uses it";
        return Err(Problem::from(message).at(path.span).help(help));
    }
    let app = at.process().fastcgi.dynamic_app(&file, None);
    at.process().fastcgi.authorizers.insert(file.into());
    Ok(Authorizer { app, compat })
}

macro_rules! phases {
    ($($app:ident: $app_name:literal, $app_field:ident, $switch:ident: $switch_name:literal, $switch_field:ident, $what:literal;)*) => {
        $(
            pub static $app: Directive = Directive {
                name: $app_name,
                syntax: "filename [-compat]",
                context: Context::CONTAINERS,
                docs: concat!(
                    "\n", $what, "\n\nThe application is a `FastCgiServer` or ",
                    "`FastCgiExternalServer` defined before, or a program that is started when ",
                    "it is needed. With `-compat` it gets no CONTENT_LENGTH, PATH_INFO, ",
                    "PATH_TRANSLATED and SCRIPT_NAME, and only header fields that begin with ",
                    "`Variable-` become variables of the request; without it all do.\n\n",
                    "## Example\n",
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
         and a status of 200 lets the user in.";
    FAST_CGI_AUTHORIZER: "FastCgiAuthorizer", authorizer,
        FAST_CGI_AUTHORIZER_AUTHORITATIVE: "FastCgiAuthorizerAuthoritative",
        authorizer_authoritative,
        "An application that decides whether an authenticated user may have what was asked \
         for: a status of 200 lets the request in, whatever `Require` says.";
    FAST_CGI_ACCESS_CHECKER: "FastCgiAccessChecker", access_checker,
        FAST_CGI_ACCESS_CHECKER_AUTHORITATIVE: "FastCgiAccessCheckerAuthoritative",
        access_checker_authoritative,
        "An application that decides whether a request may be made at all, before any user \
         is asked for: a status of 200 lets it in, anything else is answered 403.";
}
