//! Any bytes as a configuration: its tree prints it back, and reading, compiling and
//! saying what is wrong come to an end without a panic.
#![no_main]

// What only the tests call.
#[allow(dead_code)]
#[path = "../../tests/common/world.rs"]
mod world;

use directives::syntax::{self, FileId};
use directives::{compile, diagnostic};
use libfuzzer_sys::fuzz_target;
use world::{CONFIGURATION, World};

fuzz_target!(|source: &[u8]| {
    let (tree, _) = syntax::parse(FileId(0), source);
    assert!(tree.print(source) == source);

    let mut world = World::empty();
    world.add(CONFIGURATION, source);
    // Something to include, itself and each other among it.
    world.add("/srv/a", source);
    let compiled = compile(&World::entry(&[]), &world);
    // A broken text has hundreds; rendering them all would take all the time.
    for found in compiled.diagnostics.iter().take(4) {
        let _ = diagnostic::httpd(found, &compiled.sources, "fcgi-httpd");
        let _ = diagnostic::terminal(found, &compiled.sources, false);
    }
    assert!(compiled.snapshot.is_some() != compiled.failed());
});
