//! Tables of `server-status`: threads, and the connections that they serve.

use super::number::html;
use super::{Connection, Report, State, Thread};

const MB: f64 = 1_048_576.0;

/// The table of threads, in the columns of the event MPM. There is one process.
pub fn threads(report: &Report) -> String {
    let mut out = String::from(
        "<div class=\"card scroll\"><table>\n\
         <tr><th rowspan=\"2\">Slot</th><th rowspan=\"2\">PID</th><th rowspan=\"2\">Stopping</th>\
         <th colspan=\"2\">Connections</th><th colspan=\"2\">Threads</th>\
         <th colspan=\"4\">Async connections</th></tr>\n\
         <tr><th>total</th><th>accepting</th><th>busy</th><th>graceful</th><th>wait-io</th>\
         <th>writing</th><th>keep-alive</th><th>closing</th></tr>\n",
    );
    for (slot, thread) in report.threads.iter().enumerate() {
        let count =
            |state| thread.connections.iter().filter(|c| c.state == state).count();
        out += &format!(
            "<tr><td>{slot}</td><td>{}</td><td>no</td><td>{}</td><td>yes</td><td>{}</td>\
             <td>0</td><td>{}</td><td>0</td><td>{}</td><td>{}</td></tr>\n",
            report.pid,
            thread.connections.len(),
            count(State::Reading) + count(State::Writing),
            count(State::Waiting),
            count(State::KeepAlive),
            count(State::Closing)
        );
    }
    out + "</table></div>\n"
}

/// What connections are doing, as a table or as text.
pub fn requests(report: &Report, table: bool) -> String {
    let each = report.threads.iter().enumerate().flat_map(|(slot, thread)| {
        let generation = report.generation.saturating_sub(1);
        let named = format!("{slot}-{generation}");
        thread.connections.iter().map(move |c| (named.clone(), thread, c))
    });
    if !table {
        let lines = each.map(|(slot, thread, c)| line(report, &slot, thread, c));
        return format!("<pre>\n{}</pre>\n", lines.collect::<String>());
    }
    let mut out = String::from(
        "<div class=\"card scroll\"><table>\n\
         <tr><th>Srv</th><th>PID</th><th>Acc</th><th>M</th><th>CPU</th><th>SS</th><th>Req</th>\
         <th>Dur</th><th>Conn</th><th>Child</th><th>Slot</th><th>Client</th><th>Protocol</th>\
         <th>VHost</th><th>Request</th></tr>\n",
    );
    for (slot, thread, c) in each {
        out += &row(report, &slot, thread, c);
    }
    out + "</table></div>\n\
        <p class=\"soft\">Acc: accesses of this connection / of its thread. SS: seconds since the \
        latest request began. Req: milliseconds that it took. Dur: those of all of the thread's \
        requests. Conn: kilobytes sent on this connection. Child, Slot: megabytes sent by its \
        thread.</p>\n"
}

fn row(report: &Report, slot: &str, thread: &Thread, c: &Connection) -> String {
    let letter = match c.state {
        State::Writing | State::Reading => format!("<b>{}</b>", c.state.letter()),
        _ => c.state.letter().to_string(),
    };
    let (kilo, mega) = (c.bytes as f64 / 1024.0, thread.bytes as f64 / MB);
    format!(
        "<tr><td><b>{slot}</b></td><td>{}</td><td>{}/{all}/{all}</td><td>{letter}</td>\
         <td>0.00</td><td>{}</td><td>{}</td><td>{}</td><td>{kilo:.1}</td><td>{mega:.2}</td>\
         <td>{mega:.2}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        report.pid,
        c.accesses,
        c.since / 1_000_000,
        c.took.unwrap_or(0) / 1000,
        thread.duration / 1000,
        html(&c.client),
        c.protocol,
        html(&c.host),
        html(&c.request),
        all = thread.accesses,
    )
}

/// The same as text: `notable`.
fn line(report: &Report, slot: &str, thread: &Thread, c: &Connection) -> String {
    format!(
        "<b>Server {slot}</b> ({}): {}|{all}|{all} [{}] s={} d={} (- conn {:.1} kB) <i>{} {{{}}} \
         [{}]</i>\n",
        report.pid,
        c.accesses,
        c.state.letter(),
        c.since / 1_000_000,
        c.took.unwrap_or(0) / 1000,
        c.bytes as f64 / 1024.0,
        html(&c.client),
        html(&c.request),
        html(&c.host),
        all = thread.accesses,
    )
}
