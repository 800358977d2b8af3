//! `server-info`: what the configuration says, and none of its secrets.

use anyhow::{Result, ensure};
use compat_tests::site::Site;

const CONF: &str = r#"SetEnv DATABASE_PASSWORD hunter2
Define TOKEN hunter2
FastCgiExternalServer {root}/htdocs/app -host 127.0.0.1:9 -pass-header X-Key
AddModuleInfo mod_env.c "about <b>variables</b>"
<Location /info>
    SetHandler server-info
</Location>
<Location /closed>
    SetHandler server-info
    Require all denied
</Location>
<VirtualHost *:{port}>
    ServerName www.example.org
    RequestHeader set Authorization "Bearer hunter2"
</VirtualHost>
"#;

#[test]
fn the_configuration_is_shown_without_its_secrets() -> Result<()> {
    let mut site = Site::new()?;
    site.serve(CONF)?;
    let whole = site.get("/info")?;
    ensure!(whole.status == 200, "{whole}");
    let text = whole.text();
    for part in [
        "<h2 id=\"mod_env.c\">",
        "about <b>variables</b>",
        "SetEnv DATABASE_PASSWORD (not shown)",
        "RequestHeader set Authorization (not shown)",
        "SetHandler server-info",
        "ServerName www.example.org",
        "FastCgiExternalServer",
        "&lt;Location /info&gt;",
    ] {
        ensure!(text.contains(part), "{part}: {text}");
    }
    for query in ["", "?config", "?server", "?list", "?mod_env.c", "?mod_headers.c"] {
        let answer = site.get(&format!("/info{query}"))?;
        ensure!(answer.status == 200 && !answer.text().contains("hunter2"), "{answer}");
    }
    ensure!(site.get("/info?list")?.text().contains("mod_fastcgi.c"));
    ensure!(site.get("/info?none.c")?.text().contains("No such module"));
    ensure!(site.get("/closed")?.status == 403);
    ensure!(site.ask("POST /info", &[], b"x")?.status == 404);
    Ok(())
}
