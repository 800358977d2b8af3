//! A Ruby program with ruby-fcgi.

use anyhow::Result;
use compat_tests::application::program;
use compat_tests::site::Site;

use crate::life::Program;

const SCRIPT: &str = "#!/usr/bin/ruby\n\
    require 'fcgi'\n\
    FCGI.each do |request|\n\
    request.out.print \"Content-Type: text/plain\\r\\n\\r\\n\"\n\
    request.out.print \"query #{request.env['QUERY_STRING']}\\n\"\n\
    request.finish\nend\n";

const PROGRAM: Program = Program {
    conf: "FastCgiServer {root}/apps/app.rb -processes 2 {options}\n\
        ScriptAlias /app {root}/apps/app.rb\n\
        <Directory {root}/apps>\nRequire all granted\n</Directory>\n",
    target: "/app?a=b",
    words: "query a=b\n",
    processes: 2,
};

#[test]
fn ruby_fcgi() -> Result<()> {
    program("/usr/bin/ruby", "ruby")?;
    program("/usr/lib/ruby/vendor_ruby/fcgi.rb", "ruby-fcgi")?;
    let mut site = Site::new()?;
    site.program("apps/app.rb", SCRIPT)?;
    PROGRAM.lives(&mut site)
}
