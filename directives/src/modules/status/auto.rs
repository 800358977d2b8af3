//! `server-status?auto`: httpd's names and values, a line each.

use super::number::{g, moment, uptime};
use super::{Asked, Report, State};
use crate::version::{self, Tokens};

/// The lines, in httpd's order.
pub fn text(report: &Report, asked: &Asked) -> String {
    let mut out = format!("{}\n", asked.server);
    let mut line = |name: &str, value: String| out += &format!("{name}: {value}\n");
    let seconds = report.uptime();
    line("ServerVersion", version::server(Tokens::Full));
    line("ServerMPM", "event".to_owned());
    line("Server Built", report.built.clone());
    line("CurrentTime", moment(report, report.now));
    line("RestartTime", moment(report, report.started));
    line("ParentServerConfigGeneration", report.generation.to_string());
    line("ParentServerMPMGeneration", report.generation.saturating_sub(1).to_string());
    line("ServerUptimeSeconds", seconds.to_string());
    line("ServerUptime", uptime(seconds).trim_start().to_owned());
    if let Some(load) = report.load {
        for (name, load) in ["Load1", "Load5", "Load15"].iter().zip(load) {
            line(name, format!("{load:.2}"));
        }
    }
    if asked.extended {
        totals(report, &mut line);
    }
    line("BusyWorkers", report.busy().to_string());
    line("GracefulWorkers", "0".to_owned());
    line("IdleWorkers", report.spare.to_string());
    line("Processes", "1".to_owned());
    line("Stopping", "0".to_owned());
    line("ConnsTotal", report.connections().count().to_string());
    line("ConnsAsyncWaitIO", report.count(State::Waiting).to_string());
    line("ConnsAsyncWriting", "0".to_owned());
    line("ConnsAsyncKeepAlive", report.count(State::KeepAlive).to_string());
    line("ConnsAsyncClosing", report.count(State::Closing).to_string());
    line("Scoreboard", scoreboard(report));
    out
}

fn totals(report: &Report, line: &mut impl FnMut(&str, String)) {
    let (accesses, bytes, micros) = report.totals();
    let seconds = report.uptime();
    // httpd's figures are of whole kilobytes and milliseconds.
    let (kilobytes, millis) = (bytes / 1024, micros / 1000);
    let [user, system] = report.cpu;
    line("Total Accesses", accesses.to_string());
    line("Total kBytes", kilobytes.to_string());
    line("Total Duration", millis.to_string());
    line("CPUUser", g(user));
    line("CPUSystem", g(system));
    line("CPUChildrenUser", "0".to_owned());
    line("CPUChildrenSystem", "0".to_owned());
    if user + system > 0.0 && seconds > 0 {
        line("CPULoad", g((user + system) / seconds as f64 * 100.0));
    }
    line("Uptime", seconds.to_string());
    if seconds > 0 {
        line("ReqPerSec", g(accesses as f64 / seconds as f64));
        line("BytesPerSec", g(1024.0 * kilobytes as f64 / seconds as f64));
    }
    if accesses > 0 {
        line("BytesPerReq", g(1024.0 * kilobytes as f64 / accesses as f64));
        line("DurationPerReq", g(millis as f64 / accesses as f64));
    }
}

/// A letter for each request that is being read or answered, and for each that there would
/// be room for; as with the event MPM, other connections occupy nobody.
pub fn scoreboard(report: &Report) -> String {
    let states = report.connections().map(|connection| connection.state);
    let busy = states.filter(|state| matches!(state, State::Reading | State::Writing));
    let spare = std::iter::repeat_n('_', report.spare as usize);
    busy.map(State::letter).chain(spare).collect()
}
