//! When a hook runs, and what it says.

use bytes::Bytes;

use crate::effect::{Answer, Effect};
use crate::modules::{DirConfig, Process};
use crate::request::Request;
use crate::snapshot::Server;

/// The phases of a request, in order. The names in brackets are httpd's hooks; whether
/// all hooks of a phase run or the first that decides is [`Phase::rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The head was read (`post_read_request`).
    Received,
    /// The sections of the URL are known (`ap_if_walk` behind `ap_location_walk`).
    UrlSections,
    /// From URL to file name (`translate_name`).
    Translate,
    /// Looks at what the file name leads to (`map_to_storage`).
    Map,
    /// All sections are known (`ap_if_walk`, the second time).
    Sections,
    /// The configuration is known (`header_parser`).
    Headers,
    /// May this client come in? (`access_checker`)
    Access,
    /// May it come in without naming a user? (`access_checker_ex`)
    AccessEx,
    /// Who is it? (`check_user_id`)
    Authn,
    /// May this user come in? (`auth_checker`)
    Authz,
    /// What kind of thing is asked for? (`type_checker`)
    Type,
    /// Last changes before the handler (`fixups`).
    Fixups,
    /// Makes the response (`handler`).
    Handle,
    /// Changes the head of the response (output filters that touch headers).
    Respond,
    /// The response was sent (`log_transaction`).
    Log,
}

/// How the hooks of a phase share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// All run, until one says something other than OK or DECLINED.
    All,
    /// The first that does not decline decides.
    First,
}

impl Phase {
    /// How many there are.
    pub const COUNT: usize = 15;

    /// How its hooks share the work.
    pub fn rule(self) -> Rule {
        match self {
            Phase::Received
            | Phase::UrlSections
            | Phase::Sections
            | Phase::Headers
            | Phase::Access
            | Phase::Fixups
            | Phase::Respond
            | Phase::Log => Rule::All,
            _ => Rule::First,
        }
    }
}

/// What a hook does.
pub type Hook = fn(&mut Request) -> Verdict;

/// A hook and its place.
pub struct Hooked {
    /// The phase.
    pub phase: Phase,
    /// Its place among the phase's hooks.
    pub place: Place,
    /// What it does.
    pub hook: Hook,
    /// Which requests it can have something to say to.
    pub concern: Concern,
}

/// Which requests a hook can have something to say to; of the others it is not asked. What
/// it would say to those is "declined", or in a phase [of all](Rule::All) "OK": builds with
/// debug assertions ask all the same, and make sure.
#[derive(Clone, Copy, Debug)]
pub enum Concern {
    /// All.
    All,
    /// Those with settings that it has to do with.
    Settings(fn(&Settings) -> bool),
    /// Those with one of these handlers.
    Handlers(&'static [&'static [u8]]),
}

/// The settings of a request.
pub struct Settings<'a> {
    /// Those of the process.
    pub process: &'a Process,
    /// The virtual host.
    pub server: &'a Server,
    /// Those of the sections that apply.
    pub dir: &'a DirConfig,
}

/// Where a hook stands among the hooks of its phase; within a place the order is that
/// of the module list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Before the others (`APR_HOOK_FIRST`).
    First,
    /// Among the others (`APR_HOOK_MIDDLE`).
    Middle,
    /// After the others (`APR_HOOK_LAST`).
    Last,
    /// After everything (`APR_HOOK_REALLY_LAST`): the core's own answers.
    ReallyLast,
}

impl Hooked {
    /// Only for requests with such settings.
    #[must_use]
    pub const fn where_set(self, has_to_do: fn(&Settings) -> bool) -> Hooked {
        Hooked { concern: Concern::Settings(has_to_do), ..self }
    }

    /// Only for requests with one of these handlers.
    #[must_use]
    pub const fn of_handlers(self, names: &'static [&'static [u8]]) -> Hooked {
        Hooked { concern: Concern::Handlers(names), ..self }
    }
}

/// A hook of `phase`.
pub const fn on(phase: Phase, hook: Hook) -> Hooked {
    Hooked { phase, place: Place::Middle, hook, concern: Concern::All }
}

/// A hook that runs before the others of `phase`.
pub const fn first(phase: Phase, hook: Hook) -> Hooked {
    Hooked { phase, place: Place::First, hook, concern: Concern::All }
}

/// A hook that runs after the others of `phase`.
pub const fn last(phase: Phase, hook: Hook) -> Hooked {
    Hooked { phase, place: Place::Last, hook, concern: Concern::All }
}

/// A hook that runs when no other has decided.
pub const fn really_last(phase: Phase, hook: Hook) -> Hooked {
    Hooked { phase, place: Place::ReallyLast, hook, concern: Concern::All }
}

/// What a hook says.
pub enum Verdict {
    /// Nothing to say.
    Declined,
    /// Handled, or allowed.
    Ok,
    /// The reply in the request is complete.
    Done,
    /// Answer with this status; `ErrorDocument` applies.
    Status(u16),
    /// Begin again with another URL, remembering this request.
    Redirect(Redirect),
    /// Look at another URL or file first, then go on.
    Look(Lookup, fn(&mut Request, &Lookup, Box<Request>) -> Verdict),
    /// The world is needed; go on with its answer.
    Ask(Effect, fn(&mut Request, Answer) -> Verdict),
}

/// Every hook of every request returns one: beyond 128 bytes that is a call of memcpy.
const _: () = assert!(size_of::<Verdict>() <= 112);

/// Nothing to say.
pub const DECLINED: Verdict = Verdict::Declined;
/// Handled, or allowed.
pub const OK: Verdict = Verdict::Ok;
/// The reply is complete.
pub const DONE: Verdict = Verdict::Done;

/// An internal redirect: `ap_internal_redirect` and `ap_internal_redirect_handler`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Path and query of the new request.
    pub uri: Bytes,
    /// The new request begins with this content type: `Action` by MIME type.
    pub content_type: Option<Bytes>,
}

/// A sub-request that is only looked up: it runs through fixups and never handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// By URL path and query: `ap_sub_req_lookup_uri`.
    Uri(Bytes),
    /// By file name: `ap_sub_req_lookup_file`.
    File(Bytes),
    /// By the name of an entry of the directory that the file name and the path lead to:
    /// `ap_sub_req_lookup_dirent`.
    Entry {
        /// The entry.
        name: Bytes,
        /// The query goes with it.
        with_args: bool,
    },
    /// By URL path, and only as far as its file name: nothing is asked.
    Translate(Bytes),
}
