//! flup: a WSGI program in Python, over a port of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Address, Application, newest, program, run};

use crate::site::{Site, bytes, variable};

const PROGRAM: &str = r"
import sys
from flup.server.fcgi import WSGIServer

def application(environ, start_response):
    if environ['QUERY_STRING'] == 'fail':
        raise ValueError('on purpose')
    start_response('201 Made', [('Content-Type', 'text/plain'), ('X-Role', 'flup')])
    if environ['REQUEST_METHOD'] == 'POST':
        size = int(environ['CONTENT_LENGTH'])
        yield environ['wsgi.input'].read(size)
        return
    for name, value in sorted(environ.items()):
        if isinstance(value, str):
            yield ('%s=%s\n' % (name, value)).encode('latin-1')

WSGIServer(application, bindAddress=('127.0.0.1', int(sys.argv[1])), multiplexed=True).run()
";

/// Python of a virtual environment with flup6 in it. It is made once, beside the tests'
/// programs; a half-made one goes again.
fn python() -> Result<PathBuf> {
    let directory = crate::site::programs()?;
    let ready = directory.join("flup");
    if !ready.exists() {
        let python = program("/usr/bin/python3", "python3")?;
        let library = newest("/usr/lib", "python3.")?;
        let path = library.join("ensurepip/__init__.py");
        program(path.to_str().context("a path that is no text")?, "python3-venv")?;
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&ready))?;
        let made = run(Command::new(ready.join("bin/pip")).args([
            "install",
            "-q",
            "flup6==1.1.1",
        ]));
        if made.is_err() {
            // An environment is not to be renamed: its scripts know its path.
            std::fs::remove_dir_all(&ready)?;
        }
        made.context("installing flup6 from the Python package index")?;
    }
    Ok(ready.join("bin/python"))
}

#[test]
fn a_wsgi_program() -> Result<()> {
    let mut site = Site::new()?;
    let script = site.root.write("apps/app.py", PROGRAM.as_bytes())?;
    let address = Site::tcp()?;
    let Address::Tcp(port) = address else { unreachable!("it is a port") };
    let mut command = Command::new(python()?);
    command.arg(Path::new(&script)).arg(port.to_string());
    let flup = Application::start(&site.root, address, &mut command)?;
    site.serve(&format!(
        "FastCgiExternalServer {{root}}/virtual/app.fcgi {} -idle-timeout 1\n\
         Alias /static {{root}}/htdocs\nAlias / {{root}}/virtual/app.fcgi/\n\
         <Directory {{root}}/virtual>\nRequire all granted\n</Directory>\n",
        flup.address.option()
    ))?;
    site.root.write("htdocs/a.txt", b"a file\n")?;
    let answer = site.get("/some/page?q=1")?;
    let text = answer.text();
    ensure!((answer.status, &*answer.reason) == (201, "Made"), "{answer}");
    ensure!(answer.header("X-Role") == Some("flup"), "{answer}");
    ensure!(variable(&text, "SCRIPT_NAME") == Some(""), "{text}");
    ensure!(variable(&text, "PATH_INFO") == Some("/some/page"), "{text}");
    ensure!(site.get("/static/a.txt")?.body == b"a file\n");

    let sent = bytes(1_000_000);
    let answer = site.ask("POST /", &[], &sent)?;
    ensure!(answer.body == sent, "{} bytes came back", answer.body.len());
    // A failing program: flup6 stumbles over its own report and never ends the request.
    let answer = site.get("/?fail")?;
    ensure!(answer.status == 500, "{answer}");
    site.logged("aborted: idle timeout (1 sec)")
}
