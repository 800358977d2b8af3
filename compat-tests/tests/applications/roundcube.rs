//! Roundcube on SQLite: Debian's packages, with the `apache.conf` and the `htaccess` that
//! they ship.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use compat_tests::application::{program, run};
use compat_tests::packages::{self, copy};
use compat_tests::root::Root;

use crate::beside::{Case, Visitor, between, compare};
use crate::mediawiki::{EXTENSIONS, give, pool};

/// Roundcube and the libraries that it cannot do without.
const PACKAGES: &[&str] = &[
    "roundcube-core",
    "libjs-bootstrap4",
    "libjs-jquery",
    "libjs-jquery-minicolors",
    "libjs-jquery-ui",
    "libjs-jstimezonedetect",
    "php-auth-sasl",
    "php-getallheaders",
    "php-guzzlehttp-guzzle",
    "php-guzzlehttp-promises",
    "php-guzzlehttp-psr7",
    "php-mail-mime",
    "php-masterminds-html5",
    "php-net-sieve",
    "php-net-smtp",
    "php-net-socket",
    "php-pear",
    "php-psr-http-client",
    "php-psr-http-factory",
    "php-psr-http-message",
    "php-symfony-deprecation-contracts",
];

/// Its `.htaccess` sets header fields: no redirect may lead away from it.
const EXTERNAL: &str = r"
FastCgiExternalServer {root}/app/roundcube/public_html/index.php -socket {root}/run/php.sock
AddHandler fastcgi-script .php
";

fn unpacked() -> Result<PathBuf> {
    packages::unpacked(&crate::site::programs()?, "roundcube", PACKAGES, |_, _| Ok(()))
}

fn install(root: &Root) -> Result<String> {
    let files = unpacked()?;
    let mail = root.join("app/roundcube");
    copy(&files.join("var/lib/roundcube"), &mail)?;
    copy(&files.join("etc/roundcube"), &root.join("app/etc"))?;
    for link in ["config", "logs", ".htaccess"] {
        std::fs::remove_file(mail.join(link))?;
    }
    std::os::unix::fs::symlink("../etc", mail.join("config"))?;
    std::os::unix::fs::symlink("config/htaccess", mail.join(".htaccess"))?;
    std::fs::create_dir(mail.join("logs"))?;
    std::fs::create_dir(root.join("app/data"))?;
    let data = root.join("app/data/mail.sqlite").display().to_string();
    // No server of mail is there.
    let conf = format!(
        "<?php\n$config['db_dsnw'] = 'sqlite:///{data}?mode=0640';\n\
         $config['imap_host'] = 'localhost:1';\n\
         $config['des_key'] = 'twenty-four-bytes-of-key';\n$config['plugins'] = [];\n\
         $config['skin'] = 'elastic';\n$config['session_lifetime'] = 600;\n"
    );
    root.write("app/etc/config.inc.php", conf.as_bytes())?;
    let schema = files.join("usr/share/roundcube/SQL/sqlite.initial.sql");
    let code = format!(
        "(new PDO('sqlite:{data}'))->exec(file_get_contents('{}'));",
        schema.display()
    );
    let php = program("/usr/bin/php", "php-cli")?;
    run(std::process::Command::new(php).arg("-r").arg(code))?;
    for name in ["data", "roundcube/logs", "roundcube/temp"] {
        give(&root.join("app").join(name))?;
    }
    let shipped = std::fs::read_to_string(files.join("etc/roundcube/apache.conf"))?;
    let here = mail.display().to_string();
    // Its documentation: take the mark away from the alias.
    let conf =
        shipped.replace("#    Alias", "Alias").replace("/var/lib/roundcube", &here);
    ensure!(conf.contains("\nAlias /roundcube"), "{conf}");
    root.write("conf/roundcube.conf", conf.as_bytes())?;
    Ok(pool(&format!(".:{}/usr/share/php", files.display())))
}

fn visit(visitor: &mut Visitor<'_>) -> Result<()> {
    let answer = visitor.expect(301, "/roundcube")?;
    ensure!(answer.header("Location") == Some("http://www.example.org/roundcube/"));
    let page = visitor.expect(200, "/roundcube/")?;
    let text = page.text();
    ensure!(
        text.contains("Roundcube Webmail Login") || text.contains("login-form"),
        "{page}"
    );
    ensure!(page.header("X-Robots-Tag") == Some("noindex, nofollow"), "{page}");
    let token = between(&text, "name=\"_token\" value=\"", "\"")?.to_owned();
    visitor.expect(200, "/roundcube/index.php?_task=login")?;
    visitor.get("/roundcube/?_task=mail")?;
    visitor.get("/roundcube/?_task=settings&_action=about")?;
    visitor.get("/roundcube/index.php/mail/list")?;
    // What its rules open, lead elsewhere, and close.
    visitor.expect(200, "/roundcube/favicon.ico")?;
    visitor.expect(200, "/roundcube/skins/elastic/images/logo.svg")?;
    visitor.expect(200, "/roundcube/skins/elastic/styles/styles.min.css")?;
    visitor.expect(200, "/roundcube/program/js/app.min.js")?;
    visitor.expect(200, "/roundcube/program/js/jquery.min.js")?;
    let fields = ["Accept-Encoding: gzip"];
    visitor.ask("GET /roundcube/program/js/app.min.js", &fields, b"")?;
    visitor.ask("GET /roundcube/", &fields, b"")?;
    visitor.ask("HEAD /roundcube/program/js/app.min.js", &[], b"")?;
    visitor.ask("GET /roundcube/program/js/app.min.js", &["Range: bytes=0-99"], b"")?;
    for closed in [
        "config",
        "logs",
        "temp",
        "bin",
        "SQL",
        "vendor/autoload.php",
        ".git/config",
        "README.md",
        "CHANGELOG",
        "composer.json",
        "program/include/rcmail.php",
        "program/lib/x.php",
        ".htaccess",
        ".htpasswd",
        "nodot",
        "skins/elastic/meta.json",
        "config/config.inc.php",
    ] {
        let answer = visitor.get(&format!("/roundcube/{closed}"))?;
        ensure!(answer.status == 403, "{closed}: {answer}");
    }
    visitor.get("/roundcube/.well-known/x")?;
    visitor.get("/roundcube/installer")?;
    visitor.expect(404, "/roundcube/none.txt")?;
    visitor.get("/roundcube/skins/")?;
    visitor.get("/roundcube/skins/elastic/images/")?;

    let form = format!(
        "_token={token}&_task=login&_action=login&_timezone=UTC&_url=&_user=jane&_pass=secret"
    );
    let answer = visitor.post("/roundcube/?_task=login", &form)?;
    // Nobody is there to ask about a password.
    ensure!(!answer.text().contains("logout"), "{answer}");
    let stale = form.replace(&token, "guessed");
    visitor.post("/roundcube/?_task=login", &stale)?;
    visitor.get("/roundcube/?_task=logout&_token=x")?;
    Ok(())
}

#[test]
fn it_answers_as_under_apache() -> Result<()> {
    compare(&Case {
        install: &install,
        fastcgi: EXTERNAL,
        extensions: EXTENSIONS,
        conf: "Include {root}/conf/roundcube.conf\n",
        visit: &visit,
        secrets: &[
            "roundcube_sessid=",
            "request_token\":\"",
            "name=\"_token\" value=\"",
            "last-modified: ",
            "expires: ",
            "; expires=",
            "_token=",
        ],
    })
}
