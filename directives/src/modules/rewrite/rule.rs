//! `RewriteRule`: reading one, and applying one. `cmd_rewriterule`, `apply_rewrite_rule`.

use bytes::Bytes;

use super::cond::{Cond, Matched};
use super::flags::Flags;
use super::text::{From, Need, Text};
use super::{trace, uri};
use crate::log::Level;
use crate::pattern::{Groups, Pattern};
use crate::request::Request;
use crate::schema::{Problem, Result, Word};

/// A rule and its conditions.
#[derive(Clone, Debug)]
pub struct Rule {
    pattern: Pattern,
    negated: bool,
    output: Text,
    /// `-`: the URL stays as it is.
    keeps: bool,
    pub(super) flags: Flags,
    conds: Vec<Cond>,
    /// It may have to be applied again, once something was found out.
    pub(super) may_ask: bool,
    /// It asks maps, which may be programs.
    pub(super) asks_maps: bool,
}

/// What a rule did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It does not match, or a condition does not hold.
    No,
    /// It matched, and the URL stays.
    Kept,
    /// The URL is another one.
    Changed,
}

impl Rule {
    /// Reads a rule.
    pub fn parse(
        pattern: &Word,
        output: &Word,
        given: Option<&Word>,
        conds: Vec<Cond>,
    ) -> Result<Rule> {
        let flags = match given {
            Some(word) => Flags::parse(word)?,
            None => Flags::default(),
        };
        let (negated, text) = match pattern.bytes.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, &pattern.bytes[..]),
        };
        let compiled = Pattern::new(text, flags.ignore_case).map_err(|why| {
            let shown = String::from_utf8_lossy(text).into_owned();
            let message =
                format!("RewriteRule: cannot compile regular expression '{shown}'");
            Problem::from(message).at(pattern.span).help(why)
        })?;
        let keeps = &output.bytes[..] == b"-" || flags.final_status().is_some();
        let output = Text::parse(&output.bytes);
        let texts = flags.env.iter().chain(&flags.cookies).chain(&flags.mime);
        let texts: Vec<&Text> = texts.chain(&flags.handler).chain([&output]).collect();
        let may_ask =
            texts.iter().any(|text| text.may_ask()) || conds.iter().any(Cond::may_ask);
        let asks_maps = texts.iter().any(|text| text.asks_maps())
            || conds.iter().any(Cond::asks_maps);
        Ok(Rule {
            pattern: compiled,
            negated,
            output,
            may_ask,
            asks_maps,
            keeps,
            flags,
            conds,
        })
    }

    /// The pattern as written.
    pub fn source(&self) -> &[u8] {
        self.pattern.source()
    }

    /// Applies it to a request: `r.filename` is what is rewritten.
    pub fn apply(
        &self,
        r: &mut Request,
        per_dir: Option<&[u8]>,
    ) -> std::result::Result<Applied, Need> {
        let subject = subject(r, per_dir);
        trace(r, 3, per_dir, |_| {
            let source = String::from_utf8_lossy(self.pattern.source());
            let subject = String::from_utf8_lossy(&subject);
            format!("applying pattern '{source}' to uri '{subject}'")
        });
        let found = self.pattern.captures(&subject);
        if found.is_some() == self.negated {
            return Ok(Applied::No);
        }
        let groups = found.unwrap_or_default();
        let mut matched = Matched::default();
        if !self.conditions_hold(r, (&subject, &groups), &mut matched, per_dir)? {
            return Ok(Applied::No);
        }
        let flags = &self.flags;
        let plain = From {
            rule: (&subject, &groups),
            cond: (&matched.0, &matched.1),
            escape: None,
        };
        let new = if self.keeps {
            None
        } else {
            let escaping = From { escape: flags.escape.as_ref(), ..plain };
            let new = self.output.fill(r, &escaping)?;
            trace(r, 2, per_dir, |_| {
                let (old, new) =
                    (String::from_utf8_lossy(&subject), String::from_utf8_lossy(&new));
                format!("rewrite '{old}' -> '{new}'")
            });
            Some(new)
        };
        for variable in &flags.env {
            let text = variable.fill(r, &plain)?;
            set_variable(r, &text, per_dir);
        }
        for cookie in &flags.cookies {
            let text = cookie.fill(r, &plain)?;
            super::cookie::add(r, &text);
        }
        let Some(new) = new else {
            self.force(r, &plain, per_dir)?;
            return Ok(Applied::Kept);
        };
        if !flags.allow_3f && new.contains(&b'?') && has_encoded_mark(r) {
            let text = "Unsafe URL with %3f URL rewritten without UnsafeAllow3F";
            r.log(Level::Error, "rewrite", 10_508, text);
            r.notes.set("rewrite-forbidden", "1");
            return Ok(Applied::Changed);
        }
        r.filename = new;
        if per_dir.is_some() && flags.discard_path_info {
            r.path_info.clear();
        }
        if let Some(dir) = per_dir
            && r.filename.first() != Some(&b'/')
            && uri::scheme(&r.filename).is_none()
        {
            trace(r, 3, per_dir, |r| {
                let (dir, name) =
                    (String::from_utf8_lossy(dir), String::from_utf8_lossy(&r.filename));
                format!("add per-dir prefix: {name} -> {dir}{name}")
            });
            r.filename = [dir, &r.filename[..]].concat();
        }
        uri::split_query(r, flags);
        if flags.redirect || flags.proxy {
            uri::qualify(r);
            let kind = if flags.redirect {
                "explicitly forcing redirect"
            } else {
                "forcing proxy-throughput"
            };
            trace(r, 2, per_dir, |r| {
                format!("{kind} with {}", String::from_utf8_lossy(&r.filename))
            });
            return Ok(Applied::Changed);
        }
        uri::reduce(r, per_dir);
        if uri::scheme(&r.filename).is_some() {
            trace(r, 2, per_dir, |r| {
                let name = String::from_utf8_lossy(&r.filename);
                format!("implicitly forcing redirect (rc=302 with {name}")
            });
            return Ok(Applied::Changed);
        }
        if let Some(args) = &r.args
            && args.iter().any(|&b| b <= b' ' || b == 0x7f)
        {
            let text = "Rewritten query string contains control characters or spaces";
            r.log(Level::Error, "rewrite", 10_411, text);
            r.notes.set("rewrite-forbidden", "1");
            return Ok(Applied::Changed);
        }
        r.notes.unset(b"rewrite-prefix-stat");
        if self.output.begins_variable() && !flags.unsafe_prefix_stat {
            r.notes.set("rewrite-prefix-stat", "no");
        }
        self.force(r, &plain, per_dir)?;
        Ok(Applied::Changed)
    }

    fn conditions_hold(
        &self,
        r: &mut Request,
        rule: (&[u8], &Groups),
        matched: &mut Matched,
        per_dir: Option<&[u8]>,
    ) -> std::result::Result<bool, Need> {
        let mut conds = self.conds.iter();
        while let Some(cond) = conds.next() {
            let holds = cond.holds(r, rule, matched, per_dir)?;
            if cond.or_next {
                if holds {
                    // The rest of the alternatives, and the last of them.
                    for other in conds.by_ref() {
                        if !other.or_next {
                            break;
                        }
                    }
                }
            } else if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `H` and `T`: `force_type_handler`.
    fn force(
        &self,
        r: &mut Request,
        from: &From<'_>,
        per_dir: Option<&[u8]>,
    ) -> std::result::Result<(), Need> {
        if let Some(mime) = &self.flags.mime {
            let mime = mime.fill(r, from)?.to_ascii_lowercase();
            if !mime.is_empty() {
                trace(r, 2, per_dir, |r| {
                    let name = String::from_utf8_lossy(&r.filename);
                    let mime = String::from_utf8_lossy(&mime);
                    format!("remember {name} to have MIME-type '{mime}'")
                });
                r.notes.set("rewrite-forced-mimetype", mime);
            }
        }
        if let Some(handler) = &self.flags.handler {
            let handler = handler.fill(r, from)?.to_ascii_lowercase();
            if !handler.is_empty() {
                trace(r, 2, per_dir, |r| {
                    let name = String::from_utf8_lossy(&r.filename);
                    let handler = String::from_utf8_lossy(&handler);
                    format!("remember {name} to have Content-handler '{handler}'")
                });
                r.notes.set("rewrite-forced-handler", handler);
            }
        }
        Ok(())
    }
}

/// What the pattern is applied to: of a directory without its path, and with PATH_INFO.
fn subject(r: &mut Request, per_dir: Option<&[u8]>) -> Vec<u8> {
    let Some(dir) = per_dir else { return r.filename.clone() };
    let mut subject = r.filename.clone();
    if !r.path_info.is_empty() {
        subject.extend_from_slice(&r.path_info);
        trace(r, 3, per_dir, |r| {
            let (name, all) =
                (String::from_utf8_lossy(&r.filename), String::from_utf8_lossy(&subject));
            format!("add path info postfix: {name} -> {all}")
        });
    }
    if subject.starts_with(dir) {
        let rest = subject[dir.len()..].to_vec();
        trace(r, 3, per_dir, |_| {
            let (all, rest) =
                (String::from_utf8_lossy(&subject), String::from_utf8_lossy(&rest));
            format!("strip per-dir prefix: {all} -> {rest}")
        });
        return rest;
    }
    subject
}

fn has_encoded_mark(r: &Request) -> bool {
    r.first().unparsed_uri.windows(3).any(|three| three.eq_ignore_ascii_case(b"%3f"))
}

/// `E=NAME:VALUE`, `E=NAME`, `E=!NAME`: `add_env_var`.
fn set_variable(r: &mut Request, text: &[u8], per_dir: Option<&[u8]>) {
    if let Some(name) = text.strip_prefix(b"!") {
        r.env.unset(name);
        trace(r, 5, per_dir, |_| {
            format!("unsetting env variable '{}'", String::from_utf8_lossy(name))
        });
        return;
    }
    let colon = text.iter().position(|&b| b == b':');
    let (name, value) = match colon {
        Some(i) => (&text[..i], &text[i + 1..]),
        None => (text, &b""[..]),
    };
    r.env.set(Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
    trace(r, 5, per_dir, |_| {
        let (name, value) =
            (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        format!("setting env variable '{name}' to '{value}'")
    });
}
