//! Numbers after known traffic, in every form that has them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::http::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::traffic::{app, probed};

#[test]
fn requests_of_every_kind_of_application() -> Result<()> {
    let probed = probed("")?;
    let site = &probed.site;
    let before = probed.report()?;
    ensure!(app(&before, "dynamic").is_null(), "{before:#}");
    let counts = [("/static", 5), ("/cgi/dynamic", 3), ("/external", 4)];
    for (name, count) in counts {
        for _ in 0..count {
            ensure!(site.get(&format!("{name}?text=hidden"))?.body == b"hidden");
        }
    }
    ensure!(site.get("/external?close")?.status == 500);
    let report = probed.report_when(|report| {
        counts.iter().all(|(name, _)| app(report, name)["active"] == 0)
    })?;
    let numbers = |name: &str| {
        let app = app(&report, name);
        json!([app["kind"], app["requests"], app["failures"], app["waiting"]])
    };
    ensure!(numbers("/static") == json!(["static", 5, 0, 0]), "{report:#}");
    ensure!(numbers("/dynamic") == json!(["dynamic", 3, 0, 0]), "{report:#}");
    ensure!(numbers("/external") == json!(["external", 5, 1, 0]), "{report:#}");
    for (name, count) in [("/static", 5), ("/dynamic", 3), ("/external", 5)] {
        let waits = app(&report, name)["waits"].as_array().cloned().unwrap_or_default();
        let counted = waits.iter().filter_map(|class| class["requests"].as_u64());
        ensure!(counted.sum::<u64>() == count, "{name}: {report:#}");
    }
    let text = site.get("/fastcgi-status?metrics")?.text();
    for (name, count) in [("static", 5), ("cgi/dynamic", 3), ("external", 5)] {
        let path = format!("path=\"{}/{name}\"", site.root.join("htdocs").display());
        let sample = |line: &&str| line.starts_with("fastcgi_requests_total{");
        let mut samples = text.lines().filter(sample);
        let sample = samples.find(|line| line.contains(&path)).unwrap_or_default();
        ensure!(sample.ends_with(&format!(" {count}")), "{name}:\n{text}");
    }
    Ok(())
}

/// An application fails in the middle of its answer, too; a client that goes is no failure
/// of the application.
#[test]
fn whose_failures_are_counted() -> Result<()> {
    let probed = probed("")?;
    // The answer is cut: whether that is an error is the client's business.
    let _ = probed.site.get("/external?text=words&raw=ffffffffffffffff");
    let report = probed.report_when(|report| {
        app(report, "/external")["requests"] == 1
            && app(report, "/external")["active"] == 0
    })?;
    ensure!(app(&report, "/external")["failures"] == 1, "{report:#}");
    let mut client = Client::connect(probed.site.root.port)?;
    client.send(
        b"POST /external?echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n\r\n",
    )?;
    client.send(&vec![b'x'; 20_000])?;
    probed.report_when(|report| app(report, "/external")["active"] == 1)?;
    drop(client);
    let report = probed.report_when(|report| app(report, "/external")["active"] == 0)?;
    ensure!(app(&report, "/external")["requests"] == 2, "{report:#}");
    ensure!(app(&report, "/external")["failures"] == 1, "{report:#}");
    Ok(())
}

#[test]
fn processes_and_their_ends() -> Result<()> {
    let probed = probed("")?;
    let pids = |report: &Value, name: &str| -> Vec<i32> {
        let all = app(report, name)["processes"].as_array().cloned().unwrap_or_default();
        let running = all.iter().filter(|process| process["state"] == "running");
        running.filter_map(|process| Some(process["pid"].as_i64()? as i32)).collect()
    };
    let report = probed.report_when(|report| pids(report, "/static").len() == 2)?;
    let first = pids(&report, "/static");
    for pid in &first {
        ensure!(kill(Pid::from_raw(*pid), None).is_ok(), "there is no process {pid}");
    }
    let state = &app(&report, "/static")["state"];
    ensure!(state == "running", "{report:#}");
    ensure!(app(&report, "/static")["starts"] == 2, "{report:#}");
    ensure!(app(&report, "/static")["last_exit"].is_null(), "{report:#}");
    ensure!(app(&report, "/external")["processes"].is_null(), "{report:#}");
    if compat_tests::root::is_root() {
        ensure!(app(&report, "/static")["user"] == "www-data", "{report:#}");
    }

    // What may change something is not asked twice.
    ensure!(probed.site.ask("POST /static?exit=3", &[], b"x")?.status == 500);
    let report = probed.report_when(|report| {
        app(report, "/static")["restarts"] == 1 && pids(report, "/static").len() == 2
    })?;
    let how = &app(&report, "/static")["last_exit"]["how"];
    ensure!(how == "terminated by calling exit with status '3'", "{report:#}");
    ensure!(app(&report, "/static")["starts"] == 3, "{report:#}");
    ensure!(app(&report, "/static")["failures"] == 1, "{report:#}");
    let second = pids(&report, "/static");
    ensure!(first.iter().filter(|pid| second.contains(pid)).count() == 1, "{report:#}");
    Ok(())
}

/// A request that waits is seen while it waits, and its connection, too.
#[test]
fn requests_in_progress() -> Result<()> {
    let probed = probed("")?;
    let mut client = Client::connect(probed.site.root.port)?;
    client.send(b"GET /external?sleep=1200&text=x HTTP/1.1\r\nHost: h\r\n\r\n")?;
    let report = probed.report_when(|report| app(report, "/external")["active"] == 1)?;
    ensure!(app(&report, "/external")["waiting"] == 1, "{report:#}");
    // Its own connection, and the one that asks.
    ensure!(report["server"]["connections"]["writing"] == 2, "{report:#}");
    ensure!(client.response("GET")?.body == b"x");
    let report = probed.report_when(|report| {
        app(report, "/external")["active"] == 0
            && report["server"]["connections"]["keepalive"] == 1
    })?;
    ensure!(app(&report, "/external")["waiting"] == 0, "{report:#}");
    let waited = app(&report, "/external")["waited"].as_f64().unwrap_or_default();
    ensure!((1.2..3.0).contains(&waited), "{report:#}");
    Ok(())
}

#[test]
fn totals_of_the_server() -> Result<()> {
    let probed = probed("")?;
    let totals = |report: &Value| {
        let of = |name: &str| report["server"][name].as_u64().unwrap_or_default();
        (of("accesses"), of("bytes"))
    };
    // The server was waited for with a connection of its own, which asked nothing.
    let first = probed.report_when(|report| totals(report).0 == 1)?;
    let length = first.to_string().len();
    for _ in 0..20 {
        ensure!(probed.site.get("/a.txt")?.body.len() == 3000);
    }
    let report =
        probed.report_when(|report| totals(report).0 >= totals(&first).0 + 21)?;
    let (accesses, bytes) = totals(&report);
    // All but these were for the report, each about as long as the first; each has a head.
    let others = accesses - 20;
    let most = 60_000 + 20 * 500 + others * (length as u64 + 500);
    ensure!((60_000..most).contains(&bytes), "{bytes}, at most {most}: {report:#}");
    Ok(())
}

/// A reload is another generation; what it takes away is shown until it has finished.
#[test]
fn an_application_that_goes() -> Result<()> {
    let probed = probed("")?;
    let site = &probed.site;
    let mut client = Client::connect(site.root.port)?;
    client.send(b"GET /static?sleep=1500&text=x HTTP/1.1\r\nHost: h\r\n\r\n")?;
    let report = probed.report_when(|report| app(report, "/static")["active"] == 1)?;
    ensure!(report["server"]["generation"] == 1, "{report:#}");
    let address = app(&report, "/static")["address"].clone();
    let conf = std::fs::read_to_string(site.root.join("conf/httpd.conf"))?;
    let conf = conf.replace("FastCgiServer ", "# FastCgiServer ");
    site.root.write("conf/httpd.conf", conf.as_bytes())?;
    site.server.as_ref().expect("a server").signal(Signal::SIGUSR1)?;
    let report = probed.report_when(|report| report["server"]["generation"] == 2)?;
    ensure!(app(&report, "/static")["state"] == "finishing", "{report:#}");
    ensure!(app(&report, "/static")["active"] == 1, "{report:#}");
    ensure!(app(&report, "/static")["address"] == address, "{report:#}");
    ensure!(client.response("GET")?.body == b"x");
    let report = probed.report_when(|report| app(report, "/static").is_null())?;
    ensure!(app(&report, "/external")["kind"] == "external", "{report:#}");
    Ok(())
}

/// A process manager that does not react costs a second, not the page.
#[test]
fn a_silent_process_manager() -> Result<()> {
    let probed = probed("")?;
    ensure!(probed.report()?["managed"] == true);
    let server = probed.site.server.as_ref().expect("a server");
    server.signal(Signal::SIGSTOP)?;
    let begin = Instant::now();
    let report = probed.report();
    let page = probed.site.get("/fastcgi-status");
    server.signal(Signal::SIGCONT)?;
    let (report, page) = (report?, page?.text());
    ensure!(report["managed"] == false, "{report:#}");
    ensure!(app(&report, "/static")["state"] == "unknown", "{report:#}");
    ensure!(page.contains("The process manager did not answer"), "{page}");
    ensure!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let report = probed.report_when(|report| report["managed"] == true)?;
    ensure!(app(&report, "/static")["state"] == "running", "{report:#}");
    Ok(())
}
