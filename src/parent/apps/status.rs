//! What the server is told when it asks how the processes are.

use directives::modules::status::{self, Process, ProcessState};

use super::class::Class;
use super::{Apps, ClassId};
use crate::message::status::Version;

impl Apps {
    /// Every version of every application.
    pub fn status(&self) -> Vec<Version> {
        self.classes.iter().map(|(id, class)| self.version(*id, class)).collect()
    }

    fn version(&self, id: ClassId, class: &Class) -> Version {
        let is_old = class.leaving.is_some();
        let places = self.policy.shown(self.now(), id).into_iter().zip(&class.processes);
        let processes = places.filter_map(|(shown, pid)| {
            let (state, age) = shown?;
            let state = match state {
                ProcessState::Running if is_old => ProcessState::Finishing,
                state => state,
            };
            let pid = pid.map(|pid| pid.as_raw() as u32);
            Some(Process { pid, state, age: age.as_micros() as u64 })
        });
        Version {
            key: class.key.clone(),
            address: class.app.address.clone(),
            dynamic: class.is_dynamic(),
            is_old,
            class: status::Class {
                listens: class.socket.is_some() || class.is_fcgid(),
                given_up: self.policy.is_given_up(id),
                starts: class.starts,
                restarts: class.restarts,
                last_exit: class.last_exit.clone(),
                processes: processes.collect(),
            },
        }
    }
}
