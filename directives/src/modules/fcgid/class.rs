//! A class of processes: those of one command on one server under one user. What starts and
//! ends its processes are [`Rules`] of its own and [`Limits`] over all classes.

use bytes::Bytes;
use md5::{Digest, Md5};

use super::Server;
use crate::modules;
use crate::modules::fastcgi::Identity;
use crate::modules::fastcgi::app::{Address, App, Kind, Settings};

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// The program.
    pub path: Bytes,
    /// Its arguments, without its own name.
    pub args: Vec<Bytes>,
}

impl Command {
    /// A program without arguments.
    pub fn of(path: &Bytes) -> Command {
        Command { path: path.clone(), args: Vec::new() }
    }

    /// As mod_fcgid's messages have it: words with blanks between.
    pub fn shown(&self) -> String {
        let words = std::iter::once(&self.path).chain(&self.args);
        words.map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
    }
}

/// What makes an application a class of mod_fcgid's.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its arguments.
    pub args: Vec<Bytes>,
    /// The name of its server.
    pub host: String,
    /// When its processes come and go.
    pub rules: Rules,
}

/// When processes of a class come and go; times in seconds, 0 for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `FcgidMaxProcessesPerClass`.
    pub most: u32,
    /// `FcgidMinProcessesPerClass`: so many stay, whatever their age and idleness.
    pub least: u32,
    /// `FcgidIdleTimeout`.
    pub idle_timeout: u32,
    /// `FcgidProcessLifeTime`.
    pub life_time: u32,
    /// `FcgidBusyTimeout`.
    pub busy_timeout: u32,
    /// `FcgidMaxRequestsPerProcess`; 0 for any number.
    pub max_requests: u64,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            most: 100,
            least: 3,
            idle_timeout: 300,
            life_time: 3600,
            busy_timeout: 300,
            max_requests: 0,
        }
    }
}

/// What holds for all classes together; intervals in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `FcgidMaxProcesses`.
    pub processes: u32,
    /// `FcgidIdleScanInterval`.
    pub idle_scan: u32,
    /// `FcgidBusyScanInterval`.
    pub busy_scan: u32,
    /// `FcgidErrorScanInterval`: how long a process that was told to end may take.
    pub error_scan: u32,
    /// `FcgidSpawnScore`.
    pub spawn_score: i32,
    /// `FcgidSpawnScoreUpLimit`.
    pub score_limit: i32,
    /// `FcgidTerminationScore`.
    pub termination_score: i32,
    /// `FcgidTimeScore`, in a second.
    pub time_score: i32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            processes: 1000,
            idle_scan: 120,
            busy_scan: 120,
            error_scan: 3,
            spawn_score: 1,
            score_limit: 10,
            termination_score: 2,
            time_score: 1,
        }
    }
}

/// How long a request waits for a process: mod_fcgid looks 64 times, once in a second.
pub const PATIENCE: u32 = 64;

/// The application that a command is. `FcgidCmdOptions` for its program take the place of
/// everything that the server says.
pub(super) fn app(
    server: &Server,
    process: &modules::Process,
    host: &str,
    command: &Command,
    identity: Option<Identity>,
) -> App {
    let options = server.options.get(&command.path);
    let numbers = options.map_or(&server.numbers, |options| &options.numbers);
    let env = options.map_or(&server.env, |options| &options.env);
    let core = &process.core;
    let mut initial_env: Vec<(Bytes, Bytes)> = Vec::with_capacity(env.len() + 3);
    // What the process finds without a word about it.
    let found = [
        (&b"PATH"[..], Some(&core.path_variable)),
        (b"LD_LIBRARY_PATH", core.library_path.as_ref()),
        (b"TZ", core.time_zone.as_ref()),
    ];
    for (name, value) in found {
        if let Some(value) = value.filter(|_| !env.contains_key(name)) {
            initial_env.push((Bytes::from_static(name), value.clone()));
        }
    }
    initial_env.extend(env.iter().map(|(name, value)| (name.clone(), value.clone())));
    let settings = Settings {
        processes: 0,
        idle_timeout: numbers.io_timeout(),
        app_conn_timeout: numbers.connect_timeout(),
        initial_env,
        pass_headers: server.pass_headers.clone(),
        flush: false,
        keep_conn: false,
        // `DEFAULT_FCGID_LISTENBACKLOG`.
        listen_queue_depth: 5,
        ..Settings::default()
    };
    let socket = socket(process, host, command, identity.as_ref());
    App {
        path: command.path.clone(),
        kind: Kind::Fcgid,
        address: Address::Unix(socket),
        settings,
        identity,
        span: None,
        class: Some(Class {
            args: command.args.clone(),
            host: host.to_owned(),
            rules: numbers.rules(),
        }),
    }
}

/// The socket of a process of a class, by the class's address and the process's number.
pub fn socket_of(base: &[u8], serial: u64) -> Bytes {
    [base, b".", serial.to_string().as_bytes()].concat().into()
}

/// What the names of the sockets of a class's processes begin with.
fn socket(
    process: &modules::Process,
    host: &str,
    command: &Command,
    identity: Option<&Identity>,
) -> Bytes {
    let mut digest = Md5::new();
    let mut add = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    add(b"fcgid");
    add(host.as_bytes());
    add(&command.path);
    command.args.iter().for_each(|arg| add(arg));
    if let Some(identity) = identity {
        add(identity.user.as_bytes());
        add(identity.group.as_bytes());
    }
    let name: String =
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    crate::path::join(&process.fastcgi.dynamic_directory(), name.as_bytes()).into()
}
