//! What httpd runs while it reads: includes, definitions, conditions, macros. The result
//! is a flat tree of live directives, each with its place and its origin.

mod conditions;
mod include;
mod macros;
mod module;
mod variables;

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::bundle::{Files, Origin, Source, Sources};
use crate::diagnostic::{Diagnostic, codes};
use crate::schema::lookup::{self, Found};
use crate::schema::{Args, Context, Read, Set, Word};
use crate::syntax::{self, Node, Span, Text, lexer};

pub use variables::resolve;

/// How deep includes and macros may nest; httpd's `AP_MAX_INCLUDE_DEPTH`.
const MAX_DEPTH: usize = 128;

/// A live directive: conditions hold, variables are replaced.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its name as typed; sections with their `<`.
    pub name: Vec<u8>,
    /// Where the name stands.
    pub name_span: Span,
    /// What follows it.
    pub args: Text,
    /// The line that httpd reports.
    pub line: u32,
    /// Of a container: what stands in it.
    pub body: Option<Vec<Item>>,
}

/// What has been read so far.
pub struct Reader<'a> {
    pub(crate) files: &'a dyn Files,
    /// The texts.
    pub sources: Sources,
    /// The findings.
    pub diagnostics: Vec<Diagnostic>,
    /// `-D` and `Define`: name and value.
    pub defines: IndexMap<String, Option<String>>,
    /// `-d`, then `ServerRoot`.
    pub server_root: Vec<u8>,
    /// Modules named by `LoadModule`, by identifier.
    pub loaded: HashSet<String>,
    macros: HashMap<String, macros::Macro>,
    /// Macros that are being used.
    active_macros: Vec<String>,
    place: Context,
    depth: usize,
    /// Files include each other without end: no further one is read.
    is_endless: bool,
}

impl<'a> Reader<'a> {
    /// Nothing read yet. `place` says whether server files or `.htaccess` are read.
    pub fn new(files: &'a dyn Files, server_root: Vec<u8>, place: Context) -> Reader<'a> {
        Reader {
            files,
            sources: Sources::default(),
            diagnostics: Vec::new(),
            defines: IndexMap::new(),
            server_root,
            loaded: HashSet::new(),
            macros: HashMap::new(),
            active_macros: Vec::new(),
            place,
            depth: 0,
            is_endless: false,
        }
    }

    /// Parses and expands one text.
    pub fn read(&mut self, source: Source) -> Vec<Item> {
        let bytes = source.bytes.clone();
        let file = self.sources.add(source);
        let (tree, problems) = syntax::parse(file, &bytes);
        self.diagnostics.extend(problems);
        let mut items = Vec::new();
        self.expand(&tree.nodes, &mut items);
        items
    }

    /// Parses and expands text that is not a file: the command line, a macro's lines.
    fn read_text(&mut self, name: String, text: Vec<u8>, origin: Origin) -> Vec<Item> {
        self.read(Source { name, bytes: text.into(), origin, is_file: false })
    }

    /// The directives of `-C` or `-c`, each a line.
    pub fn read_command_line(&mut self, directives: &[String]) -> Vec<Item> {
        if directives.is_empty() {
            return Vec::new();
        }
        let text = directives.join("\n") + "\n";
        self.read_text("-c/-C directives".to_owned(), text.into_bytes(), Origin::Root)
    }

    fn expand(&mut self, nodes: &[Node], out: &mut Vec<Item>) {
        for node in nodes {
            match node {
                Node::Trivia(_) => {}
                Node::Directive(directive) => self.directive(directive, out),
                Node::Section(section) => self.section(section, out),
            }
        }
    }

    fn directive(&mut self, directive: &syntax::Directive, out: &mut Vec<Item>) {
        let args = self.resolve(&directive.args, directive.last_line);
        let item = Item {
            name: directive.name.clone(),
            name_span: directive.name_span,
            args,
            line: directive.last_line,
            body: None,
        };
        // A variable may stand where the name should: the line is cut again.
        let item = if directive.name.windows(2).any(|w| w == b"${") {
            let Some(item) = self.recut(&item) else { return };
            item
        } else {
            item
        };
        match lookup::directive(&item.name) {
            Some(found) if matches!(found.directive.set, Set::Read(..)) => {
                self.act(found, &item, &[], out);
            }
            _ => out.push(item),
        }
    }

    fn recut(&mut self, item: &Item) -> Option<Item> {
        let mut name = Text::new(item.args.file());
        name.push_verbatim(&item.name, item.name_span.start);
        let mut line = self.resolve(&name, item.line);
        line.push_replaced(b" ", Span { start: item.name_span.end, ..item.name_span });
        line.push_part(&item.args, 0..item.args.bytes().len());
        let (word, after) = lexer::word(line.bytes(), 0)?;
        Some(Item {
            name_span: line.span(word.range.clone()),
            name: word.bytes,
            args: line.part(after..line.bytes().len()),
            line: item.line,
            body: None,
        })
    }

    fn section(&mut self, section: &syntax::Section, out: &mut Vec<Item>) {
        let open = &section.open;
        let args = self.resolve(&open.args, open.last_line);
        let mut item = Item {
            name: open.name.clone(),
            name_span: open.name_span,
            args,
            line: open.last_line,
            body: None,
        };
        match lookup::directive(&item.name) {
            Some(found) if matches!(found.directive.set, Set::Read(..)) => {
                self.act(found, &item, &section.body, out);
            }
            _ => {
                let mut body = Vec::new();
                self.expand(&section.body, &mut body);
                item.body = Some(body);
                out.push(item);
            }
        }
    }

    /// Replaces variables; warns of those that nobody defined.
    fn resolve(&mut self, text: &Text, line: u32) -> Text {
        if !text.bytes().windows(2).any(|w| w == b"${") {
            return text.clone();
        }
        let defines = &self.defines;
        let files = self.files;
        let mut unknown = Vec::new();
        let resolved = resolve(
            text,
            |name| match defines.get(name) {
                Some(value) => Some(value.clone().unwrap_or_default().into_bytes()),
                None => files.env(name.as_bytes()),
            },
            &mut unknown,
        );
        for (name, span) in unknown {
            let message = format!("Config variable ${{{name}}} is not defined");
            let warning =
                Diagnostic::new(&codes::UNDEFINED_VARIABLE, message, span, line);
            self.diagnostics.push(warning);
        }
        resolved
    }

    /// Carries out a directive that acts while reading.
    fn act(&mut self, found: Found, item: &Item, body: &[Node], out: &mut Vec<Item>) {
        let Set::Read(args, read) = &found.directive.set else { return };
        if !found.directive.context.allows(self.place) {
            self.fail(item, &codes::CONTEXT, format!("{} not allowed here", found.name));
            return;
        }
        let words = Word::all(&item.args);
        let fits = match args {
            Args::One => words.len() == 1,
            Args::OneOrTwo => (1..=2).contains(&words.len()),
            Args::Two => words.len() == 2,
            Args::Each => !words.is_empty(),
            Args::Raw => true,
        };
        if !fits {
            let usage = found.directive.set.usage(found.name, found.directive.summary);
            self.fail(item, &codes::USAGE, usage);
            return;
        }
        match read {
            Read::Define => self.define(item, &words),
            Read::UnDefine => self.undefine(item, &words),
            Read::ServerRoot => self.set_server_root(item, &words[0]),
            Read::Error => {
                // It is about a directive, not about reading, and is reported as such.
                self.fail(item, &codes::READ, conditions::error_text(item.args.bytes()));
                if let Some(found) = self.diagnostics.last_mut() {
                    found.stage = crate::diagnostic::Stage::Apply;
                }
            }
            Read::Include => self.include(item, &words[0], false, out),
            Read::IncludeOptional => self.include(item, &words[0], true, out),
            Read::LoadModule => self.load_module(item, &words),
            Read::LoadFile => {}
            Read::Macro => self.define_macro(item, body),
            Read::UndefMacro => self.undefine_macro(item, &words[0]),
            Read::Use => self.use_macro(item, &words, out),
            Read::IfModule
            | Read::IfDefine
            | Read::IfVersion
            | Read::IfFile
            | Read::IfDirective
            | Read::IfSection => {
                if self.condition(*read, found.name, item) == Some(true) {
                    self.expand(body, out);
                }
            }
        }
    }

    fn fail(
        &mut self,
        item: &Item,
        code: &'static crate::diagnostic::Code,
        message: String,
    ) {
        let span =
            if item.args.bytes().is_empty() { item.name_span } else { item.args.whole() };
        self.diagnostics.push(Diagnostic::read(code, message, span, item.line));
    }

    fn fail_at(
        &mut self,
        item: &Item,
        code: &'static crate::diagnostic::Code,
        span: Span,
        message: String,
    ) {
        self.diagnostics.push(Diagnostic::read(code, message, span, item.line));
    }

    fn define(&mut self, item: &Item, words: &[Word]) {
        let name = words[0].lossy();
        if name.contains(':') {
            let message = "Variable name must not contain ':'".to_owned();
            self.fail_at(item, &codes::READ, words[0].span, message);
            return;
        }
        self.defines.insert(name, words.get(1).map(Word::lossy));
    }

    fn undefine(&mut self, item: &Item, words: &[Word]) {
        let name = words[0].lossy();
        if name.contains(':') {
            let message = "Variable name must not contain ':'".to_owned();
            self.fail_at(item, &codes::READ, words[0].span, message);
            return;
        }
        self.defines.shift_remove(&name);
    }

    fn set_server_root(&mut self, item: &Item, word: &Word) {
        let path = crate::path::server_relative(&self.server_root, &word.bytes);
        let is_directory = |path: &Vec<u8>| {
            let meta = self.files.stat(path);
            meta.is_ok_and(|meta| meta.kind == crate::bundle::Kind::Directory)
        };
        match path.filter(is_directory) {
            Some(path) => self.server_root = path,
            None => {
                let message = "ServerRoot must be a valid directory".to_owned();
                self.fail_at(item, &codes::READ, word.span, message);
            }
        }
    }

    fn load_module(&mut self, item: &Item, words: &[Word]) {
        let id = words[0].lossy();
        let fresh = self.loaded.insert(id.clone());
        if let Some((code, message, help)) = module::judge(&id) {
            let finding = Diagnostic::read(code, message, words[0].span, item.line);
            self.diagnostics.push(finding.help(help));
        } else if !fresh {
            let message = format!("module {id} is already loaded, skipping");
            let span = words[0].span;
            self.diagnostics.push(Diagnostic::new(
                &codes::MODULE_TWICE,
                message,
                span,
                item.line,
            ));
        }
    }
}
