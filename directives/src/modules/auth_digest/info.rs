//! `add_auth_info`: shows the client that we know its password as well, and gives it a new
//! nonce before the old one ends.

use super::MICROSECONDS;
use super::authenticate::{fields, question};
use super::nonce::{Said, Want};
use crate::effect::Answer;
use crate::modules::authn_core::escape_quotes;
use crate::phase::{DECLINED, Verdict};
use crate::request::Request;

/// How long before its end a nonce is replaced.
const BEFORE_END: i64 = 30 * MICROSECONDS;

/// The hook.
pub fn add_info(r: &mut Request) -> Verdict {
    let Some(made) = r.digest.as_ref().and_then(|state| state.accepted) else {
        return DECLINED;
    };
    let is_own = r.prev.is_none() && r.main.is_none();
    let Some(fields) = fields(r).filter(|_| is_own) else { return DECLINED };
    if r.err_headers_out.has("WWW-Authenticate") {
        return DECLINED;
    }
    let lifetime = r.dir.auth_digest.rules.lifetime;
    let ends = lifetime > 0
        && r.request_time.saturating_sub(made) > lifetime.saturating_sub(BEFORE_END);
    let has_number = fields.opaque.as_ref().is_some_and(|opaque| opaque.client != 0);
    if ends || lifetime == 0 && has_number {
        let question = question(r, fields.opaque.clone(), Want::Next);
        return Verdict::Ask(question, with_next);
    }
    add(r, None)
}

fn with_next(r: &mut Request, answer: Answer) -> Verdict {
    match answer {
        Answer::Nonce(Said::Next(nonce)) => add(r, Some(&nonce)),
        // The client will be asked again.
        _ => add(r, None),
    }
}

fn add(r: &mut Request, next: Option<&[u8]>) -> Verdict {
    let (Some(state), Some(fields)) = (&r.digest, fields(r)) else { return DECLINED };
    let mut value = [b"rspauth=\"", &state.answer[..], b"\""].concat();
    if let Some(next) = next {
        value.extend_from_slice(&[b", nextnonce=\"", next, b"\""].concat());
    }
    let escaped = fields.cnonce.as_ref().map(|cnonce| escape_quotes(cnonce));
    if let Some(cnonce) = escaped {
        value.extend_from_slice(&[b", cnonce=\"", &cnonce[..], b"\""].concat());
    }
    for (name, text) in [("nc", &fields.nc), ("qop", &fields.qop)] {
        if let Some(text) = text {
            value.extend_from_slice(&[b", ", name.as_bytes(), b"=", text].concat());
        }
    }
    r.headers_out.merge("Authentication-Info", &value);
    DECLINED
}
