//! `FastCgiWrapper` with Debian's suexec.

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
