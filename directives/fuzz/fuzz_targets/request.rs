//! Any request to a site that uses much, and any head of an application's answer: behind a
//! NUL. Ranges, negotiation, conditions, listings and the heads of answers are read here.
#![no_main]

#[allow(dead_code)]
mod common;

use std::sync::{Arc, OnceLock};

use common::{World, split};
use directives::{Run, Snapshot};
use libfuzzer_sys::fuzz_target;

static SITE: OnceLock<(Arc<World>, Arc<Snapshot>)> = OnceLock::new();

fn site() -> &'static (Arc<World>, Arc<Snapshot>) {
    SITE.get_or_init(|| {
        let world = World::parse(include_str!("site.txt"));
        let snapshot = common::compiled(&world);
        (Arc::new(world), snapshot)
    })
}

fuzz_target!(|input: &[u8]| {
    let (world, snapshot) = site();
    let (head, said) = split(input, 0).unwrap_or((input, b"Content-Type: text/plain\n\n"));
    let Some(request) = common::request(snapshot, world, head) else { return };
    let reply = common::serve(&mut Run::new(request), said).expect("a reply");
    assert!((200..=999).contains(&reply.status), "{}", reply.status);
    let head = |b: &u8| matches!(b, b'\t' | b' '..=b'~' | 0x80..=0xff);
    for (name, value) in reply.headers.iter() {
        assert!(name.iter().all(head) && value.iter().all(head), "{name:?}: {value:?}");
    }
});
