//! The tree with more of its own files switched on, as `a2enmod`, `a2enconf` and `a2ensite`
//! do: TLS with the default site for it, HTTP/2, php-fpm, home directories and the modules
//! that sites use in their `.htaccess` files.

use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Address, Application, run};
use compat_tests::normal;
use compat_tests::root::{Root, free_port};
use compat_tests::server::Kind;

use crate::{ask, start, tree};

/// What `a2enmod` links, with what it depends on.
const MODULES: [&str; 18] = [
    "rewrite",
    "headers",
    "expires",
    "info",
    "userdir",
    "include",
    "actions",
    "vhost_alias",
    "proxy",
    "proxy_fcgi",
    "proxy_http",
    "socache_shmcb",
    "ssl",
    "http2",
    "unique_id",
    "remoteip",
    "allowmethods",
    "substitute",
];

const HTACCESS: &str = r#"
RewriteEngine On
RewriteRule ^old/(.*)$ new/$1 [R=301,L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteCond %{REQUEST_URI} !^/(files|icons|server-|~|none)
RewriteRule ^app/(.*)$ front.php/$1 [QSA,L]
Header set X-Here "yes %{SCHEME}e"
Header always append Vary Cookie
ExpiresActive On
ExpiresByType text/css "modification plus 20 years"
AddOutputFilterByType SUBSTITUTE text/x-sub
Options +Includes
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
"#;

const PHP: &str = "<?php header('X-Php: 1'); foreach (['REQUEST_URI', 'SCRIPT_NAME', \
    'PATH_INFO', 'QUERY_STRING', 'REQUEST_METHOD', 'HTTPS', 'REDIRECT_URL', 'SERVER_PROTOCOL', \
    'SSL_SERVER_S_DN_CN', 'CONTEXT_PREFIX', 'DOCUMENT_ROOT', 'SCRIPT_FILENAME'] as $n) \
    echo $n, '=', $_SERVER[$n] ?? '-', \"\\n\"; echo file_get_contents('php://input');\n";

/// The tree with everything switched on, and the port of its site with TLS.
fn switched_on() -> Result<(Root, u16)> {
    let root = tree()?;
    let secure = free_port()?;
    let enable = |kind: &str, file: &str| -> Result<()> {
        let link = root.join(&format!("{kind}-enabled/{file}"));
        if !link.is_symlink() {
            symlink(format!("../{kind}-available/{file}"), link)?;
        }
        Ok(())
    };
    for name in MODULES {
        enable("mods", &format!("{name}.load"))?;
        let conf = format!("{name}.conf");
        if root.join("mods-available").join(&conf).exists() {
            enable("mods", &conf)?;
        }
    }
    let names = std::fs::read_dir(root.join("conf-available"))?.flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let fpm = names.filter(|n| n.starts_with("php") && n.ends_with("-fpm.conf")).max();
    let fpm = fpm.context("php-fpm's package has no configuration for apache2")?;
    enable("conf", &fpm)?;
    enable("sites", "default-ssl.conf")?;
    let change = |name: &str, changes: &[(&str, &str)]| -> Result<()> {
        let mut text = std::fs::read_to_string(root.join(name))?;
        for (from, to) in changes {
            ensure!(text.contains(from), "{name} has no {from}");
            text =
                text.replace(from, &root.fill(to).replace("{tls}", &secure.to_string()));
        }
        root.write(name, text.as_bytes())?;
        Ok(())
    };
    change("ports.conf", &[("Listen 443", "Listen 127.0.0.1:{tls}")])?;
    let site = [
        ("*:443", "*:{tls}"),
        ("/var/www/html", "{root}/htdocs"),
        ("/etc/ssl/certs/ssl-cert-snakeoil.pem", "{root}/conf/snakeoil.pem"),
        ("/etc/ssl/private/ssl-cert-snakeoil.key", "{root}/conf/snakeoil.key"),
    ];
    change("sites-available/default-ssl.conf", &site)?;
    let socket = format!("/run/php/{}", fpm.replace("-fpm.conf", "-fpm.sock"));
    change(&format!("conf-available/{fpm}"), &[(&socket, "{root}/run/php.sock")])?;
    // Where the documentation tells to let `.htaccess` files do something.
    change("apache2.conf", &[(
        "<Directory {root}/htdocs/>\n\tOptions Indexes FollowSymLinks\n\tAllowOverride None",
        "<Directory {root}/htdocs/>\n\tOptions Indexes FollowSymLinks\n\tAllowOverride All",
    )].map(|(from, to)| (&*root.fill(from).leak(), to)))?;
    change(
        "mods-available/userdir.conf",
        &[
            ("/home/*/", "{root}/home/*/"),
            ("UserDir public_html", "UserDir {root}/home/*/public_html"),
        ],
    )?;
    run(Command::new("/usr/bin/openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "30"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .arg("-keyout")
        .arg(root.join("conf/snakeoil.key"))
        .arg("-out")
        .arg(root.join("conf/snakeoil.pem")))?;
    for (name, text) in [
        ("htdocs/.htaccess", HTACCESS),
        ("htdocs/front.php", PHP),
        ("htdocs/source.phps", PHP),
        ("htdocs/style.css", "a { color: red }\n"),
        ("htdocs/page.shtml", "<!--#echo var=\"DOCUMENT_NAME\" -->\n"),
        ("htdocs/index.html.en", "english\n"),
        ("home/jane/public_html/index.html", "jane's\n"),
        ("home/jane/public_html/page.php", PHP),
        ("home/jane/public_html/list/a.txt", "a\n"),
    ] {
        root.write(name, text.as_bytes())?;
    }
    let long = "words that are worth to be packed\n".repeat(200);
    root.write("htdocs/long.html", long.as_bytes())?;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    let mut touch = Command::new("/usr/bin/find");
    let seconds = time.duration_since(std::time::UNIX_EPOCH)?.as_secs();
    touch.arg(root.join("htdocs")).arg(root.join("home"));
    run(touch.args(["-exec", "touch", "-d", &format!("@{seconds}"), "{}", "+"]))?;
    Ok((root, secure))
}

/// Requests, and a field.
const ASKED: [(&str, &str); 44] = [
    ("GET /", ""),
    ("GET /page.html", ""),
    ("GET /long.html", "Accept-Encoding: gzip"),
    ("HEAD /long.html", "Accept-Encoding: gzip"),
    ("GET /long.html", "Accept-Encoding: gzip;q=0"),
    ("GET /long.html", "Range: bytes=5-20"),
    ("GET /long.html", "If-Modified-Since: Mon, 14 Sep 2020 00:00:00 GMT"),
    ("GET /style.css", "Accept-Encoding: gzip"),
    ("GET /page.shtml", ""),
    ("HEAD /page.shtml", ""),
    ("GET /old/x?y=1", ""),
    ("GET /app/some/where?a=b", ""),
    ("GET /app/a%20b%2fc", ""),
    ("POST /front.php", ""),
    ("GET /front.php", ""),
    ("GET /front.php/more/info?q", ""),
    ("HEAD /front.php", ""),
    ("OPTIONS /front.php", ""),
    ("TRACE /front.php", ""),
    ("GET /none.php", ""),
    ("GET /none/x.php/y", ""),
    ("GET /source.phps", ""),
    ("GET /.php", ""),
    ("GET /.htaccess", ""),
    ("GET /~jane", ""),
    ("GET /~jane/", ""),
    ("GET /~jane/page.php?x", ""),
    ("GET /~jane/list/", ""),
    ("DELETE /~jane/index.html", ""),
    ("GET /~root/", ""),
    ("GET /~nobody-here/", ""),
    ("GET /files/", ""),
    ("GET /files/?C=M;O=D", ""),
    ("GET /files/c.html", "Accept-Language: de"),
    ("GET /indexed/", ""),
    ("GET /icons/blank.gif", ""),
    ("GET /icons/", ""),
    ("GET /cgi-bin/none", ""),
    ("GET /a<b>", ""),
    ("GET /%3cb%3e", ""),
    ("PUT /page.html", ""),
    ("PROPFIND /page.html", ""),
    ("GET /page.html/more", ""),
    ("GET http://localhost/page.html", ""),
];

/// What curl gets over TLS.
fn secure(root: &Root, port: u16, version: &str, path: &str) -> Result<String> {
    let mut curl = Command::new("/usr/bin/curl");
    curl.args(["-s", "-i", "--max-time", "20", version, "--cacert"]);
    curl.arg(root.join("conf/snakeoil.pem"));
    curl.args(["--resolve", &format!("localhost:{port}:127.0.0.1")]);
    let output = curl.arg(format!("https://localhost:{port}{path}")).output()?;
    ensure!(output.status.success(), "curl {version} {path}: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
    let text = normal::text(&text, root).replace(&format!(":{port}"), ":{tls}");
    let text = text.replace(&format!("Port {port}"), "Port {tls}");
    let (head, body) = text.split_once("\n\n").context("no head")?;
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default().to_owned();
    let mut fields: Vec<String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| format!("{}:{value}", name.to_ascii_lowercase()))
        .filter(|field| {
            let own = [
                "date:",
                "server:",
                "content-length:",
                "transfer-encoding:",
                "upgrade:",
                "connection:",
            ];
            !own.iter().any(|name| field.starts_with(name))
        })
        .collect();
    fields.sort();
    Ok(format!("{status}\n{}\n\n{body}", fields.join("\n")))
}

/// Whether mod_deflate says on what its choice depends hangs in httpd on how a short or
/// empty answer comes in pieces, and is not decided in the same way here.
const CHOICE_UNSAID: [&str; 3] =
    ["GET /page.shtml ", "HEAD /page.shtml ", "HEAD /front.php "];

/// httpd offers HTTP/2 to clients that speak HTTP/1.1 already; ours lets them begin with it
/// or choose it in TLS's handshake.
fn without_upgrade(answer: &str) -> String {
    let lines = answer
        .lines()
        .filter(|line| *line != "upgrade: h2,h2c" && *line != "upgrade: h2");
    let lines = lines.map(|line| match line {
        "connection: Upgrade, close" => "connection: close",
        line => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn heard(kind: Kind) -> Result<Vec<(String, String)>> {
    let (root, port) = switched_on()?;
    let pool = "php_admin_flag[log_errors] = on\n";
    let address = Address::Unix(root.join("run/php.sock"));
    let _php = Application::php_fpm(&root, address, pool)?;
    let server = start(kind, &root).with_context(|| root.log("error.log"))?;
    let mut answers = Vec::new();
    for (line, field) in ASKED {
        let fields: Vec<&str> = [field].into_iter().filter(|f| !f.is_empty()).collect();
        let answer = normal::response(&ask(&root, line, &fields)?, &root);
        let answer = without_upgrade(&normal::without_framing(&answer));
        answers.push((format!("{line} {field}"), answer));
    }
    for version in ["--http1.1", "--http2"] {
        for path in
            ["/", "/front.php/x?y", "/app/z", "/page.html", "/none", "/files/", "/~jane/"]
        {
            let answer = secure(&root, port, version, path)?;
            answers.push((format!("{version} {path}"), answer));
        }
    }
    server.stop()?;
    let all: String = answers.iter().map(|(_, answer)| answer.as_str()).collect();
    for what in
        ["jane's", "X-Php: 1", "SSL_SERVER_S_DN_CN=localhost", "PATH_INFO=/some/where"]
    {
        let what = what.replace("X-Php", "x-php");
        ensure!(all.contains(&what), "nobody said {what}: {all}");
    }
    Ok(answers)
}

/// Without the seconds that a file of some age is still fresh: both were not asked in the
/// same one.
fn timeless(answer: &str) -> String {
    let lines = answer.lines().map(|line| match line.split_once("max-age=") {
        Some((head, seconds)) => {
            let rest = seconds.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{head}max-age=~{rest}\n")
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn with_more_of_it_switched_on() -> Result<()> {
    let (theirs, ours) = (heard(Kind::Apache)?, heard(Kind::Ours)?);
    let mut differences = String::new();
    for ((asked, theirs), (_, ours)) in theirs.iter().zip(&ours) {
        let of_choice = |text: &str| {
            if CHOICE_UNSAID.contains(&&**asked) {
                text.replace("vary: Cookie,Accept-Encoding", "vary: Cookie")
            } else {
                text.to_owned()
            }
        };
        let (theirs, ours) = (timeless(&of_choice(theirs)), timeless(&of_choice(ours)));
        if theirs != ours {
            let only = |of: &str, not: &str, mark: &str| {
                let lines = of.lines().filter(|line| !not.lines().any(|l| l == *line));
                lines.map(|line| format!("  {mark} {line}\n")).collect::<String>()
            };
            differences += &format!("{asked}\n");
            differences += &only(&theirs, &ours, "apache2:");
            differences += &only(&ours, &theirs, "ours:   ");
        }
    }
    ensure!(differences.is_empty(), "{differences}");
    Ok(())
}
