//! A whole compiled configuration, immutable: servers by address and name, their roots of
//! the merge tree, and the hooks of every phase.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use crate::bundle::Sources;
use crate::compile::Build;
use crate::diagnostic::{Diagnostic, codes};
use crate::expand::Item;
use crate::hooks::{self, Hooks};
use crate::merge::Merged;
use crate::modules::core::Protocol;
use crate::modules::{self, DirConfig, DirPart, Process, ServerConfig, ServerPart};
use crate::pattern::wild_match;
use crate::phase::Phase;
use crate::schema::Module;
use crate::syntax::Span;
use crate::walk::{Directories, Locations};

/// A virtual host while it is compiled.
#[derive(Debug)]
pub struct VirtualHost {
    /// The addresses of its opening tag.
    pub addresses: Vec<HostAddress>,
    /// Its server settings.
    pub server: ServerPart,
    /// Its settings for all of its URL space.
    pub dir: DirPart,
    /// Where it stands.
    pub span: Span,
    /// The line of its opening tag.
    pub line: u32,
}

/// An address of a `<VirtualHost>` tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The name as written, without its port.
    pub name: String,
    /// The address; `None` for `*` and `_default_`.
    pub ip: Option<IpAddr>,
    /// The port; `None` for all.
    pub port: Option<u16>,
}

/// The main server or a virtual host.
#[derive(Debug)]
pub struct Server {
    /// Its settings.
    pub config: ServerConfig,
    /// The root of its merge tree (`lookup_defaults`).
    pub root: Arc<Merged>,
    /// Its `<Location>` sections, the main server's first.
    pub locations: Arc<Locations>,
    /// Its `<Directory>` sections in the order of merging.
    pub directories: Directories,
    /// The addresses of its tag; empty for the main server.
    pub addresses: Vec<HostAddress>,
    /// File name and line of its tag, for `-S`.
    pub place: Option<(String, u32)>,
}

/// Virtual hosts that share an address and port, in order; the first is the default.
#[derive(Debug, Default)]
pub struct NameList {
    /// The servers.
    pub servers: Vec<Arc<Server>>,
    exact: HashMap<String, usize>,
    wild: Vec<(usize, String)>,
}

impl NameList {
    fn add(&mut self, server: &Arc<Server>, written: &str) {
        let index = self.servers.len();
        self.servers.push(server.clone());
        let core = &server.config.core;
        let names =
            core.server_name.iter().filter(|_| core.name_is_own).chain(&core.aliases);
        for name in names {
            let name = name.to_ascii_lowercase();
            if name.contains(['*', '?']) {
                self.wild.push((index, name));
            } else {
                self.exact.entry(name).or_insert(index);
            }
        }
        let written = written.to_ascii_lowercase();
        if written.parse::<IpAddr>().is_err() && !written.contains('*') {
            self.exact.entry(written).or_insert(index);
        }
    }

    fn find(&self, host: &str) -> Option<&Arc<Server>> {
        let exact = self.exact.get(host).copied();
        let wild = self
            .wild
            .iter()
            .take_while(|(index, _)| exact.is_none_or(|exact| *index < exact))
            .find(|(_, pattern)| wild_match(pattern.as_bytes(), host.as_bytes()))
            .map(|(index, _)| *index);
        wild.or(exact).map(|index| &self.servers[index])
    }
}

/// A whole configuration.
#[derive(Debug)]
pub struct Snapshot {
    /// `ServerRoot`.
    pub server_root: Vec<u8>,
    /// `Define`s, for `.htaccess` files and `-S`.
    pub defines: IndexMap<String, Option<String>>,
    /// The texts.
    pub sources: Arc<Sources>,
    /// Settings of the whole process.
    pub process: Process,
    /// The main server, then the virtual hosts.
    pub servers: Vec<Arc<Server>>,
    /// Virtual hosts by address; `None` stands for every address, or every port.
    pub by_address: Vec<(Option<IpAddr>, Option<u16>, NameList)>,
    lookup: FxHashMap<(Option<IpAddr>, Option<u16>), usize>,
    /// The directives, if a handler shows them.
    pub recorded: Vec<modules::info::Line>,
    /// What was read, if requests may be explained: others have no use for it.
    pub read: Vec<Item>,
    /// Modules that `LoadModule` lines name.
    loaded: HashSet<String>,
    /// The most header fields that any server takes, `LimitRequestFields`; 0 is no limit.
    pub most_fields: u64,
    /// A server speaks HTTP/2 without TLS.
    pub speaks_h2c: bool,
    /// `.htaccess` files that were compiled.
    pub htaccess: crate::htaccess::Cache,
    /// The hooks of the modules that are at work.
    pub hooks: Hooks,
}

impl Snapshot {
    /// Does a `LoadModule` line name this module?
    pub fn names_module(&self, id: &str) -> bool {
        self.loaded.contains(id)
    }

    /// Is this module at work?
    pub fn has_module(&self, id: &str) -> bool {
        modules::is_at_work(id, &self.loaded)
    }

    /// The main server.
    pub fn main(&self) -> &Arc<Server> {
        &self.servers[0]
    }

    /// The virtual hosts of a local address, by httpd's rule: a list for the exact
    /// address wins over the lists for all addresses.
    pub fn names_at(&self, local: SocketAddr) -> Option<&NameList> {
        let (ip, port) = (Some(local.ip().to_canonical()), Some(local.port()));
        let keys = [(ip, port), (ip, None), (None, port), (None, None)];
        let index = keys.iter().find_map(|key| self.lookup.get(key))?;
        Some(&self.by_address[*index].2)
    }

    /// The server of an address for a client that named no host, or an unknown one.
    pub fn default_server(&self, local: SocketAddr) -> Arc<Server> {
        match self.names_at(local).and_then(|names| names.servers.first()) {
            Some(server) => server.clone(),
            None => self.main().clone(),
        }
    }

    /// The server of an address for `host` (lower case, no port).
    pub fn server_named(&self, local: SocketAddr, host: &str) -> Option<Arc<Server>> {
        self.names_at(local)?.find(host).cloned()
    }

    /// The server of an address whose `ServerPath` a path lies in: `check_serverpath`.
    pub fn server_with_path(&self, local: SocketAddr, uri: &[u8]) -> Option<Arc<Server>> {
        let mut servers = self.names_at(local)?.servers.iter();
        let found = servers.find(|server| {
            let prefix = server.config.core.server_path.as_deref();
            prefix.and_then(|prefix| uri.strip_prefix(prefix)).is_some_and(|rest| {
                let ends = prefix.is_some_and(|prefix| prefix.ends_with(b"/"));
                ends || matches!(rest.first(), None | Some(b'/'))
            })
        });
        found.cloned()
    }

    pub(crate) fn assemble(
        server_root: Vec<u8>,
        defines: IndexMap<String, Option<String>>,
        sources: Arc<Sources>,
        main: ServerPart,
        main_dir: DirPart,
        loaded: &HashSet<String>,
        build: &mut Build<'_>,
    ) -> Arc<Snapshot> {
        let nothing = ServerPart::default();
        let base = DirConfig::default().with(&main_dir);
        let mut main_config = ServerConfig::merged(&main, &nothing);
        main_config.core.name_is_own = true;
        if main_config.core.server_name.is_none() {
            let name = "127.0.0.1";
            let message = format!(
                "Could not reliably determine the server's fully qualified domain name, using \
                 {name}. Set the 'ServerName' directive globally to suppress this message"
            );
            // Beside an error it would only distract.
            if !build.diagnostics.iter().any(Diagnostic::is_error) {
                build.diagnostics.push(Diagnostic::global(&codes::SERVER_NAME, message));
            }
            main_config.core.server_name = Some(name.to_owned());
        }
        let main_server = |config: ServerConfig| Server {
            locations: Arc::new(Locations::new(&config.core.locations)),
            directories: Directories::new(&config.core.directories),
            root: Merged::root(base.clone()),
            addresses: Vec::new(),
            place: None,
            config,
        };
        let fallback_name = main_config.core.server_name.clone();
        let mut servers = vec![Arc::new(main_server(main_config))];
        let mut by_address: Vec<(Option<IpAddr>, Option<u16>, NameList)> = Vec::new();
        let mut lookup = FxHashMap::default();
        for host in std::mem::take(&mut build.hosts) {
            let mut config = ServerConfig::merged(&main, &host.server);
            let own = host.server.core.as_ref();
            config.core.name_is_own = own.is_some_and(|core| core.server_name.is_some());
            // Without a name of its own its port is that of its tag: ap_parse_vhost_addrs.
            let first = host.addresses.first().and_then(|address| address.port);
            if !config.core.name_is_own && first.is_some() {
                config.core.port = first;
            }
            if config.core.server_name.is_none() {
                config.core.server_name.clone_from(&fallback_name);
            }
            let server = Arc::new(Server {
                root: Merged::root(base.with(&host.dir)),
                locations: Locations::of_host(
                    &servers[0].locations,
                    own.map_or(&[], |core| &core.locations),
                ),
                directories: Directories::new(&config.core.directories),
                addresses: host.addresses.clone(),
                place: Some((sources.name(host.span.file).to_owned(), host.line)),
                config,
            });
            for address in &host.addresses {
                let key = (address.ip, address.port);
                let index = *lookup.entry(key).or_insert_with(|| {
                    by_address.push((key.0, key.1, NameList::default()));
                    by_address.len() - 1
                });
                by_address[index].2.add(&server, &address.name);
            }
            servers.push(server);
        }
        let fields = |server: &Arc<Server>| server.config.core.limit_request_fields();
        let unlimited = servers.iter().any(|server| fields(server) == 0);
        let most_fields =
            if unlimited { 0 } else { servers.iter().map(fields).max().unwrap_or(0) };
        let speaks_h2c = servers
            .iter()
            .any(|server| server.config.core.protocols().contains(&Protocol::H2c));
        Arc::new(Snapshot {
            server_root,
            defines,
            sources,
            process: std::mem::take(&mut build.process),
            servers,
            by_address,
            lookup,
            most_fields,
            speaks_h2c,
            htaccess: crate::htaccess::Cache::default(),
            recorded: std::mem::take(&mut build.recorded),
            read: std::mem::take(&mut build.read),
            loaded: loaded.clone(),
            hooks: Hooks::new(loaded),
        })
    }
}

impl Snapshot {
    /// The module that the hook of a phase at `place` belongs to: see [`Hooks::of`].
    pub fn hooking_module(&self, phase: Phase, place: usize) -> Option<&'static Module> {
        hooks::module_of(&self.loaded, phase, place)
    }
}
