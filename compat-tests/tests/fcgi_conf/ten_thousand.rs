//! A migration that is proved: ten thousand requests to apache2 with php-fpm behind
//! mod_proxy_fcgi and to ours with the same configuration, documents and php-fpm.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Address, Application};
use compat_tests::front::ask;
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server, built};

const REQUESTS: usize = 10_000;

const CONF: &str = "LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so\n\
    LoadModule proxy_fcgi_module /usr/lib/apache2/modules/mod_proxy_fcgi.so\n\
    LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so\n\
    LoadModule expires_module /usr/lib/apache2/modules/mod_expires.so\n\
    LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so\n\
    LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so\n\
    DocumentRoot {tree}/htdocs\n\
    DirectoryIndex index.php index.html\n\
    <Directory {tree}/htdocs>\nRequire all granted\nAllowOverride All\n</Directory>\n\
    <FilesMatch \"\\.php$\">\n\
    <If \"-f %{REQUEST_FILENAME}\">\n\
    SetHandler \"proxy:unix:{tree}/run/php.sock|fcgi://localhost/\"\n\
    </If>\n\
    </FilesMatch>\n\
    Redirect permanent /old /files\n\
    <Location /files/closed>\nRequire all denied\n</Location>\n\
    SetEnv SITE shop\n";

/// What the script shows: everything but what no two servers, or two moments, share.
const SCRIPT: &str = "<?php\n\
    $no = ['REMOTE_PORT', 'REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'SERVER_SOFTWARE',\n\
    'SERVER_SIGNATURE', 'SERVER_PORT', 'UNIQUE_ID', 'HOME', 'USER'];\n\
    if (isset($_GET['status'])) http_response_code((int) $_GET['status']);\n\
    if (isset($_GET['to'])) header('Location: ' . $_GET['to']);\n\
    if (isset($_GET['cookie'])) setcookie('a', $_GET['cookie']);\n\
    if (isset($_GET['size'])) { header('Content-Type: text/plain'); echo str_repeat('x', (int) $_GET['size']); exit; }\n\
    header('Content-Type: text/plain');\n\
    ksort($_SERVER);\n\
    foreach ($_SERVER as $name => $value)\n\
    if (is_string($value) && !in_array($name, $no)) echo $name, '=', $value, \"\\n\";\n";

/// Requests as `replay` reads them: a mixture in a fixed order, no two neighbours alike.
fn requests() -> String {
    let mut out = String::new();
    for i in 0..REQUESTS {
        let method = if i % 17 == 0 { "HEAD" } else { "GET" };
        let n = i % 50;
        let (target, field) = match i % 23 {
            0 => (format!("/files/{n}.txt"), ""),
            1 => (format!("/files/{n}.txt"), "Range: bytes=10-99"),
            2 => (
                format!("/files/{n}.txt"),
                "If-Modified-Since: Sun, 13 Sep 2020 12:26:40 GMT",
            ),
            3 => (format!("/files/{n}.html?v={i}"), ""),
            4 => (format!("/files/none-{i}.txt"), ""),
            5 => ("/files".to_owned(), ""),
            6 => (format!("/old/{n}.txt"), ""),
            7 => ("/files/closed/x".to_owned(), ""),
            8 => (format!("/index.php?i={i}&a%20b=%2F"), "Cookie: a=b; c=d"),
            9 => (format!("/index.php/info/{i}/x%20y?q={i}"), "X-Some-Thing: 1"),
            10 => ("/".to_owned(), "User-Agent: test"),
            11 => (format!("/sub/?i={i}"), "Accept: text/html"),
            12 => (format!("/sub/page%20two.php/{i}"), ""),
            13 => (format!("/none-{i}.php"), ""),
            14 => (
                format!("/index.php?status={}", [200, 201, 404, 410, 500, 503][i % 6]),
                "",
            ),
            15 => (format!("/index.php?to=/files/{n}.txt"), ""),
            16 => (format!("/index.php?to=http://h.example/{i}"), ""),
            17 => (format!("/index.php?cookie=v{i}"), ""),
            18 => (format!("/index.php?size={}", (i * 37) % 40_000), ""),
            19 => (format!("/pretty/{i}/name"), "Referer: http://h.example/?a=b"),
            20 => (format!("/files//{n}.txt"), ""),
            21 => (format!("/files/../files/./{n}.txt"), ""),
            _ => (format!("/index.php?auth={i}"), "Authorization: Basic dTpw"),
        };
        out += &format!("{method} {target}\n");
        if !field.is_empty() {
            out += &format!("    {field}\n");
        }
    }
    out
}

#[test]
#[allow(clippy::print_stdout)] // the figures, with --nocapture
fn ten_thousand_requests_are_answered_the_same() -> Result<()> {
    let (theirs, ours) = (Root::new()?, Root::new()?);
    // One tree, below the first root.
    for n in 0..50 {
        theirs.write(
            &format!("htdocs/files/{n}.txt"),
            format!("{n} ").repeat(n * 40).as_bytes(),
        )?;
        theirs
            .write(&format!("htdocs/files/{n}.html"), format!("<p>{n}\n").as_bytes())?;
    }
    theirs.write(
        "htdocs/.htaccess",
        b"RewriteEngine On\nRewriteRule ^pretty/([0-9]+)/(.*)$ index.php/$2?id=$1 [L,QSA]\n\
          Header set X-From htaccess\nExpiresActive On\nExpiresByType text/html A0\n",
    )?;
    for name in ["index.php", "sub/index.php", "sub/page two.php"] {
        theirs.write(&format!("htdocs/{name}"), SCRIPT.as_bytes())?;
    }
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    for n in 0..50 {
        for kind in ["txt", "html"] {
            std::fs::File::open(theirs.join(&format!("htdocs/files/{n}.{kind}")))?
                .set_modified(time)?;
        }
    }
    let tree = theirs.path().display().to_string();
    let _fpm = Application::php_fpm(
        &theirs,
        Address::Unix(theirs.join("run/php.sock")),
        "clear_env = yes\n",
    )?;
    let preamble = include_str!("../../side-by-side/preamble.conf");
    for root in [&theirs, &ours] {
        let conf = root.fill(&format!("{preamble}{CONF}").replace("{tree}", &tree));
        root.write("conf/httpd.conf", conf.as_bytes())?;
    }
    let _apache = Server::start(Kind::Apache, &theirs)?;
    let _ours = Server::start(Kind::Ours, &ours)?;
    // The comparison would also hold if nothing worked.
    for port in [theirs.port, ours.port] {
        let answer = ask(port, "GET /pretty/7/name", &[])?;
        let text = answer.text();
        let works = answer.status == 200
            && answer.header("x-from") == Some("htaccess")
            && text.contains("PATH_INFO=/name\n")
            && text.contains("QUERY_STRING=id=7\n")
            && text.contains("SITE=shop\n");
        ensure!(works, "{answer}");
    }
    let file = ours.write("requests", requests().as_bytes())?;
    let begun = Instant::now();
    let output = Command::new(built("fcgi-conf"))
        .args(["replay", "--rate", "100000", "--json", "--host", "www.example.org"])
        .args(["--old", &format!("http://127.0.0.1:{}", theirs.port)])
        .args(["--new", &format!("http://127.0.0.1:{}", ours.port)])
        // The time of the answer is in it.
        .args(["--ignore", "expires"])
        .args(["--mask", &format!(":({}|{})", theirs.port, ours.port)])
        .arg(file)
        .output()?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let all = report["requests"].as_array().context("requests")?;
    let differing: Vec<String> = all
        .iter()
        .filter(|one| {
            one["differences"].as_array().is_some_and(|found| !found.is_empty())
        })
        .map(ToString::to_string)
        .collect();
    println!(
        "{} requests to each of two servers in {:.1?}, {} answered differently",
        report["sent"],
        begun.elapsed(),
        differing.len()
    );
    let shown: Vec<&String> = differing.iter().take(20).collect();
    ensure!(
        differing.is_empty() && output.status.success(),
        "{} differ: {shown:#?}",
        differing.len()
    );
    ensure!(report["sent"] == REQUESTS, "{}", report["sent"]);
    Ok(())
}
