//! httpd's `request_rec`, without the socket. Field names are httpd's where it has one.
//! Longer than others: one record, and what is asked of it.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AsHeaderName, COOKIE};
use http::{HeaderMap, Method};

use crate::bundle::{Files, Meta, OsError};
use crate::effect::Answer;
use crate::env::Env;
use crate::filter::{Added, Filter};
use crate::log::{Level, Line};
use crate::merge::Merged;
use crate::modules::gateway::{Caller, Decision, Findings};
use crate::modules::ratelimit::Rate;
use crate::reply::{Body, Headers};
use crate::snapshot::{Server, Snapshot};

/// What was read from the client: the request line and the fields.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The request target as it was sent.
    pub target: Bytes,
    /// 9, 10, 11 or 20: HTTP/0.9 to HTTP/2.
    pub version: u8,
    /// The fields.
    pub headers: HeaderMap,
}

/// Facts about the client's connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The client's end.
    pub client: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// The client as a proxy reported it before the first request (the PROXY protocol).
    pub reported: Option<SocketAddr>,
    /// Secured by TLS.
    pub secure: bool,
    /// How, or why not.
    pub security: crate::modules::ssl::Security,
    /// How many requests were read from it before this one.
    pub keepalives: u32,
    /// Distinguishes connections in the log (`%L`, `%{c}L`).
    pub id: u64,
}

impl Connection {
    /// Its number as logs show it: `%{c}L`.
    pub fn log_id(&self) -> String {
        format!("{:x}", self.id)
    }
}

/// One request on its way through the phases.
#[derive(Clone)]
pub struct Request {
    /// The configuration, whole.
    pub snapshot: Arc<Snapshot>,
    /// The virtual host.
    pub server: Arc<Server>,
    /// The configuration of the sections that apply (`per_dir_config`).
    pub dir: Arc<Merged>,
    /// The connection.
    pub connection: Arc<Connection>,
    /// Where paths are looked up.
    pub files: Arc<dyn Files>,
    /// When it was received, microseconds since 1970.
    pub request_time: i64,

    /// The method.
    pub method: Method,
    /// What came in the place of a request line, where it was refused unread.
    pub refused_line: Option<Bytes>,
    /// The method of the request line; a redirect to an error document changes `method`.
    pub original_method: Method,
    /// The target as it was sent (`unparsed_uri`).
    pub unparsed_uri: Bytes,
    /// 9, 10, 11 or 20.
    pub version: u8,
    /// The client's fields; a sub-request shares them.
    pub headers_in: Arc<HeaderMap>,
    /// The fields behind the body, once the response is over.
    pub trailers_in: HeaderMap,
    /// The host that the client named, without its port, in lower case.
    pub hostname: Option<String>,
    /// The port that the client named.
    pub host_port: Option<u16>,
    /// The decoded path.
    pub uri: Vec<u8>,
    /// The query, undecoded.
    pub args: Option<Bytes>,
    /// HEAD: no body is sent.
    pub header_only: bool,

    /// The file that the path leads to.
    pub filename: Vec<u8>,
    /// What is left of the path behind the file.
    pub path_info: Vec<u8>,
    /// Facts about the file; `None` if there is none.
    pub finfo: Option<Meta>,
    /// `CONTEXT_PREFIX`: the URL prefix of an alias.
    pub context_prefix: Bytes,
    /// A document root of this request's own, in place of its server's.
    pub own_document_root: Option<Bytes>,
    /// `CONTEXT_DOCUMENT_ROOT`: the directory of an alias.
    pub context_document_root: Option<Bytes>,
    /// The path was mapped by `ScriptAlias`.
    pub script_alias: bool,
    /// Another server answers; the file name is `proxy:` and a URL (`proxyreq`).
    pub proxyreq: bool,

    /// Variables for applications (`subprocess_env`).
    pub env: Env,
    /// Notes between modules.
    pub notes: Env,
    /// The authenticated user.
    pub user: Option<Bytes>,
    /// How the user was authenticated (`ap_auth_type`).
    pub auth_type: Option<Bytes>,
    /// The handler's name.
    pub handler: Option<Bytes>,
    /// The handler is one that the media type stands for; logs show none.
    pub handler_by_type: bool,
    /// The media type of the response.
    pub content_type: Option<Bytes>,
    /// `Content-Encoding` of the response.
    pub content_encoding: Option<Bytes>,
    /// `Content-Language` of the response.
    pub content_languages: Vec<Bytes>,
    /// The client's address, which a proxy may have reported (`useragent_ip`).
    pub useragent_ip: IpAddr,
    /// The client's host name, once looked up.
    pub remote_host: Lookup,

    /// The addresses of hosts, as far as they were looked up.
    pub addresses: std::collections::HashMap<String, Vec<IpAddr>>,
    /// The host whose addresses are being looked up.
    pub(crate) asked_host: String,

    /// The status so far.
    pub status: u16,
    /// The reason, where it is not the standard one.
    pub reason: Option<Bytes>,
    /// Fields of the response.
    pub headers_out: Headers,
    /// Fields of the response that survive errors and internal redirects.
    pub err_headers_out: Headers,
    /// The body of the response.
    pub body: Body,
    /// Fields behind the body; there are none with HTTP/1.
    pub trailers: &'static [(&'static str, &'static str)],
    /// Output filters that were given to this request.
    pub filters: Vec<Added>,
    /// The request's body goes through the input filter DEFLATE.
    pub inflates_input: bool,
    /// How fast the body is to be sent.
    pub rate: Option<Rate>,
    /// What the output filters want to do with the body.
    pub body_filters: Vec<Filter>,
    /// The bytes of a file are what is sent: ranges and 304 are possible.
    pub no_local_copy: bool,
    /// What a list of variants was made from, as an entity tag.
    pub vlist_validator: Option<Bytes>,
    /// Caches that do not know better are told to forget the response.
    pub no_cache: bool,
    /// Methods to name in `Allow`.
    pub allowed: Vec<Method>,
    /// `AcceptPathInfo`'s verdict by a handler: `None` is the handler's own default.
    pub used_path_info: Option<bool>,

    /// The request before an internal redirect.
    pub prev: Option<Box<Request>>,
    /// When the phases were last gone on with, microseconds since 1970.
    pub now: i64,
    /// The error document that was asked for this request's error, and failed itself.
    pub failed: Option<Box<Request>>,
    /// This is a sub-request; the configuration and the user of its parent.
    pub main: Option<Parent>,
    /// Internal redirects and sub-requests so far.
    pub depth: u32,
    /// The response is the server's own page for an error.
    pub is_error_page: bool,
    /// What Digest authentication knows of this request, where a section asks for it.
    pub(crate) digest: Option<Box<crate::modules::auth_digest::State>>,
    /// Which of several is being asked.
    pub(crate) asking: usize,
    /// Fields of an application's response whose end is waited for.
    pub(crate) held: Vec<(Bytes, Bytes)>,
    /// The provider that is being asked.
    pub(crate) asked: Option<Arc<crate::modules::authnz_fcgi::Provider>>,
    /// The upstream that is being asked.
    pub(crate) attempt: Option<Box<crate::modules::proxy::Attempt>>,
    /// Requests that would come, looked up for rewriting.
    pub(crate) ahead: Vec<(crate::phase::Lookup, Box<Request>)>,
    /// What programs of maps said to the rules that are being run.
    pub(crate) map_answers: Option<Box<crate::modules::rewrite::Told>>,
    /// The negotiation that waits for a look-up.
    pub(crate) negotiation: Option<Box<crate::modules::negotiation::Negotiation>>,
    /// The listing that is being made.
    pub(crate) listing: Option<Box<crate::modules::autoindex::Listing>>,
    /// The hook to run again once what an expression wants is known.
    pub(crate) resume: Option<crate::phase::Hook>,
    /// Another server asks about this request, and it is judged only.
    pub gateway: Option<Box<Caller>>,
    /// What the auth phases decided, where somebody wants to know.
    pub decision: Option<Box<Decision>>,
    /// What applications said in the auth phases so far.
    pub findings: Findings,
    /// Lines for the error log, to be written by whoever runs the phases.
    pub lines: Vec<Line>,
    /// Entries for the `ScriptLog`, likewise.
    pub script_log: Vec<crate::modules::cgi::Entry>,
    /// What goes into such an entry, where there is a `ScriptLog`.
    pub script_heard: crate::modules::cgi::Heard,
    /// Somebody wants to know how the phases come to what they say: lines are kept
    /// whatever `LogLevel` says, down to [`EXPLAINED`].
    pub explained: bool,
}

/// The level of the lines that an explained request keeps: rewriting says at this one
/// what each rule did.
pub const EXPLAINED: Level = Level::Trace(4);

/// What a sub-request remembers of its parent.
#[derive(Clone)]
pub struct Parent {
    /// Its path.
    pub uri: Vec<u8>,
    /// Its configuration.
    pub dir: Arc<Merged>,
    /// Its user.
    pub user: Option<Bytes>,
    /// Its kind of authentication.
    pub auth_type: Option<Bytes>,
    /// How many requests lie above the sub-request.
    pub level: u32,
}

/// The client's host name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lookup {
    /// Not asked.
    #[default]
    Unasked,
    /// Asked, and there is none.
    Unknown,
    /// It is this.
    Known(String),
}

impl Request {
    /// A request just received. The virtual host is the address's default until the
    /// `Host` field was looked at. It is large, and stays where it is.
    pub fn new(
        snapshot: Arc<Snapshot>,
        files: Arc<dyn Files>,
        connection: Arc<Connection>,
        head: Head,
        time: i64,
    ) -> Box<Request> {
        let server = snapshot.default_server(connection.local);
        let fields = Arc::new(head.headers);
        let blank = Request::blank(snapshot, server, files, connection, fields, time);
        let mut r = Box::new(blank);
        r.header_only = head.method == Method::HEAD;
        r.original_method.clone_from(&head.method);
        r.method = head.method;
        r.unparsed_uri = head.target;
        r.version = head.version;
        r
    }

    fn blank(
        snapshot: Arc<Snapshot>,
        server: Arc<Server>,
        files: Arc<dyn Files>,
        connection: Arc<Connection>,
        headers_in: Arc<HeaderMap>,
        time: i64,
    ) -> Request {
        Request {
            dir: server.root.clone(),
            server,
            snapshot,
            files,
            request_time: time,
            method: Method::GET,
            refused_line: None,
            original_method: Method::GET,
            unparsed_uri: Bytes::new(),
            version: 11,
            headers_in,
            trailers_in: HeaderMap::new(),
            hostname: None,
            host_port: None,
            uri: Vec::new(),
            args: None,
            header_only: false,
            filename: Vec::new(),
            path_info: Vec::new(),
            finfo: None,
            context_prefix: Bytes::new(),
            own_document_root: None,
            context_document_root: None,
            script_alias: false,
            proxyreq: false,
            env: Env::default(),
            notes: Env::default(),
            user: None,
            auth_type: None,
            handler: None,
            handler_by_type: false,
            content_type: None,
            content_encoding: None,
            content_languages: Vec::new(),
            useragent_ip: {
                let client = connection.reported.unwrap_or(connection.client);
                client.ip().to_canonical()
            },
            remote_host: Lookup::Unasked,
            addresses: std::collections::HashMap::new(),
            asked_host: String::new(),
            status: 200,
            reason: None,
            headers_out: Headers::default(),
            err_headers_out: Headers::default(),
            body: Body::None,
            trailers: &[],
            filters: Vec::new(),
            inflates_input: false,
            rate: None,
            body_filters: Vec::new(),
            no_local_copy: false,
            vlist_validator: None,
            no_cache: false,
            allowed: Vec::new(),
            used_path_info: None,
            prev: None,
            failed: None,
            now: time,
            main: None,
            depth: 0,
            is_error_page: false,
            digest: None,
            asking: 0,
            held: Vec::new(),
            asked: None,
            attempt: None,
            ahead: Vec::new(),
            map_answers: None,
            negotiation: None,
            listing: None,
            resume: None,
            gateway: None,
            decision: None,
            findings: Findings::default(),
            lines: Vec::new(),
            script_log: Vec::new(),
            script_heard: crate::modules::cgi::Heard::default(),
            explained: false,
            connection,
        }
    }

    /// What a new request inherits from this one, whether by redirect or as sub-request;
    /// see `internal_internal_redirect` and `make_sub_request`.
    pub(crate) fn offspring(&self) -> Request {
        Request {
            method: self.method.clone(),
            original_method: self.original_method.clone(),
            unparsed_uri: self.unparsed_uri.clone(),
            version: self.version,
            hostname: self.hostname.clone(),
            host_port: self.host_port,
            header_only: self.header_only,
            useragent_ip: self.useragent_ip,
            remote_host: self.remote_host.clone(),
            addresses: self.addresses.clone(),
            status: self.status,
            no_local_copy: self.no_local_copy,
            main: self.main.clone(),
            depth: self.depth + 1,
            explained: self.explained,
            digest: self.digest.clone(),
            ..Request::blank(
                self.snapshot.clone(),
                self.server.clone(),
                self.files.clone(),
                self.connection.clone(),
                self.headers_in.clone(),
                self.request_time,
            )
        }
    }

    /// Takes over what a looked-up sub-request found: `ap_internal_fast_redirect`.
    pub fn fast_redirect(&mut self, found: Request) {
        self.uri = found.uri;
        self.filename = found.filename;
        self.path_info = found.path_info;
        self.args = found.args;
        self.finfo = found.finfo;
        self.handler = found.handler;
        self.content_type = found.content_type;
        self.content_encoding = found.content_encoding;
        self.content_languages = found.content_languages;
        self.context_prefix = found.context_prefix;
        self.context_document_root = found.context_document_root;
        if found.own_document_root.is_some() {
            self.own_document_root = found.own_document_root;
        }
        self.script_alias = found.script_alias;
        self.proxyreq = found.proxyreq;
        self.used_path_info = found.used_path_info;
        self.filters = found.filters;
        self.inflates_input = found.inflates_input;
        self.dir = found.dir;
        for (name, value) in found.notes.iter() {
            self.notes.set(name.clone(), value.clone());
        }
        for (name, value) in found.env.iter() {
            self.env.set(name.clone(), value.clone());
        }
        let mut headers = found.headers_out;
        headers.extend(std::mem::take(&mut self.headers_out));
        self.headers_out = headers;
        let mut headers = found.err_headers_out;
        headers.extend(std::mem::take(&mut self.err_headers_out));
        self.err_headers_out = headers;
    }

    /// The request that the client sent, behind all internal redirects.
    pub fn first(&self) -> &Request {
        let mut r = self;
        while let Some(prev) = &r.prev {
            r = prev;
        }
        r
    }

    /// A request field's value; repeated fields are joined with `, `. A name that is known
    /// when this is compiled is best given as one of [`http::header`]'s, which need not be
    /// read first.
    pub fn header(&self, name: impl AsHeaderName) -> Option<Cow<'_, [u8]>> {
        let mut values = self.headers_in.get_all(name).iter();
        let first = values.next()?;
        let mut rest = values.peekable();
        if rest.peek().is_none() {
            return Some(Cow::Borrowed(first.as_bytes()));
        }
        // HTTP/2 cuts a cookie field into pieces (RFC 9113, 8.2.3); before, two fields are
        // two fields.
        let cookie = self.version >= 20
            && self
                .headers_in
                .get(COOKIE)
                .is_some_and(|cookie| std::ptr::eq(cookie, first));
        let separator: &[u8] = if cookie { b"; " } else { b", " };
        let mut joined = first.as_bytes().to_vec();
        for value in rest {
            joined.extend_from_slice(separator);
            joined.extend_from_slice(value.as_bytes());
        }
        Some(Cow::Owned(joined))
    }

    /// Takes the fields that came behind the body: `%{...}^ti`, and with `MergeTrailers` as
    /// if they had come before it. See `merge_trailers` and `ap_http_filter`.
    pub fn take_trailers(&mut self, trailers: HeaderMap) {
        let merges = self.server.config.core.merge_trailers == Some(true);
        let mut r = self;
        loop {
            if merges {
                let headers = Arc::make_mut(&mut r.headers_in);
                for (name, value) in &trailers {
                    // What came before stays what it is.
                    headers.entry(name).or_insert_with(|| value.clone());
                }
            }
            match &mut r.prev {
                Some(prev) => r = prev,
                None => break,
            }
        }
        r.trailers_in = trailers;
    }

    /// Is the handler one of these?
    pub fn has_handler(&self, names: &[&[u8]]) -> bool {
        self.handler.as_deref().is_some_and(|handler| names.contains(&handler))
    }

    /// The length that the client announced for its body, if it announced one.
    pub fn content_length(&self) -> Option<u64> {
        self.headers_in
            .get(http::header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// Is there a request body?
    pub fn has_body(&self) -> bool {
        self.content_length().is_some_and(|n| n > 0)
            || self.headers_in.contains_key(http::header::TRANSFER_ENCODING)
    }

    /// Is the client's name looked up for whoever wants it? (`HostnameLookups`)
    pub fn looks_up_names(&self) -> bool {
        crate::modules::core::looks_up(&self.dir)
    }

    /// Keeps the answer to [`Effect::Resolve`](crate::Effect::Resolve).
    pub fn remember_name(&mut self, answer: Answer) {
        self.remote_host = match answer {
            Answer::Name(Some(name)) => Lookup::Known(name),
            _ => Lookup::Unknown,
        };
    }

    /// The request line, as logs and CGI know it (`the_request`).
    pub fn the_request(&self) -> Vec<u8> {
        if let Some(line) = &self.refused_line {
            return line.to_vec();
        }
        let mut line = self.original_method.as_str().as_bytes().to_vec();
        line.push(b' ');
        line.extend_from_slice(&self.unparsed_uri);
        if self.version > 9 {
            line.push(b' ');
            line.extend_from_slice(self.protocol().as_bytes());
        }
        line
    }

    /// `HTTP/1.1` and the like.
    pub fn protocol(&self) -> &'static str {
        match self.version {
            9 => "HTTP/0.9",
            10 => "HTTP/1.0",
            20 => "HTTP/2.0",
            _ => "HTTP/1.1",
        }
    }

    /// A number that distinguishes requests.
    pub fn log_number(&self) -> u64 {
        self.request_time as u64 ^ self.connection.id
    }

    /// Its number as logs show it (`%L`), or what mod_unique_id has made.
    pub fn log_id(&self) -> String {
        match self.first().env.get(b"UNIQUE_ID") {
            Some(id) => String::from_utf8_lossy(id).into_owned(),
            None => format!("{:x}", self.log_number()),
        }
    }

    /// Would a line of this level be kept? Look before formatting one.
    pub fn logs(&self, level: Level, module: &str) -> bool {
        self.explained && level <= EXPLAINED || self.is_logged(level, module)
    }

    /// Does a line of this level belong into the error log?
    pub fn is_logged(&self, level: Level, module: &str) -> bool {
        let levels = self.dir.core.log.as_ref().or(self.server.config.core.log.as_ref());
        levels.map_or(level <= Level::Warn, |levels| level <= levels.of(module))
    }

    /// A line for the error log.
    pub fn log(
        &mut self,
        level: Level,
        module: &'static str,
        ah: u32,
        text: impl Into<Bytes>,
    ) {
        self.log_os(level, module, ah, None, text);
    }

    /// A line with the operating system's error before it.
    pub fn log_os(
        &mut self,
        level: Level,
        module: &'static str,
        ah: u32,
        error: Option<OsError>,
        text: impl Into<Bytes>,
    ) {
        if self.logs(level, module) {
            let text = text.into();
            self.lines.push(Line { level, module, ah, error, text, of_server: false });
        }
    }

    /// A line about the server, in which no client is named.
    pub fn log_server(
        &mut self,
        level: Level,
        module: &'static str,
        ah: u32,
        error: Option<OsError>,
        text: impl Into<Bytes>,
    ) {
        if self.logs(level, module) {
            let text = text.into();
            self.lines.push(Line { level, module, ah, error, text, of_server: true });
        }
    }

    /// The server's name for URLs that lead back to it: `ap_get_server_name`.
    pub fn server_name(&self) -> Cow<'_, str> {
        use crate::modules::core::CanonicalName;
        let core = &self.server.config.core;
        let configured = core.server_name.as_deref().unwrap_or("localhost").into();
        match self.dir.core.use_canonical_name {
            Some(CanonicalName::On) => configured,
            Some(CanonicalName::Dns) => self.connection.local.ip().to_string().into(),
            Some(CanonicalName::Off) | None => {
                self.hostname.as_deref().map_or(configured, Cow::Borrowed)
            }
        }
    }

    /// The server's port for such URLs: `ap_get_server_port`.
    pub fn server_port(&self) -> u16 {
        use crate::modules::core::CanonicalName;
        let core = &self.server.config.core;
        let default = self.default_port();
        // Who asks about another server's request connected to a port that is none of it.
        let is_own = self.gateway.is_none();
        let configured = core.port.filter(|port| {
            *port != 0 && (is_own || core.name_is_own || self.server.place.is_none())
        });
        let physical = (is_own && self.dir.core.use_canonical_phys_port == Some(true))
            .then(|| self.connection.local.port());
        match self.dir.core.use_canonical_name {
            Some(CanonicalName::On | CanonicalName::Dns) => {
                configured.or(physical).unwrap_or(default)
            }
            Some(CanonicalName::Off) | None if self.hostname.is_some() => {
                self.host_port.or(physical).or(configured).unwrap_or(default)
            }
            _ => configured.or(physical).unwrap_or(default),
        }
    }

    /// The server's port as configured, for `%p`.
    pub fn canonical_port(&self) -> u16 {
        self.server.config.core.port.unwrap_or_else(|| self.default_port())
    }

    /// `http` or `https`; `ServerName` may say so for what stands in front.
    pub fn scheme(&self) -> &str {
        let own = if self.connection.secure { "https" } else { "http" };
        self.server.config.core.scheme.as_deref().unwrap_or(own)
    }

    fn default_port(&self) -> u16 {
        if self.connection.secure { 443 } else { 80 }
    }

    /// An absolute URL for `path` on this server: `ap_construct_url`.
    pub fn construct_url(&self, path: &[u8]) -> Vec<u8> {
        let port = self.server_port();
        let default = self.default_port();
        let mut name = self.server_name();
        if name.contains(':') && !name.starts_with('[') {
            name = format!("[{name}]").into();
        }
        let mut url = format!("{}://{name}", self.scheme()).into_bytes();
        if port != default {
            url.extend_from_slice(format!(":{port}").as_bytes());
        }
        url.extend_from_slice(path);
        url
    }

    /// The directory that serves the URL space: `ap_document_root`.
    pub fn document_root(&self) -> &Bytes {
        self.own_document_root.as_ref().unwrap_or(&self.server.config.core.document_root)
    }
}
