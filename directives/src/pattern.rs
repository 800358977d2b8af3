//! Apache's regular expressions, on bytes.
//!
//! httpd compiles with PCRE's DOTALL and DOLLAR_ENDONLY: a period matches a newline, and
//! `$` means the end and not the place before a final newline. A byte above 127 is one
//! character, as in PCRE without UTF.

use bytes::Bytes;
use fancy_regex::{BytesMode, Regex, RegexBuilder};

/// Steps of a backtracking match before it counts as no match, as PCRE's match limit.
const BACKTRACK_LIMIT: usize = 1_000_000;

/// `*` and `?` without regard for anything else: `ap_strcmp_match`.
pub fn wild_match(pattern: &[u8], text: &[u8]) -> bool {
    // After a star that did not reach far enough it is tried one byte further.
    let (mut p, mut t, mut star) = (0, 0, None);
    loop {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                star = Some((p + 1, t));
                p += 1;
            }
            (Some(b'?'), Some(_)) => (p, t) = (p + 1, t + 1),
            (Some(x), Some(y)) if x == y => (p, t) = (p + 1, t + 1),
            (None, None) => return true,
            _ => match star {
                Some((after, from)) if from < text.len() => {
                    star = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                _ => return false,
            },
        }
    }
}

/// What holds for every pattern: `RegexDefaultOptions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `ICASE`: case does not matter.
    pub ignore_case: bool,
    /// `EXTENDED`: blanks and comments in a pattern do not count.
    pub extended: bool,
    /// `DOTALL`: a period matches a newline.
    pub dot_all: bool,
    /// `DOLLAR_ENDONLY`: `$` is the end, and not the place before a final newline.
    pub dollar_end_only: bool,
}

impl Options {
    /// None of them.
    pub const NONE: Options = Options {
        ignore_case: false,
        extended: false,
        dot_all: false,
        dollar_end_only: false,
    };
}

impl Default for Options {
    /// httpd's, without the directive.
    fn default() -> Options {
        Options { dot_all: true, dollar_end_only: true, ..Options::NONE }
    }
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    source: Bytes,
    named: Vec<(usize, String)>,
}

/// Where groups matched: byte ranges of the subject; group 0 is the whole match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(Vec<Option<(u32, u32)>>);

impl Groups {
    /// The part of `subject` that group `n` matched.
    pub fn get<'t>(&self, n: usize, subject: &'t [u8]) -> Option<&'t [u8]> {
        let (start, end) = self.range(n)?;
        subject.get(start..end)
    }

    /// Start and end of group `n`.
    pub fn range(&self, n: usize) -> Option<(usize, usize)> {
        let (start, end) = self.0.get(n).copied().flatten()?;
        Some((start as usize, end as usize))
    }
}

impl Pattern {
    /// Compiles `source`; the error is the engine's sentence.
    pub fn new(source: &[u8], ignore_case: bool) -> Result<Pattern, String> {
        Pattern::with(source, ignore_case, Options::default())
    }

    /// The same where a configuration has options for all its patterns.
    pub fn with(
        source: &[u8],
        ignore_case: bool,
        options: Options,
    ) -> Result<Pattern, String> {
        let mut text = String::with_capacity(source.len());
        for &byte in source {
            if byte.is_ascii() {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("\\x{byte:02X}"));
            }
        }
        if !options.dollar_end_only {
            text = before_final_newline(&text);
        }
        let regex = RegexBuilder::new(&text)
            .bytes_mode(BytesMode::Ascii)
            .dot_matches_new_line(options.dot_all)
            .case_insensitive(ignore_case || options.ignore_case)
            .verbose_mode(options.extended)
            .backtrack_limit(BACKTRACK_LIMIT)
            .build()
            .map_err(|error| error.to_string())?;
        let named = regex
            .capture_names()
            .enumerate()
            .filter_map(|(i, name)| Some((i, name?.to_owned())))
            .collect();
        Ok(Pattern { regex, source: Bytes::copy_from_slice(source), named })
    }

    /// The pattern as written.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Has it groups beside the whole match?
    pub fn has_groups(&self) -> bool {
        self.regex.captures_len() > 1
    }

    /// The named groups and their numbers.
    pub fn named(&self) -> &[(usize, String)] {
        &self.named
    }

    /// Does it match anywhere in `text`? Too much backtracking is no match.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text).unwrap_or(false)
    }

    /// The groups of the first match.
    pub fn captures(&self, text: &[u8]) -> Option<Groups> {
        let captures = self.regex.captures(text).ok()??;
        let groups = (0..captures.len())
            .map(|i| captures.get(i).map(|m| (m.start() as u32, m.end() as u32)))
            .collect();
        Some(Groups(groups))
    }

    /// The place of the first match at or after `from`.
    pub fn find_at(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        let found = self.regex.find_from_pos(text, from).ok()??;
        Some((found.start(), found.end()))
    }
}

/// A pattern whose `$` matches before a final newline, too, which is Perl's.
fn before_final_newline(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let (mut escaped, mut in_class) = (false, false);
    for (i, c) in source.char_indices() {
        match c {
            _ if escaped => {}
            // A bracket at the beginning of a class belongs to it.
            ']' if in_class => in_class = source[..i].ends_with(['[', '^']),
            '[' => in_class = true,
            '$' if !in_class => {
                out.push_str(r"(?=\n?\z)");
                continue;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        out.push(c);
    }
    out
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.source == other.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollar_is_the_end_and_bytes_are_characters() {
        let php = Pattern::new(br"\.php$", false).unwrap();
        assert!(php.is_match(b"/a.php") && !php.is_match(b"/a.php\n"));
        assert!(Pattern::new(b"^a.b$", false).unwrap().is_match(b"a\nb"));
        assert!(
            Pattern::new("^[é]+$".as_bytes(), false).unwrap().is_match("é".as_bytes())
        );
        assert!(Pattern::new(br"^(?!x)(.)\1$", true).unwrap().is_match(b"aA"));
        assert!(Pattern::new(b"(", false).is_err());
        let named = Pattern::new(br"^/(?<site>[^/]+)/", false).unwrap();
        let groups = named.captures(b"/one/two").unwrap();
        assert_eq!(groups.get(1, b"/one/two"), Some(&b"one"[..]));
        assert_eq!(named.named(), [(1, "site".to_owned())]);
    }

    #[test]
    fn options_hold_for_every_pattern() {
        let is_match = |source: &[u8], options, text: &[u8]| {
            Pattern::with(source, false, options).unwrap().is_match(text)
        };
        let none = Options::NONE;
        assert!(is_match(br"^[$]\$a$", none, b"$$a\n"));
        assert!(!is_match(br"a$", none, b"a\nb") && is_match(b"a$", none, b"a"));
        assert!(!is_match(b"a.b", none, b"a\nb"));
        assert!(!is_match(b"a$", Options::default(), b"a\n"));
        assert!(is_match(b"A", Options { ignore_case: true, ..none }, b"a"));
        assert!(is_match(b" a b # c", Options { extended: true, ..none }, b"ab"));
    }
}
