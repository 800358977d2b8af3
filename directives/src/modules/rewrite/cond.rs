//! `RewriteCond`: `cmd_rewritecond` and `apply_rewrite_cond`.

use std::cmp::Ordering;

use bytes::Bytes;

use super::text::{From, Need, Text};
use super::{flags, trace};
use crate::bundle::Kind;
use crate::compile::Scope;
use crate::expr::{Condition, Rules};
use crate::log::Level;
use crate::path;
use crate::pattern::{Groups, Pattern};
use crate::phase::Lookup;
use crate::request::Request;
use crate::schema::{Context, Problem, Result, Word};

/// A condition of a rule.
#[derive(Clone, Debug)]
pub struct Cond {
    input: Text,
    test: Test,
    negated: bool,
    /// `OR`: one of this and the next will do.
    pub or_next: bool,
    ignore_case: bool,
    /// `NV`: fields that are looked at do not go into `Vary`.
    no_vary: bool,
    /// The pattern as written, for the log.
    source: Bytes,
}

/// What is asked about the input.
#[derive(Clone, Debug)]
enum Test {
    Matches(Pattern),
    /// A letter: `-f` and the like.
    File(u8),
    Number(Vec<Ordering>, Bytes, bool),
    Text(Vec<Ordering>, Bytes),
    Expr(std::sync::Arc<Condition>),
}

/// Reads a condition.
pub fn parse(
    at: &Scope,
    input: &Word,
    pattern: &Word,
    given: Option<&Word>,
) -> Result<Cond> {
    let mut cond = Cond {
        input: Text::parse(&input.bytes),
        test: Test::File(b'f'),
        negated: false,
        or_next: false,
        ignore_case: false,
        no_vary: false,
        source: pattern.bytes.clone(),
    };
    if let Some(word) = given {
        for (name, _) in flags::split(word)? {
            match name.as_str() {
                "nc" | "nocase" => cond.ignore_case = true,
                "or" | "ornext" => cond.or_next = true,
                "nv" | "novary" => cond.no_vary = true,
                _ => {
                    let message = format!("RewriteCond: unknown flag '{name}'");
                    return Err(Problem::from(message).at(word.span));
                }
            }
        }
    }
    let mut text = pattern.bytes.clone();
    if text.first() == Some(&b'!') {
        cond.negated = true;
        text = text.slice(1..);
    }
    cond.test = if input.is("expr") {
        let rules = Rules {
            restricted: at.place.context == Context::HTACCESS,
            dont_vary: cond.no_vary,
            ..Rules::default()
        };
        let condition = Condition::parse(&text, rules).map_err(|why| {
            let message = format!("RewriteCond: cannot compile expression: {why}");
            Problem::from(message).at(pattern.span)
        })?;
        Test::Expr(std::sync::Arc::new(condition))
    } else {
        match simple(&text) {
            Some(test) => test,
            None => {
                Test::Matches(Pattern::new(&text, cond.ignore_case).map_err(|why| {
                    let shown = String::from_utf8_lossy(&text).into_owned();
                    let message = format!(
                        "RewriteCond: cannot compile regular expression '{shown}'"
                    );
                    Problem::from(message).at(pattern.span).help(why)
                })?)
            }
        }
    };
    Ok(cond)
}

/// The tests that are no pattern.
fn simple(text: &Bytes) -> Option<Test> {
    use Ordering::{Equal, Greater, Less};
    Some(match &text[..] {
        [
            b'-',
            letter
            @ (b'f' | b's' | b'l' | b'h' | b'L' | b'H' | b'd' | b'x' | b'U' | b'F'),
        ] => Test::File(*letter),
        [b'-', a, b, ..] => {
            let (orderings, negated) = match [a, b] {
                [b'l', b't'] => (vec![Less], false),
                [b'l', b'e'] => (vec![Less, Equal], false),
                [b'g', b't'] => (vec![Greater], false),
                [b'g', b'e'] => (vec![Greater, Equal], false),
                [b'e', b'q'] => (vec![Equal], false),
                [b'n', b'e'] => (vec![Equal], true),
                _ => return None,
            };
            Test::Number(orderings, text.slice(3..), negated)
        }
        [b'>', b'=', ..] => Test::Text(vec![Greater, Equal], text.slice(2..)),
        [b'<', b'=', ..] => Test::Text(vec![Less, Equal], text.slice(2..)),
        [b'>', ..] => Test::Text(vec![Greater], text.slice(1..)),
        [b'<', ..] => Test::Text(vec![Less], text.slice(1..)),
        // Two quotes stand for nothing.
        [b'=', b'"', b'"'] => Test::Text(vec![Equal], Bytes::new()),
        [b'=', ..] => Test::Text(vec![Equal], text.slice(1..)),
        _ => return None,
    })
}

/// What the last condition that matched leaves: its subject and its groups.
pub type Matched = (Vec<u8>, Groups);

impl Cond {
    /// May something have to be found out before it is known whether it holds?
    pub fn may_ask(&self) -> bool {
        let test = matches!(self.test, Test::Expr(_) | Test::File(b'U' | b'F'));
        test || self.input.may_ask()
    }

    /// Does it ask maps?
    pub fn asks_maps(&self) -> bool {
        self.input.asks_maps()
    }

    /// Does it hold?
    pub fn holds(
        &self,
        r: &mut Request,
        rule: (&[u8], &Groups),
        last: &mut Matched,
        per_dir: Option<&[u8]>,
    ) -> std::result::Result<bool, Need> {
        if let Test::Expr(condition) = &self.test {
            return self.expression(r, condition, last, per_dir);
        }
        let vary = r.headers_out.get("Vary").cloned();
        let from = From { rule, cond: (&last.0, &last.1), escape: None };
        let input = self.input.fill(r, &from)?;
        if self.no_vary {
            match vary {
                Some(vary) => r.headers_out.set("Vary", vary),
                None => r.headers_out.unset("Vary"),
            }
        }
        let mut found = None;
        let holds = match &self.test {
            Test::Matches(pattern) => {
                found = pattern.captures(&input);
                found.is_some()
            }
            Test::File(letter) => file(r, *letter, &input)?,
            Test::Number(orderings, to, negated) => {
                orderings.contains(&number(&input).cmp(&number(to))) != *negated
            }
            Test::Text(orderings, to) if orderings[..] == [Ordering::Equal] => {
                if self.ignore_case {
                    input.eq_ignore_ascii_case(to)
                } else {
                    input == *to
                }
            }
            Test::Text(orderings, to) => {
                // The longer text is the greater one: compare_lexicography.
                let order = input.len().cmp(&to.len()).then_with(|| input[..].cmp(to));
                orderings.contains(&order)
            }
            Test::Expr(_) => false,
        } != self.negated;
        trace(r, 4, per_dir, |_| {
            format!(
                "RewriteCond: input='{}' pattern='{}'{} => {}",
                String::from_utf8_lossy(&input),
                String::from_utf8_lossy(&self.source),
                if self.ignore_case { " [NC]" } else { "" },
                if holds { "matched" } else { "not-matched" }
            )
        });
        if holds
            && !self.negated
            && let Some(groups) = found
        {
            *last = (input, groups);
        }
        Ok(holds)
    }

    fn expression(
        &self,
        r: &mut Request,
        condition: &Condition,
        last: &mut Matched,
        per_dir: Option<&[u8]>,
    ) -> std::result::Result<bool, Need> {
        let mut matched = None;
        let holds = match condition.holds_with(r, &mut matched).map_err(Need::Expr)? {
            Ok(holds) => holds != self.negated,
            Err(why) => {
                let source = String::from_utf8_lossy(&self.source).into_owned();
                let text =
                    format!("RewriteCond: expr '{source}' evaluation failed: {why}");
                r.log(Level::Error, "rewrite", 0, text);
                return Ok(false);
            }
        };
        trace(r, 4, per_dir, |_| {
            let source = String::from_utf8_lossy(&self.source);
            format!(
                "RewriteCond: expr='{source}' => {}",
                if holds { "true" } else { "false" }
            )
        });
        if holds
            && !self.negated
            && let Some((subject, groups)) = matched
        {
            *last = (subject.to_vec(), groups);
        }
        Ok(holds)
    }
}

fn file(r: &mut Request, letter: u8, input: &[u8]) -> std::result::Result<bool, Need> {
    let kind = |kind| r.files.stat(input).is_ok_and(|meta| meta.kind == kind);
    Ok(match letter {
        b'f' => kind(Kind::File),
        b'd' => kind(Kind::Directory),
        b's' => {
            r.files.stat(input).is_ok_and(|meta| meta.kind == Kind::File && meta.size > 0)
        }
        b'x' => {
            r.files.stat(input).is_ok_and(|m| m.kind == Kind::File && m.mode & 0o111 != 0)
        }
        b'U' | b'F' => {
            if input.is_empty() || r.main.is_some() {
                return Ok(false);
            }
            let lookup = if letter == b'F' {
                Lookup::File(Bytes::copy_from_slice(input))
            } else {
                Lookup::Uri(path::escape_path(input).into())
            };
            let known = r.ahead.iter().find(|(known, _)| *known == lookup);
            let Some((_, found)) = known else { return Err(Need::Ahead(lookup)) };
            let there = letter == b'U' || r.files.stat(&found.filename).is_ok();
            there && found.status < if letter == b'F' { 300 } else { 400 }
        }
        _ => r.files.lstat(input).is_ok_and(|meta| meta.kind == Kind::Link),
    })
}

fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii();
    let negative = text.first() == Some(&b'-');
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    let value =
        std::str::from_utf8(&digits[..end]).ok().and_then(|text| text.parse().ok());
    let value: i64 = value.unwrap_or(0);
    if negative { -value } else { value }
}
