//! What the world is taken to say to an explained request.

use std::collections::HashMap;
use std::net::IpAddr;

use bytes::Bytes;

use crate::effect::{Answer, Call, Effect, Failure};
use crate::modules::auth_basic::Checked;
use crate::modules::auth_digest::nonce::{Said, Want};
use crate::modules::auth_digest::proof::Proved;
use crate::modules::proxy::Heard;
use crate::request::Request;

/// The answers that the caller gives; what it does not give is assumed and said.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Heads of responses, by what asks for them: see [`ROLES`]; `None` for a failure.
    heads: HashMap<String, Option<Bytes>>,
    password: Option<Checked>,
    name: Option<String>,
    addresses: HashMap<String, Vec<IpAddr>>,
    values: HashMap<String, Bytes>,
}

/// Who asks an application: the name of its answer, and `FCGI_APACHE_ROLE`.
const ROLES: [(&str, &str); 4] = [
    ("access", "ACCESS_CHECKER"),
    ("authenticator", "AUTHENTICATOR"),
    ("authorizer", "AUTHORIZER"),
    ("responder", "RESPONDER"),
];

impl Answers {
    /// Adds one as the command line has it, `WHAT=ANSWER`:
    ///
    /// - `access`, `authenticator`, `authorizer`, `responder`: `fail`, or a status and
    ///   fields behind semicolons: `403`, `200; Variable-TIER: gold`;
    /// - `password`: `granted`, `denied`, `unknown`;
    /// - `name`: the client's host name, or nothing;
    /// - `address.HOST`: addresses behind commas;
    /// - `map.KEY`: the value that a RewriteMap's program has for a key, `NULL` for none.
    ///
    /// The error is a sentence.
    pub fn add(&mut self, given: &str) -> Result<(), String> {
        let (what, answer) =
            given.split_once('=').ok_or(format!("{given} is no answer WHAT=ANSWER"))?;
        let answer = answer.trim();
        match what {
            "password" => {
                self.password = Some(match answer {
                    "granted" => Checked::Granted,
                    "denied" => Checked::Denied,
                    "unknown" => Checked::NoUser,
                    _ => {
                        return Err("a password is granted, denied or unknown".to_owned());
                    }
                });
            }
            "name" => self.name = (!answer.is_empty()).then(|| answer.to_owned()),
            _ if ROLES.iter().any(|(role, _)| *role == what) => {
                self.heads.insert(what.to_owned(), head(answer)?);
            }
            _ if what.starts_with("map.") => {
                let value = Bytes::copy_from_slice(answer.as_bytes());
                self.values.insert(what["map.".len()..].to_owned(), value);
            }
            _ => {
                let Some(host) = what.strip_prefix("address.") else {
                    return Err(format!("nobody asks for {what}"));
                };
                let parts = answer.split(',').filter(|part| !part.is_empty());
                let addresses: Result<Vec<IpAddr>, _> =
                    parts.map(|part| part.trim().parse()).collect();
                let addresses =
                    addresses.map_err(|_| format!("{answer} are no addresses"))?;
                self.addresses.insert(host.to_owned(), addresses);
            }
        }
        Ok(())
    }

    pub(super) fn to(
        &self,
        effect: &Effect,
        r: &Request,
        assumed: &mut Vec<String>,
    ) -> Answer {
        let mut assume = |what: String| {
            if !assumed.contains(&what) {
                assumed.push(what);
            }
        };
        match effect {
            Effect::Resolve { ip, .. } => {
                if self.name.is_none() {
                    assume(format!("{ip} has no host name (--answer name=…)"));
                }
                Answer::Name(self.name.clone())
            }
            Effect::Addresses { name } => match self.addresses.get(name) {
                Some(addresses) => Answer::Addresses(addresses.clone()),
                None => {
                    let found = r.files.resolve(name);
                    assume(format!(
                        "{name} has the addresses {found:?} that it has here"
                    ));
                    Answer::Addresses(found)
                }
            },
            Effect::Open { path } => Answer::Opened(r.files.stat(path)),
            Effect::Password { file, given } => {
                if self.password.is_none() {
                    assume(format!(
                        "{} has the password of {} (--answer password=denied)",
                        String::from_utf8_lossy(file),
                        String::from_utf8_lossy(&given.user)
                    ));
                }
                Answer::Password(self.password.clone().unwrap_or(Checked::Granted))
            }
            Effect::RealmHash(claim) => {
                if self.password.is_none() {
                    assume(format!(
                        "{} has the hash of {} (--answer password=denied)",
                        String::from_utf8_lossy(&claim.file),
                        String::from_utf8_lossy(&claim.user)
                    ));
                }
                let checked = self.password.clone().unwrap_or(Checked::Granted);
                Answer::RealmHash(Proved::not(checked))
            }
            Effect::Nonce(question) => {
                if matches!(question.want, Want::Use { .. }) {
                    assume("the nonce is one of the server's, and holds".to_owned());
                }
                Answer::Nonce(Said::assumed(question))
            }
            Effect::Upstream(forward) => {
                assume(format!("the upstream {} says 200", forward.place));
                Answer::Heard(Box::new(Heard {
                    status: 200,
                    version: 11,
                    ..Heard::default()
                }))
            }
            Effect::Map { program, key, .. } => {
                let key = String::from_utf8_lossy(key);
                let value = self.values.get(&*key).cloned();
                if value.is_none() {
                    let name = program.argv.first().cloned().unwrap_or_default();
                    assume(format!(
                        "{} has no value for {key} (--answer map.{key}=…)",
                        String::from_utf8_lossy(&name)
                    ));
                }
                Answer::Mapped(value)
            }
            Effect::Wait(_) => Answer::Waited,
            Effect::Cgi(script) if script.nph => Answer::Head(Bytes::new()),
            Effect::Cgi(script) => {
                assume(format!(
                    "the script {} says 200",
                    String::from_utf8_lossy(&script.path)
                ));
                Answer::Head(head_of("200", "Content-Type: text/html"))
            }
            Effect::Finish => Answer::Finished(Ok(())),
            Effect::Status => Answer::Status(std::sync::Arc::default()),
            Effect::Recall(_) => Answer::Recalled(None),
            Effect::Keep { .. } => Answer::Kept,
            Effect::Forget => Answer::Forgotten(0),
            Effect::Ready => Answer::Ready(true),
            Effect::Body { .. } => Answer::Body(Ok(Bytes::new())),
            Effect::FastCgi(call) => {
                let role = role(call);
                match self.heads.get(role) {
                    Some(Some(_)) | None if call.nph => Answer::Head(Bytes::new()),
                    Some(Some(head)) => Answer::Head(head.clone()),
                    Some(None) => {
                        Answer::Failed { failure: Failure::Incomplete, received: 0 }
                    }
                    None => {
                        let who = if role == "access" { "access checker" } else { role };
                        assume(format!("the {who} says 200 (--answer {role}=…)"));
                        Answer::Head(head_of("200", "Content-Type: text/html"))
                    }
                }
            }
        }
    }
}

/// What a call is for: one of [`ROLES`].
pub(super) fn role(call: &Call) -> &'static str {
    let said = call.extra.iter().find(|(name, _)| name == "FCGI_APACHE_ROLE");
    let found = said.and_then(|(_, said)| ROLES.iter().find(|(_, role)| said == role));
    found.map_or("responder", |(name, _)| name)
}

fn head_of(status: &str, fields: &str) -> Bytes {
    let end = if fields.is_empty() { "" } else { "\r\n" };
    Bytes::from(format!("Status: {status}\r\n{fields}{end}\r\n"))
}

/// `None` for a failure.
fn head(answer: &str) -> Result<Option<Bytes>, String> {
    if answer == "fail" {
        return Ok(None);
    }
    let mut parts = answer.split(';').map(str::trim);
    let status = parts.next().unwrap_or_default();
    let code = status.split(' ').next().unwrap_or_default();
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{answer} does not begin with a status"));
    }
    let fields: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    if let Some(field) = fields.iter().find(|field| !field.contains(':')) {
        return Err(format!("{field} is no field `Name: value`"));
    }
    Ok(Some(head_of(status, &fields.join("\r\n"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        assert_eq!(head("fail"), Ok(None));
        let expected = "Status: 200 OK\r\nVariable-A: b\r\nC: d\r\n\r\n";
        assert_eq!(head("200 OK; Variable-A: b;C: d"), Ok(Some(expected.into())));
        assert!(head("no").is_err() && head("200;x").is_err());
        let mut answers = Answers::default();
        for good in [
            "password=denied",
            "access=403",
            "address.a=127.0.0.1,::1",
            "name=x",
            "map.a=b",
        ] {
            answers.add(good).expect(good);
        }
        for bad in ["password=yes", "x=200", "access", "address.a=b"] {
            assert!(answers.add(bad).is_err(), "{bad}");
        }
    }
}
