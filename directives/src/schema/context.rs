//! Where a directive may stand.

/// A set of places in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context(u8);

impl Context {
    /// The main server.
    pub const SERVER: Context = Context(1);
    /// `<VirtualHost>`.
    pub const VHOST: Context = Context(2);
    /// `<Directory>`, `<Location>`, `<Files>`, `<If>` and their like.
    pub const DIRECTORY: Context = Context(4);
    /// `.htaccess` files.
    pub const HTACCESS: Context = Context(8);
    /// The main server and virtual hosts: httpd's `RSRC_CONF`.
    pub const SERVERS: Context = Context(3);
    /// Containers only: httpd's `ACCESS_CONF`.
    pub const CONTAINERS: Context = Context(4);
    /// Containers and `.htaccess`.
    pub const PER_DIRECTORY: Context = Context(12);
    /// All but `.htaccess`.
    pub const CONFIG: Context = Context(7);
    /// Everywhere.
    pub const ANYWHERE: Context = Context(15);

    /// Is one of `other`'s places among these?
    pub fn allows(self, other: Context) -> bool {
        self.0 & other.0 != 0
    }

    /// The places in httpd's words, as its manual lists them.
    pub fn describe(self) -> String {
        let all = [
            (Context::SERVER, "server config"),
            (Context::VHOST, "virtual host"),
            (Context::DIRECTORY, "directory"),
            (Context::HTACCESS, ".htaccess"),
        ];
        let named = all.iter().filter(|(place, _)| self.allows(*place)).map(|p| p.1);
        named.collect::<Vec<_>>().join(", ")
    }
}

/// A set of `AllowOverride` classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Override(pub u8);

impl Override {
    /// No class.
    pub const NONE: Override = Override(0);
    /// `AuthConfig`.
    pub const AUTH_CONFIG: Override = Override(1);
    /// `Limit`.
    pub const LIMIT: Override = Override(2);
    /// `Options`.
    pub const OPTIONS: Override = Override(4);
    /// `FileInfo`.
    pub const FILE_INFO: Override = Override(8);
    /// `Indexes`.
    pub const INDEXES: Override = Override(16);
    /// Every class: allowed unless `AllowOverride None`.
    pub const ALL: Override = Override(31);

    /// The classes by name, in the order in which httpd lists them.
    pub const NAMES: [(Override, &'static str); 5] = [
        (Override::AUTH_CONFIG, "AuthConfig"),
        (Override::LIMIT, "Limit"),
        (Override::OPTIONS, "Options"),
        (Override::FILE_INFO, "FileInfo"),
        (Override::INDEXES, "Indexes"),
    ];

    /// Is one class in both sets?
    pub fn meets(self, other: Override) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets.
    #[must_use]
    pub const fn with(self, other: Override) -> Override {
        Override(self.0 | other.0)
    }

    /// The names of the classes, joined by `or`.
    pub fn describe(self) -> String {
        let named = Override::NAMES.iter().filter(|(class, _)| self.meets(*class));
        named.map(|(_, name)| *name).collect::<Vec<_>>().join(" or ")
    }
}
