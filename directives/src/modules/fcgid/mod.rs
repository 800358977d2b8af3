//! mod_fcgid: applications that the server starts for requests, one request at a time in
//! each process. Defaults are mod_fcgid's (2.3.9). Which processes there are is the process
//! manager's business, by the rules of [`class`].

mod authorizers;
pub mod class;
mod environment;
pub mod guard;
mod handler;
pub(crate) mod limit;
mod numbers;
mod wrapper;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::fastcgi;
use super::fastcgi::Identity;
use super::fastcgi::app::App;
use crate::merge::Merge;
use crate::phase::{Phase, first, on};
use crate::schema::Module;
pub use class::{Class, Command, Limits, Rules};
pub use handler::{failure_line, stderr_line};

/// The handler's name.
pub const HANDLER: &[u8] = b"fcgid-script";

/// How many applications of a server are remembered between requests.
const MAX_MADE: usize = 4096;

/// Settings of the whole process.
#[derive(Debug, Default)]
pub struct Process {
    /// What holds for all classes together.
    pub limits: Limits,
    /// Commands that directives outside `.htaccess` name: wrappers and authorizers.
    commands: Vec<Command>,
}

impl Process {
    /// Does the configuration name this command?
    pub fn names(&self, command: &Command) -> bool {
        self.commands.contains(command)
    }
}

/// Applications made from requests.
type Made = HashMap<(Command, Option<Identity>), Arc<App>>;

/// Settings of a server. What is not set has mod_fcgid's default.
#[derive(Debug, Default)]
pub struct Server {
    numbers: numbers::Numbers,
    /// `FcgidInitialEnv`, by name.
    env: BTreeMap<Bytes, Bytes>,
    /// `FcgidPassHeader`.
    pass_headers: Vec<Bytes>,
    /// `FcgidCmdOptions`, by program.
    options: BTreeMap<Bytes, wrapper::Options>,
    made: Mutex<Made>,
}

impl Merge for Server {
    fn merge(outer: &Server, inner: &Server) -> Server {
        let mut env = outer.env.clone();
        env.extend(inner.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        let mut options = outer.options.clone();
        let own = inner.options.iter();
        options.extend(own.map(|(program, options)| (program.clone(), options.clone())));
        Server {
            numbers: Merge::merge(&outer.numbers, &inner.numbers),
            env,
            pass_headers: [&outer.pass_headers[..], &inner.pass_headers].concat(),
            options,
            made: Mutex::default(),
        }
    }
}

impl Server {
    /// The most that a request's body may be, bytes: `FcgidMaxRequestLen`.
    pub fn max_request_length(&self) -> u64 {
        self.numbers.max_request_length.unwrap_or(numbers::MAX_REQUEST_LENGTH)
    }

    /// `FcgidPassHeader`.
    pub fn pass_headers(&self) -> &[Bytes] {
        &self.pass_headers
    }

    /// The application that a command is on this server, called `host`.
    pub fn app(
        &self,
        process: &super::Process,
        host: &str,
        command: &Command,
        identity: Option<Identity>,
    ) -> Arc<App> {
        let key = (command.clone(), identity);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(app) = made.get(&key) {
            return app.clone();
        }
        if made.len() >= MAX_MADE {
            made.clear();
        }
        let app = Arc::new(class::app(self, process, host, command, key.1.clone()));
        made.insert(key, app.clone());
        app
    }
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    /// `FcgidWrapper`, by suffix; the empty one is for names without one of their own.
    wrappers: BTreeMap<Bytes, wrapper::Wrapper>,
    /// The applications that decide.
    pub authorizers: fastcgi::Dir,
}

impl Merge for Dir {
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let mut wrappers = outer.wrappers.clone();
        wrappers
            .extend(inner.wrappers.iter().map(|(suffix, w)| (suffix.clone(), w.clone())));
        let authorizers = Merge::merge(&outer.authorizers, &inner.authorizers);
        Dir { wrappers, authorizers }
    }
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_fcgid.c",
    id: "fcgid_module",
    directives: &[
        &wrapper::WRAPPER,
        &wrapper::CMD_OPTIONS,
        &environment::INITIAL_ENV,
        &environment::PASS_HEADER,
        &environment::FIX_PATHINFO,
        &numbers::MAX_REQUEST_LEN,
        &numbers::MAX_REQUEST_IN_MEM,
        &numbers::OUTPUT_BUFFER_SIZE,
        &numbers::IO_TIMEOUT,
        &numbers::CONNECT_TIMEOUT,
        &numbers::IDLE_TIMEOUT,
        &numbers::BUSY_TIMEOUT,
        &numbers::PROCESS_LIFE_TIME,
        &numbers::MAX_REQUESTS_PER_PROCESS,
        &numbers::MAX_PROCESSES_PER_CLASS,
        &numbers::MIN_PROCESSES_PER_CLASS,
        &numbers::MAX_PROCESSES,
        &numbers::IDLE_SCAN_INTERVAL,
        &numbers::BUSY_SCAN_INTERVAL,
        &numbers::ERROR_SCAN_INTERVAL,
        &numbers::ZOMBIE_SCAN_INTERVAL,
        &numbers::SPAWN_SCORE,
        &numbers::SPAWN_SCORE_UP_LIMIT,
        &numbers::TERMINATION_SCORE,
        &numbers::TIME_SCORE,
        &environment::IPC_DIR,
        &environment::PROCESS_TABLE_FILE,
        &environment::WIN32_PREVENT_ORPHANS,
        &authorizers::AUTHENTICATOR,
        &authorizers::AUTHENTICATOR_AUTHORITATIVE,
        &authorizers::AUTHORIZER,
        &authorizers::AUTHORIZER_AUTHORITATIVE,
        &authorizers::ACCESS_CHECKER,
        &authorizers::ACCESS_CHECKER_AUTHORITATIVE,
    ],
    hooks: &[
        on(Phase::Access, authorizers::access)
            .where_set(|at| at.dir.fcgid.authorizers.access_checker.is_some()),
        first(Phase::Authn, authorizers::authenticate)
            .where_set(|at| at.dir.fcgid.authorizers.authenticator.is_some()),
        on(Phase::Authz, authorizers::authorize)
            .where_set(|at| at.dir.fcgid.authorizers.authorizer.is_some()),
        on(Phase::Handle, handler::handle).of_handlers(&[HANDLER]),
    ],
};
