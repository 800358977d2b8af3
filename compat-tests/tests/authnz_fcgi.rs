//! mod_authnz_fcgi's directives: apache2 and we ask the same applications the same.

use std::process::Command;

use anyhow::{Result, ensure};
use compat_tests::application::{Address, Application, program};
use compat_tests::http::Client;
use compat_tests::root::{Root, free_port};
use compat_tests::server::{Kind, Server};

/// Names of applications, and what they always answer.
const PROBES: [(&str, &str); 4] = [
    ("YES", "status=200&header=Variable-SAID:+yes&header=Variable-WHO:+jane&text=x"),
    ("NO", "status=401&header=Content-Type:+text/plain&header=X-Mine:+1&text=not+you"),
    ("TEAPOT", "status=402+Pay&text=pay"),
    ("BROKEN", "stdout=no+head+at+all&close"),
];

const MODULES: [&str; 9] = [
    "mpm_event",
    "authn_core",
    "authz_core",
    "authz_user",
    "auth_basic",
    "authnz_fcgi",
    "headers",
    "mime",
    "alias",
];

const CONF: &str = r#"
ServerRoot "{root}"
Listen 127.0.0.1:{port}
ServerName www.example.org
PidFile run/httpd.pid
ErrorLog logs/error_log
User www-data
Group www-data
TypesConfig /etc/mime.types
DocumentRoot "{root}/htdocs"
AuthnzFcgiDefineProvider authn YesAuthn fcgi://127.0.0.1:{YES}/
AuthnzFcgiDefineProvider authz YesAuthz fcgi://127.0.0.1:{YES}/
AuthnzFcgiDefineProvider authnz YesBoth fcgi://127.0.0.1:{YES}/
AuthnzFcgiDefineProvider authn NoAuthn fcgi://127.0.0.1:{NO}/
AuthnzFcgiDefineProvider authz NoAuthz fcgi://127.0.0.1:{NO}/
AuthnzFcgiDefineProvider authn Teapot fcgi://127.0.0.1:{TEAPOT}/
AuthnzFcgiDefineProvider authn Broken fcgi://127.0.0.1:{BROKEN}/
AuthnzFcgiDefineProvider authz BrokenAuthz fcgi://127.0.0.1:{BROKEN}/
Header always set X-Said "expr=%{reqenv:SAID}"
Header always set X-User "expr=%{REMOTE_USER}"
<Directory "{root}/htdocs">
    AllowOverride All
    Require all denied
</Directory>
<LocationMatch "^/(?!h-)">
    AuthType Basic
    AuthName Realm
    Require all denied
</LocationMatch>
<Location /basic>
    AuthBasicProvider YesAuthn
    Require valid-user
</Location>
<Location /basic-no>
    AuthBasicProvider NoAuthn
    Require valid-user
</Location>
<Location /basic-broken>
    AuthBasicProvider Broken
    Require valid-user
</Location>
<Location /authz>
    AuthBasicProvider YesAuthn
    Require YesAuthz
</Location>
<Location /authz-no>
    AuthBasicProvider YesAuthn
    Require NoAuthz
</Location>
<Location /authz-broken>
    AuthBasicProvider YesAuthn
    Require BrokenAuthz
</Location>
<Location /both>
    AuthBasicProvider YesBoth
    Require YesBoth
</Location>
<Location /check>
    AuthType Site
    AuthnzFcgiCheckAuthnProvider YesAuthn UserExpr "%{reqenv:WHO}"
    Require user jane
</Location>
<Location /check-default>
    AuthType Site
    AuthnzFcgiCheckAuthnProvider YesAuthn UserExpr "%{reqenv:NOBODY}" DefaultUser guest
    Require user guest
</Location>
<Location /check-nobody>
    AuthType Site
    AuthnzFcgiCheckAuthnProvider YesAuthn UserExpr "%{reqenv:NOBODY}"
    Require valid-user
</Location>
<Location /check-no>
    AuthType Site
    AuthnzFcgiCheckAuthnProvider NoAuthn UserExpr "%{reqenv:WHO}"
    Require valid-user
</Location>
<Location /check-teapot>
    AuthType Site
    AuthnzFcgiCheckAuthnProvider Teapot UserExpr "%{reqenv:WHO}"
    Require valid-user
</Location>
<Location /check-broken>
    AuthType Site
    AuthnzFcgiCheckAuthnProvider Broken UserExpr "%{reqenv:WHO}"
    Require valid-user
</Location>
<Location /check-basic>
    AuthnzFcgiCheckAuthnProvider YesAuthn RequireBasicAuth On
    Require valid-user
</Location>
"#;

/// `.htaccess` files by directory: providers that the configuration defines are known there.
const HTACCESS: [(&str, &str); 5] = [
    ("h-basic", "AuthType Basic\nAuthBasicProvider YesAuthn\nRequire valid-user\n"),
    ("h-no", "AuthType Basic\nAuthBasicProvider NoAuthn\nRequire valid-user\n"),
    ("h-authz", "AuthType Basic\nAuthBasicProvider YesAuthn\nRequire YesAuthz\n"),
    (
        "h-check",
        "AuthType Site\nAuthnzFcgiCheckAuthnProvider YesAuthn UserExpr \"%{reqenv:WHO}\"\n\
         Require user jane\n",
    ),
    ("h-wrong", "AuthType Basic\nAuthBasicProvider YesAuthz\nRequire valid-user\n"),
];

const TARGETS: [&str; 21] = [
    "/",
    "/basic",
    "/basic-no",
    "/basic-broken",
    "/authz",
    "/authz-no",
    "/authz-broken",
    "/both",
    "/check",
    "/check-default",
    "/check-nobody",
    "/check-no",
    "/check-teapot",
    "/check-broken",
    "/check-basic",
    "/nothing",
    "/h-basic/x",
    "/h-no/x",
    "/h-authz/x",
    "/h-check/x",
    "/h-wrong/x",
];

#[test]
fn providers_decide_as_with_apache2() -> Result<()> {
    program("/usr/sbin/apache2", "apache2")?;
    let modules = MODULES.map(|name| {
        format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
    });
    let theirs = answers(Kind::Apache, &(modules.concat() + CONF))?;
    let ours = answers(Kind::Ours, CONF)?;
    let mut differences = String::new();
    for (theirs, ours) in theirs.iter().zip(&ours) {
        if theirs != ours {
            differences += &format!("apache2: {theirs}\nours:    {ours}\n");
        }
    }
    ensure!(theirs.iter().any(|answer| answer.contains("404")), "nobody is let in");
    ensure!(differences.is_empty(), "{differences}");
    Ok(())
}

/// What the application of a target says.
fn answer_of(target: &str) -> &'static str {
    if target == "/check-no" { "not you" } else { "pay" }
}

/// What each target is answered, without credentials and with some.
fn answers(kind: Kind, conf: &str) -> Result<Vec<String>> {
    let root = Root::new()?;
    let mut conf = conf.to_owned();
    let mut probes = Vec::new();
    for (name, answer) in PROBES {
        let port = free_port()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_probe"));
        command.arg(format!("127.0.0.1:{port}")).arg(answer);
        probes.push(Application::start(&root, Address::Tcp(port), &mut command)?);
        conf = conf.replace(&format!("{{{name}}}"), &port.to_string());
    }
    root.write("conf/httpd.conf", root.fill(&conf).as_bytes())?;
    for (directory, text) in HTACCESS {
        let text = format!("AuthName Realm\n{text}");
        root.write(&format!("htdocs/{directory}/.htaccess"), text.as_bytes())?;
    }
    let server = Server::start(kind, &root)?;
    let mut answers = Vec::new();
    for target in TARGETS {
        for field in ["", "Authorization: Basic am9lOnNlY3JldA==\r\n"] {
            let mut client = Client::connect(root.port)?;
            let head = format!(
                "GET {target} HTTP/1.1\r\nHost: www.example.org\r\n{field}\
                 Connection: close\r\n\r\n"
            );
            client.send(head.as_bytes())?;
            let answer = client.response("GET")?;
            let own = ["X-Said", "X-User", "X-Mine", "WWW-Authenticate"].map(|name| {
                format!("{name}={}", answer.header(name).unwrap_or_default())
            });
            let text = answer.text();
            let mut body = text.lines().next().unwrap_or_default();
            // The manual promises the application's own words; apache2 sends its page.
            if ["/check-no", "/check-teapot"].contains(&target) {
                let words =
                    if kind == Kind::Apache { "<!DOCTYPE" } else { answer_of(target) };
                ensure!(body.starts_with(words), "{target}: {body}");
                body = "";
            }
            let with = if field.is_empty() { "" } else { " with credentials" };
            answers.push(format!(
                "{target}{with}: {} {} {body}",
                answer.status,
                own.join(" ")
            ));
        }
    }
    server.stop()?;
    Ok(answers)
}
