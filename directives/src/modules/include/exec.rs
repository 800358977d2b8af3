//! `<!--#exec cmd="…"-->` and `<!--#exec cgi="…"-->`: `handle_exec` of mod_cgi.

use std::time::Duration;

use bytes::Bytes;

use super::elements::NOTHING;
use super::page::{Outcome, Page, Then, Waiting};
use super::syntax::Element;
use super::text;
use crate::bundle::Kind;
use crate::cgi;
use crate::log::Level;
use crate::modules::cgi::suexec;
use crate::path;
use crate::phase::Lookup;
use crate::request::Request;
use crate::status;

/// The media type that makes a script of any file: `CGI_MAGIC_TYPE`.
const SCRIPT_TYPE: &[u8] = b"application/x-httpd-cgi";

/// A command for the shell, whose output stands in a page.
#[derive(Clone, Debug)]
pub struct Command {
    /// The shell's words.
    pub line: Bytes,
    /// Its environment: the page's variables, and nothing else.
    pub env: Vec<(Bytes, Bytes)>,
    /// How long it may be silent.
    pub timeout: Duration,
}

impl Page {
    fn refuse(&mut self, number: u32, text: String) -> Outcome {
        self.r.log(Level::Error, self.exec_module(), number, text);
        self.error()
    }

    /// Which of the two modules says so.
    fn exec_module(&self) -> &'static str {
        if self.r.snapshot.names_module("cgid_module") { "cgid" } else { "cgi" }
    }

    /// Runs programs: `handle_exec`.
    pub(super) fn exec(&mut self, element: &Element) -> Outcome {
        let file = self.file();
        if element.args.is_empty() {
            let level = if self.printing { Level::Error } else { Level::Warn };
            let text = format!("missing argument for exec element in {file}");
            self.r.log(level, self.exec_module(), 3195, text);
            return self.error();
        }
        if !self.printing {
            return NOTHING;
        }
        if self.settings.no_exec {
            return self.refuse(1228, format!("exec used but not allowed in {file}"));
        }
        self.resume_exec(Waiting { element: element.clone(), at: 0, failed: false })
    }

    /// Goes on with its next argument.
    pub(super) fn resume_exec(&mut self, waiting: Waiting) -> Outcome {
        let arg = waiting.element.args.get(waiting.at).cloned();
        let Some((name, Some(value))) = arg else {
            return if waiting.failed { self.error() } else { NOTHING };
        };
        let value = text::decode_entities(&value);
        match &name[..] {
            b"cmd" => self.command(waiting, &value),
            b"cgi" => {
                let sub = self.fill(&value);
                self.waiting = Some(waiting);
                Outcome::Look(self.url_of(&sub))
            }
            _ => {
                let name = String::from_utf8_lossy(&name).into_owned();
                let text = format!(
                    "unknown parameter \"{name}\" to tag exec in {}",
                    self.file()
                );
                self.refuse(1231, text)
            }
        }
    }

    fn command(&mut self, waiting: Waiting, value: &[u8]) -> Outcome {
        if !matches!(suexec::identity(&self.r), Ok(None)) {
            let text = format!(
                "exec cmd is not run under another name: SuexecUserGroup or a user's page wants \
                 one; use exec cgi: {}",
                self.file()
            );
            self.r.log(Level::Error, self.exec_module(), 0, text);
            return self.not_run();
        }
        if !self.r.path_info.is_empty() && !self.r.notes.has(b"path-translated") {
            // Behind the look-up it begins again.
            self.waiting = Some(waiting);
            let lookup = Lookup::Translate(path::escape_path(&self.r.path_info).into());
            return Outcome::Look(super::Sub { lookup, uri: Vec::new() });
        }
        let line = self.fill_known(value).into();
        self.add_query();
        let zone = self.r.files.env(b"TZ").map(|zone| ("TZ".into(), zone.into()));
        let own = self.r.env.iter();
        let own = own.map(|(name, value)| (cgi::sanitized(name), value.clone()));
        let env = own.chain(zone).collect();
        let timeout = self.r.server.config.core.timeout();
        self.waiting = Some(waiting);
        Outcome::Run(Command { line, env, timeout })
    }

    /// A command could not be started.
    pub(super) fn not_run(&mut self) -> Outcome {
        let file = self.file();
        let text =
            format!("execution failure for parameter \"cmd\" to tag exec in file {file}");
        self.refuse(1229, text)
    }

    /// What PATH_INFO leads to, or a script, was looked up: `add_ssi_vars`, `include_cgi`.
    pub(super) fn looked_exec(
        &mut self,
        mut waiting: Waiting,
        found: &mut Request,
    ) -> Then {
        let arg = waiting.element.args.get(waiting.at).cloned();
        let Some((name, Some(value))) = arg else { return Then::On };
        if name == "cmd" {
            let info = super::variables::escape_shell(&self.r.path_info);
            let translated = [&found.filename[..], &found.path_info].concat();
            self.r.env.set("PATH_INFO", info);
            self.r.env.set("PATH_TRANSLATED", translated.clone());
            self.r.notes.set("path-translated", translated);
            self.waiting = Some(waiting);
            return Then::On;
        }
        let is_script = found.status == 200
            && found.path_info.is_empty()
            && found.args.is_none()
            && found.finfo.is_some_and(|meta| meta.kind == Kind::File);
        if !is_script {
            let value = text::decode_entities(&value);
            let value = String::from_utf8_lossy(&value).into_owned();
            let text = format!("invalid CGI ref \"{value}\" in {}", self.file());
            self.r.log(Level::Error, self.exec_module(), 1230, text);
            waiting.element.args.clear();
            waiting.failed = true;
            self.waiting = Some(waiting);
            return Then::On;
        }
        // The script gets the page's own path and query.
        found.path_info.clone_from(&self.r.path_info);
        found.args.clone_from(&self.r.args);
        found.content_type = Some(Bytes::from_static(SCRIPT_TYPE));
        if found.handler.is_none() {
            found.handler = Some(Bytes::from_static(SCRIPT_TYPE));
        }
        self.waiting = Some(waiting);
        Then::Run
    }

    /// A script or command has been sent, or ended as this status says. One that leads
    /// elsewhere becomes a link.
    pub(super) fn executed(
        &mut self,
        mut waiting: Waiting,
        status: u16,
        to: Option<&Bytes>,
    ) {
        if let Some(to) = to.filter(|_| status::is_redirect(status)) {
            let to = path::escape_html(to);
            self.say([&b"<a href=\""[..], &to, b"\">", &to, b"</a>"].concat());
        }
        waiting.at += 1;
        self.waiting = Some(waiting);
    }
}
