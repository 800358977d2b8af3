//! mod_fcgid's processes: who is started when, who waits for whom, who ends for what.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::http::Response;
use compat_tests::site::Site;
use nix::sys::signal::Signal;

/// What it does is said by PATH_INFO; each process counts its requests.
const APP: &str = r#"#!/usr/bin/perl
use FCGI;
my %own = %ENV;
my %env;
my $request = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%env);
my $count = 0;
while ($request->Accept() >= 0) {
    $count++;
    my $what = $env{PATH_INFO} // '';
    select undef, undef, undef, $1 if $what =~ m{^/sleep/(.*)};
    while ($what eq '/stuck') { select undef, undef, undef, 1 }
    exit 1 if $what eq '/exit';
    print "Content-Type: text/plain\n\n$$ $count $own{MODE}";
}
"#;

const RUNS: &str = "FcgidMaxRequestLen 131072\nAddHandler fcgid-script .fcgi\n\
     <Directory \"{root}/htdocs\">\nOptions +ExecCGI\nRequire all granted\n</Directory>\n\
     LogLevel info\n";

fn site(conf: &str) -> Result<Site> {
    let mut site = Site::alone()?;
    site.program("htdocs/app.fcgi", APP)?;
    site.serve(&format!("{RUNS}{conf}"))?;
    Ok(site)
}

/// Process, number of its request, and its MODE.
fn said(answer: &Response) -> Result<(u32, u32, String)> {
    ensure!(answer.status == 200, "{}", answer.text());
    let text = answer.text();
    let mut words = text.split(' ');
    let mut number = || words.next().unwrap_or_default().parse();
    let (pid, count) = (number()?, number()?);
    Ok((pid, count, words.next().unwrap_or_default().to_owned()))
}

#[test]
fn a_process_has_one_request_at_a_time() -> Result<()> {
    let site = site("FcgidMaxProcessesPerClass 2\n")?;
    let begun = Instant::now();
    let mut served = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        let ask = || said(&site.get("/app.fcgi/sleep/2")?);
        let others: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        for other in others {
            served.push(other.join().expect("no panic")?.0);
        }
        Ok(())
    })?;
    let took = begun.elapsed();
    served.sort_unstable();
    served.dedup();
    ensure!(served.len() == 2, "{served:?}");
    // Two by two.
    ensure!(took >= Duration::from_secs(4) && took < Duration::from_secs(9), "{took:?}");
    site.logged("processes (current:2, max:2), skip the spawn request")?;
    ensure!(site.processes("htdocs/app.fcgi")?.len() == 2);
    Ok(())
}

/// What may be is not kept room for.
#[test]
fn a_limit_beyond_all_memory_is_no_limit() -> Result<()> {
    let site =
        site("FcgidMaxProcessesPerClass 4000000000\nFcgidMaxProcesses 4000000000\n")?;
    std::thread::scope(|scope| -> Result<()> {
        let ask = || said(&site.get("/app.fcgi/sleep/2")?);
        let others: Vec<_> = (0..3).map(|_| scope.spawn(ask)).collect();
        for other in others {
            other.join().expect("no panic")?;
        }
        Ok(())
    })?;
    ensure!(site.processes("htdocs/app.fcgi")?.len() > 1);
    Ok(())
}

#[test]
fn idle_processes_end_but_for_those_that_stay() -> Result<()> {
    let site = site(
        "FcgidIdleTimeout 1\nFcgidIdleScanInterval 1\nFcgidMinProcessesPerClass 1\n",
    )?;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| site.get("/app.fcgi/sleep/1"));
        }
    });
    site.logged("exit(idle timeout), ")?;
    site.processes_are("htdocs/app.fcgi", 1)?;
    std::thread::sleep(Duration::from_secs(3));
    let left = site.processes_are("htdocs/app.fcgi", 1)?;
    let (pid, ..) = said(&site.get("/app.fcgi")?)?;
    ensure!(left[0].pid.as_raw() as u32 == pid);
    Ok(())
}

#[test]
fn a_process_ends_after_its_number_of_requests() -> Result<()> {
    let site = site("FcgidMaxRequestsPerProcess 2\n")?;
    let mut counts = Vec::new();
    for _ in 0..5 {
        counts.push(said(&site.get("/app.fcgi")?)?.1);
    }
    ensure!(counts == [1, 2, 1, 2, 1], "{counts:?}");
    site.logged_times("exit(lifetime expired)", 2)
}

#[test]
fn what_does_not_come_to_an_end_is_ended() -> Result<()> {
    let site = site("FcgidBusyTimeout 1\nFcgidBusyScanInterval 1\n")?;
    let answer = site.ask("POST /app.fcgi/stuck", &[], b"x")?;
    ensure!(answer.status == 500, "{}", answer.text());
    // It takes no notice of SIGTERM.
    site.logged("exit(busy timeout), get stop signal 9")?;
    said(&site.get("/app.fcgi")?)?;
    Ok(())
}

#[test]
fn what_is_silent_is_ended() -> Result<()> {
    let site = site("FcgidIOTimeout 1\n")?;
    let answer = site.get("/app.fcgi/sleep/60")?;
    ensure!(answer.status == 500, "{}", answer.text());
    site.logged("mod_fcgid: read data timeout in 1 seconds")?;
    site.logged("exit(communication error)")?;
    site.processes_are("htdocs/app.fcgi", 0)?;
    Ok(())
}

#[test]
fn another_configuration_lets_requests_finish() -> Result<()> {
    let mut site = site("FcgidInitialEnv MODE one\n")?;
    let (first, _, mode) = said(&site.get("/app.fcgi")?)?;
    ensure!(mode == "one");
    std::thread::scope(|scope| -> Result<()> {
        let long = scope.spawn(|| site.get("/app.fcgi/sleep/2"));
        std::thread::sleep(Duration::from_millis(500));
        site.configure(&format!("{RUNS}FcgidInitialEnv MODE two\n"))?;
        site.signal(Signal::SIGUSR1)?;
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let (pid, _, mode) = said(&site.get("/app.fcgi")?)?;
            if mode == "two" {
                ensure!(pid != first);
                break;
            }
            ensure!(Instant::now() < until, "still {mode}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let (pid, _, mode) = said(&long.join().expect("no panic")?)?;
        ensure!((pid, mode.as_str()) == (first, "one"));
        Ok(())
    })?;
    site.processes_are("htdocs/app.fcgi", 1)?;
    // The same one goes on where nothing has changed.
    let (before, ..) = said(&site.get("/app.fcgi")?)?;
    site.signal(Signal::SIGUSR1)?;
    site.logged_times("Doing graceful restart", 2)?;
    std::thread::sleep(Duration::from_millis(500));
    ensure!(said(&site.get("/app.fcgi")?)?.0 == before);
    let server = site.server.take().expect("a server");
    server.stop()
}

#[test]
fn a_server_that_comes_back_finds_the_processes() -> Result<()> {
    let site = site("")?;
    let (before, ..) = said(&site.get("/app.fcgi")?)?;
    let half = site.half()?;
    nix::sys::signal::kill(half.pid, Signal::SIGKILL)?;
    let until = Instant::now() + Duration::from_secs(10);
    let after = loop {
        if let Ok(answer) = site.get("/app.fcgi") {
            break said(&answer)?.0;
        }
        ensure!(Instant::now() < until, "it does not come back");
        std::thread::sleep(Duration::from_millis(50));
    };
    ensure!(before == after);
    Ok(())
}

#[test]
fn who_cannot_be_asked_lets_nobody_in() -> Result<()> {
    let mut site = Site::alone()?;
    site.program("bin/silent", "#!/bin/sh\nsleep 60\n")?;
    site.program("bin/ends", "#!/bin/sh\nexit 0\n")?;
    site.root.write("bin/no", b"no program")?;
    // What ends at once is not to be waited for longer and longer.
    let mut conf = RUNS.to_owned() + "FcgidIOTimeout 1\nFcgidSpawnScoreUpLimit 1000\n";
    for name in ["silent", "ends", "no"] {
        for phase in ["AccessChecker", "Authorizer", "Authenticator"] {
            conf += &format!(
                "Alias /{name}/{phase} {{root}}/htdocs/page\n<Location /{name}/{phase}>\n\
                 AuthType Basic\nAuthName a\nFcgid{phase} {{root}}/bin/{name}\n</Location>\n"
            );
        }
    }
    site.serve(&conf)?;
    for name in ["silent", "ends", "no"] {
        for phase in ["AccessChecker", "Authorizer", "Authenticator"] {
            let line = format!("GET /{name}/{phase}");
            let answer = site.ask(&line, &["Authorization: Basic YTpi"], b"")?;
            ensure!(
                [500, 503, 401].contains(&answer.status),
                "{line}: {}",
                answer.status
            );
            ensure!(!answer.text().contains("a page"), "{line}");
        }
    }
    Ok(())
}

#[test]
fn perls_own_way_works() -> Result<()> {
    let mut site = Site::alone()?;
    let app = "#!/usr/bin/perl\nuse CGI::Fast;\nmy $n = 0;\n\
               while (my $q = CGI::Fast->new) {\n    $n++;\n    \
               print \"Content-Type: text/plain\\n\\n$n \", $q->param('a');\n}\n";
    site.program("fast/app", app)?;
    site.serve(
        "Alias /fast {root}/fast\n<Directory {root}/fast>\nSetHandler fcgid-script\n\
         Options +ExecCGI\nRequire all granted\n</Directory>\n",
    )?;
    for i in 1..4 {
        let answer = site.get(&format!("/fast/app?a=x{i}"))?;
        ensure!(answer.text() == format!("{i} x{i}"), "{}", answer.text());
    }
    Ok(())
}
