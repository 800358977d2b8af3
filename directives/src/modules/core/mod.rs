//! httpd's core: servers and sections, options, limits, the network, errors and logs.
//!
//! Directives that httpd's manual lists under `core`, `mod_so`, `mod_http`, `mod_unixd`,
//! `mod_version`, `mod_macro` and the MPMs stand here; each static module below is one
//! of those, so that `-l`, `-L` and `<IfModule>` know them by their names.

mod conditional;
mod error_document;
mod error_log_format;
mod files;
mod host;
mod limited;
mod limits;
mod logging;
mod network;
mod options;
mod overrides;
mod paths;
mod process;
mod protocols;
mod reading;
mod regex;
mod resources;
mod sections;
mod server;
mod storage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use conditional::{Branch, expr_wants};
pub use error_document::{ErrorDocument, Kind as ErrorKind};
pub use error_log_format::{Facts, Formats};
pub use host::{CanonicalName, Lookups, Signature, looks_up};
pub use limited::{Limited, PerMethod, is_method};
pub use logging::ErrorLog;
pub use network::Listen;
pub(crate) use network::listen;
pub use options::{OptionSet, Options};
pub use paths::translate;
pub use protocols::Protocol;
pub use resources::{Limit, Limits};

use crate::compile::Allowed;
use crate::content::etag::Components;
use crate::content::ranges;
use crate::filter;
use crate::log::Levels;
use crate::merge::Merge;
use crate::path::EncodedSlashes;
use crate::phase::{Phase, first, on, really_last};
use crate::schema::Module;
use crate::section::Section;
use crate::version::Tokens;

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    /// `Options`.
    pub options: Options,
    /// `AllowOverride` and `AllowOverrideList`.
    pub allow_override: Option<Arc<Allowed>>,
    pub(crate) override_list: Option<Vec<String>>,
    /// `ErrorDocument` by status; `None` is `default`.
    pub error_documents: BTreeMap<u16, Option<ErrorDocument>>,
    /// `SetHandler`; the inner `None` is `None`.
    pub handler: Option<Option<Bytes>>,
    /// `SetOutputFilter`.
    pub output_filters: Option<Arc<[filter::Kind]>>,
    /// `SetInputFilter DEFLATE`.
    pub inflates_input: Option<bool>,
    /// `ForceType`; the inner `None` is `None`.
    pub force_type: Option<Option<Bytes>>,
    /// `AddDefaultCharset`; the inner `None` is `Off`.
    pub add_default_charset: Option<Option<Bytes>>,
    /// `AcceptPathInfo`; the inner `None` is `default`.
    pub accept_path_info: Option<Option<bool>>,
    /// `FileETag`.
    pub etag: files::EtagSetting,
    /// `ServerSignature`.
    pub server_signature: Option<Signature>,
    /// `LimitRequestBody`, bytes; 0 is no limit.
    pub limit_request_body: Option<u64>,
    /// `HostnameLookups`.
    pub hostname_lookups: Option<Lookups>,
    /// `UseCanonicalName`.
    pub use_canonical_name: Option<CanonicalName>,
    /// `UseCanonicalPhysicalPort`.
    pub use_canonical_phys_port: Option<bool>,
    /// `LogLevel`.
    pub log: Option<Levels>,
    /// `CGIPassAuth`.
    pub cgi_pass_auth: Option<bool>,
    /// `CGIVar REQUEST_URI current-uri`.
    pub request_uri_current: Option<bool>,
    /// `QualifyRedirectURL`.
    pub qualify_redirect_url: Option<bool>,
    /// `AllowEncodedSlashes`.
    pub allow_encoded_slashes: Option<EncodedSlashes>,
    /// `MaxRanges`, `MaxRangeOverlaps`, `MaxRangeReversals`: 0 is `none`, `None` in the
    /// inner value is `unlimited`.
    pub max_ranges: [Option<Option<u64>>; 3],
    /// `RLimitCPU`, `RLimitMEM`, `RLimitNPROC`.
    pub rlimits: Limits,
    /// `<Files>` sections.
    pub files: Vec<Arc<Section>>,
    /// `<If>`, `<ElseIf>` and `<Else>` sections.
    pub branches: Vec<Branch>,
}

impl Merge for Dir {
    // See merge_core_dir_configs.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        macro_rules! or {
            ($field:ident) => {
                inner.$field.clone().or_else(|| outer.$field.clone())
            };
        }
        let mut error_documents = outer.error_documents.clone();
        error_documents.extend(inner.error_documents.clone());
        let files = outer.files.iter().chain(&inner.files).cloned().collect();
        let branches = outer.branches.iter().chain(&inner.branches).cloned().collect();
        let log = match (&outer.log, &inner.log) {
            (Some(outer), Some(inner)) => Some(logging::merge(outer, inner)),
            _ => or!(log),
        };
        let ranges = |i: usize| inner.max_ranges[i].or(outer.max_ranges[i]);
        Dir {
            options: Options::merge(&outer.options, &inner.options),
            allow_override: or!(allow_override),
            override_list: or!(override_list),
            error_documents,
            handler: or!(handler),
            output_filters: or!(output_filters),
            inflates_input: or!(inflates_input),
            force_type: or!(force_type),
            add_default_charset: or!(add_default_charset),
            accept_path_info: or!(accept_path_info),
            etag: files::EtagSetting::merge(outer.etag, inner.etag),
            server_signature: or!(server_signature),
            limit_request_body: or!(limit_request_body),
            hostname_lookups: or!(hostname_lookups),
            use_canonical_name: or!(use_canonical_name),
            use_canonical_phys_port: or!(use_canonical_phys_port),
            log,
            cgi_pass_auth: or!(cgi_pass_auth),
            request_uri_current: or!(request_uri_current),
            qualify_redirect_url: or!(qualify_redirect_url),
            allow_encoded_slashes: or!(allow_encoded_slashes),
            max_ranges: [ranges(0), ranges(1), ranges(2)],
            rlimits: Limits::merge(outer.rlimits, inner.rlimits),
            files,
            branches,
        }
    }
}

impl Dir {
    /// What an entity tag is made of.
    pub fn file_etag(&self) -> Components {
        self.etag.components()
    }

    /// How many ranges a request may ask for.
    pub fn range_limits(&self) -> ranges::Limits {
        let limit = |i: usize, default: u64| self.max_ranges[i].unwrap_or(Some(default));
        ranges::Limits {
            ranges: limit(0, 200),
            overlaps: limit(1, 20),
            reversals: limit(2, 20),
        }
    }

    /// The longest body that is taken, bytes; `None` is no limit. httpd's default is
    /// 1 GiB since 2.4.53.
    pub fn body_limit(&self) -> Option<u64> {
        Some(self.limit_request_body.unwrap_or(1 << 30)).filter(|&limit| limit > 0)
    }
}

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    /// `ServerName`, without scheme and port.
    pub server_name: Option<String>,
    /// The name was given for this very host.
    pub name_is_own: bool,
    /// `ServerName`'s port.
    pub port: Option<u16>,
    /// `ServerName`'s scheme.
    pub scheme: Option<String>,
    /// `ServerAlias`.
    pub aliases: Vec<String>,
    /// `ServerAdmin`.
    pub server_admin: Option<String>,
    /// `ServerPath`.
    pub server_path: Option<Bytes>,
    /// `DocumentRoot`; empty if none was given.
    pub document_root: Bytes,
    /// `ErrorLog`.
    pub error_log: Option<ErrorLog>,
    /// `ErrorLogFormat`; httpd's format without it.
    pub error_log_format: Option<Formats>,
    /// `LogLevel` at server level.
    pub log: Option<Levels>,
    /// `AccessFileName`.
    pub access_names: Option<Vec<Bytes>>,
    /// `Timeout`.
    pub timeout: Option<Duration>,
    /// `KeepAlive`.
    pub keep_alive: Option<bool>,
    /// `KeepAliveTimeout`.
    pub keep_alive_timeout: Option<Duration>,
    /// `MaxKeepAliveRequests`; 0 is no limit.
    pub max_keep_alive_requests: Option<u32>,
    /// `LimitRequestLine`, bytes.
    pub limit_request_line: Option<u64>,
    /// `LimitRequestFields`; 0 is no limit.
    pub limit_request_fields: Option<u64>,
    /// `LimitRequestFieldSize`, bytes.
    pub limit_request_field_size: Option<u64>,
    /// `LimitInternalRecursion`: redirects, sub-requests.
    pub limit_internal_recursion: Option<(u32, u32)>,
    /// `TraceEnable`.
    pub trace: Option<limits::Trace>,
    /// `MergeSlashes`.
    pub merge_slashes: Option<bool>,
    /// `HttpProtocolOptions RegisteredMethods`: other methods end with the request line.
    pub registered_methods: Option<bool>,
    /// `StrictHostCheck`.
    pub strict_host_check: Option<bool>,
    /// `MergeTrailers`.
    pub merge_trailers: Option<bool>,
    /// `Protocol`: TLS, or not, where `SSLEngine` does not say it.
    pub is_https: Option<bool>,
    /// `Protocols`.
    pub protocols: Option<Vec<Protocol>>,
    /// `ProtocolsHonorOrder`.
    pub protocols_honor_order: Option<bool>,
    /// `<Directory>` sections in the order of the texts.
    pub directories: Vec<Arc<Section>>,
    /// `<Location>` sections in the order of the texts.
    pub locations: Vec<Arc<Section>>,
}

impl Merge for Server {
    // See merge_core_server_configs. A virtual host has a name, aliases and a path of
    // its own; sections of the main server come first.
    fn merge(main: &Server, own: &Server) -> Server {
        macro_rules! or {
            ($field:ident) => {
                own.$field.clone().or_else(|| main.$field.clone())
            };
        }
        let chain = |main: &[Arc<Section>], own: &[Arc<Section>]| {
            main.iter().chain(own).cloned().collect::<Vec<_>>()
        };
        let log = match (&main.log, &own.log) {
            (Some(main), Some(own)) => Some(logging::merge(main, own)),
            _ => or!(log),
        };
        let root = if own.document_root.is_empty() { main } else { own };
        Server {
            server_name: or!(server_name),
            name_is_own: own.name_is_own || own.server_name.is_some(),
            port: if own.server_name.is_some() { own.port } else { main.port },
            scheme: or!(scheme),
            aliases: own.aliases.clone(),
            server_admin: or!(server_admin),
            server_path: own.server_path.clone(),
            document_root: root.document_root.clone(),
            error_log: or!(error_log),
            error_log_format: Formats::merged(
                main.error_log_format.as_ref(),
                own.error_log_format.as_ref(),
            ),
            log,
            access_names: or!(access_names),
            timeout: or!(timeout),
            keep_alive: or!(keep_alive),
            keep_alive_timeout: or!(keep_alive_timeout),
            max_keep_alive_requests: or!(max_keep_alive_requests),
            limit_request_line: or!(limit_request_line),
            limit_request_fields: or!(limit_request_fields),
            limit_request_field_size: or!(limit_request_field_size),
            limit_internal_recursion: or!(limit_internal_recursion),
            trace: or!(trace),
            merge_slashes: or!(merge_slashes),
            registered_methods: or!(registered_methods),
            strict_host_check: or!(strict_host_check),
            merge_trailers: or!(merge_trailers),
            is_https: or!(is_https),
            protocols: or!(protocols),
            protocols_honor_order: or!(protocols_honor_order),
            directories: chain(&main.directories, &own.directories),
            locations: chain(&main.locations, &own.locations),
        }
    }
}

/// Settings of the whole process.
#[derive(Debug)]
pub struct Process {
    /// `Listen`.
    pub listen: Vec<Listen>,
    /// `ListenBackLog`.
    pub backlog: u32,
    /// `User`: name and number.
    pub user: Option<(String, u32)>,
    /// The primary group of `User`.
    pub user_gid: Option<u32>,
    /// `Group`: name and number.
    pub group: Option<(String, u32)>,
    /// How often `User` and `Group` were given; FastCGI directives look whether they
    /// changed (C-46).
    pub identity_changes: u32,
    /// Methods of other names than httpd's own: of `<Limit>` and `RegisterHttpMethod`.
    pub methods: Vec<String>,
    /// `PidFile`, absolute.
    pub pid_file: Option<Bytes>,
    /// `ServerTokens`.
    pub server_tokens: Tokens,
    /// `GracefulShutdownTimeout`; zero is no limit.
    pub graceful_shutdown_timeout: Duration,
    /// `GracefulShutdownDelay`.
    pub graceful_shutdown_delay: Duration,
    /// `ExtendedStatus`.
    pub extended_status: bool,
    /// `SeeRequestTail`.
    pub see_request_tail: bool,
    /// `RegexDefaultOptions` so far.
    pub regex: crate::pattern::Options,
    /// `DefaultRuntimeDir`.
    pub runtime_dir: Option<Bytes>,
    /// `PATH` for applications: the server's own, or a built-in one.
    pub path_variable: Bytes,
    /// `LD_LIBRARY_PATH` of the server, which applications are told, too.
    pub library_path: Option<Bytes>,
    /// `TZ` of the server.
    pub time_zone: Option<Bytes>,
    /// The identity under which the configuration is read: effective user and group.
    pub euid: u32,
    /// The group.
    pub egid: u32,
    banner: std::sync::OnceLock<Bytes>,
}

impl Default for Process {
    fn default() -> Process {
        Process {
            listen: Vec::new(),
            backlog: 511,
            user: None,
            user_gid: None,
            group: None,
            identity_changes: 0,
            methods: Vec::new(),
            pid_file: None,
            server_tokens: Tokens::default(),
            graceful_shutdown_timeout: Duration::ZERO,
            graceful_shutdown_delay: Duration::ZERO,
            extended_status: true,
            see_request_tail: false,
            regex: crate::pattern::Options::default(),
            runtime_dir: None,
            path_variable: Bytes::from_static(
                b"/bin:/usr/bin:/usr/ucb:/usr/bsd:/usr/local/bin",
            ),
            library_path: None,
            time_zone: None,
            euid: 0,
            egid: 0,
            banner: std::sync::OnceLock::new(),
        }
    }
}

impl Process {
    /// The `Server` field.
    pub fn banner(&self) -> &Bytes {
        self.banner.get_or_init(|| crate::version::server(self.server_tokens).into())
    }

    /// The user that serves: `User` if root started the server (httpd's default is
    /// `#-1`), otherwise whoever started it.
    pub fn uid(&self) -> u32 {
        if self.euid != 0 {
            return self.euid;
        }
        self.user.as_ref().map_or(u32::MAX, |(_, uid)| *uid)
    }

    /// The group that serves.
    pub fn gid(&self) -> u32 {
        if self.euid != 0 {
            return self.egid;
        }
        self.group.as_ref().map_or(u32::MAX, |(_, gid)| *gid)
    }

    /// The name of the user that serves; empty for a number without an account.
    pub fn user_name(&self) -> &str {
        self.user.as_ref().map_or("", |(name, _)| name.as_str())
    }
}

/// `core.c`.
pub static MODULE: Module = Module {
    name: "core.c",
    id: "core_module",
    directives: &[
        &sections::DIRECTORY,
        &sections::LOCATION,
        &sections::VIRTUAL_HOST,
        &sections::FILES,
        &reading::IF_MODULE,
        &reading::IF_DEFINE,
        &reading::IF_FILE,
        &reading::IF_DIRECTIVE,
        &reading::IF_SECTION,
        &sections::DIRECTORY_MATCH,
        &sections::LOCATION_MATCH,
        &sections::FILES_MATCH,
        &files::ADD_DEFAULT_CHARSET,
        &files::ACCEPT_PATH_INFO,
        &reading::DEFINE,
        &reading::UNDEFINE,
        &reading::ERROR,
        &overrides::ACCESS_FILE_NAME,
        &paths::DOCUMENT_ROOT,
        &error_document::ERROR_DOCUMENT,
        &overrides::ALLOW_OVERRIDE,
        &overrides::ALLOW_OVERRIDE_LIST,
        &options::OPTIONS,
        &files::DEFAULT_TYPE,
        &files::FILE_ETAG,
        &files::ENABLE_MMAP,
        &files::ENABLE_SENDFILE,
        &host::HOSTNAME_LOOKUPS,
        &server::SERVER_ADMIN,
        &server::SERVER_NAME,
        &host::SERVER_SIGNATURE,
        &reading::SERVER_ROOT,
        &paths::DEFAULT_RUNTIME_DIR,
        &logging::ERROR_LOG,
        &error_log_format::ERROR_LOG_FORMAT,
        &server::SERVER_ALIAS,
        &server::SERVER_PATH,
        &server::STRICT_HOST_CHECK,
        &network::TIMEOUT,
        &protocols::PROTOCOL,
        &protocols::PROTOCOLS,
        &protocols::PROTOCOLS_HONOR_ORDER,
        &protocols::HTTP_PROTOCOL_OPTIONS,
        &protocols::MERGE_TRAILERS,
        &files::CONTENT_DIGEST,
        &host::USE_CANONICAL_NAME,
        &host::USE_CANONICAL_PHYSICAL_PORT,
        &reading::INCLUDE,
        &reading::INCLUDE_OPTIONAL,
        &logging::LOG_LEVEL,
        &server::NAME_VIRTUAL_HOST,
        &process::SERVER_TOKENS,
        &limits::LIMIT_REQUEST_LINE,
        &limits::LIMIT_REQUEST_FIELD_SIZE,
        &limits::LIMIT_REQUEST_FIELDS,
        &limits::LIMIT_REQUEST_BODY,
        &limits::LIMIT_XML_REQUEST_BODY,
        &process::MUTEX,
        &limits::MAX_RANGES,
        &limits::MAX_RANGE_OVERLAPS,
        &limits::MAX_RANGE_REVERSALS,
        &limits::LIMIT_INTERNAL_RECURSION,
        &resources::RLIMIT_CPU,
        &resources::RLIMIT_MEM,
        &resources::RLIMIT_NPROC,
        &regex::REGEX_DEFAULT_OPTIONS,
        &paths::CGI_PASS_AUTH,
        &paths::CGI_VAR,
        &paths::QUALIFY_REDIRECT_URL,
        &files::FORCE_TYPE,
        &files::SET_HANDLER,
        &files::SET_OUTPUT_FILTER,
        &files::SET_INPUT_FILTER,
        &paths::ALLOW_ENCODED_SLASHES,
        &process::PID_FILE,
        &limits::TRACE_ENABLE,
        &conditional::IF,
        &conditional::ELSE_IF,
        &conditional::ELSE,
        &limited::LIMIT,
        &limited::LIMIT_EXCEPT,
        &limited::REGISTER_HTTP_METHOD,
        &paths::MERGE_SLASHES,
        &process::EXTENDED_STATUS,
        &process::SEE_REQUEST_TAIL,
    ],
    hooks: &[
        first(Phase::Received, host::names).where_set(|at| looks_up(at.dir)),
        first(Phase::Headers, host::names).where_set(|at| looks_up(at.dir)),
        on(Phase::UrlSections, conditional::walk)
            .where_set(|at| !at.dir.core.branches.is_empty()),
        on(Phase::Sections, conditional::walk)
            .where_set(|at| !at.dir.core.branches.is_empty()),
        really_last(Phase::Translate, translate),
        first(Phase::Map, crate::content::before_storage),
        really_last(Phase::Map, storage::map_to_storage),
        first(Phase::Fixups, files::override_type),
        really_last(Phase::Handle, files::default_handler),
    ],
};

/// `mod_so.c`: everything is built in; the directive is accepted.
pub static SO: Module = Module {
    name: "mod_so.c",
    id: "so_module",
    directives: &[&reading::LOAD_MODULE, &reading::LOAD_FILE],
    hooks: &[],
};

/// `http_core.c`: keeping connections.
pub static HTTP: Module = Module {
    name: "http_core.c",
    id: "http_module",
    directives: &[
        &network::KEEP_ALIVE_TIMEOUT,
        &network::MAX_KEEP_ALIVE_REQUESTS,
        &network::KEEP_ALIVE,
    ],
    hooks: &[],
};

/// `mod_unixd.c`: under whose name the server runs.
pub static UNIXD: Module = Module {
    name: "mod_unixd.c",
    id: "unixd_module",
    directives: &[&process::USER, &process::GROUP],
    hooks: &[],
};

/// `mod_version.c`.
pub static VERSION: Module = Module {
    name: "mod_version.c",
    id: "version_module",
    directives: &[&reading::IF_VERSION],
    hooks: &[],
};

/// `mod_macro.c`.
pub static MACRO: Module = Module {
    name: "mod_macro.c",
    id: "macro_module",
    directives: &[&reading::MACRO, &reading::USE, &reading::UNDEF_MACRO],
    hooks: &[],
};

/// The process model, in the place of httpd's event MPM.
pub static MPM: Module = Module {
    name: "event.c",
    id: "mpm_event_module",
    directives: &[
        &network::LISTEN,
        &network::LISTEN_BACKLOG,
        &process::GRACEFUL_SHUTDOWN_DELAY,
        &process::GRACEFUL_SHUTDOWN_TIMEOUT,
    ],
    hooks: &[],
};
