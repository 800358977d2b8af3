//! The servers that a configuration can be carried over to, and what each lacks.

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// nginx.
    Nginx,
    /// Caddy, as a Caddyfile.
    Caddy,
    /// lighttpd 1.4.
    Lighttpd,
    /// httpd with the modules that come with it.
    Httpd,
}

/// What a configuration may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Becoming another user.
    User,
    /// The error log's file.
    ErrorLog,
    /// A page for errors.
    ErrorPage,
    /// Passwords from a file that `htpasswd` writes.
    Passwords,
    /// Applications that the server starts.
    Start,
    /// HTTP without TLS at port 443.
    PlainAt443,
}

impl Target {
    /// All.
    pub const ALL: [Target; 4] =
        [Target::Nginx, Target::Caddy, Target::Lighttpd, Target::Httpd];

    /// As the command line says it.
    pub fn name(self) -> &'static str {
        match self {
            Target::Nginx => "nginx",
            Target::Caddy => "caddy",
            Target::Lighttpd => "lighttpd",
            Target::Httpd => "httpd",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Why it cannot do something; `None` if it can.
    pub fn lacks(self, feature: Feature) -> Option<&'static str> {
        Some(match (self, feature) {
            (Target::Caddy, Feature::User) => {
                "Caddy stays the user that it was started as"
            }
            (Target::Caddy, Feature::PlainAt443) => {
                "Caddy has no HTTP without TLS at port 443"
            }
            (Target::Caddy, Feature::ErrorLog) => {
                "Caddy writes its errors to its journal"
            }
            (Target::Caddy, Feature::Passwords) => {
                "Caddy wants passwords in its own file, and only bcrypt's: it is denied there"
            }
            (Target::Lighttpd, Feature::ErrorPage) => {
                "lighttpd has files for errors, not URLs"
            }
            (Target::Nginx | Target::Caddy | Target::Httpd, Feature::Start) => {
                "it does not start applications: run the command at the head of the file"
            }
            _ => return None,
        })
    }
}
