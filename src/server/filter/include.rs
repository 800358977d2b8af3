//! Pages with server-side includes: what they include is run as sub-requests, and flows
//! into the page where it stands.

use std::cell::RefCell;
use std::mem::swap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use directives::env::Env;
use directives::modules::include::{Command, Page, Step, Sub, Then};
use directives::run::Run;

use super::super::Live;
use super::super::apps::Registry;
use super::super::board::Board;
use super::super::body::{AppOutput, Cut, Piece};
use super::super::drive::{Answered, World, drive};
use super::super::live::Generation;
use super::super::request_body::RequestBody;
use super::super::respond::source;
use super::super::script::ScriptRun;
use super::super::socket::Shared;
use super::super::source::Source as Output;
use super::{Next, Pipe, Source, Stage, stages};

/// What sub-requests are run with.
#[derive(Clone)]
pub struct Tools {
    /// The configuration.
    pub generation: Arc<Generation>,
    /// The applications.
    pub registry: Arc<Registry>,
    /// The scoreboard.
    pub board: Arc<Board>,
    /// The connection.
    pub shared: Rc<Shared>,
    /// The server's life.
    pub live: Rc<Live>,
}

impl Tools {
    pub(super) fn world(&self) -> World {
        World {
            generation: self.generation.clone(),
            registry: self.registry.clone(),
            board: self.board.clone(),
            shared: self.shared.clone(),
            live: self.live.clone(),
            body: RequestBody::empty(),
            answered: None,
            upstream: None,
            file: None,
            counted: None,
        }
    }
}

/// What pages within pages have in common.
#[derive(Clone)]
pub struct Common {
    env: Rc<RefCell<Env>>,
    /// When the outermost page was changed.
    modified: Option<i64>,
}

/// A page's body.
pub struct Include {
    /// The page's own text.
    inner: Box<dyn Stage>,
    page: Box<Page>,
    common: Common,
    tools: Tools,
    pipe: Rc<Pipe>,
    /// What is being included.
    included: Option<Box<dyn Stage>>,
}

impl Include {
    /// The page that `inner` is the text of; `outer` is what it shares with the page that
    /// it is in.
    pub fn new(
        inner: Box<dyn Stage>,
        mut page: Box<Page>,
        outer: Option<Common>,
        tools: Tools,
        pipe: Rc<Pipe>,
    ) -> Include {
        let common = match outer {
            Some(outer) => {
                page.within(outer.modified);
                outer
            }
            None => {
                let env = Rc::new(RefCell::new(std::mem::take(page.env_mut())));
                Common { env, modified: page.modified() }
            }
        };
        Include { inner, page, common, tools, pipe, included: None }
    }

    /// Lets the page do something with the variables that it shares.
    fn with<T>(&mut self, work: impl FnOnce(&mut Page) -> T) -> T {
        let mut env = self.common.env.borrow_mut();
        swap(&mut *env, self.page.env_mut());
        let done = work(&mut self.page);
        swap(&mut *env, self.page.env_mut());
        // At once, so that they stand before and behind those of what is included.
        for line in self.page.lines() {
            self.tools.generation.write_line(self.page.request(), &line);
        }
        done
    }

    async fn step(&mut self) -> Option<Result<Piece, Cut>> {
        loop {
            if let Some(included) = &mut self.included {
                match included.next().await {
                    Some(piece) => return Some(piece),
                    None => {
                        self.included = None;
                        self.with(|page| page.included(200, None));
                    }
                }
            }
            match self.with(Page::step) {
                Step::Text(bytes) => return Some(Ok(Piece { bytes, flush: false })),
                Step::More => match self.inner.next().await {
                    Some(Ok(piece)) => self.page.push(&piece.bytes),
                    Some(Err(cut)) => return Some(Err(cut)),
                    None => self.page.end(),
                },
                Step::Look(sub) => {
                    if self.look(&sub).await {
                        // What stands before it may be seen while it is made.
                        return Some(Ok(Piece { bytes: Bytes::new(), flush: true }));
                    }
                }
                Step::Run(command) => {
                    if self.run(command) {
                        return Some(Ok(Piece { bytes: Bytes::new(), flush: true }));
                    }
                }
                Step::End => {
                    if self.page.has_elements() {
                        self.pipe.open.set(true);
                    }
                    return None;
                }
            }
        }
    }

    /// Has a command started. Says whether its output is to follow.
    fn run(&mut self, command: Command) -> bool {
        let (generation, outbox) = (&self.tools.generation, &self.tools.registry.outbox);
        let started =
            ScriptRun::command(command, self.page.request(), generation, outbox);
        let Ok(run) = started else {
            self.with(Page::not_started);
            return false;
        };
        let answered = Answered::of_script(Output::Script(Box::new(run)), Bytes::new());
        let mut body = Source::app(Box::new(AppOutput::new(answered)));
        body.report_to(self.pipe.clone());
        self.included = Some(Box::new(body));
        true
    }

    /// Looks a sub-request up, and runs it if the page says so. Says whether its body is to
    /// follow.
    async fn look(&mut self, sub: &Sub) -> bool {
        let (mut run, done) =
            self.with(|page| Run::sub(page.request(), &sub.lookup, &sub.uri));
        let mut world = self.tools.world();
        if done.is_none() {
            run.request_mut().now = crate::log::now();
            if drive(&mut run, &mut world).await.is_some() {
                // Somebody answered in the handler's place, to refuse it.
                world.drop_answer();
                let r = run.request_mut();
                if r.status == 200 {
                    r.status = 403;
                }
            }
        } else {
            self.tools.generation.write_lines(run.request_mut());
        }
        let then = self.with(|page| page.looked(run.request_mut()));
        if then == Then::On {
            return false;
        }
        run.handle();
        run.request_mut().now = crate::log::now();
        let Some(mut reply) = drive(&mut run, &mut world).await else {
            let r = run.request();
            let to = r.headers_out.get("Location");
            self.with(|page| page.included(r.status, to));
            return false;
        };
        let filters = std::mem::take(&mut reply.filters);
        let Some(mut body) = source(&mut reply, &mut world) else {
            self.with(|page| page.included(200, None));
            return false;
        };
        body.report_to(self.pipe.clone());
        let tools = (self.tools.clone(), Some(self.common.clone()));
        self.included = Some(stages(body, filters, tools, &self.pipe));
        true
    }
}

impl Stage for Include {
    fn next(&mut self) -> Next<'_> {
        Box::pin(self.step())
    }
}
