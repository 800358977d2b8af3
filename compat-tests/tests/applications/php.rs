//! php-fpm: through `Action` and a virtual path, and on paths of its own.

use anyhow::{Result, ensure};
use compat_tests::application::{Address, Application};

use crate::site::{Site, bytes, variable};

/// What the pool needs beyond the defaults: bodies of more than eight megabytes, the
/// standard error of scripts, and a temporary directory of the test's own.
const POOL: &str = "catch_workers_output = yes\n\
    php_admin_value[post_max_size] = 64M\n\
    php_admin_value[upload_max_filesize] = 64M\n\
    php_admin_value[sys_temp_dir] = {root}/tmp\n\
    php_admin_value[upload_tmp_dir] = {root}/tmp\n\
    php_admin_flag[log_errors] = on\n\
    php_admin_flag[display_errors] = off\n";

/// Every `.php` file, through a path that does not exist.
const ACTION: &str = "
FastCgiExternalServer {root}/virtual/php {address} -pass-header Authorization
<Directory {root}/virtual>
    Require all granted
</Directory>
Alias /php-gate {root}/virtual/php
AddHandler site-php .php
Action site-php /php-gate
DirectoryIndex index.php
";

struct Php {
    site: Site,
    _php: Application,
}

fn php(address: impl FnOnce(&Site) -> Result<Address>, conf: &str) -> Result<Php> {
    let mut site = Site::new()?;
    let address = address(&site)?;
    let php = Application::php_fpm(&site.root, address, POOL)?;
    for (name, text) in SCRIPTS {
        site.root.write(&format!("htdocs/{name}"), text.as_bytes())?;
    }
    site.serve(&conf.replace("{address}", &php.address.option()))?;
    Ok(Php { site, _php: php })
}

fn unix(site: &Site) -> Result<Address> {
    Ok(site.unix("php.sock"))
}

const SCRIPTS: [(&str, &str); 6] = [
    (
        "show.php",
        "<?php foreach ($_SERVER as $name => $value) if (is_string($value)) echo \"$name=$value\\n\";",
    ),
    ("index.php", "<?php echo 'the index of ', $_SERVER['PATH_INFO'] ?? 'nothing';"),
    (
        "upload.php",
        "<?php if ($_FILES) { $f = $_FILES['f']; echo $f['size'], ' ', \
         md5_file($f['tmp_name']); } else { $h = hash_init('md5'); \
         hash_update_stream($h, fopen('php://input', 'r')); \
         echo $_SERVER['CONTENT_LENGTH'], ' ', hash_final($h); }",
    ),
    (
        "cookies.php",
        "<?php for ($i = 0; $i < 1000; $i++) setcookie(\"c$i\", \"value$i\"); echo 'done';",
    ),
    (
        "stderr.php",
        "<?php error_log('a line for the log'); file_put_contents('php://stderr', \"raw\\n\"); \
         echo 'body';",
    ),
    (
        "die.php",
        "<?php if (isset($_GET['late'])) { echo str_repeat('x', 200000); flush(); } \
         exec('kill -9 ' . getmypid());",
    ),
];

#[test]
fn variables_through_action() -> Result<()> {
    let php = php(unix, ACTION)?;
    let fields = ["Authorization: Basic Zm9vOmJhcg=="];
    let answer = php.site.ask("GET /show.php/a%20b?q=1&r=%20", &fields, b"")?;
    ensure!(answer.status == 200, "{answer}");
    let text = answer.text();
    let root = php.site.root.path().display();
    // PHP takes its script from PATH_TRANSLATED, and mends the names after it.
    for (name, value) in [
        ("REQUEST_URI", "/show.php/a%20b?q=1&r=%20".to_owned()),
        ("QUERY_STRING", "q=1&r=%20".to_owned()),
        ("REQUEST_METHOD", "GET".to_owned()),
        ("REDIRECT_STATUS", "200".to_owned()),
        ("REDIRECT_URL", "/show.php/a b".to_owned()),
        ("REDIRECT_HANDLER", "site-php".to_owned()),
        ("SCRIPT_FILENAME", format!("{root}/htdocs/show.php")),
        ("SCRIPT_NAME", "/show.php".to_owned()),
        ("PATH_INFO", "/a b".to_owned()),
        ("PHP_SELF", "/show.php/a b".to_owned()),
        ("HTTP_AUTHORIZATION", "Basic Zm9vOmJhcg==".to_owned()),
        ("PHP_AUTH_USER", "foo".to_owned()),
        ("DOCUMENT_ROOT", format!("{root}/htdocs")),
    ] {
        ensure!(
            variable(&text, name) == Some(&value),
            "{name}={value} is not in\n{text}"
        );
    }
    Ok(())
}

#[test]
fn the_index_and_missing_scripts() -> Result<()> {
    let php = php(unix, ACTION)?;
    let answer = php.site.get("/")?;
    ensure!(answer.text() == "the index of nothing", "{answer}");
    let answer = php.site.get("/missing.php")?;
    ensure!(answer.status == 404, "{answer}");
    ensure!(!answer.text().contains("No input file"), "php was asked: {answer}");
    Ok(())
}

/// `Action ... virtual`, over TCP: php itself says that there is no such script.
#[test]
fn a_virtual_action_over_tcp() -> Result<()> {
    let conf =
        ACTION.replace("Action site-php /php-gate", "Action site-php /php-gate virtual");
    let php = php(|_| Site::tcp(), &conf)?;
    let answer = php.site.get("/index.php/x")?;
    ensure!(answer.text() == "the index of /x", "{answer}");
    let answer = php.site.get("/missing.php")?;
    ensure!(answer.status == 404, "{answer}");
    ensure!(answer.text().contains("File not found."), "php was not asked: {answer}");
    php.site.logged("stderr: Primary script unknown")
}

#[test]
fn twenty_megabytes_arrive() -> Result<()> {
    for address in [unix as fn(&Site) -> Result<Address>, |_| Site::tcp()] {
        let php = php(address, ACTION)?;
        let file = bytes(20 << 20);
        let sum = md5(&php.site, &file)?;
        let expected = format!("{} {sum}", file.len());
        let answer = php.site.ask("PUT /upload.php", &[], &file)?;
        ensure!(answer.text() == expected, "not {expected}: {}", answer.text());

        let begin = "--b\r\nContent-Disposition: form-data; name=f; filename=a\r\n\
                     Content-Type: application/octet-stream\r\n\r\n";
        let form = [begin.as_bytes(), &file, b"\r\n--b--\r\n"].concat();
        let kind = ["Content-Type: multipart/form-data; boundary=b"];
        let answer = php.site.ask("POST /upload.php", &kind, &form)?;
        ensure!(answer.text() == expected, "not {expected}: {}", answer.text());
    }
    Ok(())
}

/// The sum as coreutils have it: no other code than theirs and PHP's is trusted.
fn md5(site: &Site, content: &[u8]) -> Result<String> {
    let path = site.root.write("tmp/upload", content)?;
    let output = std::process::Command::new("md5sum").arg(path).output()?;
    let words = String::from_utf8(output.stdout)?;
    Ok(words.split_whitespace().next().unwrap_or_default().to_owned())
}

/// php-fpm sets no limit to header lines; all of them arrive, in their order.
#[test]
fn a_thousand_cookies() -> Result<()> {
    let php = php(unix, ACTION)?;
    let answer = php.site.get("/cookies.php")?;
    ensure!(answer.body == b"done", "{}", answer.status);
    let cookies: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("Set-Cookie"))
        .map(|(_, value)| value.as_str())
        .collect();
    let expected: Vec<String> = (0..1000).map(|i| format!("c{i}=value{i}")).collect();
    ensure!(cookies == expected, "{} cookies", cookies.len());
    Ok(())
}

#[test]
fn words_for_the_error_log() -> Result<()> {
    let php = php(unix, ACTION)?;
    let answer = php.site.get("/stderr.php")?;
    ensure!(answer.text() == "body", "{answer}");
    let gate = php.site.root.join("virtual/php/stderr.php");
    let gate = gate.parent().map(|path| path.display().to_string()).unwrap_or_default();
    php.site.logged(&format!("FastCGI: server \"{gate}\" stderr: "))?;
    php.site.logged("a line for the log")
}

#[test]
fn a_script_that_dies() -> Result<()> {
    let php = php(unix, ACTION)?;
    let answer = php.site.get("/die.php")?;
    ensure!(answer.status == 500, "{answer}");
    php.site.logged("incomplete headers (0 bytes) received from server")?;
    // In the middle of its answer: the client can tell.
    let answer = php.site.get("/die.php?late");
    ensure!(answer.is_err(), "it looks complete");
    php.site.logged("aborted: read failed")?;
    // Another worker answers.
    ensure!(php.site.get("/")?.status == 200);
    Ok(())
}

/// No `Action`: the path of the external server is that of the scripts, so that each of
/// them goes to php whatever handler it has.
#[test]
fn a_plain_mapping() -> Result<()> {
    let conf = "
FastCgiExternalServer {root}/htdocs/app {address}
<FilesMatch \\.txt$>
    SetHandler fastcgi-script
</FilesMatch>
ScriptAlias /cgi/ {root}/htdocs/app/
<Directory {root}/htdocs/app>
    AddHandler fastcgi-script .php
</Directory>
";
    for address in [unix as fn(&Site) -> Result<Address>, |_| Site::tcp()] {
        mapped(&php(address, conf)?)?;
    }
    Ok(())
}

fn mapped(php: &Php) -> Result<()> {
    for (name, text) in SCRIPTS {
        php.site.root.write(&format!("htdocs/app/{name}"), text.as_bytes())?;
    }
    let root = php.site.root.path().display().to_string();
    for (target, script) in
        [("/app/show.php?q", "/app/show.php"), ("/cgi/show.php?q", "/cgi/show.php")]
    {
        let answer = php.site.get(target)?;
        let text = answer.text();
        ensure!(answer.status == 200, "{answer}");
        ensure!(variable(&text, "SCRIPT_NAME") == Some(script), "{text}");
        ensure!(
            variable(&text, "SCRIPT_FILENAME")
                == Some(&format!("{root}/htdocs/app/show.php")),
            "{text}"
        );
        ensure!(variable(&text, "REDIRECT_STATUS").is_none(), "{text}");
    }
    // What is not below the path has no application: the text file is not executable.
    php.site.root.write("htdocs/a.txt", b"text\n")?;
    ensure!(php.site.get("/a.txt")?.status == 403);
    php.site.logged("FastCGI: invalid (dynamic) server")?;
    // And a script outside it is a file like others.
    ensure!(php.site.get("/index.php")?.text().starts_with("<?php"));
    Ok(())
}
