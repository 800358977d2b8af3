//! Reading a new configuration, keeping the old one on error.

use directives::diagnostic::{self, Severity};
use directives::log::Level;

use super::log::MainLog;
use super::maps::Maps;
use super::programs::Program;
use super::start::Parent;
use super::{open, read, systemd};

/// What systemd shows when a reload changed nothing.
const REFUSED: &str = "The new configuration was refused, the old one goes on";

impl Parent {
    /// Reads the configuration again. If anything is wrong with it the diagnostics go into
    /// the log and everything stays as it was.
    pub(super) fn reload(&mut self) {
        systemd::reloading();
        let (compiled, bundle) = read(&self.cli);
        for found in &compiled.diagnostics {
            let level = match found.code.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warn,
                Severity::Note => Level::Info,
            };
            let text = match found.code.severity {
                Severity::Error => {
                    diagnostic::httpd(found, &compiled.sources, "fcgi-httpd")
                        .replace('\n', " ")
                }
                _ => found.message.clone(),
            };
            self.log(level, found.code.module, 0, &text);
        }
        let Some(snapshot) = compiled.snapshot else {
            let text = "the new configuration is not used; the old one goes on";
            self.log(Level::Error, "core", 0, text);
            systemd::ready(REFUSED);
            return;
        };
        if let Err(error) = self.take_over(snapshot, bundle) {
            let text = format!("{error:#}; the old configuration goes on");
            self.log(Level::Error, "core", 0, &text);
            systemd::ready(REFUSED);
        }
    }

    fn take_over(
        &mut self,
        snapshot: std::sync::Arc<directives::Snapshot>,
        bundle: directives::bundle::Bundle,
    ) -> anyhow::Result<()> {
        if let Err(failed) = open::prepare(&snapshot) {
            anyhow::ensure!(!failed.is_fatal(), "{}", failed.message().to_owned());
            self.log(Level::Error, "", 0, &format!("FastCGI: {}", failed.message()));
        }
        let listeners = open::bind(&snapshot, &self.listeners)?;
        let logs = open::open_logs(&snapshot)?;
        let maps = Maps::start(&snapshot, logs.main())?;
        self.main_log = MainLog::new(logs.main(), &snapshot)?;
        self.listeners = listeners;
        let old = std::mem::replace(&mut self.logs, logs);
        self.retired.add(old.programs.iter().filter_map(Program::pid), self.number);
        let old = std::mem::replace(&mut self.maps, maps);
        self.retired.add(old.pids(), self.number);
        self.snapshot = snapshot;
        self.bundle = bundle;
        self.announce_again();
        // Applications first: the server then finds the new ones.
        self.apps.configure(&self.snapshot, self.main_log.clone(), self.number);
        self.configure()
    }
}
