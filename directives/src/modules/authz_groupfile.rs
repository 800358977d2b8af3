//! mod_authz_groupfile: groups of users in a text file.

use bytes::Bytes;

use super::{authn_file, authz_owner};
use crate::log::Level;
use crate::merge_options;
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Set};
use crate::syntax::lexer;

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    file: Option<Bytes>,
}

merge_options!(Dir { file });

/// Settings of a server: none.
pub type Server = ();

static AUTH_GROUP_FILE: Directive = Directive {
    name: "AuthGroupFile",
    syntax: "file-path",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    summary: "text file containing group names and member user IDs",
    docs: r#"
The file that `Require group` looks groups up in; a change is seen by the next request. A
line is a group, a colon and its members, separated by blanks; several lines may add to one
group. The case of a group's name does not matter. The path may be below the server root.

## Example
    <Location /intern>
        AuthType Basic
        AuthName "Members only"
        AuthUserFile conf/users
        AuthGroupFile conf/groups
        Require group staff
    </Location>
"#,
    set: Set::One(|at, word| {
        let path = at.file_path(word)?;
        at.dir.authz_groupfile().file = Some(path);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_authz_groupfile.c",
    id: "authz_groupfile_module",
    directives: &[&AUTH_GROUP_FILE],
    hooks: &[],
};

/// What is asked, and the numbers of its log lines.
struct Question {
    no_file: u32,
    unreadable: u32,
    no_groups: u32,
    others: u32,
    what: &'static str,
}

const GROUP: Question = Question {
    no_file: 1664,
    unreadable: 1665,
    no_groups: 1666,
    others: 1667,
    what: "group(s)",
};

const FILE_GROUP: Question = Question {
    no_file: 1668,
    unreadable: 1669,
    no_groups: 1670,
    others: 1671,
    what: "file group",
};

/// Is the user in one of these groups? See `group_check_authorization`.
pub fn is_member(r: &mut Request, user: &Bytes, groups: &[Bytes]) -> bool {
    let holds = |own: &[Vec<u8>]| {
        groups.iter().any(|g| own.iter().any(|o| o.eq_ignore_ascii_case(g)))
    };
    check(r, user, &GROUP, |_, own| holds(own))
}

/// Is the user in the file's group? See `filegroup_check_authorization`.
pub fn is_in_file_group(r: &mut Request, user: &Bytes) -> bool {
    check(r, user, &FILE_GROUP, |r, own| {
        let group = authz_owner::group_of_file(r, user);
        group.is_some_and(|group| own.iter().any(|o| o.eq_ignore_ascii_case(&group)))
    })
}

fn check(
    r: &mut Request,
    user: &Bytes,
    question: &Question,
    holds: impl Fn(&mut Request, &[Vec<u8>]) -> bool,
) -> bool {
    let dir = r.dir.clone();
    let Some(file) = &dir.authz_groupfile.file else {
        let text = "No group file was specified in the configuration";
        r.log(Level::Error, "authz_groupfile", question.no_file, text);
        return false;
    };
    let shown = String::from_utf8_lossy(file).into_owned();
    let text = match r.files.read(file) {
        Ok(text) => text,
        Err(error) => {
            let line = format!("Could not open group file: {shown}");
            r.log_os(
                Level::Error,
                "authz_groupfile",
                question.unreadable,
                Some(error),
                line,
            );
            return false;
        }
    };
    let own = groups_of(&text, user);
    let (level, number, why) = if own.is_empty() {
        let why = format!("doesn't appear in group file ({shown}).");
        (Level::Info, question.no_groups, why)
    } else if holds(r, &own) {
        return true;
    } else {
        let why = format!("is not part of the 'require'ed {}.", question.what);
        (Level::Debug, question.others, why)
    };
    let (user, uri) = (String::from_utf8_lossy(user), String::from_utf8_lossy(&r.uri));
    let text = format!(
        "Authorization of user {user} to access {uri} failed, reason: user {why}"
    );
    r.log(level, "authz_groupfile", number, text);
    false
}

/// The groups that a user is in: `groups_for_user`.
fn groups_of(text: &[u8], user: &[u8]) -> Vec<Vec<u8>> {
    let groups = authn_file::lines(text).into_iter().filter_map(|line| {
        let colon = line.iter().position(|&b| b == b':')?;
        let mut members = lexer::words(&line[colon + 1..]).into_iter();
        let group = line[..colon].trim_ascii_end().to_vec();
        members.any(|member| member.bytes == user).then_some(group)
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_lines() {
        let text =
            b"# staff: eve\n staff : ann  bob\nadmin:ann \"two words\"\n\nstaff: carl\n";
        assert_eq!(groups_of(text, b"ann"), [&b"staff"[..], b"admin"]);
        assert_eq!(groups_of(text, b"carl"), [b"staff"]);
        assert_eq!(groups_of(text, b"two words"), [b"admin"]);
        assert!(groups_of(text, b"eve").is_empty());
    }
}
