//! `fcgi-conf check`: each trap is found where it is, and only there.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::Command;

use anyhow::{Result, ensure};
use compat_tests::application::program;
use compat_tests::root::{Root, free_port};
use compat_tests::server::built;

/// The numbers and messages of the warnings about a configuration, and the exit status.
fn found(
    root: &Root,
    lines: &str,
    args: &[&str],
) -> Result<(Vec<(String, String)>, i32)> {
    let conf = format!("ServerName h\nUser www-data\nGroup www-data\n{lines}\n");
    root.write("conf/httpd.conf", root.fill(&conf).as_bytes())?;
    let output = Command::new(built("fcgi-conf"))
        .args(["check", "--format", "json", "-f", "conf/httpd.conf", "-d"])
        .arg(root.path())
        .args(args)
        .output()?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let all = report["findings"].as_array().cloned().unwrap_or_default();
    let errors: Vec<_> = all.iter().filter(|one| one["severity"] == "error").collect();
    ensure!(errors.is_empty(), "{errors:?}");
    let warnings = all.iter().filter(|one| one["severity"] == "warning");
    let warnings =
        warnings.map(|one| (text(&one["id"]), text(&one["message"]))).collect();
    Ok((warnings, output.status.code().unwrap_or(-1)))
}

/// A trap is in the first configurations, and in none of the others.
fn trap(id: &str, traps: &[&str], harmless: &[&str]) -> Result<()> {
    let root = Root::new()?;
    root.write("htdocs/x", b"")?;
    let mut wrong = String::new();
    for (lines, wanted) in
        traps.iter().map(|l| (l, true)).chain(harmless.iter().map(|l| (l, false)))
    {
        let (warnings, status) = found(&root, lines, &["--offline"])?;
        if warnings.iter().any(|(found, _)| found == id) != wanted || status != 0 {
            wrong += &format!("{id} wanted: {wanted}\n{lines}\n{warnings:?}\n\n");
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

const EXTERNAL: &str = "FastCgiExternalServer {root}/app -host 127.0.0.1:9";

#[test]
fn credentials_that_are_dropped() -> Result<()> {
    trap(
        "FC0070",
        &[
            "FastCgiExternalServer {root}/radosgw -host 127.0.0.1:9",
            &format!("{EXTERNAL}\nAlias /caldav {{root}}/app"),
            "<Location /api>\nSetHandler \"proxy:fcgi://127.0.0.1:9\"\n</Location>",
        ],
        &[
            EXTERNAL,
            "FastCgiExternalServer {root}/radosgw -host 127.0.0.1:9 -pass-header Authorization",
            "<Directory />\nCGIPassAuth On\n</Directory>\nFastCgiExternalServer {root}/radosgw -host 127.0.0.1:9",
            "SetEnvIf Authorization \"(.*)\" HTTP_AUTHORIZATION=$1\n\
             FastCgiExternalServer {root}/radosgw -host 127.0.0.1:9",
            "<Location /page>\nSetHandler \"proxy:fcgi://127.0.0.1:9\"\n</Location>",
        ],
    )
}

#[test]
fn a_wrapper_beside_external_applications() -> Result<()> {
    trap(
        "FC0071",
        &[&format!(
            "FastCgiWrapper /bin/true\n{EXTERNAL} -user www-data -group www-data"
        )],
        &[&format!("FastCgiWrapper Off\n{EXTERNAL}"), "FastCgiWrapper /bin/true"],
    )
}

#[test]
fn authenticators_beside_digest() -> Result<()> {
    let section = |kind: &str, lines: &str| {
        format!(
            "{EXTERNAL}\n<Location /x>\nAuthType {kind}\nAuthName x\n{lines}\n\
             Require valid-user\n</Location>"
        )
    };
    let asks = "FastCgiAuthenticator {root}/app";
    trap(
        "FC0082",
        &[&section("Digest", asks), &section("digest", asks)],
        &[&section("Basic", asks), &section("Digest", "FastCgiAuthorizer {root}/app")],
    )
}

#[test]
fn sockets_below_tmp() -> Result<()> {
    trap(
        "FC0072",
        &["FastCgiIpcDir /tmp/fcgi", "FastCgiIpcDir \"/var/tmp\""],
        // A root of tests is below /tmp itself.
        &["FastCgiIpcDir /run/fcgi-check-test", "FastCgiIpcDir /srv/tmp"],
    )
}

#[test]
fn half_a_minute_for_long_work() -> Result<()> {
    trap(
        "FC0073",
        &[
            "FastCgiExternalServer {root}/export.fcgi -host 127.0.0.1:9",
            &format!("{EXTERNAL}\nAlias /reports {{root}}/app"),
            &format!("{EXTERNAL} -initial-env MAX_EXECUTION_TIME=600")
                .replace("External", "")
                .replace("-host 127.0.0.1:9", "")
                .replace("{root}/app", "/bin/true"),
        ],
        &[
            EXTERNAL,
            "FastCgiExternalServer {root}/export.fcgi -host 127.0.0.1:9 -idle-timeout 600",
        ],
    )
}

#[test]
fn scripts_that_another_machine_does_not_have() -> Result<()> {
    let far = "FastCgiExternalServer {root}/php -host 192.0.2.1:9000\nAction php-far /php-far\n\
               Alias /php-far {root}/php";
    trap(
        "FC0074",
        &[
            far,
            "FastCgiExternalServer {root}/htdocs/x -host 192.0.2.1:9000",
            "<FilesMatch \"\\.php$\">\nSetHandler \"proxy:fcgi://192.0.2.1:9000\"\n</FilesMatch>",
        ],
        &[
            &far.replace("192.0.2.1", "127.0.0.1"),
            "FastCgiExternalServer {root}/app -host 192.0.2.1:9000\nAlias /app {root}/app",
            "<FilesMatch \"\\.php$\">\nSetHandler \"proxy:unix:/run/x|fcgi://php/\"\n</FilesMatch>",
        ],
    )
}

#[test]
fn a_gateway_that_trusts_nobody() -> Result<()> {
    let on = "<Location /auth>\nGatewayService nginx\n</Location>";
    trap(
        "FC0075",
        &[on],
        &[
            &on.replace("</", "GatewayTrust 127.0.0.1\n</"),
            &format!("GatewayTrust 127.0.0.1\n{on}"),
            "",
        ],
    )
}

/// An inner section with an auth directive of its own keeps the outer one's others here, and
/// would not with mod_fastcgi; only where both stand.
#[test]
fn authorizers_that_are_inherited() -> Result<()> {
    let outer = "<Location /a>\nFastCgiAuthorizer {root}/app\n</Location>\n";
    let inner = |path: &str, lines: &str| {
        format!("{EXTERNAL}\n{outer}<Location {path}>\n{lines}\n</Location>")
    };
    let checker = "FastCgiAccessChecker {root}/app";
    trap(
        "FC0042",
        &[
            &inner("/a/b", checker),
            &inner("/a/b/c", "FastCgiAuthenticator {root}/app"),
            // In whatever order they are written.
            &format!("{EXTERNAL}\n<Location /a/b>\n{checker}\n</Location>\n{outer}"),
            &inner("/a/b", checker)
                .replace("Location /a", "Directory {root}/htdocs")
                .replace("</Location", "</Directory"),
        ],
        &[
            &format!("{EXTERNAL}\n{outer}"),
            &inner("/b", checker),
            &inner("/ab", checker),
            &inner("/a/b", "FastCgiAuthorizer {root}/app"),
            &inner("/a/b", "Require all granted"),
        ],
    )
}

#[test]
fn names_with_two_suffixes() -> Result<()> {
    trap(
        "FC0076",
        &[
            "AddHandler fastcgi-script .fcgi",
            "AddHandler my .php\nAction my /gate",
            "AddHandler application/x-httpd-php .php",
        ],
        &[
            "<FilesMatch \"\\.php$\">\nAddHandler my .php\n</FilesMatch>\nAction my /gate",
            "AddHandler type-map var",
            "AddType application/x-httpd-php .php",
        ],
    )
}

#[test]
fn files_that_are_missing() -> Result<()> {
    trap(
        "FC0077",
        &[
            "<Location />\nAuthUserFile {root}/conf/nobody\n</Location>",
            "ErrorLog nowhere/error_log",
            "CustomLog {root}/nowhere/log common",
        ],
        &[
            "<Location />\nAuthUserFile {root}/htdocs/x\n</Location>",
            "ErrorLog logs/error_log",
            "ErrorLog syslog:local1",
            "CustomLog \"|/bin/cat\" common",
        ],
    )
}

/// Where `AllowOverride` lets files speak, and only there; links are not followed.
#[test]
fn files_of_directories() -> Result<()> {
    let root = Root::new()?;
    root.write("htdocs/a/b/.htaccess", b"Options Indexes\nNonsense on\n")?;
    root.write("htdocs/a/.htaccess", b"DirectoryIndex index.html\n")?;
    root.write("elsewhere/.htaccess", b"<IfModule mod_x.c>\n")?;
    std::os::unix::fs::symlink(root.join("elsewhere"), root.join("htdocs/link"))?;
    let said = |lines: &str| -> Result<Vec<String>> {
        let lines = format!("DocumentRoot {{root}}/htdocs\n{lines}");
        let warnings = found(&root, &lines, &["--offline"])?.0;
        let all = warnings.into_iter().filter(|(id, _)| id == "FC0081");
        Ok(all.map(|(_, message)| message).collect())
    };
    let section = |path: &str, lines: &str| {
        format!("<Directory {{root}}/{path}>\n{lines}\n</Directory>\n")
    };
    let nonsense = format!(
        "{}:2: Invalid command 'Nonsense'",
        root.join("htdocs/a/b/.htaccess").display()
    );
    for (lines, wanted) in [
        (section("htdocs", "AllowOverride All"), vec![nonsense.as_str()]),
        (section("htdocs/a", "AllowOverride All"), vec![&nonsense]),
        ("<Directory />\nAllowOverride All\n</Directory>\n".to_owned(), vec![&nonsense]),
        (
            section("htdocs", "AllowOverride FileInfo"),
            vec![":1: DirectoryIndex not allowed here", ":1: Options not allowed here"],
        ),
        (section("elsewhere", "AllowOverride All"), vec![".htaccess:1: <IfModule"]),
        (section("htdocs", "AllowOverride None"), vec![]),
        (
            section("htdocs", "AllowOverride All")
                + &section("htdocs/a/b", "AllowOverride None"),
            vec![],
        ),
        (section("htdocs", "AllowOverride All Nonfatal=Unknown"), vec![]),
        (
            format!("AccessFileName .own\n{}", section("htdocs", "AllowOverride All")),
            vec![],
        ),
        (String::new(), vec![]),
    ] {
        let said = said(&lines)?;
        let fits = said.len() == wanted.len()
            && said.iter().zip(&wanted).all(|(said, wanted)| said.contains(wanted));
        ensure!(fits, "{lines}\n{said:?}\n{wanted:?}");
    }
    Ok(())
}

#[test]
fn applications_and_addresses() -> Result<()> {
    let root = Root::new()?;
    let socket = root.join("run/app");
    let lines = "FastCgiExternalServer {root}/app -socket {root}/run/app\nListen 127.0.0.1:{port}";
    let ids = |args: &[&str]| -> Result<Vec<String>> {
        let warnings = found(&root, lines, args)?.0;
        Ok(warnings.into_iter().map(|(id, message)| format!("{id} {message}")).collect())
    };
    let silent = ids(&[])?;
    ensure!(silent.len() == 1 && silent[0].starts_with("FC0078 "), "{silent:?}");
    ensure!(silent[0].ends_with("run/app: No such file or directory"), "{silent:?}");
    let listening = UnixListener::bind(&socket)?;
    ensure!(ids(&[])?.is_empty(), "{:?}", ids(&[])?);
    let taken = TcpListener::bind(("127.0.0.1", root.port))?;
    let both = ids(&[])?;
    let wanted = format!(
        "FC0079 cannot listen on 127.0.0.1:{}: Address already in use",
        root.port
    );
    ensure!(both == [wanted], "{both:?}");
    // Its own server holds it: nobody has to be told.
    root.write("run/pid", std::process::id().to_string().as_bytes())?;
    let own = found(&root, &format!("PidFile run/pid\n{lines}"), &[])?.0;
    ensure!(own.is_empty(), "{own:?}");
    drop((listening, taken));
    // The socket's file is there, and nobody is behind it.
    let silent = ids(&[])?;
    ensure!(silent.len() == 1 && silent[0].ends_with("Connection refused"), "{silent:?}");
    ensure!(ids(&["--offline"])?.is_empty());
    let (_, status) = found(&root, lines, &["--strict"])?;
    ensure!(status == 1, "--strict: {status}");
    Ok(())
}

#[test]
fn certificates() -> Result<()> {
    let root = Root::new()?;
    let openssl = program("/usr/bin/openssl", "openssl")?;
    let make = |name: &str, kind: &[&str], days: &str| -> Result<()> {
        let output = Command::new(&openssl)
            .args(["req", "-x509", "-nodes", "-subj", "/CN=h", "-newkey"])
            .args(kind)
            .args(["-days", days, "-keyout"])
            .arg(root.join(&format!("conf/{name}.key")))
            .arg("-out")
            .arg(root.join(&format!("conf/{name}.pem")))
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    let curve = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    make("good", &curve, "90")?;
    make("other", &curve, "90")?;
    make("rsa", &["rsa:2048"], "90")?;
    make("ed", &["ed25519"], "90")?;
    make("ed2", &["ed25519"], "90")?;
    make("soon", &curve, "3")?;
    past(&root)?;
    let said = |certificate: &str, key: &str| -> Result<Vec<String>> {
        let lines = format!(
            "Listen 127.0.0.1:{}\nSSLEngine on\nSSLCertificateFile conf/{certificate}.pem\n\
             SSLCertificateKeyFile conf/{key}.key",
            free_port()?
        );
        let warnings = found(&root, &lines, &["--offline"])?.0;
        let all = warnings.into_iter().filter(|(id, _)| id == "FC0080");
        Ok(all.map(|(_, message)| message).collect())
    };
    for (certificate, key, wanted) in [
        ("good", "good", None),
        ("rsa", "rsa", None),
        ("good", "other", Some("is not of the key")),
        ("rsa", "good", Some("is not of the key")),
        ("good", "rsa", Some("is not of the key")),
        ("ed", "ed", None),
        ("good", "ed", Some("is not of the key")),
        ("ed", "good", Some("is not of the key")),
        ("rsa", "ed", Some("is not of the key")),
        ("ed", "rsa", Some("is not of the key")),
        // A seed does not say what key it makes.
        ("ed", "ed2", None),
        ("soon", "soon", Some("more days")),
        ("over", "over", Some("has not been good since")),
    ] {
        let said = said(certificate, key)?;
        let is = match wanted {
            None => said.is_empty(),
            Some(text) => said.len() == 1 && said[0].contains(text),
        };
        ensure!(is, "{certificate} {key}: {said:?}");
    }
    Ok(())
}

/// The good certificate with other dates: nobody looks at its signature here.
fn past(root: &Root) -> Result<()> {
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    let text = std::fs::read_to_string(root.join("conf/good.pem"))?;
    let inner: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let mut bytes = engine.decode(inner)?;
    // UTCTime of thirteen characters, the year first.
    let times: Vec<usize> =
        (0..bytes.len() - 2).filter(|i| bytes[*i..*i + 2] == [0x17, 13]).collect();
    ensure!(times.len() == 2, "{times:?}");
    for at in times {
        bytes[at + 2..at + 4].copy_from_slice(b"19");
    }
    let text = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        engine.encode(bytes)
    );
    root.write("conf/over.pem", text.as_bytes())?;
    std::fs::copy(root.join("conf/good.key"), root.join("conf/over.key"))?;
    Ok(())
}
