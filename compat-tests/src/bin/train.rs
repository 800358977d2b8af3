//! Keeps a server busy with what servers do most, so that one which counts
//! (`FCGI_HTTPD_PROFILE`, see `compat-tests/profile/rustc`) learns which of its code runs:
//! files, FastCGI applications of each kind, the authorizer phases, scripts, upstreams, TLS.
//!
//! `FCGI_HTTPD=PROGRAM train`; `compat-tests/profile/make` calls it.
#![allow(clippy::print_stderr)] // this is a program

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use compat_tests::application::{Address, Application, program, run};
use compat_tests::figures::{load, say};
use compat_tests::site::{Site, basic, bytes};

/// How long each kind of request is asked for, seconds.
const SECONDS: u32 = 2;
/// How many requests an application answers at a time.
const WORKERS: &str = "4";

/// Everything; `{tcp}` is a port.
const CONF: &str = r#"
MaxKeepAliveRequests 0
FastCgiExternalServer {root}/htdocs/app -socket {root}/run/app
FastCgiExternalServer {root}/htdocs/tcp -host 127.0.0.1:{tcp}
FastCgiExternalServer {root}/htdocs/auth/app -socket {root}/run/app.2
FastCgiExternalServer {root}/gate -socket {root}/run/gate
FastCgiServer {root}/htdocs/own -processes 4
ScriptAlias /cgi-bin/ {root}/cgi-bin/
ProxyPass /up/ http://127.0.0.1:{port}/
<LocationMatch ^/(app|tcp|own)>
    SetHandler fastcgi-script
</LocationMatch>
<Location /auth>
    SetHandler fastcgi-script
    AuthType Basic
    AuthName train
    FastCgiAccessChecker {root}/gate
    FastCgiAuthenticator {root}/gate
    FastCgiAuthorizer {root}/gate
    Require valid-user
</Location>
<FilesMatch \.php$>
    SetHandler proxy:fcgi://127.0.0.1:{tcp}
</FilesMatch>
<Location /users>
    AuthType Basic
    AuthName train
    AuthUserFile conf/users
    Require valid-user
</Location>
<Directory {root}/cgi-bin>
    Require all granted
</Directory>
<Directory {root}/htdocs/tree>
    AllowOverride All
</Directory>
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" combined
Listen 127.0.0.1:{port2}
<VirtualHost 127.0.0.1:{port2}>
    ServerName secure.example.org
    CustomLog logs/access_log combined
    Protocols h2 http/1.1
    SSLEngine on
    SSLCertificateFile conf/own.pem
    SSLCertificateKeyFile conf/own.key
    AddOutputFilterByType DEFLATE text/html
    RewriteEngine On
    RewriteCond %{REQUEST_FILENAME} !-f
    RewriteRule ^/front/ /app [L]
</VirtualHost>
"#;

/// In `htdocs/tree`.
const HTACCESS: &[u8] = b"RewriteEngine On\nRewriteRule ^was/(.*)$ $1 [L]\n\
    Header set X-Frame-Options DENY\nExpiresActive On\nExpiresDefault \"access plus 1 day\"\n";

/// What `wrk` sends as a form of 64 Kbytes.
const POST: &str = "wrk.method = 'POST'\nwrk.body = string.rep('y', 65536)\n";
/// What a browser sends beside the request's line.
const BROWSER: [&str; 8] = [
    "-H",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "-H",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "-H",
    "Accept-Encoding: gzip, deflate, br",
    "-H",
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
];

fn main() -> ExitCode {
    match train() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("train: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A process with so many workers; with directives it answers every request after them.
fn application(
    site: &Site,
    address: Address,
    directives: &[&str],
) -> Result<Application> {
    let workers = [("PROBE_WORKERS", WORKERS)];
    Application::probe_at(&site.root, address, directives, &workers)
}

/// Files, and a certificate.
fn fill(site: &Site) -> Result<()> {
    let page = b"<p>It works: a line of a page.</p>\n".repeat(30);
    for name in
        ["page", "page.html", "users/page", "tree/page", "tree/a/b/page", "index.php"]
    {
        site.root.write(&format!("htdocs/{name}"), &page)?;
    }
    std::fs::create_dir(site.root.join("htdocs/auth"))?;
    site.root.write("htdocs/tree/.htaccess", HTACCESS)?;
    site.root.write("htdocs/large", &bytes(1 << 20))?;
    site.root.write("conf/users", b"ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")?;
    site.root.write("post.lua", POST.as_bytes())?;
    let answer = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n%01000d' 1\n";
    site.program("cgi-bin/script", answer)?;
    site.probe("htdocs/own")?;
    run(Command::new(program("/usr/bin/openssl", "openssl")?)
        .current_dir(site.root.join("conf"))
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-noenc", "-days", "30", "-subj", "/CN=secure.example.org"])
        .args(["-keyout", "own.key", "-out", "own.pem"]))
}

fn train() -> Result<()> {
    let mut site = Site::new()?;
    fill(&site)?;
    let tcp = site.root.port_named("tcp")?;
    let _applications = [
        application(&site, site.unix("app"), &[])?,
        application(&site, site.unix("app.2"), &[])?,
        application(&site, Address::Tcp(tcp), &[])?,
        application(
            &site,
            site.unix("gate"),
            &["status=200&header=Variable-USER_ID: 7"],
        )?,
    ];
    site.serve(CONF)?;
    let plain = format!("http://127.0.0.1:{}", site.root.port);
    let secure = format!("https://127.0.0.1:{}", site.root.other_port);
    let [ann, post] =
        [basic("ann", "secret"), site.root.join("post.lua").display().to_string()];
    let (ann, post) = (["-H", &ann], ["-s", &post]);
    let rows: [(&str, String, usize, &[&str]); 20] = [
        ("small file", format!("{plain}/page"), 16, &[]),
        ("small file, a browser", format!("{plain}/page.html"), 4, &BROWSER),
        ("large file", format!("{plain}/large"), 8, &[]),
        ("file with .htaccess", format!("{plain}/tree/a/b/page"), 4, &BROWSER),
        ("file, rewritten", format!("{plain}/tree/was/page"), 4, &BROWSER),
        ("file for users", format!("{plain}/users/page"), 4, &ann),
        ("application", format!("{plain}/app?size=1024"), 4, &[]),
        ("application, a browser", format!("{plain}/app/path?size=1024"), 4, &BROWSER),
        ("application, many clients", format!("{plain}/app?size=1024"), 64, &[]),
        ("application, 100 KiB", format!("{plain}/app?size=102400"), 4, &[]),
        ("application, 4 MiB", format!("{plain}/app?size=4194304"), 4, &[]),
        ("application, POST", format!("{plain}/app?size=1024"), 4, &post),
        ("application, TCP", format!("{plain}/tcp?size=1024"), 4, &BROWSER),
        ("application of ours", format!("{plain}/own?size=1024"), 4, &BROWSER),
        ("proxy:fcgi", format!("{plain}/index.php?size=1024"), 4, &BROWSER),
        ("three phases", format!("{plain}/auth/app?size=1024"), 4, &ann),
        ("script", format!("{plain}/cgi-bin/script"), 4, &[]),
        ("upstream", format!("{plain}/up/page"), 4, &BROWSER),
        ("TLS, a filter", format!("{secure}/page.html"), 4, &BROWSER),
        ("TLS, rewritten", format!("{secure}/front/a?size=1024"), 4, &BROWSER),
    ];
    for (what, url, clients, args) in rows {
        let seen = load(&url, clients, SECONDS, args).context(what)?;
        say(&format!("{what}: {} requests in {} s", seen.requests, seen.seconds))?;
    }
    run(Command::new(program("/usr/bin/h2load", "nghttp2-client")?).args([
        "-n",
        "20000",
        "-c",
        "4",
        "-m",
        "8",
        &format!("{secure}/page.html"),
    ]))?;
    site.server.take().context("nothing is served")?.stop()
}
