//! mod_userdir: `/~user/` leads to that user's own directory.

use bytes::Bytes;

use crate::bundle::Who;
use crate::merge::Merge;
use crate::path;
use crate::phase::{DECLINED, OK, Phase, Verdict, on};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Set, Word};

/// Settings of a section: none.
pub type Dir = ();

/// Settings of a server.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// The server says something about this at all.
    spoken: bool,
    /// Patterns, in the order in which they are tried.
    places: Option<Vec<Bytes>>,
    /// `disabled` without names.
    disabled: Option<bool>,
    enabled_users: Vec<Bytes>,
    disabled_users: Vec<Bytes>,
}

impl Merge for Server {
    // See merge_userdir_config: the lists of names are the inner server's own, once it
    // says anything.
    fn merge(outer: &Server, inner: &Server) -> Server {
        if !inner.spoken {
            return outer.clone();
        }
        Server {
            spoken: true,
            places: inner.places.clone().or_else(|| outer.places.clone()),
            disabled: inner.disabled.or(outer.disabled),
            enabled_users: inner.enabled_users.clone(),
            disabled_users: inner.disabled_users.clone(),
        }
    }
}

/// The note that names the user whose directory a request is for.
const USER: &[u8] = b"mod_userdir_user";

/// The user whose directory a request is for.
pub fn user(r: &Request) -> Option<Bytes> {
    r.notes.get(USER).cloned()
}

static USER_DIR: Directive = Directive {
    name: "UserDir",
    syntax: "directory-filename [directory-filename] ...",
    context: Context::SERVERS,
    summary: "the public subdirectory in users' home directories, or 'disabled', or \
              'disabled username username...', or 'enabled username username...'",
    docs: r"
Where `/~user/` leads: a name is a directory in the user's home; an absolute path has the
user's name where its `*` stands, or at its end; a URL with a `*` redirects, and what stands
behind the `*` is lost. Of several the first that is there counts. `disabled` and `enabled` with names, or `disabled` alone, say whose
directories are shown.

Under a wrapper applications below such a URL run as that user.

## Example
    UserDir public_html
    UserDir disabled root
",
    set: Set::Raw(|at, args| {
        let words = Word::all(args);
        let server = at.server.userdir();
        server.spoken = true;
        let Some((first, names)) = words.split_first() else {
            return Err("UserDir requires an argument.".into());
        };
        let names = names.iter().map(|word| word.bytes.clone());
        if first.is("disable") || first.is("disabled") {
            if names.len() == 0 {
                server.disabled = Some(true);
            }
            server.disabled_users.extend(names);
        } else if first.is("enable") || first.is("enabled") {
            if names.len() == 0 {
                return Err(
                    "UserDir \"enable\" keyword requires a list of usernames".into()
                );
            }
            server.enabled_users.extend(names);
        } else {
            server.places = Some(words.iter().map(|word| word.bytes.clone()).collect());
        }
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_userdir.c",
    id: "userdir_module",
    directives: &[&USER_DIR],
    hooks: &[on(Phase::Translate, translate)
        .where_set(|at| at.server.config.userdir.places.is_some())],
};

/// `translate_userdir`.
fn translate(r: &mut Request) -> Verdict {
    let server = r.server.clone();
    let config = &server.config.userdir;
    let (Some(places), Some(rest)) = (&config.places, r.uri.strip_prefix(b"/~")) else {
        return DECLINED;
    };
    let end = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
    let (name, rest) = (&rest[..end], &rest[end..]);
    let listed = |names: &[Bytes]| names.iter().any(|known| known == name);
    let hidden = config.disabled == Some(true) && !listed(&config.enabled_users);
    if matches!(name, b"" | b"." | b"..") || listed(&config.disabled_users) || hidden {
        return DECLINED;
    }
    let (name, rest) = (name.to_vec(), rest.to_vec());
    for (i, place) in places.iter().enumerate() {
        let is_absolute = place.first() == Some(&b'/');
        let directory = match place.iter().position(|&b| b == b'*') {
            Some(star) if !is_absolute && place[..star].contains(&b':') => {
                r.headers_out.set("Location", [&place[..star], &name, &rest].concat());
                return Verdict::Status(302);
            }
            Some(star) => [&place[..star], &name, &place[star + 1..]].concat(),
            None if is_absolute => [place, &b"/"[..], &name].concat(),
            None => {
                let Ok(text) = std::str::from_utf8(&name) else { return DECLINED };
                let Some(user) = r.files.user(Who::Name(text)) else { continue };
                path::join(&user.home, place)
            }
        };
        // The last one counts whether it is there or not.
        if i + 1 == places.len() || r.files.stat(&directory).is_ok() {
            r.filename = [&directory[..], &rest].concat();
            r.context_prefix = [b"/~", &name[..]].concat().into();
            r.context_document_root = Some(directory.into());
            r.notes.set(USER, name);
            return OK;
        }
    }
    DECLINED
}
