//! The three phases, each with a gate `/virtual/gate` before `/app`.

use anyhow::Result;
use compat_tests::guarded::Guarded;

/// One of them.
pub struct Phase {
    /// The directive that names the application.
    pub directive: &'static str,
    /// `FCGI_APACHE_ROLE`.
    pub role: &'static str,
    /// The status of a denial.
    pub denied: u16,
    /// The beginning of the line about one.
    pub line: &'static str,
}

/// All of them.
pub const PHASES: [Phase; 3] = [
    Phase {
        directive: "FastCgiAccessChecker",
        role: "ACCESS_CHECKER",
        denied: 403,
        line: "FastCGI: access denied: ",
    },
    Phase {
        directive: "FastCgiAuthenticator",
        role: "AUTHENTICATOR",
        denied: 401,
        line: "FastCGI: authentication failed for user \"ann\": ",
    },
    Phase {
        directive: "FastCgiAuthorizer",
        role: "AUTHORIZER",
        denied: 401,
        line: "FastCGI: authorization failed for user \"ann\": ",
    },
];

impl Phase {
    /// What stands in a section: the gate with options, and what the phase needs besides.
    /// Ann's password is "secret"; nobody but the gate objects to her.
    pub fn lines(&self, options: &str) -> String {
        let user = match self.role {
            "ACCESS_CHECKER" => "",
            _ => {
                "AuthType Basic\nAuthName Realm\nAuthUserFile conf/users\nRequire valid-user\n"
            }
        };
        format!("{user}{} {{root}}/virtual/gate {options}\n", self.directive)
    }

    /// `/app` and the files of the site behind the gate, which always answers the same;
    /// further lines stand in the section.
    pub fn guard(&self, answer: &str, options: &str, lines: &str) -> Result<Guarded> {
        let mut guarded = Guarded::new()?;
        guarded.gate("gate", answer, "-idle-timeout 1")?;
        guarded.site.root.write("htdocs/a.txt", b"a file\n")?;
        let own = self.lines(options);
        guarded.serve(&format!(
            "<Directory {{root}}/htdocs>\n{own}{lines}\n</Directory>\n"
        ))?;
        Ok(guarded)
    }
}
