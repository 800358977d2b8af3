//! Where an answer comes from: an application, or a script.

use std::task::{Context, Poll};

use directives::effect::Failure;
use directives::log::{Level, Line};
use directives::modules::cgi;
use directives::modules::fastcgi::response::failure_line;
use directives::modules::{fcgid, proxy};
use directives::request::Request;

use super::live::Generation;
use super::request_body::RequestBody;
use super::script::ScriptRun;
use crate::fcgi::{Event, Exchange, Voice};

/// An answer under way.
#[derive(Debug)]
pub enum Source {
    /// Of an application.
    FastCgi(Box<Exchange>),
    /// Of a script.
    Script(Box<ScriptRun>),
}

impl Source {
    /// The next event. After [`Event::End`] there is none.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        match self {
            Source::FastCgi(exchange) => exchange.poll_event(cx),
            Source::Script(script) => script.poll_event(cx),
        }
    }

    /// The body of the request, which may not have been read to its end.
    pub fn body_mut(&mut self) -> &mut RequestBody {
        match self {
            Source::FastCgi(exchange) => exchange.body_mut(),
            Source::Script(script) => script.body_mut(),
        }
    }

    /// Bytes of output so far.
    pub fn received(&self) -> u64 {
        match self {
            Source::FastCgi(exchange) => exchange.received,
            Source::Script(script) => script.received,
        }
    }

    /// It failed: an application's failures are counted.
    pub fn failed(&mut self, failure: &Failure) {
        if let Source::FastCgi(exchange) = self {
            exchange.usage.failed(failure);
        }
    }

    /// Lines for the error log that it has said.
    pub fn lines(&mut self) -> &mut Vec<Line> {
        match self {
            Source::FastCgi(exchange) => &mut exchange.lines,
            Source::Script(script) => &mut script.lines,
        }
    }

    /// Writes what it said into the error log.
    pub fn write_lines(&mut self, generation: &Generation, r: &Request) {
        for line in std::mem::take(self.lines()) {
            generation.write_line(r, &line);
        }
    }

    /// The line about an answer that broke off; none where the client is the reason. An
    /// upstream of mod_proxy is `proxied` at that port of the server's.
    pub fn failure_line(&self, failure: &Failure, proxied: Option<&str>) -> Option<Line> {
        let (level, module, ah, error, text) = match (self, proxied) {
            (Source::FastCgi(_), Some(port)) => {
                let (ah, error, text) = proxy::failure_line(port, failure);
                (Level::Error, "proxy_fcgi", ah, error, text)
            }
            (Source::FastCgi(exchange), None) if exchange.voice() == Voice::Fcgid => {
                return Some(fcgid::failure_line(&exchange.name(), failure));
            }
            (Source::FastCgi(exchange), None) => {
                let (level, module, error, text) =
                    failure_line(&exchange.name(), failure, false);
                (level, module, 0, error, text)
            }
            (Source::Script(script), _) => match failure {
                Failure::Idle(_) => {
                    (Level::Warn, "cgi", 1220, None, cgi::silent(script.name()))
                }
                Failure::Read(error) => {
                    let name = String::from_utf8_lossy(script.name());
                    let text = format!("error reading from CGI script {name}");
                    (Level::Error, "cgi", 0, Some(error.clone()), text)
                }
                _ => return None,
            },
        };
        let text = text.into();
        let line = Line { level, module, ah, error, text, of_server: false };
        (!line.text.is_empty()).then_some(line)
    }
}
