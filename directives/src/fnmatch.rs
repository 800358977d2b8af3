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

/// Does `text` match `pattern`?
pub fn matches(pattern: &[u8], text: &[u8], rules: Rules) -> bool {
    matches_at(pattern, text, rules, true)
}

fn matches_at(mut p: &[u8], mut t: &[u8], rules: Rules, mut start: bool) -> bool {
    loop {
        let Some(&c) = p.first() else { return t.is_empty() };
        let hidden = rules.period && start && t.first() == Some(&b'.');
        match c {
            b'?' => {
                let Some(&x) = t.first() else { return false };
                if hidden || (rules.path && x == b'/') {
                    return false;
                }
                p = &p[1..];
            }
            b'*' => {
                if hidden {
                    return false;
                }
                while p.first() == Some(&b'*') {
                    p = &p[1..];
                }
                for skip in 0..=t.len() {
                    if matches_at(p, &t[skip..], rules, start && skip == 0) {
                        return true;
                    }
                    if rules.path && t.get(skip) == Some(&b'/') {
                        return false;
                    }
                }
                return false;
            }
            b'[' => {
                let Some(&x) = t.first() else { return false };
                if hidden || (rules.path && x == b'/') {
                    return false;
                }
                match class(&p[1..], x, rules.ignore_case) {
                    Some((true, after)) => p = after,
                    Some((false, _)) => return false,
                    None => {
                        // Without its end a bracket is a character.
                        if x != b'[' {
                            return false;
                        }
                        p = &p[1..];
                    }
                }
            }
            _ => {
                let (literal, after) = match (c, p.get(1)) {
                    (b'\\', Some(&escaped)) => (escaped, &p[2..]),
                    _ => (c, &p[1..]),
                };
                let Some(&x) = t.first() else { return false };
                if !same(literal, x, rules.ignore_case) {
                    return false;
                }
                p = after;
            }
        }
        start = rules.path && t[0] == b'/';
        t = &t[1..];
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
}
