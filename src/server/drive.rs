//! THE LOOP: step, perform the effect, resume. Longer than others: it has every effect.

use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use directives::bundle::{Meta, OsError};
use directives::effect::{Answer, Call, Effect, Failure, Role};
use directives::log::{Level, Line};
use directives::modules::auth_basic::Checked;
use directives::modules::auth_digest::nonce::Said;
use directives::modules::auth_digest::proof::Proved;
use directives::modules::cgi::{self, Script};
use directives::modules::deflate;
use directives::modules::fastcgi::app::Kind;
use directives::modules::fastcgi::response::bad_line;
use directives::modules::fastcgi::{Address, App};
use directives::modules::proxy::{self, Forward, Framing};
use directives::reply::Reply;
use directives::request::Request;
use directives::response::is_last;
use directives::run::{Next, Run};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::Live;
use super::answer_head::AnswerHead;
use super::apps::{Entry, Registry, Usage};
use super::board::Board;
use super::file::{self, Content};
use super::live::Generation;
use super::request_body::RequestBody;
use super::script::ScriptRun;
use super::socket::Shared;
use super::source::Source;
use super::status;
use super::workers::Workers;
use crate::fcgi::connect::{Stream, connect};
use crate::fcgi::params::Opening;
use crate::fcgi::pool::{Lease, Patience};
use crate::fcgi::{Event, Exchange, Voice, spare};
use crate::message::Reason;
use crate::password;
use crate::upstream::exchange::Exchange as Upstream;

/// How much of a body is read before an application is bothered that wants to see it come
/// (`-flush`, B-3), bytes.
const PREFETCH: usize = 16 * 1024;

/// How much of an authorizer's output is read to its end, bytes; what is longer is left.
const MAX_FORGOTTEN: u64 = 1 << 20;

/// How many processes of mod_fcgid's a request tries that nobody answers in.
const MOST_MEMBERS: u32 = 32;

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
    /// The scoreboard.
    pub board: Arc<Board>,
    /// The configuration for new requests.
    pub live: Rc<Live>,
    /// The connection.
    pub shared: Rc<Shared>,
    /// The request's body, until an application has it.
    pub body: RequestBody,
    /// The exchange that answered, with what came behind the head.
    pub answered: Option<Answered>,
    /// The HTTP upstream that answered.
    pub upstream: Option<Box<Upstream>>,
    /// The file that was opened.
    pub file: Option<Content>,
    /// The length of the last body that was passed on, if it had to be counted, bytes.
    pub counted: Option<u64>,
}

/// An application's or a script's answer, from its head on.
pub struct Answered {
    /// Where it comes from.
    pub source: Source,
    /// What came with the head.
    pub rest: Bytes,
    /// What comes is passed on at once.
    pub flush: bool,
    /// In which role it answers.
    pub role: Role,
    /// Of an upstream of mod_proxy: the server's port, for messages.
    pub proxied: Option<String>,
}

impl Answered {
    fn of(
        exchange: Box<Exchange>,
        rest: Bytes,
        call: &Call,
        proxied: Option<String>,
    ) -> Answered {
        let (flush, role) = (call.app.settings.flush, call.role);
        Answered { source: Source::FastCgi(exchange), rest, flush, role, proxied }
    }

    /// Of a script, or a page's command.
    pub fn of_script(source: Source, rest: Bytes) -> Answered {
        Answered { source, rest, flush: true, role: Role::Responder, proxied: None }
    }
}

/// Runs a request, whose `now` is this moment, to its reply; `None` where a sub-request
/// stops that is only looked up, or failed.
pub async fn drive(run: &mut Run, world: &mut World) -> Option<Reply> {
    let mut answer = None;
    loop {
        let next = run.step(answer.take());
        world.generation.write_lines(run.request_mut());
        match next {
            Next::Effect(effect) => {
                answer = Some(world.perform(effect, run).await);
                run.request_mut().now = crate::log::now();
            }
            Next::Reply(reply) => return Some(*reply),
            Next::Looked => return None,
        }
    }
}

impl World {
    /// Does what the phases ask for.
    pub(super) async fn perform(&mut self, effect: Effect, run: &mut Run) -> Answer {
        // While the world is asked, others may look.
        self.shared.record.borrow_mut().host(run.request());
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
            Effect::Open { path } => Answer::Opened(self.open(&path, run.request())),
            Effect::Password { file, given } => {
                let turn = CHECKS.acquire().await;
                let check = move || password::check(&file, &given);
                let checked = tokio::task::spawn_blocking(check).await;
                drop(turn);
                // A check that did not end is no consent.
                Answer::Password(checked.unwrap_or(Checked::Denied))
            }
            Effect::RealmHash(claim) => {
                let check = move || password::prove(&claim);
                let proved = tokio::task::spawn_blocking(check).await;
                Answer::RealmHash(proved.unwrap_or(Proved::not(Checked::Denied)))
            }
            Effect::Nonce(question) => {
                let nonces = self.registry.nonces.get();
                let said = nonces.map_or(Said::Failed, |nonces| nonces.answer(&question));
                Answer::Nonce(said)
            }
            Effect::Finish => Answer::Finished(self.finish(run.request_mut()).await),
            Effect::FastCgi(call) => self.call(call, run.request_mut()).await,
            Effect::Cgi(script) => self.run(&script, run.request_mut()).await,
            Effect::Upstream(forward) => self.forward(*forward, run.request_mut()).await,
            Effect::Map { program, key, time } => {
                let said = self.generation.maps.ask(&program, key, time).await;
                let said = said.inspect_err(|line| {
                    self.generation.write_line(run.request(), line);
                });
                Answer::Mapped(said.ok())
            }
            Effect::Wait(time) => {
                tokio::time::sleep(time).await;
                Answer::Waited
            }
            Effect::Status => {
                let report =
                    status::report(&self.board, &self.registry, &self.generation);
                Answer::Status(Arc::new(report.await))
            }
            Effect::Recall(key) => {
                let decisions = &self.registry.decisions;
                Answer::Recalled(decisions.recall(self.generation.number, &key))
            }
            Effect::Keep { key, head, time } => {
                let size = self.generation.snapshot.process.gateway.cache_size();
                let number = self.generation.number;
                self.registry.decisions.keep(number, &key, head, time, size);
                Answer::Kept
            }
            Effect::Forget => Answer::Forgotten(self.registry.decisions.forget()),
            Effect::Ready => Answer::Ready(!self.live.is_leaving()),
            Effect::Body { most } => Answer::Body(self.read_body(most).await),
        }
    }

    /// The request's body, whole.
    async fn read_body(&mut self, most: u64) -> Result<Bytes, Failure> {
        self.body.set_limit(Some(most));
        let mut all = BytesMut::new();
        while let Some(piece) = std::future::poll_fn(|cx| self.body.poll_chunk(cx)).await
        {
            all.extend_from_slice(&piece?);
        }
        Ok(all.freeze())
    }

    /// The end of an answer, of which what it says is not wanted.
    async fn finish(&mut self, r: &mut Request) -> Result<(), Failure> {
        let Some(mut answered) = self.answered.take() else { return Ok(()) };
        // Only a log wants it, and only of a script that failed.
        let keeps = !r.script_heard.line.is_empty();
        if keeps {
            r.script_heard.rest.extend_from_slice(&answered.rest);
        }
        let done = loop {
            let source = &mut answered.source;
            let event = std::future::poll_fn(|cx| source.poll_event(cx)).await;
            source.write_lines(&self.generation, r);
            match event.inspect_err(|failure| source.failed(failure)) {
                Ok(Event::Stdout(_)) if source.received() > MAX_FORGOTTEN => break Ok(()),
                Ok(Event::Stdout(bytes)) if keeps => {
                    r.script_heard.rest.extend_from_slice(&bytes);
                }
                Ok(Event::Stdout(_)) => {}
                Ok(Event::End) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        self.take_back(&mut answered.source, answered.role);
        done
    }

    /// Runs a script, as far as the head of its answer.
    async fn run(&mut self, script: &Script, r: &mut Request) -> Answer {
        self.drop_answer();
        let run = match self.start(script, r).await {
            Ok(run) => run,
            Err(failure) => return Answer::Failed { failure, received: 0 },
        };
        let mut source = Source::Script(Box::new(run));
        if script.nph {
            let rest = Bytes::new();
            self.answered = Some(Answered::of_script(source, rest));
            return Answer::Head(Bytes::new());
        }
        let mut head = AnswerHead::default();
        let failure = loop {
            let event = std::future::poll_fn(|cx| source.poll_event(cx)).await;
            source.write_lines(&self.generation, r);
            let taken = match event {
                Ok(Event::Stdout(bytes)) => head.take(bytes),
                Ok(Event::End) => break Failure::Incomplete,
                Err(failure) => break failure,
            };
            match taken {
                Ok(Some((head, rest))) => {
                    self.answered = Some(Answered::of_script(source, rest));
                    return Answer::Head(head);
                }
                Ok(None) => {}
                Err(failure) => break failure,
            }
        };
        self.take_back(&mut source, Role::Responder);
        broken_off(failure, source.received(), head)
    }

    /// Has a script started, with the request's body: a slow client is not its business.
    async fn start(
        &mut self,
        script: &Script,
        r: &mut Request,
    ) -> Result<ScriptRun, Failure> {
        self.body.set_limit(r.dir.core.body_limit());
        let mut length = None;
        if !self.body.is_read() {
            let total = self.body.spool().await?;
            length = r.content_length().is_none().then_some(total);
        }
        if let Some(most) = cgi::wanted(r).filter(|most| *most > 0) {
            r.script_heard.body = self.body.beginning(most);
        }
        self.watch_client(r);
        let body = std::mem::replace(&mut self.body, RequestBody::empty());
        let (generation, outbox) = (&self.generation, &self.registry.outbox);
        ScriptRun::start(script, r, body, length, generation, outbox)
            .map_err(|_| Failure::NotStarted)
    }

    fn open(&mut self, path: &Bytes, r: &Request) -> Result<Meta, OsError> {
        let seen = r.finfo.filter(|_| r.filename[..] == path[..]);
        let (content, meta) = file::open(path, seen)?;
        self.file = Some(content);
        Ok(meta)
    }

    /// Asks an application, as far as the head of its response.
    async fn call(&mut self, call: Call, r: &mut Request) -> Answer {
        // An answer that led to this call has served its purpose; its application may be
        // the one that is wanted again.
        self.drop_answer();
        let entry = self.registry.entry(&call.app);
        let mut usage = None;
        // A process of ours that dies takes with it what it has begun (P-11): that is
        // asked again, once. What a connection that was used before makes of a request
        // does not count.
        let proxied = (call.app.kind == Kind::Upstream).then(|| proxy::own_port(r));
        let mut spare = !call.app.kind.is_foreign();
        loop {
            let begun = self.begin(&call, r, &entry, usage.take()).await;
            let (mut exchange, may_repeat) = match begun {
                Ok(begun) => begun,
                Err(failure) => return Answer::Failed { failure, received: 0 },
            };
            if call.nph {
                let rest = Bytes::new();
                self.answered = Some(Answered::of(exchange, rest, &call, proxied));
                return Answer::Head(Bytes::new());
            }
            let mut head = AnswerHead::default();
            let heard = self.read_head(&mut exchange, &call, r, &entry, &mut head).await;
            let failure = match heard {
                Ok((head, rest)) => {
                    self.answered = Some(Answered::of(exchange, rest, &call, proxied));
                    return Answer::Head(head);
                }
                Err(failure) => failure,
            };
            if may_repeat
                && exchange.ended_silently(&failure)
                && (exchange.is_reused() || std::mem::take(&mut spare))
            {
                if !exchange.is_reused() {
                    exchange.usage.failed(&failure);
                    let line = asked_again(&exchange.name(), exchange.voice());
                    self.generation.write_line(r, &line);
                }
                usage = Some(exchange.usage);
                continue;
            }
            exchange.usage.failed(&failure);
            let received = exchange.received;
            self.take_back(&mut Source::FastCgi(exchange), call.role);
            if call.app.kind == Kind::Fcgid && call.role == Role::Responder {
                return broken_off(failure, received, head);
            }
            return Answer::Failed { failure, received };
        }
    }

    /// From here on somebody else works for the client, and is told if it goes away.
    /// That is what the end of its bytes means, unless it has said that nothing follows:
    /// then it may well wait for the answer, as with httpd.
    fn watch_client(&self, r: &Request) {
        self.shared.watched.set(self.shared.streams.get().is_none() && !is_last(r));
    }

    /// Body, connection, parameters; and whether the request may be sent once more, should
    /// the connection turn out closed. With the `usage` of an attempt that did, the
    /// connection is a new one.
    async fn begin(
        &mut self,
        call: &Call,
        r: &mut Request,
        entry: &Arc<Entry>,
        again: Option<Usage>,
    ) -> Result<(Box<Exchange>, bool), Failure> {
        let settings = &call.app.settings;
        let mut length = None;
        // What changes something is not done twice, whatever became of the first time.
        let is_safe = call.role == Role::Authorizer
            || (r.method.is_safe() || r.header_only) && !r.has_body();
        let body = if call.role == Role::Responder {
            let mut limit = r.dir.core.body_limit();
            if call.app.kind == Kind::Fcgid {
                let own = r.server.config.fcgid.max_request_length();
                limit = Some(limit.map_or(own, |limit| limit.min(own)));
            }
            // What is passed on as it comes is limited by whom it goes to, as with httpd.
            let announced = r.content_length().is_some();
            let streams = call.app.kind == Kind::Upstream && announced;
            self.body.set_limit(limit.filter(|_| !streams));
            let shows = settings.flush || call.nph || streams;
            if !self.body.is_read() && deflate::unpacks(r) {
                let limits = r.dir.deflate.inflate_limits(limit);
                length = Some(self.body.inflate(limits).await?);
            } else if announced && shows {
                self.body.prefetch(PREFETCH).await?;
            } else if !self.body.is_read() {
                // A slow client is not the application's business.
                let total = self.body.spool().await?;
                length = (!announced).then_some(total);
            }
            self.watch_client(r);
            std::mem::replace(&mut self.body, RequestBody::empty())
        } else {
            self.watch_client(r);
            RequestBody::empty()
        };
        // A connection that is kept may lead to a process older than its program.
        let fresh = again.is_some() || !is_safe || call.newest.is_some();
        let now = Instant::now();
        let new = || Usage::new(&self.registry, entry.clone(), now);
        let mut usage = again.unwrap_or_else(new);
        let reached = self.reach(call, entry, fresh, now, &mut usage).await;
        let (lease, stream) = match reached {
            Ok(reached) => reached,
            Err(failure) => {
                usage.failed(&failure);
                if call.role == Role::Responder {
                    self.body = body;
                }
                return Err(failure);
            }
        };
        self.counted = length;
        let keeps = lease.as_ref().is_some_and(Lease::keeps);
        let mut opening = Opening::new(call.role.number(), keeps, spare::opening());
        call.each_variable(r, length, &mut opening);
        let name = match call.role {
            Role::Responder if r.filename[..] != call.app.path[..] => {
                Bytes::copy_from_slice(&r.filename)
            }
            _ => call.app.path.clone(),
        };
        let idle = settings.idle_timeout;
        let opening = opening.finish();
        let exchange = Exchange::new(stream, lease, opening, body, idle, name, usage);
        let mut exchange = Box::new(exchange);
        if call.app.kind == Kind::Upstream {
            exchange.speaks(Voice::Upstream);
        }
        if call.app.kind == Kind::Fcgid {
            exchange.speaks(Voice::Fcgid);
        }
        if call.app.kind == Kind::Dynamic {
            exchange.wait_first(self.start_delay());
        }
        Ok((exchange, is_safe))
    }

    /// A connection, within the limits that there are to waiting for one.
    async fn reach(
        &self,
        call: &Call,
        entry: &Arc<Entry>,
        fresh: bool,
        now: Instant,
        usage: &mut Usage,
    ) -> Result<(Option<Lease>, Stream), Failure> {
        let settings = &call.app.settings;
        if let Some(workers) = &entry.workers {
            return Ok((None, self.member(call, entry, workers, usage).await?));
        }
        if !settings.keep_conn || call.nph {
            return Ok((None, self.connect(call, entry).await?));
        }
        let patience = Patience::of(settings);
        let deadline = patience.deadline(now);
        let turn = entry.pool.lease(fresh, patience, now);
        let mut lease = self.hurry(&call.app, entry, turn).await?;
        let stream = match lease.take_kept() {
            Some(stream) => stream,
            None => {
                let connecting = self.connect(call, entry);
                match deadline {
                    None => connecting.await?,
                    // The application's queue may be full.
                    Some(deadline) => timeout_at(deadline, connecting)
                        .await
                        .unwrap_or_else(|_| Err(patience.failure()))?,
                }
            }
        };
        Ok((Some(lease), stream))
    }

    /// A connection to a process of mod_fcgid's that has no other request.
    async fn member(
        &self,
        call: &Call,
        entry: &Entry,
        workers: &Arc<Workers>,
        usage: &mut Usage,
    ) -> Result<Stream, Failure> {
        let app = &*call.app;
        let max = app.class.as_ref().map_or(0, |class| class.rules.max_requests);
        let Address::Unix(base) = &app.address else { return Err(Failure::NotStarted) };
        self.registry.listening(entry, None, false).await?;
        let mut last = Failure::NotStarted;
        for _ in 0..MOST_MEMBERS {
            let turn = workers.turn(max, || self.registry.slow(entry)).await?;
            let address = Address::Unix(turn.socket(base));
            match connect(&address, app.settings.app_conn_timeout).await {
                Ok(stream) => {
                    usage.turn = Some(turn);
                    self.registry.to_report.notify_one();
                    return Ok(stream);
                }
                Err(failure) => {
                    turn.failed(Reason::Refused);
                    last = failure;
                }
            }
        }
        Err(last)
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
                if !app.kind.is_foreign() && is_nobody(&error) =>
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

    /// The head of the answer, and what came with it. What came of a head without an end is
    /// left in `head`.
    async fn read_head(
        &self,
        exchange: &mut Exchange,
        call: &Call,
        r: &Request,
        entry: &Entry,
        head: &mut AnswerHead,
    ) -> Result<(Bytes, Bytes), Failure> {
        loop {
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
            let Event::Stdout(bytes) = event? else { return Err(Failure::Incomplete) };
            if let Some(whole) = head.take(bytes)? {
                exchange.look_ahead()?;
                return Ok(whole);
            }
        }
    }

    /// Asks an HTTP upstream, as far as the head of its answer.
    async fn forward(&mut self, forward: Forward, r: &mut Request) -> Answer {
        self.drop_answer();
        match self.frame(&forward, r).await {
            Ok(length) => self.forward_framed(&forward, length, r).await,
            Err(failure) => Answer::Failed { failure, received: 0 },
        }
    }

    /// The length that the body is sent with, if it is: small ones are read first.
    async fn frame(
        &mut self,
        forward: &Forward,
        r: &Request,
    ) -> Result<Option<u64>, Failure> {
        // As with httpd, `LimitRequestBody` is about what is kept here.
        self.body.set_limit(None);
        if !forward.expects {
            self.body.prefetch(PREFETCH).await?;
        }
        if let Some(length) = self.body.gathered().or_else(|| r.content_length()) {
            return Ok(Some(length));
        }
        if forward.framing == Framing::Length {
            self.body.set_limit(r.dir.core.body_limit());
            return Ok(Some(self.body.spool().await?));
        }
        Ok(None)
    }

    async fn forward_framed(
        &mut self,
        forward: &Forward,
        length: Option<u64>,
        r: &Request,
    ) -> Answer {
        let may_change = forward.upgrade.is_some();
        self.shared.tunnel.set(may_change);
        self.watch_client(r);
        let is_safe = length == Some(0) && (r.method.is_safe() || r.header_only);
        let mut fresh = false;
        loop {
            let body = std::mem::replace(&mut self.body, RequestBody::empty());
            let begun = Upstream::begin(forward, body, length, fresh).await;
            match begun {
                Ok((exchange, heard)) => {
                    self.shared.tunnel.set(may_change && heard.status == 101);
                    self.upstream = Some(Box::new(exchange));
                    return Answer::Heard(Box::new(heard));
                }
                Err((failure, body, stale)) => {
                    self.body = body;
                    if stale && is_safe && !fresh {
                        // A connection that was kept was closed at that moment.
                        fresh = true;
                        continue;
                    }
                    self.shared.tunnel.set(false);
                    return Answer::Failed { failure, received: 0 };
                }
            }
        }
    }

    /// Forgets an answer that the reply does not use; its request's body comes back.
    pub fn drop_answer(&mut self) {
        if let Some(mut upstream) = self.upstream.take() {
            self.body = upstream.sent.take_back();
            let mut cx = Context::from_waker(Waker::noop());
            upstream.keep(&mut cx);
        }
        if let Some(mut answered) = self.answered.take() {
            self.take_back(&mut answered.source, answered.role);
        }
    }

    /// The request's body, from an exchange that had it: an authorizer gets none.
    fn take_back(&mut self, source: &mut Source, role: Role) {
        if role == Role::Responder {
            self.body = std::mem::replace(source.body_mut(), RequestBody::empty());
        }
    }
}

/// A head that has no end, as httpd reads a script's: line by line. The first line that is
/// no field is what is wrong with it; before the first whole line there is nothing.
fn broken_off(failure: Failure, received: u64, head: AnswerHead) -> Answer {
    if failure != Failure::Incomplete {
        return Answer::Failed { failure, received };
    }
    let head = head.so_far();
    if bad_line(&head) {
        return Answer::Head(head);
    }
    let received = if head.contains(&b'\n') { received } else { 0 };
    Answer::Failed { failure, received }
}

fn asked_again(name: &str, voice: Voice) -> Line {
    let (says, module) = match voice {
        Voice::Fcgid => ("mod_fcgid", "fcgid"),
        _ => ("FastCGI", "fastcgi"),
    };
    let text = format!(
        "{says}: server \"{name}\" closed the connection without an answer, the request is \
         sent once more"
    );
    Line {
        level: Level::Warn,
        module,
        ah: 0,
        error: None,
        text: text.into(),
        of_server: false,
    }
}

/// Is this what a connection to a socket says that nobody listens on?
fn is_nobody(error: &OsError) -> bool {
    [nix::libc::ENOENT, nix::libc::ECONNREFUSED].contains(&error.code)
}
