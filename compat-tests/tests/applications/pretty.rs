//! Pretty URLs as WordPress has them: the rules of its Debian package's `htaccess` before a
//! front controller of our own in its style. WordPress itself wants a MySQL server.

use anyhow::{Result, ensure};
use compat_tests::packages;
use compat_tests::root::Root;

use crate::beside::{ACTION, Case, Visitor, between, compare};
use crate::mediawiki::pool;

const CONF: &str = r"
<Directory {root}/htdocs>
    Options FollowSymLinks
    AllowOverride Limit Options FileInfo
    DirectoryIndex index.php
    Require all granted
</Directory>
Alias /blog/wp-content {root}/app/wp-content
Alias /blog {root}/app/blog
<Directory {root}/app/blog>
    Options FollowSymLinks
    AllowOverride Limit Options FileInfo
    DirectoryIndex index.php
    Require all granted
</Directory>
<Directory {root}/app/wp-content>
    Options FollowSymLinks
    Require all granted
</Directory>
";

/// Finds the post by the path, moves those who ask for an old or a careless name, and has
/// sessions, a login and uploads.
const CONTROLLER: &str = r#"<?php
session_start();
$home = rtrim(dirname($_SERVER['SCRIPT_NAME']), '/');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$path = rawurldecode(substr($path, strlen($home)));
header('X-Asked: ' . rawurlencode($path) . ' ' . ($_SERVER['QUERY_STRING'] ?? ''));
if ($path === '/index.php' && isset($_GET['p'])) {
    header("Location: $home/2024/05/post-" . (int)$_GET['p'] . '/', true, 301);
    exit;
}
if (preg_match('!^/\d{4}/\d\d/([^/]+)$!', $path)) {
    header("Location: $home$path/" . ($_SERVER['QUERY_STRING'] ? '?' . $_SERVER['QUERY_STRING'] : ''), true, 301);
    exit;
}
header('Content-Type: text/html; charset=UTF-8');
if ($path === '/login/') {
    if ($_SERVER['REQUEST_METHOD'] === 'POST') {
        if (($_POST['pwd'] ?? '') === 'secret' && ($_POST['nonce'] ?? '') === ($_SESSION['nonce'] ?? null)) {
            session_regenerate_id(true);
            $_SESSION['user'] = $_POST['log'];
            header("Location: $home/wp-admin/");
            exit;
        }
        http_response_code(403);
        exit('<p>Wrong password');
    }
    $_SESSION['nonce'] = bin2hex(random_bytes(8));
    exit('<input name="nonce" value="' . $_SESSION['nonce'] . '">');
}
if ($path === '/wp-admin/' || $path === '/upload/') {
    if (empty($_SESSION['user'])) {
        header("Location: $home/login/?redirect_to=" . rawurlencode($_SERVER['REQUEST_URI']));
        exit;
    }
    if ($path === '/upload/') {
        $file = $_FILES['async-upload'];
        exit("<p>$file[name] $file[size] $file[error] " . md5_file($file['tmp_name']) . ' ' . ($_POST['title'] ?? ''));
    }
    exit('<p>Hello ' . htmlspecialchars($_SESSION['user']));
}
if (preg_match('!^/(\d{4})/(\d\d)/([^/]+)/(page/(\d+)/)?$!', $path, $m)) {
    exit('<h1>' . htmlspecialchars("$m[3] of $m[1]-$m[2]") . '</h1>' . ($m[5] ?? ''));
}
if ($path === '/' || preg_match('!^/(category|tag|author)/.+/$!', $path) || $path === '/index.php') {
    exit('<h1>Posts of ' . htmlspecialchars($path) . '</h1>' . htmlspecialchars(json_encode($_GET)));
}
if ($path === '/feed/') {
    header('Content-Type: application/rss+xml');
    exit('<rss/>');
}
http_response_code(404);
echo '<h1>Nothing at ' . htmlspecialchars($path) . '</h1>';
foreach (['SCRIPT_NAME', 'PHP_SELF', 'PATH_INFO', 'QUERY_STRING', 'REQUEST_URI'] as $name) {
    echo "\n$name=" . ($_SERVER[$name] ?? '');
}
"#;

fn install(root: &Root) -> Result<String> {
    let programs = crate::site::programs()?;
    let files =
        packages::unpacked(&programs, "wordpress", &["wordpress"], |_, _| Ok(()))?;
    let shipped = std::fs::read_to_string(files.join("etc/wordpress/htaccess"))?;
    let rules = rules(&shipped)?;
    for (place, base) in [("htdocs", "/"), ("app/blog", "/blog/")] {
        let own = rules
            .replace("RewriteBase /\n", &format!("RewriteBase {base}\n"))
            .replace(" /index.php [L]", &format!(" {base}index.php [L]"));
        root.write(&format!("{place}/.htaccess"), own.as_bytes())?;
        root.write(&format!("{place}/index.php"), CONTROLLER.as_bytes())?;
        root.write(&format!("{place}/wp-includes/a.css"), b"a { color: red }\n")?;
        root.write(&format!("{place}/other.php"), b"<?php echo 'other';\n")?;
    }
    root.write("app/wp-content/uploads/b.txt", b"a file\n")?;
    Ok(pool("."))
}

/// The rules for one blog, with their marks taken away.
fn rules(shipped: &str) -> Result<String> {
    let single =
        between(shipped, "## Configuration for a single blog", "## Configuration for")?;
    let lines = single.lines().skip(2).filter(|line| !line.starts_with("##"));
    let rules: Vec<&str> =
        lines.map(|line| line.strip_prefix('#').unwrap_or(line)).collect();
    let rules = rules.join("\n") + "\n";
    ensure!(rules.contains("\nRewriteRule . /index.php [L]\n"), "{rules}");
    Ok(rules)
}

fn visit(visitor: &mut Visitor<'_>) -> Result<()> {
    for home in ["", "/blog"] {
        visitor.forget();
        let page = visitor.expect(200, &format!("{home}/2024/05/a-post/"))?;
        ensure!(page.text().contains("a-post of 2024-05"), "{page}");
        visitor.expect(301, &format!("{home}/2024/05/a-post?x=1&y=%20"))?;
        let moved = visitor.expect(301, &format!("{home}/index.php?p=7"))?;
        let location = moved.header("Location").unwrap_or_default();
        ensure!(location.ends_with(&format!("{home}/2024/05/post-7/")), "{moved}");
        visitor.expect(200, &format!("{home}/2024/05/%C3%BCber%20uns/page/3/"))?;
        visitor.expect(200, &format!("{home}/"))?;
        visitor.expect(200, &format!("{home}/?paged=2&s=a+b%26c"))?;
        visitor.expect(200, &format!("{home}/category/news%2dand/more/"))?;
        visitor.expect(200, &format!("{home}/feed/"))?;
        visitor.expect(404, &format!("{home}/nothing?here=1"))?;
        visitor.expect(404, &format!("{home}/nothing.php"))?;
        visitor.get(&format!("{home}/index.php/2024/05/path-info/"))?;
        visitor.expect(200, &format!("{home}/other.php"))?;
        visitor.expect(200, &format!("{home}/wp-includes/a.css"))?;
        visitor.get(&format!("{home}/wp-includes/"))?;
        visitor.get(&format!("{home}/wp-includes"))?;
        visitor.expect(404, &format!("{home}/wp-includes/none.css"))?;
        visitor.get(&format!("{home}/.htaccess"))?;
        visitor.get(&format!("{home}/a%2fb/"))?;
        visitor.get(&format!("{home}//double//slash/"))?;
        visitor.get(&format!("{home}/wp-content/uploads/b.txt"))?;

        visitor.expect(302, &format!("{home}/wp-admin/"))?;
        let page = visitor.expect(200, &format!("{home}/login/"))?.text();
        let nonce = between(&page, "name=\"nonce\" value=\"", "\"")?.to_owned();
        let form = format!("log=jane&pwd=guess&nonce={nonce}");
        ensure!(visitor.post(&format!("{home}/login/"), &form)?.status == 403);
        let form = format!("log=jane&pwd=secret&nonce={nonce}");
        let answer = visitor.post(&format!("{home}/login/"), &form)?;
        ensure!(answer.status == 302, "{answer}");
        let page = visitor.expect(200, &format!("{home}/wp-admin/"))?;
        ensure!(page.text().contains("Hello jane"), "{page}");
        let sent = crate::site::bytes(300_000);
        let file = ("async-upload", "a b.bin", &sent[..]);
        let fields = [("title", "A \u{fc}")];
        let answer = visitor.upload(&format!("{home}/upload/"), &fields, file)?;
        ensure!(answer.text().contains("a b.bin 300000 0 "), "{answer}");
        visitor.ask(&format!("HEAD {home}/2024/05/a-post/"), &[], b"")?;
        visitor.ask(&format!("OPTIONS {home}/2024/05/a-post/"), &[], b"")?;
        visitor.ask(&format!("PUT {home}/2024/05/a-post/"), &[], b"body")?;
    }
    Ok(())
}

#[test]
fn pretty_urls_answer_as_under_apache() -> Result<()> {
    compare(&Case {
        install: &install,
        fastcgi: ACTION,
        extensions: &[],
        conf: CONF,
        visit: &visit,
        secrets: &["PHPSESSID=", "name=\"nonce\" value=\"", "last-modified: ", "etag: "],
    })
}
