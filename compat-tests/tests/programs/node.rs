//! A Node.js program with node-fastcgi.

use anyhow::Result;
use compat_tests::application::program;
use compat_tests::site::Site;

use crate::life::Program;

const SCRIPT: &str = "#!/usr/bin/node\n\
    require('node-fastcgi').createServer((request, response) => {\n\
    response.writeHead(200, {'Content-Type': 'text/plain'});\n\
    response.end('url ' + request.url + '\\n');\n}).listen();\n";

/// Whoever built node: the package has the module there.
const PROGRAM: Program = Program {
    conf: "FastCgiServer {root}/apps/app.js -initial-env NODE_PATH=/usr/share/nodejs \
        {options}\n\
        ScriptAlias /app {root}/apps/app.js\n\
        <Directory {root}/apps>\nRequire all granted\n</Directory>\n",
    target: "/app?a=b",
    words: "url /app?a=b\n",
    processes: 1,
};

#[test]
fn node_fastcgi() -> Result<()> {
    program("/usr/bin/node", "nodejs")?;
    program("/usr/share/nodejs/node-fastcgi", "node-fastcgi")?;
    let mut site = Site::new()?;
    site.program("apps/app.js", SCRIPT)?;
    PROGRAM.lives(&mut site)
}
