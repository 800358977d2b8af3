//! Changing fields: `do_headers_fixup`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::{Action, Change, When};
use crate::expr::Want;
use crate::modules::core::expr_wants;
use crate::pattern::Pattern;
use crate::phase::{DECLINED, Verdict};
use crate::reply::Headers;
use crate::request::Request;
use crate::response::has_token;
use crate::template;

/// `early`, by the server's own settings.
pub fn early(r: &mut Request) -> Verdict {
    let root = r.server.root.clone();
    if !root.headers.request.iter().any(|change| matches!(change.when, When::Early)) {
        return DECLINED;
    }
    to_request(r, &root.headers.request, true);
    DECLINED
}

/// Fields of the request.
pub fn request(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    if dir.headers.request.is_empty() || r.main.is_some() {
        return DECLINED;
    }
    if let Some(want) = first_want(r, &dir.headers.request) {
        return expr_wants(r, want, request);
    }
    to_request(r, &dir.headers.request, false);
    DECLINED
}

/// What a condition or value has to know first.
fn first_want(r: &mut Request, changes: &[Arc<Change>]) -> Option<Want> {
    for change in changes {
        if let When::Holds(condition) = &change.when
            && let Err(want) = condition.holds(r)
        {
            return Some(want);
        }
        let (Action::Add(value)
        | Action::Append(value)
        | Action::Merge(value)
        | Action::Set(value)
        | Action::SetIfEmpty(value)
        | Action::Edit { value, .. }) = &change.action
        else {
            continue;
        };
        if let Err(want) = value.of(r) {
            return Some(want);
        }
    }
    None
}

fn to_request(r: &mut Request, changes: &[Arc<Change>], early: bool) {
    let mut fields = Headers::default();
    for (name, value) in r.headers_in.iter() {
        fields.add(name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes()));
    }
    change(r, &mut fields, changes, early);
    let fields = fields.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name).ok()?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    });
    let mut map = http::HeaderMap::new();
    for (name, value) in fields {
        map.append(name, value);
    }
    r.headers_in = Arc::new(map);
}

/// Fields of the response: those that survive errors first, as httpd has it.
pub fn response(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    let (always, success) = (&dir.headers.always, &dir.headers.response);
    if !always.is_empty() {
        let mut fields = std::mem::take(&mut r.err_headers_out);
        change(r, &mut fields, always, false);
        r.err_headers_out = fields;
    }
    if !success.is_empty() && !r.is_error_page {
        let mut fields = std::mem::take(&mut r.headers_out);
        change(r, &mut fields, success, false);
        r.headers_out = fields;
    }
    DECLINED
}

fn change(r: &mut Request, fields: &mut Headers, changes: &[Arc<Change>], early: bool) {
    for change in changes {
        let applies = match &change.when {
            When::Early => early,
            _ if early => false,
            When::Always => true,
            When::Env { name, negated } => r.env.has(name) != *negated,
            When::Holds(condition) => matches!(condition.holds(r), Ok(Ok(true))),
        };
        if applies {
            apply(r, fields, change);
        }
    }
}

fn apply(r: &mut Request, fields: &mut Headers, change: &Change) {
    let name = String::from_utf8_lossy(&change.name).into_owned();
    let mut value_of = |value: &super::Value| value.of(r).ok().flatten();
    let is_type = name.eq_ignore_ascii_case("content-type");
    match &change.action {
        Action::Add(value) => {
            if let Some(value) = value_of(value) {
                fields.add(change.name.clone(), value);
            }
        }
        Action::Append(value) => {
            if let Some(value) = value_of(value) {
                fields.merge(change.name.clone(), &value);
            }
        }
        Action::Merge(value) => {
            if let Some(value) = value_of(value) {
                match fields.get(&name) {
                    Some(old) if has_token(old, value.trim_ascii()) => {}
                    _ => fields.merge(change.name.clone(), &value),
                }
            }
        }
        Action::Set(value) => {
            if let Some(value) = value_of(value) {
                if is_type {
                    r.content_type = Some(value.clone().into());
                }
                fields.set(change.name.clone(), value);
            }
        }
        Action::SetIfEmpty(value) => {
            let there = fields.has(&name) || is_type && r.content_type.is_some();
            if !there && let Some(value) = value.of(r).ok().flatten() {
                if is_type {
                    r.content_type = Some(value.clone().into());
                }
                fields.set(change.name.clone(), value);
            }
        }
        Action::Unset => {
            if is_type {
                r.content_type = None;
            }
            fields.unset(&name);
        }
        Action::Echo(pattern) => {
            let named = |name: &HeaderName| pattern.is_match(name.as_str().as_bytes());
            for (name, value) in r.headers_in.iter().filter(|(name, _)| named(name)) {
                let value = Bytes::copy_from_slice(value.as_bytes());
                fields.add(Bytes::copy_from_slice(name.as_str().as_bytes()), value);
            }
        }
        Action::Edit { pattern, value, all } => {
            let Some(replacement) = value_of(value) else { return };
            if is_type && let Some(kind) = r.content_type.take() {
                r.content_type = Some(edited(&kind, pattern, &replacement, *all));
            }
            for (_, value) in fields
                .iter_mut()
                .filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            {
                *value = edited(value, pattern, &replacement, *all);
            }
        }
        Action::Note(note) => {
            if let Some(value) = fields.get(&name) {
                r.notes.set(note.clone(), value.clone());
            }
        }
    }
}

/// Replaces the first match, or all: `process_regexp`.
fn edited(value: &Bytes, pattern: &Pattern, replacement: &[u8], all: bool) -> Bytes {
    let mut out = Vec::new();
    let mut rest = &value[..];
    while let Some(groups) = pattern.captures(rest) {
        let Some((start, end)) = groups.range(0) else { break };
        out.extend_from_slice(&rest[..start]);
        out.extend_from_slice(&template::substitute(replacement, &groups, rest));
        rest = &rest[end..];
        if !all || rest.is_empty() {
            break;
        }
        if end == 0 {
            // An empty match moves on by itself.
            out.push(rest[0]);
            rest = &rest[1..];
            if rest.is_empty() {
                break;
            }
        }
    }
    out.extend_from_slice(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_replaced() {
        let edit = |value: &'static str, pattern: &str, to: &str, all| {
            let pattern = Pattern::new(pattern.as_bytes(), false).unwrap();
            let edited = edited(&Bytes::from(value), &pattern, to.as_bytes(), all);
            String::from_utf8(edited.to_vec()).unwrap()
        };
        assert_eq!(edit("a=1; b=2", "=(.)", ":$1", false), "a:1; b=2");
        assert_eq!(edit("a=1; b=2", "=(.)", ":$1", true), "a:1; b:2");
        assert_eq!(edit("abc", "x*", "-", true), "-a-b-c");
        assert_eq!(edit("c=v", "^(.*)$", "$1; Secure", false), "c=v; Secure");
    }
}
