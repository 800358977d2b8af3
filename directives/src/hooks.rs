//! The hooks of all phases in their order, and which of them a request has to do with:
//! most modules have nothing to say to most requests, and are not asked.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::modules::{self, MODULES, Process};
use crate::phase::{Concern, Hook, Hooked, Phase, Settings};
use crate::request::Request;
use crate::schema::Module;
use crate::snapshot::Server;
use crate::table::Table;

/// The hooks of a configuration.
#[derive(Debug)]
pub struct Hooks {
    phases: [Vec<Hook>; Phase::COUNT],
    /// Where they can have something to say, in the same order.
    concerns: [Vec<Concern>; Phase::COUNT],
    /// The hooks of the handlers' phase by the names that they are for, a bit for each: with
    /// those that are for any.
    by_handler: Table<u64>,
    /// Those that are for any handler.
    for_any: u64,
}

/// The hooks that have to do with some settings: for each phase a bit for each, by its place.
#[derive(Clone, Copy, Debug)]
pub struct AtWork {
    /// The address of the virtual host that they were found for.
    server: usize,
    phases: [u64; Phase::COUNT],
}

impl Hooks {
    /// Those of the modules that are at work.
    pub(crate) fn new(loaded: &HashSet<String>) -> Hooks {
        let mut hooks = Hooks {
            phases: Default::default(),
            concerns: Default::default(),
            by_handler: Table::default(),
            for_any: 0,
        };
        for (_, entry) in in_order(loaded) {
            hooks.phases[entry.phase as usize].push(entry.hook);
            hooks.concerns[entry.phase as usize].push(entry.concern);
        }
        debug_assert!(hooks.phases.iter().all(|phase| phase.len() < 64));
        let handlers = &hooks.concerns[Phase::Handle as usize];
        let names = |concern: &Concern| match concern {
            Concern::Handlers(names) => *names,
            _ => &[],
        };
        let bits = |holds: &dyn Fn(&Concern) -> bool| {
            let held = handlers.iter().enumerate().filter(|(_, concern)| holds(concern));
            held.fold(0, |bits, (place, _)| bits | 1_u64 << place)
        };
        hooks.for_any = bits(&|concern| names(concern).is_empty());
        for name in handlers.iter().flat_map(names) {
            let own = bits(&|concern| names(concern).contains(name));
            hooks.by_handler.insert(Bytes::from_static(name), own | hooks.for_any);
        }
        hooks
    }

    /// The hooks of a phase, in order.
    pub fn of(&self, phase: Phase) -> &[Hook] {
        &self.phases[phase as usize]
    }

    /// The hooks of a phase that have to do with a request as it is now: a bit for each, by
    /// its place.
    #[inline]
    pub fn concerned(&self, r: &Request, phase: Phase) -> u64 {
        let found = match r.dir.at_work.get() {
            Some(found) => found,
            None => self.find(r),
        };
        // Settings belong to one server. Whatever led to those of another: ask all.
        let bits = if found.server == Arc::as_ptr(&r.server) as usize {
            found.phases[phase as usize]
        } else {
            (1 << self.of(phase).len()) - 1
        };
        if phase == Phase::Handle { bits & self.handling(r) } else { bits }
    }

    /// The hooks that are for a request's handler.
    fn handling(&self, r: &Request) -> u64 {
        let named = r.handler.as_deref().and_then(|name| self.by_handler.get(name));
        *named.unwrap_or(&self.for_any)
    }

    /// Finds out what the first request with some settings asks.
    #[cold]
    fn find<'r>(&self, r: &'r Request) -> &'r AtWork {
        let found = || self.at_work(&r.snapshot.process, &r.server, &r.dir);
        r.dir.at_work.get_or_init(found)
    }

    fn at_work(
        &self,
        process: &Process,
        server: &Arc<Server>,
        dir: &modules::DirConfig,
    ) -> AtWork {
        let settings = Settings { process, server, dir };
        let mut phases = [0; Phase::COUNT];
        for (bits, concerns) in phases.iter_mut().zip(&self.concerns) {
            for (place, concern) in concerns.iter().enumerate() {
                let is_at_work = match concern {
                    Concern::Settings(has_to_do) => has_to_do(&settings),
                    Concern::All | Concern::Handlers(_) => true,
                };
                *bits |= u64::from(is_at_work) << place;
            }
        }
        AtWork { server: Arc::as_ptr(server) as usize, phases }
    }
}

/// All hooks with their modules, by phase and place; without the modules that are not
/// [at work](modules::is_at_work).
fn in_order(loaded: &HashSet<String>) -> Vec<(&'static Module, &'static Hooked)> {
    let mut hooked = Vec::new();
    for &module in MODULES.iter().filter(|module| modules::is_at_work(module.id, loaded))
    {
        hooked.extend(module.hooks.iter().map(|hook| (module, hook)));
    }
    hooked.sort_by_key(|(_, hooked)| (hooked.phase, hooked.place));
    hooked
}

/// The module that the hook of a phase at `place` belongs to: see [`Hooks::of`].
pub(crate) fn module_of(
    loaded: &HashSet<String>,
    phase: Phase,
    place: usize,
) -> Option<&'static Module> {
    let hooked = in_order(loaded).into_iter();
    let mut modules = hooked.filter(|(_, hooked)| hooked.phase == phase);
    modules.nth(place).map(|(module, _)| module)
}
