//! The tree that Red Hat's packages httpd, mod_http2, mod_fcgid and php-fpm install, written down from
//! what is known of it: started by apache2 and by us, and asked the same. Only paths and the
//! user are changed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Address, Application, run};
use compat_tests::http::Client;
use compat_tests::normal;
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};

const HTACCESS: &str = "Deny from all\n";
const PHP: &str = "<?php foreach (['REQUEST_URI', 'SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING',\
    'REQUEST_METHOD', 'SCRIPT_FILENAME', 'HTTP_AUTHORIZATION', 'CONTEXT_DOCUMENT_ROOT'] as $n)\
    echo $n, '=', $_SERVER[$n] ?? '-', \"\\n\"; echo file_get_contents('php://input');\n";

/// A program of mod_fcgid's; it needs Debian's libfcgi-perl.
const APP: &str = "#!/usr/bin/perl\nuse FCGI;\nmy %env;\n\
    my $request = FCGI::Request(\\*STDIN, \\*STDOUT, \\*STDERR, \\%env);\n\
    while ($request->Accept() >= 0) {\n\
        print \"Content-Type: text/plain\\n\\n\";\n\
        for (qw(SCRIPT_NAME PATH_INFO PATH_TRANSLATED QUERY_STRING REQUEST_METHOD\n\
                SCRIPT_FILENAME HTTP_AUTHORIZATION CONTENT_LENGTH GATEWAY_INTERFACE)) {\n\
            print \"$_=\", $env{$_} // '-', \"\\n\";\n\
        }\n\
        print <STDIN>;\n\
    }\n";

/// The tree and what it serves, for one of the servers.
fn tree(kind: Kind) -> Result<Root> {
    let root = Root::new()?;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/redhat/tree/.");
    run(Command::new("/bin/cp").arg("-r").arg(shipped).arg(root.path()))?;
    std::os::unix::fs::symlink("/usr/lib/apache2/modules", root.join("modules"))?;
    for directory in ["conf", "conf.d", "conf.modules.d"] {
        for entry in std::fs::read_dir(root.join(directory))? {
            let path = entry?.path();
            let mut text = std::fs::read_to_string(&path)?;
            for (from, to) in [
                ("\"/etc/httpd\"", "\"{root}\""),
                (
                    "Listen 80\n",
                    "Listen 127.0.0.1:{port}\nServerName localhost\nPidFile run/pid\n",
                ),
                ("User apache\nGroup apache", "User www-data\nGroup www-data"),
                ("/var/www", "{root}/www"),
                ("/usr/share/httpd/icons", "/usr/share/apache2/icons"),
                ("/usr/share/httpd", "{root}/share"),
                ("/run/php-fpm/www.sock", "{root}/run/php.sock"),
                ("/run/mod_fcgid", "{root}/run/mod_fcgid"),
                ("MIMEMagicFile conf/magic", "MIMEMagicFile /etc/apache2/magic"),
            ] {
                text = text.replace(from, &root.fill(to));
            }
            // Debian's apache2 has some of these modules in itself, and one not at all.
            if kind == Kind::Apache {
                let is_there = |line: &&str| {
                    let file = line.split("modules/").nth(1);
                    let loads = line.trim_start().starts_with("LoadModule");
                    !loads
                        || file
                            .is_some_and(|file| root.join("modules").join(file).exists())
                };
                let lines = text.lines().filter(is_there).map(|line| format!("{line}\n"));
                text = lines.collect();
            }
            std::fs::write(&path, text)?;
        }
    }
    for (name, text) in [
        ("share/noindex/index.html", "<p>Test page\n"),
        ("www/html/page.html", "<p>a page\n"),
        ("www/html/text.txt", "a text\n"),
        ("www/html/page.shtml", "<!--#echo var=\"DOCUMENT_NAME\" -->\n"),
        ("www/html/x.php", PHP),
        ("www/html/.user.ini", "a = b\n"),
        ("www/html/closed/.htaccess", HTACCESS),
        ("www/html/closed/a.txt", "open all the same\n"),
        ("www/html/files/a.txt", "a\n"),
        ("www/html/files/b.tar.gz", "b\n"),
        ("www/html/files/a.txt~", "c\n"),
        ("www/html/files/v10.bin", "v10\n"),
        ("www/html/files/v9.bin", "v9\n"),
        ("www/html/files/README", "read\n"),
        ("www/html/noext", "%!PS-Adobe-3.0\n"),
        ("www/html/php/index.php", PHP),
        ("www/html/both/index.html", "html\n"),
        ("www/html/both/index.php", PHP),
        (
            "www/cgi-bin/env.sh",
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n\
             echo \"$SCRIPT_NAME $PATH_INFO $QUERY_STRING $REQUEST_METHOD\"; cat\nsleep 0.1\n",
        ),
        ("www/cgi-bin/plain.sh", "#!/bin/sh\n"),
        ("www/cgi-bin/app.fcgi", APP),
        ("www/cgi-bin/app.fpl", APP),
        ("www/html/app.fcgi", APP),
    ] {
        root.write(name, text.as_bytes())?;
    }
    for name in ["cgi-bin/env.sh", "cgi-bin/app.fcgi", "cgi-bin/app.fpl", "html/app.fcgi"]
    {
        let script = root.join("www").join(name);
        std::fs::set_permissions(script, PermissionsExt::from_mode(0o755))?;
    }
    let mut touch = Command::new("/usr/bin/find");
    touch.arg(root.join("www")).arg(root.join("share"));
    run(touch.args(["-exec", "touch", "-d", "@1600000000", "{}", "+"]))?;
    Ok(root)
}

const TARGETS: [&str; 45] = [
    "GET /",
    "HEAD /",
    "GET //",
    "GET /.noindex.html",
    "GET /page.html",
    "HEAD /page.html",
    "GET /text.txt",
    "GET /page",
    "GET /page.shtml",
    "GET /x.php?a=b",
    "GET /x.php/more/info",
    "HEAD /x.php",
    "POST /x.php",
    "GET /none.php",
    "GET /php/",
    "GET /php",
    "GET /both/",
    "GET /.user.ini",
    "GET /closed/a.txt",
    "GET /closed/.htaccess",
    "GET /files/",
    "GET /files/?C=N;O=D",
    "GET /files/?C=S;O=A",
    "GET /files/b.tar.gz",
    "GET /icons/blank.gif",
    "GET /icons/",
    "GET /cgi-bin/none",
    "GET /cgi-bin/",
    "GET /cgi-bin/env.sh",
    "GET /cgi-bin/env.sh/more?a=b",
    "HEAD /cgi-bin/env.sh",
    "POST /cgi-bin/env.sh",
    "GET /cgi-bin/plain.sh",
    "GET /cgi-bin/app.fcgi?a=b",
    "GET /cgi-bin/app.fcgi/more/info?a=b",
    "HEAD /cgi-bin/app.fcgi",
    "POST /cgi-bin/app.fcgi",
    "GET /cgi-bin/app.fpl",
    "GET /cgi-bin/none.fcgi",
    "GET /app.fcgi",
    "GET /app.fcg",
    "GET /~root/",
    "OPTIONS /page.html",
    "TRACE /page.html",
    "PUT /page.html",
];

fn heard(kind: Kind) -> Result<Vec<String>> {
    let root = tree(kind)?;
    let address = Address::Unix(root.join("run/php.sock"));
    let _php = Application::php_fpm(&root, address, "")?;
    let server = Server::start(kind, &root).with_context(|| root.log("error_log"))?;
    let mut answers = Vec::new();
    for target in TARGETS {
        let mut client = Client::connect(root.port)?;
        let fields =
            "Host: localhost\r\nConnection: close\r\nAuthorization: Basic eDp5\r\n";
        client.send(format!("{target} HTTP/1.1\r\n{fields}\r\n").as_bytes())?;
        let method = target.split(' ').next().unwrap_or_default();
        let answer = normal::response(&client.response(method)?, &root);
        answers.push(normal::without_framing(&answer));
    }
    server.stop()?;
    let access = root.log("access_log");
    ensure!(access.contains("\"GET /page.html HTTP/1.1\" 200"), "{access}");
    Ok(answers)
}

#[test]
fn the_tree_is_served_as_apache_serves_it() -> Result<()> {
    let (theirs, ours) = (heard(Kind::Apache)?, heard(Kind::Ours)?);
    ensure!(theirs[0].contains("Test page"), "{}", theirs[0]);
    for target in ["GET /cgi-bin/app.fcgi?a=b", "GET /x.php?a=b"] {
        let at = TARGETS.iter().position(|known| *known == target).context("a target")?;
        ensure!(theirs[at].contains("QUERY_STRING=a=b"), "{}", theirs[at]);
    }
    let mut differences = String::new();
    for ((target, theirs), ours) in TARGETS.iter().zip(&theirs).zip(&ours) {
        if theirs != ours {
            differences += &format!("{target}\napache2:\n{theirs}\nours:\n{ours}\n\n");
        }
    }
    ensure!(differences.is_empty(), "{differences}");
    Ok(())
}
