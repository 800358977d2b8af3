//! mod_fastcgi: applications that speak FastCGI, for whole requests and for the auth
//! phases. What the original does is in the specification by id (`C-9`, `H-2`, …).

pub mod app;
mod authorizers;
mod dynamic;
mod external;
pub mod guard;
mod handler;
mod identity;
mod ipc;
pub mod options;
pub mod permission;
pub(crate) mod phases;
pub mod response;
mod server;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

pub use app::{Address, App, Identity, Kind};
pub use authorizers::{Authorizer, Dir, cautions};
pub use identity::{identity, identity_of};
pub use ipc::IpcDir;
pub(crate) use ipc::settle;
pub use phases::remember_variables;

use crate::bundle::Files;
use crate::compile::Scope;
use crate::diagnostic::Diagnostic;
use crate::path;
use crate::phase::{Phase, first, on};
use crate::schema::option::{self, Arg};
use crate::schema::{Module, Problem, Result, Word};
use crate::syntax::Text;
use crate::table::Table;
use options::{Draft, OPTIONS};

/// The handler's name (H-1).
pub const HANDLER: &[u8] = b"fastcgi-script";

/// Settings of a server: none; applications belong to the whole process (S-1).
pub type Server = ();

/// How many dynamic applications are remembered between requests.
const MAX_DYNAMIC: usize = 4096;

/// Applications made from requests, by path and identity.
type Made = HashMap<(Bytes, Option<Identity>), Arc<App>>;

/// Settings of the whole process.
#[derive(Debug, Default)]
pub struct Process {
    apps: Vec<Arc<App>>,
    by_path: Table<Vec<usize>>,
    /// `FastCgiIpcDir`, or the default once a socket needs it.
    pub ipc_dir: Option<IpcDir>,
    /// `FastCgiWrapper`: the program.
    pub wrapper: Option<Bytes>,
    /// `FastCgiConfig`.
    pub dynamic: Draft,
    /// How often `User` and `Group` had changed at the last directive that cares (C-46).
    identity_seen: Option<u32>,
    /// Programs that an auth phase asks, and that no directive defines.
    candidates: Vec<authorizers::Candidate>,
    /// Programs that the server starts.
    started: Vec<authorizers::Candidate>,
    /// Where `FastCgiWrapper` stands: its name, and its line.
    wrapper_at: Option<(crate::syntax::Span, u32)>,
    made: Mutex<Made>,
}

impl Process {
    /// Where the sockets of dynamic applications are.
    pub fn dynamic_directory(&self) -> Vec<u8> {
        path::join(self.ipc_dir.as_ref().map_or(&b""[..], |dir| &dir.path), b"dynamic")
    }

    /// Is the directory of sockets wanted whatever requests come?
    pub fn needs_directory(&self) -> bool {
        let is_static = |app: &Arc<App>| app.kind == Kind::Static;
        self.ipc_dir.as_ref().is_some_and(|dir| dir.given.is_some())
            || self.apps.iter().any(is_static)
    }

    /// All static and external applications, in the order of their definition.
    pub fn apps(&self) -> &[Arc<App>] {
        &self.apps
    }

    /// The static or external application for a file: the one whose path is the longest
    /// of the file's own path and the paths above it (S-3; longest match by Q-5).
    pub fn matches(&self, file: &[u8]) -> Option<&Arc<App>> {
        self.find(file, None)
    }

    /// The same for an identity: with a wrapper an application is path, user and group
    /// (S-6).
    pub fn find(&self, file: &[u8], identity: Option<(u32, u32)>) -> Option<&Arc<App>> {
        if self.by_path.is_empty() {
            return None;
        }
        let merged;
        let file = if path::has_2slash(file) {
            merged = path::no2slash(file);
            &merged
        } else {
            file
        };
        let shortest = self.by_path.shortest();
        let mut end = file.len();
        while end >= shortest {
            let found = self.by_path.get(&file[..end]).and_then(|indices| {
                indices.iter().map(|i| &self.apps[*i]).find(|app| {
                    match (&app.identity, identity) {
                        (Some(own), Some((uid, gid))) => own.uid == uid && own.gid == gid,
                        _ => true,
                    }
                })
            });
            if found.is_some() {
                return found;
            }
            end = file[..end].iter().rposition(|&b| b == b'/').filter(|end| *end > 0)?;
        }
        None
    }

    /// Is this the path that an external application was given?
    pub fn is_external(&self, file: &[u8]) -> bool {
        let indices = self.by_path.get(file).map_or(&[][..], Vec::as_slice);
        indices.iter().any(|i| self.apps[*i].kind == Kind::External)
    }

    /// Is this a program that an auth phase asks?
    pub fn is_authorizer(&self, file: &[u8]) -> bool {
        self.candidates.iter().any(|candidate| candidate.program == file)
    }

    fn add(&mut self, app: App) {
        let path = app.path.clone();
        self.apps.push(Arc::new(app));
        self.by_path.entry(path).push(self.apps.len() - 1);
    }

    /// Is exactly this path defined already?
    fn defined(&self, path: &[u8], identity: Option<&Identity>) -> Option<&Arc<App>> {
        let indices = self.by_path.get(path)?;
        indices.iter().map(|i| &self.apps[*i]).find(|app| {
            match (&app.identity, identity) {
                (Some(a), Some(b)) => a.uid == b.uid && a.gid == b.gid,
                _ => true,
            }
        })
    }

    /// The dynamic application at a path. Its socket's name is that of the original
    /// (K-2).
    pub fn dynamic_app(&self, file: &[u8], identity: Option<Identity>) -> Arc<App> {
        let key = (Bytes::copy_from_slice(file), identity);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(app) = made.get(&key) {
            return app.clone();
        }
        if made.len() >= MAX_DYNAMIC {
            made.clear();
        }
        let (user, group) = match &key.1 {
            None => ("-".to_owned(), "-".to_owned()),
            Some(identity) if identity.user.starts_with('~') => {
                (identity.user.clone(), "-".to_owned())
            }
            Some(identity) => (identity.uid.to_string(), identity.gid.to_string()),
        };
        let name = ipc::socket_name(file, &user, &group);
        let socket = path::join(&self.dynamic_directory(), name.as_bytes());
        let app = Arc::new(App {
            path: key.0.clone(),
            kind: Kind::Dynamic,
            address: Address::Unix(socket.into()),
            settings: self.dynamic.settings.clone(),
            identity: key.1.clone(),
            span: None,
            class: None,
        });
        made.insert(key, app.clone());
        app
    }
}

/// The words of a raw directive, the application's path first: absolute, normalised,
/// without a slash at its end (C-9, Q-6).
fn path_and_rest(at: &Scope, args: &Text) -> Option<Result<(Bytes, Vec<Word>)>> {
    let mut words = Word::all(args).into_iter();
    let first = words.next()?;
    let rest = words.collect();
    let Some(mut path) = at.server_relative(&first.bytes) else {
        let message = format!("{} {}: invalid filepath", at.cmd.name, first.lossy());
        return Some(Err(Problem::from(message).at(first.span)));
    };
    if path.len() > 1 && path.last() == Some(&b'/') {
        path.pop();
    }
    Some(Ok((path.into(), rest)))
}

/// Reads options into `draft`. `subject` is what messages begin with: the directive, and
/// for applications their path (C-13, C-14).
fn read_options(
    at: &Scope,
    words: &[Word],
    kind: u8,
    subject: &str,
    draft: &mut Draft,
) -> Result {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(opt) = option::find(OPTIONS, kind, word) else {
            let message = format!("{subject}: invalid option: {}", word.lossy());
            return Err(Problem::from(message).at(word.span).help(advice(kind, word)));
        };
        let empty = Word { bytes: Bytes::new(), span: word.span, quoted: false };
        let value =
            if opt.arg == Arg::Flag { word } else { words.next().unwrap_or(&empty) };
        let shown = if opt.name == "-min-server-life" { at.cmd.name } else { subject };
        let refused = |why: String| {
            let message = format!("{shown}: invalid value for {}: {why}", word.lossy());
            Problem::from(message).at(value.span)
        };
        let read = options::value(opt.arg, &value.bytes, at.files()).map_err(refused)?;
        (opt.set)(draft, &read).map_err(refused)?;
    }
    let settings = &draft.settings;
    let alone = match (settings.keep_conn, settings.nph) {
        (false, _) => "-no-keep-conn",
        (_, true) => "-nph",
        _ => return Ok(()),
    };
    let queue = match (settings.queue_timeout, settings.queue_length) {
        (0, None) => return Ok(()),
        (0, Some(_)) => "-queue-length",
        _ => "-queue-timeout",
    };
    let message =
        format!("{subject}: {queue} and {alone} are mutually exclusive options");
    Err(Problem::from(message).help(
        "how many requests an application takes at a time, and who has to wait, is learnt from \
         connections that are used again",
    ))
}

/// What could have been meant by an option that there is not.
fn advice(kind: u8, word: &Word) -> String {
    let typed = word.lossy().to_ascii_lowercase();
    let near = OPTIONS
        .iter()
        .filter(|opt| opt.on & kind != 0)
        .map(|opt| {
            (
                crate::schema::lookup::distance(&typed, &opt.name.to_ascii_lowercase()),
                opt.name,
            )
        })
        .min();
    match near {
        Some((distance, name)) if distance <= 3 => format!("did you mean {name}?"),
        _ if OPTIONS.iter().any(|opt| word.is(opt.name)) => {
            "this option belongs to another FastCgi directive".to_owned()
        }
        _ => "an option begins with a dash; a path with blanks needs quotes".to_owned(),
    }
}

/// What the final `User` may not use, once everything has been read.
pub(crate) fn check_access(
    process: &crate::modules::Process,
    files: &dyn Files,
) -> Vec<Diagnostic> {
    let mut found = authorizers::check_access(process, files);
    found.extend(ipc::check_access(process, files));
    found.extend(ipc::check_wrapper(process, files));
    found
}

/// Refuses a change of `User` or `Group` between directives that depend on them (C-46).
fn check_identity(at: &mut Scope, subject: &str) -> Result {
    let process = at.process();
    let now = process.core.identity_changes;
    let before = process.fastcgi.identity_seen.replace(now);
    if process.core.euid == 0 && before.is_some_and(|before| before != now) {
        let message = format!(
            "{subject}: User/Group commands must preceed FastCGI server definitions"
        );
        return Err(message.into());
    }
    Ok(())
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_fastcgi.c",
    id: "fastcgi_module",
    directives: &[
        &server::FAST_CGI_SERVER,
        &external::FAST_CGI_EXTERNAL_SERVER,
        &dynamic::FAST_CGI_CONFIG,
        &ipc::FAST_CGI_IPC_DIR,
        &ipc::FAST_CGI_WRAPPER,
        &authorizers::FAST_CGI_AUTHENTICATOR,
        &authorizers::FAST_CGI_AUTHENTICATOR_AUTHORITATIVE,
        &authorizers::FAST_CGI_AUTHORIZER,
        &authorizers::FAST_CGI_AUTHORIZER_AUTHORITATIVE,
        &authorizers::FAST_CGI_ACCESS_CHECKER,
        &authorizers::FAST_CGI_ACCESS_CHECKER_AUTHORITATIVE,
    ],
    hooks: &[
        on(Phase::Access, phases::access)
            .where_set(|at| at.dir.fastcgi.access_checker.is_some()),
        // Before other authentication, whatever the order of modules.
        first(Phase::Authn, phases::authenticate)
            .where_set(|at| at.dir.fastcgi.authenticator.is_some()),
        on(Phase::Authz, phases::authorize)
            .where_set(|at| at.dir.fastcgi.authorizer.is_some()),
        on(Phase::Fixups, handler::fixups)
            .where_set(|at| !at.process.fastcgi.by_path.is_empty()),
        on(Phase::Handle, handler::handle).of_handlers(handler::HANDLERS),
    ],
};

/// Which options a kind of directive takes, for its page.
pub fn options_page(kind: u8) -> String {
    let mut page = String::new();
    for opt in OPTIONS.iter().filter(|opt| opt.on & kind != 0) {
        let argument = match opt.arg.shown() {
            "" => String::new(),
            shown => format!(" *{shown}*"),
        };
        let default = match opt.default {
            "" => String::new(),
            default => format!(" Default: {default}."),
        };
        page += &format!("- `{}`{argument}: {}{default}\n", opt.name, opt.docs);
    }
    page
}
