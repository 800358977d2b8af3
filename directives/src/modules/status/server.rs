//! The page of `server-status`: httpd's words in httpd's order.

use super::number::{bytes, g, g_of, html, kilobytes, moment, uptime};
use super::page::{self, axis};
use super::report::{SAMPLES, rates};
use super::{Asked, Report, auto, chart, connections};
use crate::version::{self, Tokens};

const KEY: &str = "<p class=\"soft\">Scoreboard Key:<br>\n\
    \"<b><code>_</code></b>\" Waiting for Connection,\n\
    \"<b><code>R</code></b>\" Reading Request,\n\
    \"<b><code>W</code></b>\" Sending Reply,\n\
    \"<b><code>K</code></b>\" Keepalive (read),\n\
    \"<b><code>C</code></b>\" Closing connection</p>\n";

/// The page.
pub fn page(report: &Report, asked: &Asked) -> String {
    let (server, address) = (html(&asked.server), html(&asked.address));
    let mut body = format!(
        "<header><h1>Apache Server Status for {server} (via {address})</h1>\n\
         <p>{}</p></header>\n<dl class=\"httpd card\">\n",
        html(moment(report, report.now))
    );
    for fact in facts(report, asked.extended) {
        body += &format!("<dt>{fact}</dt>\n");
    }
    body += "</dl>\n";
    let rates = rates(report.history.iter().map(|sample| sample.accesses));
    let top = rates.iter().copied().fold(0.0, f64::max);
    let most = format!("requests/sec, at most {}", g_of(top, 3));
    body += &format!(
        "<h2>Requests</h2>\n<div class=\"card\">\n{}{}</div>\n",
        chart::area(&rates, SAMPLES - 1, "Requests per second"),
        axis(&most)
    );
    body += "<h2>Connections</h2>\n";
    if asked.table {
        body += &connections::threads(report);
    }
    body += &format!(
        "<div class=\"card\">\n<pre>{}</pre>\n{KEY}</div>\n",
        auto::scoreboard(report)
    );
    if asked.extended {
        body += &connections::requests(report, asked.table);
    } else {
        body += "<p>To obtain a full report with current status information you need to use the \
                 <code>ExtendedStatus On</code> directive.</p>\n";
    }
    page::page("Apache Status", &body)
}

/// The lines at the top.
fn facts(report: &Report, extended: bool) -> Vec<String> {
    let seconds = report.uptime();
    let mut facts = vec![
        format!("Server Version: {}", html(version::server(Tokens::Full))),
        "Server MPM: event".to_owned(),
        format!("Server Built: {}", html(&report.built)),
        format!("Current Time: {}", html(moment(report, report.now))),
        format!("Restart Time: {}", html(moment(report, report.started))),
        format!("Parent Server Config. Generation: {}", report.generation),
        format!("Parent Server MPM Generation: {}", report.generation.saturating_sub(1)),
        format!("Server uptime: {}", uptime(seconds)),
    ];
    if let Some([one, five, fifteen]) = report.load {
        facts.push(format!("Server load: {one:.2} {five:.2} {fifteen:.2}"));
    }
    if extended {
        facts.extend(totals(report, seconds));
    }
    let (busy, spare) = (report.busy(), report.spare);
    facts.push(format!(
        "{busy} requests currently being processed, 0 workers gracefully restarting, {spare} idle \
         workers"
    ));
    facts
}

fn totals(report: &Report, seconds: u64) -> Vec<String> {
    let (accesses, sent, micros) = report.totals();
    let (kilo, millis) = (sent / 1024, micros / 1000);
    let [user, system] = report.cpu;
    let mut cpu = format!("CPU Usage: u{} s{} cu0 cs0", g(user), g(system));
    if user + system > 0.0 && seconds > 0 {
        let load = (user + system) / seconds as f64 * 100.0;
        cpu += &format!(" - {}% CPU load", g_of(load, 3));
    }
    let traffic = kilobytes(kilo);
    let mut facts = vec![
        format!(
            "Total accesses: {accesses} - Total Traffic: {traffic} - Total Duration: {millis}"
        ),
        cpu,
    ];
    let mut means = Vec::new();
    let kilo = 1024.0 * kilo as f64;
    if seconds > 0 {
        means.push(format!("{} requests/sec", g_of(accesses as f64 / seconds as f64, 3)));
        means.push(format!("{}/second", bytes(kilo / seconds as f64)));
    }
    if accesses > 0 {
        means.push(format!("{}/request", bytes(kilo / accesses as f64)));
        means.push(format!("{} ms/request", g(millis as f64 / accesses as f64)));
    }
    if !means.is_empty() {
        facts.push(means.join(" - "));
    }
    facts
}
