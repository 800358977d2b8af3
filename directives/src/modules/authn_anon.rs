//! mod_authn_anon: names that need no password, as on public FTP servers.

use bytes::Bytes;

use super::auth_basic::Checked;
use super::authn_core::Credentials;
use crate::log::Level;
use crate::merge::Merge;
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Set};

/// Settings of a section.
#[derive(Clone, Debug, Default)]
pub struct Dir {
    users: Vec<Bytes>,
    no_user_id: Option<bool>,
    log_email: Option<bool>,
    verify_email: Option<bool>,
    must_give_email: Option<bool>,
}

impl Merge for Dir {
    // The module has no merger: a section that says anything of it says everything.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        if inner.is_silent() { outer.clone() } else { inner.clone() }
    }
}

impl Dir {
    fn is_silent(&self) -> bool {
        let Dir { users, no_user_id, log_email, verify_email, must_give_email } = self;
        let flags = [no_user_id, log_email, verify_email, must_give_email];
        users.is_empty() && flags.iter().all(|flag| flag.is_none())
    }
}

/// Settings of a server: none.
pub type Server = ();

static ANONYMOUS: Directive = Directive {
    name: "Anonymous",
    syntax: "user [user] ...",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    summary: "a space-separated list of user IDs",
    docs: r#"
Names that provider `anon` lets in without looking at the password; case does not matter,
and `*` is any name. A section that has any of this module's directives has none of those
around it.

## Example
    <Location /pub>
        AuthType Basic
        AuthName "Your mail address as password, please"
        AuthBasicProvider anon
        Anonymous guest anonymous
        Require valid-user
    </Location>
"#,
    set: Set::Each(|at, word| {
        if word.bytes.is_empty() {
            let message =
                "Anonymous string cannot be empty, use Anonymous_NoUserId instead";
            return Err(Problem::from(message).at(word.span));
        }
        at.dir.authn_anon().users.push(word.bytes.clone());
        Ok(())
    }),
    ..Directive::EXACT
};

macro_rules! flags {
    ($($id:ident: $name:literal, $field:ident, $default:literal, $summary:literal, $docs:literal;)*) => {
        $(static $id: Directive = Directive {
            name: $name,
            syntax: "On|Off",
            context: Context::PER_DIRECTORY,
            overrides: Override::AUTH_CONFIG,
            default: $default,
            summary: $summary,
            docs: concat!("\n", $docs, "\n\n## Example\n    <Location /pub>\n        ", $name, " On\n    </Location>\n"),
            set: Set::Flag(|at, on| {
                at.dir.authn_anon().$field = Some(on);
                Ok(())
            }),
            ..Directive::EXACT
        };)*
    };
}

flags! {
    MUST_GIVE_EMAIL: "Anonymous_MustGiveEmail", must_give_email, "On",
        "Limited to 'on' or 'off'", "Is an empty password refused?";
    NO_USER_ID: "Anonymous_NoUserId", no_user_id, "Off",
        "Limited to 'on' or 'off'", "May the name be empty?";
    VERIFY_EMAIL: "Anonymous_VerifyEmail", verify_email, "Off",
        "Limited to 'on' or 'off'", "Must the password look like a mail address?";
    LOG_EMAIL: "Anonymous_LogEmail", log_email, "On",
        "Limited to 'on' or 'off'",
        "Is the password, a mail address, written to the error log at level info?";
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_authn_anon.c",
    id: "authn_anon_module",
    directives: &[&ANONYMOUS, &MUST_GIVE_EMAIL, &NO_USER_ID, &VERIFY_EMAIL, &LOG_EMAIL],
    hooks: &[],
};

/// `check_anonymous`.
pub fn check(r: &mut Request, given: &Credentials) -> Checked {
    let dir = r.dir.clone();
    let config = &dir.authn_anon;
    let (user, mail) = (&given.user, &given.password);
    // Without any name the module says nothing, not even about the empty one.
    let known = !config.users.is_empty()
        && if user.is_empty() {
            config.no_user_id == Some(true)
        } else {
            let is = |name: &Bytes| &name[..] == b"*" || name.eq_ignore_ascii_case(user);
            config.users.iter().any(is)
        };
    if !known {
        return Checked::NoUser;
    }
    let is_given = !mail.is_empty() || config.must_give_email == Some(false);
    let is_address = mail.contains(&b'@') && mail.contains(&b'.');
    if !is_given || (config.verify_email == Some(true) && !is_address) {
        return Checked::Denied;
    }
    if config.log_email != Some(false) && r.prev.is_none() && r.main.is_none() {
        let text =
            format!("Anonymous: Passwd <{}> Accepted", String::from_utf8_lossy(mail));
        r.log(Level::Info, "authn_anon", 1672, text);
    }
    Checked::Granted
}
