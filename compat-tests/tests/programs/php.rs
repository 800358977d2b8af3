//! php-cgi with children of its own, behind a shell script: the arrangement of the days
//! before php-fpm.

use anyhow::{Result, ensure};
use compat_tests::application::program;
use compat_tests::site::Site;

use crate::life::Program;

/// The children are the program's own affair; so is how soon they leave.
const WRAPPER: &str = "#!/bin/sh\n\
    PHP_FCGI_CHILDREN=2\n\
    PHP_FCGI_MAX_REQUESTS=100\n\
    export PHP_FCGI_CHILDREN PHP_FCGI_MAX_REQUESTS\n\
    exec /usr/bin/php-cgi\n";

const PROGRAM: Program = Program {
    conf: "FastCgiServer {root}/fcgi-bin/php {options}\n\
        Alias /fcgi-bin/ {root}/fcgi-bin/\n\
        AddHandler php-fastcgi .php\n\
        Action php-fastcgi /fcgi-bin/php\n\
        <Directory {root}/fcgi-bin>\nSetHandler fastcgi-script\nOptions ExecCGI\n\
        Require all granted\n</Directory>\n",
    target: "/show.php?a=b",
    words: "script /show.php query a=b\n",
    processes: 1,
};

#[test]
fn php_cgi() -> Result<()> {
    program("/usr/bin/php-cgi", "php-cgi")?;
    let mut site = Site::new()?;
    site.program("fcgi-bin/php", WRAPPER)?;
    let script = "<?php echo 'script ', $_SERVER['SCRIPT_NAME'], ' query ', \
        $_SERVER['QUERY_STRING'], \"\\n\";";
    site.root.write("htdocs/show.php", script.as_bytes())?;
    PROGRAM.lives(&mut site)?;
    let log = site.root.log("error_log");
    ensure!(!log.contains("[error]"), "{log}");
    Ok(())
}
