//! The variables that apache2 gives to a CGI program are those that we give to a FastCGI
//! application in its place.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Address, Application, program};
use compat_tests::http::Client;
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};

/// For both of them; the program is `apps/gate`.
const COMMON: &str = "
ServerRoot {root}
Listen 127.0.0.1:{port}
ServerName www.example.org
ServerAdmin admin@example.org
User www-data
Group www-data
PidFile run/httpd.pid
ErrorLog logs/error_log
DocumentRoot {root}/htdocs
<Directory />
    Require all granted
</Directory>
Alias /php-gate {root}/apps/gate
Alias /root/ {root}/apps/gate/
Alias /static/ {root}/htdocs/
ScriptAlias /cgi/ {root}/apps/
ScriptAliasMatch ^/lost {root}/apps/gate
AliasMatch ^/match(/.*)$ {root}/apps/gate$1
AddHandler site-php .php
Action site-php /php-gate
DirectoryIndex index.php
SetEnvIf Authorization \"(.*)\" HTTP_AUTHORIZATION=$1
SetEnv Mixed-Case x
SetEnvIf Request_URI ^ 1st=digit
ErrorDocument 404 /root/missing
";

const APACHE: &str = "
TypesConfig /etc/mime.types
ScriptSock {root}/run/cgi
<Directory {root}/apps>
    SetHandler cgi-script
    Options ExecCGI
</Directory>
";

const OURS: &str = "
FastCgiIpcDir {root}/run/fcgi
FastCgiExternalServer {root}/apps/gate -socket {root}/run/gate.sock
";

const MODULES: [&str; 10] = [
    "mpm_event",
    "authz_core",
    "authz_host",
    "alias",
    "dir",
    "mime",
    "env",
    "setenvif",
    "actions",
    "cgid",
];

/// What is asked for.
const TARGETS: [&str; 16] = [
    "/index.php/a%20b?q=1",
    "/index.php?",
    "/",
    "/below/",
    "/below/index.php",
    "/root/some/page",
    "/static/index.php",
    "/cgi/gate",
    "/cgi/gate/x%2fy",
    "/cgi/gate/x/y?z",
    "/cgi/gate//x/./y",
    "/lost/x",
    "/match/x/y",
    "/php-gate/index.php",
    "/none",
    "/none?q=%20",
];

/// What belongs to the one server, its program, or the connection.
const LEFT_OUT: [&str; 10] = [
    "SERVER_SOFTWARE",
    "SERVER_SIGNATURE",
    "REMOTE_PORT",
    "SERVER_PORT",
    "HTTP_HOST",
    "PATH",
    "PWD",
    "SHLVL",
    "_",
    "OLDPWD",
];

type Variables = BTreeMap<String, String>;

#[test]
fn variables_are_those_of_cgi() -> Result<()> {
    let apache = program("/usr/sbin/apache2", "apache2")?;
    ensure!(apache.exists());
    let modules = MODULES.map(|name| {
        format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
    });
    let theirs = ask(Kind::Apache, &(modules.concat() + COMMON + APACHE))?;
    let ours = ask(Kind::Ours, &(COMMON.to_owned() + OURS))?;
    let mut differences = String::new();
    for ((target, theirs), ours) in TARGETS.iter().zip(theirs).zip(ours) {
        ensure!(theirs.len() > 10, "apache2 shows no variables for {target}: {theirs:?}");
        let names =
            theirs.keys().chain(ours.keys().filter(|name| !theirs.contains_key(*name)));
        for name in names {
            let (theirs, ours) = (theirs.get(name), ours.get(name));
            if theirs != ours {
                differences += &format!("{target}: {name}: {theirs:?}, ours {ours:?}\n");
            }
        }
    }
    ensure!(differences.is_empty(), "{differences}");
    Ok(())
}

/// The variables that the program saw, for every target.
fn ask(kind: Kind, conf: &str) -> Result<Vec<Variables>> {
    let root = Root::new()?;
    root.write("conf/httpd.conf", root.fill(conf).as_bytes())?;
    for name in ["htdocs/index.php", "htdocs/below/index.php"] {
        root.write(name, b"<?php\n")?;
    }
    let script = "#!/bin/sh\necho Content-Type: text/plain\necho\nenv\n";
    let gate = root.write("apps/gate", script.as_bytes())?;
    std::fs::set_permissions(gate, PermissionsExt::from_mode(0o755))?;
    let socket = root.join("run/gate.sock");
    let mut command = Command::new(env!("CARGO_BIN_EXE_probe"));
    command.arg(format!("unix:{}", socket.display())).arg("env");
    let _probe = Application::start(&root, Address::Unix(socket.clone()), &mut command)?;
    std::fs::set_permissions(socket, PermissionsExt::from_mode(0o666))?;
    let server = Server::start(kind, &root)?;
    let found = TARGETS.map(|target| variables(&root, target).context(target));
    server.stop()?;
    found.into_iter().collect()
}

fn variables(root: &Root, target: &str) -> Result<Variables> {
    let mut client = Client::connect(root.port)?;
    let head = "Host: www.example.org\r\nConnection: close\r\nX-One: 1\r\nX-One: 2\r\n\
                x_two: 3\r\nProxy: p\r\nCookie: a=b\r\nCookie: c=d\r\nContent-Type: text/x\r\n\
                Authorization: Basic Zm9vOmJhcg==\r\nAccept: */*\r\n\r\n";
    client.send(format!("GET {target} HTTP/1.1\r\n{head}").as_bytes())?;
    let text = client.response("GET")?.text();
    let path = root.path().display().to_string();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let known = |name: &str| {
        let own = name.trim_start_matches("REDIRECT_");
        LEFT_OUT.contains(&own) && !own.is_empty()
    };
    Ok(pairs
        .filter(|(name, _)| !known(name))
        .map(|(name, value)| (name.to_owned(), value.replace(&path, "{root}")))
        .collect())
}
