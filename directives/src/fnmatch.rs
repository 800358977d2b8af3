//! Apache's globs: `apr_fnmatch`. `*` and `?` do not match a slash where the pattern is
//! for paths; `[a-z]`, `[!a-z]` and a backslash before a special character are known.

/// What to regard while matching.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// A slash is matched only by a slash (`APR_FNM_PATHNAME`).
    pub path: bool,
    /// A leading period is matched only by a period (`APR_FNM_PERIOD`).
    pub period: bool,
    /// Without regard to case (`APR_FNM_CASE_BLIND`).
    pub ignore_case: bool,
}

impl Rules {
    /// For paths.
    pub const PATH: Rules = Rules { path: true, period: false, ignore_case: false };
}

/// Does `pattern` contain anything but plain characters? See `apr_fnmatch_test`.
pub fn is_glob(pattern: &[u8]) -> bool {
    let mut open = false;
    let mut bytes = pattern.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'?' | b'*' => return true,
            b'\\' => {
                bytes.next();
            }
            b'[' => open = true,
            b']' if open => return true,
            _ => {}
        }
    }
    false
}

/// Does `text` match `pattern`? A client may have written the pattern, or the text: after a
/// `*` that did not reach far enough only that one is tried one byte further, since whatever
/// an earlier one could take besides, the later one can take too.
pub fn matches(pattern: &[u8], text: &[u8], rules: Rules) -> bool {
    let (mut p, mut t, mut star) = (pattern, 0, None);
    loop {
        let next = match p.first() {
            None if t == text.len() => return true,
            None => None,
            Some(b'*') if is_hidden(text, t, rules) => None,
            Some(b'*') => {
                let stars = p.iter().take_while(|c| **c == b'*').count();
                p = &p[stars..];
                star = Some((p, t));
                continue;
            }
            Some(_) => one(p, text, t, rules),
        };
        if let Some(after) = next {
            (p, t) = (after, t + 1);
            continue;
        }
        match star {
            Some((after, from))
                if from < text.len() && !(rules.path && text[from] == b'/') =>
            {
                (p, t) = (after, from + 1);
                star = Some((p, t));
            }
            _ => return false,
        }
    }
}

/// Is there a period that only a period matches?
fn is_hidden(text: &[u8], at: usize, rules: Rules) -> bool {
    let starts = at == 0 || rules.path && text[at - 1] == b'/';
    rules.period && starts && text.get(at) == Some(&b'.')
}

/// What follows in the pattern if its first part, no star, matches the byte there.
fn one<'p>(p: &'p [u8], text: &[u8], at: usize, rules: Rules) -> Option<&'p [u8]> {
    let &x = text.get(at)?;
    let special = !(is_hidden(text, at, rules) || rules.path && x == b'/');
    match (p[0], p.get(1)) {
        (b'?', _) => special.then(|| &p[1..]),
        (b'[', _) if !special => None,
        (b'[', _) => match class(&p[1..], x, rules.ignore_case) {
            Some((found, after)) => found.then_some(after),
            // Without its end a bracket is a character.
            None => (x == b'[').then(|| &p[1..]),
        },
        (b'\\', Some(&escaped)) => same(escaped, x, rules.ignore_case).then(|| &p[2..]),
        (c, _) => same(c, x, rules.ignore_case).then(|| &p[1..]),
    }
}

/// A class behind its `[`: does it hold `x`, and what follows its `]`.
fn class(p: &[u8], x: u8, ignore_case: bool) -> Option<(bool, &[u8])> {
    let negated = matches!(p.first(), Some(b'!' | b'^'));
    let mut i = usize::from(negated);
    let mut found = false;
    let mut first = true;
    loop {
        let mut low = *p.get(i)?;
        if low == b']' && !first {
            return Some((found != negated, &p[i + 1..]));
        }
        first = false;
        if low == b'\\' {
            i += 1;
            low = *p.get(i)?;
        }
        i += 1;
        let mut high = low;
        if p.get(i) == Some(&b'-') && p.get(i + 1).is_some_and(|&c| c != b']') {
            i += 1;
            high = *p.get(i)?;
            if high == b'\\' {
                i += 1;
                high = *p.get(i)?;
            }
            i += 1;
        }
        let within = |x: u8| low <= x && x <= high;
        found |= within(x)
            || ignore_case
                && (within(x.to_ascii_lowercase()) || within(x.to_ascii_uppercase()));
    }
}

fn same(a: u8, b: u8, ignore_case: bool) -> bool {
    a == b || ignore_case && a.eq_ignore_ascii_case(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_apr_does() {
        let path = |p: &str, t: &str| matches(p.as_bytes(), t.as_bytes(), Rules::PATH);
        assert!(path("/home/*/public_html", "/home/joe/public_html"));
        assert!(!path("/home/*/public_html", "/home/a/b/public_html"));
        assert!(path("*.[ch]", "a.c") && !path("*.[!ch]", "a.c"));
        assert!(path("a[", "a[") && path(r"a\*", "a*") && !path(r"a\*", "ab"));
        assert!(matches(
            b"*.EXAMPLE",
            b"x.example",
            Rules { ignore_case: true, ..Rules::default() }
        ));
        assert!(!matches(b"*", b".x", Rules { period: true, ..Rules::default() }));
        assert!(
            is_glob(b"a*") && is_glob(b"[a]") && !is_glob(b"a[b") && !is_glob(br"a\*")
        );
    }

    #[test]
    fn stars_take_no_more_time_than_there_is_text() {
        let stars = [&b"*a".repeat(100)[..], b"*b"].concat();
        assert!(!matches(&stars, &[b'a'; 8000], Rules::default()));
        assert!(matches(&stars, &[&[b'a'; 8000][..], b"b"].concat(), Rules::default()));
    }

    /// Whatever the pattern, it says what the definition says.
    #[test]
    fn it_is_what_the_definition_says() {
        fn defined(p: &[u8], t: &[u8], start: bool, rules: Rules) -> bool {
            let hidden = rules.period && start && t.first() == Some(&b'.');
            match (p.first(), t.first()) {
                (None, x) => x.is_none(),
                (Some(b'*'), _) if hidden => false,
                (Some(b'*'), x) => {
                    let further = x.is_some_and(|x| !(rules.path && *x == b'/'));
                    defined(&p[1..], t, start, rules)
                        || further && defined(p, &t[1..], false, rules)
                }
                (Some(_), None) => false,
                (Some(c), Some(x)) => {
                    let any = *c == b'?' && !hidden && !(rules.path && *x == b'/');
                    (any || *c != b'?' && c == x)
                        && defined(&p[1..], &t[1..], rules.path && *x == b'/', rules)
                }
            }
        }
        let mut seed = 1u32;
        let mut text = |letters: &[u8], most: usize| -> Vec<u8> {
            let mut next = || {
                seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12345);
                (seed >> 16) as usize
            };
            let length = next() % most;
            (0..length).map(|_| letters[next() % letters.len()]).collect()
        };
        for _ in 0..40_000 {
            let (pattern, subject) = (text(b"a/.**?", 8), text(b"a/.", 8));
            for (path, period) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let rules = Rules { path, period, ignore_case: false };
                assert_eq!(
                    matches(&pattern, &subject, rules),
                    defined(&pattern, &subject, true, rules),
                    "{} {} {rules:?}",
                    pattern.escape_ascii(),
                    subject.escape_ascii()
                );
            }
        }
    }
}
