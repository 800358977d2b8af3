//! What happened to a request, step by step: kept for a request that is to be explained,
//! and for no other.

use std::sync::Arc;

use bytes::Bytes;

use crate::effect::Effect;
use crate::log::Line;
use crate::merge::Merged;
use crate::phase::{Lookup, Phase, Verdict};
use crate::request::Request;

/// The steps of a request.
#[derive(Debug, Default)]
pub struct Trace {
    /// In order.
    pub steps: Vec<Step>,
    /// The settings of each level of sub-requests when they were last looked at.
    settings: Vec<Arc<Merged>>,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// 0 for the request itself, 1 for a sub-request, and so on.
    pub depth: usize,
    /// The phase.
    pub phase: Phase,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug)]
pub enum What {
    /// Other settings hold than before.
    Settings(Arc<Merged>),
    /// A line for the error log; rewriting says its steps in such.
    Line(Line),
    /// A module decided, or did its part.
    Said {
        /// As `<IfModule>` names it; the core where nobody else decided.
        module: &'static str,
        /// What it said.
        said: Said,
    },
    /// The world was asked.
    Asked(Box<Effect>),
    /// A sub-request begins.
    Look(Lookup),
    /// The request begins again with this URL.
    Redirect(Bytes),
}

/// A verdict without what belongs to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Allowed, or done its part.
    Ok,
    /// The response is complete.
    Done,
    /// This status.
    Status(u16),
    /// Nobody decided.
    Nobody,
}

impl Trace {
    pub(super) fn add(
        &mut self,
        depth: usize,
        phase: Phase,
        index: usize,
        r: &mut Request,
        verdict: &Verdict,
    ) {
        let mut step = |what| self.steps.push(Step { depth, phase, what });
        for line in std::mem::take(&mut r.lines) {
            step(What::Line(line));
        }
        self.settings.truncate(depth + 1);
        match self.settings.get_mut(depth) {
            Some(known) if Arc::ptr_eq(known, &r.dir) => {}
            Some(known) => {
                *known = r.dir.clone();
                step(What::Settings(r.dir.clone()));
            }
            None => {
                self.settings.push(r.dir.clone());
                step(What::Settings(r.dir.clone()));
            }
        }
        let module = r.snapshot.hooking_module(phase, index);
        let by = |said| What::Said { module: module.map_or("core.c", |m| m.name), said };
        match verdict {
            Verdict::Declined if module.is_some() => {}
            // Behind the last hook of a phase that all take part in.
            Verdict::Ok if module.is_none() => {}
            Verdict::Declined => step(by(Said::Nobody)),
            Verdict::Ok => step(by(Said::Ok)),
            Verdict::Done => step(by(Said::Done)),
            Verdict::Status(status) => step(by(Said::Status(*status))),
            Verdict::Redirect(redirect) => step(What::Redirect(redirect.uri.clone())),
            Verdict::Look(lookup, _) => step(What::Look(lookup.clone())),
            Verdict::Ask(effect, _) => step(What::Asked(Box::new(effect.clone()))),
        }
    }
}
