//! Debian's own `/etc/apache2`, as its package installs it: started by apache2 and by us,
//! and asked the same. Only where it listens and what it serves is changed.

mod enabled;
mod snippets;

use std::process::Command;

use anyhow::{Context, Result, ensure};
use compat_tests::http::{Client, Response};
use compat_tests::normal;
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};

/// What the package's `envvars` sets, with directories of the test.
fn environment(root: &Root) -> Vec<(&'static str, String)> {
    let below = |name: &str| root.join(name).display().to_string();
    vec![
        ("APACHE_RUN_USER", "www-data".to_owned()),
        ("APACHE_RUN_GROUP", "www-data".to_owned()),
        ("APACHE_PID_FILE", below("run/apache2.pid")),
        ("APACHE_RUN_DIR", below("run")),
        ("APACHE_LOCK_DIR", below("run")),
        ("APACHE_LOG_DIR", below("logs")),
        ("LANG", "C".to_owned()),
    ]
}

/// A copy of the tree, and a site for it.
fn tree() -> Result<Root> {
    let root = Root::new()?;
    let copied =
        Command::new("cp").arg("-a").arg("/etc/apache2/.").arg(root.path()).status()?;
    ensure!(copied.success(), "cp -a /etc/apache2");
    let change = |name: &str, changes: &[(&str, &str)]| -> Result<()> {
        let mut text =
            std::fs::read_to_string(root.join(name)).context(name.to_owned())?;
        for (from, to) in changes {
            ensure!(text.contains(from), "{name} has no {from}");
            text = text.replacen(from, &root.fill(to), 1);
        }
        root.write(name, text.as_bytes())?;
        Ok(())
    };
    change("ports.conf", &[("\nListen 80\n", "\nListen 127.0.0.1:{port}\n")])?;
    let site = [("*:80", "*:{port}"), ("/var/www/html", "{root}/htdocs")];
    change("sites-available/000-default.conf", &site)?;
    change("apache2.conf", &[("<Directory /var/www/>", "<Directory {root}/htdocs/>")])?;
    std::os::unix::fs::symlink("../apache2.conf", root.join("conf/httpd.conf"))?;
    for (name, text) in [
        ("htdocs/page.html", "<p>a page\n"),
        ("htdocs/text.txt", "a text\n"),
        ("htdocs/.htaccess", "this is not read\n"),
        ("htdocs/.htpasswd", "secret\n"),
        ("htdocs/files/a.txt", "a\n"),
        ("htdocs/files/b.tar.gz", "b\n"),
        ("htdocs/files/c.html.de", "c\n"),
        ("htdocs/files/d~", "d\n"),
        ("htdocs/files/.e", "e\n"),
        ("htdocs/files/README.html", "<p>read me\n"),
        ("htdocs/indexed/index.php", "<?php\n"),
        ("htdocs/indexed/index.html", "an index\n"),
    ] {
        root.write(name, text.as_bytes())?;
    }
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    for name in ["", "files", "indexed"] {
        let directory = root.join("htdocs").join(name);
        for entry in std::fs::read_dir(&directory)? {
            std::fs::File::open(entry?.path())?.set_modified(time)?;
        }
    }
    Ok(root)
}

const TARGETS: [&str; 25] = [
    "GET /",
    "GET /page.html",
    "HEAD /page.html",
    "GET /text.txt",
    "GET /page",
    "GET /.htaccess",
    "GET /.htpasswd",
    "GET /none",
    "GET /files",
    "GET /files/",
    "GET /files/?C=S;O=D",
    "GET /files/?F=0",
    "GET /files/c.html.de",
    "GET /files/c.html",
    "GET /files/b.tar.gz",
    "GET /indexed/",
    "GET /indexed/index.php",
    "GET /icons/",
    "GET /icons/blank.gif",
    "GET /icons/none.gif",
    "GET /cgi-bin/",
    "GET /text.txt/info",
    "TRACE /page.html",
    "OPTIONS /page.html",
    "POST /page.html",
];

/// The answers of one server, and whether its log says anything else.
fn heard(kind: Kind) -> Result<Vec<String>> {
    let root = tree()?;
    let server = start(kind, &root)?;
    let mut answers = Vec::new();
    for target in TARGETS {
        let answer = normal::response(&ask(&root, target, &[])?, &root);
        answers.push(normal::without_framing(&answer));
    }
    // The status page is a server's own: only that it is there.
    let status = ask(&root, "GET /server-status?auto", &[])?;
    ensure!(
        status.status == 200 && status.text().contains("Total Accesses:"),
        "{status}"
    );
    server.stop()?;
    let access = root.log("access.log");
    let lines =
        access.lines().filter(|line| line.contains("\"GET /page.html HTTP/1.1\" 200"));
    ensure!(lines.count() == 1, "{access}");
    Ok(answers)
}

/// Starts a server with the tree.
fn start(kind: Kind, root: &Root) -> Result<Server> {
    let env = environment(root);
    let env: Vec<(&str, &str)> =
        env.iter().map(|(name, value)| (*name, &value[..])).collect();
    Server::start_with(kind, root, &[], &env)
}

/// Asks for a method and a target.
fn ask(root: &Root, line: &str, fields: &[&str]) -> Result<Response> {
    let mut client = Client::connect(root.port)?;
    let mut head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for field in fields {
        head += &format!("{field}\r\n");
    }
    client.send((head + "\r\n").as_bytes())?;
    client.response(line.split(' ').next().unwrap_or_default())
}

/// httpd's filters say on what their choice depends; without them there is none.
fn without_choice(answer: &str) -> String {
    let lines = answer.lines().filter(|line| *line != "vary: Accept-Encoding");
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_tree_is_served_as_apache_serves_it() -> Result<()> {
    let (theirs, ours) = (heard(Kind::Apache)?, heard(Kind::Ours)?);
    let modules = Command::new(Kind::Ours.program()).arg("-l").output()?.stdout;
    let compresses = String::from_utf8_lossy(&modules).contains("mod_deflate.c");
    let mut differences = String::new();
    for ((target, theirs), ours) in TARGETS.iter().zip(&theirs).zip(&ours) {
        let theirs = if compresses { theirs.clone() } else { without_choice(theirs) };
        let ours = if compresses { ours.clone() } else { without_choice(ours) };
        if theirs != ours {
            differences += &format!("{target}\napache2:\n{theirs}\nours:\n{ours}\n\n");
        }
    }
    ensure!(differences.is_empty(), "{differences}");
    Ok(())
}

#[test]
fn the_tree_is_taken_where_it_stands() -> Result<()> {
    let root = Root::new()?;
    let mut command = Command::new(Kind::Ours.program());
    command.args(["-t", "-d", "/etc/apache2"]).envs(environment(&root));
    let output = command.output()?;
    let said =
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success() && said.contains("Syntax OK"), "{said}");
    ensure!(!said.contains("refused"), "{said}");
    Ok(())
}
