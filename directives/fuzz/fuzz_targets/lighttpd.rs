//! Any bytes as lighttpd's configuration: what is read as httpd's is one that is read to
//! its end.
#![no_main]

#[allow(dead_code)]
mod common;

use common::World;
use common::world::CONFIGURATION;
use directives::compile;
use directives::convert::lighttpd;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let mut world = World::empty();
    world.add("/srv/more.conf", text);
    let Ok(read) = lighttpd::read("/srv/lighttpd.conf", text, &world) else { return };
    world.add(CONFIGURATION, read.text.as_bytes());
    let compiled = compile(&World::entry(&[]), &world);
    assert!(compiled.snapshot.is_some() != compiled.failed());
});
