//! The page of `fastcgi-status`.

use super::number::{age, bytes, count, html, moment, rate, uptime, wait};
use super::page::{self, axis, tile};
use super::report::{SAMPLE_TIME, SAMPLES, rates};
use super::{App, Class, Process, ProcessState, Report, chart};
use crate::modules::fastcgi::{Address, Kind};
use crate::version::{self, Tokens};

/// The latest minute of a history, samples.
const MINUTE: usize = (60 / SAMPLE_TIME) as usize;

/// The page.
pub fn page(report: &Report, server: &str, refresh: Option<u32>) -> String {
    let mut body = head(report, server, refresh);
    if !report.managed {
        body += "<p class=\"card note\">The process manager did not answer in time: the state of \
                 processes is not known.</p>\n";
    }
    body += &tiles(report);
    let all = rates(report.history.iter().map(|sample| sample.accesses));
    let top = all.iter().copied().fold(0.0, f64::max);
    let label = format!("requests per second, at most {}", rate(top));
    body += &format!(
        "<div class=\"card\">\n{}{}</div>\n<h2>Applications</h2>\n",
        chart::area(&all, SAMPLES - 1, "Requests per second"),
        axis(&label)
    );
    if report.apps.is_empty() {
        body +=
            "<p class=\"card\">None is configured, and no request has started one.</p>\n";
    }
    body += "<div class=\"apps\">\n";
    for app in &report.apps {
        body += &card(report, app);
    }
    body += "</div>\n";
    page::page(&format!("FastCGI status of {server}"), &body)
}

fn head(report: &Report, server: &str, refresh: Option<u32>) -> String {
    let again = match refresh {
        Some(seconds) => {
            format!("<span>refreshed every {seconds} s</span> <a href=\"?\">stop</a>")
        }
        None => "<a href=\"?refresh=5\">refresh every 5 s</a>".to_owned(),
    };
    let up = uptime(report.uptime());
    let up = if up.is_empty() { " less than a second" } else { &up };
    format!(
        "<header><h1>FastCGI status of {}</h1>\n<p>{} &middot; up{up} &middot; configuration \
         {}</p>\n<p>{}</p>\n<nav>{again} <a href=\"?json\">JSON</a> <a \
         href=\"?metrics\">metrics</a></nav></header>\n",
        html(server),
        html(version::server(Tokens::Full)),
        report.generation,
        html(moment(report, report.now))
    )
}

fn tiles(report: &Report) -> String {
    let (accesses, sent, _) = report.totals();
    let all = rates(report.history.iter().map(|sample| sample.accesses));
    let sum = |of: fn(&App) -> u64| count(report.apps.iter().map(of).sum());
    let tiles = [
        tile("requests", &count(accesses)),
        tile("requests / s", &rate(lately(&all))),
        tile("sent", &bytes(sent as f64)),
        tile("connections", &count(report.connections().count() as u64)),
        tile("in progress", &sum(|app| app.active.into())),
        tile("waiting", &sum(|app| app.waiting.into())),
        tile("processes", &sum(|app| app.running() as u64)),
        tile("failures", &sum(|app| app.failures)),
    ];
    format!("<div class=\"tiles\">\n{}</div>\n", tiles.concat())
}

/// The mean rate of the latest minute.
fn lately(rates: &[f64]) -> f64 {
    let minute = &rates[rates.len().saturating_sub(MINUTE)..];
    if minute.is_empty() { 0.0 } else { minute.iter().sum::<f64>() / minute.len() as f64 }
}

/// How an application is, in a word, and whether that is good.
pub fn state(app: &App, managed: bool) -> (&'static str, &'static str) {
    let due = |process: &Process| process.state == ProcessState::Due;
    match &app.class {
        _ if app.kind.is_foreign() => ("external", ""),
        _ if app.is_old => ("finishing", "warn"),
        None if !managed => ("unknown", ""),
        Some(class) if class.given_up => ("backed off", "bad"),
        Some(_) if app.running() > 0 => ("running", "good"),
        Some(class) if !class.listens => ("no socket", "bad"),
        Some(class) if class.processes.iter().any(due) => ("starting", "warn"),
        _ if app.kind == Kind::Static => ("down", "bad"),
        _ => ("asleep", ""),
    }
}

/// An application's kind in a word.
pub fn kind(app: &App) -> &'static str {
    match app.kind {
        Kind::Static => "static",
        Kind::Dynamic => "dynamic",
        Kind::Fcgid => "fcgid",
        Kind::External => "external",
        Kind::Upstream => "upstream",
    }
}

/// Where an application listens.
pub fn address(app: &App) -> String {
    match &app.address {
        Address::Unix(path) => super::number::shown(path),
        Address::Tcp(all) => {
            all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
    }
}

fn card(report: &Report, app: &App) -> String {
    let (word, class) = state(app, report.managed);
    let mut out = format!(
        "<article class=\"card\">\n<div class=\"top\"><h3>{}</h3><span class=\"state \
         {class}\">{word}</span></div>\n",
        html(&app.path)
    );
    let owner = match &app.owner {
        Some((user, group)) => format!(" &middot; {}:{}", html(user), html(group)),
        None => String::new(),
    };
    let place = address(app);
    out +=
        &format!("<p class=\"soft\">{}{owner} &middot; {}</p>\n", kind(app), html(place));
    out += &facts(app);
    let grown = rates(app.history.iter().copied());
    let top = grown.iter().copied().fold(0.0, f64::max);
    let label = format!("requests per second, at most {}", rate(top));
    out += &chart::area(&grown, SAMPLES - 1, "Requests per second");
    out += &axis(&label);
    if app.mean_wait().is_some() {
        out += "<p class=\"soft\">How long requests waited for the first byte</p>\n";
        out += &chart::waits(&app.waits);
    }
    if let Some(class) = &app.class {
        out += &processes(report, class);
    }
    out + "</article>\n"
}

fn facts(app: &App) -> String {
    let mut facts = vec![
        ("requests", count(app.requests)),
        ("in progress", count(app.active.into())),
        ("waiting", count(app.waiting.into())),
        ("mean wait", app.mean_wait().map_or("&ndash;".to_owned(), wait)),
        ("failures", count(app.failures)),
    ];
    if let Some(class) = &app.class {
        facts.push(("starts", count(class.starts)));
        facts.push(("restarts", count(class.restarts)));
    }
    let fact = |(name, value): (&str, String)| {
        format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")
    };
    format!(
        "<dl class=\"facts\">\n{}</dl>\n",
        facts.into_iter().map(fact).collect::<String>()
    )
}

fn processes(report: &Report, class: &Class) -> String {
    let mut out = String::new();
    if !class.processes.is_empty() {
        out += "<table>\n<tr><th>process</th><th>state</th><th>age</th></tr>\n";
        for process in &class.processes {
            let pid = process.pid.map_or("&ndash;".to_owned(), |pid| pid.to_string());
            let time = match process.state {
                ProcessState::Due => format!("in {}", age(process.age)),
                _ => age(process.age),
            };
            out += &format!(
                "<tr><td>{pid}</td><td>{}</td><td>{time}</td></tr>\n",
                word(process)
            );
        }
        out += "</table>\n";
    }
    if let Some((how, when)) = &class.last_exit {
        let ago = u64::try_from(report.now - when).unwrap_or(0);
        out += &format!(
            "<p class=\"soft\">Last exit, {} ago: {}</p>\n",
            age(ago),
            html(how)
        );
    }
    out
}

/// What a process is doing, in a word.
pub fn word(process: &Process) -> &'static str {
    match process.state {
        ProcessState::Due => "due",
        ProcessState::Running => "running",
        ProcessState::Finishing => "finishing",
        ProcessState::Ending => "ending",
    }
}
