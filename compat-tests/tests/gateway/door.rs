//! As the front door: who makes a request is told to what stands behind us as headers that
//! clients cannot send.

use anyhow::{Result, ensure};
use compat_tests::guarded::Guarded;
use compat_tests::site::{basic, variable};

const FORGED: [&str; 8] = [
    "X-Remote-User: forged",
    "X_Remote_User: forged",
    "X.Remote.User: forged",
    "x-remote_user: forged",
    "X-Groups: forged",
    "X_Groups: forged",
    "X-Level: forged",
    "X-Level: forged again",
];

fn door(gate: &str) -> Result<Guarded> {
    let mut guarded = Guarded::new()?;
    guarded.gate("auth", gate, "")?;
    guarded.serve(
        "SetEnvIf X-Remote-User . somebody_said_it
        <Location /app>
            FastCgiAuthorizer {root}/virtual/auth -compat
            GatewayHeader X-Remote-User REMOTE_USER
            GatewayHeader X-Groups groups
            GatewayHeader X-Level level
        </Location>
        <Location /app/inner>
            GatewayHeader X-Level other
        </Location>
        <Location /app/user>
            AuthType Basic
            AuthName Realm
            AuthUserFile conf/users
            Require valid-user
        </Location>
        Alias /free {root}/htdocs/app\n",
    )?;
    Ok(guarded)
}

#[test]
fn applications_are_told_and_clients_cannot_say_it() -> Result<()> {
    let door = door(
        "header=Variable-REMOTE_USER: jane&header=Variable-groups: a, b\
                     &header=Variable-other: 9",
    )?;
    let text = door.site.ask("GET /app?env", &FORGED, b"")?.text();
    ensure!(variable(&text, "HTTP_X_REMOTE_USER") == Some("jane"), "{text}");
    ensure!(variable(&text, "HTTP_X_GROUPS") == Some("a, b"), "{text}");
    ensure!(variable(&text, "HTTP_X_LEVEL").is_none(), "{text}");
    ensure!(!text.contains("forged") && !text.contains("somebody"), "{text}");
    let text = door.site.ask("GET /app/inner?env", &FORGED, b"")?.text();
    ensure!(variable(&text, "HTTP_X_LEVEL") == Some("9"), "{text}");
    ensure!(variable(&text, "HTTP_X_REMOTE_USER") == Some("jane"), "{text}");
    // Nor can they have a proxy leave it out.
    let named = ["Connection: X-Groups, close, x_remote_user", "Connection: X-Level"];
    let text = door.site.ask("GET /app?env", &named, b"")?.text();
    ensure!(variable(&text, "HTTP_X_GROUPS") == Some("a, b"), "{text}");
    let connection = variable(&text, "HTTP_CONNECTION").unwrap_or_default();
    ensure!(connection.ends_with("close"), "{text}");
    ensure!(!connection.to_lowercase().contains('x'), "{text}");
    // The gate itself did not see them, either.
    let calls = door.calls("auth");
    ensure!(
        calls.iter().all(|call| call.variable("HTTP_X_GROUPS").is_none()),
        "{calls:?}"
    );
    Ok(())
}

/// Where nobody is told anything, clients cannot say it all the same.
#[test]
fn where_nothing_is_known_nothing_is_said() -> Result<()> {
    let door = door("")?;
    for path in ["/app?env", "/free?env"] {
        let answer = door.site.ask(&format!("GET {path}"), &FORGED, b"")?;
        let text = answer.text();
        ensure!(answer.status == 200 && text.contains("REQUEST_URI"), "{path}: {answer}");
        ensure!(!text.contains("forged") && !text.contains("somebody"), "{path}: {text}");
    }
    let me = basic("ann", "secret");
    let text = door.site.ask("GET /app/user?env", &[&me, FORGED[0]], b"")?.text();
    ensure!(variable(&text, "HTTP_X_REMOTE_USER") == Some("ann"), "{text}");
    Ok(())
}
