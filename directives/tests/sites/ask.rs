//! A request to a site: what is done for it, and what the client gets.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use directives::bundle::Files;
use directives::effect::{Answer, Effect};
use directives::modules::auth_basic::Checked;
use directives::modules::auth_digest::nonce::Said;
use directives::modules::auth_digest::proof::Proved;
use directives::modules::fastcgi::Kind;
use directives::modules::proxy::Heard;
use directives::reply::{Body, Reply};
use directives::request::{Connection, Head, Request};
use directives::{Next, Run, Snapshot};

use crate::tree::Tree;

/// The variables that tell an application what is wanted.
const SHOWN: [&str; 14] = [
    "FCGI_APACHE_ROLE",
    "REMOTE_USER",
    "REMOTE_PASSWD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "SCRIPT_FILENAME",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "REQUEST_URI",
    "REDIRECT_STATUS",
    "REDIRECT_HANDLER",
    "HTTP_AUTHORIZATION",
    "TRACKER_CONFIG",
    "LANG",
];

/// Sends `METHOD URL`; every application answers `200`.
pub fn ask(line: &str, snapshot: &Arc<Snapshot>, tree: &Arc<Tree>) -> String {
    let mut out = format!("\n# {line}\n");
    let (method, url) = line.split_once(' ').expect("METHOD URL");
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("http://host/path");
    let mut headers = http::HeaderMap::new();
    headers.insert("host", host.parse().expect("a host"));
    headers.insert("authorization", "Basic Zm9vOmJhcg==".parse().expect("a value"));
    let head = Head {
        method: method.parse().expect("a method"),
        target: Bytes::from(format!("/{path}")),
        version: 11,
        headers,
    };
    let port = host.split_once(':').map_or(80, |(_, port)| port.parse().expect("a port"));
    let connection = Connection {
        client: SocketAddr::from(([192, 0, 2, 1], 40000)),
        local: SocketAddr::from(([192, 0, 2, 2], port)),
        reported: None,
        secure: false,
        security: directives::modules::ssl::Security::Plain,
        keepalives: 0,
        id: 1,
    };
    let files: Arc<dyn Files> = tree.clone();
    let request = Request::new(snapshot.clone(), files, Arc::new(connection), head, 0);
    let mut run = Run::new(request);
    let mut answer = None;
    loop {
        let next = run.step(answer.take());
        for line in std::mem::take(&mut run.request_mut().lines) {
            if run.request().logs(line.level, line.module) {
                let number = if line.ah == 0 {
                    String::new()
                } else {
                    format!("AH{:05}: ", line.ah)
                };
                let text = String::from_utf8_lossy(&line.text);
                out += &format!("log {}: {number}{text}\n", line.level);
            }
        }
        match next {
            Next::Effect(effect) => {
                let (words, answered) = perform(&effect, run.request(), tree);
                out += &words;
                answer = Some(answered);
            }
            Next::Looked => unreachable!("this is no sub-request"),
            Next::Reply(reply) => return out + &replied(&reply, run.request()),
        }
    }
}

fn perform(effect: &Effect, r: &Request, tree: &Tree) -> (String, Answer) {
    match effect {
        Effect::Resolve { .. } => (String::new(), Answer::Name(None)),
        Effect::Addresses { .. } => (String::new(), Answer::Addresses(Vec::new())),
        Effect::Open { path } => (String::new(), Answer::Opened(tree.stat(path))),
        Effect::Password { file, .. } => {
            let out = format!("checks a password in {}\n", String::from_utf8_lossy(file));
            (out, Answer::Password(Checked::Denied))
        }
        Effect::RealmHash(claim) => {
            let file = String::from_utf8_lossy(&claim.file);
            let proved = Proved::not(Checked::Denied);
            (format!("compares a hash in {file}\n"), Answer::RealmHash(proved))
        }
        Effect::Nonce(question) => {
            (String::new(), Answer::Nonce(Said::assumed(question)))
        }
        Effect::Finish => (String::new(), Answer::Finished(Ok(()))),
        Effect::Wait(_) => (String::new(), Answer::Waited),
        Effect::Map { key, .. } => {
            let out = format!("asks a map for {}\n", String::from_utf8_lossy(key));
            (out, Answer::Mapped(None))
        }
        Effect::Upstream(forward) => {
            let (place, target) =
                (&forward.place, String::from_utf8_lossy(&forward.target));
            let out = format!("asks http://{place}{target}\n");
            let heard = Heard { status: 200, version: 11, ..Heard::default() };
            (out, Answer::Heard(Box::new(heard)))
        }
        Effect::Recall(_) => (String::new(), Answer::Recalled(None)),
        Effect::Keep { .. } => (String::new(), Answer::Kept),
        Effect::Forget => (String::new(), Answer::Forgotten(0)),
        Effect::Ready => (String::new(), Answer::Ready(true)),
        Effect::Body { .. } => (String::new(), Answer::Body(Ok(Bytes::new()))),
        Effect::Status => {
            ("reports on everything\n".to_owned(), Answer::Status(Arc::default()))
        }
        Effect::Cgi(script) => {
            let out = format!("runs {}\n", String::from_utf8_lossy(&script.path));
            (out, Answer::Head("Content-Type: text/plain\n\n".into()))
        }
        Effect::FastCgi(call) => {
            let kind = if call.app.kind == Kind::Dynamic { "dynamic " } else { "" };
            let path = String::from_utf8_lossy(&call.app.path);
            let mut out = format!("asks {kind}{path}\n");
            if let Some(identity) = &call.app.identity {
                out += &format!("    as {}:{}\n", identity.user, identity.group);
            }
            let mut pairs = Vec::new();
            let push = |name: &[u8], value: &[u8]| {
                pairs.push(
                    [name, value].map(|part| String::from_utf8_lossy(part).into_owned()),
                );
            };
            call.each_variable(r, None, push);
            for shown in SHOWN {
                for [name, value] in pairs.iter().filter(|[name, _]| name == shown) {
                    out += &format!("    {name}={value}\n");
                }
            }
            let head = if call.nph { "" } else { "Content-Type: text/plain\r\n\r\n" };
            (out, Answer::Head(Bytes::from(head)))
        }
    }
}

fn replied(reply: &Reply, r: &Request) -> String {
    let location = match reply.headers.get("Location") {
        Some(location) => format!(" to {}", String::from_utf8_lossy(location)),
        None => String::new(),
    };
    let body = match &reply.body {
        Body::File { .. } => format!(" {}", String::from_utf8_lossy(&r.filename)),
        Body::Raw => " as it comes".to_owned(),
        Body::Tunnel | Body::Http2(_) => " another protocol".to_owned(),
        Body::None | Body::Bytes(_) | Body::Stream => String::new(),
    };
    format!("{}{location}{body}\n", reply.status)
}
