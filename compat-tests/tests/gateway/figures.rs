//! What a decision costs: nginx asks us, or a FastCGI application itself; the application is
//! in C, and its answer is always the same. The lines are a table for `BENCH.md`; figures are
//! those of `FCGI_HTTPD=/path/to/release/binary`, alone on the machine.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Address, Application, program, run};
use compat_tests::family::{Process, below, until};
use compat_tests::figures::{cpu, load, say};
use compat_tests::front::{Front, ask};
use compat_tests::root::{Root, free_port};
use compat_tests::site::Site;

/// An authorizer, or a responder for nginx, with four processes on a socket of its own; they
/// end with the first of them.
const PROGRAM: &str = r#"
#include <fcgiapp.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    FCGX_Request r;
    if (argc != 2 || FCGX_Init() != 0) return 1;
    umask(0);
    int socket = FCGX_OpenSocket(argv[1], 64);
    if (socket < 0) return 1;
    int children = 0;
    pid_t first = getpid();
    while (children < 3 && fork() > 0) children++;
    if (getpid() != first) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != first) return 0;
    }
    FCGX_InitRequest(&r, socket, 0);
    while (FCGX_Accept_r(&r) >= 0) {
        FCGX_PutS("Status: 200 OK\r\nVariable-REMOTE_USER: jane\r\n\r\n", r.out);
        FCGX_Finish_r(&r);
    }
    return 0;
}
"#;

/// How long each row is measured: seconds.
const SECONDS: u32 = 1;
/// Clients that ask without a pause.
const CLIENTS: usize = 4;

fn compiled(root: &Root) -> Result<PathBuf> {
    program("/usr/include/fcgiapp.h", "libfcgi-dev")?;
    let source = root.write("apps/always.c", PROGRAM.as_bytes())?;
    let target = root.join("apps/always");
    let cc = program("/usr/bin/cc", "gcc")?;
    run(Command::new(cc).args(["-O2", "-o"]).arg(&target).arg(source).arg("-lfcgi"))?;
    Ok(target)
}

/// A row: requests for each second, and microseconds of processors for each.
fn row(
    what: &str,
    url: &str,
    fields: &[&str],
    processes: &[(&str, &[Process])],
) -> Result<()> {
    let args: Vec<&str> = fields.iter().flat_map(|field| ["-H", field]).collect();
    load(url, CLIENTS, SECONDS, &args).context(what.to_owned())?;
    let before: Vec<Duration> =
        processes.iter().map(|(_, of)| cpu(of)).collect::<Result<_>>()?;
    let seen = load(url, CLIENTS, SECONDS, &args)?;
    let (count, time) = (seen.requests, seen.seconds);
    ensure!(count > 10, "{what}: {count} requests");
    let mut line = format!("| {what} | {:.0} |", count as f64 / time);
    for ((name, of), before) in processes.iter().zip(before) {
        let spent = cpu(of)?.saturating_sub(before).as_micros() as f64;
        line += &format!(" {name} {:.0} us |", spent / count as f64);
    }
    say(&line)
}

#[test]
fn decisions_for_nginx() -> Result<()> {
    let mut site = Site::alone()?;
    let admin = free_port()?;
    let socket = site.root.join("run/always");
    let mut command = Command::new(compiled(&site.root)?);
    command.arg(&socket);
    let app =
        Application::start(&site.root, Address::Unix(socket.clone()), &mut command)?;
    site.serve(&format!(
        "FastCgiExternalServer {{root}}/virtual/auth -socket {}
        Listen 127.0.0.1:{{port2}}
        GatewayAdmin 127.0.0.1:{admin}
        MaxKeepAliveRequests 0
        <VirtualHost 127.0.0.1:{{port2}}>
            GatewayService nginx
            GatewayTrust 127.0.0.1
            <Location /asked>
                FastCgiAuthorizer {{root}}/virtual/auth -compat
            </Location>
            <Location /kept>
                FastCgiAuthorizer {{root}}/virtual/auth -compat
                GatewayCacheKey cookie:s
                GatewayCacheTTL 60
            </Location>
        </VirtualHost>\n",
        socket.display()
    ))?;
    let front = Front::nginx(
        &site.root,
        &format!(
            "keepalive_requests 1000000000;
            location /open {{ alias {{root}}/htdocs/page; }}
            location /asked {{ auth_request /_auth; alias {{root}}/htdocs/page; }}
            location /kept {{ auth_request /_auth; alias {{root}}/htdocs/page; }}
            location /direct {{ auth_request /_direct; alias {{root}}/htdocs/page; }}
            location = /_direct {{
                internal;
                fastcgi_pass unix:{};
                fastcgi_pass_request_body off;
                fastcgi_param REQUEST_METHOD $request_method;
                fastcgi_param REQUEST_URI $request_uri;
                fastcgi_param QUERY_STRING $query_string;
                fastcgi_param REMOTE_ADDR $remote_addr;
                fastcgi_param SERVER_NAME $server_name;
                fastcgi_param SERVER_PORT $server_port;
                fastcgi_param SERVER_PROTOCOL $server_protocol;
            }}",
            socket.display()
        ),
    )?;
    let (own, nginx) = (site.own_processes()?, front.processes());
    let cookie = "Cookie: s=good";
    let at = |path: &str| format!("http://127.0.0.1:{}{path}", front.port);
    let both = [("nginx", &nginx[..]), ("ours", &own[..])];
    row("nginx, nobody is asked", &at("/open"), &[cookie], &both[..1])?;
    row("nginx asks the application", &at("/direct"), &[cookie], &both[..1])?;
    row("nginx asks us, we ask the application", &at("/asked"), &[cookie], &both)?;
    row("the same, answers are kept", &at("/kept"), &[cookie], &both)?;
    let url = format!("http://127.0.0.1:{}/", site.root.other_port);
    for (what, uri) in [
        ("we are asked over kept connections", "X-Original-URI: /asked"),
        ("the same, answers are kept", "X-Original-URI: /kept"),
    ] {
        let fields = [
            cookie,
            uri,
            "X-Original-Method: GET",
            "X-Forwarded-Host: www.example.org",
            "X-Forwarded-Proto: http",
            "X-Real-IP: 203.0.113.7",
        ];
        row(what, &url, &fields, &both[1..])?;
    }
    // It was what the rows say.
    let metrics = ask(admin, "GET /metrics", &[])?.text();
    let sample = |name: &str| -> Result<u64> {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        Ok(line.context(name.to_owned())?.trim().parse()?)
    };
    let misses = sample("gateway_cache_misses_total ")?;
    ensure!(misses < 20, "{misses} questions for one kept answer");
    ensure!(sample("gateway_cache_hits_total ")? > 40);
    let allowed = "gateway_decisions_total{dialect=\"nginx\",decision=\"allow\"} ";
    ensure!(sample(allowed)? > 80);
    let children = below(app.pid());
    ensure!(children.len() == 3, "{children:?}");
    drop(app);
    until("the application's processes end", Duration::from_secs(10), || {
        children.iter().all(|child| !child.lives())
    })
}
