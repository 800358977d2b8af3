//! `testdata/run`: a configuration and requests: what the phases ask of the world, what
//! they say in the log, and the reply.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use directives::effect::{Call, Role};
use directives::modules::auth_basic::Checked;
use directives::modules::auth_digest::nonce::{Said, Want};
use directives::modules::auth_digest::proof::Proved;
use directives::modules::fastcgi::app::Address;
use directives::modules::proxy::Forward;
use directives::reply::{Body, Reply};
use directives::status;
use directives::{Answer, Effect, Next, Request};

use crate::request::{self, Scripted};

/// Effects, log and replies are the expected ones.
pub fn check(path: &Path) {
    let mut variables = String::new();
    request::check(path, |scripted| drive(scripted, &mut variables));
}

/// The loop of the server, with the script for a world. `variables` are those of the call
/// before.
fn drive(mut scripted: Scripted, variables: &mut String) -> String {
    let mut out = String::new();
    let mut answer = None;
    loop {
        let next = scripted.run.step(answer.take());
        let r = scripted.run.request_mut();
        for line in std::mem::take(&mut r.lines) {
            let text = String::from_utf8_lossy(&line.text);
            writeln!(out, "log [{}:{}] {text}", line.module, line.level)
                .expect("a string");
        }
        match next {
            Next::Effect(effect) => {
                show_effect(&effect, r, variables, &mut out);
                answer = Some(match effect {
                    Effect::Resolve { .. } => {
                        Answer::Name(Some("client.example.org".into()))
                    }
                    Effect::Addresses { .. } => Answer::Addresses(Vec::new()),
                    Effect::Open { path } => Answer::Opened(r.files.stat(&path)),
                    // Whoever says his own name is right.
                    Effect::Password { given, .. } => {
                        Answer::Password(if given.user == given.password {
                            Checked::Granted
                        } else {
                            Checked::Denied
                        })
                    }
                    // The hash of everybody called "ann" is right.
                    Effect::RealmHash(claim) => {
                        Answer::RealmHash(Proved::not(match &claim.user[..] {
                            b"ann" => Checked::Granted,
                            b"nobody" => Checked::NoUser,
                            _ => Checked::Denied,
                        }))
                    }
                    Effect::Nonce(question) => Answer::Nonce(Said::assumed(&question)),
                    Effect::Finish => Answer::Finished(Ok(())),
                    Effect::Status => Answer::Status(Arc::default()),
                    Effect::Wait(_) => Answer::Waited,
                    Effect::Map { key, .. } => Answer::Mapped(Some(key)),
                    Effect::Recall(_) => Answer::Recalled(None),
                    Effect::Keep { .. } => Answer::Kept,
                    Effect::Forget => Answer::Forgotten(0),
                    Effect::Ready => Answer::Ready(true),
                    Effect::Body { .. } => Answer::Body(Ok(bytes::Bytes::new())),
                    Effect::FastCgi(_) | Effect::Cgi(_) | Effect::Upstream(_) => {
                        scripted.answers.pop_front().expect("an answer is missing")
                    }
                });
            }
            Next::Looked => unreachable!("this is no sub-request"),
            Next::Reply(reply) => {
                show_reply(&reply, r, &mut out);
                if !scripted.answers.is_empty() {
                    out += "(an answer is left that nobody asked for)\n";
                }
                return out;
            }
        }
    }
}

fn show_effect(effect: &Effect, r: &Request, before: &mut String, out: &mut String) {
    match effect {
        Effect::Resolve { ip, confirm } => {
            let confirm = if *confirm { ", to be confirmed" } else { "" };
            writeln!(out, "resolve {ip}{confirm}")
        }
        Effect::Addresses { name } => writeln!(out, "look {name} up"),
        Effect::Open { path } => writeln!(out, "open {}", path.escape_ascii()),
        Effect::Password { file, given } => writeln!(
            out,
            "check the password of {} in {}",
            given.user.escape_ascii(),
            file.escape_ascii()
        ),
        Effect::RealmHash(claim) => writeln!(
            out,
            "compare the hash of {} of {} in {}",
            claim.user.escape_ascii(),
            claim.realm.escape_ascii(),
            claim.file.escape_ascii()
        ),
        Effect::Nonce(question) => match question.want {
            Want::Challenge => writeln!(out, "make a nonce for a challenge"),
            Want::Use { .. } => writeln!(out, "does the nonce hold?"),
            Want::Next => writeln!(out, "make a nonce for the next request"),
        },
        Effect::Finish => writeln!(out, "read the rest of the answer"),
        Effect::Status => writeln!(out, "report on everything"),
        Effect::Wait(time) => writeln!(out, "wait {} ms", time.as_millis()),
        Effect::Map { program, key, time } => writeln!(
            out,
            "ask {:?} for {}, for {time:?} at most",
            program.argv,
            key.escape_ascii()
        ),
        Effect::Upstream(forward) => show_forward(forward, out),
        Effect::Recall(_) => writeln!(out, "look for an answer that was kept"),
        Effect::Keep { time, .. } => writeln!(out, "keep the answer for {time:?}"),
        Effect::Forget => writeln!(out, "forget all answers"),
        Effect::Ready => writeln!(out, "are new requests taken?"),
        Effect::Body { .. } => writeln!(out, "read the request's body"),
        Effect::Cgi(script) => {
            let nph = if script.nph { ", unparsed" } else { "" };
            writeln!(
                out,
                "run {} {:?} as {:?}{nph}, silent for {:?} at most",
                script.path.escape_ascii(),
                script.args,
                script.identity,
                script.timeout
            )
        }
        Effect::FastCgi(call) => {
            show_call(call, out);
            let variables = variables(call, r);
            let same = *before == variables;
            *before = variables;
            writeln!(
                out,
                "{}",
                if same { "  (the same variables)" } else { before.trim_end() }
            )
        }
    }
    .expect("a string");
}

/// A request to an HTTP upstream, with its fields.
fn show_forward(forward: &Forward, out: &mut String) -> std::fmt::Result {
    let Forward { method, target, place, .. } = forward;
    writeln!(out, "{method} http://{place}{}", target.escape_ascii())?;
    for (name, value) in forward.headers.iter() {
        writeln!(out, "  {}: {}", name.escape_ascii(), value.escape_ascii())?;
    }
    Ok(())
}

fn show_call(call: &Call, out: &mut String) {
    let role = match call.role {
        Role::Responder => "responder",
        Role::Authorizer => "authorizer",
    };
    let address = match &call.app.address {
        Address::Unix(path) => path.escape_ascii().to_string(),
        Address::Tcp(all) => all.iter().map(|a| format!("{a} ")).collect::<String>(),
    };
    let nph = if call.nph { ", unparsed" } else { "" };
    writeln!(out, "{role} {:?} at {}{nph}", call.app.kind, address.trim_end())
        .expect("a string");
}

/// The variables that an application gets, each a line.
fn variables(call: &Call, r: &Request) -> String {
    let mut out = String::new();
    let show = |name: &[u8], value: &[u8]| {
        writeln!(out, "  {}={}", name.escape_ascii(), value.escape_ascii())
            .expect("a string");
    };
    call.each_variable(r, None, show);
    out
}

fn show_reply(reply: &Reply, r: &Request, out: &mut String) {
    let reason = match &reply.reason {
        Some(reason) => String::from_utf8_lossy(reason).into_owned(),
        None => status::line(reply.status),
    };
    writeln!(out, "{reason}").expect("a string");
    for (name, value) in reply.headers.iter().filter(|(name, _)| !is_constant(name)) {
        writeln!(out, "{}: {}", name.escape_ascii(), value.escape_ascii())
            .expect("a string");
    }
    let close = if reply.close { ", then the end of the connection" } else { "" };
    let header_only = if reply.header_only { " that is not sent" } else { "" };
    let body = match &reply.body {
        Body::None => "no body".to_owned(),
        Body::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Body::File { size, parts } => {
            let parts: Vec<_> =
                parts.iter().map(|p| format!("{}..{}", p.start, p.end)).collect();
            let path = r.filename.escape_ascii();
            format!("{} of {path} ({size} bytes)", parts.join(" and "))
        }
        Body::Stream => "what the application sends".to_owned(),
        Body::Raw => "what the application sends, unparsed".to_owned(),
        Body::Tunnel | Body::Http2(_) => "another protocol".to_owned(),
    };
    let handler = r.handler.as_deref().unwrap_or_default().escape_ascii();
    writeln!(out, "({body}{header_only}{close}; handler \"{handler}\")")
        .expect("a string");
}

/// Fields that every reply has, with the same values.
fn is_constant(name: &[u8]) -> bool {
    [&b"Date"[..], b"Server"].contains(&name)
}
