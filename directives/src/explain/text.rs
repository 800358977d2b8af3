//! An explanation for a terminal.

use std::time::Duration;

use super::Explanation;
use super::settings::{Applied, Setting, State};
use super::way::{Kind, Step};

pub(super) fn shown(told: &Explanation) -> String {
    let mut out = format!("{} from {}\n", told.request, told.client);
    let place = told.host.place.as_ref().map(|place| format!("  {place}"));
    let place = place.unwrap_or_default();
    out += &format!("\nVirtual host\n  {}{place}\n  {}\n", told.host.name, told.host.why);
    for pass in &told.passes {
        out += &format!("\nSections of {}, in the order of merging\n", pass.url);
        pass.sections.iter().for_each(|applied| out += &section(applied));
    }
    out += "\nWay\n";
    let mut phase = "";
    for step in &told.steps {
        if step.phase != phase {
            phase = step.phase;
            out += &format!("  {phase}\n");
        }
        out += &line(step);
    }
    for call in &told.calls {
        out += &format!("\nAsked as {}: {} ({})\n", call.role, call.app, call.kind);
        if let Some(place) = &call.place {
            out += &format!("  defined at {place}\n");
        }
        out += &format!("  listens at {}\n", call.address);
        if let Some(identity) = &call.identity {
            out += &format!("  runs as {identity}\n");
        }
        out += &match call.took {
            None => format!("  taken to answer {}\n", call.answer),
            Some(took) => format!("  answered {} {}\n", call.answer, after(took)),
        };
        for (name, value) in &call.parameters {
            out += &format!("    {name}={value}\n");
        }
    }
    out += "\nIn the end\n";
    for (name, value) in &told.facts {
        out += &format!("  {name}: {value}\n");
    }
    out += &format!("\nAnswer\n  {}\n", told.status);
    for (name, value) in &told.headers {
        out += &format!("  {name}: {value}\n");
    }
    out += &format!("  body: {}\n", told.body);
    if let Some(took) = told.took {
        out += &format!("  {}\n", after(took));
    }
    if !told.assumed.is_empty() {
        out += "\nAssumed\n";
        told.assumed.iter().for_each(|what| out += &format!("  {what}\n"));
    }
    out
}

/// `after 1.234 ms`.
pub(super) fn after(took: Duration) -> String {
    format!("after {:.3} ms", took.as_secs_f64() * 1000.0)
}

fn section(applied: &Applied) -> String {
    let place =
        applied.place.as_ref().map(|place| format!("  {place}")).unwrap_or_default();
    let mut out = format!("  {}{place}\n", applied.title);
    for setting in &applied.settings {
        out += &format!(
            "      {}  {}{}\n",
            directive(setting),
            setting.place,
            state(setting)
        );
    }
    out
}

/// Name and arguments.
pub(super) fn directive(setting: &Setting) -> String {
    format!("{} {}", setting.name, setting.args).trim_end().to_owned()
}

fn state(setting: &Setting) -> String {
    match &setting.state {
        State::Holds => String::new(),
        State::Replaced(by) => format!("  (replaced: {by})"),
        State::NotInherited => "  (not inherited by virtual hosts)".to_owned(),
    }
}

fn line(step: &Step) -> String {
    let indent = "  ".repeat(step.depth);
    let sign = if step.kind == Kind::Ended { "!" } else { " " };
    let module =
        if step.module.is_empty() { String::new() } else { format!("{}: ", step.module) };
    let places: Vec<String> = step.places.iter().map(ToString::to_string).collect();
    let places = if places.is_empty() {
        String::new()
    } else {
        format!("  [{}]", places.join(", "))
    };
    format!("  {sign} {indent}{module}{}{places}\n", step.text)
}
