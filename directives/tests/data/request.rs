//! Cases with requests: behind the line `#-- requests`, each line at the margin is one, in
//! the form of compat-tests' pages; lines `> head` below it are what applications answer,
//! one after another; indented lines are what comes of it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use compat_tests::page;
use directives::effect::Failure;
use directives::request::{Connection, Head};
use directives::{Answer, Diagnostic, Request, Run, Snapshot, compile};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::common::world::{MADE, World};

const REQUESTS: &str = "#-- requests\n";
/// What every case begins with.
const BEFORE: [&str; 3] =
    ["Listen 80", "ServerName www.example.org", "DocumentRoot /srv/htdocs"];

/// A request under way, and the answers that are left.
pub struct Scripted {
    /// The request.
    pub run: Run,
    /// What the next applications say.
    pub answers: VecDeque<Answer>,
}

/// Sends the requests of a case and compares what `outcome` says of them.
pub fn check(path: &Path, mut outcome: impl FnMut(Scripted) -> String) {
    let text = std::fs::read_to_string(path).expect("a case");
    let (case, requests) = text.split_once(REQUESTS).expect("requests");
    let world = World::parse(case);
    let compiled = compile(&World::entry(&BEFORE), &world);
    let errors: Vec<&Diagnostic> =
        compiled.diagnostics.iter().filter(|found| found.is_error()).collect();
    assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    let snapshot = compiled.snapshot.expect("a configuration without errors");
    let mut out = format!("{case}{REQUESTS}");
    let mut lines = requests.lines().filter(|line| !line.starts_with("    ")).peekable();
    let mut sent = 0;
    while let Some(line) = lines.next() {
        out += &format!("{line}\n");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut answers = VecDeque::new();
        while let Some(answer) = lines.next_if(|line| line.starts_with("> ")) {
            out += &format!("{answer}\n");
            answers.push_back(self::answer(&answer[2..]));
        }
        let request = received(line, &snapshot, &world);
        for line in outcome(Scripted { run: Run::new(request), answers }).lines() {
            out += format!("    {line}").trim_end();
            out.push('\n');
        }
        sent += 1;
    }
    assert!(sent > 0, "{} has no requests", path.display());
    expect_test::expect_file![path].assert_eq(&out);
}

/// The request of a line, from 192.0.2.1 to port 80 of 192.0.2.10.
fn received(line: &str, snapshot: &Arc<Snapshot>, world: &World) -> Box<Request> {
    let mut found = page::requests(line).expect("a request");
    let request = found.pop().expect("a request");
    let mut headers = HeaderMap::new();
    let fields = request.headers.iter().map(|field| field.split_once(": "));
    let fields: Vec<_> = fields.map(|field| field.expect("a field")).collect();
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        headers.insert("host", HeaderValue::from_static("www.example.org"));
    }
    for (name, value) in fields {
        let name: HeaderName = name.parse().expect("a field's name");
        headers.append(name, value.parse().expect("a field's value"));
    }
    if let Some(body) = &request.body {
        headers.insert("content-length", body.len().into());
    }
    let address = |last, port| SocketAddr::new(IpAddr::from([192, 0, 2, last]), port);
    let connection = Connection {
        client: address(1, 40_000),
        local: address(10, 80),
        reported: None,
        secure: false,
        security: directives::modules::ssl::Security::Plain,
        keepalives: 0,
        id: 1,
    };
    let head = Head {
        method: request.method.parse().expect("a method"),
        target: request.target.into(),
        version: 11,
        headers,
    };
    let files = Arc::new(world.clone());
    Request::new(snapshot.clone(), files, Arc::new(connection), head, MADE * 1_000_000)
}

/// What an application answers: a head, nothing that is a head, or `failed` and why.
fn answer(text: &str) -> Answer {
    let failed = |failure| Answer::Failed { failure, received: 0 };
    match text {
        "unparsed" => Answer::Head(Bytes::new()),
        "failed incomplete" => failed(Failure::Incomplete),
        "failed idle" => failed(Failure::Idle(30)),
        "failed queue" => failed(Failure::QueueTimeout(3)),
        "failed full" => failed(Failure::QueueFull(20)),
        "failed connect" => failed(Failure::Connect(directives::bundle::OsError {
            code: 111,
            text: "Connection refused".into(),
        })),
        head => {
            assert!(!head.starts_with("failed"), "how can it have {head}?");
            let head = head.replace("\\r", "\r").replace("\\n", "\n");
            Answer::Head(Bytes::from(head + "\n"))
        }
    }
}
