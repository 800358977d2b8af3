//! DokuWiki with `userewrite` 1: the rules that its `.htaccess.dist` has ready, as its
//! documentation says to switch them on.

use anyhow::{Context, Result, ensure};
use compat_tests::root::Root;

use crate::beside::{ACTION, Case, Visitor, between, compare};
use crate::dokuwiki;

const CONF: &str = "
<Directory {root}/htdocs>
    Options +FollowSymLinks
    AllowOverride All
    Require all granted
</Directory>
";

fn install(root: &Root) -> Result<String> {
    let files = dokuwiki::install(root)?;
    let name = "htdocs/dokuwiki/.htaccess";
    let shipped = std::fs::read_to_string(root.join(name))?;
    let marked = "#RewriteEngine on";
    ensure!(shipped.contains(marked), "{shipped}");
    // Everything from there on, but for what leads to TLS.
    let (before, rules) = shipped.split_once(marked).context("no rules")?;
    let mut text = before.replace("#Options", "Options") + "RewriteEngine on";
    for line in rules.lines() {
        let is_for_tls = line.contains("HTTPS") || line.contains("xmlrpc");
        let line = if is_for_tls || line.starts_with("##") {
            line
        } else {
            line.strip_prefix('#').unwrap_or(line)
        };
        text += &format!("{line}\n");
    }
    std::fs::remove_file(root.join(name))?;
    root.write(name, text.as_bytes())?;
    let settings = root.join("htdocs/dokuwiki/conf/local.php");
    let local = std::fs::read_to_string(&settings)? + "$conf['userewrite'] = 1;\n";
    std::fs::write(&settings, local)?;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    for name in ["conf/local.php", "data/pages/start.txt"] {
        let path = root.join("htdocs/dokuwiki").join(name);
        std::fs::File::options().append(true).open(path)?.set_modified(time)?;
    }
    dokuwiki::pool(&files)
}

fn visit(visitor: &mut Visitor<'_>) -> Result<()> {
    let page = visitor.expect(200, "/dokuwiki/start")?.text();
    ensure!(page.contains("Welcome</h1>"), "{page}");
    ensure!(page.contains("href=\"/dokuwiki/other:page\""), "{page}");
    visitor.expect(404, "/dokuwiki/nothing:here")?;
    visitor.get("/dokuwiki/")?;
    visitor.get("/dokuwiki")?;
    visitor.get("/dokuwiki/index.php")?;
    visitor.get("/dokuwiki/wiki/")?;
    visitor.get("/dokuwiki/start?do=export_raw")?;
    let raw = visitor.expect(200, "/dokuwiki/_export/raw/start")?;
    ensure!(raw.text().contains("====== Welcome"), "{raw}");
    visitor.expect(404, "/dokuwiki/_media/wiki:nothing.png")?;
    visitor.get("/dokuwiki/_detail/wiki:nothing.png")?;
    visitor.get("/dokuwiki/start%20page%2fwith?a=b%26c")?;
    visitor.get("/dokuwiki/%c3%bcber")?;
    visitor.expect(200, "/dokuwiki/lib/images/throbber.gif")?;
    visitor.expect(200, "/dokuwiki/lib/exe/css.php?t=dokuwiki")?;
    for closed in ["conf/local.php", "data/pages/start.txt", "VERSION", ".htaccess"] {
        visitor.expect(403, &format!("/dokuwiki/{closed}"))?;
    }
    visitor.expect(404, "/dokuwiki/.git/config")?;

    let page = visitor.expect(200, "/dokuwiki/start?do=login")?.text();
    let token = between(&page, "name=\"sectok\" value=\"", "\"")?.to_owned();
    let form = format!("sectok={token}&id=start&do=login&u=jane&p=secret");
    let answer = visitor.post("/dokuwiki/start?do=login", &form)?;
    ensure!(answer.status == 302, "{answer}");
    let page = visitor.expect(200, "/dokuwiki/start")?.text();
    ensure!(page.contains("Jane Doe"), "{page}");

    // A page is written, and a file sent.
    let page = visitor.expect(200, "/dokuwiki/new:page?do=edit")?.text();
    let token = between(&page, "name=\"sectok\" value=\"", "\"")?.to_owned();
    let form = format!(
        "sectok={token}&id=new:page&rev=0&date=0&prefix=.&suffix=&changecheck=\
         &target=section&wikitext=%3D%3D%3D%3D+Made+here+%3D%3D%3D%3D&do%5Bsave%5D=Save&summary="
    );
    let answer = visitor.post("/dokuwiki/new:page?do=edit", &form)?;
    ensure!(answer.status == 302 || answer.status == 303, "{answer}");
    let page = visitor.expect(200, "/dokuwiki/new:page")?.text();
    ensure!(page.contains("Made here"), "{page}");
    let sent = visitor.upload(
        "/dokuwiki/lib/exe/ajax.php?call=mediaupload",
        &[("sectok", &token), ("ns", ""), ("mediaid", "sent.txt")],
        ("qqfile", "sent.txt", b"a file that was sent\n"),
    )?;
    ensure!(sent.status == 200, "{sent}");
    visitor.get("/dokuwiki/_media/sent.txt")?;
    let answer = visitor.ask("HEAD /dokuwiki/new:page", &[], b"")?;
    ensure!(answer.status == 200, "{answer}");
    Ok(())
}

#[test]
fn its_own_rewriting_answers_as_under_apache() -> Result<()> {
    compare(&Case {
        install: &install,
        fastcgi: ACTION,
        extensions: &[],
        conf: CONF,
        visit: &visit,
        // Sessions; when its files were made, in seconds and in tags; a signature has the time
        // of day.
        secrets: &[
            "DokuWiki=",
            "set-cookie: DW",
            "sectok=",
            "name=\"sectok\" value=\"",
            "last-modified: ",
            "expires: ",
            "etag: ",
            "&amp;17",
            "tseed=",
            "Last modified: ",
            "var SIG='",
            "var SIG=\"",
        ],
    })
}
