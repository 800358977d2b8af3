//! A configuration as one file: what was read, without what acted while it was read, and
//! with secrets blanked, so that it can be shown to others.

use crate::Compiled;
use crate::convert::{name_of, quoted};
use crate::expand::Item;
use crate::syntax::FileId;

/// What stands in a secret's place.
pub const BLANK: &str = "BLANKED";

/// Words in the name of a variable whose value is nobody's business.
const SECRET: [&str; 10] = [
    "PASS",
    "SECRET",
    "TOKEN",
    "KEY",
    "CREDENTIAL",
    "AUTH",
    "SALT",
    "PRIVATE",
    "DSN",
    "DATABASE_URL",
];

/// Directives that set a variable or a field: the word that names it, and the one with its
/// value.
const NAMED: [(&str, usize, usize); 8] = [
    ("setenv", 0, 1),
    ("fcgidinitialenv", 0, 1),
    ("defaultinitenv", 0, 1),
    ("cgivar", 0, 1),
    ("setenvifexpr", 1, 1),
    ("define", 0, 1),
    ("header", 1, 2),
    ("requestheader", 1, 2),
];

/// Directives whose every word is a secret.
const ALWAYS: [&str; 6] = [
    "authformfakebasicauth",
    "sessioncryptopassphrase",
    "authldapbindpassword",
    "dbdparams",
    "authnzfcgidefineproviderpassword",
    "sslpassphrasedialog",
];

/// The file. Lines come with the place they came from, where that changes.
pub fn single(compiled: &Compiled) -> String {
    let root = quoted(&String::from_utf8_lossy(&compiled.server_root));
    let mut out = format!("# Made by fcgi-conf bundle.\nServerRoot {root}\n");
    let mut last = None;
    write(&compiled.items, 0, compiled, &mut last, &mut out);
    out
}

fn write(
    items: &[Item],
    depth: usize,
    compiled: &Compiled,
    last: &mut Option<FileId>,
    out: &mut String,
) {
    let blank = "    ".repeat(depth);
    for item in items {
        let file = item.name_span.file;
        if *last != Some(file) {
            *out += &format!("{blank}# {}\n", compiled.sources.name(file));
            *last = Some(file);
        }
        let name = String::from_utf8_lossy(&item.name).into_owned();
        let args = shown_args(item);
        match &item.body {
            Some(body) => {
                // `>` belongs to a name without arguments.
                let gap = if args == ">" { "" } else { " " };
                *out += &format!("{blank}{name}{gap}{args}\n");
                write(body, depth + 1, compiled, last, out);
                *out += &format!("{blank}</{}>\n", name.trim_start_matches('<'));
            }
            None => {
                *out += &(format!("{blank}{name} {args}").trim_end().to_owned() + "\n");
            }
        }
    }
}

/// What follows a directive's name, in one line, with secrets blanked.
pub(crate) fn shown_args(item: &Item) -> String {
    let bytes = item.args.bytes();
    let text = String::from_utf8_lossy(bytes).trim().to_owned();
    let name = name_of(item);
    let words = crate::schema::Word::all(&item.args);
    let secret = |index: usize| -> bool {
        let Some(word) = words.get(index) else { return false };
        let value = word.lossy();
        if ALWAYS.contains(&name.as_str()) || has_password(&value) {
            return true;
        }
        // `always` and the like stand before a field's name.
        let shift = usize::from(words.first().is_some_and(|word| {
            name == "header" && (word.is("always") || word.is("onsuccess"))
        }));
        let named = NAMED.iter().any(|(known, key, at)| {
            let key = words
                .get(key + shift)
                .map(super::super::schema::word::Word::lossy)
                .unwrap_or_default();
            *known == name
                && index == at + shift
                && (is_secret(&key) || pair_is_secret(&value))
        });
        let option = index.checked_sub(1).and_then(|index| words.get(index));
        let initial = option.is_some_and(|word| word.is("-initial-env"));
        named
            || initial && pair_is_secret(&value)
            || name.starts_with("setenvif") && index > 1 && pair_is_secret(&value)
            || name == "rewriterule"
                && index > 1
                && value.contains("E=")
                && is_secret(&value)
    };
    if !(0..words.len()).any(secret) {
        return text;
    }
    let shown = words.iter().enumerate().map(|(index, word)| {
        let value = word.lossy();
        if !secret(index) {
            return quoted(&value);
        }
        match value.split_once('=') {
            Some((key, _)) if pair_is_secret(&value) => quoted(&format!("{key}={BLANK}")),
            _ => BLANK.to_owned(),
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// Does a variable of this name have a value that is nobody's business?
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET.iter().any(|word| name.contains(word))
}

/// `NAME=value` with a name that is a secret's.
fn pair_is_secret(pair: &str) -> bool {
    pair.split_once('=').is_some_and(|(name, value)| is_secret(name) && !value.is_empty())
        || has_password(pair)
}

/// A URL with a password in it.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known() {
        assert!(is_secret("DB_PASSWORD") && is_secret("api_key") && !is_secret("LANG"));
        assert!(
            pair_is_secret("TOKEN=x")
                && !pair_is_secret("TOKEN=")
                && !pair_is_secret("A=b")
        );
        assert!(pair_is_secret("DB=mysql://u:p@h/d") && !has_password("http://h/a:b@c"));
    }
}
