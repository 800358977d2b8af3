//! A Perl program with CGI::Fast, named as it is on the disk.

use anyhow::Result;
use compat_tests::application::program;
use compat_tests::site::Site;

use crate::life::Program;

const SCRIPT: &str = "#!/usr/bin/perl\n\
    use strict; use warnings; use CGI::Fast;\n\
    while (my $q = CGI::Fast->new) {\n\
    print $q->header('text/plain'), 'name ', scalar($q->param('name')), \"\\n\";\n}\n";

const PROGRAM: Program = Program {
    conf: "FastCgiServer {root}/apps/fast.pl -processes 2 {options}\n\
        ScriptAlias /fast {root}/apps/fast.pl\n\
        <Directory {root}/apps>\nRequire all granted\n</Directory>\n",
    target: "/fast?name=value",
    words: "name value\n",
    processes: 2,
};

#[test]
fn cgi_fast() -> Result<()> {
    program("/usr/share/perl5/CGI/Fast.pm", "libcgi-fast-perl")?;
    let mut site = Site::new()?;
    site.program("apps/fast.pl", SCRIPT)?;
    PROGRAM.lives(&mut site)
}
