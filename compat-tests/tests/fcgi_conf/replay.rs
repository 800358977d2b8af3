//! `fcgi-conf replay` between apache2 with mod_proxy_fcgi and ours, with one application
//! behind both, and between servers that differ.

use std::process::{Command, Output};
use std::time::Instant;

use anyhow::{Result, ensure};
use compat_tests::application::Application;
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server, built};
use compat_tests::site::Site;

use crate::tool::text;

fn replay(
    old: u16,
    new: u16,
    root: &Root,
    requests: &str,
    args: &[&str],
) -> Result<Output> {
    let file = root.write("requests", requests.as_bytes())?;
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    Ok(Command::new(built("fcgi-conf"))
        .args(["replay", "--old", &url(old), "--new", &url(new)])
        .args(args)
        .arg(file)
        .output()?)
}

/// Files and an application's answers: nothing differs, over a whole access log.
#[test]
fn apache2_and_ours_answer_the_same() -> Result<()> {
    let theirs = Root::new()?;
    let mut ours = Site::new()?;
    let _probe = Application::probe(&ours.root, "probe", &[])?;
    let socket = ours.root.join("run/probe").display().to_string();
    for root in [&theirs, &ours.root] {
        root.write("htdocs/page.html", b"<p>a page\n")?;
        root.write("htdocs/dir/file.txt", &b"words ".repeat(20_000))?;
    }
    // Times are part of what is compared.
    for name in ["htdocs/page.html", "htdocs/dir/file.txt"] {
        let time = std::fs::metadata(theirs.join(name))?.modified()?;
        std::fs::File::options()
            .append(true)
            .open(ours.root.join(name))?
            .set_modified(time)?;
    }
    let load = |name: &str| {
        format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
    };
    let modules: String =
        ["mpm_event", "authz_core", "mime", "dir", "proxy", "proxy_fcgi"]
            .into_iter()
            .map(load)
            .collect();
    let conf = format!(
        "{modules}ServerRoot {{root}}\nListen 127.0.0.1:{{port}}\nServerName www.example.org\n\
         PidFile run/pid\nErrorLog logs/error_log\nTypesConfig /etc/mime.types\nUser www-data\n\
         Group www-data\nDocumentRoot {{root}}/htdocs\nProxyPass /app unix:{socket}|fcgi://h/app\n\
         DefaultRuntimeDir run\nMutex file:{{root}}/run\n"
    );
    theirs.write("conf/httpd.conf", theirs.fill(&conf).as_bytes())?;
    let _apache = Server::start(Kind::Apache, &theirs)?;
    ours.serve(
        "FastCgiExternalServer {root}/virtual/app -socket {root}/run/probe\n\
         Alias /app {root}/virtual/app\n<Directory {root}/virtual>\nRequire all granted\n\
         </Directory>\n",
    )?;
    let mut log = String::new();
    let targets = [
        "/page.html",
        "/dir/file.txt",
        "/dir",
        "/nothing",
        "/app/x?status=418%20Tea&\
        header=X-A:%20b&text=hello",
        "/app?size=70000",
        "/app?status=302%20Found&header=Location:%20http://h.example/&text=gone",
        "/%2e%2e/x",
        "/page.html?q=1",
    ];
    for i in 0..100 {
        let target = targets[i % targets.len()];
        log += &format!(
            "192.0.2.{i} - - [21/Nov/2026:10:00:00 +0000] \"GET {target} HTTP/1.1\" \
            200 5 \"-\" \"Browser \\\"{i}\\\"\"\n"
        );
    }
    log += "HEAD /page.html\nOPTIONS /page.html\nGET /dir/file.txt\n    Range: bytes=5-9,20-30\n\
            GET /page.html\n    If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\nPOST /app\n";
    let mask = [
        "--rate",
        "1000",
        "--mask",
        "boundary=[^ ]*|^--[0-9a-f]+",
        "--mask",
        "(?m)^--[0-9a-f]{8,}(--)?\r?$",
    ];
    let output = replay(theirs.port, ours.root.port, &ours.root, &log, &mask)?;
    let out = text(&output);
    ensure!(output.status.code() == Some(0), "{out}");
    ensure!(
        out.starts_with("104 requests sent, 0 answered differently, 1 left out"),
        "{out}"
    );
    ensure!(out.contains("rule: fields that are not compared: date, server"), "{out}");
    Ok(())
}

#[test]
fn differences_are_found() -> Result<()> {
    let root = Root::new()?;
    let (mut old, mut new) = (Site::new()?, Site::new()?);
    let _probes = [
        Application::probe(&old.root, "probe", &[])?,
        Application::probe(&new.root, "probe", &[])?,
    ];
    let conf = "FastCgiExternalServer {root}/htdocs/app -socket {root}/run/probe\n";
    old.serve(&format!("{conf}SetEnv SAME 1\nSetEnv WHICH old\nSetEnv GONE 1\n"))?;
    new.serve(&format!("{conf}SetEnv SAME 1\nSetEnv WHICH new\nSetEnv CAME 1\n"))?;
    old.root.write("htdocs/a", b"one\ntwo\n")?;
    new.root.write("htdocs/a", b"one\nthree\n")?;
    let ports = (old.root.port, new.root.port);
    let mut args = vec!["--environment", "--json", "--rate", "500"];
    for name in ["DOCUMENT_ROOT", "FILENAME", "TRANSLATED"] {
        args.extend(["--mask", name]);
    }
    args.extend(["--mask", "/tmp/ct[A-Za-z0-9]*"]);
    let output =
        replay(ports.0, ports.1, &root, "GET http://h.example/app/x?env\n", &args)?;
    ensure!(output.status.code() == Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let found =
        report["requests"][0]["differences"].as_array().cloned().unwrap_or_default();
    let names: Vec<&str> = found.iter().filter_map(|d| d["name"].as_str()).collect();
    ensure!(names == ["CAME", "GONE", "WHICH"], "{report}");
    let ignore = ["--ignore", "ETag", "--ignore", "Last-Modified"];
    let output = replay(ports.0, ports.1, &root, "GET /a\nGET /none\n", &ignore)?;
    let out = text(&output);
    let wanted = "line 1: GET /a\n  body\n    - line 2: two\n    + line 2: three\n2 requests sent, 1";
    ensure!(output.status.code() == Some(1) && out.starts_with(wanted), "{out}");
    // A server that is not there is a difference, too.
    let nobody = compat_tests::root::free_port()?;
    let output = replay(ports.0, nobody, &root, "GET /a\n", &[])?;
    ensure!(
        output.status.code() == Some(1)
            && text(&output).contains("  failure\n    - 200\n")
    );
    Ok(())
}

/// No more than so many a second, and no method that may change something.
#[test]
fn it_is_careful() -> Result<()> {
    let root = Root::new()?;
    let mut site = Site::new()?;
    site.serve("")?;
    site.root.write("htdocs/a", b"x")?;
    let port = site.root.port;
    let begun = Instant::now();
    let requests = "GET /a\n".repeat(6) + "POST /a\nDELETE /a\nPUT /a\n";
    let output = replay(port, port, &root, &requests, &["--rate", "10"])?;
    ensure!(begun.elapsed().as_millis() >= 500, "{:?}", begun.elapsed());
    ensure!(
        text(&output).starts_with("6 requests sent, 0 answered differently, 3 left out")
    );
    ensure!(output.stderr.is_empty(), "a bar is for terminals");
    let output = replay(port, port, &root, "POST /a\n", &["--unsafe"])?;
    ensure!(text(&output).starts_with("1 requests sent"), "{}", text(&output));
    let output = replay(port, port, &root, "POST /a\n", &[])?;
    ensure!(output.status.code() == Some(1), "nothing was compared");
    Ok(())
}
