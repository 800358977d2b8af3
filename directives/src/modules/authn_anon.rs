//! mod_authn_anon: names that need no password, as on public FTP servers.

use bytes::Bytes;

use super::auth_basic::Checked;
use super::authn_core::Credentials;
use crate::log::Level;
use crate::merge::Merge;
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Set};

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    users: Vec<Bytes>,
    no_user_id: Option<bool>,
    log_email: Option<bool>,
    verify_email: Option<bool>,
    must_give_email: Option<bool>,
}

impl Merge for Dir {
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let users = if inner.users.is_empty() { &outer.users } else { &inner.users };
        Dir {
            users: users.clone(),
            no_user_id: inner.no_user_id.or(outer.no_user_id),
            log_email: inner.log_email.or(outer.log_email),
            verify_email: inner.verify_email.or(outer.verify_email),
            must_give_email: inner.must_give_email.or(outer.must_give_email),
        }
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
and `*` is any name.

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

/// `check_anonymous`, with the settings of the section or of an alias.
pub fn check(r: &mut Request, config: &Dir, given: &Credentials) -> Checked {
    let (user, mail) = (&given.user, &given.password);
    let known = if user.is_empty() {
        config.no_user_id == Some(true)
    } else {
        config
            .users
            .iter()
            .any(|name| &name[..] == b"*" || name.eq_ignore_ascii_case(user))
    };
    if !known {
        return Checked::NoUser;
    }
    let verify = config.verify_email == Some(true);
    let fine = if verify && mail.contains(&b'@') && mail.contains(&b'.') {
        true
    } else if mail.is_empty() {
        config.must_give_email == Some(false)
    } else {
        !verify
    };
    if !fine {
        return Checked::Denied;
    }
    if config.log_email != Some(false) {
        let text =
            format!("Anonymous: Passwd <{}> Accepted", String::from_utf8_lossy(mail));
        r.log(Level::Info, "authn_anon", 1672, text);
    }
    Checked::Granted
}
