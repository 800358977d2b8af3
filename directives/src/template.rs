//! Filling `$1` and its like into a text: `ap_pregsub`.

use bytes::Bytes;

use crate::pattern::Groups;

/// Replaces `$0` to `$9` by groups of a match; behind a backslash everything is plain.
pub fn substitute(template: &[u8], groups: &Groups, subject: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(template.len());
    let mut i = 0;
    while i < template.len() {
        match (template[i], template.get(i + 1)) {
            (b'$', Some(digit)) if digit.is_ascii_digit() => {
                let n = usize::from(digit - b'0');
                out.extend_from_slice(groups.get(n, subject).unwrap_or_default());
                i += 2;
            }
            (b'\\', Some(&next)) => {
                out.push(next);
                i += 2;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use crate::pattern::Pattern;

    #[test]
    fn groups_are_filled_in() {
        let groups = Pattern::new(b"(a+)(b)?", false).unwrap().captures(b"xaac").unwrap();
        assert_eq!(
            super::substitute(br#"$1-$2-\$1-\"-$"#, &groups, b"xaac"),
            r#"aa--$1-"-$"#
        );
    }
}
