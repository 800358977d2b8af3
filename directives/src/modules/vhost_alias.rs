//! mod_vhost_alias: document roots that follow from the name or the address that a client
//! asked for.

use bytes::Bytes;

use crate::merge_options;
use crate::phase::{DECLINED, OK, Phase, Verdict, on};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Problem, Result, Set, Word};

/// What a name is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// The server's name, as the client knows it.
    Name,
    /// The server's address.
    Address,
}

/// A pattern for directories; its syntax was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Map {
    of: Of,
    pattern: Bytes,
}

/// Settings of a section: none.
pub type Dir = ();

/// Settings of a server; the inner `None` is `none`.
#[derive(Debug, Default)]
pub struct Server {
    root: Option<Option<Map>>,
    scripts: Option<Option<Map>>,
}

merge_options!(Server { root, scripts });

impl Server {
    /// Is there a `VirtualScriptAlias`? Where it leads depends on the request.
    pub fn has_scripts(&self) -> bool {
        self.scripts.as_ref().is_some_and(Option::is_some)
    }
}

/// Checks a pattern: `vhost_alias_set`.
fn map(word: &Word, of: Of) -> Result<Option<Map>> {
    if word.bytes.first() != Some(&b'/') {
        if word.is("none") {
            return Ok(None);
        }
        let message = "format string must be an absolute path, or 'none'";
        return Err(Problem::from(message).at(word.span));
    }
    let mut rest = &word.bytes[..];
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        rest = &rest[at + 1..];
        let behind = match rest.first() {
            Some(b'%' | b'p') => Some(&rest[1..]),
            _ => Part::read(rest).and_then(|(_, rest)| match rest.strip_prefix(b".") {
                Some(rest) => Part::read(rest).map(|(_, rest)| rest),
                None => Some(rest),
            }),
        };
        match behind {
            Some(behind) => rest = behind,
            None => {
                return Err(Problem::from("syntax error in format string").at(word.span));
            }
        }
    }
    Ok(Some(Map { of, pattern: word.bytes.clone() }))
}

/// One number of a format, with its signs: `-2+`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    number: usize,
    /// Counted from the end.
    from_end: bool,
    /// All further ones, too: in the direction of the counting.
    and_more: bool,
}

impl Part {
    const WHOLE: Part = Part { number: 0, from_end: false, and_more: false };

    fn read(text: &[u8]) -> Option<(Part, &[u8])> {
        let (from_end, text) = match text.strip_prefix(b"-") {
            Some(text) => (true, text),
            None => (false, text),
        };
        let digit = text.first().filter(|byte| byte.is_ascii_digit())?;
        let text = &text[1..];
        let (and_more, text) = match text.strip_prefix(b"+") {
            Some(text) => (true, text),
            None => (false, text),
        };
        Some((Part { number: usize::from(digit - b'0'), from_end, and_more }, text))
    }

    /// The bounds of this part among so many; `None` if there are not that many.
    fn range(self, count: usize) -> Option<std::ops::Range<usize>> {
        let Part { number, from_end, and_more } = self;
        if number == 0 {
            return Some(0..count);
        }
        if number > count {
            return None;
        }
        Some(match (from_end, and_more) {
            (false, false) => number - 1..number,
            (false, true) => number - 1..count,
            (true, false) => count - number..count - number + 1,
            (true, true) => 0..count - number + 1,
        })
    }
}

/// The most parts that a name is cut into; the last one keeps its periods.
const MOST_PARTS: usize = 19;

impl Map {
    /// The directory for a name: `vhost_alias_interpolate`.
    fn fill(&self, name: &[u8], port: u16) -> Vec<u8> {
        let parts: Vec<&[u8]> = name.splitn(MOST_PARTS, |&byte| byte == b'.').collect();
        let mut out = Vec::new();
        let mut rest = &self.pattern[..];
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            if byte != b'%' {
                out.push(byte);
                continue;
            }
            match rest.first() {
                Some(b'%') => (rest, _) = (&rest[1..], out.push(b'%')),
                Some(b'p') => {
                    rest = &rest[1..];
                    out.extend_from_slice(port.to_string().as_bytes());
                }
                _ => {
                    let Some((part, behind)) = Part::read(rest) else { continue };
                    let letters = behind.strip_prefix(b".").and_then(Part::read);
                    rest = letters.map_or(behind, |(_, behind)| behind);
                    let letters = letters.map_or(Part::WHOLE, |(letters, _)| letters);
                    let chosen = match part.range(parts.len()) {
                        Some(range) => parts[range].join(&b'.'),
                        None => b"_".to_vec(),
                    };
                    let chosen = match letters.range(chosen.len()) {
                        Some(range) => chosen[range].to_ascii_lowercase(),
                        None => b"_".to_vec(),
                    };
                    out.extend_from_slice(&chosen);
                }
            }
        }
        if out.last() == Some(&b'/') {
            out.pop();
        }
        out
    }
}

macro_rules! maps {
    ($($name:ident: $spelling:literal, $field:ident, $of:ident, $summary:literal, $docs:literal;)*) => {
        $(static $name: Directive = Directive {
            name: $spelling,
            syntax: "interpolated-directory|none",
            context: Context::SERVERS,
            default: "none",
            summary: $summary,
            docs: $docs,
            set: Set::One(|at, word| {
                at.server.vhost_alias().$field = Some(map(word, Of::$of)?);
                Ok(())
            }),
            ..Directive::EXACT
        };)*
    };
}

maps! {
    VIRTUAL_DOCUMENT_ROOT: "VirtualDocumentRoot", root, Name,
        "how to create the DocumentRoot based on the host", r"
A document root for each name that clients ask for. `%0` stands for the whole name, `%1`,
`%2` for its parts from the left, `%-1`, `%-2` from the right, `%2+` and `%-2+` for a part
and all further ones; `%1.2` for the second letter of the first part, and so on. `%p` is
the port, `%%` a percent sign. What is missing is `_`.

## Example
    UseCanonicalName Off
    VirtualDocumentRoot /srv/hosts/%-2.1/%0/htdocs
";
    VIRTUAL_DOCUMENT_ROOT_IP: "VirtualDocumentRootIP", root, Address,
        "how to create the DocumentRoot based on the host", r"
As `VirtualDocumentRoot`, from the address that the client is connected to.

## Example
    VirtualDocumentRootIP /srv/hosts/%0
";
    VIRTUAL_SCRIPT_ALIAS: "VirtualScriptAlias", scripts, Name,
        "how to create the ScriptAlias based on the host", r"
A directory of programs for each name that clients ask for, at `/cgi-bin/`; the pattern is
that of `VirtualDocumentRoot`.

## Example
    VirtualScriptAlias /srv/hosts/%0/programs
";
    VIRTUAL_SCRIPT_ALIAS_IP: "VirtualScriptAliasIP", scripts, Address,
        "how to create the ScriptAlias based on the host", r"
As `VirtualScriptAlias`, from the address that the client is connected to.

## Example
    VirtualScriptAliasIP /srv/hosts/%0/programs
";
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_vhost_alias.c",
    id: "vhost_alias_module",
    directives: &[
        &VIRTUAL_DOCUMENT_ROOT,
        &VIRTUAL_DOCUMENT_ROOT_IP,
        &VIRTUAL_SCRIPT_ALIAS,
        &VIRTUAL_SCRIPT_ALIAS_IP,
    ],
    hooks: &[on(Phase::Translate, translate).where_set(|at| {
        let config = &at.server.config.vhost_alias;
        matches!(config.scripts, Some(Some(_))) || matches!(config.root, Some(Some(_)))
    })],
};

/// `mva_translate`.
fn translate(r: &mut Request) -> Verdict {
    let server = r.server.clone();
    let config = &server.config.vhost_alias;
    let scripts = config.scripts.as_ref().and_then(Option::as_ref);
    let root = config.root.as_ref().and_then(Option::as_ref);
    if r.uri.first() != Some(&b'/') || scripts.is_none() && root.is_none() {
        return DECLINED;
    }
    let slashes = r.uri.iter().take_while(|&&byte| byte == b'/').count();
    let is_script = scripts.is_some() && r.uri[slashes..].starts_with(b"cgi-bin/");
    let (map, start) = match (scripts, root) {
        (Some(scripts), _) if is_script => (scripts, slashes + b"cgi-bin".len()),
        (_, Some(root)) => (root, 0),
        _ => return DECLINED,
    };
    let name = match map.of {
        // The brackets of an IPv6 address are no part of its name.
        Of::Name => r.server_name().trim_matches(['[', ']']).to_owned(),
        Of::Address => r.connection.local.ip().to_canonical().to_string(),
    };
    let directory = map.fill(name.as_bytes(), r.server_port());
    r.filename = [&directory[..], &r.uri[start..]].concat();
    let directory = Bytes::from(directory);
    r.context_document_root = Some(directory.clone());
    r.own_document_root = Some(directory);
    if is_script {
        r.handler = Some(Bytes::from_static(b"cgi-script"));
        r.script_alias = true;
    }
    OK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_periods_and_letters() {
        let fill = |pattern: &'static str, name: &str| {
            let map = Map { of: Of::Name, pattern: pattern.into() };
            String::from_utf8(map.fill(name.as_bytes(), 8080)).unwrap()
        };
        let name = "www.Domain.example.com";
        let cases = [
            ("/%0", "/www.domain.example.com"),
            ("/%1/%-1/%p/", "/www/com/8080"),
            ("/%2+/%-2+", "/domain.example.com/www.domain.example"),
            ("/%3.1/%3.2/%3.3/%2", "/e/x/a/domain"),
            ("/%-2.-2+/%1.2+", "/exampl/ww"),
            ("/%5/%1.9/%%", "/_/_/%"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(fill(pattern, name), expected, "{pattern}");
        }
    }
}
