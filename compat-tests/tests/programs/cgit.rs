//! cgit, which is a CGI program, behind fcgiwrap, which makes it a FastCGI one.

use anyhow::{Result, ensure};
use compat_tests::application::program;
use compat_tests::site::Site;

use crate::life::Program;
use crate::repository::repository;

/// fcgiwrap runs what `SCRIPT_FILENAME` says, and that is what the server has started: the
/// script is both, and knows by the variables of a request which one it is to be.
const WRAPPER: &str = "#!/bin/sh\n\
    [ -n \"$GATEWAY_INTERFACE\" ] && exec /usr/lib/cgit/cgit.cgi\n\
    exec /usr/sbin/fcgiwrap -f -c 2\n";

const PROGRAM: Program = Program {
    conf: "FastCgiServer {root}/apps/cgit -processes 2 {options}\n\
        Alias /cgit {root}/apps/cgit\n\
        SetEnv CGIT_CONFIG {root}/conf/cgitrc\n\
        <Directory {root}/apps>\nSetHandler fastcgi-script\nOptions ExecCGI\n\
        Require all granted\n</Directory>\n",
    target: "/cgit/project.git/log/",
    words: "the first commit",
    processes: 2,
};

#[test]
fn cgit_through_fcgiwrap() -> Result<()> {
    program("/usr/sbin/fcgiwrap", "fcgiwrap")?;
    program("/usr/lib/cgit/cgit.cgi", "cgit")?;
    let mut site = Site::new()?;
    repository(&site.root)?;
    let conf = "cache-size=0\nscan-path={root}/repositories\n";
    site.root.write("conf/cgitrc", site.root.fill(conf).as_bytes())?;
    site.program("apps/cgit", WRAPPER)?;
    PROGRAM.lives(&mut site)?;

    site.serve(&PROGRAM.conf.replace("{options}", ""))?;
    let answer = site.get("/cgit/project.git/plain/file")?;
    ensure!(answer.text() == "file content\n", "{answer}");
    ensure!(site.get("/cgit/none/log/")?.status == 404);
    Ok(())
}
