//! A request's way through the phases: `ap_process_request_internal`, `ap_invoke_handler`
//! and `ap_die`, as a machine that stops where the world is needed. The order of phases is
//! written here and nowhere else. Longer than others: it is one machine.

mod die;
mod host;
mod locate;
pub(crate) use locate::remember;
mod redirect;
pub mod trace;

use std::sync::Arc;

use crate::effect::{Answer, Effect};
use crate::log::Level;
use crate::modules::access_compat::Satisfy;
use crate::modules::{auth_digest, authn_core, gateway};
use crate::path;
use crate::phase::{Lookup, Phase, Rule, Verdict};
use crate::reply::Reply;
use crate::request::{Parent, Request};
use crate::response;
use trace::Trace;

/// What a step ends with.
pub enum Next {
    /// The world is asked; step again with its answer.
    Effect(Effect),
    /// The response.
    Reply(Box<Reply>),
    /// A sub-request has been looked up, or failed: [`Run::request`] says what was found.
    /// [`Run::handle`] goes on with it.
    Looked,
}

/// Which hook runs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    phase: Phase,
    index: usize,
}

type AfterAnswer = fn(&mut Request, Answer) -> Verdict;
type AfterLookup = fn(&mut Request, &Lookup, Box<Request>) -> Verdict;

/// A request, or a sub-request on top of the request that asked for it.
struct Frame {
    r: Box<Request>,
    at: At,
    after_answer: Option<AfterAnswer>,
    after_lookup: Option<(Lookup, AfterLookup)>,
    /// A look-up that ends with translation.
    translate_only: bool,
}

/// One request being processed.
pub struct Run {
    /// The request at hand.
    top: Frame,
    /// Those that wait for what it finds, the first one below all others.
    below: Vec<Frame>,
    stop_before_handler: bool,
    /// A sub-request that is not only looked up: [`Run::handle`].
    handles: bool,
    /// What happened, for a request that is explained.
    trace: Option<Box<Trace>>,
}

/// How a request stands after a hook.
enum Turn {
    /// Run the next hook.
    Go,
    /// Begin this phase.
    Enter(Phase),
    /// The response is complete, but for its last touches.
    Respond,
    /// A sub-request has been looked up.
    Return,
}

impl Run {
    /// Begins with a request just received.
    pub fn new(r: Box<Request>) -> Run {
        let trace = r.explained.then(Box::default);
        let top = Frame {
            r,
            at: At { phase: Phase::Received, index: 0 },
            after_answer: None,
            after_lookup: None,
            translate_only: false,
        };
        let below = Vec::new();
        Run { top, below, stop_before_handler: false, handles: false, trace }
    }

    /// What happened so far; only of a request that is to be
    /// [explained](Request::explained).
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_deref()
    }

    /// Begins with a sub-request of `parent`, to be looked up first: `ap_sub_req_lookup_uri`
    /// and `ap_sub_req_lookup_file`. `uri` is the path of a file.
    pub fn sub(parent: &Request, lookup: &Lookup, uri: &[u8]) -> (Run, Option<Next>) {
        let mut frame = subframe(parent, lookup);
        frame.r.header_only = false;
        // A page's variables are those of its request: these would not be true.
        for name in ["CONTENT_LENGTH", "PATH_INFO", "PATH_TRANSLATED"] {
            frame.r.env.unset(name.as_bytes());
        }
        without_body(&mut frame.r);
        let entered = point(&mut frame.r, lookup, parent);
        if matches!(lookup, Lookup::File(_)) {
            frame.r.uri = uri.to_vec();
        }
        let levels = parent.main.as_ref().map_or(0, |main| main.level) as usize;
        let too_deep = too_nested(&frame.r, levels);
        let mut run = Run {
            top: frame,
            below: Vec::new(),
            stop_before_handler: false,
            handles: false,
            trace: None,
        };
        if let Some((number, text)) = too_deep {
            let r = run.request_mut();
            r.status = 500;
            r.log(Level::Error, "core", number, text);
            return (run, Some(Next::Looked));
        }
        match run.enter(entered) {
            Turn::Return => (run, Some(Next::Looked)),
            _ => (run, None),
        }
    }

    /// A sub-request that a phase has looked up: [`Run::handle`] goes on with it.
    pub fn looked(mut found: Box<Request>) -> Run {
        without_body(&mut found);
        let top = Frame {
            r: found,
            at: At { phase: Phase::Handle, index: 0 },
            after_answer: None,
            after_lookup: None,
            translate_only: false,
        };
        let below = Vec::new();
        Run { top, below, stop_before_handler: false, handles: false, trace: None }
    }

    /// Goes on with a sub-request that was looked up: `ap_run_sub_req`.
    pub fn handle(&mut self) {
        self.handles = true;
        self.enter(Phase::Handle);
    }

    /// The request at hand: an effect concerns this one.
    pub fn request(&self) -> &Request {
        &self.top.r
    }

    /// The request at hand.
    pub fn request_mut(&mut self) -> &mut Request {
        &mut self.top.r
    }

    /// The request itself, when all is done: after its last internal redirect.
    pub fn into_request(self) -> Box<Request> {
        self.below.into_iter().next().unwrap_or(self.top).r
    }

    /// Goes on: to the next effect, or to the reply.
    pub fn step(&mut self, answer: Option<Answer>) -> Next {
        let mut verdict = match answer {
            Some(answer) => match self.top.after_answer.take() {
                Some(then) => Some(then(&mut self.top.r, answer)),
                // No hook has asked for it.
                None => self.called(answer),
            },
            None if self.top.at == (At { phase: Phase::Received, index: 0 })
                && self.top.r.main.is_none() =>
            {
                match gateway::opens(self.request_mut()) {
                    Some(Ok(effect)) => return Next::Effect(effect),
                    Some(Err(status)) => Some(Verdict::Status(status)),
                    None => self.begin(),
                }
            }
            None => None,
        };
        loop {
            // It stays where it is written: this is gone through for each phase.
            let mut said = match verdict.take() {
                Some(said) => said,
                None => self.hook(),
            };
            if let Some(asks) = auth_digest::settle(&mut self.top.r, &said) {
                said = asks;
            }
            if self.trace.is_some() {
                self.record(&said);
            }
            let mut turn = match said {
                Verdict::Ask(effect, then) => {
                    self.top.after_answer = Some(then);
                    return Next::Effect(effect);
                }
                Verdict::Look(lookup, then) => self.look(&lookup, then),
                Verdict::Redirect(redirect) => {
                    redirect::redirect(&mut self.top, redirect)
                }
                ref said => self.weigh(said),
            };
            while let Turn::Enter(phase) = turn {
                turn = self.enter(phase);
            }
            match turn {
                Turn::Go | Turn::Enter(_) => {}
                Turn::Respond => return self.respond(),
                Turn::Return if self.below.is_empty() => return Next::Looked,
                Turn::Return => verdict = Some(self.come_back()),
            }
        }
    }

    /// Is the request on top one that is run to its end?
    fn runs_top(&self) -> bool {
        self.below.is_empty() && self.handles
    }

    fn record(&mut self, said: &Verdict) {
        let (depth, frame) = (self.below.len(), &mut self.top);
        if let Some(trace) = &mut self.trace {
            trace.add(depth, frame.at.phase, frame.at.index, &mut frame.r, said);
        }
    }

    fn begin(&mut self) -> Option<Verdict> {
        let r = self.request_mut();
        if let Some(verdict) = gateway::admin(r) {
            return Some(verdict);
        }
        if gateway::is_service(r) {
            // All that comes to this address is a call, whatever host it names.
            return judge(r).err().map(Verdict::Status);
        }
        host::check(r).err().map(Verdict::Status)
    }

    /// Goes on with the request that a call's message describes.
    fn called(&mut self, answer: Answer) -> Option<Verdict> {
        let r = self.request_mut();
        if let Some(verdict) = gateway::called(r, answer) {
            return Some(verdict);
        }
        host::check(r).err().map(Verdict::Status)
    }

    /// Goes on with the request that a call describes.
    fn judge(&mut self) -> Turn {
        let frame = &mut self.top;
        match judge(&mut frame.r) {
            Ok(()) => {
                frame.at = At { phase: Phase::Received, index: 0 };
                Turn::Go
            }
            Err(status) => self.die(status),
        }
    }

    /// Runs the hook at hand, and those behind it as long as they have nothing to say that
    /// counts: most hooks of most requests. Behind the last one it is the phase's own
    /// answer. A trace is of each hook, whether the request concerns it or not.
    fn hook(&mut self) -> Verdict {
        let traced = self.trace.is_some();
        let frame = &mut self.top;
        let phase = frame.at.phase;
        let is_all = phase.rule() == Rule::All;
        let goes_on = |said: &Verdict| match said {
            Verdict::Declined => true,
            Verdict::Ok => is_all,
            _ => false,
        };
        let r = &mut frame.r;
        let count = r.snapshot.hooks.of(phase).len();
        let mut dir = Arc::as_ptr(&r.dir);
        let concerned = |r: &Request| {
            if traced { u64::MAX } else { r.snapshot.hooks.concerned(r, phase) }
        };
        let mut bits = concerned(r);
        loop {
            let from = frame.at.index;
            let place = from + (bits >> from).trailing_zeros() as usize;
            frame.at.index = place.min(count);
            if cfg!(debug_assertions) {
                for idle in from..frame.at.index {
                    let said = r.snapshot.hooks.of(phase)[idle](r);
                    assert!(goes_on(&said), "{phase:?}: the hook at {idle} is not idle");
                }
            }
            if place >= count {
                return if is_all { Verdict::Ok } else { Verdict::Declined };
            }
            let said = r.snapshot.hooks.of(phase)[place](r);
            if traced || !goes_on(&said) {
                return said;
            }
            frame.at.index += 1;
            if Arc::as_ptr(&r.dir) != dir || phase == Phase::Handle {
                dir = Arc::as_ptr(&r.dir);
                bits = concerned(r);
            }
        }
    }

    /// What a hook's word means for its phase, and what comes next.
    fn weigh(&mut self, said: &Verdict) -> Turn {
        let frame = &mut self.top;
        let ended = frame.at.index >= frame.r.snapshot.hooks.of(frame.at.phase).len();
        let decided = match (frame.at.phase.rule(), said) {
            (Rule::All, Verdict::Ok | Verdict::Declined)
            | (Rule::First, Verdict::Declined) => ended,
            _ => true,
        };
        if !decided {
            frame.at.index += 1;
            return Turn::Go;
        }
        let phase = frame.at.phase;
        match (phase, said) {
            (Phase::Handle, Verdict::Ok | Verdict::Done) => Turn::Respond,
            (_, Verdict::Done) => {
                let status = frame.r.status;
                gateway::deny(&mut frame.r, phase, status);
                Turn::Respond
            }
            // The caller took these out before.
            (_, Verdict::Redirect(_) | Verdict::Look(..) | Verdict::Ask(..)) => {
                self.die(500)
            }
            (Phase::Handle, Verdict::Declined) => {
                let r = &mut frame.r;
                let handler = r.handler.clone().unwrap_or_default();
                let text =
                    [b"handler \"", &handler[..], b"\" not found for: ", &r.filename]
                        .concat();
                r.log(Level::Warn, "core", 10_300, text);
                self.die(500)
            }
            (Phase::Respond | Phase::Log, _) => Turn::Respond,
            (Phase::Access, &Verdict::Status(status)) => {
                // With `Satisfy Any` a user may still be let in.
                if satisfy(&frame.r) == Satisfy::Any {
                    return Turn::Enter(Phase::AccessEx);
                }
                self.die(status)
            }
            (_, &Verdict::Status(status)) => self.die(status),
            (Phase::Access, _) => {
                let any = satisfy(&frame.r) == Satisfy::Any;
                Turn::Enter(if any { Phase::Type } else { Phase::AccessEx })
            }
            (Phase::AccessEx, Verdict::Ok) => Turn::Enter(Phase::Type),
            (Phase::AccessEx, _) => Turn::Enter(Phase::Authn),
            (Phase::Authn, Verdict::Declined) => self.misconfigured("check user"),
            (Phase::Authn, _) if asks_authorizer_only(&mut frame.r) => {
                Turn::Enter(Phase::Authz)
            }
            (Phase::Authn, _) if frame.r.user.is_none() => {
                let uri = String::from_utf8_lossy(&frame.r.uri).into_owned();
                let text = format!(
                    "No authentication done but request not allowed without authentication \
                     for {uri}. Authentication not configured?"
                );
                frame.r.log(Level::Error, "core", 27, text);
                self.die(500)
            }
            (Phase::Authn, _) => Turn::Enter(Phase::Authz),
            (Phase::Authz, Verdict::Declined) => {
                self.misconfigured("check authorization")
            }
            (Phase::Authz, _) => Turn::Enter(Phase::Type),
            (Phase::Received, _) => Turn::Enter(Phase::UrlSections),
            (Phase::UrlSections, _) if gateway::is_service(&frame.r) => self.judge(),
            (Phase::UrlSections, _) => Turn::Enter(Phase::Translate),
            (Phase::Translate, Verdict::Declined) => self.misconfigured("translate"),
            (Phase::Translate, _) if frame.translate_only => Turn::Return,
            (Phase::Translate, _) => Turn::Enter(Phase::Map),
            (Phase::Map, _) => Turn::Enter(Phase::Sections),
            (Phase::Sections, _) => Turn::Enter(Phase::Headers),
            (Phase::Headers, _) => Turn::Enter(Phase::Access),
            (Phase::Type, _) => Turn::Enter(Phase::Fixups),
            (Phase::Fixups, _) if frame.r.main.is_some() && !self.runs_top() => {
                Turn::Return
            }
            (Phase::Fixups, _) => Turn::Enter(Phase::Handle),
        }
    }

    /// Begins a phase, with what lies between it and the one before.
    fn enter(&mut self, phase: Phase) -> Turn {
        let frame = &mut self.top;
        let preflight = phase == Phase::Access && gateway::is_preflight(&frame.r);
        if preflight || phase == Phase::Type {
            match gateway::consent(&mut frame.r, frame.at.phase) {
                Ok(true) => return Turn::Respond,
                Ok(false) => {}
                Err(status) => return self.die(status),
            }
        }
        let frame = &mut self.top;
        let r = &mut frame.r;
        let status = match phase {
            Phase::UrlSections => locate::decode(r).err(),
            Phase::Map => {
                // Map-to-storage begins with the server's settings: what `<Location>`
                // said before translation is laid over them again afterwards.
                r.dir = r.server.root.clone();
                None
            }
            Phase::Sections => {
                locate::locations(r);
                None
            }
            _ => None,
        };
        if let Some(status) = status {
            return self.die(status);
        }
        let frame = &mut self.top;
        frame.at = At { phase, index: 0 };
        if phase == Phase::Headers && frame.r.main.is_some() {
            frame.at.phase = Phase::Access;
        }
        if frame.at.phase == Phase::Access && inherit_user(&mut frame.r) {
            frame.at.phase = Phase::Type;
        }
        if phase == Phase::Handle {
            if self.stop_before_handler {
                return Turn::Respond;
            }
            crate::filter::insert(self.request_mut());
            self.choose_handler();
        }
        Turn::Go
    }

    /// `ap_invoke_handler`: without a handler the content type names one.
    fn choose_handler(&mut self) {
        let r = self.request_mut();
        if r.handler.is_none() {
            r.handler_by_type = true;
            r.handler = Some(match &r.content_type {
                Some(kind) => {
                    let end = kind.iter().position(|&b| b == b';').unwrap_or(kind.len());
                    kind.slice_ref(kind[..end].trim_ascii())
                }
                None => bytes::Bytes::from_static(b"default-handler"),
            });
        }
    }

    /// `decl_die`: a phase that somebody had to decide, and nobody did.
    fn misconfigured(&mut self, what: &str) -> Turn {
        let r = self.request_mut();
        let uri = String::from_utf8_lossy(&r.uri).into_owned();
        let text = format!("configuration error:  couldn't {what}: {uri}");
        r.log(Level::Error, "core", 25, text);
        self.die(500)
    }

    fn die(&mut self, status: u16) -> Turn {
        // A page includes the error page of what a sub-request was redirected to.
        let redirected = self.runs_top() && self.top.r.prev.is_some();
        let frame = &mut self.top;
        if frame.r.main.is_some() && !redirected {
            frame.r.status = status;
            return Turn::Return;
        }
        gateway::deny(&mut frame.r, frame.at.phase, status);
        if gateway::stops(&frame.r) {
            die::canned(&mut frame.r, status, None);
            return Turn::Respond;
        }
        match die::die(&mut frame.r, status) {
            die::Fate::Respond => Turn::Respond,
            die::Fate::Redirect(to) => redirect::redirect(frame, to),
        }
    }

    /// Puts a sub-request on top.
    fn look(&mut self, lookup: &Lookup, then: AfterLookup) -> Turn {
        let parent = &mut self.top;
        parent.after_lookup = Some((lookup.clone(), then));
        let mut frame = subframe(&parent.r, lookup);
        let entered = point(&mut frame.r, lookup, &parent.r);
        let too_deep = redirect::too_many(&frame.r, self.redirects())
            .or_else(|| too_nested(&frame.r, self.below.len()));
        self.below.push(std::mem::replace(&mut self.top, frame));
        if let Some((number, text)) = too_deep {
            let r = &mut self.top.r;
            r.status = 500;
            r.log(Level::Error, "core", number, text);
            return Turn::Return;
        }
        self.enter(entered)
    }

    /// How many internal redirects led here, those of requests below included.
    fn redirects(&self) -> u32 {
        let frames = self.below.iter().chain([&self.top]);
        frames.map(|frame| redirect::count(&frame.r)).sum()
    }

    /// Takes a looked-up sub-request off and hands it to the one that asked.
    fn come_back(&mut self) -> Verdict {
        let Some(outer) = self.below.pop() else { return Verdict::Status(500) };
        let mut looked = std::mem::replace(&mut self.top, outer).r;
        let frame = &mut self.top;
        frame.r.lines.append(&mut looked.lines);
        frame.r.script_log.append(&mut looked.script_log);
        match frame.after_lookup.take() {
            Some((lookup, then)) => then(&mut frame.r, &lookup, looked),
            None => Verdict::Status(500),
        }
    }

    fn respond(&mut self) -> Next {
        let frame = &mut self.top;
        let r = &mut frame.r;
        gateway::answer(r);
        if r.gateway.is_some() {
            // A decision is not content.
            r.filters.clear();
        }
        let mut concerned = r.snapshot.hooks.concerned(r, Phase::Respond);
        while concerned != 0 {
            let place = concerned.trailing_zeros() as usize;
            concerned &= concerned - 1;
            if let Verdict::Status(status) = r.snapshot.hooks.of(Phase::Respond)[place](r)
            {
                r.status = status;
            }
        }
        gateway::seal(r);
        let included = r.main.is_some();
        let finish = if included { response::finish_included } else { response::finish };
        Next::Reply(Box::new(finish(r)))
    }
}

/// The body of a request is its own, not that of a page within its answer.
fn without_body(r: &mut Request) {
    if r.has_body() {
        let fields = Arc::make_mut(&mut r.headers_in);
        fields.remove(http::header::CONTENT_LENGTH);
        fields.remove(http::header::TRANSFER_ENCODING);
    }
}

/// A sub-request's frame: `make_sub_request`.
fn subframe(parent: &Request, lookup: &Lookup) -> Frame {
    let mut r = parent.offspring();
    r.method = http::Method::GET;
    r.status = 200;
    r.env = parent.env.clone();
    r.main = Some(Parent {
        uri: parent.uri.clone(),
        dir: parent.dir.clone(),
        user: parent.user.clone(),
        auth_type: parent.auth_type.clone(),
        level: parent.main.as_ref().map_or(0, |main| main.level) + 1,
    });
    Frame {
        r: Box::new(r),
        at: At { phase: Phase::Translate, index: 0 },
        after_answer: None,
        after_lookup: None,
        translate_only: matches!(lookup, Lookup::Translate(_)),
    }
}

/// Points a sub-request at what is looked up, and says where it begins.
fn point(r: &mut Request, lookup: &Lookup, of: &Request) -> Phase {
    match lookup {
        Lookup::Uri(uri) | Lookup::Translate(uri) => {
            locate::parse_uri(r, uri);
            Phase::UrlSections
        }
        Lookup::File(path) => {
            r.filename = path.to_vec();
            r.uri.clone_from(&of.uri);
            Phase::Map
        }
        Lookup::Entry { name, with_args } => {
            r.filename = [path::dir_name(&of.filename), name].concat();
            r.uri = [path::dir_name(&of.uri), name].concat();
            let meta = of.files.stat(&r.filename);
            if meta.is_ok_and(|meta| meta.kind == crate::bundle::Kind::Directory) {
                r.filename.push(b'/');
                r.uri.push(b'/');
            }
            r.args = of.args.clone().filter(|_| *with_args);
            Phase::Map
        }
    }
}

/// The line about one sub-request too many for `LimitInternalRecursion`, where `levels`
/// is how many lie above each other already.
fn too_nested(r: &Request, levels: usize) -> Option<(u32, String)> {
    let limit = r.server.config.core.limit_internal_subrequests();
    (levels >= limit as usize)
        .then(|| (125, redirect::exceeded(limit, "subrequest nesting levels")))
}

/// Puts the request that a call describes into the call's place, and finds its virtual
/// host.
fn judge(r: &mut Request) -> Result<(), u16> {
    gateway::become_original(r)?;
    host::check(r)
}

fn satisfy(r: &Request) -> Satisfy {
    r.dir.access_compat.satisfy(&r.method).unwrap_or(Satisfy::All)
}

/// A `FastCgiAuthorizer` without `AuthType` decides alone, and may find out by itself who
/// the user is.
fn asks_authorizer_only(r: &mut Request) -> bool {
    r.dir.user_implied
        && r.dir.fastcgi.authorizer.is_some()
        && r.dir.fastcgi.authenticator.is_none()
        && authn_core::auth_type(r).is_none()
}

/// A redirected or sub-request whose configuration is its parent's need not authenticate
/// again: pointer equality, as in `ap_process_request_internal`.
fn inherit_user(r: &mut Request) -> bool {
    if gateway::is_undecided(r) {
        return false;
    }
    if let Some(prev) = &r.prev
        && Arc::ptr_eq(&prev.dir, &r.dir)
    {
        (r.user, r.auth_type) = (prev.user.clone(), prev.auth_type.clone());
        return true;
    }
    if let Some(main) = &r.main
        && Arc::ptr_eq(&main.dir, &r.dir)
    {
        (r.user, r.auth_type) = (main.user.clone(), main.auth_type.clone());
        return true;
    }
    false
}
