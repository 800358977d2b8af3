//! An explanation as a page that needs nothing else: the way as boxes, each with links to
//! the lines of configuration that it comes from, and those lines at the end.

use std::collections::BTreeSet;

use super::settings::{Applied, State};
use super::text::directive;
use super::way::{Kind, Step};
use super::{Call, Explanation, Pass, Place};
use crate::path::escape_html;

const STYLE: &str = include_str!("explain.css");

/// More links than this in one box would hide the box.
const MANY: usize = 8;

pub(super) fn page(told: &Explanation) -> String {
    let page = Page { told };
    let body = [
        page.header(),
        "<h2>Way</h2>\n".to_owned(),
        page.way(),
        told.passes.iter().map(|pass| page.pass(pass)).collect(),
        page.calls(),
        page.texts(),
    ]
    .concat();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head><body>\n{body}</body></html>\n",
        html(&told.request)
    )
}

fn html(text: &str) -> String {
    String::from_utf8_lossy(&escape_html(text.as_bytes())).into_owned()
}

struct Page<'a> {
    told: &'a Explanation,
}

/// One box of the way: a phase with what happened in it.
struct Stage<'a> {
    phase: &'a str,
    steps: Vec<&'a Step>,
}

impl Page<'_> {
    fn header(&self) -> String {
        let told = self.told;
        let status = &told.status;
        let mut out = format!(
            "<header><h1>{}</h1>\n<p class=\"soft\">from {}; answered with \
             <span class=\"{}\">{}</span>, {}</p></header>\n",
            html(&told.request),
            html(&told.client),
            class(status),
            html(status),
            html(&told.body)
        );
        if !told.assumed.is_empty() {
            let items =
                told.assumed.iter().map(|what| format!("<li>{}</li>", html(what)));
            out += &format!(
                "<div class=\"card\"><span class=\"warn\">Assumed</span><ul>{}</ul></div>\n",
                items.collect::<String>()
            );
        }
        out
    }

    /// Where a place is on this page; a short name with the whole one behind it.
    fn link(&self, place: &Place) -> String {
        let short = place.file.rsplit('/').next().unwrap_or_default();
        let shown = format!("{}:{}", html(short), place.line);
        let index = self.told.texts.iter().position(|(name, _)| *name == place.file);
        match index {
            Some(index) => format!(
                "<a class=\"at\" href=\"#f{index}-{}\" title=\"{}\">{shown}</a>",
                place.line,
                html(&place.file)
            ),
            None => format!("<span class=\"at\">{shown}</span>"),
        }
    }

    fn links(&self, places: &[Place]) -> String {
        let shown = places.iter().take(MANY).map(|place| self.link(place));
        let mut out = shown.collect::<Vec<_>>().join(" ");
        if places.len() > MANY {
            out +=
                &format!(" <span class=\"soft\">and {} more</span>", places.len() - MANY);
        }
        out
    }

    fn way(&self) -> String {
        let told = self.told;
        let host =
            told.host.place.as_ref().map(|place| self.link(place)).unwrap_or_default();
        let mut out = format!(
            "<ol class=\"way\">\n<li class=\"ask\"><div class=\"name\"><b>{}</b></div></li>\n\
             <li><div class=\"name\"><b>virtual host {}</b>{host}</div>\
             <div class=\"soft\">{}</div></li>\n",
            html(&told.request),
            html(&told.host.name),
            told.host.why
        );
        let mut stages: Vec<Stage> = Vec::new();
        for step in &told.steps {
            match stages.last_mut() {
                Some(stage) if stage.phase == step.phase || step.depth > 0 => {
                    stage.steps.push(step);
                }
                _ => stages.push(Stage { phase: step.phase, steps: vec![step] }),
            }
        }
        for stage in &stages {
            out += &self.stage(stage);
        }
        let headers = told.headers.iter().map(|(name, value)| {
            format!("<li><code>{}: {}</code></li>", html(name), html(value))
        });
        let kind = if class(&told.status) == "good" { "end" } else { "no" };
        out += &format!(
            "<li class=\"{kind}\"><div class=\"name\"><b class=\"{}\">{}</b></div>\
             <ul>{}</ul><div class=\"soft\">body: {}</div></li>\n</ol>\n",
            class(&told.status),
            html(&told.status),
            headers.collect::<String>(),
            html(&told.body)
        );
        out
    }

    fn stage(&self, stage: &Stage) -> String {
        let has = |kind| stage.steps.iter().any(|step| step.kind == kind);
        let class = if stage.steps.iter().any(|step| refuses(step)) {
            " class=\"no\""
        } else if has(Kind::Asked) {
            " class=\"ask\""
        } else {
            ""
        };
        let items: String = stage.steps.iter().map(|step| self.step(step)).collect();
        format!(
            "<li{class}><div class=\"name\"><b>{}</b></div><ul>{items}</ul></li>\n",
            html(stage.phase)
        )
    }

    fn step(&self, step: &Step) -> String {
        let sub = if step.depth > 0 { " class=\"sub\"" } else { "" };
        let color = match step.kind {
            Kind::Decided => "good",
            Kind::Ended if refuses(step) => "bad",
            Kind::Ended => "warn",
            Kind::Asked => "warn",
            Kind::Sections | Kind::Rewrite | Kind::Log => "soft",
        };
        let module = if step.module.is_empty() {
            String::new()
        } else {
            format!("<span class=\"soft\">{}</span> ", html(&step.module))
        };
        format!(
            "<li{sub}>{module}<span class=\"{color}\">{}</span> {}</li>",
            html(&step.text),
            self.links(&step.places)
        )
    }

    fn pass(&self, pass: &Pass) -> String {
        let sections = pass.sections.iter().map(|applied| self.section(applied));
        format!(
            "<h2>Settings of <code>{}</code>, in the order of merging</h2>\n{}",
            html(&pass.url),
            sections.collect::<String>()
        )
    }

    fn section(&self, applied: &Applied) -> String {
        let place =
            applied.place.as_ref().map(|place| self.link(place)).unwrap_or_default();
        let rows = applied.settings.iter().map(|setting| {
            let (class, note) = match &setting.state {
                State::Holds => ("", String::new()),
                State::Replaced(by) => {
                    (" class=\"gone\"", format!("replaced: {}", self.link(by)))
                }
                State::NotInherited => (" class=\"gone\"", "not inherited".to_owned()),
            };
            format!(
                "<tr><td><code{class}>{}</code></td><td class=\"soft\">{note}</td>\
                 <td class=\"at\">{}</td></tr>\n",
                html(&directive(setting)),
                self.link(&setting.place)
            )
        });
        let rows = rows.collect::<String>();
        let table = if rows.is_empty() {
            "<div class=\"soft\">says nothing about this request</div>".to_owned()
        } else {
            format!("<table>\n{rows}</table>")
        };
        format!(
            "<div class=\"card\"><h3>{} {place}</h3>{table}</div>\n",
            html(&applied.title)
        )
    }

    fn calls(&self) -> String {
        if self.told.calls.is_empty() {
            return String::new();
        }
        let calls = self.told.calls.iter().map(|call| self.call(call));
        format!("<h2>What applications are sent</h2>\n{}", calls.collect::<String>())
    }

    fn call(&self, call: &Call) -> String {
        let place = call.place.as_ref().map(|place| self.link(place)).unwrap_or_default();
        let identity = call.identity.as_ref().map(|id| format!(", as {}", html(id)));
        let rows = call.parameters.iter().map(|(name, value)| {
            format!(
                "<tr><th>{}</th><td><code>{}</code></td></tr>\n",
                html(name),
                html(value)
            )
        });
        format!(
            "<div class=\"card\"><h3>{} {place}</h3><div class=\"soft\">{} as {}, at {}{}; taken \
             to answer {}</div><details open><summary>{} parameters</summary>\
             <table>\n{}</table></details></div>\n",
            html(&call.app),
            call.kind,
            call.role,
            html(&call.address),
            identity.unwrap_or_default(),
            html(&call.answer),
            call.parameters.len(),
            rows.collect::<String>()
        )
    }

    /// The texts, with the lines marked that say something about this request.
    fn texts(&self) -> String {
        let sections = self.told.passes.iter().flat_map(|pass| &pass.sections);
        let settings = sections.flat_map(|section| &section.settings);
        let hits: BTreeSet<(&str, u32)> = settings
            .filter(|setting| setting.state == State::Holds)
            .map(|setting| (&setting.place.file[..], setting.place.line))
            .collect();
        let mut out = "<h2>Configuration</h2>\n".to_owned();
        for (index, (name, text)) in self.told.texts.iter().enumerate() {
            let lines = text.lines().zip(1..).map(|(line, number)| {
                let hit = if hits.contains(&(&name[..], number)) {
                    " class=\"hit\""
                } else {
                    ""
                };
                format!("<span id=\"f{index}-{number}\"{hit}>{}</span>", html(line))
            });
            out += &format!(
                "<div class=\"card\"><h3>{}</h3><div class=\"text\">{}</div></div>\n",
                html(name),
                lines.collect::<String>()
            );
        }
        out
    }
}

/// Does a step end the request with an error?
fn refuses(step: &Step) -> bool {
    let error = step.text.starts_with("status 4") || step.text.starts_with("status 5");
    step.kind == Kind::Ended && (error || step.text == "nobody decides")
}

fn class(status: &str) -> &'static str {
    match status.as_bytes().first() {
        Some(b'1'..=b'3') => "good",
        _ => "bad",
    }
}
