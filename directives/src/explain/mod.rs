//! A request's whole way, without serving it: the phases are run as the server runs them,
//! what they would ask the world is answered as the caller says, and everything is kept
//! with the line of configuration that it came from. Three renderings: text, JSON, and a
//! page of its own.

mod answers;
mod blank;
mod calls;
mod html;
mod places;
mod question;
mod record;
mod settings;
mod text;
mod values;
mod way;
mod written;

use std::sync::Arc;
use std::time::Duration;

pub use answers::Answers;
pub use calls::Call;
pub use places::Place;
pub use question::Question;
pub use record::Record;
pub use settings::{Applied, Setting, State};
pub use way::{Kind, Step};

use crate::bundle::Files;
use crate::reply::{Body, Reply};
use crate::request::Request;
use crate::{Compiled, Next, Run};
use written::Written;

/// What a request comes to, in words.
#[derive(Debug)]
pub struct Explanation {
    /// `GET http://host/path`.
    pub request: String,
    /// The client's address.
    pub client: String,
    /// The virtual host that answers.
    pub host: Host,
    /// The request, and what internal redirects made of it.
    pub passes: Vec<Pass>,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// What applications would be asked, in order.
    pub calls: Vec<Call>,
    /// What the answers were taken to be where the caller said nothing.
    pub assumed: Vec<String>,
    /// How the request stands in the end: names and values.
    pub facts: Vec<(&'static str, String)>,
    /// Status and reason.
    pub status: String,
    /// Fields of the response that the server itself sets.
    pub headers: Vec<(String, String)>,
    /// What the body is made of.
    pub body: String,
    /// How long it took to the end of the body; `None` for a request that nobody sent.
    pub took: Option<Duration>,
    /// The texts that places point into, by name.
    pub texts: Vec<(String, String)>,
}

/// A request as it was sent, or as an internal redirect made it.
#[derive(Debug)]
pub struct Pass {
    /// Its path and query.
    pub url: String,
    /// The sections that apply, in the order of merging; the server's own settings first.
    pub sections: Vec<Applied>,
}

/// The virtual host that answers.
#[derive(Debug)]
pub struct Host {
    /// Its `ServerName`.
    pub name: String,
    /// Its tag; `None` for the main server.
    pub place: Option<Place>,
    /// Why it.
    pub why: &'static str,
}

/// Explains a request. `time` is in microseconds since 1970. `None` if the configuration
/// does not compile.
pub fn explain(
    compiled: &Compiled,
    files: &Arc<dyn Files>,
    question: &Question,
    answers: &Answers,
    time: i64,
) -> Option<Explanation> {
    let snapshot = compiled.snapshot.as_ref()?;
    let mut run = Run::new(question.request(snapshot, files, time));
    let mut answer = None;
    let mut assumed = Vec::new();
    let mut record = Record::new(compiled.sources.clone(), files.clone());
    let reply = loop {
        match run.step(answer.take()) {
            Next::Reply(reply) => break reply,
            // Only a sub-request ends so.
            Next::Looked => return None,
            Next::Effect(effect) => {
                let said = answers.to(&effect, run.request(), &mut assumed);
                record.add(&effect, run.request(), None, &said, None);
                answer = Some(said);
            }
        }
    };
    let written =
        Written { items: &compiled.items, sources: &compiled.sources, blanked: false };
    Some(Explanation {
        request: question.shown(),
        client: question.client.to_string(),
        assumed,
        ..told(&run, &reply, record, &written)?
    })
}

/// Explains a request that was [claimed](crate::modules::explain::claim) and served.
/// `sent` is the length of the body that the client would have got, in bytes. `None` if the
/// request was none that is to be explained.
pub fn real(
    run: &Run,
    reply: &Reply,
    mut record: Record,
    sent: u64,
    took: Duration,
) -> Option<Explanation> {
    let r = run.request();
    let snapshot = &r.snapshot;
    let written =
        Written { items: &snapshot.read, sources: &snapshot.sources, blanked: true };
    let secrets = std::mem::take(&mut record.secrets);
    let first = r.first();
    let url = first.construct_url(&first.unparsed_uri);
    let mut told = Explanation {
        request: format!("{} {}", first.original_method, String::from_utf8_lossy(&url)),
        client: r.useragent_ip.to_string(),
        body: match reply.body {
            Body::None | Body::Bytes(_) => body(reply, r),
            _ => format!("{}, {sent} bytes", body(reply, r)),
        },
        took: Some(took),
        ..told(run, reply, record, &written)?
    };
    blank::blank(&mut told, r, secrets);
    Some(told)
}

/// Everything that is told of a request whether or not somebody sent it.
fn told(
    run: &Run,
    reply: &Reply,
    record: Record,
    written: &Written<'_>,
) -> Option<Explanation> {
    let r = run.request();
    let Record { calls, heard, mut texts, .. } = record;
    let mut steps = way::steps(run.trace()?, written, &heard, r, &mut texts);
    steps.extend(r.lines.iter().map(way::line));
    let host = host(r, &mut texts);
    let requests = std::iter::successors(Some(r), |r| r.prev.as_deref());
    let mut passes: Vec<Pass> = requests.map(|r| pass(r, written, &mut texts)).collect();
    passes.reverse();
    Some(Explanation {
        request: String::new(),
        client: String::new(),
        host,
        steps,
        calls,
        assumed: Vec::new(),
        facts: facts(r),
        status: reply_status(reply),
        headers: fields(reply),
        body: body(reply, r),
        took: None,
        texts: texts.wanted(),
        passes,
    })
}

impl Explanation {
    /// For a terminal.
    pub fn text(&self) -> String {
        text::shown(self)
    }

    /// For programs.
    pub fn json(&self) -> String {
        format!("{}\n", values::json(self))
    }

    /// A page that needs nothing else.
    pub fn html(&self) -> String {
        html::page(self)
    }
}

fn pass(r: &Request, written: &Written<'_>, texts: &mut places::Texts) -> Pass {
    let mut url = String::from_utf8_lossy(&r.uri).into_owned();
    if let Some(args) = &r.args {
        url += &format!("?{}", String::from_utf8_lossy(args));
    }
    Pass { url, sections: settings::applied(written, r, &r.dir, texts) }
}

fn host(r: &Request, texts: &mut places::Texts) -> Host {
    let core = &r.server.config.core;
    let local = r.connection.local;
    let named = r.hostname.as_deref();
    let by_name = named.and_then(|name| r.snapshot.server_named(local, name));
    let why = if r.server.place.is_none() {
        "no virtual host is for this address: the main server answers"
    } else if by_name.is_some() {
        "it has the name that the client asks for"
    } else if r.snapshot.server_with_path(local, &r.first().uri).is_some() {
        "its ServerPath is the beginning of the path"
    } else {
        "no virtual host of this address has that name: the first one answers"
    };
    let place = r.server.place.as_ref().map(|(file, line)| texts.at(file, *line));
    Host { name: core.server_name.clone().unwrap_or_default(), place, why }
}

fn facts(r: &Request) -> Vec<(&'static str, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut facts = vec![("URL path", text(&r.uri)), ("file name", text(&r.filename))];
    let mut add = |name, value: Option<&[u8]>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.push((name, text(value)));
        }
    };
    add("path info", Some(&r.path_info));
    add("query", r.args.as_deref());
    add("user", r.user.as_deref());
    add("authentication", r.auth_type.as_deref());
    add("media type", r.content_type.as_deref());
    add("handler", r.handler.as_deref());
    facts
}

fn reply_status(reply: &Reply) -> String {
    let known = || crate::status::reason(reply.status).unwrap_or_default().to_owned();
    let reason = match &reply.reason {
        Some(line) => {
            let line = String::from_utf8_lossy(line).into_owned();
            line.trim_start_matches(|c: char| c.is_ascii_digit()).trim().to_owned()
        }
        None => known(),
    };
    format!("{} {reason}", reply.status).trim_end().to_owned()
}

fn fields(reply: &Reply) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    reply.headers.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn body(reply: &Reply, r: &Request) -> String {
    match &reply.body {
        Body::None => "nothing".to_owned(),
        Body::Bytes(bytes) => {
            format!("a page of the server's own, {} bytes", bytes.len())
        }
        Body::File { .. } => format!("the file {}", String::from_utf8_lossy(&r.filename)),
        Body::Http2(_) => "the same request's answer, with HTTP/2".to_owned(),
        Body::Tunnel => "whatever either side says, once both agree".to_owned(),
        Body::Stream => "what the application sends".to_owned(),
        Body::Raw => "what the application sends, unparsed".to_owned(),
    }
}
