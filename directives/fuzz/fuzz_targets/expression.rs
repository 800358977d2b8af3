//! Any text as a condition and as a text with variables in it (`ap_expr`), evaluated for a
//! request.
#![no_main]

#[allow(dead_code)]
mod common;

use std::sync::{Arc, OnceLock};

use common::World;
use directives::Snapshot;
use directives::expr::{Condition, Rules, Template};
use libfuzzer_sys::fuzz_target;

static SITE: OnceLock<(Arc<World>, Arc<Snapshot>)> = OnceLock::new();

fuzz_target!(|text: &[u8]| {
    let (world, snapshot) = SITE.get_or_init(|| {
        let world = World::parse("Listen 80\nServerName www.example.org\n");
        let snapshot = common::compiled(&world);
        (Arc::new(world), snapshot)
    });
    let head: &[u8] = b"GET /a/b.html?c=d&e\nHost: www.example.org\nCookie: x=y; z\nAccept: text/html";
    let mut r = common::request(snapshot, world, head).expect("a request");
    for restricted in [false, true] {
        let rules = Rules { restricted, ..Rules::default() };
        if let Ok(condition) = Condition::parse(text, rules) {
            let _ = condition.holds(&mut r);
        }
        if let Ok(template) = Template::parse(text, rules) {
            let _ = template.fill(&mut r);
        }
    }
});
