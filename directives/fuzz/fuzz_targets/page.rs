//! Any page with includes: in pieces it says the same as whole, and what it includes is
//! looked up and run, itself among it.
#![no_main]

#[allow(dead_code)]
mod common;

use std::sync::{Arc, OnceLock};

use common::World;
use directives::filter::Filter;
use directives::modules::include::{Page, Step, Then};
use directives::{Run, Snapshot};
use libfuzzer_sys::fuzz_target;

const CONF: &str = "ServerName www.example.org
Listen 80
DocumentRoot /srv/htdocs
<Directory /srv/htdocs>
    Options +Includes
    Require all granted
    SetOutputFilter INCLUDES
    SSILegacyExprParser Off
</Directory>
#-- /srv/htdocs/old/
#-- /srv/htdocs/other.html
other
";

static SITE: OnceLock<(Arc<World>, Arc<Snapshot>)> = OnceLock::new();
/// More steps than these, and a page is going round in circles.
const MAX_STEPS: usize = 100_000;

fn site() -> &'static (Arc<World>, Arc<Snapshot>) {
    SITE.get_or_init(|| {
        let mut world = World::parse(CONF);
        world.add("/srv/htdocs/page.html", b"x");
        let snapshot = common::compiled(&world);
        (Arc::new(world), snapshot)
    })
}

fn page() -> Box<Page> {
    let (world, snapshot) = site();
    let head: &[u8] = b"GET /page.html?a=b%20c\nHost: www.example.org";
    let request = common::request(snapshot, world, head).expect("a request");
    let mut reply = common::serve(&mut Run::new(request), b"").expect("a reply");
    match reply.filters.pop() {
        Some(Filter::Include(page)) => page,
        other => panic!("no page: {other:?}, {}", reply.status),
    }
}

/// What the page says to the client.
fn read<'a>(mut pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut page = page();
    let mut said = Vec::new();
    for _ in 0..MAX_STEPS {
        match page.step() {
            Step::Text(text) => said.extend_from_slice(&text),
            Step::More => match pieces.next() {
                Some(piece) => page.push(piece),
                None => page.end(),
            },
            Step::Look(sub) => {
                let (mut run, done) = Run::sub(page.request(), &sub.lookup, &sub.uri);
                if done.is_none() {
                    common::serve(&mut run, b"\n");
                }
                if page.looked(run.request_mut()) == Then::Run {
                    run.handle();
                    common::serve(&mut run, b"\n");
                    let r = run.request();
                    let (status, to) = (r.status, r.headers_out.get("Location").cloned());
                    page.included(status, to.as_ref());
                }
            }
            Step::Run(_) => page.included(200, None),
            Step::End => return said,
        }
    }
    panic!("the page does not end");
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, text) = input;
    let whole = read(std::iter::once(text));
    assert!(whole == read(text.chunks(usize::from(size) + 1)));
});
