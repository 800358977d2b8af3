//! `fcgi-conf convert`: what it writes for other servers is taken by them, what it reads
//! from them is taken by ours, and files are changed as they were shown.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use compat_tests::application::program;
use compat_tests::root::{Root, free_port};
use compat_tests::server::{Kind, Server, built};

/// Directories that sites speak of; each is a directory of the test instead.
const PLACES: [&str; 8] =
    ["srv", "opt", "var", "run", "home", "usr/lib/example", "etc", "usr/bin"];

/// Accounts and hosts that only the machines of the sites have.
const NAMES: [(&str, &str); 6] = [
    ("hhvm.internal", "127.0.0.1"),
    ("SuexecUserGroup member hosting", "SuexecUserGroup www-data www-data"),
    ("User apache", "User www-data"),
    ("Group apache", "Group www-data"),
    ("User panel", "User www-data"),
    ("Group panel", "Group www-data"),
];

fn sites() -> Result<Vec<PathBuf>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/sites");
    let mut sites: Vec<PathBuf> = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    sites.sort();
    Ok(sites)
}

/// A site below a root of its own, with all that it names in it.
struct Moved {
    root: Root,
    file: String,
    server_root: String,
}

fn moved(site: &Path) -> Result<Moved> {
    let root = Root::new()?;
    copy(site, root.path(), root.path())?;
    for name in [
        "srv",
        "opt",
        "run",
        "var/log/apache2",
        "var/log/httpd",
        "var/log/nginx",
        "var/lock/apache2",
    ] {
        std::fs::create_dir_all(root.join(name))?;
    }
    // What sites expect of every machine.
    root.write("etc/mime.types", b"text/html html\n")?;
    for name in ["usr/bin/php-cgi", "srv/fcgi/php-wrapper", "srv/fcgi/php5-wrapper"] {
        let path = root.write(name, b"#!/bin/sh\n")?;
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
    }
    certificate(&root)?;
    let main = [
        ("etc/apache2/apache2.conf", "etc/apache2"),
        ("etc/httpd/conf/httpd.conf", "etc/httpd"),
    ];
    let found = main.iter().find(|(file, _)| root.join(file).exists());
    let (file, server_root) = found.context("a main file")?;
    std::fs::create_dir_all(root.join(server_root).join("logs"))?;
    let text = |name: &str| root.join(name).display().to_string();
    let (file, server_root) = (text(file), text(server_root));
    Ok(Moved { root, file, server_root })
}

/// Copies a tree; configurations speak of the copy.
fn copy(from: &Path, to: &Path, root: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let (from, to) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        if from.is_dir() {
            std::fs::create_dir_all(&to)?;
            copy(&from, &to, root)?;
            continue;
        }
        let bytes = std::fs::read(&from)?;
        let is_text = from.components().any(|part| part.as_os_str() == "etc");
        match String::from_utf8(bytes) {
            Ok(text) if is_text => std::fs::write(&to, here(&text, root))?,
            _ => drop(std::fs::copy(&from, &to)?),
        }
    }
    Ok(())
}

/// A configuration of a machine as one of the copy.
fn here(text: &str, root: &Path) -> String {
    let mut out = text.to_owned();
    for place in PLACES {
        for before in [" ", "\"", ":", "(", "="] {
            let new = format!("{before}{}/{place}/", root.display());
            out = out.replace(&format!("{before}/{place}/"), &new);
        }
    }
    NAMES.iter().fold(out, |out, (from, to)| out.replace(from, to))
}

fn certificate(root: &Root) -> Result<()> {
    std::fs::create_dir_all(root.join("etc/pki"))?;
    let output = Command::new(program("/usr/bin/openssl", "openssl")?)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=www.example.org", "-keyout"])
        .arg(root.join("etc/pki/site.key"))
        .arg("-out")
        .arg(root.join("etc/pki/site.pem"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn converted(site: &Moved, to: &str) -> Result<String> {
    let output = Command::new(built("fcgi-conf"))
        .args(["convert", "-d", &site.server_root, "-f", &site.file, "--to", to])
        .envs(environment(&site.root))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stderr)?;
    ensure!(said.starts_with("fcgi-conf: ") && said.contains(" not carried\n"), "{said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The variables of a site's server.
fn environment(root: &Root) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root.join("environment")).unwrap_or_default();
    let text = here(&text, root.path());
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// All sites are taken by a program that looks at its configuration.
fn all_are_taken(
    to: &str,
    check: impl Fn(&Path, &Root) -> Result<Command>,
) -> Result<()> {
    let mut bad = String::new();
    for site in sites()? {
        let moved = moved(&site)?;
        let text = converted(&moved, to)?;
        let file = moved.root.write("conf/converted", text.as_bytes())?;
        let output = check(&file, &moved.root)?.output()?;
        if !output.status.success() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let said = text(&output.stdout) + &text(&output.stderr);
            bad += &format!("{}:\n{said}\n", site.display());
        }
    }
    ensure!(bad.is_empty(), "{bad}");
    Ok(())
}

#[test]
fn nginx_takes_it() -> Result<()> {
    let nginx = program("/usr/sbin/nginx", "nginx-light")?;
    all_are_taken("nginx", |file, root| {
        let mut command = Command::new(&nginx);
        command.arg("-t").arg("-c").arg(file).arg("-p").arg(root.path());
        let global = format!("pid {};", root.join("run/nginx.pid").display());
        command.args(["-g", &global]).args(["-e", "stderr"]);
        Ok(command)
    })
}

#[test]
fn caddy_takes_it() -> Result<()> {
    let caddy = program("/usr/bin/caddy", "caddy")?;
    all_are_taken("caddy", |file, root| {
        let mut command = Command::new(&caddy);
        command.args(["validate", "--adapter", "caddyfile", "--config"]).arg(file);
        command.env("HOME", root.path()).env("XDG_DATA_HOME", root.path());
        Ok(command)
    })
}

#[test]
fn lighttpd_takes_it() -> Result<()> {
    let lighttpd = program("/usr/sbin/lighttpd", "lighttpd")?;
    all_are_taken("lighttpd", |file, _| {
        let mut command = Command::new(&lighttpd);
        command.arg("-tt").arg("-f").arg(file);
        Ok(command)
    })
}

#[test]
fn httpd_takes_it() -> Result<()> {
    let apache = program("/usr/sbin/apache2", "apache2")?;
    all_are_taken("httpd", |file, root| {
        let mut command = Command::new(&apache);
        command.arg("-t").arg("-f").arg(file);
        command.args(["-C", &format!("PidFile {}", root.join("run/pid").display())]);
        command
            .args(["-C", &format!("DefaultRuntimeDir {}", root.join("run").display())]);
        Ok(command)
    })
}

/// lighttpd's, with every option of an application, read and served by ours.
#[test]
fn ours_takes_what_lighttpd_said() -> Result<()> {
    let root = Root::new()?;
    let php = root.write("bin/php-cgi", b"#!/bin/sh\nexec sleep 60\n")?;
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(php, PermissionsExt::from_mode(0o755))?;
    let port = free_port()?;
    let text = include_str!("all.lighttpd").replace("{port}", &port.to_string());
    let file = root.write("lighttpd.conf", root.fill(&text).as_bytes())?;
    let output = Command::new(built("fcgi-conf"))
        .args(["convert", "--from", "lighttpd"])
        .arg(&file)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8(output.stdout)?;
    // Every line with a setting or an option is accounted for.
    let json = Command::new(built("fcgi-conf"))
        .args(["convert", "--from", "lighttpd", "--json"])
        .arg(&file)
        .output()?;
    let value: serde_json::Value = serde_json::from_slice(&json.stdout)?;
    let lines = value["directives"].as_array().context("directives")?;
    let fates: Vec<String> = lines
        .iter()
        .map(|line| line["directive"].as_str().unwrap_or_default().to_owned())
        .collect();
    for option in [
        "host",
        "port",
        "socket",
        "bin-path",
        "bin-environment",
        "bin-copy-environment",
        "mode",
        "docroot",
        "check-local",
        "max-procs",
        "broken-scriptfilename",
        "fix-root-scriptname",
        "disable-time",
        "x-sendfile",
        "x-sendfile-docroot",
        "kill-signal",
    ] {
        let wanted = format!("\"{option}\" =>");
        ensure!(
            fates.iter().any(|fate| fate.starts_with(&wanted)),
            "{option}: {fates:?}"
        );
    }
    let written = text.matches("=>").count() + text.matches(" = ").count();
    ensure!(fates.len() * 2 > written, "{} of {written}", fates.len());
    let conf = format!(
        "ServerRoot {{root}}\nUser www-data\nGroup www-data\nPidFile run/pid\nErrorLog logs/error_log\n\
         FastCgiIpcDir {{root}}/run/fcgi\nTypesConfig /etc/mime.types\n{out}"
    );
    root.write("conf/httpd.conf", root.fill(&conf).as_bytes())?;
    let said = Server::check(Kind::Ours, &root)?;
    ensure!(said.starts_with("taken"), "{said}\n{out}");
    Ok(())
}

/// What is shown without `--write` is what happens with it, and it happens once.
#[test]
fn files_are_changed_as_shown() -> Result<()> {
    let root = Root::new()?;
    let conf = "ServerName h\nFastCgiIpcDir {root}/run\n\
                ExternalAppClass {root}/htdocs/a -host 127.0.0.1:1\n\
                <Directory />\n    Order allow,deny\n    Allow from all\n</Directory>\n\
                FcgidIOTimeout 9\n";
    root.write("conf/httpd.conf", root.fill(conf).as_bytes())?;
    let run = |args: &[&str]| -> Result<String> {
        let output = Command::new(built("fcgi-conf"))
            .args(["convert", "-f", "conf/httpd.conf", "-d"])
            .arg(root.path())
            .args(args)
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let read = || std::fs::read_to_string(root.join("conf/httpd.conf"));
    let before = read()?;
    let shown = run(&[])?;
    ensure!(read()? == before, "it was changed");
    for line in [
        "-ExternalAppClass ",
        "+FastCgiExternalServer ",
        "+    Require all granted\n",
        "# Not applied, for you to judge:\n",
        "+FastCgiConfig -idle-timeout 9\n",
    ] {
        ensure!(shown.contains(line), "{line}\n{shown}");
    }
    ensure!(run(&["--write"])? == shown);
    let after = read()?;
    ensure!(after.contains("FastCgiExternalServer ") && after.contains("FcgidIOTimeout"));
    let again = run(&["--write"])?;
    ensure!(!again.contains("+FastCgiExternalServer") && read()? == after, "{again}");
    ensure!(std::fs::read_dir(root.join("conf"))?.count() == 1, "something is left");
    Ok(())
}
