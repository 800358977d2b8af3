//! mod_authn_file: users and passwords in a text file.

use bytes::Bytes;

use crate::merge_options;
use crate::schema::{Context, Directive, Module, Override, Set};

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
the server root; the file does not belong below the document root. With `AuthType Digest` and
`AuthBasicUseDigestAlgorithm` it is a file that `htdigest` writes, with lines `user:realm:hash`.

## Example
    <Location /intern>
        AuthType Basic
        AuthName "Members only"
        AuthUserFile conf/users
        Require valid-user
    </Location>
"#,
    set: Set::One(|at, word| {
        let path = at.file_path(word)?;
        at.dir.authn_file().file = Some(path);
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

/// The hash that a password file has for a user: `check_password`. A line without a colon
/// is a user whose hash is empty, and nobody's password.
pub fn hash_of(text: &[u8], user: &[u8]) -> Option<Vec<u8>> {
    entries(text).find(|(name, _)| *name == user).map(|(_, hash)| hash)
}

/// The hash that a file of `htdigest` has for a user in a realm: `get_realm_hash`.
pub fn realm_hash_of(text: &[u8], user: &[u8], realm: &[u8]) -> Option<Vec<u8>> {
    lines(text).into_iter().find_map(|line| {
        let (name, rest) = word(&line);
        let (of, rest) = word(rest);
        let (hash, _) = word(rest);
        (name == user && of == realm).then(|| hash.to_vec())
    })
}

/// All hashes of a password file.
pub fn hashes(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    entries(text).map(|(_, hash)| hash)
}

fn entries(text: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    lines(text).into_iter().map(|line| {
        let (name, rest) = word(&line);
        let (hash, _) = word(rest);
        (name.to_vec(), hash.to_vec())
    })
}

/// What stands before the next colon, and what behind it; several colons are one:
/// `ap_getword`.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&b| b == b':').unwrap_or(text.len());
    let rest = &text[end..];
    let next = rest.iter().position(|&b| b != b':').unwrap_or(rest.len());
    (&text[..end], &rest[next..])
}

/// The lines of a file of users or groups: without comments, without the blanks around
/// them, and with those joined that end in a backslash. See `ap_cfg_getline`.
pub fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut begun: Vec<u8> = Vec::new();
    let last = text.split(|&b| b == b'\n').count() - 1;
    for (i, line) in text.split(|&b| b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(part) = line.strip_suffix(b"\\").filter(|_| i < last) {
            begun.extend_from_slice(part);
            continue;
        }
        begun.extend_from_slice(line);
        let whole = begun.trim_ascii();
        if !whole.is_empty() && !whole.starts_with(b"#") {
            lines.push(whole.to_vec());
        }
        begun.clear();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{hash_of, lines, realm_hash_of};

    #[test]
    fn users_are_lines() {
        let text = b"#joe:x\nann:$apr1$a$b\r\njoe:{SHA}abc= :Joe\nann:other\nbroken\n:x\n  bob::y";
        let hash = |user: &[u8]| hash_of(text, user);
        assert_eq!(hash(b"ann").as_deref(), Some(&b"$apr1$a$b"[..]));
        assert_eq!(hash(b"joe").as_deref(), Some(&b"{SHA}abc= "[..]));
        assert_eq!(hash(b"broken").as_deref(), Some(&b""[..]));
        assert_eq!(hash(b"").as_deref(), Some(&b"x"[..]));
        assert_eq!(hash(b"bob").as_deref(), Some(&b"y"[..]));
        assert_eq!(hash(b"#joe"), None);
    }

    #[test]
    fn users_of_realms_are_lines() {
        let text =
            b"#joe:x:1\nann:x:1\nann:y:2:more\nann:x:3\njoe:x\n:x:4\nbob::x::5\r\njoe";
        let hash = |user: &[u8], realm: &[u8]| realm_hash_of(text, user, realm);
        assert_eq!(hash(b"ann", b"x").as_deref(), Some(&b"1"[..]));
        assert_eq!(hash(b"ann", b"y").as_deref(), Some(&b"2"[..]));
        assert_eq!(hash(b"ann", b"z"), None);
        assert_eq!(hash(b"joe", b"x").as_deref(), Some(&b""[..]));
        assert_eq!(hash(b"joe", b"").as_deref(), Some(&b""[..]));
        assert_eq!(hash(b"", b"x").as_deref(), Some(&b"4"[..]));
        assert_eq!(hash(b"bob", b"x").as_deref(), Some(&b"5"[..]));
    }

    #[test]
    fn lines_are_joined_and_trimmed() {
        assert_eq!(lines(b" a \\\n b\n\n#c\nd\\"), [&b"a  b"[..], b"d\\"]);
    }
}
