//! What keeps people out, and where that is for a server that knows less than httpd: what
//! cannot be said exactly is closed further than it was, never less.

use super::model::{Guard, Host, Matcher, Rule};
use super::read::escaped;
use super::to::of_name;
use super::words_of;
use crate::bundle::{Files, Kind};
use crate::expand::Item;
use crate::pattern::Pattern;
use crate::syntax::{FileId, Node, parse};

/// How many names in directories are looked at for `.htaccess` files.
const MOST_NAMES: usize = 200_000;

/// How deep: links may lead in circles.
const DEEPEST: usize = 40;

/// A directive as its name and words in lower case, whatever it was read from.
struct Said {
    name: String,
    words: Vec<String>,
    body: Vec<Said>,
    /// The first word of a section as written.
    of: String,
}

/// Does something of this let in less than everybody?
pub(super) fn protects(items: &[Item]) -> bool {
    any(&items.iter().map(of_item).collect::<Vec<_>>())
}

fn said(name: &[u8], args: &crate::syntax::Text, body: Vec<Said>) -> Said {
    let words: Vec<String> =
        words_of(args).iter().map(crate::schema::word::Word::lossy).collect();
    Said {
        name: String::from_utf8_lossy(name).to_ascii_lowercase(),
        of: match &words[..] {
            [tilde, pattern, ..] if tilde == "~" => format!("~{pattern}"),
            [first, ..] => first.clone(),
            [] => String::new(),
        },
        words: words.iter().map(|word| word.to_ascii_lowercase()).collect(),
        body,
    }
}

fn of_item(item: &Item) -> Said {
    let body = item.body.as_deref().unwrap_or_default().iter().map(of_item).collect();
    said(&item.name, &item.args, body)
}

fn of_node(node: &Node) -> Option<Said> {
    match node {
        Node::Trivia(_) => None,
        Node::Directive(directive) => {
            Some(said(&directive.name, &directive.args, Vec::new()))
        }
        Node::Section(section) => {
            let body = section.body.iter().filter_map(of_node).collect();
            Some(said(&section.open.name, &section.open.args, body))
        }
    }
}

fn any(all: &[Said]) -> bool {
    let opened =
        all.iter().any(|one| one.name == "allow" && one.words == ["from", "all"]);
    all.iter().any(|one| closes(one, opened) || any(&one.body))
}

/// Does this one close something by itself? `opened`: `Allow from all` stands beside it.
fn closes(one: &Said, opened: bool) -> bool {
    let words: Vec<&str> = one.words.iter().map(String::as_str).collect();
    match (one.name.as_str(), &words[..]) {
        ("require", ["all", "granted"]) => false,
        (
            "require" | "<requirenone" | "allowmethods" | "sslrequiressl" | "sslrequire",
            _,
        ) => true,
        ("allow", words) => words != ["from", "all"],
        ("deny", words) => words != ["from", "none"],
        ("order", [order]) => *order != "deny,allow" && !opened,
        ("sslverifyclient", [how]) => *how == "require",
        ("authmerging", [how]) => *how != "off",
        ("fastcgiaccesschecker" | "fastcgiauthenticator" | "fastcgiauthorizer", _) => {
            true
        }
        ("rewriterule", _) => refuses(&one.words),
        ("redirect" | "redirectmatch", [status, ..]) => is_refusal(status),
        _ => false,
    }
}

/// Is a `Redirect`'s status one that refuses?
pub(super) fn is_refusal(status: &str) -> bool {
    let number = status.parse().is_ok_and(|status: u16| (400..600).contains(&status));
    number || status.eq_ignore_ascii_case("gone")
}

/// Has a `RewriteRule` a flag that refuses?
pub(super) fn refuses(words: &[String]) -> bool {
    let Some(flags) = words.get(2) else { return false };
    let flags = flags.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    flags.split(',').map(str::trim).any(|flag| {
        ["f", "forbidden", "g", "gone"].contains(&flag)
            || flag.strip_prefix("r=").is_some_and(is_refusal)
    })
}

/// The URLs that a pattern on directories stands for, if that can be said of a host whose
/// files lie in `roots`: a pattern that lies within one name of a path. A name of a root's
/// own path closes everything.
pub(super) fn of_directories(pattern: &str, roots: &[&str]) -> Option<Matcher> {
    let body = ["^.*/", "^/.*/", "^(.*/)?", "/", "(^|/)", "(/|^)"]
        .iter()
        .find_map(|front| pattern.strip_prefix(front))?;
    let ends = ["(?:/|$)", "(/|$)", "($|/)", "/?$", "/", "$"];
    let name = ends.iter().find_map(|end| body.strip_suffix(end)).unwrap_or(body);
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-|()?\\.".contains(c);
    // A dot that stands for anything could stand for a slash.
    let mut before = ' ';
    let wild = name.chars().any(|c| {
        let wild =
            c == '.' && before != '\\' || c.is_ascii_alphanumeric() && before == '\\';
        before = if before == '\\' { ' ' } else { c };
        wild
    });
    if !name.chars().all(plain) || wild || name.is_empty() {
        return None;
    }
    let looked = Pattern::new(pattern.as_bytes(), false).ok()?;
    if roots.iter().any(|root| looked.is_match(format!("{root}/").as_bytes())) {
        return Some(Matcher::Prefix(String::new()));
    }
    Some(Matcher::Path(format!("/(?:{name})")))
}

/// A glob of URLs as a pattern on them and on what lies below.
pub(super) fn of_url_glob(glob: &str) -> Option<String> {
    if glob.contains(['[', ']', '\\']) {
        return None;
    }
    let mut out = "^".to_owned();
    for c in glob.trim_end_matches('/').chars() {
        match c {
            // Further than httpd's, which stops at a slash in some sections.
            '*' => out += ".*",
            '?' => out += ".",
            c => out += &escaped(&c.to_string()),
        }
    }
    Some(out)
}

/// Everything of a host is closed.
pub(super) fn seal(host: &mut Host) {
    let matcher = Matcher::Prefix(String::new());
    host.guards = vec![Guard { matcher, rule: Rule::Denied }];
}

/// A name that only a pattern closes is no name for directories: not every server looks at
/// its rules again when a directory is answered by a file in it.
pub(super) fn without_closed_indexes(host: &mut Host) {
    let names = std::mem::take(&mut host.index);
    host.index = names.into_iter().filter(|name| !is_closed(host, name)).collect();
    if host.index.is_empty() {
        host.index.push("no-index".to_owned());
    }
}

/// Is a file of this name, in some directory, closed by a pattern?
pub(super) fn is_closed(host: &Host, name: &str) -> bool {
    host.guards.iter().any(|guard| {
        let pattern = match &guard.matcher {
            Matcher::Prefix(_) => return false,
            Matcher::Path(pattern) => pattern.clone(),
            Matcher::Name(pattern) => of_name(pattern, ""),
        };
        let path = format!("/{}", name.trim_start_matches('/'));
        // What a pattern on a deeper path closes may lie behind any directory.
        let loose = pattern.trim_start_matches('^').contains(&escaped(name));
        loose
            || Pattern::new(pattern.as_bytes(), false)
                .map_or(true, |p| p.is_match(path.as_bytes()))
    })
}

/// The URLs that the `.htaccess` files below a directory close, and whether all of them
/// were looked at.
pub(super) fn of_htaccess(
    files: &dyn Files,
    names: &[String],
    root: &str,
    url: &str,
) -> (Vec<Matcher>, bool) {
    let (mut out, mut whole, mut left) = (Vec::new(), true, MOST_NAMES);
    let mut stack = vec![(root.as_bytes().to_vec(), url.to_owned(), 0)];
    while let Some((dir, url, depth)) = stack.pop() {
        let Ok(entries) = files.list(&dir) else {
            whole = false;
            continue;
        };
        if entries.len() > left || depth > DEEPEST {
            return (out, false);
        }
        left -= entries.len();
        for name in names {
            match files.read(&[&dir[..], b"/", name.as_bytes()].concat()) {
                Ok(bytes) => out.extend(closed_by(&bytes, &url)),
                Err(error) if error.code == crate::bundle::OsError::NOT_FOUND => {}
                // Nobody gets anything where httpd cannot read it.
                Err(_) => out.push(Matcher::Prefix(url.clone())),
            }
        }
        for entry in entries {
            let path = [&dir[..], b"/", &entry].concat();
            if files.stat(&path).is_ok_and(|meta| meta.kind == Kind::Directory) {
                let below = format!("{url}/{}", String::from_utf8_lossy(&entry));
                stack.push((path, below, depth + 1));
            }
        }
    }
    (out, whole)
}

/// What one such file closes: names, if everything that closes stands in sections for
/// names, or all below it.
fn closed_by(bytes: &[u8], url: &str) -> Vec<Matcher> {
    let nodes = parse(FileId(0), bytes).0.nodes;
    let all: Vec<Said> = nodes.iter().filter_map(of_node).collect();
    let (of_names, others): (Vec<Said>, Vec<Said>) = all
        .into_iter()
        .partition(|one| one.name == "<files" || one.name == "<filesmatch");
    if any(&others) {
        return vec![Matcher::Prefix(url.to_owned())];
    }
    let closing = of_names.iter().filter(|one| any(&one.body));
    closing
        .map(|one| {
            let name = match one.of.strip_prefix('~') {
                Some(pattern) => pattern.to_owned(),
                None if one.name == "<filesmatch" => one.of.clone(),
                None => super::read::of_glob(&one.of),
            };
            below(url, &name)
        })
        .collect()
}

/// Files of a name anywhere below a URL.
pub(super) fn below(url: &str, name: &str) -> Matcher {
    Matcher::Path(format!("^{}(?:/.*)?{}", escaped(url), of_name(name, "(?:/.*)?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_on_directories_stay_within_a_name() {
        let roots = ["/srv/www"];
        let path = |text: &str| Some(Matcher::Path(text.to_owned()));
        assert_eq!(of_directories("/\\.git", &roots), path("/(?:\\.git)"));
        assert_eq!(
            of_directories("^.*/(CVS|\\.svn)/", &roots),
            path("/(?:(CVS|\\.svn))")
        );
        assert_eq!(of_directories("/srv", &roots), Some(Matcher::Prefix(String::new())));
        for other in ["/.git", "^/srv/www/x", "/a/b", "private", "/[^x]", "/\\w"] {
            assert_eq!(of_directories(other, &roots), None, "{other}");
        }
    }

    #[test]
    fn files_in_directories_close_names_or_all() {
        let names = closed_by(b"<Files \"a.php\">\nRequire all denied\n</Files>\n", "/x");
        let Some(Matcher::Path(pattern)) = names.first() else { panic!("{names:?}") };
        let pattern = Pattern::new(pattern.as_bytes(), false).expect("a pattern");
        for (path, is_in) in [
            ("/x/a.php", true),
            ("/x/y/a.php/z", true),
            ("/x/ba.php", false),
            ("/a.php", false),
        ] {
            assert_eq!(pattern.is_match(path.as_bytes()), is_in, "{path}");
        }
        let all = closed_by(b"<IfModule x>\nDeny from all\n</IfModule>\n", "/x");
        assert_eq!(all, [Matcher::Prefix("/x".to_owned())]);
        assert_eq!(closed_by(b"Order allow,deny\nAllow from all\n", "/x"), []);
    }

    #[test]
    fn rules_that_refuse() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(refuses(&words("^x - [L,F]")) && refuses(&words("^x - [R=404]")));
        assert!(!refuses(&words("^x /y [L,R=302]")) && !refuses(&words("^x /y")));
    }
}
