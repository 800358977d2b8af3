//! mod_substitute: replacements in bodies, line by line.

use std::sync::Arc;

use bytes::Bytes;

use crate::filter::Filter;
use crate::merge::Merge;
use crate::pattern::{Options, Pattern};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Result, Set, Word};
use crate::template;

/// The longest line without `SubstituteMaxLineLength`, bytes.
const MAX_LINE: usize = 128 * 8192;

/// What is looked for.
#[derive(Debug)]
enum What {
    Text { text: Bytes, ignore_case: bool },
    Regex(Pattern),
}

/// One `Substitute`.
#[derive(Debug)]
struct Rule {
    what: What,
    with: Bytes,
    /// Later rules see what this one made as one text with what stands around it.
    flatten: bool,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    rules: Vec<Arc<Rule>>,
    max_line: Option<usize>,
    inherit_before: Option<bool>,
}

impl Merge for Dir {
    // See merge_substitute_dcfg: the inner section's rules come first, unless it says
    // otherwise.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let inherit_before = inner.inherit_before.or(outer.inherit_before);
        let (first, second) = match inherit_before {
            Some(true) => (outer, inner),
            _ => (inner, outer),
        };
        Dir {
            rules: first.rules.iter().chain(&second.rules).cloned().collect(),
            max_line: inner.max_line.or(outer.max_line),
            inherit_before,
        }
    }
}

/// Settings of a server: none of its own.
pub type Server = ();

/// A body in which text is replaced, as it comes.
#[derive(Clone, Debug)]
pub struct Substitution {
    rules: Vec<Arc<Rule>>,
    max_line: usize,
    line: Vec<u8>,
    uri: Vec<u8>,
}

/// A line is longer than `SubstituteMaxLineLength`, or would become so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Substitution {
    /// Takes more of the body; whole lines come back.
    pub fn push(&mut self, mut bytes: &[u8]) -> std::result::Result<Vec<u8>, TooLong> {
        let mut out = Vec::with_capacity(bytes.len());
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            self.line.extend_from_slice(&bytes[..=end]);
            bytes = &bytes[end + 1..];
            self.take_line(&mut out)?;
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() > self.max_line {
            return Err(TooLong);
        }
        Ok(out)
    }

    /// What the log says of [`TooLong`].
    pub fn complaint(&self) -> Bytes {
        [b"Line too long, URI ", &self.uri[..]].concat().into()
    }

    /// The last line.
    pub fn finish(&mut self) -> std::result::Result<Vec<u8>, TooLong> {
        let mut out = Vec::new();
        self.take_line(&mut out)?;
        Ok(out)
    }

    /// `do_pattmatch`: every rule in every part of the line. What a rule that does not
    /// flatten has replaced is a part of its own.
    fn take_line(&mut self, out: &mut Vec<u8>) -> std::result::Result<(), TooLong> {
        if self.line.len() > self.max_line {
            return Err(TooLong);
        }
        let mut parts = vec![std::mem::take(&mut self.line)];
        // One rule alone need not join what nobody looks at again.
        let flattens = self.rules.len() > 1;
        for rule in &self.rules {
            let mut done = Vec::with_capacity(parts.len());
            for part in parts {
                rule.apply(part, flattens && rule.flatten, self.max_line, &mut done)?;
            }
            parts = done;
        }
        for part in parts {
            out.extend_from_slice(&part);
        }
        Ok(())
    }
}

impl Rule {
    /// Where it matches first, and what stands there then.
    fn find(&self, text: &[u8]) -> Option<(usize, usize, Bytes)> {
        match &self.what {
            What::Text { text: wanted, ignore_case } => {
                let mut places = text.windows(wanted.len());
                let at = match ignore_case {
                    true => places.position(|w| w.eq_ignore_ascii_case(wanted)),
                    false => places.position(|w| w == &wanted[..]),
                }?;
                Some((at, at + wanted.len(), self.with.clone()))
            }
            What::Regex(pattern) => {
                let groups = pattern.captures(text)?;
                let (start, end) = groups.range(0)?;
                Some((start, end, template::substitute(&self.with, &groups, text)))
            }
        }
    }

    fn apply(
        &self,
        part: Vec<u8>,
        flatten: bool,
        most: usize,
        out: &mut Vec<Vec<u8>>,
    ) -> std::result::Result<(), TooLong> {
        let mut rest = &part[..];
        let mut joined = Vec::new();
        let mut length = 0;
        let mut matched = false;
        while let Some((start, end, with)) = self.find(rest) {
            matched = true;
            // An empty match takes a byte with it, so that there is an end.
            let (before, next) = match end {
                0 if rest.is_empty() => break,
                0 => (&rest[..0], &rest[..1]),
                _ => (&rest[..start], &rest[..0]),
            };
            length += before.len() + with.len() + next.len();
            if length > most {
                return Err(TooLong);
            }
            if flatten {
                joined.extend_from_slice(before);
                joined.extend_from_slice(&with);
                joined.extend_from_slice(next);
            } else {
                out.extend([before.to_vec(), with.to_vec(), next.to_vec()]);
            }
            rest = &rest[end + next.len()..];
        }
        if !matched {
            out.push(part);
        } else if length + rest.len() > most {
            return Err(TooLong);
        } else if flatten {
            joined.extend_from_slice(rest);
            out.push(joined);
        } else {
            out.push(rest.to_vec());
        }
        Ok(())
    }
}

/// `SUBSTITUTE`: `substitute_filter` as far as the head goes.
pub(crate) fn begin(r: &mut Request) -> Option<Filter> {
    let config = &r.dir.substitute;
    let substitution = Substitution {
        rules: config.rules.clone(),
        max_line: config.max_line.unwrap_or(MAX_LINE),
        line: Vec::new(),
        uri: r.uri.clone(),
    };
    r.headers_out.unset("Content-Length");
    Some(Filter::Substitute(substitution))
}

/// Reads `s/from/to/flags`: `set_pattern`.
fn rule(word: &Word, options: Options) -> Result<Rule> {
    let fail = |message: &str| Err(Problem::from(message).at(word.span));
    let [b's' | b'S', rest @ ..] = &word.bytes[..] else {
        return fail("Bad Substitute format, must be an s/// pattern");
    };
    let mut parts = match rest.split_first() {
        Some((&delimiter, rest)) => rest.splitn(3, move |&b| b == delimiter),
        None => return fail("Bad Substitute format, must be a complete s/// pattern"),
    };
    let (Some(from), Some(to)) =
        (parts.next().filter(|from| !from.is_empty()), parts.next())
    else {
        return fail("Bad Substitute format, must be a complete s/// pattern");
    };
    let (mut ignore_case, mut is_text, mut flatten) = (false, false, true);
    for flag in parts.next().unwrap_or_default() {
        match flag.to_ascii_lowercase() {
            b'i' => ignore_case = true,
            b'n' => is_text = true,
            b'f' => flatten = true,
            b'q' => flatten = false,
            _ => return fail("Bad Substitute flag, only s///[infq] are supported"),
        }
    }
    let what = if is_text {
        What::Text { text: Bytes::copy_from_slice(from), ignore_case }
    } else {
        What::Regex(Pattern::with(from, ignore_case, options).map_err(|why| {
            Problem::from("Substitute could not compile regex").at(word.span).help(why)
        })?)
    };
    Ok(Rule { what, with: Bytes::copy_from_slice(to), flatten })
}

static SUBSTITUTE: Directive = Directive {
    name: "Substitute",
    syntax: "s/pattern/substitution/[infq]",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "Pattern to filter the response content (s/foo/bar/[inf])",
    docs: r#"
Replaces, in responses that go through the filter `SUBSTITUTE`, what matches a regular
expression; with `n` a plain text. The substitution may have `$1` to `$9`. Any character
may stand in the place of the slashes. `i` takes no notice of case. Lines are looked at
one by one. Rules work one after the other; with `q` later ones do not find what reaches
across the ends of what this one replaced, and that is quicker; `f` is the opposite, and
holds without it.

## Example
    <Location />
        AddOutputFilterByType SUBSTITUTE text/html
        Substitute "s|http://old.example.org/|https://www.example.org/|ni"
    </Location>
"#,
    set: Set::One(|at, word| {
        let rule = rule(word, at.process().core.regex)?;
        at.dir.substitute().rules.push(Arc::new(rule));
        Ok(())
    }),
    ..Directive::EXACT
};

static MAX_LINE_LENGTH: Directive = Directive {
    name: "SubstituteMaxLineLength",
    syntax: "bytes(b|B|k|K|m|M|g|G)",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "1m",
    summary: "Maximum line length",
    docs: r"
The longest line that the filter `SUBSTITUTE` takes or makes; a response with a longer one
is cut off, and the log says so.

## Example
    SubstituteMaxLineLength 10m
",
    set: Set::One(|at, word| {
        let message = "SubstituteMaxLineLength must be a non-negative integer optionally \
                       suffixed with 'b', 'k', 'm' or 'g'.";
        let fail = || Problem::from(message).at(word.span);
        let text = word.lossy().to_ascii_lowercase();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let factor: usize = match &text[end..] {
            "" | "b" => 1,
            "k" => 1 << 10,
            "m" => 1 << 20,
            "g" => 1 << 30,
            _ => return Err(fail()),
        };
        let number: usize = text[..end].parse().map_err(|_| fail())?;
        let bytes = number.checked_mul(factor);
        let bytes = bytes.ok_or("SubstituteMaxLineLength value too large")?;
        at.dir.substitute().max_line = Some(bytes);
        Ok(())
    }),
    ..Directive::EXACT
};

static INHERIT_BEFORE: Directive = Directive {
    name: "SubstituteInheritBefore",
    syntax: "On|Off",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "Off",
    summary: "Apply inherited patterns before those of the current context",
    docs: r"
Do the rules of enclosing sections work before those of this one?

## Example
    SubstituteInheritBefore On
",
    set: Set::Flag(|at, on| {
        at.dir.substitute().inherit_before = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_substitute.c",
    id: "substitute_module",
    directives: &[&SUBSTITUTE, &MAX_LINE_LENGTH, &INHERIT_BEFORE],
    hooks: &[],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{FileId, Span};

    fn made(rules: &[&str], max_line: usize) -> Substitution {
        let rules = rules.iter().map(|text| {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            let span = Span { file: FileId(0), start: 0, end: 0 };
            let word = Word { bytes, span, quoted: false };
            Arc::new(rule(&word, Options::default()).unwrap())
        });
        Substitution {
            rules: rules.collect(),
            max_line,
            line: Vec::new(),
            uri: Vec::new(),
        }
    }

    #[test]
    fn pieces_make_no_difference() {
        let text = b"one two\ntwo one one\n\nlast one";
        let whole = b"1 two\ntwo 1 1\n\nlast 1";
        for cut in 0..text.len() {
            let mut body = made(&["s/one/1/"], 100);
            let mut out = body.push(&text[..cut]).unwrap();
            out.extend(body.push(&text[cut..]).unwrap());
            out.extend(body.finish().unwrap());
            assert_eq!(out, whole, "{cut}");
        }
    }

    #[test]
    fn long_lines_are_refused() {
        assert_eq!(made(&["s/x/y/"], 4).push(b"12345"), Err(TooLong));
        assert_eq!(made(&["s/x/yyy/"], 4).push(b"xx\n"), Err(TooLong));
        assert_eq!(made(&["s/x/y/"], 4).push(b"xxx\n").unwrap(), b"yyy\n");
    }

    #[test]
    fn empty_matches_end() {
        let mut body = made(&["s/z*/-/"], 100);
        assert_eq!(body.push(b"ab\n").unwrap(), b"-a-b-\n");
    }
}
