//! A PHP script under php-fpm in all three phases. PHP runs the file that was asked for:
//! the script stands before it by `auto_prepend_file`, and ends the run there.

use anyhow::{Result, ensure};
use compat_tests::application::Application;
use compat_tests::guarded::Guarded;
use compat_tests::site::basic;

const SCRIPT: &str = r"<?php
header_remove('X-Powered-By');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
switch ($_SERVER['FCGI_APACHE_ROLE'] ?? '') {
case 'ACCESS_CHECKER':
    if (($_SERVER['HTTP_X_COUNTRY'] ?? '') === 'nowhere') {
        http_response_code(403);
        header('X-Denied-By: access checker');
        exit('not from there');
    }
    header('Variable-Checked: yes');
    exit;
case 'AUTHENTICATOR':
    if ($_SERVER['REMOTE_PASSWD'] !== strrev($_SERVER['REMOTE_USER'])) {
        http_response_code(401);
        exit('who are you?');
    }
    header('Variable-Full-Name: ' . ucfirst($_SERVER['REMOTE_USER']));
    exit;
case 'AUTHORIZER':
    if (str_starts_with($path, '/admin/') && $_SERVER['REMOTE_USER'] !== 'root') {
        setcookie('wanted', $path);
        header('Location: /login?back=' . rawurlencode($path));
        exit('<p>log in</p>');
    }
    if (isset($_SERVER['REMOTE_PASSWD'])) {
        http_response_code(500);
    }
    exit;
}
http_response_code(500);
exit('no role');
";

fn guarded(options: &str) -> Result<Guarded> {
    let mut guarded = Guarded::new()?;
    let root = &guarded.site.root;
    root.write("apps/gate.php", SCRIPT.as_bytes())?;
    for name in ["a.txt", "admin/a.txt"] {
        root.write(&format!("htdocs/{name}"), b"a file\n")?;
    }
    let pool = "security.limit_extensions =\n\
                php_admin_value[auto_prepend_file] = {root}/apps/gate.php\n";
    let php = Application::php_fpm(root, guarded.site.unix("php.sock"), pool)?;
    guarded.program("virtual/php", php, "");
    guarded.serve(&format!(
        "LogFormat \"%U %u %{{Checked}}e %{{Full-Name}}e\" gate\nCustomLog logs/access gate\n\
         <Directory {{root}}/htdocs>\nAuthType Basic\nAuthName Realm\nRequire valid-user\n\
         FastCgiAccessChecker {{root}}/virtual/php {options}\n\
         FastCgiAuthenticator {{root}}/virtual/php {options}\n\
         FastCgiAuthorizer {{root}}/virtual/php {options}\n</Directory>\n"
    ))?;
    Ok(guarded)
}

#[test]
fn php_decides() -> Result<()> {
    let guarded = guarded("-compat")?;
    let site = &guarded.site;
    let (joe, root) = (basic("joe", "eoj"), basic("root", "toor"));
    let nowhere = "X-Country: nowhere";
    for (target, fields, status) in [
        ("/a.txt", &[&*joe][..], 200),
        ("/admin/a.txt", &[&*root], 200),
        ("/a.txt", &[&*joe, nowhere], 403),
        ("/a.txt", &[&*basic("joe", "joe")], 401),
        ("/a.txt", &[], 401),
        ("/admin/a.txt", &[&*joe], 401),
        // PHP answers 404 for a file that it does not find, and that is no consent.
        ("/missing.txt", &[&*joe], 403),
    ] {
        let answer = site.ask(&format!("GET {target}"), fields, b"")?;
        ensure!(answer.status == status, "{target} {fields:?}: {answer}");
        ensure!((answer.body == b"a file\n") == (status == 200), "{target}: {answer}");
        let by = (status == 403 && target == "/a.txt").then_some("access checker");
        ensure!(answer.header("X-Denied-By") == by, "{target}: {answer}");
    }
    let log = site.root.log("access");
    ensure!(log.contains("/a.txt joe yes Joe\n"), "{log}");
    ensure!(log.contains("/admin/a.txt root yes Root\n"), "{log}");
    Ok(())
}

#[test]
fn php_answers_who_is_refused() -> Result<()> {
    let guarded = guarded("-pass-response")?;
    let site = &guarded.site;
    let joe = basic("joe", "eoj");
    let answer = site.ask("GET /admin/a.txt", &[&joe], b"")?;
    ensure!(answer.status == 302 && answer.text() == "<p>log in</p>", "{answer}");
    ensure!(
        answer.header("Location") == Some("/login?back=%2Fadmin%2Fa.txt"),
        "{answer}"
    );
    ensure!(answer.header("Set-Cookie") == Some("wanted=%2Fadmin%2Fa.txt"), "{answer}");
    let answer = site.ask("GET /a.txt", &[&basic("joe", "joe")], b"")?;
    ensure!(answer.status == 401 && answer.text() == "who are you?", "{answer}");
    ensure!(
        answer.header("WWW-Authenticate") == Some("Basic realm=\"Realm\""),
        "{answer}"
    );
    let answer = site.ask("GET /a.txt", &["X-Country: nowhere"], b"")?;
    ensure!(answer.status == 403 && answer.text() == "not from there", "{answer}");
    let answer = site.ask("GET /a.txt", &[&joe], b"")?;
    ensure!(answer.status == 200 && answer.body == b"a file\n", "{answer}");
    Ok(())
}
