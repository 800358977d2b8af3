//! gitweb, a Perl program that serves FastCGI if its name says so. It leaves after a
//! hundred requests, and after every error.

use anyhow::{Result, ensure};
use compat_tests::application::program;
use compat_tests::site::Site;

use crate::life::Program;
use crate::repository::repository;

const PROGRAM: Program = Program {
    conf: "FastCgiServer {root}/apps/gitweb.fcgi -processes 2 {options}\n\
        Alias /gitweb {root}/apps/gitweb.fcgi\n\
        SetEnv GITWEB_CONFIG {root}/conf/gitweb.conf\n\
        <Directory {root}/apps>\nSetHandler fastcgi-script\n\
        Options ExecCGI FollowSymLinks\nRequire all granted\n</Directory>\n",
    target: "/gitweb?p=project.git;a=shortlog",
    words: "the first commit",
    processes: 2,
};

fn site() -> Result<Site> {
    program("/usr/share/perl5/CGI/Fast.pm", "libcgi-fast-perl")?;
    let gitweb = program("/usr/lib/cgi-bin/gitweb.cgi", "gitweb")?;
    let site = Site::new()?;
    repository(&site.root)?;
    let conf = site.root.fill("$projectroot = '{root}/repositories';\n1;\n");
    site.root.write("conf/gitweb.conf", conf.as_bytes())?;
    std::fs::create_dir(site.root.join("apps"))?;
    std::os::unix::fs::symlink(gitweb, site.root.join("apps/gitweb.fcgi"))?;
    Ok(site)
}

#[test]
fn gitweb() -> Result<()> {
    PROGRAM.lives(&mut site()?)
}

/// The next request is answered by a successor, if need be.
#[test]
fn gitweb_leaves_after_an_error() -> Result<()> {
    let mut site = site()?;
    site.serve(&PROGRAM.conf.replace("{options}", crate::life::OPTIONS))?;
    for _ in 0..4 {
        let answer = site.get("/gitweb?p=none.git;a=shortlog")?;
        ensure!(answer.status == 404, "{answer}");
        ensure!(answer.text().contains("404 - No such project"), "{answer}");
        PROGRAM.answers(&site)?;
    }
    site.logged_times("terminated by calling exit with status '0'", 4)
}
