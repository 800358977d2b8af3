//! Secrets of an explained request, and their replacement: an explanation is made to be shown
//! around.

use bytes::Bytes;

use super::{Call, Explanation};
use crate::bundle::{BLANK, is_secret};
use crate::modules::auth_digest::header::{self, Given};
use crate::modules::authn_core::decode_base64;
use crate::request::Request;

/// What is shorter is replaced only under its own name, bytes: it is part of everything.
const SHORTEST: usize = 4;

/// Names of fields and variables that say nothing secret, but sound so.
const HARMLESS: [&str; 4] =
    ["auth_type", "www-authenticate", "proxy-authenticate", "redirect_auth_type"];

/// Is the value of a field or a variable nobody's business?
fn is_hidden(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (is_secret(&lower) || lower.contains("cookie")) && !HARMLESS.contains(&lower.as_str())
}

/// The secrets among the fields of an application's answer.
pub(super) fn secrets_of_head(head: &[u8]) -> Vec<String> {
    let head = String::from_utf8_lossy(head);
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.flat_map(|(name, value)| secrets_of_field(name, value.trim())).collect()
}

/// The secrets of a field.
pub(super) fn secrets_of_field(name: &str, value: &str) -> Vec<String> {
    if is_hidden(name) { parts(value) } else { Vec::new() }
}

/// The head of an application's answer with its secrets replaced, short ones among them.
pub(super) fn without_secrets(head: &str) -> String {
    let field = |line: &str| match line.split_once(':') {
        Some((name, value)) if is_hidden(name) && !value.trim().is_empty() => {
            format!("{name}: {BLANK}")
        }
        _ => line.to_owned(),
    };
    head.lines().map(field).collect::<Vec<_>>().join("\r\n")
}

/// A secret value, and what in it is one by itself.
fn parts(value: &str) -> Vec<String> {
    let mut found = vec![value.to_owned()];
    match header::parse(Some(value.as_bytes())) {
        Given::Fields(fields) => {
            // The others are names and places.
            let secret =
                [Some(&fields.response), Some(&fields.nonce), fields.cnonce.as_ref()];
            let text = |secret: &Bytes| String::from_utf8_lossy(secret).into_owned();
            found.extend(secret.into_iter().flatten().map(text));
            return found;
        }
        Given::Malformed => return found,
        Given::Other(_) | Given::Nothing => {}
    }
    for piece in value.split([';', ',', ' ']) {
        if let Some((_, value)) = piece.split_once('=') {
            found.push(value.trim_matches('"').to_owned());
        }
    }
    if let Some((_, credentials)) = value.split_once(' ') {
        found.push(credentials.trim().to_owned());
        let decoded = decode_base64(credentials.trim().as_bytes());
        if let Ok(pair) = String::from_utf8(decoded) {
            found.extend(pair.split_once(':').map(|(_, password)| password.to_owned()));
            found.push(pair);
        }
    }
    found
}

/// Replaces every secret of the request, and `more` of them.
pub(super) fn blank(told: &mut Explanation, r: &Request, more: Vec<String>) {
    let mut secrets = more;
    for (name, value) in r.first().headers_in.iter() {
        let value = String::from_utf8_lossy(value.as_bytes());
        secrets.extend(secrets_of_field(name.as_str(), &value));
    }
    let pairs = told.calls.iter().flat_map(|call| &call.parameters);
    for (name, value) in pairs.chain(&told.headers) {
        secrets.extend(secrets_of_field(name, value));
    }
    secrets.retain(|secret| secret.len() >= SHORTEST);
    // What holds another one goes first.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    let hide = |text: &mut String| {
        for secret in &secrets {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), BLANK);
            }
        }
    };
    let hide_pairs = |pairs: &mut Vec<(String, String)>| {
        for (name, value) in pairs {
            if is_hidden(name) && !value.is_empty() {
                BLANK.clone_into(value);
            }
            hide(value);
        }
    };
    hide(&mut told.request);
    for pass in &mut told.passes {
        hide(&mut pass.url);
        for section in &mut pass.sections {
            hide(&mut section.title);
            section.settings.iter_mut().for_each(|setting| hide(&mut setting.args));
        }
    }
    told.steps.iter_mut().for_each(|step| hide(&mut step.text));
    for Call { answer, parameters, .. } in &mut told.calls {
        hide(answer);
        hide_pairs(parameters);
    }
    told.facts.iter_mut().for_each(|(_, value)| hide(value));
    hide(&mut told.status);
    hide_pairs(&mut told.headers);
    // The files themselves are not shown.
    told.texts.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["HTTP_COOKIE", "Set-Cookie", "REMOTE_PASSWD", "Authorization"] {
            assert!(is_hidden(name), "{name}");
        }
        for name in ["AUTH_TYPE", "WWW-Authenticate", "REMOTE_USER", "Location"] {
            assert!(!is_hidden(name), "{name}");
        }
    }

    #[test]
    fn parts_of_values() {
        let basic = parts("Basic YW5uOnNlY3JldA==");
        assert!(basic.contains(&"secret".to_owned()), "{basic:?}");
        let nonce = "AAAAAAAAAAA=0123456789012345678901234567890123456789";
        let response = "0123456789abcdef0123456789abcdef";
        let digest = parts(&format!(
            "Digest username=annie, realm=\"r\", uri=\"/some/where\", nonce=\"{nonce}\", \
             response=\"{response}\""
        ));
        assert!(
            digest.contains(&response.to_owned()) && digest.contains(&nonce.to_owned())
        );
        assert!(!digest.contains(&"annie".to_owned()), "{digest:?}");
        assert!(!digest.contains(&"/some/where".to_owned()), "{digest:?}");
        let cookie = parts("a=b; session=0123");
        assert!(cookie.contains(&"0123".to_owned()), "{cookie:?}");
        let head = secrets_of_head(b"Status: 200\r\nSet-Cookie: s=abcd; Path=/\r\n\r\n");
        assert!(head.contains(&"abcd".to_owned()), "{head:?}");
        let head = "Status: 200\r\nSet-Cookie: s=1\nVariable-TOKEN:2\nX-Token:\n";
        assert_eq!(
            without_secrets(head),
            format!(
                "Status: 200\r\nSet-Cookie: {BLANK}\r\nVariable-TOKEN: {BLANK}\r\nX-Token:"
            )
        );
    }
}
