//! A site whose application `/app` stands behind authorizers.

use anyhow::Result;

use crate::application::Application;
use crate::site::{Site, variable};

/// The users of `conf/users`: ann's password is "secret" (SHA-1).
const USERS: &str = "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n";

/// The site, and the programs behind it.
pub struct Guarded {
    // They end before their directory goes.
    programs: Vec<Application>,
    /// Where it is.
    pub site: Site,
    conf: String,
}

impl Guarded {
    /// `/app` is the probe; nothing is served yet.
    pub fn new() -> Result<Guarded> {
        let site = Site::new()?;
        site.root.write("conf/users", USERS.as_bytes())?;
        let mut guarded = Guarded { site, conf: String::new(), programs: Vec::new() };
        let app = Application::probe(&guarded.site.root, "app", &[])?;
        guarded.program("htdocs/app", app, "");
        Ok(guarded)
    }

    /// An application at a path of the root, with options.
    pub fn program(&mut self, path: &str, program: Application, options: &str) {
        let address = program.address.option();
        self.conf +=
            &format!("FastCgiExternalServer {{root}}/{path} {address} {options}\n");
        self.programs.push(program);
    }

    /// The probe as `/virtual/NAME`, answering always the same; it notes its calls.
    pub fn gate(&mut self, name: &str, answer: &str, options: &str) -> Result<()> {
        let calls = self.site.root.join("logs").join(name);
        let answer = format!("note={}&{answer}", calls.display());
        let probe = Application::probe(&self.site.root, name, &[&answer])?;
        self.program(&format!("virtual/{name}"), probe, options);
        Ok(())
    }

    /// Ends all programs.
    pub fn stop_all(&mut self) {
        self.programs.clear();
    }

    /// Serves, with further lines of configuration behind the applications.
    pub fn serve(&mut self, lines: &str) -> Result<()> {
        self.site.serve(&(self.conf.clone() + lines))
    }

    /// What a gate has been asked.
    pub fn calls(&self, name: &str) -> Vec<Call> {
        self.site
            .root
            .log(name)
            .lines()
            .map(|line| Call(line.replace('\t', "\n")))
            .collect()
    }
}

/// One call of a gate, as it noted it.
#[derive(Debug)]
pub struct Call(String);

impl Call {
    /// One of its variables.
    pub fn variable(&self, name: &str) -> Option<&str> {
        variable(&self.0, name)
    }
}
