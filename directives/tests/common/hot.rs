//! Requests as the server makes them, over the real file system: the work of a request
//! without the sockets around it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use directives::bundle::{Files, Meta};
use directives::cgi::{self, Extras};
use directives::effect::Call;
use directives::fcgi::params::Opening;
use directives::modules::ssl::Security;
use directives::request::{Connection, Head};
use directives::{Answer, Effect, Next, Request, Run, Snapshot, compile};
use directives::{Diagnostic, bundle::Entry};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

#[path = "../../../src/disk.rs"]
#[allow(dead_code)]
mod disk;
pub use disk::Disk;

/// A server with an application, and sections as every one has them.
pub const CONF: &str = "
Listen 80
ServerName www.example.org
DocumentRoot {root}/htdocs
FastCgiExternalServer {root}/htdocs/app -host 127.0.0.1:9000
<Directory />
    AllowOverride None
    Require all denied
</Directory>
<Directory {root}/htdocs>
    Require all granted
</Directory>
";

/// What an application answers.
const HEAD: &[u8] = b"Content-Type: text/html\r\nX-Powered-By: nobody\r\n\r\n";

/// A configuration, and where its files are.
pub struct Place {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    connection: Arc<Connection>,
    headers: HeaderMap,
}

impl Place {
    /// Writes files and a configuration into a directory of this name; `{root}` stands for
    /// it.
    pub fn new(name: &str, conf: &str) -> Place {
        let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(root.join("htdocs/a/b")).expect("directories");
        std::fs::write(root.join("htdocs/a/b/page.html"), "a page\n").expect("a page");
        let conf = conf.replace("{root}", &root.display().to_string());
        std::fs::write(root.join("httpd.conf"), conf).expect("a configuration");
        Place { snapshot: compiled(&root), connection: connection(), headers: headers() }
    }

    /// A request just received.
    pub fn request(&self, target: &'static str) -> Box<Request> {
        let head = Head {
            method: Method::GET,
            target: Bytes::from_static(target.as_bytes()),
            version: 11,
            headers: self.headers.clone(),
        };
        let files: Arc<dyn Files> = Arc::new(Disk);
        Request::new(self.snapshot.clone(), files, self.connection.clone(), head, NOW)
    }
}

/// 2026-03-01 12:00:00 UTC, microseconds.
const NOW: i64 = 1_772_366_400_000_000;

fn compiled(root: &Path) -> Arc<Snapshot> {
    let entry = Entry {
        file: b"httpd.conf".to_vec(),
        server_root: root.display().to_string().into_bytes(),
        ..Entry::default()
    };
    let compiled = compile(&entry, &Disk);
    let errors: Vec<&Diagnostic> =
        compiled.diagnostics.iter().filter(|found| found.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    compiled.snapshot.expect("a configuration without errors")
}

fn connection() -> Arc<Connection> {
    let address = |last, port| SocketAddr::new(IpAddr::from([192, 0, 2, last]), port);
    Arc::new(Connection {
        client: address(1, 40_000),
        local: address(10, 80),
        reported: None,
        secure: false,
        security: Security::Plain,
        keepalives: 1,
        id: 1,
    })
}

/// What a browser sends.
fn headers() -> HeaderMap {
    let fields = [
        ("host", "www.example.org"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("connection", "keep-alive"),
    ];
    let field =
        |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    fields.into_iter().map(field).collect()
}

/// The buffer that a server keeps for parameters.
pub fn encode(call: &Call, r: &Request, scratch: Vec<u8>) -> Vec<u8> {
    let mut opening = Opening::new(call.role.number(), true, scratch);
    let (first, pass_headers) = (&call.extra, &call.app.settings.pass_headers);
    let extras =
        Extras { first, pass_headers, without: call.without, ..Extras::default() };
    cgi::variables(r, &extras, &mut opening);
    opening.finish()
}

/// Runs a request to its reply and says its status.
pub fn drive(request: Box<Request>, scratch: &mut Vec<u8>) -> u16 {
    let mut run = Run::new(request);
    let mut answer = None;
    loop {
        match run.step(answer.take()) {
            Next::Reply(reply) => return reply.status,
            Next::Looked => unreachable!("nobody looks"),
            Next::Effect(Effect::Open { path }) => {
                answer = Some(Answer::Opened(opened(&path, run.request())));
            }
            Next::Effect(Effect::FastCgi(call)) => {
                *scratch = encode(&call, run.request(), std::mem::take(scratch));
                answer = Some(Answer::Head(Bytes::from_static(HEAD)));
            }
            Next::Effect(other) => panic!("who asks for {other:?}?"),
        }
    }
}

/// What the phases have looked at already is not looked at again.
fn opened(path: &[u8], r: &Request) -> Result<Meta, directives::bundle::OsError> {
    match r.finfo.filter(|_| r.filename[..] == *path) {
        Some(meta) => Ok(meta),
        None => Disk.stat(path),
    }
}
