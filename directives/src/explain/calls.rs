//! What an application would be asked.

use std::time::Duration;

use super::blank::without_secrets;
use super::places::{Place, Texts};
use crate::effect::{self, Answer};
use crate::modules::fastcgi::{Address, App, Kind};
use crate::request::Request;

/// One request to an application.
#[derive(Debug)]
pub struct Call {
    /// `access`, `authenticator`, `authorizer` or `responder`.
    pub role: &'static str,
    /// The application's path.
    pub app: String,
    /// `static`, `external` or `dynamic`.
    pub kind: &'static str,
    /// Where it listens: `unix:path` or `host:port`.
    pub address: String,
    /// User and group that it runs as, with a wrapper.
    pub identity: Option<String>,
    /// Where it was defined.
    pub place: Option<Place>,
    /// Whether the response is passed on unparsed.
    pub nph: bool,
    /// What it answered, or was taken to answer.
    pub answer: String,
    /// How long that took; `None` for a call that was not made.
    pub took: Option<Duration>,
    /// All variables, in the order in which they are sent.
    pub parameters: Vec<(String, String)>,
}

/// Where an application listens, as `fcgi-conf request --app` takes it.
pub fn address(app: &App) -> String {
    match &app.address {
        Address::Unix(path) => format!("unix:{}", String::from_utf8_lossy(path)),
        Address::Tcp(addresses) => {
            let addresses: Vec<String> =
                addresses.iter().map(ToString::to_string).collect();
            addresses.join(" ")
        }
    }
}

pub(super) fn shown(
    call: &effect::Call,
    r: &Request,
    length: Option<u64>,
    answer: &Answer,
    took: Option<Duration>,
    texts: &mut Texts,
) -> Call {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let app = &*call.app;
    let mut parameters = Vec::new();
    call.each_variable(r, length, |name: &[u8], value: &[u8]| {
        parameters.push((text(name), text(value)));
    });
    Call {
        role: super::answers::role(call),
        app: text(&app.path),
        kind: match app.kind {
            Kind::Static => "static",
            Kind::External => "external",
            Kind::Dynamic => "dynamic",
            Kind::Fcgid => "of mod_fcgid",
            Kind::Upstream => "of mod_proxy",
        },
        address: address(app),
        identity: app.identity.as_ref().map(|id| format!("{}:{}", id.user, id.group)),
        place: app.span.map(|span| texts.span(span)),
        nph: call.nph,
        answer: match answer {
            Answer::Head(head) if head.is_empty() => "an unparsed response".to_owned(),
            Answer::Head(head) => {
                // Of an answer that somebody made up everything is shown.
                let head = text(head);
                let head = if took.is_some() { without_secrets(&head) } else { head };
                head.trim_end().replace("\r\n", "; ")
            }
            Answer::Failed { failure, .. } if took.is_some() => {
                format!("nothing: {}", super::record::failure(failure))
            }
            _ => "nothing: it fails".to_owned(),
        },
        took,
        parameters,
    }
}
