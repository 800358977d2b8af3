//! mod_suexec: under whose name a server's programs run, where a wrapper starts them.

use crate::bundle::Who;
use crate::merge_options;
use crate::schema::{Context, Directive, Module, Problem, Set};

/// Settings of a section: none.
pub type Dir = ();

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    user: Option<User>,
}

merge_options!(Server { user });

/// A user and a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

impl Server {
    /// The numbers of `SuexecUserGroup`.
    pub fn ids(&self) -> Option<(u32, u32)> {
        self.user.as_ref().map(|user| (user.uid, user.gid))
    }
}

static SUEXEC_USER_GROUP: Directive = Directive {
    name: "SuexecUserGroup",
    syntax: "User Group",
    context: Context::SERVERS,
    summary: "User and group for spawned processes",
    docs: r"
Under whose name this server's FastCGI applications and CGI scripts run. Applications need
a `FastCgiWrapper` for that, and run as the server's user without; scripts are started by
that program or by httpd's suexec, and are refused where there is neither.

## Example
    SuexecUserGroup www-data www-data
",
    set: Set::Two(|at, user, group| {
        let (user_text, group_text) = (user.lossy(), group.lossy());
        let number =
            |text: &str| text.strip_prefix('#').and_then(|n| n.parse::<u32>().ok());
        let uid = match number(&user_text) {
            Some(uid) => Some(uid),
            None => at.files().user(Who::Name(&user_text)).map(|user| user.uid),
        };
        let gid = match number(&group_text) {
            Some(gid) => Some(gid),
            None => at.files().group(Who::Name(&group_text)).map(|group| group.gid),
        };
        let Some(uid) = uid else {
            return Err(Problem::from(format!("bad user name {user_text}")).at(user.span));
        };
        let Some(gid) = gid else {
            return Err(
                Problem::from(format!("bad group name {group_text}")).at(group.span)
            );
        };
        at.server.suexec().user = Some(User { uid, gid });
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_suexec.c",
    id: "suexec_module",
    directives: &[&SUEXEC_USER_GROUP],
    hooks: &[],
};
