//! php-fpm behind `SetHandler "proxy:…"` and `ProxyPassMatch`: what scripts see is what
//! they see behind apache2.

use anyhow::{Result, ensure};
use compat_tests::application::{Address, Application};
use compat_tests::http::Client;
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};

const CONF: &str = "LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so\n\
    LoadModule proxy_fcgi_module /usr/lib/apache2/modules/mod_proxy_fcgi.so\n\
    DirectoryIndex index.php\n\
    <FilesMatch \"\\.php$\">\n\
    <If \"-f %{REQUEST_FILENAME}\">\n\
    SetHandler \"proxy:unix:{root}/run/php.sock|fcgi://localhost/\"\n\
    </If>\n\
    </FilesMatch>\n\
    ProxyPassMatch \"^/pm/(.*\\.php(/.*)?)$\" \"unix:{root}/run/php.sock|fcgi://php{root}/htdocs/$1\"\n";

const SCRIPT: &str = "<?php header('Content-Type: text/plain');\n\
    foreach (['SCRIPT_FILENAME', 'SCRIPT_NAME', 'PATH_INFO', 'PATH_TRANSLATED', 'PHP_SELF',\n\
    'DOCUMENT_ROOT', 'QUERY_STRING', 'REQUEST_URI', 'CONTENT_LENGTH', 'HTTPS'] as $name)\n\
    echo $name, '=', $_SERVER[$name] ?? '(none)', \"\\n\";\n\
    echo strlen(file_get_contents('php://input')), \" bytes\\n\";\n\
    if (isset($_GET['gone'])) http_response_code(410);\n\
    if (isset($_GET['to'])) header('Location: ' . $_GET['to']);\n";

const REQUESTS: [(&str, &str, &str); 11] = [
    ("GET", "/a.php", ""),
    ("GET", "/a.php?q=1", ""),
    ("GET", "/a.php/info/x%20y?q=1", ""),
    ("GET", "/sub/", ""),
    ("GET", "/sub/b%20c.php/i", ""),
    ("GET", "/missing.php", ""),
    ("GET", "/pm/a.php/info?q=2", ""),
    ("GET", "/pm/missing.php", ""),
    ("GET", "/a.php?gone", ""),
    ("GET", "/a.php?to=/sub/", ""),
    ("POST", "/a.php", "a body"),
];

fn answers(kind: Kind) -> Result<Vec<String>> {
    let root = Root::new()?;
    for name in ["a.php", "sub/index.php", "sub/b c.php"] {
        root.write(&format!("htdocs/{name}"), SCRIPT.as_bytes())?;
    }
    let socket = Address::Unix(root.join("run/php.sock"));
    let _fpm = Application::php_fpm(&root, socket, "")?;
    let preamble = include_str!("../../side-by-side/preamble.conf");
    root.write("conf/httpd.conf", root.fill(&format!("{preamble}{CONF}")).as_bytes())?;
    let server = Server::start(kind, &root)?;
    let mut all = Vec::new();
    for (method, target, body) in REQUESTS {
        let mut client = Client::connect(root.port)?;
        let head = format!("{method} {target} HTTP/1.1\r\nHost: www.example.org\r\n");
        let length = format!("Content-Length: {}\r\n", body.len());
        let length = if body.is_empty() { "" } else { &length };
        client
            .send(format!("{head}{length}Connection: close\r\n\r\n{body}").as_bytes())?;
        let answer = client.response(method)?;
        let location = answer.header("location").unwrap_or_default().to_owned();
        let text = answer.text().replace(&root.path().display().to_string(), "{root}");
        all.push(format!("{method} {target}\n{} {location}\n{text}", answer.status));
    }
    server.stop()?;
    Ok(all)
}

#[test]
fn scripts_see_the_same_behind_both_servers() -> Result<()> {
    let (theirs, ours) = (answers(Kind::Apache)?, answers(Kind::Ours)?);
    for (theirs, ours) in theirs.iter().zip(&ours) {
        ensure!(theirs == ours, "apache2: {theirs}\nours: {ours}");
    }
    // The comparison would also hold if nothing worked.
    ensure!(ours[2].contains("PATH_INFO=/info/x y\n"), "{}", ours[2]);
    ensure!(ours[10].contains("6 bytes"), "{}", ours[10]);
    Ok(())
}
