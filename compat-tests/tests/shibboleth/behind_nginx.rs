//! The same login with nginx before us: it asks us about every request (`auth_request`), and
//! we ask Shibboleth's authorizer. Only Shibboleth's own URLs come to us as they are.

use anyhow::{Context, Result, ensure};
use compat_tests::front::{Front, ask};
use compat_tests::http::{Client, Response};

use crate::{HOST, cookies, login_with, provider};

const CONF: &str = "
Alias /Shibboleth.sso {root}/virtual/shibresponder
<Directory {root}/virtual>
    Require all granted
</Directory>
Listen 127.0.0.1:{port2}
<VirtualHost 127.0.0.1:{port2}>
    GatewayService nginx
    GatewayTrust 127.0.0.1
    <Location /members>
        FastCgiAuthorizer {root}/virtual/shibauthorizer -compat -pass-response
        GatewayHeader X-Mail eppn
    </Location>
</VirtualHost>
";

const SERVER: &str = "
    root {root}/htdocs;
    location /members {
        auth_request /_auth;
        auth_request_set $login $upstream_http_location;
        auth_request_set $relay $upstream_http_set_cookie;
        auth_request_set $mail $upstream_http_x_mail;
        auth_request_set $user $upstream_http_remote_user;
        add_header X-Mail $mail;
        add_header X-User $user;
        error_page 401 = @login;
    }
    location @login {
        add_header Set-Cookie $relay always;
        return 302 $login;
    }
    location /Shibboleth.sso {
        proxy_pass http://127.0.0.1:{port};
        proxy_set_header Host $http_host;
    }
";

fn post(nginx: &Front, target: &str, state: &str, form: &str) -> Result<Response> {
    let mut client = Client::connect(nginx.port)?;
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n{state}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    client.send(head.as_bytes())?;
    client.send(form.as_bytes())?;
    client.response("POST")
}

#[test]
fn a_whole_login_behind_nginx() -> Result<()> {
    let login = login_with(CONF)?;
    let (site, provider) = (&login.guarded.site, &login.provider);
    let nginx = Front::nginx(&site.root, SERVER)?;

    let answer = nginx.ask("GET /members/a.txt", &[])?;
    ensure!(answer.status == 302, "{answer}\n{}", site.root.log("error_log"));
    let location = answer.header("Location").context("no Location")?;
    ensure!(location.starts_with(provider::LOGIN), "{answer}");
    let relay = location.split("RelayState=").nth(1).context("no RelayState")?;
    let state = cookies(&answer);

    let target = "/Shibboleth.sso/SAML2/POST";
    let form = provider.answer(&format!("{HOST}{target}"))?;
    let form = format!("RelayState={relay}&SAMLResponse={form}");
    let answer = post(&nginx, target, &state, &form)?;
    ensure!(answer.status == 302, "{answer}\n{}", site.root.log("shibd"));
    let back = format!("{HOST}/members/a.txt");
    ensure!(answer.header("Location") == Some(&back), "{answer}");
    let session = cookies(&answer);
    ensure!(session.contains("_shibsession_"), "{answer}");

    let forged = [&*session, "X-Mail: forged", "Eppn: forged", "Remote-User: forged"];
    let answer = nginx.ask("GET /members/a.txt", &forged)?;
    ensure!(answer.status == 200 && answer.body == b"a file\n", "{answer}");
    ensure!(answer.header("X-Mail") == Some("jane@example.org"), "{answer}");
    ensure!(answer.header("X-User") == Some("jane@example.org"), "{answer}");
    let answer = nginx.ask("GET /members/a.txt", &["Cookie: _shibsession_x=_y"])?;
    ensure!(answer.status == 302 && !answer.text().contains("a file"), "{answer}");

    // Without its daemon nobody is let in.
    drop(login.daemon);
    let answer = nginx.ask("GET /members/a.txt", &[&session])?;
    ensure!(answer.status == 500 && !answer.text().contains("a file"), "{answer}");
    // And whoever asks us without saying about what gets nothing.
    let answer = ask(site.root.other_port, "GET /members/a.txt", &[&session])?;
    ensure!(answer.status == 403, "{answer}");
    Ok(())
}
