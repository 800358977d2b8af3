//! Any configuration converted: twice changes nothing more, and what another server is told
//! comes to an end.
#![no_main]

#[allow(dead_code)]
mod common;

use common::World;
use common::world::CONFIGURATION;
use directives::convert::edit::{Change, applied, changes};
use directives::convert::target::Target;
use directives::convert::to;
use directives::{Compiled, compile};
use directives::syntax::FileId;
use libfuzzer_sys::fuzz_target;

fn read(text: &[u8]) -> (World, Compiled, FileId) {
    let mut world = World::empty();
    world.add(CONFIGURATION, text);
    let compiled = compile(&World::entry(&[]), &world);
    let found = compiled.sources.iter().position(|source| source.is_file);
    let file = FileId(found.expect("the configuration") as u32);
    (world, compiled, file)
}

fuzz_target!(|text: &[u8]| {
    let (world, compiled, file) = read(text);
    for target in Target::ALL {
        let _ = to::carry(&compiled, target, &world);
    }
    let _ = to::to_proxy_fcgi(&compiled, &world);
    let safe: fn(&Change) -> bool = |change| change.safe;
    for wanted in [safe, |_| true] {
        let once = applied(text, file, &changes(&compiled), wanted);
        if compiled.failed() {
            continue;
        }
        let (_, again, file) = read(&once);
        let twice = applied(&once, file, &changes(&again), wanted);
        assert!(once == twice, "{}\n--\n{}", once.escape_ascii(), twice.escape_ascii());
    }
});
