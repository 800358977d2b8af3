//! An explanation for programs.

use std::time::Duration;

use super::settings::{Applied, State};
use super::{Call, Explanation, Pass, Place, Step};
use crate::json::Json;

pub(super) fn json(told: &Explanation) -> Json {
    let facts = told.facts.iter().map(|(name, value)| (*name, Json::text(value)));
    Json::Object(vec![
        ("request", Json::text(&told.request)),
        ("client", Json::text(&told.client)),
        (
            "virtual_host",
            Json::Object(vec![
                ("name", Json::text(&told.host.name)),
                ("place", maybe(told.host.place.as_ref())),
                ("why", Json::text(told.host.why)),
            ]),
        ),
        ("passes", Json::list(told.passes.iter().map(pass))),
        ("steps", Json::list(told.steps.iter().map(step))),
        ("calls", Json::list(told.calls.iter().map(call))),
        ("facts", Json::Object(facts.collect())),
        (
            "answer",
            Json::Object(vec![
                ("status", Json::text(&told.status)),
                ("headers", pairs(&told.headers)),
                ("body", Json::text(&told.body)),
                ("milliseconds", milliseconds(told.took)),
            ]),
        ),
        ("assumed", Json::list(told.assumed.iter().map(Json::text))),
    ])
}

fn pass(pass: &Pass) -> Json {
    Json::Object(vec![
        ("url", Json::text(&pass.url)),
        ("sections", Json::list(pass.sections.iter().map(section))),
    ])
}

fn section(applied: &Applied) -> Json {
    let settings = applied.settings.iter().map(|setting| {
        let mut fields = vec![
            ("name", Json::text(&setting.name)),
            ("args", Json::text(&setting.args)),
            ("module", Json::text(setting.module)),
            ("place", place(&setting.place)),
            ("holds", Json::Bool(setting.state == State::Holds)),
        ];
        if let State::Replaced(by) = &setting.state {
            fields.push(("replaced_by", place(by)));
        }
        Json::Object(fields)
    });
    Json::Object(vec![
        ("title", Json::text(&applied.title)),
        ("place", maybe(applied.place.as_ref())),
        ("settings", Json::list(settings)),
    ])
}

fn step(step: &Step) -> Json {
    Json::Object(vec![
        ("depth", Json::Number(step.depth)),
        ("phase", Json::text(step.phase)),
        ("kind", Json::text(step.kind.name())),
        ("module", Json::text(&step.module)),
        ("text", Json::text(&step.text)),
        ("places", Json::list(step.places.iter().map(place))),
    ])
}

fn call(call: &Call) -> Json {
    Json::Object(vec![
        ("role", Json::text(call.role)),
        ("application", Json::text(&call.app)),
        ("kind", Json::text(call.kind)),
        ("address", Json::text(&call.address)),
        ("identity", call.identity.as_ref().map_or(Json::Null, Json::text)),
        ("place", maybe(call.place.as_ref())),
        ("nph", Json::Bool(call.nph)),
        ("answer", Json::text(&call.answer)),
        ("milliseconds", milliseconds(call.took)),
        ("parameters", pairs(&call.parameters)),
    ])
}

fn place(place: &Place) -> Json {
    let line = Json::Number(place.line as usize);
    Json::Object(vec![("file", Json::text(&place.file)), ("line", line)])
}

fn milliseconds(took: Option<Duration>) -> Json {
    took.map_or(Json::Null, |took| Json::Fraction(took.as_secs_f64() * 1000.0))
}

fn maybe(found: Option<&Place>) -> Json {
    found.map_or(Json::Null, place)
}

/// Names may come twice, so that an object would not do.
fn pairs(pairs: &[(String, String)]) -> Json {
    let pair = |(name, value): &(String, String)| {
        Json::list([Json::text(name), Json::text(value)])
    };
    Json::list(pairs.iter().map(pair))
}
