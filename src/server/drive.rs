//! THE LOOP: step, perform the effect, resume.

use std::fs::File;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use directives::bundle::OsError;
use directives::cgi::{self, Extras};
use directives::effect::{Answer, Call, Effect, Failure, Role};
use directives::modules::auth_basic::Checked;
use directives::modules::fastcgi::App;
use directives::modules::fastcgi::app::Kind;
use directives::modules::fastcgi::response::{MAX_HEAD, head_end};
use directives::reply::Reply;
use directives::request::Request;
use directives::run::{Next, Run};
use tokio::sync::Semaphore;

use super::apps::{Entry, Registry, Usage};
use super::live::Generation;
use super::request_body::RequestBody;
use crate::fcgi::connect::{Stream, connect};
use crate::fcgi::params::Opening;
use crate::fcgi::{Event, Exchange};
use crate::{disk, password};

/// How much of a body is read before the application is bothered (B-3), bytes.
const PREFETCH: usize = 16 * 1024;

/// How much of an authorizer's output is read to its end, bytes; what is longer is left.
const MAX_FORGOTTEN: u64 = 1 << 20;

/// How many passwords are checked at a time: each is work for a whole core.
static CHECKS: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))
});

/// What effects are performed with, and what they leave behind for the reply.
pub struct World {
    /// The configuration.
    pub generation: Arc<Generation>,
    /// The applications.
    pub registry: Arc<Registry>,
    /// The request's body, until an application has it.
    pub body: RequestBody,
    /// The exchange that answered, with what came behind the head.
    pub answered: Option<Answered>,
    /// The file that was opened.
    pub file: Option<File>,
}

/// An application's answer, from its head on.
pub struct Answered {
    /// The exchange.
    pub exchange: Exchange,
    /// What came with the head.
    pub rest: Bytes,
    /// The call.
    pub call: Call,
}

/// Runs a request to its reply.
pub async fn drive(run: &mut Run, world: &mut World) -> Reply {
    let mut answer = None;
    loop {
        run.request_mut().now = crate::log::now();
        let next = run.step(answer.take());
        world.generation.clone().write_lines(run.request_mut());
        match next {
            Next::Effect(effect) => answer = Some(world.perform(effect, run).await),
            Next::Reply(reply) => return *reply,
        }
    }
}

impl World {
    async fn perform(&mut self, effect: Effect, run: &mut Run) -> Answer {
        match effect {
            Effect::Resolve { ip, confirm } => {
                let name = tokio::task::spawn_blocking(move || {
                    crate::resolve::name(ip, confirm)
                });
                Answer::Name(name.await.ok().flatten())
            }
            Effect::Addresses { name } => {
                let found =
                    tokio::task::spawn_blocking(move || crate::resolve::addresses(&name));
                Answer::Addresses(found.await.unwrap_or_default())
            }
            Effect::Open { path } => Answer::Opened(self.open(&path)),
            Effect::Password { file, given } => {
                let turn = CHECKS.acquire().await;
                let check = move || password::check(&file, &given);
                let checked = tokio::task::spawn_blocking(check).await;
                drop(turn);
                // A check that did not end is no consent.
                Answer::Password(checked.unwrap_or(Checked::Denied))
            }
            Effect::Finish => Answer::Finished(self.finish().await),
            Effect::FastCgi(call) => self.call(call, run.request_mut()).await,
        }
    }

    /// The end of an authorizer's answer. What it says is not wanted.
    async fn finish(&mut self) -> Result<(), Failure> {
        let Some(mut answered) = self.answered.take() else { return Ok(()) };
        loop {
            let event = std::future::poll_fn(|cx| answered.exchange.poll_event(cx));
            match event.await? {
                Event::Stdout(_) if answered.exchange.received > MAX_FORGOTTEN => {
                    return Ok(());
                }
                Event::Stdout(_) => {}
                Event::End => return Ok(()),
            }
        }
    }

    fn open(&mut self, path: &[u8]) -> Result<directives::bundle::Meta, OsError> {
        let file =
            File::open(disk::path(path)).map_err(|error| disk::os_error(&error))?;
        let meta = disk::meta_of(&file)?;
        if meta.kind != directives::bundle::Kind::File {
            return Err(OsError {
                code: OsError::DENIED,
                text: "Permission denied".to_owned(),
            });
        }
        self.file = Some(file);
        Ok(meta)
    }

    /// Asks an application, as far as the head of its response.
    async fn call(&mut self, call: Call, r: &mut Request) -> Answer {
        // An answer that led to this call has served its purpose; its application may be
        // the one that is wanted again.
        self.drop_answer();
        let entry = self.registry.entry(&call.app);
        match self.begin(&call, r, &entry).await {
            Ok(exchange) if call.nph => {
                let rest = Bytes::new();
                self.answered = Some(Answered { exchange, rest, call });
                Answer::Head(Bytes::new())
            }
            Ok(exchange) => self.read_head(exchange, call, r, &entry).await,
            Err(failure) => Answer::Failed { failure, received: 0 },
        }
    }

    /// Body, connection, parameters.
    async fn begin(
        &mut self,
        call: &Call,
        r: &mut Request,
        entry: &Arc<Entry>,
    ) -> Result<Exchange, Failure> {
        let settings = &call.app.settings;
        let mut length = None;
        let body = if call.role == Role::Responder {
            self.body.set_limit(r.dir.core.body_limit());
            if r.content_length().is_some() {
                self.body.prefetch(PREFETCH).await?;
            } else if !self.body.is_read() {
                length = Some(self.body.spool().await?);
            }
            std::mem::replace(&mut self.body, RequestBody::empty())
        } else {
            RequestBody::empty()
        };
        let usage = Usage::new(&self.registry, entry.clone());
        let stream = match self.connect(call, entry).await {
            Ok(stream) => stream,
            Err(failure) => {
                usage.failed();
                self.body = body;
                return Err(failure);
            }
        };
        let mut opening =
            Opening::new(call.role.number(), false, Vec::with_capacity(2048));
        for (name, value) in &call.extra {
            opening.pair(name, value);
        }
        let extras = Extras {
            pass_headers: &settings.pass_headers,
            content_length: length,
            without: call.without,
        };
        cgi::variables(r, &extras, |name, value| opening.pair(name, value));
        let name = match call.role {
            Role::Responder => &r.filename[..],
            Role::Authorizer => &call.app.path,
        };
        let name = String::from_utf8_lossy(name).into_owned();
        let idle = settings.idle_timeout;
        let mut exchange =
            Exchange::new(stream, opening.finish(), body, idle, name, usage);
        if call.app.kind == Kind::Dynamic {
            exchange.wait_first(self.start_delay());
        }
        Ok(exchange)
    }

    /// `-startDelay`, seconds.
    fn start_delay(&self) -> u32 {
        self.generation.snapshot.process.fastcgi.dynamic.policy.start_delay
    }

    /// Connects; applications that the server starts are waited for.
    async fn connect(&self, call: &Call, entry: &Entry) -> Result<Stream, Failure> {
        let app = &*call.app;
        let limit = app.settings.app_conn_timeout;
        if app.kind == Kind::Dynamic {
            self.registry.listening(entry, call.newest, false).await?;
        }
        let first = {
            let connecting = connect(&app.address, limit);
            self.hurry(app, entry, connecting).await
        };
        match first {
            Err(Failure::Connect(error))
                if app.kind != Kind::External && is_nobody(&error) =>
            {
                // Its socket was removed, or is not there yet.
                let made = self.registry.listening(entry, None, true).await;
                match made {
                    Ok(()) => connect(&app.address, limit).await,
                    Err(_) if app.kind == Kind::Static => Err(Failure::Connect(error)),
                    Err(failure) => Err(failure),
                }
            }
            other => other,
        }
    }

    /// While `work` waits for a dynamic application, asks for another process again and
    /// again (`-startDelay`).
    async fn hurry<T>(
        &self,
        app: &App,
        entry: &Entry,
        work: impl Future<Output = T>,
    ) -> T {
        if app.kind != Kind::Dynamic {
            return work.await;
        }
        let delay = Duration::from_secs(self.start_delay().into());
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(delay, work.as_mut()).await {
                Ok(done) => return done,
                Err(_) => self.registry.slow(entry),
            }
        }
    }

    async fn read_head(
        &mut self,
        mut exchange: Exchange,
        call: Call,
        r: &mut Request,
        entry: &Entry,
    ) -> Answer {
        let mut head = BytesMut::new();
        let failure = loop {
            let event = std::future::poll_fn(|cx| exchange.poll_event(cx));
            // Only until the first byte.
            let event = if head.is_empty() {
                self.hurry(&call.app, entry, event).await
            } else {
                event.await
            };
            for line in std::mem::take(&mut exchange.lines) {
                self.generation.write_line(r, &line);
            }
            match event {
                Ok(Event::Stdout(bytes)) => {
                    let before = head.len();
                    head.extend_from_slice(&bytes);
                    if let Some(end) = head_end(&head, before) {
                        let rest = head.split_off(end).freeze();
                        let head = head.freeze();
                        self.answered = Some(Answered { exchange, rest, call });
                        return Answer::Head(head);
                    }
                    if head.len() > MAX_HEAD {
                        break Failure::HeadTooLong;
                    }
                }
                Ok(Event::End) => break Failure::Incomplete,
                Err(failure) => break failure,
            }
        };
        exchange.usage.failed();
        self.take_back(&mut exchange, call.role);
        Answer::Failed { failure, received: exchange.received }
    }

    /// Forgets an answer that the reply does not use; its request's body comes back.
    pub fn drop_answer(&mut self) {
        if let Some(mut answered) = self.answered.take() {
            self.take_back(&mut answered.exchange, answered.call.role);
        }
    }

    /// The request's body, from an exchange that had it: an authorizer gets none.
    fn take_back(&mut self, exchange: &mut Exchange, role: Role) {
        if role == Role::Responder {
            self.body = std::mem::replace(exchange.body_mut(), RequestBody::empty());
        }
    }
}

/// Is this what a connection to a socket says that nobody listens on?
fn is_nobody(error: &OsError) -> bool {
    [nix::libc::ENOENT, nix::libc::ECONNREFUSED].contains(&error.code)
}
