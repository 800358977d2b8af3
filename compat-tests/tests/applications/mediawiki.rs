//! MediaWiki on SQLite with short URLs: Debian's packages and the configuration that they
//! drop into `conf-available`, made by its own installer, and the rules of its manual
//! (Manual:Short URL/Apache).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use compat_tests::application::{program, run};
use compat_tests::packages::{self, copy};
use compat_tests::root::{Root, is_root};

use crate::beside::{ACTION, Case, Visitor, between, compare};

/// The rules for articles and for thumbnails.
const SHORT_URLS: &str = r"
RewriteEngine On
RewriteRule ^/?wiki(/.*)?$ /mediawiki/index.php [PT,L]
RewriteRule ^/?mediawiki/images/thumb/[0-9a-f]/[0-9a-f][0-9a-f]/([^/]+)/([0-9]+)px-.*$ /mediawiki/thumb.php?f=$1&width=$2 [PT,L,QSA,B]
RewriteRule ^/?$ /wiki/Main_Page [R=301,L]
Include {root}/conf/mediawiki.conf
";

/// PHP's extensions that php-fpm does not have without its `php.ini`.
pub const EXTENSIONS: &[&str] = &[
    "ctype",
    "dom",
    "fileinfo",
    "iconv",
    "intl",
    "mbstring",
    "pdo",
    "pdo_sqlite",
    "simplexml",
    "tokenizer",
    "xml",
    "xmlreader",
    "xmlwriter",
];

/// The packages' files, and a fresh wiki in `made`. Its administrator: `Admin`,
/// `wikiwords-1`.
fn unpacked() -> Result<PathBuf> {
    let names = ["mediawiki", "mediawiki-classes"];
    packages::unpacked(&crate::site::programs()?, "mediawiki", &names, |root, _| {
        let made = root.join("made");
        std::fs::create_dir(&made)?;
        let php = program("/usr/bin/php", "php-cli")?;
        let code = root.join("usr/share/mediawiki/maintenance");
        let option = |name: &str| format!("--{name}");
        let mut install = Command::new(&php);
        install.arg(code.join("install.php"));
        install.arg(option("dbtype")).arg("sqlite");
        install.arg(option("dbpath")).arg(&made);
        install.arg(option("confpath")).arg(&made);
        install.args(["--pass", "wikiwords-1", "--server", "http://www.example.org"]);
        install.args(["--scriptpath", "/mediawiki", "Our wiki", "Admin"]);
        run(&mut install)?;
        let settings = made.join("LocalSettings.php");
        let text = std::fs::read_to_string(&settings)?;
        let path = made.to_str().context("a path that is no text")?;
        ensure!(text.contains(path), "{text}");
        std::fs::write(
            &settings,
            text.replace(&format!("\"{path}\""), "\"$IP/../data\""),
        )?;
        Ok(())
    })
}

fn install(root: &Root) -> Result<String> {
    let files = unpacked()?;
    let wiki = root.join("app/mediawiki");
    copy(&files.join("var/lib/mediawiki"), &wiki)?;
    copy(&files.join("made"), &root.join("app/data"))?;
    std::fs::remove_file(wiki.join("LocalSettings.php"))?;
    let settings = root.join("app/data/LocalSettings.php");
    let text = std::fs::read_to_string(&settings)?
        + "\n$wgArticlePath = '/wiki/$1';\n$wgEnableUploads = true;\n\
           $wgFileExtensions[] = 'txt';\n$wgTmpDirectory = \"$IP/../../tmp\";\n\
           $wgJobRunRate = 0;\n$wgCacheDirectory = \"$IP/cache\";\n";
    std::fs::write(wiki.join("LocalSettings.php"), text)?;
    for name in ["app/data", "app/mediawiki/images", "app/mediawiki/cache"] {
        give(&root.join(name))?;
    }
    let shipped = files.join("etc/apache2/conf-available/mediawiki.conf");
    let shipped = std::fs::read_to_string(shipped)?;
    let here = root.join("app/mediawiki").display().to_string();
    let conf = shipped.replace("/var/lib/mediawiki", &here);
    ensure!(conf != shipped, "{shipped}");
    root.write("conf/mediawiki.conf", conf.as_bytes())?;
    // Its files are links, and PHP follows them.
    let place = "env[MW_INSTALL_PATH] = {root}/app/mediawiki\n";
    Ok(pool(".") + place)
}

/// php-fpm runs under its own name if it can.
pub fn give(path: &Path) -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut chown = Command::new("/bin/chown");
    run(chown.args(["-R", "www-data:www-data"]).arg(path))
}

/// php-fpm's lines for a program that finds its libraries on this path.
pub fn pool(include_path: &str) -> String {
    format!(
        "php_value[include_path] = {include_path}\n\
         php_admin_value[session.save_path] = {{root}}/tmp\n\
         php_admin_value[sys_temp_dir] = {{root}}/tmp\n\
         php_admin_value[upload_tmp_dir] = {{root}}/tmp\n\
         php_admin_flag[log_errors] = on\n"
    )
}

fn visit(visitor: &mut Visitor<'_>) -> Result<()> {
    let answer = visitor.expect(301, "/")?;
    ensure!(answer.header("Location") == Some("http://www.example.org/wiki/Main_Page"));
    let page = visitor.expect(200, "/wiki/Main_Page")?.text();
    ensure!(page.contains("MediaWiki has been installed"), "{page}");
    ensure!(page.contains("href=\"/wiki/Special:"), "{page}");
    visitor.get("/wiki")?;
    visitor.get("/wiki/")?;
    visitor.get("/wiki/main_Page")?;
    visitor.expect(404, "/wiki/Nothing_here")?;
    visitor.expect(404, "/wiki/A%26B%3f_%C3%BC/c?uselang=en")?;
    visitor.expect(200, "/wiki/Special:Version")?;
    visitor.get("/wiki/Special:Search?search=installed&fulltext=1")?;
    visitor.get("/mediawiki/index.php/Main_Page")?;
    visitor.expect(200, "/mediawiki/index.php?title=Main_Page&action=raw")?;
    visitor.expect(200, "/mediawiki/index.php?title=Main_Page&action=history")?;
    visitor
        .expect(200, "/mediawiki/api.php?action=query&titles=Main_Page&format=json")?;
    visitor.expect(200, "/mediawiki/rest.php/v1/page/Main_Page/bare")?;
    visitor.get("/mediawiki/load.php?modules=site.styles&only=styles&skin=vector")?;
    visitor.get("/mediawiki/opensearch_desc.php")?;
    visitor.get("/mediawiki/resources/assets/poweredby_mediawiki_88x31.png")?;
    visitor.get("/mediawiki/images/")?;
    visitor.get("/mediawiki/images/thumb/a/ab/None.png/120px-None.png")?;
    for closed in ["includes/WebStart.php", "maintenance/install.php", "cache/x"] {
        visitor.expect(403, &format!("/mediawiki/{closed}"))?;
    }

    let page =
        visitor.expect(200, "/mediawiki/index.php?title=Special:UserLogin")?.text();
    let token = sendable(
        between(&page, "name=\"wpLoginToken\" type=\"hidden\" value=\"", "\"")
            .or_else(|_| before(&page, "wpLoginToken"))?,
    );
    let form = format!(
        "wpName=Admin&wpPassword=wikiwords-1&wploginattempt=Log+in&wpEditToken=%2B%5C\
         &title=Special:UserLogin&authAction=login&force=&wpLoginToken={token}"
    );
    let wrong = form.replace("wikiwords-1", "guess");
    let answer = visitor.post("/mediawiki/index.php?title=Special:UserLogin", &wrong)?;
    ensure!(answer.status == 200, "{answer}");
    let answer = visitor.post("/mediawiki/index.php?title=Special:UserLogin", &form)?;
    ensure!(answer.status == 302, "{answer}");

    let answer = visitor.expect(
        200,
        "/mediawiki/api.php?action=query&meta=tokens%7Cuserinfo&format=json",
    )?;
    let text = answer.text();
    ensure!(text.contains("\"name\":\"Admin\""), "{text}");
    let token = between(&text, "\"csrftoken\":\"", "\"")?.replace("\\\\", "\\");
    let token_sent = sendable(&token);
    let form =
        format!("title=Made_here&text=Words%20of%20ours&format=json&token={token_sent}");
    let answer = visitor.post("/mediawiki/api.php?action=edit", &form)?;
    ensure!(answer.text().contains("\"result\":\"Success\""), "{answer}");
    let page = visitor.expect(200, "/wiki/Made_here")?.text();
    ensure!(page.contains("Words of ours"), "{page}");
    let answer = visitor.upload(
        "/mediawiki/api.php",
        &[
            ("action", "upload"),
            ("filename", "Sent.txt"),
            ("format", "json"),
            ("ignorewarnings", "1"),
            ("token", &token),
        ],
        ("file", "Sent.txt", b"a file that was sent\n"),
    )?;
    ensure!(answer.text().contains("\"result\":\"Success\""), "{answer}");
    let page = visitor.expect(200, "/wiki/File:Sent.txt")?.text();
    let path = between(&page, "href=\"/mediawiki/images/", "\"")?.to_owned();
    let file = visitor.expect(200, &format!("/mediawiki/images/{path}"))?;
    ensure!(file.body == b"a file that was sent\n", "{file}");
    let answer = visitor.ask("HEAD /wiki/Made_here", &[], b"")?;
    ensure!(answer.status == 200 && answer.body.is_empty(), "{answer}");
    Ok(())
}

/// The value of a hidden field whose attributes come in the other order.
fn before<'a>(page: &'a str, name: &str) -> Result<&'a str> {
    let mark = format!("name=\"{name}\"");
    let field = page
        .split("<input")
        .find(|field| field.contains(&mark))
        .with_context(|| format!("no field {name}"))?;
    between(field, "value=\"", "\"")
}

/// A token as a form sends it.
fn sendable(token: &str) -> String {
    token.replace('+', "%2B").replace('\\', "%5C")
}

#[test]
fn short_urls_answer_as_under_apache() -> Result<()> {
    compare(&Case {
        install: &install,
        fastcgi: ACTION,
        extensions: EXTENSIONS,
        conf: SHORT_URLS,
        visit: &visit,
        secrets: &[
            "_session=",
            "x-request-id: ",
            ", at ",
            "Sent.txt\">",
            "Token\":\"",
            "DateTime\":{\"value\":\"",
            "etag: W/\"",
            "; expires=",
            "cputime\":\"",
            "walltime\":\"",
            "unit-ms\":\"",
            "timingprofile\":[",
            "UserName=",
            "UserID=",
            "Token\" type=\"hidden\" value=\"",
            "wgBackendResponseTime\":",
            "wgRequestId\":\"",
            "last-modified: ",
            "expires: ",
            "token\":\"",
            "timestamp\":\"",
            "sessionexpiry",
            "UserLogin&token=",
        ],
    })
}
