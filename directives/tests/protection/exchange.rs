//! One request through [`Run`], with scripted applications, and what came of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use directives::effect::{Call, Role};
use directives::log::Line;
use directives::modules::auth_basic::Checked;
use directives::modules::auth_digest::nonce::{Said, Used, Want};
use directives::modules::auth_digest::proof::Proved;
use directives::reply::Reply;
use directives::request::{Connection, Head};
use directives::{Answer, Diagnostic, Effect, Next, Request, Run, Snapshot, compile};
use http::{HeaderMap, HeaderValue, Method};

use crate::case::{PHASES, Phase};
use crate::world::{MADE, World};

/// Names and values, in the order in which they go.
pub type Variables = Vec<(Bytes, Bytes)>;

/// A question to an application or to the file of users.
pub enum Asked<'a> {
    /// A phase; what it is asked.
    Phase(Phase, &'a Call, &'a Request),
    /// The rest of the response of the phase before.
    Rest(Phase),
    /// mod_auth_basic.
    Password,
    /// mod_auth_digest, whether the response is right.
    Response,
    /// mod_auth_digest, whether the nonce holds.
    Nonce,
}

/// What came of a request.
pub struct Exchange {
    pub reply: Box<Reply>,
    pub log: Vec<Line>,
    /// What the handler's application got; `None` if it was not asked.
    pub handler: Option<Variables>,
}

/// A compiled configuration and its world.
pub struct Server {
    snapshot: Arc<Snapshot>,
    world: Arc<World>,
    connection: Arc<Connection>,
}

impl Server {
    /// A server with this configuration.
    pub fn new(configuration: &str) -> Server {
        let world = World::parse(configuration);
        let before =
            ["Listen 80", "ServerName www.example.org", "DocumentRoot /srv/htdocs"];
        let compiled = compile(&World::entry(&before), &world);
        let errors: Vec<&Diagnostic> =
            compiled.diagnostics.iter().filter(|found| found.is_error()).collect();
        assert!(errors.is_empty(), "{configuration}: {errors:?}");
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
        Server {
            snapshot: compiled.snapshot.expect("a configuration without errors"),
            world: Arc::new(world),
            connection: Arc::new(connection),
        }
    }

    /// Sends `GET /app` with these fields beside `Host`.
    pub fn get(
        &self,
        fields: &HeaderMap,
        mut answer: impl FnMut(Asked) -> Answer,
    ) -> Exchange {
        let mut headers = fields.clone();
        headers.insert("host", HeaderValue::from_static("www.example.org"));
        let target = Bytes::from_static(b"/app");
        let head = Head { method: Method::GET, target, version: 11, headers };
        let (snapshot, files) = (self.snapshot.clone(), self.world.clone());
        let time = MADE * 1_000_000;
        let mut run =
            Run::new(Request::new(snapshot, files, self.connection.clone(), head, time));
        let (mut handler, mut last, mut said) = (None, None, None);
        loop {
            let next = run.step(said.take());
            said = Some(match next {
                Next::Looked => unreachable!("this is no sub-request"),
                Next::Reply(reply) => {
                    let log = std::mem::take(&mut run.request_mut().lines);
                    return Exchange { reply, log, handler };
                }
                Next::Effect(Effect::FastCgi(call)) => match call.role {
                    Role::Responder => {
                        assert!(handler.is_none(), "the handler is asked twice");
                        handler = Some(variables(&call, run.request()));
                        Answer::Head(Bytes::from_static(b"Content-Type: text/plain\n\n"))
                    }
                    Role::Authorizer => {
                        let phase = phase(&call);
                        last = Some(phase);
                        answer(Asked::Phase(phase, &call, run.request()))
                    }
                },
                Next::Effect(Effect::Finish) => {
                    answer(Asked::Rest(last.expect("a response to finish")))
                }
                Next::Effect(Effect::Password { .. }) => answer(Asked::Password),
                Next::Effect(Effect::RealmHash(_)) => answer(Asked::Response),
                Next::Effect(Effect::Nonce(question)) => match question.want {
                    Want::Use { .. } => answer(Asked::Nonce),
                    Want::Challenge | Want::Next => {
                        Answer::Nonce(Said::assumed(&question))
                    }
                },
                Next::Effect(effect) => panic!("{effect:?} is not expected"),
            });
        }
    }
}

/// An answer about the password.
pub fn password(is_right: bool) -> Answer {
    Answer::Password(if is_right { Checked::Granted } else { Checked::Denied })
}

/// An answer about a response.
pub fn response(is_right: bool) -> Answer {
    let checked = if is_right { Checked::Granted } else { Checked::Denied };
    Answer::RealmHash(Proved::not(checked))
}

/// An answer about a nonce.
pub fn nonce(is_ours: bool) -> Answer {
    Answer::Nonce(Said::Used(if is_ours { Used::Accepted(0) } else { Used::Forged }))
}

/// The phase that a call says it is of.
fn phase(call: &Call) -> Phase {
    let found = PHASES.into_iter().find(|phase| {
        let path = format!("/virtual/{phase:?}");
        call.app.path == path.as_bytes()
    });
    found.expect("an application of a phase")
}

/// What a call sends.
pub fn variables(call: &Call, r: &Request) -> Variables {
    let mut out = Vec::new();
    call.each_variable(r, None, |name: &[u8], value: &[u8]| {
        out.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)));
    });
    out
}
