//! From texts to a [`Snapshot`]: context check, arity, setter, then the laws between
//! directives, once everything is known. Longer than others: the scope that setters see
//! belongs to it.

mod place;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

pub use place::{Allowed, Nonfatal, Place};

use crate::bundle::{Entry, Files, Origin, Source, Sources};
use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::expand::{Item, Reader};
use crate::expr::Rules;
use crate::known::{self, Known};
use crate::modules::core::Limited;
use crate::modules::{DirPart, Process, ServerPart, fastcgi, fcgid, info, ssl};
use crate::path;
use crate::pattern::Pattern;
use crate::schema::lookup::{self, Found};
use crate::schema::{Compat, Context, Override, Problem, Result, Set, Word};
use crate::section::{Kind, Matcher, Section, SectionId};
use crate::snapshot::{Snapshot, VirtualHost};
use crate::syntax::{Span, Text};

/// What compiling gives: a configuration if there was no error, and the findings.
pub struct Compiled {
    /// The configuration.
    pub snapshot: Option<Arc<Snapshot>>,
    /// What was found, in the order of the texts.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that the findings point into.
    pub sources: Arc<Sources>,
    /// The live directives: what was read, without what acts while reading.
    pub items: Vec<Item>,
    /// `-d`, then `ServerRoot`.
    pub server_root: Vec<u8>,
}

impl Compiled {
    /// Is one of the findings an error?
    pub fn failed(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Section numbers; `.htaccess` files get theirs while the server runs.
static NEXT_SECTION: AtomicU32 = AtomicU32::new(0);

fn next_section() -> SectionId {
    SectionId(NEXT_SECTION.fetch_add(1, Ordering::Relaxed))
}

/// What is being built.
pub struct Build<'a> {
    /// The world.
    pub files: &'a dyn Files,
    /// Findings so far.
    pub diagnostics: Vec<Diagnostic>,
    /// Settings of the whole process.
    pub process: Process,
    /// Virtual hosts in the order of the texts.
    pub hosts: Vec<VirtualHost>,
    /// `-d` or `ServerRoot`.
    pub server_root: Vec<u8>,
    /// `-T` was given.
    pub skip_document_roots: bool,
    /// The directives, for who may look at them.
    pub recorded: Vec<info::Line>,
    /// What was read, if requests may be explained.
    pub read: Vec<Item>,
    /// Notes given once: by directive name.
    noted: std::collections::HashSet<&'static str>,
    /// The `.htaccess` file that is being compiled.
    htaccess: Option<Arc<str>>,
}

/// The directive at hand.
pub struct Command<'a> {
    /// Its name as declared.
    pub name: &'static str,
    /// As written.
    pub item: &'a Item,
}

/// What a setter sees.
pub struct Scope<'a, 'b> {
    /// The directive.
    pub cmd: &'a Command<'a>,
    /// Where it stands.
    pub place: &'a Place<'a>,
    /// Settings of the server or virtual host.
    pub server: &'a mut ServerPart,
    /// Settings of the section.
    pub dir: &'a mut DirPart,
    /// Everything else.
    pub build: &'a mut Build<'b>,
}

impl<'b> Scope<'_, 'b> {
    /// The world.
    pub fn files(&self) -> &'b dyn Files {
        self.build.files
    }

    /// Settings of the whole process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.build.process
    }

    /// A path below the server root: `ap_server_root_relative`.
    pub fn server_relative(&self, path: &[u8]) -> Option<Vec<u8>> {
        path::server_relative(&self.build.server_root, path)
    }

    /// The path of the file that a word names, below the server root unless it is absolute.
    pub fn file_path(&self, word: &Word) -> Result<Bytes> {
        let path = self.server_relative(&word.bytes);
        path.map(Bytes::from).ok_or_else(|| {
            Problem::from(format!("Invalid file path {}", word.lossy())).at(word.span)
        })
    }

    /// Is this within `<VirtualHost>`?
    pub fn in_virtual_host(&self) -> bool {
        self.place.is_within("<VirtualHost")
    }

    /// Says something that is no error.
    pub fn note(&mut self, problem: Problem) {
        let diagnostic = locate(problem, self.cmd.item);
        self.build.diagnostics.push(diagnostic);
    }

    /// Compiles the body of the container at hand into `dir`, as part of this server.
    pub fn body(&mut self, path: Option<&Bytes>, dir: &mut DirPart) {
        let Some(body) = &self.cmd.item.body else { return };
        let place = Place {
            context: match self.place.context {
                Context::HTACCESS => Context::HTACCESS,
                _ => Context::DIRECTORY,
            },
            container: Some(self.cmd.name),
            allowed: self.place.allowed,
            path: path.or(self.place.path),
            limited: self.place.limited,
            outer: Some(self.place),
        };
        apply_all(body, &place, self.server, dir, self.build);
    }

    /// Compiles the body of `<Limit>` into the settings at hand.
    pub fn limited_body(&mut self, limited: &Limited) {
        let Some(body) = &self.cmd.item.body else { return };
        let place = Place {
            container: Some(self.cmd.name),
            limited: Some(limited),
            outer: Some(self.place),
            ..*self.place
        };
        apply_all(body, &place, self.server, self.dir, self.build);
    }

    /// Compiles the body of the container at hand into the settings at hand; only
    /// directives of these classes may stand in it.
    pub fn body_of(&mut self, classes: Override) {
        let Some(body) = &self.cmd.item.body else { return };
        let allowed = Allowed { classes, ..Allowed::default() };
        let place = Place {
            container: Some(self.cmd.name),
            allowed: Some(&allowed),
            outer: Some(self.place),
            ..*self.place
        };
        apply_all(body, &place, self.server, self.dir, self.build);
    }

    /// A pattern, with the options that hold for all of them here; the error is the
    /// engine's sentence.
    pub fn pattern(
        &self,
        source: &[u8],
        ignore_case: bool,
    ) -> std::result::Result<Pattern, String> {
        Pattern::with(source, ignore_case, self.build.process.core.regex)
    }

    /// What a text with expressions may use here.
    pub fn rules(&self) -> Rules {
        Rules {
            regex: self.build.process.core.regex,
            restricted: self.place.context == Context::HTACCESS,
            dont_vary: true,
            ..Rules::default()
        }
    }

    /// What a condition may use here; responses depend on what it looks at.
    pub fn condition_rules(&self) -> Rules {
        Rules { dont_vary: false, ..self.rules() }
    }

    /// How many errors were found so far.
    pub fn errors(&self) -> usize {
        self.build.diagnostics.iter().filter(|found| found.is_error()).count()
    }

    /// The methods that the directive at hand is for.
    pub fn limited(&self) -> Limited {
        self.place.limited.cloned().unwrap_or_default()
    }

    /// Compiles the body of `<VirtualHost>` into settings of its own.
    pub fn virtual_host_body(&mut self) -> (ServerPart, DirPart) {
        let (mut server, mut dir) = (ServerPart::default(), DirPart::default());
        if let Some(body) = &self.cmd.item.body {
            let place = Place {
                context: Context::VHOST,
                container: Some(self.cmd.name),
                outer: Some(self.place),
                ..*self.place
            };
            server.rewrite().of_host();
            apply_all(body, &place, &mut server, &mut dir, self.build);
        }
        (server, dir)
    }

    /// A section with a number of its own.
    pub fn section(
        &mut self,
        kind: Kind,
        matcher: Matcher,
        part: DirPart,
    ) -> Arc<Section> {
        let span = self.cmd.item.name_span;
        let line = self.cmd.item.line;
        let htaccess = self.build.htaccess.clone();
        let section =
            Section { id: next_section(), kind, matcher, part, span, htaccess, line };
        for problem in fastcgi::cautions(&section, self.server.core()) {
            self.note(problem);
        }
        Arc::new(section)
    }
}

fn locate(problem: Problem, item: &Item) -> Diagnostic {
    let whole = || {
        if item.args.bytes().is_empty() {
            return item.name_span;
        }
        Span { end: item.args.whole().end.max(item.name_span.end), ..item.name_span }
    };
    let span = problem.span.unwrap_or_else(whole);
    Diagnostic {
        help: problem.help,
        edit: problem.edit,
        also: problem.also,
        ..Diagnostic::new(problem.code, problem.message, span, item.line)
    }
}

fn apply_all(
    items: &[Item],
    place: &Place<'_>,
    server: &mut ServerPart,
    dir: &mut DirPart,
    build: &mut Build<'_>,
) {
    for item in items {
        if let Err(problem) = apply(item, place, server, dir, build) {
            build.diagnostics.push(locate(problem, item));
        }
    }
}

fn apply(
    item: &Item,
    place: &Place<'_>,
    server: &mut ServerPart,
    dir: &mut DirPart,
    build: &mut Build<'_>,
) -> Result {
    let Some(found) = lookup::directive(&item.name) else {
        return undeclared(item, place, build);
    };
    if let Some(problem) = misplaced(found, item, place) {
        return if passes_over(place, found.directive.overrides) {
            Ok(())
        } else {
            Err(problem)
        };
    }
    match found.directive.compat {
        Compat::Ignored(why) if build.noted.insert(found.name) => {
            let text = format!("{} has no effect here: {why}", found.directive.shown());
            let note = Problem::new(&codes::IGNORED, text).at(item.name_span);
            build.diagnostics.push(locate(note, item));
        }
        _ => {}
    }
    let cmd = Command { name: found.name, item };
    let mut scope = Scope { cmd: &cmd, place, server, dir, build };
    set(&mut scope, found)
}

fn set(at: &mut Scope, found: Found) -> Result {
    let directive = found.directive;
    let usage = || {
        Problem::new(&codes::USAGE, directive.set.usage(found.name, directive.summary))
    };
    let item = at.cmd.item;
    match &directive.set {
        Set::Raw(set) | Set::Section(set) => return set(at, &item.args),
        Set::Read(..) => return Ok(()),
        _ => {}
    }
    let words = Word::all(&item.args);
    // In httpd's eyes an empty word is no word.
    let is = |word: &Word| !word.bytes.is_empty();
    let some = |word| is(word).then_some(word);
    let until_empty = |words: &[Word]| words.iter().take_while(|word| is(word)).count();
    match (&directive.set, &words[..]) {
        (Set::None(set), []) => set(at),
        (Set::One(set), [a]) if is(a) => set(at, a),
        (Set::OneOrTwo(set), [a]) if is(a) => set(at, a, None),
        (Set::OneOrTwo(set), [a, b]) if is(a) => set(at, a, some(b)),
        (Set::Two(set), [a, b]) if is(a) && is(b) => set(at, a, b),
        (Set::TwoOrThree(set), [a, b]) if is(a) && is(b) => set(at, a, b, None),
        (Set::TwoOrThree(set), [a, b, c]) if is(a) && is(b) => set(at, a, b, Some(c)),
        (Set::UpToThree(set), [a]) => set(at, a, None, None),
        (Set::UpToThree(_), [a, ..]) if !is(a) => Err(usage()),
        (Set::UpToThree(set), [a, b]) => set(at, a, Some(b), None),
        (Set::UpToThree(set), [a, b, c]) => set(at, a, Some(b), Some(c)),
        (Set::Each(set), [_, ..]) => {
            words[..until_empty(&words)].iter().try_for_each(|word| set(at, word))
        }
        (Set::FirstThenEach(set), [a, rest @ ..]) if is(a) && !rest.is_empty() => {
            rest[..until_empty(rest)].iter().try_for_each(|word| set(at, a, word))
        }
        (Set::Flag(set), [word]) => set(at, word.flag().ok_or_else(usage)?),
        (Set::Words(set), words) => set(at, words),
        _ => Err(usage()),
    }
}

/// Why a directive may not stand where it does; see `ap_check_cmd_context` and
/// `execute_now`.
fn misplaced(found: Found, item: &Item, place: &Place<'_>) -> Option<Problem> {
    let directive = found.directive;
    if directive.context.allows(place.context) {
        let allowed = place.allowed?;
        let listed =
            allowed.list.iter().any(|name| found.name.eq_ignore_ascii_case(name));
        if allowed.classes.meets(directive.overrides) || listed {
            return None;
        }
    }
    let name = found.name;
    let message = match place.container {
        Some(container) if place.context != Context::HTACCESS => {
            let only_global = directive.context == Context::SERVER;
            if container == "<VirtualHost" && only_global {
                let end = if name.starts_with('<') { ">" } else { "" };
                format!("{name}{end} cannot occur within <VirtualHost> section")
            } else {
                format!("{name} not allowed in {container}> context")
            }
        }
        // See set_server_alias.
        None if directive.context == Context::VHOST => {
            format!("{name} only used in <VirtualHost>")
        }
        _ => format!("{name} not allowed here"),
    };
    let allowed = format!("allowed in: {}", directive.context.describe());
    let problem = Problem::new(&codes::CONTEXT, message).at(item.name_span);
    Some(problem.help(match place.context {
        Context::HTACCESS if directive.context.allows(Context::HTACCESS) => {
            format!("needs AllowOverride {}", directive.overrides.describe())
        }
        _ => allowed,
    }))
}

fn passes_over(place: &Place<'_>, class: Override) -> bool {
    class != Override::NONE
        && place
            .allowed
            .is_some_and(|a| matches!(a.nonfatal, Nonfatal::Override | Nonfatal::All))
}

/// A name that no module declares: known and harmless, known and refused, or unknown.
fn undeclared(item: &Item, place: &Place<'_>, build: &mut Build<'_>) -> Result {
    let name = String::from_utf8_lossy(&item.name).into_owned();
    match known::find(&name) {
        Some(entry) => match entry.known {
            Known::Ignored(why) => {
                if build.noted.insert(entry.name) {
                    let text = format!("{} has no effect here: {why}", entry.name);
                    let note = Problem::new(&codes::IGNORED, text).at(item.name_span);
                    build.diagnostics.push(locate(note, item));
                }
                Ok(())
            }
            Known::Refused(why) => {
                let shown = if name.starts_with('<') { format!("{name}>") } else { name };
                let text = format!("{shown} ({}) is refused: {why}", entry.module);
                Err(Problem::new(&codes::REFUSED, text).at(item.name_span))
            }
        },
        None => {
            let nonfatal = place.allowed.map(|a| a.nonfatal);
            if matches!(nonfatal, Some(Nonfatal::Unknown | Nonfatal::All)) {
                return Ok(());
            }
            let text = format!(
                "Invalid command '{name}', perhaps misspelled or defined by a module not \
                 included in the server configuration"
            );
            let problem = Problem::new(&codes::UNKNOWN, text).at(item.name_span);
            Err(match lookup::nearest(&name) {
                Some(near) => Problem {
                    edit: Some(crate::diagnostic::Edit {
                        span: item.name_span,
                        text: near.to_owned(),
                    }),
                    ..problem.help(format!("did you mean {near}?"))
                },
                None => problem,
            })
        }
    }
}

/// Compiles the configuration that `entry` names.
pub fn compile(entry: &Entry, files: &dyn Files) -> Compiled {
    let mut reader = Reader::new(files, entry.server_root.clone(), Context::SERVER);
    for name in &entry.defines {
        reader.defines.insert(name.clone(), None);
    }
    let mut items = reader.read_command_line(&entry.before);
    let file = path::server_relative(&reader.server_root, &entry.file);
    let file = file.unwrap_or_else(|| entry.file.clone());
    let shown = String::from_utf8_lossy(&file).into_owned();
    match files.read(&file) {
        Ok(bytes) => {
            let origin = Origin::Root;
            items.extend(reader.read(Source {
                name: shown,
                bytes,
                origin,
                is_file: true,
            }));
        }
        Err(error) => {
            let message =
                format!("Could not open configuration file {shown}: {}", error.text);
            reader.diagnostics.push(Diagnostic::global(&codes::OPEN, message));
        }
    }
    items.extend(reader.read_command_line(&entry.after));

    let mut build = Build {
        files,
        diagnostics: std::mem::take(&mut reader.diagnostics),
        process: Process::default(),
        hosts: Vec::new(),
        server_root: reader.server_root.clone(),
        skip_document_roots: entry.skip_document_roots,
        recorded: Vec::new(),
        read: Vec::new(),
        noted: std::collections::HashSet::new(),
        htaccess: None,
    };
    let core = &mut build.process.core;
    (core.euid, core.egid) = (entry.euid, entry.egid);
    if let Some(path) = files.env(b"PATH") {
        core.path_variable = path.into();
    }
    core.library_path = files.env(b"LD_LIBRARY_PATH").map(Bytes::from);
    core.time_zone = files.env(b"TZ").map(Bytes::from);
    let (mut server, mut dir) = (ServerPart::default(), DirPart::default());
    // What could not be read would only give errors that follow from it.
    keep_first_nesting_errors(&mut build.diagnostics);
    let unreadable = build.diagnostics.iter().any(is_about_structure);
    if !unreadable {
        apply_all(&items, &Place::SERVER, &mut server, &mut dir, &mut build);
    }
    fastcgi::settle(&mut build.process);
    build.diagnostics.extend(fastcgi::check_access(&build.process, files));
    build.diagnostics.extend(fcgid::limit::warning(&items));
    let sources = Arc::new(reader.sources);
    if info::is_wanted(&items) {
        build.recorded = info::record(&items, &sources);
    }
    if build.process.explain.is_on() {
        build.read.clone_from(&items);
    }
    let defines = reader.defines;
    let server_root = build.server_root.clone();
    let snapshot = Snapshot::assemble(
        server_root.clone(),
        defines,
        sources.clone(),
        server,
        dir,
        &reader.loaded,
        &mut build,
    );
    let mut diagnostics = build.diagnostics;
    diagnostics.extend(ssl::check(&snapshot));
    for diagnostic in &mut diagnostics {
        crate::diagnostic::name_place(diagnostic, &sources);
    }
    // httpd reports what it finds while reading before it applies anything.
    diagnostics
        .sort_by_key(|d| d.stage == crate::diagnostic::Stage::Apply && d.is_error());
    let failed = diagnostics.iter().any(|d| d.code.severity == Severity::Error);
    let snapshot = (!failed).then_some(snapshot);
    Compiled { snapshot, diagnostics, sources, items, server_root }
}

/// Is the shape of the configuration in doubt?
fn is_about_structure(found: &Diagnostic) -> bool {
    [&codes::OPEN, &codes::NESTING, &codes::NOT_CLOSED].contains(&found.code)
}

/// A closing tag that does not fit is followed by others that do not: of each file the
/// first tells what is wrong.
fn keep_first_nesting_errors(found: &mut Vec<Diagnostic>) {
    let mut seen = std::collections::HashSet::new();
    found.retain(|d| {
        let file = d.span.map(|span| span.file);
        !is_about_structure(d) || seen.insert(file)
    });
}

/// What is wrong with a `.htaccess` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The sentence for the log.
    pub message: String,
    /// The file, and the line if there is one: `/srv/www/.htaccess:3`.
    pub place: String,
}

/// Compiles a `.htaccess` file. The section matches everything below its directory; the
/// first error, if any, comes back.
pub fn compile_htaccess(
    path: &[u8],
    bytes: Arc<[u8]>,
    allowed: &Allowed,
    snapshot: &Snapshot,
    files: &dyn Files,
) -> std::result::Result<Section, Broken> {
    let root = snapshot.server_root.clone();
    let mut reader = Reader::new(files, root.clone(), Context::HTACCESS);
    reader.defines.clone_from(&snapshot.defines);
    let name = String::from_utf8_lossy(path).into_owned();
    let origin = Origin::Root;
    let items = reader.read(Source { name: name.clone(), bytes, origin, is_file: true });
    let mut build = Build {
        files,
        diagnostics: reader.diagnostics,
        process: Process::default(),
        hosts: Vec::new(),
        server_root: root,
        skip_document_roots: true,
        recorded: Vec::new(),
        read: Vec::new(),
        noted: std::collections::HashSet::new(),
        htaccess: Some(name.as_str().into()),
    };
    // Methods are registered for the whole server.
    build.process.core.methods.clone_from(&snapshot.process.core.methods);
    build.process.core.regex = snapshot.process.core.regex;
    build.process.authn_core.clone_from(&snapshot.process.authn_core);
    build.process.authz_core.clone_from(&snapshot.process.authz_core);
    build.process.authnz_fcgi.clone_from(&snapshot.process.authnz_fcgi);
    let (mut server, mut part) = (ServerPart::default(), DirPart::default());
    let directory = Bytes::copy_from_slice(path::dir_name(path));
    let place = Place {
        context: Context::HTACCESS,
        container: None,
        allowed: Some(allowed),
        path: Some(&directory),
        limited: None,
        outer: None,
    };
    apply_all(&items, &place, &mut server, &mut part, &mut build);
    match build.diagnostics.iter().find(|d| d.is_error()) {
        // What is missing at the end of a file is told with its place.
        Some(error) if error.code.number == codes::NOT_CLOSED.number => {
            let name = String::from_utf8_lossy(path);
            let message = format!("{name}:{}: {}", error.line, error.message);
            Err(Broken { message, place: name.into_owned() })
        }
        Some(error) => {
            let name = String::from_utf8_lossy(path);
            let place = match error.line {
                0 => name.into_owned(),
                line => format!("{name}:{line}"),
            };
            Err(Broken { message: error.message.clone(), place })
        }
        None => {
            let span = Span { file: crate::syntax::FileId(0), start: 0, end: 0 };
            let matcher = Matcher::Literal(directory.clone());
            let (id, kind, htaccess) = (next_section(), Kind::Htaccess, build.htaccess);
            Ok(Section { id, kind, matcher, part, span, htaccess, line: 1 })
        }
    }
}

/// A text that is compiled for tests: `Entry` naming no file.
impl Scope<'_, '_> {
    /// The words of a container's opening tag, without its bracket and what follows.
    /// Errors are httpd's: `unclosed_directive` and `missing_container_arg`.
    pub fn section_words(&self, args: &Text) -> Result<Vec<Word>> {
        let words = self.words_in_tag(args)?;
        if words.is_empty() {
            let name = self.cmd.name;
            return Err(format!("{name}> directive requires additional arguments").into());
        }
        Ok(words)
    }

    fn words_in_tag(&self, args: &Text) -> Result<Vec<Word>> {
        match args.bytes().iter().rposition(|&b| b == b'>') {
            Some(end) => Ok(Word::all(&args.part(0..end))),
            // In a tag without arguments httpd does not miss the bracket.
            None if args.bytes().is_empty() => Ok(Vec::new()),
            None => {
                Err(format!("{}> directive missing closing '>'", self.cmd.name).into())
            }
        }
    }

    /// Is there nothing in the opening tag of a container but its name?
    pub fn no_words(&self, args: &Text) -> Result<bool> {
        Ok(self.words_in_tag(args)?.is_empty())
    }
}
