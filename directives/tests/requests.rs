//! Requests that no page can say: those of HTTP/2.

#[path = "common/world.rs"]
mod world;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use directives::modules::ssl::Security;
use directives::request::{Connection, Head};
use directives::{Effect, Next, Request, Run, compile};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use world::World;

/// The first effect of a request with these fields.
fn first_effect(
    configuration: &str,
    version: u8,
    fields: &[(&str, &str)],
) -> (Effect, Run) {
    let world = World::parse(configuration);
    let compiled = compile(&World::entry(&["Listen 80", "ServerName h"]), &world);
    let snapshot = compiled.snapshot.expect("a configuration without errors");
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
    let request = Request::new(snapshot, Arc::new(world), Arc::new(connection), head, 0);
    let mut run = Run::new(request);
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
    call.each_variable(run.request(), None, |name, value| {
        if name.starts_with(b"HTTP_") && name != b"HTTP_HOST" {
            found.push(format!("{}={}", name.escape_ascii(), value.escape_ascii()));
        }
    });
    assert_eq!(found, ["HTTP_COOKIE=a=1; b=2", "HTTP_X_LIST=a, b, c", "HTTP_X_EDITED=b"]);
}
