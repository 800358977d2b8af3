//! Explained requests, a module of our own: who may ask the running server how a request
//! of theirs came to its answer. What is told is made in [`crate::explain`].

use crate::cgi;
use crate::compile::Scope;
use crate::log::Level;
use crate::modules::authz_host::Address;
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Result, Set, Word};

/// Settings of a section: none.
pub type Dir = ();
/// Settings of a server: none; a request has no virtual host yet when its field is read.
pub type Server = ();

/// Settings of the whole process.
#[derive(Debug, Default)]
pub struct Process {
    /// `ExplainTrustedClient`; empty for nobody.
    trusted: Vec<Address>,
}

impl Process {
    /// May anybody ask? What explanations need is kept then.
    pub fn is_on(&self) -> bool {
        !self.trusted.is_empty()
    }
}

/// How an explanation is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For a terminal.
    Text,
    /// For programs.
    Json,
}

impl Form {
    /// The media type of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Form::Text => "text/plain; charset=utf-8",
            Form::Json => "application/json",
        }
    }
}

/// The field that asks.
const FIELD: &str = "x-fcgi-explain";

/// What a proxy adds, and a client that asks for itself has no reason to send: behind a
/// proxy everybody has the proxy's address. Names that begin so.
const OF_PROXIES: [&str; 7] = [
    "cdn-loop",
    "client-ip",
    "forwarded",
    "via",
    "x-forwarded",
    "x-original-",
    "x-real-ip",
];

/// The same: what such names have in them, whatever their makers put before it.
const OF_PROXIES_WITHIN: [&str; 3] = ["-client-ip", "-clientip", "-connecting-ip"];

/// The module.
pub static MODULE: Module = Module {
    name: "mod_explain.c",
    id: "explain_module",
    directives: &[&EXPLAIN_TRUSTED_CLIENT],
    hooks: &[],
};

static EXPLAIN_TRUSTED_CLIENT: Directive = Directive {
    name: "ExplainTrustedClient",
    syntax: "address [address] ...",
    context: Context::SERVER,
    summary: "addresses or networks of clients that may ask how a request of theirs came to \
              its answer",
    docs: r"
A client that connects from one of these addresses, in the forms of `Require ip`, may send the
field `X-FCGI-Explain: text` (or `json`) with a request, as with `curl -H`. The request is served
as it would be without: phases run, authorizers, applications and upstreams are asked, filters
are passed, access is logged. But what the client gets is an explanation, with status 200 and not
to be kept by caches: virtual host, the sections that applied and which of their lines still
hold, what rewriting did, which module decided in which phase, each call of an application with
its complete parameters, status and milliseconds, handler, and status and fields of the answer
that there would have been. It is what `fcgi-conf explain` tells, with the world's real answers.

Credentials, cookies, and what configuration lines and variables say under the name of a password
or a key are replaced by `BLANKED`. Name only addresses whose users may read the configuration
all the same.

The address is that of the connection itself, whatever a proxy reports. A request with a field of
a proxy's (`Via`, `Forwarded`, `X-Forwarded-For`, `X-Real-IP` and the like, and whatever
`RemoteIPHeader` names), or behind a PROXY header, is not explained, since everybody behind that proxy has its address: name no proxy that
adds none of them.

The field is taken out of every request, explained or not; `LogLevel explain:notice` says why
not. With HEAD, which has no room for an explanation, and from callers of a `GatewayService`, who
would take the 200 for consent, it does nothing else. By default nobody may ask, and the field is
one like any other.

## Example
    ExplainTrustedClient 127.0.0.1 ::1 192.0.2.0/28
",
    set: Set::Each(trusted),
    ..Directive::EXACT
};

fn trusted(at: &mut Scope, word: &Word) -> Result {
    let address = Address::of_word("ExplainTrustedClient", word)?;
    at.process().explain.trusted.push(address);
    Ok(())
}

/// Takes the field out of a request just received. If it asks rightly the request is one to
/// be explained from now on.
pub fn claim(r: &mut Request) -> Option<Form> {
    let snapshot = r.snapshot.clone();
    let trusted = &snapshot.process.explain.trusted;
    if trusted.is_empty() {
        return None;
    }
    let spellings = cgi::spellings(r, FIELD.as_bytes());
    if spellings.is_empty() {
        return None;
    }
    let form = r.header(FIELD).and_then(|said| form(&said));
    let fields = std::sync::Arc::make_mut(&mut r.headers_in);
    for name in spellings {
        fields.remove(name);
    }

    let peer = r.connection.client.ip().to_canonical();
    let why = if !trusted.iter().any(|address| address.contains(peer)) {
        format!("{peer} is not named by ExplainTrustedClient")
    } else if r.connection.reported.is_some() {
        format!("{peer} is a proxy that reports another client")
    } else if let Some(name) = of_proxy(r) {
        format!("it comes from a proxy: it has the field {name}")
    } else if r.header_only {
        "an answer to HEAD has no room for it".to_owned()
    } else if form.is_none() {
        "the field says neither text nor json".to_owned()
    } else {
        r.explained = true;
        return form;
    };
    let text = format!("explain: the request is not explained: {why}");
    r.log(Level::Notice, "explain", 0, text);
    None
}

fn form(said: &[u8]) -> Option<Form> {
    match said.to_ascii_lowercase().trim_ascii() {
        b"text" => Some(Form::Text),
        b"json" => Some(Form::Json),
        _ => None,
    }
}

/// A field of a proxy's: one that is known, or one that `RemoteIPHeader` names anywhere.
fn of_proxy(r: &Request) -> Option<String> {
    let servers = &r.snapshot.servers;
    let is_known = |name: &str| {
        OF_PROXIES.iter().any(|of| name.starts_with(of))
            || OF_PROXIES_WITHIN.iter().any(|of| name.contains(of))
    };
    let is_named = |name| servers.iter().any(|s| s.config.remoteip.is_field(name));
    let mut names = r.headers_in.keys();
    let found = names.find(|name| is_known(name.as_str()) || is_named(name));
    found.map(|name| name.as_str().to_owned())
}
