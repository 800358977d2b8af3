//! One FastCGI application class: static, dynamic or external.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::modules::fcgid;
use crate::syntax::Span;

/// Who starts an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This server, and keeps it running: `FastCgiServer`.
    Static,
    /// This server, when a request needs it.
    Dynamic,
    /// This server, when a request needs it, in mod_fcgid's way: `fcgid-script`.
    Fcgid,
    /// Somebody else: `FastCgiExternalServer`.
    External,
    /// Somebody else: an upstream of mod_proxy.
    Upstream,
}

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket's path.
    Unix(Bytes),
    /// TCP addresses, to be tried in order.
    Tcp(Vec<SocketAddr>),
}

/// An application's settings; defaults are those of the original.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `-processes`.
    pub processes: u32,
    /// `-init-start-delay`, seconds.
    pub init_start_delay: u32,
    /// `-restart-delay`, seconds.
    pub restart_delay: u32,
    /// `-min-server-life`, seconds.
    pub min_server_life: u32,
    /// `-priority`: added to the nice value.
    pub priority: u32,
    /// `-listen-queue-depth`.
    pub listen_queue_depth: u32,
    /// `-appConnTimeout`, seconds; 0 waits as long as it takes.
    pub app_conn_timeout: u32,
    /// `-idle-timeout`, seconds.
    pub idle_timeout: u32,
    /// `-port`.
    pub port: Option<u16>,
    /// `-listen-all`: the port is open to other machines.
    pub listen_all: bool,
    /// `-socket` as written.
    pub socket: Option<Bytes>,
    /// `-host`: as written, and its addresses.
    pub host: Option<(String, Vec<SocketAddr>)>,
    /// `-initial-env`: `NAME=value`.
    pub initial_env: Vec<(Bytes, Bytes)>,
    /// `-pass-header`.
    pub pass_headers: Vec<Bytes>,
    /// `-flush`.
    pub flush: bool,
    /// Not `-no-keep-conn`.
    pub keep_conn: bool,
    /// `-queue-timeout`, seconds that a request waits here for its turn; 0 waits as the
    /// original did, in the application's own queue.
    pub queue_timeout: u32,
    /// `-queue-length`: requests that may wait here for their turn; `None` for no limit.
    pub queue_length: Option<u32>,
    /// `-nph`.
    pub nph: bool,
    /// `-kill-signal`: its number.
    pub kill_signal: u32,
    /// `-user` as written.
    pub user: Option<String>,
    /// `-group` as written.
    pub group: Option<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            processes: 1,
            init_start_delay: 1,
            restart_delay: 5,
            min_server_life: 30,
            priority: 0,
            listen_queue_depth: 100,
            app_conn_timeout: 0,
            idle_timeout: 30,
            port: None,
            listen_all: false,
            socket: None,
            host: None,
            initial_env: Vec::new(),
            pass_headers: Vec::new(),
            flush: false,
            keep_conn: true,
            queue_timeout: 0,
            queue_length: None,
            nph: false,
            kill_signal: TERM,
            user: None,
            group: None,
        }
    }
}

/// The number of SIGTERM.
pub const TERM: u32 = 15;

/// How dynamic applications come and go: `FastCgiConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `-maxProcesses`.
    pub max_processes: u32,
    /// `-minProcesses`.
    pub min_processes: u32,
    /// `-maxClassProcesses`.
    pub max_class_processes: u32,
    /// `-killInterval`, seconds.
    pub kill_interval: u32,
    /// `-updateInterval`, seconds.
    pub update_interval: u32,
    /// `-gainValue`, 0 to 1.
    pub gain: f64,
    /// `-singleThreshold`, percent.
    pub single_threshold: u32,
    /// `-multiThreshold`, percent.
    pub multi_threshold: u32,
    /// `-startDelay`, seconds.
    pub start_delay: u32,
    /// `-processSlack`.
    pub process_slack: u32,
    /// `-restart`.
    pub restart: bool,
    /// `-autoUpdate`.
    pub auto_update: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            max_processes: 50,
            min_processes: 5,
            max_class_processes: 10,
            kill_interval: 300,
            update_interval: 300,
            gain: 0.5,
            single_threshold: 0,
            multi_threshold: 50,
            start_delay: 3,
            process_slack: 5,
            restart: false,
            auto_update: false,
        }
    }
}

/// Under whose name an application runs, with a wrapper.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The user as the wrapper is told: a name, or `~name`.
    pub user: String,
    /// The group as the wrapper is told.
    pub group: String,
}

/// One application class.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// Its path: the name by which requests find it and messages call it.
    pub path: Bytes,
    /// Who starts it.
    pub kind: Kind,
    /// Where it listens.
    pub address: Address,
    /// Its settings.
    pub settings: Settings,
    /// Under whose name it runs; `None` without a wrapper.
    pub identity: Option<Identity>,
    /// Where it was defined; `None` for dynamic ones.
    pub span: Option<Span>,
    /// What it is beside that of mod_fcgid's; `None` for others.
    pub class: Option<fcgid::Class>,
}

impl Kind {
    /// Does somebody else run it?
    pub fn is_foreign(self) -> bool {
        matches!(self, Kind::External | Kind::Upstream)
    }
}

impl App {
    /// Is the output of this application passed on unparsed? See H-11: a request's file
    /// name decides, or the option.
    pub fn is_nph(&self, filename: &[u8]) -> bool {
        self.settings.nph || crate::path::base_name(filename).starts_with(b"nph-")
    }
}
