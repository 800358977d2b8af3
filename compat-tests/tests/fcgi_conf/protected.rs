//! `fcgi-conf convert --to`: whatever closes a URL with us, the other servers close, too.
//! One configuration with a host for each way of closing something is served by ours, and,
//! converted, by nginx, Caddy, lighttpd and httpd; the same requests go to all.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Address, Application, program};
use compat_tests::front::ask;
use compat_tests::root::{Root, free_port};
use compat_tests::server::{Kind, Server, built};

/// A way of closing: a host's name, what stands in it, what is refused, and what is not.
type Case =
    (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const PAGE: &str = "/secret/page.html";

/// Open everywhere: that everything is refused would be no protection, but an outage.
const OPEN: &[&str] = &["/page.html"];

const CASES: &[Case] = &[
    // The first host is also that of whoever asks for none of the others.
    ("open", "", &[], &["/page.html", PAGE, "/secret/"]),
    (
        "directory",
        "<Directory {root}/htdocs/secret>\nRequire all denied\n</Directory>",
        &[PAGE, "/secret/"],
        OPEN,
    ),
    (
        "digest",
        "<Directory {root}/htdocs/secret>\nAuthType Digest\nAuthName x\nAuthUserFile conf/digests\n\
         AuthDigestProvider file\nRequire valid-user\n</Directory>",
        &[PAGE, "/secret/"],
        OPEN,
    ),
    (
        "digest-inherited",
        "<Directory {root}/htdocs>\nAuthType Digest\nAuthName x\n</Directory>\n\
         <Directory {root}/htdocs/secret>\nAuthUserFile conf/digests\nRequire valid-user\n</Directory>",
        &[PAGE, "/secret/"],
        &[],
    ),
    (
        "digest-basic",
        "<Directory {root}/htdocs/secret>\nAuthType Basic\nAuthName x\nAuthUserFile conf/digests\n\
         AuthBasicUseDigestAlgorithm MD5\nRequire valid-user\n</Directory>",
        &[PAGE, "/secret/"],
        OPEN,
    ),
    (
        "nested",
        "<Directory {root}/htdocs/secret>\nRequire all granted\n<Files page.html>\nRequire all denied\n</Files>\n</Directory>",
        &[PAGE],
        OPEN,
    ),
    (
        "nested-all",
        "<Directory {root}/htdocs>\n<FilesMatch \"^pag\">\nRequire all denied\n</FilesMatch>\n</Directory>",
        &[PAGE, "/page.html", "/secret/page.html/x"],
        &["/other.txt"],
    ),
    (
        "name",
        "<DirectoryMatch \"/secret\">\nRequire all denied\n</DirectoryMatch>",
        &[PAGE],
        OPEN,
    ),
    (
        "pattern",
        "<DirectoryMatch \"^{root}/htdocs/secret\">\nRequire all denied\n</DirectoryMatch>",
        &[PAGE],
        &[],
    ),
    (
        "tilde",
        "<Directory ~ \"^{root}/.*/secret\">\nRequire all denied\n</Directory>",
        &[PAGE],
        &[],
    ),
    (
        "glob",
        "<Directory \"{root}/htdocs/s*\">\nRequire all denied\n</Directory>",
        &[PAGE],
        &[],
    ),
    (
        "location",
        "<Location /secret>\nRequire all denied\n</Location>",
        &[
            PAGE,
            "/%73ecret/page.html",
            "//secret//page.html",
            "/x/../secret/page.html",
            "/secret",
        ],
        OPEN,
    ),
    (
        "location-glob",
        "<Location \"/s*t/*\">\nRequire all denied\n</Location>",
        &[PAGE],
        OPEN,
    ),
    (
        "location-match",
        "<LocationMatch \"page\\.html$\">\nRequire all denied\n</LocationMatch>",
        &[PAGE],
        &["/other.txt"],
    ),
    (
        "if",
        "<If \"%{REQUEST_URI} =~ m#^/secret#\">\nRequire all denied\n</If>",
        &[PAGE],
        &[],
    ),
    (
        "if-inside",
        "<Directory {root}/htdocs/secret>\n<If \"true\">\nRequire all denied\n</If>\n</Directory>",
        &[PAGE],
        OPEN,
    ),
    (
        "limit",
        "<Directory {root}/htdocs/secret>\n<Limit GET>\nRequire all denied\n</Limit>\n</Directory>",
        &[PAGE],
        OPEN,
    ),
    (
        "limit-except",
        "<Location /secret>\n<LimitExcept POST>\nRequire all denied\n</LimitExcept>\n</Location>",
        &[PAGE],
        OPEN,
    ),
    (
        "methods",
        "<Directory {root}/htdocs/secret>\nAllowMethods POST\n</Directory>",
        &[PAGE],
        OPEN,
    ),
    (
        "htaccess",
        "DocumentRoot {root}/files\n<Directory {root}/files>\nAllowOverride All\n</Directory>",
        &["/closed/page.html", "/closed/deep/page.html", "/names/no.txt"],
        &["/names/yes.txt", "/page.html"],
    ),
    ("redirect", "Redirect 403 /secret", &[PAGE], OPEN),
    ("redirect-match", "RedirectMatch 404 \"/sec[a-z]+/\"", &[PAGE], OPEN),
    (
        "rewrite",
        "RewriteEngine On\nRewriteCond %{REQUEST_METHOD} GET\nRewriteRule ^/secret - [F]",
        &[PAGE],
        OPEN,
    ),
    ("rewrite-not", "RewriteEngine On\nRewriteRule !^/page - [F]", &[PAGE], &[]),
    (
        "rewrite-inside",
        "<Directory {root}/htdocs/secret>\nRewriteEngine On\nRewriteRule ^page - [F]\n</Directory>",
        &[PAGE],
        OPEN,
    ),
    (
        "merging",
        "<Location /secret>\nRequire ip 192.0.2.1\n</Location>\n<Location /secret/page.html>\nAuthMerging And\nRequire all granted\n</Location>",
        &[PAGE],
        OPEN,
    ),
    (
        "application",
        "<Directory {root}/htdocs/secret>\nFastCgiAccessChecker {root}/gate\n</Directory>\n<Directory {root}/htdocs/secret/deep>\nRequire all granted\n</Directory>",
        &[PAGE, "/secret/deep/page.html"],
        OPEN,
    ),
    (
        "application-location",
        "<Directory {root}/htdocs/secret>\nFastCgiAccessChecker {root}/gate\n</Directory>\n<Location /secret>\nRequire all granted\n</Location>",
        &[PAGE],
        OPEN,
    ),
    (
        "old-and-new",
        "<Directory {root}/htdocs/secret>\nOrder deny,allow\nDeny from all\n</Directory>\n<Directory {root}/htdocs/secret/deep>\nRequire all granted\n</Directory>",
        &[PAGE, "/secret/deep/page.html"],
        OPEN,
    ),
    (
        "new-and-old",
        "<Directory {root}/htdocs/secret>\nRequire all denied\n</Directory>\n<Directory {root}/htdocs/secret/deep>\nOrder deny,allow\nAllow from all\n</Directory>",
        &[PAGE, "/secret/deep/page.html"],
        OPEN,
    ),
    (
        "index",
        "<Files index.html>\nRequire all denied\n</Files>",
        &["/secret/", "/secret/index.html"],
        OPEN,
    ),
    ("address", "<Location /secret>\nRequire ip 192.0.2.1\n</Location>", &[PAGE], OPEN),
    (
        "proxied",
        "RemoteIPHeader X-Client-Ip\n<Location /secret>\nRequire ip 127.0.0.1\n</Location>",
        &[PAGE],
        OPEN,
    ),
    (
        "users",
        "<Location /secret>\nAuthType Basic\nAuthName x\nAuthUserFile {root}/conf/users\nRequire valid-user\n</Location>",
        &[PAGE],
        OPEN,
    ),
    (
        "user",
        "<Location /secret>\nAuthType Basic\nAuthName x\nAuthUserFile {root}/conf/users\nRequire user nobody\n</Location>",
        &[PAGE],
        OPEN,
    ),
    (
        "any",
        "<Location /secret>\n<RequireAny>\nRequire ip 192.0.2.1\nRequire host example.org\n</RequireAny>\n</Location>",
        &[PAGE],
        OPEN,
    ),
    (
        "env",
        "SetEnvIf X-Pass yes pass\n<Location /secret>\nOrder deny,allow\nDeny from all\nAllow from env=pass\n</Location>",
        &[PAGE],
        OPEN,
    ),
];

fn site() -> Result<Root> {
    let root = Root::new()?;
    for name in [
        "htdocs/page.html",
        "htdocs/other.txt",
        "htdocs/secret/page.html",
        "htdocs/secret/index.html",
        "htdocs/secret/deep/page.html",
        "files/page.html",
        "files/closed/page.html",
        "files/closed/deep/page.html",
        "files/names/no.txt",
        "files/names/yes.txt",
    ] {
        root.write(name, b"a page\n")?;
    }
    root.write(
        "files/closed/.htaccess",
        b"<IfModule authz_core_module>\nRequire all denied\n</IfModule>\n",
    )?;
    root.write(
        "files/names/.htaccess",
        b"<Files no.txt>\nRequire all denied\n</Files>\n",
    )?;
    root.write("conf/users", b"u:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n")?;
    let mut conf = "ServerRoot {root}\nListen 127.0.0.1:{port}\nServerName www.example.org\nPidFile run/pid\n\
        ErrorLog logs/error_log\nTypesConfig /etc/mime.types\nUser www-data\nGroup www-data\n\
        DocumentRoot {root}/htdocs\nFastCgiExternalServer {root}/gate -socket {root}/run/nobody\n\
        <Directory />\nRequire all granted\n</Directory>\n".to_owned();
    for (name, lines, ..) in CASES {
        conf += &format!(
            "<VirtualHost 127.0.0.1:{{port}}>\nServerName {name}.example.org\n{lines}\n</VirtualHost>\n"
        );
    }
    root.write("conf/httpd.conf", root.fill(&conf).as_bytes())?;
    Ok(root)
}

/// The configuration for another server, on a port of its own.
fn converted(root: &Root, to: &str, port: u16) -> Result<String> {
    let output = Command::new(built("fcgi-conf"))
        .args(["convert", "-f", "conf/httpd.conf", "--to", to, "-d"])
        .arg(root.path())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    Ok(text.replace(&root.port.to_string(), &port.to_string()))
}

/// What a server answers that closes more or less than ours.
fn compare(port: u16, who: &str) -> Result<String> {
    let mut wrong = String::new();
    for (name, _, closed, open) in CASES {
        let fields =
            [format!("Host: {name}.example.org"), "X-Client-Ip: 192.0.2.9".to_owned()];
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        for (urls, is_closed) in [(closed, true), (open, false)] {
            for url in *urls {
                let status = ask(port, &format!("GET {url}"), &fields)
                    .with_context(|| format!("{who} {name} {url}"))?
                    .status;
                // A way to another spelling is none to the contents.
                if (is_closed && status < 300) || (!is_closed && status != 200) {
                    wrong += &format!("{who}: {name} {url}: {status}\n");
                }
            }
        }
    }
    Ok(wrong)
}

#[test]
fn what_is_closed_stays_closed() -> Result<()> {
    let root = site()?;
    let ours = Server::start(Kind::Ours, &root)?;
    let mut wrong = compare(root.port, "ours")?;

    let port = free_port()?;
    let conf = root.write("conf/nginx", converted(&root, "nginx", port)?.as_bytes())?;
    let mut nginx = Command::new(program("/usr/sbin/nginx", "nginx-light")?);
    let pid = format!("daemon off; pid {}/run/nginx.pid;", root.path().display());
    nginx.arg("-p").arg(root.path()).args(["-e", "stderr", "-g", &pid, "-c"]).arg(conf);
    let nginx = Application::start(&root, Address::Tcp(port), &mut nginx)?;
    wrong += &compare(port, "nginx")?;
    drop(nginx);

    let port = free_port()?;
    let conf =
        root.write("conf/Caddyfile", converted(&root, "caddy", port)?.as_bytes())?;
    let mut caddy = Command::new(program("/usr/bin/caddy", "caddy")?);
    caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(conf);
    for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        caddy.env(name, root.join("tmp"));
    }
    let caddy = Application::start(&root, Address::Tcp(port), &mut caddy)?;
    wrong += &compare(port, "caddy")?;
    drop(caddy);

    let port = free_port()?;
    // It opens its log as the user that it becomes; ours has made it as root.
    let text = converted(&root, "lighttpd", port)?
        .replace("logs/error_log", "tmp/lighttpd_error_log");
    let conf = root.write("conf/lighttpd", text.as_bytes())?;
    let mut lighttpd = Command::new(program("/usr/sbin/lighttpd", "lighttpd")?);
    lighttpd.arg("-D").arg("-f").arg(conf);
    let lighttpd = Application::start(&root, Address::Tcp(port), &mut lighttpd)?;
    wrong += &compare(port, "lighttpd")?;
    drop(lighttpd);

    ours.stop()?;
    let text = converted(&root, "httpd", root.port)?;
    let more =
        format!("DefaultRuntimeDir run\nMutex file:{}/run\n", root.path().display());
    root.write("conf/httpd.conf", (more + &text).as_bytes())?;
    let _apache = Server::start(Kind::Apache, &root)?;
    wrong += &compare(root.port, "httpd")?;
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}
