//! What a configuration comes to for servers that are not httpd: hosts, what leads to
//! files and to applications, and who may come in.

/// All of it.
#[derive(Debug, Default)]
pub struct Site {
    /// `User` and `Group`.
    pub user: Option<String>,
    /// See there.
    pub group: Option<String>,
    /// The hosts, in the order of the texts.
    pub hosts: Vec<Host>,
    /// The applications that some host leads to.
    pub apps: Vec<App>,
}

/// One host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Names; the first is the server's own.
    pub names: Vec<String>,
    /// Addresses and ports; an empty address for all.
    pub listens: Vec<(String, u16)>,
    /// `DocumentRoot`.
    pub root: String,
    /// `DirectoryIndex`.
    pub index: Vec<String>,
    /// `ErrorLog`, a file.
    pub error_log: Option<String>,
    /// `CustomLog`, a file.
    pub access_log: Option<String>,
    /// `LimitRequestBody`, bytes.
    pub body_limit: Option<u64>,
    /// Certificate and key.
    pub tls: Option<(String, String)>,
    /// URL prefixes that lead to directories elsewhere.
    pub aliases: Vec<(String, String)>,
    /// What leads to applications.
    pub routes: Vec<Route>,
    /// Who may come in where.
    pub guards: Vec<Guard>,
    /// What leads to other URLs: status, pattern, target.
    pub redirects: Vec<(u16, String, String)>,
    /// `ErrorDocument`s that are paths.
    pub errors: Vec<(u16, String)>,
    /// `SetEnv` of the whole host.
    pub env: Vec<(String, String)>,
    /// `Header set` of the whole host.
    pub headers: Vec<(String, String)>,
}

/// URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// A path and what lies below it; without a final slash, empty for everything.
    Prefix(String),
    /// A regular expression on the path.
    Path(String),
    /// A regular expression on the last name of the path.
    Name(String),
}

/// What leads to an application.
#[derive(Clone, Debug)]
pub struct Route {
    /// The URLs.
    pub matcher: Matcher,
    /// The application: an index into [`Site::apps`].
    pub app: usize,
    /// The application is the script, and the rest of the path its PATH_INFO; otherwise the
    /// file that the URL leads to is the script (as php has it).
    pub is_script: bool,
}

/// Who may come in.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Where.
    pub matcher: Matcher,
    /// Who.
    pub rule: Rule,
}

/// Who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Everybody.
    Granted,
    /// Nobody; also where it cannot be said who.
    Denied,
    /// Clients from these addresses.
    Addresses(Vec<String>),
    /// Users in a file, under a realm.
    Users {
        /// `AuthName`.
        realm: String,
        /// `AuthUserFile`.
        file: String,
    },
}

/// An application.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// Its path.
    pub path: String,
    /// `unix:/path` or `host:port`.
    pub address: String,
    /// httpd started it: so many processes.
    pub processes: Option<u32>,
    /// `-idle-timeout`, seconds.
    pub idle_timeout: Option<u32>,
    /// `-appConnTimeout`, seconds.
    pub connect_timeout: Option<u32>,
    /// `-initial-env`.
    pub env: Vec<(String, String)>,
    /// `-flush`.
    pub flush: bool,
    /// `-user` and `-group`.
    pub identity: (Option<String>, Option<String>),
}

impl App {
    /// The command that starts what httpd started.
    pub fn start(&self) -> Option<String> {
        let processes = self.processes?;
        let listen = match self.address.strip_prefix("unix:") {
            Some(path) => format!("-s {path}"),
            None => match self.address.rsplit_once(':') {
                Some((host, port)) => format!("-a {host} -p {port}"),
                None => String::new(),
            },
        };
        let mut out = format!("fcgi-conf spawn {listen} -F {processes}");
        if let Some(user) = &self.identity.0 {
            out += &format!(" -u {user}");
        }
        if let Some(group) = &self.identity.1 {
            out += &format!(" -g {group}");
        }
        out += " --";
        if !self.env.is_empty() {
            out += " env";
            self.env.iter().for_each(|(name, value)| out += &format!(" {name}={value}"));
        }
        Some(format!("{out} {}", self.path))
    }
}
