//! `FastCgiWrapper` with Debian's suexec, for applications and CGI scripts.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use compat_tests::application::program;
use compat_tests::http::Client;
use compat_tests::root::is_root;
use nix::unistd::{Group, User};

use crate::site::Site;

/// Whom suexec lets have programs: not the server's user, and none below its minimum.
const OWNER: (&str, &str) = ("nobody", "nogroup");

/// A directory below the only one that suexec runs programs in.
fn directory(site: &Site) -> Result<tempfile::TempDir> {
    let directory = tempfile::Builder::new().prefix("ct").tempdir_in("/var/www")?;
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755))?;
    own(directory.path())?;
    for name in ["static.fcgi", "dynamic.fcgi"] {
        let path = directory.path().join(name);
        std::fs::copy(site.root.join("probe"), &path)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        own(&path)?;
    }
    Ok(directory)
}

fn own(path: &Path) -> Result<()> {
    let user = User::from_name(OWNER.0)?.context("no such user")?;
    let group = Group::from_name(OWNER.1)?.context("no such group")?;
    Ok(chown(path, Some(user.uid.as_raw()), Some(group.gid.as_raw()))?)
}

fn conf(directory: &Path, wrapper: &str, host: &str, options: &str) -> String {
    let directory = directory.display();
    format!(
        "FastCgiWrapper {wrapper}\n\
         FastCgiServer {directory}/static.fcgi {options}\n\
         <Directory {directory}>\nRequire all granted\nOptions ExecCGI\n\
         <Files *.fcgi>\nSetHandler fastcgi-script\n</Files>\n</Directory>\n\
         <VirtualHost *:*>\nServerName www.example.org\nDocumentRoot {directory}\n{host}\n\
         </VirtualHost>\n"
    )
}

/// User and group of the only process of a program.
fn identity(site: &Site, path: &Path) -> Result<(String, String)> {
    let path = path.display().to_string();
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut found = None;
    compat_tests::family::until(name, crate::site::PATIENCE, || {
        let family = site.family().unwrap_or_default();
        // Under suexec its name is the last part.
        found = family.into_iter().find(|p| p.command == name || p.command == path);
        found.is_some()
    })?;
    let process = found.context("no process")?;
    let first = |name: &str| {
        let ids = process.status(name);
        ids.split_whitespace().next().unwrap_or_default().parse::<u32>()
    };
    let user = User::from_uid(first("Uid")?.into())?.context("no user")?;
    let group = Group::from_gid(first("Gid")?.into())?.context("no group")?;
    Ok((user.name, group.name))
}

#[test]
fn suexec_changes_user_and_group() -> Result<()> {
    ensure!(is_root(), "only root can become somebody else");
    let suexec = program("/usr/lib/apache2/suexec", "apache2-suexec-pristine")?;
    let mut site = Site::alone()?;
    site.probe("probe")?;
    let directory = directory(&site)?;
    let host = format!("SuexecUserGroup {} {}", OWNER.0, OWNER.1);
    let options = format!("-user {} -group {}", OWNER.0, OWNER.1);
    let suexec = suexec.display().to_string();
    site.serve(&conf(directory.path(), &suexec, &host, &options))?;
    site.logged(&format!("wrapper mechanism enabled (wrapper: {suexec})"))?;
    for name in ["static.fcgi", "dynamic.fcgi"] {
        let answer = site.get(&format!("/{name}?text=here"))?;
        ensure!(
            answer.text() == "here",
            "{name}: {answer}\n{}",
            site.root.log("error_log")
        );
        let (user, group) = identity(&site, &directory.path().join(name))?;
        ensure!((&*user, &*group) == OWNER, "{name} runs as {user}:{group}");
    }
    site.logged("(uid 65534, gid 65534) started")?;
    // They are told to end, though they are somebody else's.
    let family = site.family()?;
    site.server.take().context("no server")?.stop()?;
    ensure!(family.iter().all(|process| !process.lives()));
    Ok(())
}

/// Without an identity suexec is asked with User and Group, and does not let the
/// server's own user have programs.
#[test]
fn without_an_identity_suexec_is_asked_with_user_and_group() -> Result<()> {
    ensure!(is_root(), "only root can become somebody else");
    let suexec = program("/usr/lib/apache2/suexec", "apache2-suexec-pristine")?;
    let mut site = Site::alone()?;
    site.probe("probe")?;
    let directory = directory(&site)?;
    site.serve(&conf(directory.path(), &suexec.display().to_string(), "", ""))?;
    let mut client = Client::connect(site.root.port)?;
    client.send(b"GET /dynamic.fcgi HTTP/1.1\r\nHost: www.example.org\r\n\r\n")?;
    for name in ["static.fcgi", "dynamic.fcgi"] {
        site.logged(&format!("{name}\" (uid 33, gid 33) started"))?;
    }
    site.logged_times("suexec policy violation", 2)?;
    site.logged_times("terminated by calling exit with status", 2)
}

#[test]
fn off_is_user_and_group() -> Result<()> {
    ensure!(is_root(), "only root can become somebody else");
    let mut site = Site::alone()?;
    site.probe("probe")?;
    let directory = directory(&site)?;
    let host = format!("SuexecUserGroup {} {}", OWNER.0, OWNER.1);
    site.serve(&conf(directory.path(), "Off", &host, ""))?;
    for name in ["static.fcgi", "dynamic.fcgi"] {
        let answer = site.get(&format!("/{name}?text=here"))?;
        ensure!(answer.text() == "here", "{name}: {answer}");
        let who = identity(&site, &directory.path().join(name))?;
        ensure!(who == ("www-data".to_owned(), "www-data".to_owned()), "{name}: {who:?}");
    }
    Ok(())
}

/// A script that says who it is.
const SCRIPT: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n\
                      echo \"$(id -un):$(id -gn) $PWD $1 $QUERY_STRING $(ulimit -St)\"\n";

/// CGI scripts of a virtual host with an identity run under it, and those of others as
/// `User`; what suexec does not let through is an error.
#[test]
fn scripts_go_through_suexec() -> Result<()> {
    ensure!(is_root(), "only root can become somebody else");
    let suexec = program("/usr/lib/apache2/suexec", "apache2-suexec-pristine")?;
    let mut site = Site::alone()?;
    site.probe("probe")?;
    let directory = directory(&site)?;
    for (name, mode) in [("who.cgi", 0o755), ("open.cgi", 0o777)] {
        let path = directory.path().join(name);
        std::fs::write(&path, SCRIPT)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
        own(&path)?;
    }
    let foreign = directory.path().join("foreign.cgi");
    std::fs::write(&foreign, SCRIPT)?;
    std::fs::set_permissions(&foreign, PermissionsExt::from_mode(0o755))?;
    let at = directory.path().display().to_string();
    site.serve(&format!(
        "FastCgiWrapper {}\nAddHandler cgi-script .cgi\n\
         <Directory {at}>\nRequire all granted\nOptions ExecCGI\nRLimitCPU 7\n\
         </Directory>\n\
         <VirtualHost *:*>\nServerName plain.test\nDocumentRoot {at}\n</VirtualHost>\n\
         <VirtualHost *:*>\nServerName own.test\nDocumentRoot {at}\n\
         SuexecUserGroup {} {}\n</VirtualHost>\n",
        suexec.display(),
        OWNER.0,
        OWNER.1
    ))?;
    let get = |host: &str, target: &str| {
        let mut client = Client::connect(site.root.port)?;
        let fields = format!("Host: {host}\r\nConnection: close\r\n");
        client.send(format!("GET {target} HTTP/1.1\r\n{fields}\r\n").as_bytes())?;
        client.response("GET")
    };
    let (user, group) = OWNER;
    for (host, who) in [
        ("own.test", format!("{user}:{group}")),
        ("plain.test", "www-data:www-data".to_owned()),
    ] {
        let answer = get(host, "/who.cgi?word")?;
        let expected = format!("{who} {at} word word 7\n");
        ensure!(
            answer.text() == expected,
            "{host}: {answer}{}",
            site.root.log("error_log")
        );
    }
    for name in ["open.cgi", "foreign.cgi"] {
        let answer = get("own.test", &format!("/{name}"))?;
        ensure!(answer.status == 500, "{name}: {answer}");
        ensure!(get("plain.test", &format!("/{name}"))?.status == 200, "{name}");
    }
    site.logged_times("End of script output before headers", 2)
}
