//! A trace, in words.

use super::places::{Place, Texts};
use super::record::Heard;
use super::settings::{self, Applied, State};
use super::written::Written;
use crate::effect::Effect;
use crate::log::{Level, Line};
use crate::modules::auth_digest::nonce::Want;
use crate::phase::{Lookup, Phase};
use crate::request::Request;
use crate::run::trace::{Said, Trace, What};

/// One step.
#[derive(Debug)]
pub struct Step {
    /// 0 for the request itself, 1 for a sub-request, and so on.
    pub depth: usize,
    /// The phase; empty for what is behind them all.
    pub phase: &'static str,
    /// What kind of step.
    pub kind: Kind,
    /// Who does it, as `<IfModule>` names it; empty for the machine itself.
    pub module: String,
    /// What happens.
    pub text: String,
    /// The lines of configuration that it comes from.
    pub places: Vec<Place>,
}

/// Kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sections were laid over the settings.
    Sections,
    /// Rewriting says what it does.
    Rewrite,
    /// A line of the error log.
    Log,
    /// A module decided or did its part.
    Decided,
    /// A module ended the request, or sent it elsewhere.
    Ended,
    /// The world is asked.
    Asked,
}

impl Kind {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sections => "sections",
            Kind::Rewrite => "rewrite",
            Kind::Log => "log",
            Kind::Decided => "decided",
            Kind::Ended => "ended",
            Kind::Asked => "asked",
        }
    }
}

/// A phase as httpd calls its hook.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Received => "post_read_request",
        Phase::UrlSections => "location walk",
        Phase::Translate => "translate_name",
        Phase::Map => "map_to_storage",
        Phase::Sections => "section walk",
        Phase::Headers => "header_parser",
        Phase::Access => "access_checker",
        Phase::AccessEx => "access_checker_ex",
        Phase::Authn => "check_user_id",
        Phase::Authz => "auth_checker",
        Phase::Type => "type_checker",
        Phase::Fixups => "fixups",
        Phase::Handle => "handler",
        Phase::Respond => "response",
        Phase::Log => "log_transaction",
    }
}

pub(super) fn steps(
    trace: &Trace,
    written: &Written<'_>,
    heard: &[Heard],
    r: &Request,
    texts: &mut Texts,
) -> Vec<Step> {
    let mut out = Vec::new();
    // What holds for each level of sub-requests.
    let mut applied: Vec<Vec<Applied>> = Vec::new();
    let mut heard = heard.iter();
    for step in &trace.steps {
        let (kind, module, text) = match &step.what {
            What::Settings(merged) => {
                applied.truncate(step.depth);
                applied.push(settings::applied(written, r, merged, texts));
                let sections = merged.sections();
                if sections.is_empty() {
                    continue;
                }
                let places = sections.iter().map(|section| match &section.htaccess {
                    Some(file) => texts.at(file, section.line),
                    None => texts.span(section.span),
                });
                out.push(Step {
                    depth: step.depth,
                    phase: phase(step.phase),
                    kind: Kind::Sections,
                    module: String::new(),
                    text: count(sections.len()),
                    places: places.collect(),
                });
                continue;
            }
            What::Line(found) => {
                out.push(Step {
                    depth: step.depth,
                    phase: phase(step.phase),
                    ..line(found)
                });
                continue;
            }
            What::Said { module, said } => match said {
                Said::Ok => (Kind::Decided, *module, "OK".to_owned()),
                Said::Done => {
                    (Kind::Ended, *module, "the response is complete".to_owned())
                }
                Said::Status(status) => {
                    (Kind::Ended, *module, format!("status {status}"))
                }
                Said::Nobody => {
                    // Only here somebody has to say something.
                    let must = matches!(
                        step.phase,
                        Phase::Translate | Phase::Authn | Phase::Authz | Phase::Handle
                    );
                    if !must {
                        continue;
                    }
                    (Kind::Ended, *module, "nobody decides".to_owned())
                }
            },
            What::Asked(effect) => {
                let said = heard.next().map(Heard::shown).unwrap_or_default();
                (Kind::Asked, "", asked(effect) + &said)
            }
            What::Look(lookup) => (Kind::Asked, "", looked(lookup)),
            What::Redirect(uri) => {
                let uri = String::from_utf8_lossy(uri);
                (Kind::Ended, "", format!("begins again with {uri}"))
            }
        };
        out.push(Step {
            depth: step.depth,
            phase: phase(step.phase),
            kind,
            module: module.to_owned(),
            text,
            places: places_of(module, applied.last().map_or(&[], Vec::as_slice)),
        });
    }
    out
}

fn count(sections: usize) -> String {
    if sections == 1 {
        return "1 section applies".to_owned();
    }
    format!("{sections} sections apply")
}

/// A line for the error log.
pub(super) fn line(line: &Line) -> Step {
    let text = String::from_utf8_lossy(&line.text);
    let text = match &line.error {
        Some(error) => format!("({}){}: {text}", error.code, error.text),
        None => text.into_owned(),
    };
    let rewrites = line.module == "rewrite" && line.level >= Level::Info;
    let shown = if rewrites { without_prefix(&text) } else { text };
    Step {
        depth: 0,
        phase: phase(Phase::Respond),
        kind: if rewrites { Kind::Rewrite } else { Kind::Log },
        module: match line.module {
            "" => String::new(),
            module if rewrites => format!("mod_{module}.c"),
            module => format!("{module}:{}", line.level),
        },
        text: shown,
        places: Vec::new(),
    }
}

/// A line of rewriting begins with the client, the host and numbers.
fn without_prefix(text: &str) -> String {
    let rest = text.find("[rid#").and_then(|rid| text[rid..].split_once("] "));
    rest.map_or(text, |(_, rest)| rest).to_owned()
}

fn asked(effect: &Effect) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match effect {
        Effect::Resolve { ip, .. } => format!("what is the name of {ip}?"),
        Effect::Addresses { name } => format!("what are the addresses of {name}?"),
        Effect::Open { path } => format!("opens {}", text(path)),
        Effect::Password { file, given } => {
            format!("is it the password of {} in {}?", text(&given.user), text(file))
        }
        Effect::RealmHash(claim) => {
            let (user, realm) = (text(&claim.user), text(&claim.realm));
            format!("is it {user} of \"{realm}\" in {}?", text(&claim.file))
        }
        Effect::Nonce(question) => match question.want {
            Want::Use { .. } => "is the nonce one of the server's, and does it hold?",
            Want::Challenge | Want::Next => "makes a nonce",
        }
        .to_owned(),
        Effect::Finish => "reads the rest of its answer".to_owned(),
        Effect::FastCgi(call) => {
            format!("asks {} as {}", text(&call.app.path), super::answers::role(call))
        }
        Effect::Cgi(script) => format!("runs the script {}", text(&script.path)),
        Effect::Upstream(forward) => format!(
            "asks the upstream {}: {} {}",
            forward.place,
            forward.method,
            text(&forward.target)
        ),
        Effect::Map { program, key, .. } => {
            let name = program.argv.first().map(|name| text(name)).unwrap_or_default();
            format!("asks {name} for the value of {}", text(key))
        }
        Effect::Wait(time) => format!("waits for {} ms", time.as_millis()),
        Effect::Status => "how is the server?".to_owned(),
        Effect::Recall(_) => "is there an answer that was kept?".to_owned(),
        Effect::Keep { time, .. } => format!("keeps the answer for {} s", time.as_secs()),
        Effect::Forget => "forgets all answers that were kept".to_owned(),
        Effect::Ready => "are new requests taken?".to_owned(),
        Effect::Body { .. } => "reads the request's body".to_owned(),
    }
}

fn looked(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Uri(uri) => format!("looks at the URL {}", String::from_utf8_lossy(uri)),
        Lookup::File(path) => {
            format!("looks at the file {}", String::from_utf8_lossy(path))
        }
        Lookup::Entry { name, .. } => {
            format!("looks at the entry {}", String::from_utf8_lossy(name))
        }
        Lookup::Translate(uri) => {
            format!("which file is {}?", String::from_utf8_lossy(uri))
        }
    }
}

/// The lines that a module is told something by.
fn places_of(module: &str, sections: &[Applied]) -> Vec<Place> {
    if matches!(module, "" | "core.c") {
        return Vec::new();
    }
    let settings = sections.iter().flat_map(|section| &section.settings);
    let holding = settings
        .filter(|setting| setting.module == module && setting.state == State::Holds);
    holding.map(|setting| setting.place.clone()).collect()
}
