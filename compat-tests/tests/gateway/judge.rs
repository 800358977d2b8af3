//! Our server as an auth service, an authorizer `/virtual/auth` before `/members`, and
//! the application `/app` on the port of clients.

use anyhow::Result;
use compat_tests::front::ask;
use compat_tests::guarded::Guarded;
use compat_tests::http::Response;

/// Lets those in who send the cookie, and says who they are.
pub const SESSION: &str = "header=Variable-REMOTE_USER:+jane&header=Variable-groups:+staff\
                           &unless=HTTP_COOKIE s%3Dgood&status=401";

/// One of them.
pub struct Judge {
    /// The site; callers are answered on its other port.
    pub guarded: Guarded,
    dialect: &'static str,
}

impl Judge {
    /// A service of a dialect, with further lines in its virtual host.
    pub fn new(dialect: &'static str, gate: &str, lines: &str) -> Result<Judge> {
        Judge::with(dialect, gate, lines, "")
    }

    /// The same, with lines before the virtual host.
    pub fn with(
        dialect: &'static str,
        gate: &str,
        lines: &str,
        before: &str,
    ) -> Result<Judge> {
        let mut guarded = Guarded::new()?;
        guarded.gate("auth", gate, "-idle-timeout 2")?;
        guarded.serve(&format!(
            "Listen 127.0.0.1:{{port2}}
            {before}
            <VirtualHost 127.0.0.1:{{port2}}>
                GatewayService {dialect}
                GatewayTrust 127.0.0.1
                <Location /members>
                    FastCgiAuthorizer {{root}}/virtual/auth -compat -pass-response
                </Location>
                {lines}
            </VirtualHost>\n"
        ))?;
        Ok(Judge { guarded, dialect })
    }

    /// Asks about a request of 203.0.113.7 for `https://app.example.org`; further fields are
    /// those that the client sent.
    pub fn ask(&self, line: &str, fields: &[&str]) -> Result<Response> {
        let (method, uri) = line.split_once(' ').unwrap_or((line, "/"));
        let own = match self.dialect {
            "nginx" => vec![
                format!("X-Original-Method: {method}"),
                format!("X-Original-URI: {uri}"),
                "X-Forwarded-Host: app.example.org".to_owned(),
                "X-Forwarded-Proto: https".to_owned(),
                "X-Real-IP: 203.0.113.7".to_owned(),
            ],
            "forward" => vec![
                format!("X-Forwarded-Method: {method}"),
                format!("X-Forwarded-Uri: {uri}"),
                "X-Forwarded-Host: app.example.org".to_owned(),
                "X-Forwarded-Proto: https".to_owned(),
                "X-Forwarded-For: 203.0.113.7".to_owned(),
            ],
            _ => vec![
                "Host: app.example.org".to_owned(),
                "X-Forwarded-Proto: https".to_owned(),
                "X-Forwarded-For: 203.0.113.7".to_owned(),
            ],
        };
        let line = if self.dialect == "envoy" { line } else { "GET /" };
        let all: Vec<&str> =
            own.iter().map(String::as_str).chain(fields.iter().copied()).collect();
        self.call(line, &all)
    }

    /// Calls with these fields and no others.
    pub fn call(&self, line: &str, fields: &[&str]) -> Result<Response> {
        ask(self.guarded.site.root.other_port, line, fields)
    }

    /// How often the authorizer was asked.
    pub fn calls(&self) -> usize {
        self.guarded.calls("auth").len()
    }
}
