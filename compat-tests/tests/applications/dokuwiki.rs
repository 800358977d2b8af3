//! DokuWiki under php-fpm, with the `.htaccess` files that it ships: a whole program as
//! people install it. It is Debian's package, laid out as its own archive is, with
//! everything below one directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Application, newest, run};
use compat_tests::http::Response;
use compat_tests::packages::{self, copy};
use compat_tests::root::{Root, is_root};

use crate::site::Site;

/// DokuWiki and what it needs that no other test does.
const PACKAGES: [&str; 7] = [
    "dokuwiki",
    "libjs-jquery",
    "libjs-jquery-cookie",
    "libjs-jquery-ui",
    "libphp-simplepie",
    "php-geshi",
    "php-phpseclib",
];

fn unpacked() -> Result<PathBuf> {
    let directory = crate::site::programs()?;
    let xml = packages::php_package("xml")?;
    let names = [&PACKAGES[..], &[&xml]].concat();
    packages::unpacked(&directory, "dokuwiki", &names, |root, ready| {
        // It names its libraries by where the packages put them.
        let moved = format!("s#'/usr/share/#'{}/usr/share/#", ready.display());
        let mut sed = Command::new("/usr/bin/find");
        sed.arg(root)
            .args(["-type", "f", "-name", "*.php"])
            .args(["-exec", "sed", "-i", &moved, "{}", "+"]);
        run(&mut sed)
    })
}

/// Lays it out as its own archive is. Member and password: `jane`, `secret`.
pub fn install(root: &Root) -> Result<PathBuf> {
    let files = unpacked()?;
    let wiki = root.join("htdocs/dokuwiki");
    copy(&files.join("usr/share/dokuwiki"), &wiki)?;
    for link in [".htaccess", "lib/tpl", "lib/plugins", "inc/preload.php"] {
        std::fs::remove_file(wiki.join(link))?;
    }
    copy(&wiki.join(".htaccess.dist"), &wiki.join(".htaccess"))?;
    copy(&files.join("var/lib/dokuwiki/lib/tpl"), &wiki.join("lib/tpl"))?;
    copy(&files.join("var/lib/dokuwiki/lib/plugins"), &wiki.join("lib/plugins"))?;
    copy(&files.join("var/lib/dokuwiki/data"), &wiki.join("data"))?;
    copy(&files.join("etc/dokuwiki"), &wiki.join("conf"))?;
    for link in ["conf/users.auth.php", "conf/acl.auth.php"] {
        std::fs::remove_file(wiki.join(link))?;
    }
    let local = "<?php\n$conf['title'] = 'Our wiki';\n$conf['savedir'] = './data';\n\
                 $conf['useacl'] = 1;\n$conf['send404'] = 1;\n";
    let settings = wiki.join("conf/local.php");
    std::fs::write(&settings, local)?;
    // What it keeps has to be younger than its settings, by a second.
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    std::fs::File::options().append(true).open(&settings)?.set_modified(time)?;
    // `openssl passwd -1 -salt ourwiki1 secret`
    let users =
        "jane:$1$ourwiki1$snug1dfdS5rQTRIhCcYiq1:Jane Doe:jane@example.org:user\n";
    std::fs::write(wiki.join("conf/users.auth.php"), users)?;
    std::fs::write(wiki.join("conf/acl.auth.php"), "*\t@ALL\t1\n*\t@user\t8\n")?;
    let start = wiki.join("data/pages/start.txt");
    std::fs::write(
        start,
        "====== Welcome ======\n\nWords with a [[other:page|link]].\n",
    )?;
    // Otherwise php runs under our own name.
    for name in ["data", "conf"].iter().filter(|_| is_root()) {
        let mut chown = Command::new("/bin/chown");
        run(chown.args(["-R", "www-data:www-data"]).arg(wiki.join(name)))?;
    }
    Ok(files)
}

const CONF: &str = "
FastCgiExternalServer {root}/virtual/php {address}
<Directory {root}/virtual>
    Require all granted
</Directory>
Alias /php-gate {root}/virtual/php
AddHandler site-php .php
Action site-php /php-gate
DirectoryIndex index.html index.php
<Directory {root}/htdocs/dokuwiki>
    Options +FollowSymLinks
    AllowOverride All
    Order allow,deny
    Allow from all
</Directory>
";

/// php-fpm's lines for it.
pub fn pool(files: &Path) -> Result<String> {
    let libraries = files.join("usr/lib/php");
    let libraries = newest(libraries.to_str().context("a path that is no text")?, "20")?;
    Ok(format!(
        "php_admin_value[include_path] = .:{0}/usr/share/php:/usr/share/php\n\
         php_admin_value[extension] = {1}/xml.so\n\
         php_admin_value[session.save_path] = {{root}}/tmp\n\
         php_admin_flag[log_errors] = on\n",
        files.display(),
        libraries.display()
    ))
}

fn wiki() -> Result<(Site, Application)> {
    let mut site = Site::new()?;
    let files = install(&site.root)?;
    let pool = pool(&files)?;
    let php = Application::php_fpm(&site.root, site.unix("php.sock"), &pool)?;
    site.serve(&CONF.replace("{address}", &php.address.option()))?;
    Ok((site, php))
}

#[test]
fn pages_and_files() -> Result<()> {
    let (site, _php) = wiki()?;
    let answer = site.get("/dokuwiki/doku.php?id=start")?;
    let text = answer.text();
    ensure!(answer.status == 200 && text.contains("Welcome</h1>"), "{answer}");
    ensure!(text.contains("/dokuwiki/doku.php?id=other:page"), "{answer}");
    let answer = site.get("/dokuwiki/")?;
    ensure!(answer.status == 200 || answer.status == 302, "{answer}");
    // PATH_INFO is its way of paths without rewriting.
    let answer = site.get("/dokuwiki/doku.php/start")?;
    ensure!(answer.text().contains("Welcome</h1>"), "{answer}");
    let answer = site.get("/dokuwiki/doku.php?id=nothing:here")?;
    ensure!(answer.status == 404 && answer.text().contains("Our wiki"), "{answer}");

    // A style sheet that it makes, and files that are there.
    // An answer's tag is that of the moment before it was kept, until it was asked for
    // in a later second.
    let mut etag = String::new();
    for _ in 0..10 {
        let answer = site.get("/dokuwiki/lib/exe/css.php?t=dokuwiki")?;
        ensure!(
            answer.header("Content-Type").is_some_and(|t| t.starts_with("text/css")),
            "{answer}"
        );
        let last = etag;
        etag = answer.header("ETag").context("css.php says ETag")?.to_owned();
        if etag == last {
            break;
        }
    }
    let fields = [&*format!("If-None-Match: {etag}")];
    let answer = site.ask("GET /dokuwiki/lib/exe/css.php?t=dokuwiki", &fields, b"")?;
    ensure!(answer.status == 304 && answer.body.is_empty(), "{answer}");
    let answer = site.get("/dokuwiki/lib/images/throbber.gif")?;
    ensure!(answer.header("Content-Type") == Some("image/gif"), "{answer}");
    ensure!(answer.body.starts_with(b"GIF8"), "{answer}");
    Ok(())
}

#[test]
fn what_its_htaccess_files_close() -> Result<()> {
    let (site, _php) = wiki()?;
    for target in [
        "/dokuwiki/data/pages/start.txt",
        "/dokuwiki/data/",
        "/dokuwiki/conf/local.php",
        "/dokuwiki/conf/users.auth.php",
        "/dokuwiki/inc/init.php",
        "/dokuwiki/bin/dwpage.php",
        "/dokuwiki/vendor/autoload.php",
        "/dokuwiki/.htaccess",
        "/dokuwiki/VERSION",
    ] {
        let answer = site.get(target)?;
        ensure!(answer.status == 403, "{target}: {answer}");
    }
    let answer = site.get("/dokuwiki/.git/config")?;
    ensure!(answer.status == 404, "{answer}");
    site.logged("client denied by server configuration")
}

#[test]
fn a_member_logs_in() -> Result<()> {
    let (site, _php) = wiki()?;
    let page = site.get("/dokuwiki/doku.php?id=start&do=login")?;
    ensure!(page.status == 200 && page.text().contains("name=\"p\""), "{page}");
    let session = cookies(&page);
    let text = page.text();
    let token = text.split("name=\"sectok\" value=\"").nth(1).context("no token")?;
    let token = token.split('"').next().unwrap_or_default();
    let form = format!("sectok={token}&id=start&do=login&u=jane&p=secret");
    let fields = [
        &*format!("Cookie: {session}"),
        "Content-Type: application/x-www-form-urlencoded",
    ];
    let answer =
        site.ask("POST /dokuwiki/doku.php?id=start", &fields, form.as_bytes())?;
    ensure!(answer.status == 302, "{answer}");
    let location = answer.header("Location").context("no Location")?;
    ensure!(location.contains("/dokuwiki/doku.php"), "{answer}");
    let fields = [&*format!("Cookie: {session}; {}", cookies(&answer))];
    let answer = site.ask("GET /dokuwiki/doku.php?id=start", &fields, b"")?;
    ensure!(answer.text().contains("Jane Doe"), "{answer}");
    // And the wrong password is nobody's.
    let wrong = form.replace("secret", "guess");
    let fields = [
        &*format!("Cookie: {session}"),
        "Content-Type: application/x-www-form-urlencoded",
    ];
    let answer =
        site.ask("POST /dokuwiki/doku.php?id=start", &fields, wrong.as_bytes())?;
    ensure!(!answer.text().contains("Jane Doe"), "{answer}");
    Ok(())
}

/// What an answer's cookies are when they come back.
fn cookies(answer: &Response) -> String {
    let set =
        answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Set-Cookie"));
    let pairs = set.filter_map(|(_, value)| value.split(';').next());
    let mut pairs: Vec<&str> = pairs.filter(|pair| !pair.ends_with("=deleted")).collect();
    pairs.dedup();
    pairs.join("; ")
}
