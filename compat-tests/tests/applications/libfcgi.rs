//! A C program on libfcgi, compiled here: external and static.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use compat_tests::application::{Application, program, run};

use crate::site::{Site, bytes, variable};

/// `?env` shows the variables, `?exit` ends the process after the answer, anything else
/// gives the body back, block by block while it comes.
const PROGRAM: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <fcgiapp.h>

int main(void) {
    FCGX_Stream *in, *out, *err;
    FCGX_ParamArray env;
    while (FCGX_Accept(&in, &out, &err, &env) >= 0) {
        const char *query = FCGX_GetParam("QUERY_STRING", env);
        char block[5000];
        int n;
        FCGX_FPrintF(out, "Content-Type: application/octet-stream\r\n\r\n");
        if (query && strcmp(query, "env") == 0) {
            char **p;
            for (p = env; *p; p++) FCGX_FPrintF(out, "%s\n", *p);
        } else {
            while ((n = FCGX_GetStr(block, sizeof block, in)) > 0) FCGX_PutStr(block, n, out);
        }
        if (query && strcmp(query, "exit") == 0) {
            FCGX_FPrintF(err, "told to end\n");
            FCGX_Finish();
            exit(0);
        }
    }
    return 0;
}
"#;

fn compile(site: &Site) -> Result<PathBuf> {
    program("/usr/include/fcgiapp.h", "libfcgi-dev")?;
    let source = site.root.write("apps/echo.c", PROGRAM.as_bytes())?;
    let target = site.root.join("apps/echo");
    let cc = program("/usr/bin/cc", "gcc")?;
    run(Command::new(cc).arg("-o").arg(&target).arg(source).arg("-lfcgi"))?;
    Ok(target)
}

fn check(site: &Site) -> Result<()> {
    let text = site.get("/echo/a/b?env")?.text();
    ensure!(variable(&text, "PATH_INFO") == Some("/a/b"), "{text}");
    // The library says so from FCGI_BEGIN_REQUEST.
    ensure!(variable(&text, "FCGI_ROLE") == Some("RESPONDER"), "{text}");
    for length in [1, 8184, 70_000, 2_000_000] {
        // What goes in comes out while it goes in: neither side may wait for the other.
        let sent = bytes(length);
        let answer = site.ask("POST /echo", &[], &sent)?;
        ensure!(answer.body == sent, "{} of {length} bytes", answer.body.len());
    }
    Ok(())
}

const MAPPING: &str = "
Alias /echo {root}/apps/echo
<Directory {root}/apps>
    Require all granted
</Directory>
";

#[test]
fn started_by_spawn_fcgi() -> Result<()> {
    let mut site = Site::new()?;
    let echo = compile(&site)?;
    let echo = Application::spawn_fcgi(&site.root, Site::tcp()?, &[Path::new(&echo)])?;
    let address = echo.address.option();
    site.serve(&format!(
        "FastCgiExternalServer {{root}}/apps/echo {address}\n{MAPPING}"
    ))?;
    check(&site)
}

#[test]
fn a_static_application() -> Result<()> {
    let mut site = Site::new()?;
    compile(&site)?;
    site.serve(&format!(
        "FastCgiServer {{root}}/apps/echo -processes 2 -restart-delay 1 -init-start-delay 0 \
         -socket echo.sock\n{MAPPING}"
    ))?;
    check(&site)?;
    let text = site.get("/echo?exit")?;
    ensure!(text.status == 200, "{text}");
    site.logged("stderr: told to end")?;
    check(&site)
}
