//! What a phase needs from the world, and what the world says. The server performs an
//! effect, the tool prints it, the tests script it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::bundle::{Meta, OsError};
use crate::cgi::{self, Extras, Sink};
use crate::modules::auth_basic::Checked;
use crate::modules::auth_digest::nonce::{Question, Said};
use crate::modules::auth_digest::proof::{Claim, Proved};
use crate::modules::authn_core::Credentials;
use crate::modules::cgi::Script;
use crate::modules::fastcgi::App;
use crate::modules::proxy::{Forward, Heard, Hold};
use crate::modules::rewrite::Program;
use crate::modules::status::Report;
use crate::request::Request;

/// A need.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The host name of an address; with `confirm`, one that leads back to it.
    Resolve {
        /// The address.
        ip: IpAddr,
        /// Look the name up again (`HostnameLookups Double`).
        confirm: bool,
    },
    /// The addresses of a host.
    Addresses {
        /// Its name.
        name: String,
    },
    /// Open a file for sending.
    Open {
        /// Its path.
        path: Bytes,
    },
    /// Check a password against a file of users, as `htpasswd` writes it. It takes the
    /// same time whether or not there is such a user.
    Password {
        /// The file.
        file: Bytes,
        /// User and password.
        given: Credentials,
    },
    /// Compare what a client has made of its password with the hash that a file of `htdigest`
    /// has for a user in a realm. It takes the same time whether or not there is such a user.
    RealmHash(Box<Claim>),
    /// Make a nonce for Digest authentication, or say what one is worth. The secret and what
    /// clients have used are one for all threads, and live as long as the server.
    Nonce(Box<Question>),
    /// Read what is left of the last application's response, and forget it.
    Finish,
    /// Run a FastCGI application and bring the head of its response.
    FastCgi(Call),
    /// Run a CGI script and bring the head of its response; as with [`Effect::FastCgi`].
    Cgi(Box<Script>),
    /// Ask an HTTP upstream and bring the head of its answer.
    Upstream(Box<Forward>),
    /// Ask a map's program for the value of a key, which has no line end in it.
    Map {
        /// The program.
        program: Arc<Program>,
        /// The key.
        key: Bytes,
        /// How long that may take, with the time until it is asked.
        time: Duration,
    },
    /// Wait.
    Wait(Duration),
    /// Say how the server and the applications are.
    Status,
    /// Look for an answer that was kept under this key.
    Recall(Bytes),
    /// Keep the head of an answer.
    Keep {
        /// The key: all that it depends on, secrets included.
        key: Bytes,
        /// The head.
        head: Bytes,
        /// For how long, at most.
        time: Duration,
    },
    /// Forget every answer that was kept.
    Forget,
    /// Say whether new requests are taken.
    Ready,
    /// Read the request's body.
    Body {
        /// No more than this, bytes.
        most: u64,
    },
}

/// A request to a FastCGI application.
#[derive(Clone, Debug)]
pub struct Call {
    /// The application.
    pub app: Arc<App>,
    /// In which role.
    pub role: Role,
    /// The variables that only this call sends, before all others.
    pub extra: Vec<(Bytes, Bytes)>,
    /// The variables that this call leaves out.
    pub without: &'static [&'static str],
    /// All variables, in the place of those that CGI would have.
    pub variables: Option<Vec<(Bytes, Bytes)>>,
    /// The upstream is busy with this.
    pub hold: Option<Arc<Hold>>,
    /// The response is passed on unparsed: there is no head to bring.
    pub nph: bool,
    /// When the program was changed, nanoseconds since 1970: processes that are older
    /// are to be replaced first (`-autoUpdate`).
    pub newest: Option<i64>,
}

impl Call {
    /// Gives `sink` every variable that the application gets. `length` is that of a body whose
    /// length the client did not announce.
    pub fn each_variable(&self, r: &Request, length: Option<u64>, mut sink: impl Sink) {
        let Some(all) = &self.variables else {
            let extras = Extras {
                first: &self.extra,
                pass_headers: &self.app.settings.pass_headers,
                content_length: length,
                without: self.without,
                raw_names: false,
            };
            return cgi::variables(r, &extras, sink);
        };
        for (name, value) in all {
            sink.pair(name, value);
        }
        if let Some(length) = length {
            sink.pair(b"CONTENT_LENGTH", length.to_string().as_bytes());
        }
    }
}

/// FastCGI's roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `FCGI_RESPONDER`.
    Responder,
    /// `FCGI_AUTHORIZER`, in every auth phase.
    Authorizer,
}

impl Role {
    /// The role's number in BEGIN_REQUEST.
    pub fn number(self) -> u16 {
        match self {
            Role::Responder => 1,
            Role::Authorizer => 2,
        }
    }
}

/// What the world says.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`Effect::Resolve`].
    Name(Option<String>),
    /// To [`Effect::Addresses`]; none if there is no such host.
    Addresses(Vec<IpAddr>),
    /// To [`Effect::Open`].
    Opened(Result<Meta, OsError>),
    /// To [`Effect::Password`].
    Password(Checked),
    /// To [`Effect::RealmHash`].
    RealmHash(Proved),
    /// To [`Effect::Nonce`].
    Nonce(Said),
    /// To [`Effect::Finish`].
    Finished(Result<(), Failure>),
    /// To [`Effect::FastCgi`] and [`Effect::Cgi`]: the head of the response, blank line included; what
    /// follows it streams. Empty for an unparsed response.
    Head(Bytes),
    /// To [`Effect::Upstream`]: the head of the answer; what follows it streams.
    Heard(Box<Heard>),
    /// To [`Effect::Map`]: the program's line, if there is one.
    Mapped(Option<Bytes>),
    /// To [`Effect::Wait`].
    Waited,
    /// To [`Effect::Status`].
    Status(Arc<Report>),
    /// To [`Effect::Recall`]: the head of the answer, if there is one.
    Recalled(Option<Bytes>),
    /// To [`Effect::Keep`].
    Kept,
    /// To [`Effect::Forget`]: how many there were.
    Forgotten(u64),
    /// To [`Effect::Ready`].
    Ready(bool),
    /// To [`Effect::Body`].
    Body(Result<Bytes, Failure>),
    /// To [`Effect::FastCgi`], [`Effect::Cgi`] and [`Effect::Upstream`]: there is no head.
    Failed {
        /// Why.
        failure: Failure,
        /// Bytes of output that came all the same.
        received: u64,
    },
}

/// Why an application did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect(OsError),
    /// No socket to connect with.
    Socket(OsError),
    /// No connection within so many seconds.
    ConnectTimeout(u32),
    /// No TLS handshake; the sentence says why.
    Handshake(String),
    /// Its turn did not come within so many seconds (`-queue-timeout`).
    QueueTimeout(u32),
    /// So many wait already (`-queue-length`).
    QueueFull(u32),
    /// Nothing came or could be sent for so many seconds.
    Idle(u32),
    /// Reading failed.
    Read(OsError),
    /// Writing failed.
    Write(OsError),
    /// What came is no FastCGI; the sentence says why.
    Protocol(String),
    /// The end came before the end of the head.
    Incomplete,
    /// More head than is taken.
    HeadTooLong,
    /// The client's body is longer than `LimitRequestBody`.
    BodyTooLong,
    /// The client went away or stopped sending: no answer is due.
    Client,
    /// The client's body broke the rules of HTTP.
    BadBody,
    /// The client's body did not come in time.
    BodyTimeout,
    /// The application waits for a start that failed.
    NotStarted,
}

impl Failure {
    /// The status where the client, or its body, is the reason, and not who was asked.
    pub fn of_body(&self) -> Option<u16> {
        match self {
            Failure::Client | Failure::BodyTimeout => Some(408),
            Failure::BadBody => Some(400),
            Failure::BodyTooLong => Some(413),
            _ => None,
        }
    }
}
