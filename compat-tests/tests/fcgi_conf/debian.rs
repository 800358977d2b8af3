//! Every configuration that Debian's packages put beside apache2 and lighttpd on this
//! machine: `check` and `convert` come to an end with each, every directive has a fate, and
//! `testdata/debian.txt` is the table of what each server could be told of those of the packages
//! that the tests install; `UPDATE_EXPECT=1` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use compat_tests::application::program;
use compat_tests::root::Root;
use compat_tests::server::built;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/debian.txt");

/// The files of these packages are in the table, those that `compat-tests/run` installs;
/// others are looked at all the same.
const PACKAGES: [&str; 11] = [
    "apache2:",
    "apache2-bin:",
    "cgit:",
    "gitweb:",
    "iipimage-server:",
    "javascript-common:",
    "libapache2-mod-fcgid:",
    "lighttpd:",
    "lighttpd-mod-openssl:",
    "php8.2-cgi:",
    "php8.2-fpm:",
];

fn files(directory: &str) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .with_context(|| directory.to_owned())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "conf"));
    files.sort();
    Ok(files)
}

/// Is it in one of the packages of the table?
fn is_shipped(file: &Path) -> bool {
    let output = Command::new("/usr/bin/dpkg-query").arg("-S").arg(file).output();
    output.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        PACKAGES.iter().any(|package| text.starts_with(package))
    })
}

fn run(args: &[&str], root: &Root) -> Result<(i32, serde_json::Value)> {
    let below = |name: &str| root.join(name).display().to_string();
    let output = Command::new(built("fcgi-conf"))
        .args(args)
        .env("APACHE_RUN_USER", "www-data")
        .env("APACHE_RUN_GROUP", "www-data")
        .env("APACHE_PID_FILE", below("run/pid"))
        .env("APACHE_RUN_DIR", below("run"))
        .env("APACHE_LOCK_DIR", below("run"))
        .env("APACHE_LOG_DIR", below("logs"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = output.status.code().with_context(|| format!("{args:?}: {said}"))?;
    ensure!(status < 2, "{args:?}: {status}: {said}");
    let json = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{args:?}: {said}"))?;
    Ok((status, json))
}

/// How many directives have each fate; each that is not carried says why.
fn fates(report: &serde_json::Value) -> Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for line in report["directives"].as_array().context("directives")? {
        let fate = line["fate"].as_str().context("a fate")?;
        let silent = line["why"].as_str().unwrap_or_default().is_empty();
        ensure!(silent == (fate == "carried"), "{line}");
        *counts.entry(fate.to_owned()).or_default() += 1;
    }
    Ok(counts)
}

fn shown(counts: &BTreeMap<String, usize>) -> String {
    let count = |name: &str| counts.get(name).copied().unwrap_or_default();
    format!(
        "{:>3} carried {:>3} partly {:>3} not needed {:>3} not carried",
        count("carried"),
        count("partly carried"),
        count("not needed"),
        count("not carried")
    )
}

/// One of apache2's files in a server of its own.
fn apache(file: &Path, root: &Root) -> Result<String> {
    let load = file.with_extension("load");
    let load = if load.exists() {
        format!("Include {}\n", load.display())
    } else {
        String::new()
    };
    let conf = format!(
        "ServerRoot {}\nServerName www.example.org\nListen 8080\nUser www-data\nGroup www-data\n\
         {load}Include {}\n",
        root.path().display(),
        file.display()
    );
    let conf = root.write("conf/httpd.conf", conf.as_bytes())?;
    let conf = conf.display().to_string();
    let (status, report) =
        run(&["check", "--offline", "--format", "json", "-T", "-f", &conf], root)?;
    let kinds = |fate: &str| -> Vec<String> {
        let kinds = report["directives"][fate].as_array().cloned().unwrap_or_default();
        let text = |kind: &serde_json::Value| {
            kind["name"].as_str().unwrap_or_default().to_owned()
        };
        kinds.iter().map(text).collect()
    };
    let unknown = kinds("unknown");
    ensure!(unknown.is_empty(), "{}: {unknown:?}", file.display());
    let mut out = format!("\n{}\n", file.display());
    let taken = if status == 0 { "starts" } else { "does not start" };
    writeln!(out, "    ours       {taken}")?;
    for fate in ["differs", "ignored", "refused"] {
        let kinds = kinds(fate);
        if !kinds.is_empty() {
            writeln!(out, "        {fate}: {}", kinds.join(", "))?;
        }
    }
    for target in ["nginx", "caddy", "lighttpd", "httpd"] {
        let (_, report) =
            run(&["convert", "--to", target, "--json", "-T", "-f", &conf], root)?;
        writeln!(out, "    {target:<10}{}", shown(&fates(&report)?))?;
    }
    // What it says of itself can be brought to today's spelling without a fault.
    run(&["convert", "--json", "-T", "-f", &conf], root)?;
    Ok(out)
}

fn lighttpd(file: &Path, root: &Root) -> Result<String> {
    let name = file.display().to_string();
    let (_, report) = run(&["convert", "--from", "lighttpd", "--json", &name], root)?;
    Ok(format!("\n{name}\n    ours       {}\n", shown(&fates(&report)?)))
}

#[test]
fn what_packages_ship() -> Result<()> {
    program("/usr/sbin/apache2", "apache2")?;
    program("/usr/sbin/lighttpd", "lighttpd")?;
    let root = Root::new()?;
    let mut table = "# What each server could be told of the files of Debian's packages, in directives.\n".to_owned();
    let mut looked = 0;
    for directory in ["conf-available", "mods-available", "sites-available"] {
        for file in files(&format!("/etc/apache2/{directory}"))? {
            let lines =
                apache(&file, &root).with_context(|| file.display().to_string())?;
            looked += 1;
            if is_shipped(&file) {
                table += &lines;
            }
        }
    }
    for file in files("/etc/lighttpd/conf-available")? {
        let lines = lighttpd(&file, &root).with_context(|| file.display().to_string())?;
        looked += 1;
        if is_shipped(&file) {
            table += &lines;
        }
    }
    ensure!(looked > 50, "{looked} files");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(TABLE, &table)?;
    }
    let expected = std::fs::read_to_string(TABLE)?;
    ensure!(
        expected == table,
        "testdata/debian.txt is another one: UPDATE_EXPECT=1\n{table}"
    );
    Ok(())
}
