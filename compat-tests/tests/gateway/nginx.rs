//! Real nginx with `auth_request` before us.

use anyhow::{Result, ensure};
use compat_tests::front::Front;
use compat_tests::site::{basic, variable};

use crate::judge::{Judge, SESSION};

/// What nginx hands on. Its own content is our application.
const SERVER: &str = "
    location / {
        auth_request /_auth;
        auth_request_set $user $upstream_http_remote_user;
        auth_request_set $groups $upstream_http_variable_groups;
        auth_request_set $login $upstream_http_location;
        auth_request_set $told $upstream_http_x_auth_status;
        error_page 401 = @login;
        rewrite ^ /app?env? break;
        proxy_pass http://127.0.0.1:{port};
        proxy_set_header Host $http_host;
        proxy_set_header X-User $user;
        proxy_set_header X-Groups $groups;
    }
    location @login {
        add_header X-Told $told always;
        if ($login = \"\") {
            return 401;
        }
        return 302 $login;
    }
    location /basic {
        auth_request /_auth;
        rewrite ^ /app?env? break;
        proxy_pass http://127.0.0.1:{port};
        proxy_set_header Host $http_host;
    }
";

#[test]
fn who_is_let_in_and_who_is_not() -> Result<()> {
    let judge = Judge::new("nginx", SESSION, "")?;
    let site = &judge.guarded.site;
    let nginx = Front::nginx(&site.root, SERVER)?;
    let spoofed =
        ["Cookie: s=good", "X-User: forged", "X_User: forged", "Groups: forged"];
    let answer = nginx.ask("GET /members/a?b=c", &spoofed)?;
    let text = answer.text();
    ensure!(answer.status == 200, "{answer}\n{}", site.root.log("error_log"));
    ensure!(variable(&text, "HTTP_X_USER") == Some("jane"), "{text}");
    ensure!(variable(&text, "HTTP_X_GROUPS") == Some("staff"), "{text}");
    let calls = judge.guarded.calls("auth");
    for (name, value) in [
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/members/a?b=c"),
        ("QUERY_STRING", "b=c"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REQUEST_SCHEME", "http"),
        ("HTTP_HOST", "www.example.org"),
        ("HTTP_COOKIE", "s=good"),
    ] {
        ensure!(calls[0].variable(name) == Some(value), "{name}: {:?}", calls[0]);
    }
    ensure!(calls[0].variable("HTTP_X_ORIGINAL_URI").is_none(), "{:?}", calls[0]);

    let answer = nginx.ask("GET /members/a", &["Cookie: s=bad"])?;
    ensure!(answer.status == 401 && !answer.text().contains("HTTP_"), "{answer}");
    // A method that changes something is judged as what it is.
    nginx.ask("DELETE /members/a", &["Cookie: s=good"])?;
    let calls = judge.guarded.calls("auth");
    ensure!(calls[2].variable("REQUEST_METHOD") == Some("DELETE"), "{:?}", calls[2]);
    Ok(())
}

#[test]
fn a_redirect_to_a_login_page() -> Result<()> {
    let gate = "status=302&header=Location: /login?back";
    let judge = Judge::new("nginx", gate, "")?;
    let nginx = Front::nginx(&judge.guarded.site.root, SERVER)?;
    let answer = nginx.ask("GET /members/a", &["Host: app.example.org"])?;
    ensure!(answer.status == 302, "{answer}");
    let location = answer.header("Location");
    ensure!(location == Some("http://app.example.org/login?back"), "{answer}");
    ensure!(answer.header("X-Told") == Some("302"), "{answer}");
    Ok(())
}

#[test]
fn a_password_is_asked_for() -> Result<()> {
    let lines = "<Location /basic>
        AuthType Basic
        AuthName Realm
        AuthUserFile conf/users
        Require valid-user
    </Location>";
    let judge = Judge::new("nginx", SESSION, lines)?;
    let nginx = Front::nginx(&judge.guarded.site.root, SERVER)?;
    let answer = nginx.ask("GET /basic", &[])?;
    ensure!(answer.status == 401, "{answer}");
    let challenge = answer.header("WWW-Authenticate");
    ensure!(challenge == Some("Basic realm=\"Realm\""), "{answer}");
    let answer = nginx.ask("GET /basic", &[&basic("ann", "secret")])?;
    ensure!(answer.status == 200, "{answer}");
    let answer = nginx.ask("GET /basic", &[&basic("ann", "wrong")])?;
    ensure!(answer.status == 401, "{answer}");
    Ok(())
}

#[test]
fn errors_let_nobody_in() -> Result<()> {
    for (gate, status) in [
        ("exit=1", 500),
        ("sleep=4000", 500),
        ("raw=00", 500),
        ("status=404", 403),
        ("status=429", 403),
        ("status=204", 403),
    ] {
        let judge = Judge::new("nginx", gate, "")?;
        let nginx = Front::nginx(&judge.guarded.site.root, SERVER)?;
        let answer = nginx.ask("GET /members/a", &["Cookie: s=good"])?;
        ensure!(answer.status == status, "{gate}: {answer}");
        ensure!(!answer.text().contains("HTTP_COOKIE"), "{gate}: {answer}");
    }
    Ok(())
}

/// nginx that asks without being trusted, or forgets to say what it asks about.
#[test]
fn a_caller_that_is_not_trusted_or_says_too_little() -> Result<()> {
    let mut judge = Judge::new("nginx", SESSION, "")?;
    let root = &judge.guarded.site.root;
    let nginx = Front::nginx_without(root, SERVER, "X-Original-Method")?;
    let answer = nginx.ask("GET /members/a", &["Cookie: s=good"])?;
    ensure!(answer.status == 403, "{answer}");
    judge.guarded.site.logged("X-Original-Method is missing")?;
    drop(nginx);

    let site = &mut judge.guarded.site;
    let conf = std::fs::read_to_string(site.root.join("conf/httpd.conf"))?;
    let conf = conf.replace("GatewayTrust 127.0.0.1", "");
    site.root.write("conf/httpd.conf", conf.as_bytes())?;
    site.server = None;
    site.server = Some(compat_tests::server::Server::start(
        compat_tests::server::Kind::Ours,
        &site.root,
    )?);
    let nginx = Front::nginx(&site.root, SERVER)?;
    let answer = nginx.ask("GET /members/a", &["Cookie: s=good"])?;
    ensure!(answer.status == 403, "{answer}");
    site.logged("127.0.0.1 is not named by GatewayTrust")?;
    ensure!(judge.calls() == 0, "{} calls", judge.calls());
    Ok(())
}
