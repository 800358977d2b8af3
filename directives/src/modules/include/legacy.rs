//! Expressions of httpd 2.2's pages, `SSILegacyExprParser On`: `get_ptoken` and `parse_expr`
//! of mod_include.c. `&&` and `||` bind alike, and from the right.

use bytes::Bytes;

use super::page::Page;
use crate::log::Level;
use crate::pattern::Pattern;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Regex,
    And,
    Or,
    Not,
    Compare(Compare),
    /// `(`, until its other half comes.
    Open,
    /// A pair of them.
    Group,
    Close,
    /// `-A`.
    Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// A token and its place in the tree, by number.
#[derive(Debug)]
struct Node {
    kind: Kind,
    text: Vec<u8>,
    parent: Option<usize>,
    left: Option<usize>,
    right: Option<usize>,
}

/// Why an expression is none, or has no value: number and words of the line in the log, in
/// which `{}` stands for the expression.
pub(super) type Wrong = (u32, &'static str);

const INVALID: &str = "Invalid expression \"{}\" in file";

/// An expression that was read.
#[derive(Debug, Default)]
pub(super) struct Legacy {
    nodes: Vec<Node>,
    root: Option<usize>,
}

/// Takes a token off the text; `None` at the end.
fn token(rest: &mut &[u8], after: Option<Kind>) -> Option<(Kind, Vec<u8>)> {
    *rest = rest.trim_ascii_start();
    let (&first, behind) = rest.split_first()?;
    let second = behind.first().copied();
    let mut sign = |kind: Kind, length: usize| {
        *rest = &rest[length..];
        Some((kind, Vec::new()))
    };
    let quote = match (first, second) {
        (b'(', _) => return sign(Kind::Open, 1),
        (b')', _) => return sign(Kind::Close, 1),
        (b'=', Some(b'=')) => return sign(Kind::Compare(Compare::Equal), 2),
        (b'=', _) => return sign(Kind::Compare(Compare::Equal), 1),
        (b'!', Some(b'=')) => return sign(Kind::Compare(Compare::NotEqual), 2),
        (b'!', _) => return sign(Kind::Not, 1),
        (b'>', Some(b'=')) => return sign(Kind::Compare(Compare::AtLeast), 2),
        (b'>', _) => return sign(Kind::Compare(Compare::Greater), 1),
        (b'<', Some(b'=')) => return sign(Kind::Compare(Compare::AtMost), 2),
        (b'<', _) => return sign(Kind::Compare(Compare::Less), 1),
        (b'|', Some(b'|')) => return sign(Kind::Or, 2),
        (b'&', Some(b'&')) => return sign(Kind::And, 2),
        (b'-', Some(b'A')) => return sign(Kind::Access, 2),
        (b'\'', _) => Some(b'\''),
        // Behind `-A` it begins a path.
        (b'/', _) if after != Some(Kind::Access) => Some(b'/'),
        _ => None,
    };
    let kind = if quote == Some(b'/') { Kind::Regex } else { Kind::Text };
    let mut text = Vec::new();
    // What begins a text without quotes belongs to it, whatever it is.
    let mut i = 1;
    if quote.is_none() && first != b'\\' {
        text.push(first);
    } else if quote.is_none() {
        i = 0;
    }
    let mut closed = quote.is_none();
    while let Some(&byte) = rest.get(i) {
        let next = rest.get(i + 1).copied();
        if byte == b'\\' {
            text.extend(next);
            i += 2;
            continue;
        }
        match quote {
            Some(quote) if byte == quote => {
                closed = true;
                i += 1;
                break;
            }
            Some(_) => {}
            None => {
                let ends = byte.is_ascii_whitespace()
                    || b"()=!<>".contains(&byte)
                    || b"|&".contains(&byte) && next == Some(byte);
                if ends {
                    break;
                }
            }
        }
        text.push(byte);
        i += 1;
    }
    *rest = &rest[i.min(rest.len())..];
    if !closed {
        text.clear();
    }
    Some((kind, text))
}

impl Legacy {
    /// Reads an expression.
    pub(super) fn parse(mut text: &[u8]) -> Result<Legacy, Wrong> {
        let mut tree = Legacy::default();
        let mut current: Option<usize> = None;
        loop {
            let after = current.map(|at| tree.nodes[at].kind);
            let Some((kind, value)) = token(&mut text, after) else { return Ok(tree) };
            current = Some(tree.add(current, kind, value)?);
        }
    }

    /// Puts a token into the tree behind `current`, and says which is the current one now.
    fn add(
        &mut self,
        current: Option<usize>,
        kind: Kind,
        text: Vec<u8>,
    ) -> Result<usize, Wrong> {
        let invalid = Err((3188, INVALID));
        let new = self.nodes.len();
        let node = Node { kind, text, parent: None, left: None, right: None };
        let Some(at) = current else {
            if !matches!(kind, Kind::Text | Kind::Not | Kind::Access | Kind::Open) {
                return invalid;
            }
            self.nodes.push(node);
            self.root = Some(new);
            return Ok(new);
        };
        let ends = matches!(
            self.nodes[at].kind,
            Kind::Text | Kind::Regex | Kind::Group | Kind::Close
        );
        match kind {
            Kind::Text if self.nodes[at].kind == Kind::Text => {
                let before = &mut self.nodes[at].text;
                if !before.is_empty() {
                    before.push(b' ');
                }
                before.extend_from_slice(&node.text);
                Ok(at)
            }
            Kind::Text | Kind::Not | Kind::Access | Kind::Open if !ends => {
                Ok(self.below(at, node))
            }
            Kind::Regex => match self.nodes[at].kind {
                Kind::Compare(Compare::Equal | Compare::NotEqual) => {
                    Ok(self.below(at, node))
                }
                _ => invalid,
            },
            Kind::And | Kind::Or if ends => {
                let joins = |kind| matches!(kind, Kind::And | Kind::Or | Kind::Open);
                let mut above = self.nodes[at].parent;
                while let Some(i) = above.filter(|&i| !joins(self.nodes[i].kind)) {
                    above = self.nodes[i].parent;
                }
                Ok(self.over(above, node))
            }
            Kind::Compare(_) if self.nodes[at].kind == Kind::Text => {
                let above = self.nodes[at].parent;
                match above.map(|above| self.nodes[above].kind) {
                    None | Some(Kind::Open | Kind::And | Kind::Or) => {
                        Ok(self.over(above, node))
                    }
                    Some(_) => invalid,
                }
            }
            Kind::Close => {
                let mut above = Some(at);
                while let Some(i) = above.filter(|&i| self.nodes[i].kind != Kind::Open) {
                    above = self.nodes[i].parent;
                }
                let open = above.ok_or((3189, "Unmatched ')' in \"{}\" in file"))?;
                self.nodes[open].kind = Kind::Group;
                Ok(open)
            }
            _ => invalid,
        }
    }

    /// A token to the right of `at`.
    fn below(&mut self, at: usize, mut node: Node) -> usize {
        node.parent = Some(at);
        self.nodes.push(node);
        let new = self.nodes.len() - 1;
        self.nodes[at].right = Some(new);
        new
    }

    /// A token in the place of what is to the right of `above`, or of the root: that comes to
    /// its left.
    fn over(&mut self, above: Option<usize>, mut node: Node) -> usize {
        let new = self.nodes.len();
        node.left = match above {
            Some(above) => self.nodes[above].right.replace(new),
            None => self.root.replace(new),
        };
        node.parent = above;
        if let Some(left) = node.left {
            self.nodes[left].parent = Some(new);
        }
        self.nodes.push(node);
        new
    }

    /// Does it hold?
    pub(super) fn holds(&self, page: &mut Page) -> Result<bool, Wrong> {
        // A page's author may nest them as deep as a page is long.
        let mut values: Vec<Option<bool>> = vec![None; self.nodes.len()];
        let mut current = self.root;
        let Some(root) = self.root else { return Ok(false) };
        while let Some(at) = current {
            let node = &self.nodes[at];
            let value = |side: Option<usize>| side.and_then(|side| values[side]);
            let waits = |side: Option<usize>| side.filter(|&side| values[side].is_none());
            let found = match node.kind {
                Kind::Text => !page.fill(&node.text).is_empty(),
                Kind::And | Kind::Or => {
                    if node.left.is_none() || node.right.is_none() {
                        return Err((1332, INVALID));
                    }
                    if let Some(side) = waits(node.left).or_else(|| waits(node.right)) {
                        current = Some(side);
                        continue;
                    }
                    let sides =
                        [node.left, node.right].map(|side| value(side) == Some(true));
                    if node.kind == Kind::And {
                        sides[0] && sides[1]
                    } else {
                        sides[0] || sides[1]
                    }
                }
                Kind::Compare(how) => self.compare(node, how, page)?,
                Kind::Not | Kind::Group => {
                    if let Some(side) = waits(node.right) {
                        current = Some(side);
                        continue;
                    }
                    value(node.right).unwrap_or(true) != (node.kind == Kind::Not)
                }
                Kind::Access => return Err((1335, NO_ACCESS)),
                Kind::Regex => {
                    return Err((
                        3190,
                        "No operator before regex in expr \"{}\" in file",
                    ));
                }
                Kind::Open | Kind::Close => {
                    return Err((3191, "Unmatched '(' in \"{}\" in file"));
                }
            };
            values[at] = Some(found);
            current = node.parent;
        }
        Ok(values[root] == Some(true))
    }

    fn compare(&self, node: &Node, how: Compare, page: &mut Page) -> Result<bool, Wrong> {
        let is_order = !matches!(how, Compare::Equal | Compare::NotEqual);
        let wrong = (if is_order { 1334 } else { 1333 }, INVALID);
        let (Some(left), Some(right)) = (node.left, node.right) else {
            return Err(wrong);
        };
        let (left, right) = (&self.nodes[left], &self.nodes[right]);
        let is_regex = right.kind == Kind::Regex && !is_order;
        if left.kind != Kind::Text || right.kind != Kind::Text && !is_regex {
            return Err(wrong);
        }
        let (left, right) = (page.fill(&left.text), page.fill(&right.text));
        if is_regex {
            let found = matches(page, left.into(), &right);
            return Ok(found == (how == Compare::Equal));
        }
        Ok(match how {
            Compare::Equal => left == right,
            Compare::NotEqual => left != right,
            Compare::Less => left < right,
            Compare::AtMost => left <= right,
            Compare::Greater => left > right,
            Compare::AtLeast => left >= right,
        })
    }
}

/// Said of `-A`, which httpd answers with a sub-request.
const NO_ACCESS: &str =
    "Invalid expression \"{}\" (-A needs a look-up, which a page has not) in file";

/// `re_check`: the groups are the page's from then on, also without a match. A pattern that
/// is none does not match anything, which httpd has otherwise.
fn matches(page: &mut Page, subject: Bytes, source: &[u8]) -> bool {
    let regex = page.request().snapshot.process.core.regex;
    let Ok(pattern) = Pattern::with(source, false, regex) else {
        let shown = String::from_utf8_lossy(source);
        let text = format!("unable to compile pattern \"{shown}\"");
        page.r.log(Level::Error, "include", 2667, text);
        page.matched = None;
        return false;
    };
    let found = pattern.captures(&subject);
    let holds = found.is_some();
    page.matched = found.map(|groups| (subject, groups));
    holds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_cut_as_httpd_cuts_them() {
        let all = |text: &str| {
            let (mut rest, mut out) = (text.as_bytes(), String::new());
            while let Some((kind, text)) = token(&mut rest, None) {
                out += &format!("{kind:?}[{}] ", String::from_utf8_lossy(&text));
            }
            out
        };
        assert_eq!(all("$a = b"), "Text[$a] Compare(Equal)[] Text[b] ");
        assert_eq!(all("'a b'!=/x\\/y/"), "Text[a b] Compare(NotEqual)[] Regex[x/y] ");
        assert_eq!(
            all("a|b||c&&(!d)"),
            "Text[a|b] Or[] Text[c] And[] Open[] Not[] Text[d] Close[] "
        );
        assert_eq!(all("'open"), "Text[] ");
    }

    #[test]
    fn what_is_none_is_said() {
        let number = |text: &str| Legacy::parse(text.as_bytes()).err().map(|(n, _)| n);
        assert_eq!(number("= a"), Some(3188));
        assert_eq!(number("a )"), Some(3189));
        assert_eq!(number("! a = b"), Some(3188));
        assert_eq!(number("(a = b) && !c"), None);
    }
}
