//! A page on its way: text goes through, elements are carried out one after the other. The
//! world is asked for more of the page, and for what it includes.

use bytes::{Bytes, BytesMut};

use super::Settings;
use super::exec::Command;
use super::syntax::{self, Element, Mistake};
use crate::env::Env;
use crate::log::{Level, Line};
use crate::pattern::Groups;
use crate::phase::Lookup;
use crate::request::Request;

/// The most of a page that is kept while the end of an element is looked for, bytes: what
/// is longer is none.
const MAX_ELEMENT: usize = 1 << 20;

/// A page being read.
#[derive(Clone)]
pub struct Page {
    pub(super) r: Request,
    pub(super) settings: Settings,
    input: BytesMut,
    ended: bool,
    begun: bool,
    /// It stands within another page.
    is_within: bool,
    has_elements: bool,
    /// When the outermost page was changed, seconds since 1970.
    pub(super) modified: Option<i64>,
    /// Text goes to the client: no `if` says otherwise.
    pub(super) printing: bool,
    /// A branch of the `if` at hand was taken.
    pub(super) taken: bool,
    /// How many `if`s were opened inside a branch that is not shown.
    pub(super) nested: u32,
    pub(super) sizes_in_bytes: bool,
    /// The last match of a regular expression.
    pub(super) matched: Option<(Bytes, Groups)>,
    /// Text of an element that has more to say.
    said: Vec<u8>,
    /// An element that waits for the world.
    pub(super) waiting: Option<Waiting>,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").field("file", &self.file()).finish_non_exhaustive()
    }
}

/// A sub-request that a page wants.
#[derive(Clone, Debug)]
pub struct Sub {
    /// What is looked up.
    pub lookup: Lookup,
    /// The path that it has as a URL, for one that is named as a file.
    pub uri: Vec<u8>,
}

/// What a page does next.
pub enum Step {
    /// Sends this.
    Text(Bytes),
    /// Wants more of itself, or to be told that there is no more.
    More,
    /// Wants this looked up: [`Page::looked`].
    Look(Sub),
    /// Wants this run, its output sent; then [`Page::included`], or [`Page::not_started`].
    Run(Command),
    /// Ends.
    End,
}

/// What follows a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The page goes on.
    On,
    /// What was looked up is run, its body sent; then [`Page::included`].
    Run,
}

/// An element that waits: which argument is at hand, and what for.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub element: Element,
    /// The argument that was asked about.
    pub at: usize,
    /// An `include` before it failed.
    pub failed: bool,
}

/// What an element comes to.
pub(super) enum Outcome {
    /// This text.
    Text(Vec<u8>),
    /// `SSIErrorMsg`.
    Error,
    /// The world is needed.
    Look(Sub),
    /// A command is to be run.
    Run(Command),
}

impl Page {
    pub(super) fn new(mut r: Request, settings: Settings) -> Page {
        r.lines.clear();
        Page {
            modified: r.finfo.map(|meta| meta.mtime),
            r,
            settings,
            input: BytesMut::new(),
            ended: false,
            begun: false,
            is_within: false,
            has_elements: false,
            printing: true,
            taken: true,
            nested: 0,
            sizes_in_bytes: false,
            matched: None,
            said: Vec::new(),
            waiting: None,
        }
    }

    /// An element says something before it goes on.
    pub(super) fn say(&mut self, text: Vec<u8>) {
        self.said.extend(text);
    }

    /// The page's request: the parent of what it includes.
    pub fn request(&self) -> &Request {
        &self.r
    }

    /// Lines for the error log, since the last look.
    pub fn lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.r.lines)
    }

    /// The variables; those of a page within a page are its page's.
    pub fn env_mut(&mut self) -> &mut Env {
        &mut self.r.env
    }

    /// When the outermost page was changed.
    pub fn modified(&self) -> Option<i64> {
        self.modified
    }

    /// This page stands within another, and has its variables.
    pub fn within(&mut self, modified: Option<i64>) {
        (self.is_within, self.modified) = (true, modified);
    }

    /// Was there an element? Then httpd does not say how long the page is.
    pub fn has_elements(&self) -> bool {
        self.has_elements
    }

    /// Does an element begin in a text of this page?
    pub(crate) fn has_element_in(&self, text: &[u8]) -> bool {
        let start = &self.settings.start;
        text.windows(start.len()).any(|found| found == &start[..])
    }

    /// More of the page.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// There is no more of it.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Goes on.
    pub fn step(&mut self) -> Step {
        if !std::mem::replace(&mut self.begun, true) {
            if !self.is_within {
                self.add_variables();
            }
            self.add_query();
        }
        if !self.said.is_empty() {
            return Step::Text(std::mem::take(&mut self.said).into());
        }
        loop {
            let outcome = match self.waiting.take() {
                Some(waiting) => self.resume(waiting),
                None => {
                    let (start, end) =
                        (self.settings.start.clone(), self.settings.end.clone());
                    match syntax::next(&self.input, &start, &end) {
                        syntax::Next::Text(length) => {
                            let text = self.input.split_to(length).freeze();
                            if self.printing {
                                return Step::Text(text);
                            }
                            continue;
                        }
                        syntax::Next::More
                            if !self.ended && self.input.len() < MAX_ELEMENT =>
                        {
                            return Step::More;
                        }
                        syntax::Next::More => match self.unfinished() {
                            Some(text) => return Step::Text(text),
                            None => return Step::End,
                        },
                        syntax::Next::Element(element, end) => {
                            drop(self.input.split_to(end));
                            self.has_elements = true;
                            self.begin(element)
                        }
                    }
                }
            };
            match outcome {
                Outcome::Text(text) if text.is_empty() => {}
                Outcome::Text(text) => return Step::Text(text.into()),
                Outcome::Error => return Step::Text(self.settings.error.clone()),
                Outcome::Look(sub) => return Step::Look(sub),
                Outcome::Run(command) => return Step::Run(command),
            }
        }
    }

    /// What the end of the page leaves over.
    fn unfinished(&mut self) -> Option<Bytes> {
        let rest = self.input.split().freeze();
        let file = self.file();
        if rest.starts_with(&self.settings.start) {
            self.has_elements = true;
            let text = format!(
                "SSI directive was not properly finished at the end of parsed document {file}"
            );
            self.r.log(Level::Error, "include", 1372, text);
            return self.printing.then(|| self.settings.error.clone());
        }
        if !self.printing {
            let text =
                format!("missing closing endif directive in parsed document {file}");
            self.r.log(Level::Warn, "include", 1373, text);
            self.printing = true;
            return None;
        }
        (!rest.is_empty()).then_some(rest)
    }

    fn begin(&mut self, element: Element) -> Outcome {
        let file = self.file();
        let name = String::from_utf8_lossy(&element.name).into_owned();
        let (number, text) = match element.mistake {
            Some(Mistake::NoName) => {
                (1368, format!("missing directive name in parsed document {file}"))
            }
            Some(mistake @ (Mistake::NoArgument | Mistake::OnlyValue)) => {
                let number = if mistake == Mistake::OnlyValue { 1369 } else { 1370 };
                (
                    number,
                    format!("missing argument name for value to tag {name} in {file}"),
                )
            }
            None => return self.perform(&element),
        };
        self.r.log(Level::Error, "include", number, text);
        self.error()
    }

    /// An element failed: nothing is said where nothing is shown.
    pub(super) fn error(&self) -> Outcome {
        if self.printing { Outcome::Error } else { Outcome::Text(Vec::new()) }
    }
}
