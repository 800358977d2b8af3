//! What the policy knows of a class, for those who look.

use directives::modules::status::ProcessState;

use super::{ClassId, Policy, Process, Time};

impl Policy {
    /// The places of a class, in order: what their processes are doing, and for how long,
    /// or in how long one is started. `None` for a place that nothing is wanted in.
    pub fn shown(&self, now: Time, id: ClassId) -> Vec<Option<(ProcessState, Time)>> {
        let places = self.classes.get(&id).map_or(&[][..], |class| &class.places);
        let shown = places.iter().map(|place| match place.process {
            Process::None => None,
            Process::Due(at) => Some((ProcessState::Due, at.saturating_sub(now))),
            Process::Starting => Some((ProcessState::Due, Time::ZERO)),
            Process::Running(since) => {
                Some((ProcessState::Running, now.saturating_sub(since)))
            }
            Process::Dying(..) => {
                Some((ProcessState::Ending, now.saturating_sub(place.started)))
            }
        });
        shown.collect()
    }
}
