//! `fastcgi-status` as JSON.

use super::apps::{address, kind, state, word};
use super::number::shown;
use super::report::WAITS;
use super::{App, Class, Gateway, Process, Report, State};
use crate::json::Json;
use crate::modules::gateway::{Dialect, OUTCOMES};
use crate::version::{self, Tokens};

/// The whole report but for what clients asked: request lines are no business of programs
/// that look at numbers.
pub fn json(report: &Report) -> Json {
    let (accesses, bytes, duration) = report.totals();
    let connections = Json::Object(vec![
        ("total", number(report.connections().count() as u64)),
        ("waiting", number(report.count(State::Waiting) as u64)),
        ("reading", number(report.count(State::Reading) as u64)),
        ("writing", number(report.count(State::Writing) as u64)),
        ("keepalive", number(report.count(State::KeepAlive) as u64)),
        ("closing", number(report.count(State::Closing) as u64)),
    ]);
    let load =
        report.load.map_or(Json::Null, |load| Json::list(load.map(Json::Fraction)));
    let server = Json::Object(vec![
        ("version", Json::text(version::server(Tokens::Full))),
        ("pid", number(report.pid.into())),
        ("generation", number(report.generation)),
        ("started", seconds(report.started)),
        ("uptime", number(report.uptime())),
        ("load", load),
        ("cpu", Json::list(report.cpu.map(Json::Fraction))),
        ("threads", number(report.threads.len() as u64)),
        ("accesses", number(accesses)),
        ("bytes", number(bytes)),
        ("duration", seconds(duration as i64)),
        ("connections", connections),
    ]);
    let mut fields = vec![
        ("time", seconds(report.now)),
        ("managed", Json::Bool(report.managed)),
        ("server", server),
        (
            "applications",
            Json::list(report.apps.iter().map(|app| application(report, app))),
        ),
    ];
    if let Some(gateway) = &report.gateway {
        fields.push(("gateway", self::gateway(gateway)));
    }
    Json::Object(fields)
}

fn gateway(gateway: &Gateway) -> Json {
    let decisions =
        Dialect::ALL.iter().zip(gateway.decisions).map(|(dialect, counts)| {
            let counts = OUTCOMES.into_iter().zip(counts.map(number));
            (dialect.name(), Json::Object(counts.collect()))
        });
    Json::Object(vec![
        ("decisions", Json::Object(decisions.collect())),
        ("hits", number(gateway.hits)),
        ("misses", number(gateway.misses)),
        ("kept", number(gateway.kept)),
        ("evicted", number(gateway.evicted)),
    ])
}

fn application(report: &Report, app: &App) -> Json {
    let owner = |name: fn(&(String, String)) -> &String| {
        app.owner.as_ref().map_or(Json::Null, |owner| Json::text(name(owner)))
    };
    let waits = app.waits.iter().enumerate().map(|(i, n)| {
        let end = WAITS.get(i).map_or(Json::Null, |end| seconds(*end as i64));
        Json::Object(vec![("within", end), ("requests", number(*n))])
    });
    let mut fields = vec![
        ("path", Json::text(shown(&app.path))),
        ("kind", Json::text(kind(app))),
        ("state", Json::text(state(app, report.managed).0)),
        ("user", owner(|owner| &owner.0)),
        ("group", owner(|owner| &owner.1)),
        ("address", Json::text(address(app))),
        ("requests", number(app.requests)),
        ("active", number(app.active.into())),
        ("waiting", number(app.waiting.into())),
        ("failures", number(app.failures)),
        ("waited", seconds(app.waited as i64)),
        ("waits", Json::list(waits)),
    ];
    if let Some(class) = &app.class {
        fields.extend(self::class(class));
    }
    Json::Object(fields)
}

fn class(class: &Class) -> Vec<(&'static str, Json)> {
    let exit = class.last_exit.as_ref().map_or(Json::Null, |(how, when)| {
        Json::Object(vec![("how", Json::text(how)), ("time", seconds(*when))])
    });
    vec![
        ("starts", number(class.starts)),
        ("restarts", number(class.restarts)),
        ("last_exit", exit),
        ("processes", Json::list(class.processes.iter().map(process))),
    ]
}

fn process(process: &Process) -> Json {
    Json::Object(vec![
        ("pid", process.pid.map_or(Json::Null, |pid| number(pid.into()))),
        ("state", Json::text(word(process))),
        ("age", seconds(process.age as i64)),
    ])
}

fn number(number: u64) -> Json {
    Json::Number(number as usize)
}

/// Microseconds as seconds.
fn seconds(micros: i64) -> Json {
    Json::Fraction(micros as f64 / 1e6)
}
