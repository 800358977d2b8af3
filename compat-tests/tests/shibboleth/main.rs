//! A page behind Shibboleth's own authorizer, and a whole SAML login through our server:
//! refused with a redirect to the identity provider, its answer posted to Shibboleth's
//! responder, let in with the session's cookie.

mod behind_nginx;
mod provider;
mod sp;

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Application, program};
use compat_tests::guarded::Guarded;
use compat_tests::http::Response;
use compat_tests::site::variable;

use provider::Provider;
use sp::Daemon;

/// The host that every request of the harness names.
const HOST: &str = "http://www.example.org";

const CONF: &str = "
Alias /Shibboleth.sso {root}/virtual/shibresponder
<Directory {root}/virtual>
    Require all granted
</Directory>
<Location /app>
    FastCgiAuthorizer {root}/virtual/shibauthorizer -compat -pass-response
</Location>
<Location /members>
    FastCgiAuthorizer {root}/virtual/shibauthorizer -compat -pass-response
</Location>
";

struct Login {
    // Ends before its directory goes.
    daemon: Daemon,
    guarded: Guarded,
    provider: Provider,
}

fn login() -> Result<Login> {
    login_with(CONF)
}

/// The same with another configuration behind the applications.
fn login_with(conf: &str) -> Result<Login> {
    let mut guarded = Guarded::new()?;
    let root = &guarded.site.root;
    root.write("htdocs/members/a.txt", b"a file\n")?;
    let provider = Provider::new(root)?;
    let daemon = sp::start(root)?;
    for name in ["shibauthorizer", "shibresponder"] {
        let path = program(&sp::place(name), "shibboleth-sp-utils")?;
        let env = format!(
            "SHIBSP_CONFIG={}",
            guarded.site.root.join("conf/shibboleth.xml").display()
        );
        let command =
            [std::path::Path::new("/usr/bin/env"), env.as_ref(), path.as_path()];
        let address = guarded.site.unix(name);
        let running = Application::spawn_fcgi(&guarded.site.root, address, &command)?;
        guarded.program(&format!("virtual/{name}"), running, "");
    }
    guarded.serve(conf)?;
    Ok(Login { daemon, guarded, provider })
}

/// `name=value` of the cookies that an answer sets, as a request sends them back.
fn cookies(answer: &Response) -> String {
    let set = answer.headers.iter().filter(|(name, _)| name == "Set-Cookie");
    let pairs: Vec<&str> =
        set.filter_map(|(_, value)| value.split(';').next()).map(str::trim).collect();
    format!("Cookie: {}", pairs.join("; "))
}

#[test]
fn a_whole_login() -> Result<()> {
    let login = login()?;
    let (site, provider) = (&login.guarded.site, &login.provider);

    let answer = site.get("/app/page?env")?;
    ensure!(answer.status == 302, "{answer}\n{}", site.root.log("native"));
    let location = answer.header("Location").context("no Location")?;
    ensure!(location.starts_with(provider::LOGIN), "{answer}");
    let relay = location.split("RelayState=").nth(1).context("no RelayState")?;
    let state = cookies(&answer);

    let form = provider.answer(&format!("{HOST}/Shibboleth.sso/SAML2/POST"))?;
    let form = format!("RelayState={relay}&SAMLResponse={form}");
    let fields = ["Content-Type: application/x-www-form-urlencoded", &*state];
    let answer = site.ask("POST /Shibboleth.sso/SAML2/POST", &fields, form.as_bytes())?;
    ensure!(answer.status == 302, "{answer}\n{}", site.root.log("shibd"));
    let back = format!("{HOST}/app/page?env");
    ensure!(answer.header("Location") == Some(&back), "{answer}");
    let session = cookies(&answer);
    ensure!(session.contains("_shibsession_"), "{answer}");

    let spoofed =
        [&*session, "Shib-Session-ID: forged", "Eppn: forged", "Remote-User: forged"];
    let answer = site.ask("GET /app/page?env", &spoofed, b"")?;
    ensure!(answer.status == 200, "{answer}");
    let text = answer.text();
    for (name, value) in [
        ("eppn", "jane@example.org"),
        ("REMOTE_USER", "jane@example.org"),
        ("AUTH_TYPE", "shibboleth"),
        ("Shib_Identity_Provider", provider::ENTITY),
        ("PATH_INFO", "/page"),
    ] {
        ensure!(variable(&text, name) == Some(value), "{name}: {text}");
    }
    ensure!(variable(&text, "Shib_Session_ID").is_some_and(|id| id.len() > 10), "{text}");
    ensure!(!text.contains("forged"), "{text}");

    let answer = site.ask("GET /members/a.txt", &[&session], b"")?;
    ensure!(answer.status == 200 && answer.body == b"a file\n", "{answer}");
    let answer = site.ask("GET /members/a.txt", &["Cookie: _shibsession_x=_y"], b"")?;
    ensure!(answer.status == 302 && !answer.text().contains("a file"), "{answer}");
    Ok(())
}

/// What somebody else signed opens nothing.
#[test]
fn an_answer_of_somebody_else() -> Result<()> {
    let login = login()?;
    let site = &login.guarded.site;
    let stranger = Provider::stranger(&site.root)?;
    let form = stranger.answer(&format!("{HOST}/Shibboleth.sso/SAML2/POST"))?;
    let form = format!("SAMLResponse={form}");
    let fields = ["Content-Type: application/x-www-form-urlencoded"];
    let answer = site.ask("POST /Shibboleth.sso/SAML2/POST", &fields, form.as_bytes())?;
    ensure!(answer.status == 500, "{answer}");
    ensure!(answer.text().contains("signature could not be verified"), "{answer}");
    ensure!(!cookies(&answer).contains("_shibsession_"), "{answer}");
    Ok(())
}

/// Without its daemon the authorizer lets nobody in, and says so.
#[test]
fn without_the_daemon() -> Result<()> {
    let login = login()?;
    let site = &login.guarded.site;
    ensure!(site.get("/members/a.txt")?.status == 302, "{}", site.root.log("native"));
    drop(login.daemon);
    let answer = site.get("/members/a.txt")?;
    ensure!(answer.text().contains("Cannot connect to shibd"), "{answer}");
    ensure!(answer.status == 500 && !answer.text().contains("a file"), "{answer}");
    Ok(())
}
