//! Requests that no page can say: those of HTTP/2.

#[path = "common/world.rs"]
mod world;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use directives::modules::ssl::Security;
use directives::request::{Connection, Head};
use directives::{Effect, Next, Request, Run, Snapshot, compile};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use world::{MADE, World};

/// A configuration that has to be right, and its world.
fn compiled(configuration: &str) -> (Arc<Snapshot>, World) {
    let world = World::parse(configuration);
    let compiled = compile(&World::entry(&["Listen 80", "ServerName h"]), &world);
    (compiled.snapshot.expect("a configuration without errors"), world)
}

/// A request for `/app` with these fields, at a time in microseconds since 1970.
fn run(
    snapshot: &Arc<Snapshot>,
    world: World,
    version: u8,
    fields: &[(&str, &str)],
    time: i64,
) -> Run {
    let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let connection = Connection {
        client: address(40_000),
        local: address(80),
        reported: None,
        secure: false,
        security: Security::Plain,
        keepalives: 1,
        id: 1,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::try_from(*name).expect("a name");
        headers.append(name, HeaderValue::try_from(*value).expect("a value"));
    }
    let target = Bytes::from_static(b"/app");
    let head = Head { method: Method::GET, target, version, headers };
    let (files, connection) = (Arc::new(world), Arc::new(connection));
    Run::new(Request::new(snapshot.clone(), files, connection, head, time))
}

/// The first effect of a request with these fields.
fn first_effect(
    configuration: &str,
    version: u8,
    fields: &[(&str, &str)],
) -> (Effect, Run) {
    let (snapshot, world) = compiled(configuration);
    let mut run = run(&snapshot, world, version, fields, 0);
    match run.step(None) {
        Next::Effect(effect) => (effect, run),
        _ => panic!("no effect"),
    }
}

/// HTTP/2 cuts a cookie field into pieces, which are no list: whatever is done to other
/// fields, an application gets them as the browser meant them.
#[test]
fn pieces_of_a_cookie_stay_one_cookie() {
    let configuration = "FastCgiExternalServer /srv/htdocs/app -host 127.0.0.1:9000
        DocumentRoot /srv/htdocs
        RequestHeader unset Proxy early
        RequestHeader append X-List c
        RequestHeader edit X-Edited ^a b";
    let fields = [
        ("host", "h"),
        ("proxy", "evil"),
        ("cookie", "a=1"),
        ("x-list", "a"),
        ("cookie", "b=2"),
        ("x-list", "b"),
        ("x-edited", "a"),
    ];
    let (effect, run) = first_effect(configuration, 20, &fields);
    let Effect::FastCgi(call) = effect else { panic!("{effect:?}") };
    let mut found = Vec::new();
    call.each_variable(run.request(), None, |name: &[u8], value: &[u8]| {
        if name.starts_with(b"HTTP_") && name != b"HTTP_HOST" {
            found.push(format!("{}={}", name.escape_ascii(), value.escape_ascii()));
        }
    });
    assert_eq!(found, ["HTTP_COOKIE=a=1; b=2", "HTTP_X_LIST=a, b, c", "HTTP_X_EDITED=b"]);
}

/// A table is read again when its file has changed, and only then: what has the same time,
/// size and place is the same, unless it was changed so lately that its time would not tell.
#[test]
fn tables_are_read_when_they_have_changed() {
    let configuration = "RewriteEngine On
        RewriteMap names txt:/srv/conf/names
        RewriteRule ^ http://x.example/${names:key|none} [R]";
    let with = |names: &str| {
        let mut world = World::parse(configuration);
        world.add("/srv/conf/names", names.as_bytes());
        world
    };
    let (snapshot, _) = compiled(&format!("{configuration}\n#-- /srv/conf/names\n"));
    let settled = (MADE + 10) * 1_000_000;
    let asked = |names: &str, time| {
        let mut run = run(&snapshot, with(names), 11, &[("host", "h")], time);
        run.request_mut().now = time;
        let Next::Reply(reply) = run.step(None) else { panic!("no reply") };
        let location = reply.headers.get("Location").expect("a location");
        location
            .strip_prefix(b"http://x.example/")
            .expect("a value")
            .escape_ascii()
            .to_string()
    };
    assert_eq!(asked("key one", MADE * 1_000_000), "one");
    assert_eq!(asked("key two", settled), "two");
    assert_eq!(asked("key six", settled), "two");
    assert_eq!(asked("key three", settled), "three");
    assert_eq!(asked("kay three", settled), "three");
    assert_eq!(asked("key", settled), "none");
}
