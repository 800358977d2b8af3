//! The elements of pages: what each does. The names of the functions are the elements'.

use bytes::Bytes;

use super::legacy::Legacy;
use super::page::{Outcome, Page, Sub, Then, Waiting};
use super::syntax::Element;
use super::text;
use crate::expr::{Condition, Rules};
use crate::log::Level;
use crate::path;
use crate::phase::Lookup;
use crate::request::Request;

pub(super) const NOTHING: Outcome = Outcome::Text(Vec::new());

impl Page {
    fn complain(&mut self, number: u32, text: String) -> Outcome {
        self.r.log(Level::Error, "include", number, text);
        self.error()
    }

    /// A mistake that is no error where nothing is shown.
    fn warn(&mut self, shown: bool, number: u32, text: String) {
        let level = if shown { Level::Error } else { Level::Warn };
        self.r.log(level, "include", number, text);
    }

    pub(super) fn perform(&mut self, element: &Element) -> Outcome {
        match &element.name[..] {
            b"if" => return self.if_(element),
            b"elif" => return self.elif(element),
            b"else" => return self.else_(element),
            b"endif" => return self.endif(element),
            b"exec" if self.r.snapshot.has_module("cgi_module") => {
                return self.exec(element);
            }
            _ => {}
        }
        let file = self.file();
        // What each needs, and what the log says of its absence.
        let (least, number) = match &element.name[..] {
            b"config" => (1, 1347),
            b"echo" => (1, 1343),
            b"set" => (2, 1362),
            b"fsize" => (1, 1350),
            b"flastmod" => (1, 1351),
            b"include" => (1, 1341),
            b"printenv" => (0, 0),
            _ => {
                let name = String::from_utf8_lossy(&element.name).into_owned();
                let text = format!("unknown directive \"{name}\" in parsed doc {file}");
                return self.complain(1371, text);
            }
        };
        let name = String::from_utf8_lossy(&element.name).into_owned();
        if element.args.len() < least {
            let text = format!("missing argument for {name} element in {file}");
            self.warn(self.printing, number, text);
            return self.error();
        }
        if name == "printenv" && !element.args.is_empty() {
            let text = format!("printenv directive does not take tags in {file}");
            self.warn(self.printing, 1367, text);
            return self.error();
        }
        if !self.printing {
            return NOTHING;
        }
        match name.as_str() {
            "config" => self.config(element),
            "echo" => self.echo(element),
            "set" => self.set(element),
            "printenv" => self.printenv(),
            _ => self.resume(Waiting { element: element.clone(), at: 0, failed: false }),
        }
    }

    fn config(&mut self, element: &Element) -> Outcome {
        for (name, value) in with_values(element) {
            let filled = self.fill(value);
            match &name[..] {
                b"errmsg" => self.settings.error = filled.into(),
                b"echomsg" => self.settings.undefined = filled.into(),
                b"timefmt" => {
                    self.settings.time_format = filled.into();
                    self.add_times();
                }
                b"sizefmt" if filled == b"bytes" => self.sizes_in_bytes = true,
                b"sizefmt" if filled == b"abbrev" => self.sizes_in_bytes = false,
                b"sizefmt" => {
                    let shown = String::from_utf8_lossy(&filled).into_owned();
                    let text = format!(
                        "unknown value \"{shown}\" to parameter \"sizefmt\" of tag config in {}",
                        self.file()
                    );
                    return self.complain(1348, text);
                }
                _ => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    let text = format!(
                        "unknown parameter \"{name}\" to tag config in {}",
                        self.file()
                    );
                    return self.complain(1349, text);
                }
            }
        }
        NOTHING
    }

    fn unknown_coding(
        &mut self,
        kind: &str,
        value: &[u8],
        tag: &str,
        number: u32,
    ) -> Outcome {
        let shown = String::from_utf8_lossy(value).into_owned();
        let text = format!(
            "unknown value \"{shown}\" to parameter \"{kind}\" of tag {tag} in {}",
            self.file()
        );
        self.complain(number, text)
    }

    fn echo(&mut self, element: &Element) -> Outcome {
        let (mut decoding, mut encoding) = (b"none".to_vec(), b"entity".to_vec());
        let mut out = Vec::new();
        for (name, value) in with_values(element) {
            let value = text::decode_entities(value);
            match &name[..] {
                b"decoding" => decoding = value,
                b"encoding" => encoding = value,
                b"var" => {
                    let name = self.fill(&value);
                    let Some(value) = self.variable(&name) else {
                        out.extend_from_slice(&self.settings.undefined);
                        continue;
                    };
                    let Ok(value) = text::decode(&decoding, value.to_vec()) else {
                        return self.unknown_coding("decoding", &decoding, "echo", 1344);
                    };
                    match text::encode(&encoding, value) {
                        Ok(value) => out.extend_from_slice(&value),
                        Err(()) => {
                            return self
                                .unknown_coding("encoding", &encoding, "echo", 1345);
                        }
                    }
                }
                _ => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    let text = format!(
                        "unknown parameter \"{name}\" in tag echo of {}",
                        self.file()
                    );
                    return self.complain(1346, text);
                }
            }
        }
        Outcome::Text(out)
    }

    fn set(&mut self, element: &Element) -> Outcome {
        let (mut decoding, mut encoding) = (b"none".to_vec(), b"none".to_vec());
        let mut var = None;
        for (name, value) in with_values(element) {
            let value = value.to_vec();
            match (&name[..], &var) {
                (b"var", _) => var = Some(Bytes::from(self.fill(&value))),
                (b"decoding", _) => decoding = value,
                (b"encoding", _) => encoding = value,
                (b"value", Some(var)) => {
                    let filled = self.fill(&value);
                    let Ok(filled) = text::decode(&decoding, filled) else {
                        return self.unknown_coding("decoding", &decoding, "set", 1364);
                    };
                    let Ok(filled) = text::encode(&encoding, filled) else {
                        return self.unknown_coding("encoding", &encoding, "set", 1365);
                    };
                    self.r.env.set(var.clone(), filled);
                }
                (b"value", None) => {
                    let file = self.file();
                    let text =
                        format!("variable must precede value in set directive in {file}");
                    return self.complain(1363, text);
                }
                _ => {
                    let text =
                        format!("Invalid tag for set directive in {}", self.file());
                    return self.complain(1366, text);
                }
            }
        }
        NOTHING
    }

    fn printenv(&mut self) -> Outcome {
        let mut out = Vec::new();
        for (name, value) in self.r.env.iter() {
            out.extend(path::escape_html(name));
            out.push(b'=');
            out.extend(path::escape_html(value));
            out.push(b'\n');
        }
        Outcome::Text(out)
    }

    /// The elements that look things up, argument by argument.
    pub(super) fn resume(&mut self, mut waiting: Waiting) -> Outcome {
        if waiting.element.name == "exec" {
            return self.resume_exec(waiting);
        }
        let including = waiting.element.name == "include";
        let arg = waiting.element.args.get(waiting.at).cloned();
        let Some((name, Some(value))) = arg else {
            return if waiting.failed { self.error() } else { NOTHING };
        };
        let value = text::decode_entities(&value);
        let filled = self.fill(&value);
        let sub = match &name[..] {
            b"file" => self.file_of(&filled),
            b"virtual" => Some(self.url_of(&filled)),
            b"onerror" if including && waiting.failed => Some(self.url_of(&filled)),
            b"onerror" if including => {
                waiting.at += 1;
                return self.resume(waiting);
            }
            _ => {
                let name = String::from_utf8_lossy(&name).into_owned();
                let tag = String::from_utf8_lossy(&waiting.element.name).into_owned();
                let file = self.file();
                let text = format!("unknown parameter \"{name}\" to tag {tag} in {file}");
                return self.complain(if including { 1342 } else { 1340 }, text);
            }
        };
        if let Some(sub) = sub {
            self.waiting = Some(waiting);
            return Outcome::Look(sub);
        }
        let (value, file) = (String::from_utf8_lossy(&value).into_owned(), self.file());
        if !including {
            let text = format!("unable to access file \"{value}\" in parsed file {file}");
            return self.complain(2668, text);
        }
        let text = format!("unable to include file \"{value}\" in parsed file {file}");
        self.r.log(Level::Error, "include", 0, text);
        if waiting.failed {
            return self.error();
        }
        (waiting.at, waiting.failed) = (waiting.at + 1, true);
        self.resume(waiting)
    }

    /// A file beside the page or below it; `None` for any other.
    fn file_of(&self, name: &[u8]) -> Option<Sub> {
        if name.starts_with(b"/") || name.contains(&0) {
            return None;
        }
        let inside = path::normalize(&[b"/", name].concat(), true)?;
        let path = [parent(&self.r.filename), &inside[1..]].concat();
        let uri = [parent(&self.r.uri), &inside[1..]].concat();
        Some(Sub { lookup: Lookup::File(path.into()), uri })
    }

    /// A URL, which may be relative to the page's.
    pub(super) fn url_of(&self, url: &[u8]) -> Sub {
        let lookup = match url.first() {
            Some(b'/') => Bytes::copy_from_slice(url),
            _ => [&path::escape_path(parent(&self.r.uri))[..], url].concat().into(),
        };
        Sub { lookup: Lookup::Uri(lookup), uri: Vec::new() }
    }

    /// What a look-up found.
    pub fn looked(&mut self, found: &mut Request) -> Then {
        let Some(mut waiting) = self.waiting.take() else { return Then::On };
        if waiting.element.name == "exec" {
            return self.looked_exec(waiting, found);
        }
        let (tag, value) = match waiting.element.args.get(waiting.at) {
            Some((tag, Some(value))) => (tag.clone(), text::decode_entities(value)),
            _ => return Then::On,
        };
        let (value, file) = (String::from_utf8_lossy(&value).into_owned(), self.file());
        if waiting.element.name == "include" {
            let program = self.settings.no_exec
                && found
                    .content_type
                    .as_deref()
                    .is_some_and(|kind| !kind.starts_with(b"text/"));
            let text = if found.status != 200 {
                let status = found.status;
                format!(
                    "unable to include \"{value}\" in parsed file {file}, subrequest setup \
                     returned {status}"
                )
            } else if program {
                format!(
                    "unable to include potential exec \"{value}\" in parsed file {file}, content \
                     type not text/*"
                )
            } else {
                self.waiting = Some(waiting);
                return Then::Run;
            };
            self.not_included(text);
            self.next_include(waiting);
            return Then::On;
        }
        let meta = found.finfo.filter(|_| found.status == 200);
        let Some(meta) = meta else {
            let (number, verb) = match &tag[..] {
                b"file" => (2670, "unable to lookup information about"),
                _ => (1339, "unable to get information about"),
            };
            let text = format!("{verb} \"{value}\" in parsed file {file}");
            self.r.log(Level::Error, "include", number, text);
            // As an argument list that ends in an error.
            waiting.element.args.clear();
            waiting.failed = true;
            self.waiting = Some(waiting);
            return Then::On;
        };
        let shown = match &waiting.element.name[..] {
            b"fsize" if self.sizes_in_bytes => text::long_size(meta.size).into_bytes(),
            b"fsize" => text::short_size(meta.size).into_bytes(),
            _ => self.local_time(meta.mtime),
        };
        self.say(shown);
        waiting.at += 1;
        self.waiting = Some(waiting);
        Then::On
    }

    /// What was included has been sent, or ended with `status` instead, and leads elsewhere.
    pub fn included(&mut self, status: u16, to: Option<&Bytes>) {
        let Some(mut waiting) = self.waiting.take() else { return };
        if waiting.element.name == "exec" {
            return self.executed(waiting, status, to);
        }
        if status != 200 {
            let arg =
                waiting.element.args.get(waiting.at).and_then(|(_, value)| value.clone());
            let value = text::decode_entities(&arg.unwrap_or_default());
            let text = format!(
                "unable to include \"{}\" in parsed file {}, subrequest returned {status}",
                String::from_utf8_lossy(&value),
                self.file()
            );
            self.not_included(text);
            self.next_include(waiting);
            return;
        }
        (waiting.at, waiting.failed) = (waiting.at + 1, false);
        self.waiting = Some(waiting);
    }

    /// A command could not be started.
    pub fn not_started(&mut self) {
        if let Some(mut waiting) = self.waiting.take() {
            self.not_run();
            waiting.element.args.clear();
            waiting.failed = true;
            self.waiting = Some(waiting);
        }
    }

    fn not_included(&mut self, text: String) {
        self.r.log(Level::Error, "include", 0, text);
    }

    fn next_include(&mut self, mut waiting: Waiting) {
        if waiting.failed {
            // What was to stand for a failed one failed, too.
            waiting.element.args.clear();
        }
        (waiting.at, waiting.failed) = (waiting.at + 1, true);
        self.waiting = Some(waiting);
    }

    fn condition(
        &mut self,
        element: &Element,
        name: &str,
        unknown: u32,
        missing: u32,
    ) -> Option<bool> {
        let (tag, value) = element.args.first()?;
        let file = self.file();
        if tag != "expr" {
            let tag = String::from_utf8_lossy(tag).into_owned();
            let text = format!("unknown parameter \"{tag}\" to tag {name} in {file}");
            self.r.log(Level::Error, "include", unknown, text);
            return None;
        }
        let Some(value) = value else {
            let text = match name {
                "if" if missing == 1355 => {
                    format!("missing expr value for if element in {file}")
                }
                _ => format!("missing expr in elif statement: {file}"),
            };
            self.r.log(Level::Error, "include", missing, text);
            return None;
        };
        let shown = String::from_utf8_lossy(value).into_owned();
        if self.settings.legacy {
            let held = Legacy::parse(value).and_then(|read| read.holds(self));
            return held
                .inspect_err(|(number, words)| {
                    let text = format!("{} {file}", words.replace("{}", &shown));
                    self.r.log(Level::Error, "include", *number, text);
                })
                .ok();
        }
        let regex = self.r.snapshot.process.core.regex;
        let rules = Rules { restricted: true, page: true, regex, ..Rules::default() };
        let condition = match Condition::parse(value, rules) {
            Ok(condition) => condition,
            Err(why) => {
                let text = format!("Could not parse expr \"{shown}\" in {file}: {why}");
                self.r.log(Level::Error, "include", 1337, text);
                return None;
            }
        };
        let held = condition.holds_with(&mut self.r, &mut self.matched);
        match held {
            Ok(Ok(holds)) => Some(holds),
            Ok(Err(why)) => {
                let text =
                    format!("Could not evaluate expr \"{shown}\" in {file}: {why}");
                self.r.log(Level::Error, "include", 1338, text);
                None
            }
            // What would have to be asked first is not, within a page.
            Err(_) => {
                let text = format!(
                    "Could not evaluate expr \"{shown}\" in {file}: it needs a look-up, which a \
                     page has not"
                );
                self.r.log(Level::Error, "include", 1338, text);
                None
            }
        }
    }

    fn decide(&mut self, holds: bool) {
        (self.printing, self.taken) = (holds, holds);
    }

    /// A condition failed: no branch is shown.
    fn undecided(&mut self) -> Outcome {
        (self.printing, self.taken) = (false, true);
        Outcome::Error
    }

    fn if_(&mut self, element: &Element) -> Outcome {
        if element.args.len() != 1 {
            let (number, what) = match element.args.len() {
                0 => (1353, "missing expr argument"),
                _ => (1352, "too many arguments"),
            };
            let text = format!("{what} for if element in {}", self.file());
            self.warn(self.printing, number, text);
        }
        if !self.printing {
            self.nested += 1;
            return NOTHING;
        }
        self.nested = 0;
        if element.args.len() != 1 {
            return self.undecided();
        }
        match self.condition(element, "if", 1354, 1355) {
            Some(holds) => self.decide(holds),
            None => return self.undecided(),
        }
        NOTHING
    }

    fn elif(&mut self, element: &Element) -> Outcome {
        if element.args.len() != 1 {
            let (number, what) = match element.args.len() {
                0 => (1357, "missing expr argument"),
                _ => (1356, "too many arguments"),
            };
            let text = format!("{what} for if element in {}", self.file());
            self.warn(self.nested == 0, number, text);
        }
        if self.nested > 0 {
            return NOTHING;
        }
        if element.args.len() != 1 {
            return self.undecided();
        }
        if self.taken {
            self.printing = false;
            return NOTHING;
        }
        match self.condition(element, "if", 1358, 1359) {
            Some(holds) => self.decide(holds),
            None => return self.undecided(),
        }
        NOTHING
    }

    fn else_(&mut self, element: &Element) -> Outcome {
        if !element.args.is_empty() {
            let text = format!("else directive does not take tags in {}", self.file());
            self.warn(self.nested == 0, 1360, text);
        }
        if self.nested > 0 {
            return NOTHING;
        }
        if !element.args.is_empty() {
            return self.error();
        }
        if self.taken {
            self.printing = false;
        } else {
            self.decide(true);
        }
        NOTHING
    }

    fn endif(&mut self, element: &Element) -> Outcome {
        if !element.args.is_empty() {
            let text = format!("endif directive does not take tags in {}", self.file());
            self.warn(self.nested == 0, 1361, text);
        }
        if self.nested > 0 {
            self.nested -= 1;
            return NOTHING;
        }
        if !element.args.is_empty() {
            return Outcome::Error;
        }
        self.decide(true);
        NOTHING
    }
}

/// The arguments up to the first without a value.
fn with_values(element: &Element) -> impl Iterator<Item = (&Bytes, &Bytes)> {
    element.args.iter().map_while(|(name, value)| Some((name, value.as_ref()?)))
}

/// A path up to its last slash, that included.
fn parent(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    &path[..slash]
}
