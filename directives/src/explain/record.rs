//! What the world was asked on a request's way, and what it said.

use std::sync::Arc;
use std::time::Duration;

use super::blank::{secrets_of_field, secrets_of_head};
use super::calls::{self, Call};
use super::places::Texts;
use crate::bundle::{Files, Sources};
use crate::effect::{Answer, Effect, Failure};
use crate::modules::auth_basic::Checked;
use crate::modules::auth_digest::nonce::{Said, Used};
use crate::request::Request;

/// Everything that the phases asked for, in order.
pub struct Record {
    pub(super) calls: Vec<Call>,
    pub(super) heard: Vec<Heard>,
    pub(super) texts: Texts,
    /// What is not to be shown.
    pub(super) secrets: Vec<String>,
}

/// An answer of the world.
#[derive(Debug)]
pub(super) struct Heard {
    said: String,
    took: Option<Duration>,
}

impl Heard {
    /// Behind the question.
    pub fn shown(&self) -> String {
        match self.took {
            None if self.said.is_empty() => String::new(),
            None => format!(" ({})", self.said),
            Some(took) => format!(" ({}, {})", self.said, super::text::after(took)),
        }
    }
}

impl Record {
    /// Of a request that has not asked for anything yet.
    pub fn new(sources: Arc<Sources>, files: Arc<dyn Files>) -> Record {
        Record {
            calls: Vec::new(),
            heard: Vec::new(),
            texts: Texts::new(sources, files),
            secrets: Vec::new(),
        }
    }

    /// Adds a question of `r` and its answer. `length` is that of a body whose length the client did
    /// not announce; `took` is `None` where nobody was asked.
    pub fn add(
        &mut self,
        effect: &Effect,
        r: &Request,
        length: Option<u64>,
        answer: &Answer,
        took: Option<Duration>,
    ) {
        if let Effect::FastCgi(call) = effect {
            let shown = calls::shown(call, r, length, answer, took, &mut self.texts);
            self.calls.push(shown);
        }
        if let Answer::Head(head) | Answer::Recalled(Some(head)) = answer {
            self.secrets.extend(secrets_of_head(head));
        }
        if let Answer::Heard(heard) = answer {
            for (name, value) in heard.headers.iter() {
                let text = |bytes| String::from_utf8_lossy(bytes);
                self.secrets.extend(secrets_of_field(&text(name), &text(value)));
            }
        }
        let said = match answer {
            Answer::Recalled(None) => "none is".to_owned(),
            _ if took.is_none() => String::new(),
            answer => said(answer),
        };
        self.heard.push(Heard { said, took });
    }
}

/// An answer in a few words.
fn said(answer: &Answer) -> String {
    match answer {
        Answer::Name(name) => name.clone().unwrap_or_else(|| "it has none".to_owned()),
        Answer::Addresses(found) if found.is_empty() => "it has none".to_owned(),
        Answer::Addresses(found) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            found.join(", ")
        }
        Answer::Opened(Ok(meta)) => format!("{} bytes", meta.size),
        Answer::Opened(Err(error)) => error.text.to_string(),
        Answer::Password(Checked::Granted) => "yes".to_owned(),
        Answer::Password(Checked::Denied) => "no".to_owned(),
        Answer::Password(Checked::NoUser) => "no such user".to_owned(),
        Answer::Password(Checked::Failed(error)) => error.text.to_string(),
        Answer::RealmHash(proved) => said(&Answer::Password(proved.checked.clone())),
        Answer::Nonce(Said::Challenge(_) | Said::Next(_)) => "one is made".to_owned(),
        Answer::Nonce(Said::Used(Used::Accepted(_))) => "yes".to_owned(),
        Answer::Nonce(Said::Used(_)) => "no".to_owned(),
        Answer::Nonce(Said::Failed) => "there is no secret".to_owned(),
        Answer::Head(head) => status(head),
        Answer::Heard(heard) => heard.status.to_string(),
        Answer::Mapped(Some(line)) => String::from_utf8_lossy(line).into_owned(),
        Answer::Mapped(None) => "it has none".to_owned(),
        Answer::Recalled(Some(head)) => format!("one is: {}", status(head)),
        Answer::Recalled(None) => "none is".to_owned(),
        Answer::Forgotten(count) => format!("{count} there were"),
        Answer::Ready(true) => "yes".to_owned(),
        Answer::Ready(false) => "no".to_owned(),
        Answer::Failed { failure: why, .. }
        | Answer::Finished(Err(why))
        | Answer::Body(Err(why)) => failure(why),
        Answer::Body(Ok(body)) => format!("{} bytes", body.len()),
        Answer::Finished(Ok(())) | Answer::Waited | Answer::Status(_) | Answer::Kept => {
            "done".to_owned()
        }
    }
}

/// The status that the head of an answer says, as it says it.
fn status(head: &[u8]) -> String {
    let mut lines = head.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
    let found = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(7)?;
        name.eq_ignore_ascii_case(b"status:").then(|| value.trim_ascii())
    });
    match found {
        Some(status) => String::from_utf8_lossy(status).into_owned(),
        None if head.is_empty() => "unparsed".to_owned(),
        None => "no status: 200".to_owned(),
    }
}

/// Why there is no answer; the error log says more.
pub(super) fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Connect(error) | Failure::Socket(error) => {
            format!("no connection: {}", error.text)
        }
        Failure::ConnectTimeout(limit) => format!("no connection within {limit} s"),
        Failure::Handshake(why) => format!("no TLS handshake: {why}"),
        Failure::QueueTimeout(limit) => format!("no turn within {limit} s"),
        Failure::QueueFull(limit) => format!("{limit} wait already"),
        Failure::Idle(limit) => format!("nothing came for {limit} s"),
        Failure::Read(error) | Failure::Write(error) => {
            format!("the connection failed: {}", error.text)
        }
        Failure::Protocol(why) => format!("what came is none: {why}"),
        Failure::Incomplete => "the end came before the end of the head".to_owned(),
        Failure::HeadTooLong => "its head is too long".to_owned(),
        Failure::BodyTooLong => "the request's body is too long".to_owned(),
        Failure::Client => "the client went away".to_owned(),
        Failure::BadBody => "the request's body is malformed".to_owned(),
        Failure::BodyTimeout => "the request's body did not come in time".to_owned(),
        Failure::NotStarted => "it could not be started".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_heads() {
        assert_eq!(status(b"A: b\r\nSTATUS:  403 No\r\n\r\n"), "403 No");
        assert_eq!(status(b"A: Status: 1\n\n"), "no status: 200");
        assert_eq!(status(b""), "unparsed");
    }
}
