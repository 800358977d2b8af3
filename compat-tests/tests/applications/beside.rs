//! An application under apache2 and under our server: laid out anew at the same place,
//! visited in the same way, and every answer compared.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Address, Application};
use compat_tests::http::{Client, Response};
use compat_tests::normal;
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};

/// What httpd has to load for these applications; ours has all of it.
const MODULES: &[&str] = &[
    "mpm_event",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_host",
    "authz_user",
    "auth_basic",
    "access_compat",
    "alias",
    "dir",
    "mime",
    "env",
    "setenvif",
    "actions",
    "rewrite",
    "headers",
    "expires",
    "filter",
    "deflate",
    "brotli",
    "autoindex",
    "negotiation",
    "vhost_alias",
    "proxy",
    "proxy_fcgi",
];

const BEGINNING: &str = r#"
ServerRoot "{root}"
Listen 127.0.0.1:{port}
ServerName www.example.org
PidFile run/httpd.pid
ErrorLog logs/error_log
User www-data
Group www-data
TypesConfig /etc/mime.types
DocumentRoot "{root}/htdocs"
DirectoryIndex index.html index.php
<Directory />
    Options FollowSymLinks
    AllowOverride None
    Require all denied
</Directory>
"#;

/// PHP as mod_proxy_fcgi's documentation and Debian's php-fpm have it.
const PROXY: &str = r#"
<FilesMatch ".+\.ph(?:ar|p|tml)$">
    SetHandler "proxy:unix:{root}/run/php.sock|fcgi://localhost"
</FilesMatch>
"#;

/// PHP as mod_fastcgi's users have it. What a directory says about answers does not hold
/// for the path that the action leads to, with httpd neither.
pub const ACTION: &str = r"
FastCgiExternalServer {root}/virtual/php -socket {root}/run/php.sock -pass-header Authorization
<Directory {root}/virtual>
    Require all granted
</Directory>
Alias /php-gate {root}/virtual/php
AddHandler site-php .php
Action site-php /php-gate
";

/// An application and what is done with it.
pub struct Case<'a> {
    /// Lays it out below `htdocs` and `app`, which are empty, and gives php-fpm's lines.
    pub install: &'a dyn Fn(&Root) -> Result<String>,
    /// How mod_fastcgi's directives lead to PHP: [`ACTION`], or without a redirect.
    pub fastcgi: &'a str,
    /// PHP's extensions that it needs.
    pub extensions: &'a [&'a str],
    /// Its configuration, with `{root}` and `{port}`.
    pub conf: &'a str,
    /// Requests, and what has to be true of the answers under any server.
    pub visit: &'a dyn Fn(&mut Visitor<'_>) -> Result<()>,
    /// What stands before words that no two visits have in common.
    pub secrets: &'a [&'a str],
}

/// Visits the application under apache2, and under ours with mod_proxy_fcgi's directives
/// and with mod_fastcgi's: all answers have to be the same.
pub fn compare(case: &Case<'_>) -> Result<()> {
    let root = Root::new()?;
    std::fs::create_dir(root.join("virtual"))?;
    let theirs = heard(&root, case, Kind::Apache, PROXY).context("under apache2")?;
    for (gateway, name) in [(PROXY, "mod_proxy_fcgi"), (case.fastcgi, "mod_fastcgi")] {
        let ours = heard(&root, case, Kind::Ours, gateway)
            .with_context(|| format!("under ours, by {name}'s directives"))?;
        ensure!(
            theirs.len() == ours.len(),
            "{} and {} answers",
            theirs.len(),
            ours.len()
        );
        let mut differences = String::new();
        for ((asked, theirs), (_, ours)) in theirs.iter().zip(&ours) {
            if theirs != ours {
                differences += &format!("{asked}\n{}\n", difference(theirs, ours));
            }
        }
        ensure!(differences.is_empty(), "by {name}'s directives:\n{differences}");
    }
    Ok(())
}

/// The lines that differ.
fn difference(theirs: &str, ours: &str) -> String {
    let only = |of: &str, not: &str, mark: &str| {
        let lines = of.lines().filter(|line| !not.lines().any(|other| other == *line));
        lines.map(|line| format!("  {mark} {line}\n")).collect::<String>()
    };
    only(theirs, ours, "apache2:") + &only(ours, theirs, "ours:")
}

fn heard(
    root: &Root,
    case: &Case<'_>,
    kind: Kind,
    gateway: &str,
) -> Result<Vec<(String, String)>> {
    for name in ["htdocs", "app", "tmp"] {
        let directory = root.join(name);
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        std::fs::create_dir(&directory)?;
    }
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(root.join("tmp"), everybody)?;
    let pool = (case.install)(root)?;
    let address = Address::Unix(root.join("run/php.sock"));
    let _php = Application::php_fpm_with(root, address, &pool, case.extensions)?;
    let modules = MODULES.iter().map(|name| {
        format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
    });
    let conf = modules.collect::<String>() + BEGINNING + gateway + case.conf;
    root.write("conf/httpd.conf", root.fill(&conf).as_bytes())?;
    let server = Server::start(kind, root)?;
    let mut visitor = Visitor {
        root,
        secrets: case.secrets,
        cookies: BTreeMap::new(),
        heard: Vec::new(),
    };
    (case.visit)(&mut visitor)
        .with_context(|| format!("{}\n{}", root.log("error_log"), root.log("php-fpm")))?;
    server.stop()?;
    Ok(visitor.heard)
}

/// Somebody with a browser: keeps cookies, and remembers what was answered.
pub struct Visitor<'a> {
    root: &'a Root,
    secrets: &'a [&'a str],
    cookies: BTreeMap<String, String>,
    heard: Vec<(String, String)>,
}

impl Visitor<'_> {
    /// Sends a request: method and target, fields, body.
    pub fn ask(&mut self, line: &str, fields: &[&str], body: &[u8]) -> Result<Response> {
        let mut client = Client::connect(self.root.port)?;
        let mut head =
            format!("{line} HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n");
        for field in fields {
            head += &format!("{field}\r\n");
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            head += &format!("Cookie: {}\r\n", pairs.join("; "));
        }
        if !body.is_empty() || line.starts_with("POST") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        client.send((head + "\r\n").as_bytes())?;
        client.send(body)?;
        let answer = client.response(line.split(' ').next().unwrap_or_default())?;
        self.keep(&answer);
        let text = normal::without_framing(&normal::response(&answer, self.root));
        self.heard.push((line.to_owned(), public(&text, self.secrets)));
        Ok(answer)
    }

    /// Asks for a target.
    pub fn get(&mut self, target: &str) -> Result<Response> {
        self.ask(&format!("GET {target}"), &[], b"")
    }

    /// Asks for a target; the answer has to have this status.
    pub fn expect(&mut self, status: u16, target: &str) -> Result<Response> {
        let answer = self.get(target)?;
        ensure!(answer.status == status, "{target}: {answer}");
        Ok(answer)
    }

    /// Sends a form; values are written as they are to be sent.
    pub fn post(&mut self, target: &str, form: &str) -> Result<Response> {
        let kind = ["Content-Type: application/x-www-form-urlencoded"];
        self.ask(&format!("POST {target}"), &kind, form.as_bytes())
    }

    /// Sends a form with a file in it.
    pub fn upload(
        &mut self,
        target: &str,
        fields: &[(&str, &str)],
        (field, name, content): (&str, &str, &[u8]),
    ) -> Result<Response> {
        let mut body = Vec::new();
        for (name, value) in fields {
            let part = format!(
                "--between\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend_from_slice(part.as_bytes());
        }
        let part = format!(
            "--between\r\nContent-Disposition: form-data; name=\"{field}\"; \
             filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(part.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--between--\r\n");
        let kind = ["Content-Type: multipart/form-data; boundary=between"];
        self.ask(&format!("POST {target}"), &kind, &body)
    }

    /// Somebody else comes, without cookies.
    pub fn forget(&mut self) {
        self.cookies.clear();
    }

    fn keep(&mut self, answer: &Response) {
        for (name, value) in &answer.headers {
            let pair = value.split(';').next().unwrap_or_default();
            let Some((cookie, word)) = pair.split_once('=') else { continue };
            if !name.eq_ignore_ascii_case("Set-Cookie") {
                continue;
            }
            let is_over = word.is_empty() || word == "deleted" || word == "-del-";
            if is_over {
                self.cookies.remove(cookie);
            } else {
                self.cookies.insert(cookie.to_owned(), word.to_owned());
            }
        }
    }
}

/// What stands in a page between two texts.
pub fn between<'a>(page: &'a str, before: &str, after: &str) -> Result<&'a str> {
    let rest = page.split_once(before).with_context(|| format!("no {before}"))?.1;
    Ok(rest.split_once(after).with_context(|| format!("no {after}"))?.0)
}

/// A page without comments, in which programs say how long they took, and without secrets.
fn public(text: &str, secrets: &[&str]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("<!--") {
        out += before;
        rest = comment.split_once("-->").map_or("", |(_, after)| after);
    }
    let mut text = out + rest;
    for secret in secrets {
        let mut pieces = text.split(secret);
        let mut shown = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let ends = match secret {
                // A header field is secret as a whole, and there are commas in dates.
                _ if secret.ends_with(": ") => "",
                _ if secret.ends_with("expires=") => ";",
                _ => "\"'&;<,)",
            };
            let is_end = |c: char| ends.contains(c) || c.is_control();
            let end = piece.find(is_end).unwrap_or(piece.len());
            shown = shown + secret + "{secret}" + &piece[end..];
        }
        text = shown;
    }
    text
}
