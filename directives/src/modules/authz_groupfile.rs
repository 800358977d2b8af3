//! mod_authz_groupfile: groups of users in a text file.

use bytes::Bytes;

use crate::log::Level;
use crate::merge_options;
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Set};

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    file: Option<Option<Bytes>>,
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
group. `None` takes an inherited file away. The path may be below the server root.

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
        let file = if word.is("none") {
            None
        } else {
            let Some(path) = at.server_relative(&word.bytes) else {
                let message = format!("Invalid file path {}", word.lossy());
                return Err(Problem::from(message).at(word.span));
            };
            Some(path.into())
        };
        at.dir.authz_groupfile().file = Some(file);
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

/// Is the user in one of these groups? See `group_check_authorization`.
pub fn is_member(r: &mut Request, user: &Bytes, groups: &[Bytes]) -> bool {
    let dir = r.dir.clone();
    let Some(Some(file)) = &dir.authz_groupfile.file else {
        let text = "No group file was specified in the configuration";
        r.log(Level::Error, "authz_groupfile", 1664, text);
        return false;
    };
    let shown = String::from_utf8_lossy(file).into_owned();
    let text = match r.files.read(file) {
        Ok(text) => text,
        Err(error) => {
            let line = format!("Could not open group file: {shown}");
            r.log_os(Level::Error, "authz_groupfile", 1665, Some(error), line);
            return false;
        }
    };
    let own: Vec<&[u8]> = groups_of(&text, user);
    if groups.iter().any(|group| own.contains(&&group[..])) {
        return true;
    }
    let uri = String::from_utf8_lossy(&r.uri).into_owned();
    let user = String::from_utf8_lossy(user);
    let begin = format!("Authorization of user {user} to access {uri} failed, reason: user");
    let (ah, text) = if own.is_empty() {
        (1666, format!("{begin} doesn't appear in group file ({shown})."))
    } else {
        (1667, format!("{begin} is not part of the 'require'ed group(s)."))
    };
    r.log(Level::Error, "authz_groupfile", ah, text);
    false
}

/// The groups that a user is in: `groups_for_user`.
fn groups_of<'a>(text: &'a [u8], user: &[u8]) -> Vec<&'a [u8]> {
    let lines = text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.starts_with(b"#"));
    lines
        .filter_map(|line| {
            let colon = line.iter().position(|&b| b == b':')?;
            let mut members = line[colon + 1..].split(u8::is_ascii_whitespace);
            members.any(|member| member == user).then_some(&line[..colon])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_lines() {
        let text = b"# staff: eve\nstaff: ann  bob\nadmin:ann\n\nstaff: carl\n";
        assert_eq!(groups_of(text, b"ann"), [b"staff", b"admin"]);
        assert_eq!(groups_of(text, b"carl"), [b"staff"]);
        assert!(groups_of(text, b"eve").is_empty());
        assert!(groups_of(text, b"").is_empty() || text.windows(2).any(|w| w == b"  "));
    }
}
