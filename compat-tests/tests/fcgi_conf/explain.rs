//! `fcgi-conf explain`: it says of a request what the server then does with it, and its
//! page is good to look at.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use compat_tests::application::Application;
use compat_tests::browser::picture;
use compat_tests::server::built;
use compat_tests::site::{Site, basic};
use serde_json::Value;

/// A probe as responder and one that lets in, and the server before them.
struct Explained {
    site: Site,
    _applications: [Application; 2],
}

fn explained() -> Result<Explained> {
    let mut site = Site::new()?;
    let allows = "header=Variable-TIER: gold";
    let applications = [
        Application::probe(&site.root, "probe", &[])?,
        Application::probe(&site.root, "allows", &[allows])?,
    ];
    site.serve(
        "FastCgiExternalServer {root}/htdocs/probe -socket {root}/run/probe \
            -pass-header Authorization\n\
         FastCgiExternalServer {root}/virtual/allows -socket {root}/run/allows\n\
         RewriteEngine On\n\
         RewriteRule ^/nice/(.*)$ /probe/$1 [PT]\n\
         SetEnv PLACE server\n\
         <Location /probe/inside>\n    SetEnv PLACE inside\n</Location>\n\
         <Location /probe/members>\n    FastCgiAccessChecker {root}/virtual/allows\n</Location>\n",
    )?;
    Ok(Explained { site, _applications: applications })
}

fn explain(site: &Site, args: &[&str], target: &str) -> Result<String> {
    let output = Command::new(built("fcgi-conf"))
        .args(["explain", "-f", "conf/httpd.conf", "-d"])
        .arg(site.root.path())
        .args(args)
        .args(["-H", "Host: www.example.org", "-H", "Connection: close"])
        .args(["GET", &format!("http://127.0.0.1:{}{target}", site.root.port)])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Every variable that the application gets, but for the client's port.
#[test]
fn parameters_are_those_that_are_sent() -> Result<()> {
    let explained = explained()?;
    let site = &explained.site;
    let login = basic("a", "b");
    let cases = [
        ("/probe/x/y?env&q=1", &[][..]),
        ("/nice/a%20b?env", &["X-Field: 1", login.as_str()][..]),
        ("/probe/inside/?env", &[][..]),
        ("/probe/members/?env", &[][..]),
    ];
    for (target, fields) in cases {
        let mut args = vec![
            "--json",
            "--answer",
            "access=200; Variable-TIER: gold; Content-Type: text/plain",
        ];
        for field in fields {
            args.extend(["-H", field]);
        }
        let told: Value = serde_json::from_str(&explain(site, &args, target)?)?;
        let calls = told["calls"].as_array().context("calls")?;
        let last = calls.last().context("a call")?;
        let pairs = last["parameters"].as_array().context("parameters")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut said: Vec<String> = pairs
            .iter()
            .map(|pair| format!("{}={}", text(&pair[0]), text(&pair[1])))
            .filter(|line| {
                !line.starts_with("REMOTE_PORT=") && !line.starts_with("PATH=")
            })
            .collect();
        said.sort();
        let answer = site.ask(&format!("GET {target}"), fields, b"")?;
        ensure!(answer.status == 200, "{target}: {answer}");
        let body = answer.text();
        let sent: Vec<&str> = body
            .lines()
            .filter(|line| {
                !line.starts_with("REMOTE_PORT=") && !line.starts_with("PATH=")
            })
            .collect();
        ensure!(said == sent, "{target}:\n{}\n--\n{}", said.join("\n"), sent.join("\n"));
    }
    Ok(())
}

/// What an answer decides, and where it was asked for.
#[test]
fn an_answer_decides() -> Result<()> {
    let explained = explained()?;
    let site = &explained.site;
    let text = explain(site, &["--answer", "access=403"], "/probe/members/")?;
    ensure!(text.contains("\nAnswer\n  403 Forbidden\n"), "{text}");
    ensure!(text.contains("  ! mod_fastcgi.c: status 403"), "{text}");
    let conf = std::fs::read_to_string(site.root.join("conf/httpd.conf"))?;
    let wanted = conf.lines().position(|line| line.contains("FastCgiAccessChecker"));
    let line = wanted.context("the directive")? + 1;
    ensure!(text.contains(&format!("conf/httpd.conf:{line}")), "{text}");
    let text = explain(site, &[], "/probe/members/")?;
    ensure!(text.contains("\nAnswer\n  200 OK\n"), "{text}");
    ensure!(text.contains("\nAssumed\n  the access checker says 200"), "{text}");
    Ok(())
}

#[test]
fn the_page_is_good_to_look_at() -> Result<()> {
    let explained = explained()?;
    let page = explain(&explained.site, &["--html"], "/nice/x?y=%3Cb%3E")?;
    ensure!(!page.contains("<b>&y") && page.contains("<ol class=\"way\">"), "{page}");
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("page.html");
    std::fs::write(&file, page)?;
    let url = format!("file://{}", file.display());
    for width in [1200, 400] {
        let light = picture(&url, directory.path(), width, 1)?;
        let dark = picture(&url, directory.path(), width, 0)?;
        for picture in [&light, &dark] {
            ensure!(picture.colours > 40, "{width}: {picture:?}");
        }
        ensure!(light.lightness > 180, "{width}: {light:?}");
        ensure!(dark.lightness < 75, "{width}: {dark:?}");
    }
    Ok(())
}

#[test]
fn a_directive_has_a_page() -> Result<()> {
    let page = crate::tool::run(&["explain", "--directive", "fastcgiserver"]);
    let text = crate::tool::text(&page);
    ensure!(
        text.starts_with("## FastCgiServer\n") && text.contains("-processes"),
        "{text}"
    );
    let page = crate::tool::run(&["explain", "--directive", "Location"]);
    ensure!(crate::tool::text(&page).contains("Location"));
    let unknown = crate::tool::run(&["explain", "--directive", "FastCgiServr"]);
    ensure!(unknown.status.code() == Some(1));
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    ensure!(said.contains("did you mean FastCgiServer?"), "{said}");
    Ok(())
}
