//! mod_authn_file: users and passwords in a text file.

use bytes::Bytes;

use crate::merge_options;
use crate::schema::{Context, Directive, Module, Override, Problem, Set};

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    file: Option<Bytes>,
}

merge_options!(Dir { file });

impl Dir {
    /// `AuthUserFile`.
    pub fn file(&self) -> Option<&Bytes> {
        self.file.as_ref()
    }
}

/// Settings of a server: none.
pub type Server = ();

static AUTH_USER_FILE: Directive = Directive {
    name: "AuthUserFile",
    syntax: "file-path",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    summary: "text file containing user IDs and passwords",
    docs: r#"
The file that provider `file` looks passwords up in, as `htpasswd` writes it; a change is
seen by the next request. Every kind of hash that htpasswd ever wrote is understood: bcrypt,
apr1 (MD5), SHA-1, crypt(3) with SHA-256 and SHA-512, and DES crypt. The path may be below
the server root; the file does not belong below the document root.

## Example
    <Location /intern>
        AuthType Basic
        AuthName "Members only"
        AuthUserFile conf/users
        Require valid-user
    </Location>
"#,
    set: Set::One(|at, word| {
        let Some(path) = at.server_relative(&word.bytes) else {
            let message = format!("Invalid file path {}", word.lossy());
            return Err(Problem::from(message).at(word.span));
        };
        at.dir.authn_file().file = Some(path.into());
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module. Looking a password up is an effect: see `auth_basic`.
pub static MODULE: Module = Module {
    name: "mod_authn_file.c",
    id: "authn_file_module",
    directives: &[&AUTH_USER_FILE],
    hooks: &[],
};

/// The hash that a password file has for a user: `check_password`.
pub fn hash_of<'a>(text: &'a [u8], user: &[u8]) -> Option<&'a [u8]> {
    entries(text).find(|(name, _)| *name == user).map(|(_, hash)| hash)
}

/// All hashes of a password file.
pub fn hashes(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    entries(text).map(|(_, hash)| hash)
}

fn entries(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.starts_with(b"#"));
    lines.filter_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut words = line.splitn(3, |&b| b == b':');
        let (name, hash) = (words.next()?, words.next()?);
        (!name.is_empty()).then(|| (name, hash.trim_ascii_end()))
    })
}

#[cfg(test)]
mod tests {
    use super::hash_of;

    #[test]
    fn users_are_lines() {
        let text = b"#joe:x\nann:$apr1$a$b\r\njoe:{SHA}abc= :Joe\nann:other\nbroken\n:x\n";
        assert_eq!(hash_of(text, b"ann"), Some(&b"$apr1$a$b"[..]));
        assert_eq!(hash_of(text, b"joe"), Some(&b"{SHA}abc="[..]));
        assert_eq!(hash_of(text, b"broken"), None);
        assert_eq!(hash_of(text, b""), None);
        assert_eq!(hash_of(text, b"#joe"), None);
    }
}
