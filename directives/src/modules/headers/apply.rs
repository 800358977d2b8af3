//! Changing fields: `do_headers_fixup`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::{Action, Change, When};
use crate::expr::Want;
use crate::log::Level;
use crate::modules::core::expr_wants;
use crate::pattern::Pattern;
use crate::phase::{DECLINED, Verdict};
use crate::reply::Headers;
use crate::request::Request;
use crate::template;

/// Whose fields are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// The request's.
    Request,
    /// The response's.
    Response,
    /// Those of a response that survive errors.
    Always,
}

/// `early`, by the server's own settings.
pub fn early(r: &mut Request) -> Verdict {
    let root = r.server.root.clone();
    change(r, Side::Request, &root.headers.request, true);
    change(r, Side::Always, &root.headers.always, true);
    change(r, Side::Response, &root.headers.response, true);
    DECLINED
}

/// Fields of the request. What the response's conditions want to know is asked here,
/// too: it is too late for it when there is a response.
pub fn request(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    let headers = &dir.headers;
    if r.main.is_some() {
        return DECLINED;
    }
    for changes in [&headers.request, &headers.always, &headers.response] {
        if let Some(want) = first_want(r, changes) {
            return expr_wants(r, want, request);
        }
    }
    change(r, Side::Request, &headers.request, false);
    DECLINED
}

/// What a condition or value has to know first.
fn first_want(r: &mut Request, changes: &[Arc<Change>]) -> Option<Want> {
    for change in changes {
        if let When::Holds(condition) = &change.when
            && condition.asks()
            && let Err(want) = condition.holds(r)
        {
            return Some(want);
        }
    }
    None
}

/// Fields of the response: those that survive errors first, as httpd has it.
pub fn response(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    change(r, Side::Always, &dir.headers.always, false);
    if !r.is_error_page {
        change(r, Side::Response, &dir.headers.response, false);
    }
    DECLINED
}

fn change(r: &mut Request, side: Side, changes: &[Arc<Change>], early: bool) {
    for change in changes {
        let applies = match &change.when {
            When::Early => early,
            _ if early => false,
            When::Always => true,
            When::Env { name, negated } => r.env.has(name) != *negated,
            When::Holds(condition) => match condition.holds(r) {
                Ok(Ok(holds)) => holds,
                Ok(Err(why)) => {
                    let text =
                        format!("Failed to evaluate expression ({why}) - ignoring");
                    r.log(Level::Error, "headers", 1501, text);
                    true
                }
                Err(_) => false,
            },
        };
        if applies {
            apply(r, side, change);
        }
    }
}

fn apply(r: &mut Request, side: Side, change: &Change) {
    let name = String::from_utf8_lossy(&change.name).into_owned();
    let is_type = side != Side::Request && name.eq_ignore_ascii_case("content-type");
    let value = match change.action.value().map(|value| value.of(r)) {
        Some(Ok(value)) => value,
        Some(Err(_)) => return,
        None => Vec::new(),
    };
    match &change.action {
        Action::Add(_) => {
            fields(r, side, &name, |fields| fields.add(change.name.clone(), value));
        }
        Action::Append(_) => {
            fields(r, side, &name, |fields| fields.merge(change.name.clone(), &value));
        }
        Action::Merge(_) => fields(r, side, &name, |fields| match fields.get(&name) {
            Some(old) if has_item(old, &value) => {}
            _ => fields.merge(change.name.clone(), &value),
        }),
        Action::Set(_) | Action::SetIfEmpty(_) => {
            let keeps = matches!(change.action, Action::SetIfEmpty(_));
            let there = keeps && is_type && r.content_type.is_some();
            if there || keeps && fields(r, side, &name, |fields| fields.has(&name)) {
                return;
            }
            if is_type {
                r.content_type = Some(value.clone().into());
            }
            fields(r, side, &name, |fields| fields.set(change.name.clone(), value));
        }
        Action::Unset => {
            if is_type {
                r.content_type = None;
            }
            fields(r, side, &name, |fields| fields.unset(&name));
        }
        Action::Echo(pattern) => {
            let named = |name: &HeaderName| pattern.is_match(name.as_str().as_bytes());
            let sent = r.headers_in.clone();
            for (known, value) in sent.iter().filter(|(name, _)| named(name)) {
                let known = Bytes::copy_from_slice(known.as_str().as_bytes());
                let value = Bytes::copy_from_slice(value.as_bytes());
                fields(r, side, &name, |fields| fields.add(known, value));
            }
        }
        Action::Edit { pattern, all, .. } => {
            if is_type && let Some(kind) = r.content_type.take() {
                r.content_type = Some(edited(&kind, pattern, &value, *all));
            }
            fields(r, side, &name, |fields| {
                let same = |field: &Bytes| field.eq_ignore_ascii_case(name.as_bytes());
                for (_, old) in fields.iter_mut().filter(|(field, _)| same(field)) {
                    *old = edited(old, pattern, &value, *all);
                }
            });
        }
        Action::Note(note) => {
            let value = fields(r, side, &name, |fields| fields.get(&name).cloned());
            if let Some(value) = value {
                r.notes.set(note.clone(), value);
            }
        }
    }
}

/// Is `item` one of a list's, letter by letter? Commas in quotes separate nothing.
fn has_item(list: &[u8], item: &[u8]) -> bool {
    let mut quoted = false;
    let mut items = list.split(|&b| {
        quoted ^= b == b'"';
        b == b',' && !quoted
    });
    items.any(|known| known.trim_ascii_start() == item)
}

/// Does something to fields; of a request, to those called `name`.
fn fields<T>(
    r: &mut Request,
    side: Side,
    name: &str,
    work: impl FnOnce(&mut Headers) -> T,
) -> T {
    match side {
        Side::Response => return work(&mut r.headers_out),
        Side::Always => return work(&mut r.err_headers_out),
        Side::Request => {}
    }
    // httpd joins fields of one name when it reads them.
    let mut fields = Headers::default();
    if let Some(value) = r.header(name) {
        fields.add(name.to_owned(), value.into_owned());
    }
    let before = fields.clone();
    let result = work(&mut fields);
    if fields == before {
        return result;
    }
    let Ok(name) = HeaderName::try_from(name) else { return result };
    let mut values =
        fields.iter().filter_map(|(_, value)| HeaderValue::from_bytes(value).ok());
    let Some(first) = values.next() else {
        // The others keep their order, which a removal would change.
        let left = r.headers_in.iter().filter(|(known, _)| **known != name);
        let left = left.map(|(known, value)| (known.clone(), value.clone())).collect();
        r.headers_in = Arc::new(left);
        return result;
    };
    let headers = Arc::make_mut(&mut r.headers_in);
    headers.insert(name.clone(), first);
    values.for_each(|value| {
        headers.append(name.clone(), value);
    });
    result
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
