//! What the command line prints: versions, modules, directives, virtual hosts, in the
//! forms that scripts parse.

use directives::Snapshot;
use directives::bundle::{HTTPD_ROOT, SERVER_CONFIG_FILE};
use directives::log::Level;
use directives::modules::MODULES;
use directives::modules::core::ErrorLog;
use directives::schema::render;
use directives::snapshot::Server;
use directives::version::{self, HTTPD, PRODUCT, Tokens, VERSION};

/// `-v`.
pub fn version() -> String {
    let [major, minor, patch] = HTTPD;
    format!(
        "Server version: {PRODUCT}/{VERSION} Apache/{major}.{minor}.{patch} (Unix)\nServer built:   {}\n",
        built()
    )
}

/// There is no date in the program: the same sources give the same program.
pub fn built() -> &'static str {
    option_env!("FCGI_HTTPD_BUILT").unwrap_or("(reproducible build)")
}

/// `-V`.
pub fn settings() -> String {
    let bits = usize::BITS;
    format!(
        "{}Server's Module Magic Number: 20120211:142\nArchitecture:   {bits}-bit\nServer MPM:     \
         event\n  threaded:     yes (fixed thread count)\n    forked:     yes (fixed process \
         count)\nServer compiled with....\n -D APR_HAVE_IPV6 (IPv4-mapped addresses enabled)\n \
         -D HTTPD_ROOT=\"{HTTPD_ROOT}\"\n -D SUEXEC_BIN=\"/usr/lib/apache2/suexec\"\n -D \
         DEFAULT_PIDLOG=\"logs/httpd.pid\"\n -D DEFAULT_ERRORLOG=\"logs/error_log\"\n -D \
         AP_TYPES_CONFIG_FILE=\"mime.types\"\n -D SERVER_CONFIG_FILE=\"{SERVER_CONFIG_FILE}\"\n",
        version()
    )
}

/// `-l`.
pub fn compiled_in() -> String {
    let names = MODULES.iter().map(|module| format!("  {}\n", module.name));
    format!("Compiled in modules:\n{}", names.collect::<String>())
}

/// `-L`.
pub fn directives() -> String {
    let mut out = String::new();
    for module in MODULES {
        for directive in module.directives {
            out += &render::listing(directive, module);
        }
    }
    out
}

/// `-M`.
pub fn modules() -> String {
    let names = MODULES.iter().map(|module| format!(" {} (static)\n", module.id));
    format!("Loaded Modules:\n{}", names.collect::<String>())
}

/// `-t -D DUMP_INCLUDES`.
pub fn includes(snapshot: &Snapshot) -> String {
    let mut out = String::from("Included configuration files:\n");
    for source in snapshot.sources.iter().filter(|source| source.is_file) {
        use directives::bundle::Origin;
        let line = match source.origin {
            Origin::Root => "(*)".to_owned(),
            Origin::Included { line, .. } => format!("({line})"),
        };
        out += &format!("  {line} {}\n", source.name);
    }
    out
}

/// `-S`: virtual hosts and run settings.
pub fn virtual_hosts(snapshot: &Snapshot) -> String {
    let mut out = String::from("VirtualHost configuration:\n");
    // httpd lists exact addresses before the ones for all.
    let mut lists: Vec<_> = snapshot.by_address.iter().collect();
    lists.sort_by_key(|(ip, ..)| ip.is_none());
    for (ip, port, names) in lists {
        let host = ip.map_or("*".to_owned(), |ip| match ip {
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            std::net::IpAddr::V4(ip) => ip.to_string(),
        });
        let port = port.map_or("*".to_owned(), |port| port.to_string());
        let address = format!("{host}:{port}");
        match &names.servers[..] {
            [only] if only.config.core.aliases.is_empty() => {
                out += &format!("{address:22} {} {}\n", name(only), place(only));
            }
            servers => {
                out += &format!("{address:22} is a NameVirtualHost\n");
                if let Some(first) = servers.first() {
                    out += &format!(
                        "         default server {} {}\n",
                        name(first),
                        place(first)
                    );
                }
                for server in servers {
                    out += &format!(
                        "         port {port} namevhost {} {}\n",
                        name(server),
                        place(server)
                    );
                    for alias in &server.config.core.aliases {
                        let wild = if alias.contains(['*', '?']) { "wild " } else { "" };
                        out += &format!("                 {wild}alias {alias}\n");
                    }
                }
            }
        }
    }
    out
}

fn name(server: &Server) -> &str {
    server.config.core.server_name.as_deref().unwrap_or("localhost")
}

fn place(server: &Server) -> String {
    server.place.as_ref().map_or(String::new(), |(file, line)| format!("({file}:{line})"))
}

/// The second part of `-S`.
pub fn run_settings(snapshot: &Snapshot) -> String {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let core = &snapshot.main().config.core;
    let process = &snapshot.process.core;
    let log = match &core.error_log {
        Some(ErrorLog::File(path)) => lossy(path),
        Some(ErrorLog::Pipe { command, .. }) => format!("|{}", lossy(command)),
        Some(ErrorLog::Syslog(text)) => text.clone(),
        None => lossy(&directives::path::join(&snapshot.server_root, b"logs/error_log")),
    };
    let mut out = format!("ServerRoot: \"{}\"\n", lossy(&snapshot.server_root));
    out += &format!(
        "Main DocumentRoot: \"{}\"\nMain ErrorLog: \"{log}\"\n",
        lossy(&core.document_root)
    );
    out += &format!("PidFile: \"{}\"\n", lossy(&pid_file(snapshot)));
    for (define, value) in &snapshot.defines {
        out += &match value {
            Some(value) => format!("Define: {define}={value}\n"),
            None => format!("Define: {define}\n"),
        };
    }
    let shown = |id: &Option<(String, u32)>| match id {
        Some((name, id)) => format!("name=\"{name}\" id={id}"),
        None => format!("name=\"#-1\" id={}", u32::MAX),
    };
    let not_root = if process.euid == 0 { "" } else { " not_used" };
    out += &format!(
        "User: {}{not_root}\nGroup: {}{not_root}\n",
        shown(&process.user),
        shown(&process.group)
    );
    out
}

/// `PidFile`, or its default.
pub fn pid_file(snapshot: &Snapshot) -> Vec<u8> {
    match &snapshot.process.core.pid_file {
        Some(path) => path.to_vec(),
        None => directives::path::join(&snapshot.server_root, b"logs/httpd.pid"),
    }
}

/// The name that the start-up notice carries.
pub fn banner() -> String {
    version::server(Tokens::Full)
}

/// A warning of the configuration, as a log line on the terminal.
pub fn warning(diagnostic: &directives::Diagnostic) -> String {
    let line = crate::log::error::plain(
        Level::Warn,
        diagnostic.code.module,
        diagnostic.code.ah.unwrap_or(0),
        &diagnostic.message,
    );
    String::from_utf8_lossy(&line).into_owned()
}
