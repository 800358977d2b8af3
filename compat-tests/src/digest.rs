//! A client of Digest authentication that makes the mistakes it is told to make. A request says
//! who it is from, `?user:password`, and then in words what is unusual about it:
//!
//! - `name=value`: another value of a part, which the response is made with;
//! - `name:=value`: another value in the field only;
//! - `-name`: a part that is left out of the field;
//! - `challenge=2`: answers the second challenge of the test, and not the last;
//! - `next`: with the nonce that came with the last answer;
//! - `method=`, `wait=`: the method that the response is made with; seconds to wait before.
//!
//! `~` is a blank. A nonce is called by its number: two servers' are never alike.

use std::time::Duration;

use anyhow::{Context, Result};
use md5::{Digest as _, Md5};

use crate::http::Response;
use crate::page::Request;

/// What a client remembers of one server.
#[derive(Default)]
pub struct Digests {
    challenges: Vec<Parts>,
    next: Option<String>,
    /// All nonces, in the order of their first appearance.
    nonces: Vec<String>,
}

/// Parts of a field by name.
type Parts = Vec<(String, String)>;

/// What the server's own response has to be.
pub struct Said {
    rspauth: String,
}

fn part<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.iter().find(|(known, _)| known == name).map(|(_, value)| &value[..])
}

fn set(parts: &mut Parts, name: &str, value: &str) {
    match parts.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => value.clone_into(old),
        None => parts.push((name.to_owned(), value.to_owned())),
    }
}

fn hash(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Digests {
    /// Adds the field that a request is to have, and waits before it.
    pub fn say(&self, request: &mut Request) -> Result<Option<Said>> {
        let Some(digest) = request.digest.take() else { return Ok(None) };
        let (field, said) = self.field(&request.method, &request.target, &digest)?;
        request.headers.push(field);
        Ok(Some(said))
    }

    /// The field for a request that says who it is from, and what is to be heard then.
    pub fn field(
        &self,
        method: &str,
        target: &str,
        digest: &str,
    ) -> Result<(String, Said)> {
        let mut words = digest.split(' ').map(|word| word.replace('~', " "));
        let who = words.next().unwrap_or_default();
        let (user, password) = who.split_once(':').context("user:password")?;
        let words: Vec<String> = words.collect();
        let told = |name: &str| {
            words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        if let Some(seconds) = told("wait") {
            std::thread::sleep(Duration::from_secs(seconds.parse()?));
        }
        let number = told("challenge").map_or(Ok(self.challenges.len()), str::parse)?;
        let empty = Parts::new();
        let challenge = self.challenges.get(number.wrapping_sub(1)).unwrap_or(&empty);
        let mut parts = vec![("username".to_owned(), user.to_owned())];
        for name in ["realm", "nonce", "algorithm", "opaque"] {
            if let Some(value) = part(challenge, name) {
                set(&mut parts, name, value);
            }
        }
        if let Some(nonce) = self.next.as_ref().filter(|_| words.contains(&"next".into()))
        {
            set(&mut parts, "nonce", nonce);
        }
        let fixed = [
            ("uri", target),
            ("qop", "auth"),
            ("nc", "00000001"),
            ("cnonce", "0a4f113b"),
        ];
        for (name, value) in fixed {
            set(&mut parts, name, value);
        }
        const OURS: [&str; 3] = ["challenge", "method", "wait"];
        for word in &words {
            if let Some((name, value)) = word.split_once('=')
                && !name.ends_with(':')
                && !OURS.contains(&name)
            {
                set(&mut parts, name, value);
            }
        }
        let (response, rspauth) =
            responses(&parts, password, told("method").unwrap_or(method));
        if part(&parts, "response").is_none() {
            set(&mut parts, "response", &response);
        }
        for word in &words {
            if let Some((name, value)) = word.split_once(":=") {
                set(&mut parts, name, value);
            } else if let Some(name) = word.strip_prefix('-') {
                parts.retain(|(known, _)| known != name);
            }
        }
        let shown = parts.iter().map(|(name, value)| match &name[..] {
            "qop" | "nc" | "algorithm" => format!("{name}={value}"),
            _ => {
                format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
            }
        });
        let shown = shown.collect::<Vec<_>>().join(", ");
        Ok((format!("Authorization: Digest {shown}"), Said { rspauth }))
    }

    /// Remembers what a server says about nonces.
    pub fn hear(&mut self, response: &Response) {
        for (name, value) in &response.headers {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if is("www-authenticate")
                && let Some(rest) = value.strip_prefix("Digest ")
            {
                let parts = parse(rest);
                if let Some(nonce) = part(&parts, "nonce") {
                    self.nonces.push(nonce.to_owned());
                }
                self.challenges.push(parts);
            } else if is("authentication-info")
                && let Some(nonce) = part(&parse(value), "nextnonce")
            {
                self.nonces.push(nonce.to_owned());
                self.next = Some(nonce.to_owned());
            }
        }
    }

    /// An answer with names for nonces, and a word for the server's own response.
    pub fn checked(&self, answer: &str, said: Option<&Said>) -> String {
        let mut answer = self.named(answer);
        if let Some(said) = said {
            answer = answer.replace(&said.rspauth, "{right}");
        }
        answer
    }

    /// A text with names for nonces; what a nonce should have been is left out.
    pub fn named(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (i, nonce) in self.nonces.iter().enumerate() {
            text = text.replace(nonce, &format!("{{nonce {}}}", i + 1));
        }
        const NOT: &str = " received - hash is not ";
        if let Some(at) = text.find(NOT) {
            let at = at + NOT.len();
            let end = text[at..].find([',', '\n']).map_or(text.len(), |end| at + end);
            text.replace_range(at..end, "{hash}");
        }
        text
    }
}

/// The client's response and the server's.
fn responses(parts: &Parts, password: &str, method: &str) -> (String, String) {
    let of = |name: &str| part(parts, name).unwrap_or_default();
    let secret = hash(&format!("{}:{}:{password}", of("username"), of("realm")));
    let between = [of("nonce"), of("nc"), of("cnonce"), of("qop")].join(":");
    let with = |method: &str| {
        let request = hash(&format!("{method}:{}", of("uri")));
        hash(&format!("{secret}:{between}:{request}"))
    };
    (with(method), with(""))
}

/// `name=value` and `name="value"`, as servers write them.
fn parse(text: &str) -> Parts {
    let mut parts = Parts::new();
    let mut rest = text;
    while let Some((name, behind)) = rest.split_once('=') {
        let (value, after) = match behind.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = behind.find(',').unwrap_or(behind.len());
                (behind[..end].to_owned(), &behind[end..])
            }
        };
        parts.push((name.trim().to_owned(), value));
        rest = after.trim_start_matches([',', ' ']);
    }
    parts
}

/// What stands before the closing quote, and what behind it.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfc_s_example_is_made() {
        let parts = parse(
            "username=\"Mufasa\", realm=\"testrealm@host.com\", \
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, \
             nc=00000001, cnonce=\"0a4f113b\"",
        );
        let (response, _) = responses(&parts, "Circle Of Life", "GET");
        assert_eq!(response, "6629fae49393a05397450978507c4ef1");
        assert_eq!(part(&parse(r#"a="x\"y, z", b=c"#), "a"), Some("x\"y, z"));
    }
}
