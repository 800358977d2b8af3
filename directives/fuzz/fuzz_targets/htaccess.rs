//! Any `.htaccess`, and behind a NUL any request for what it is about: rewriting rules,
//! conditions and everything else that files among the documents may say.
#![no_main]

#[allow(dead_code)]
mod common;

use std::sync::{Arc, OnceLock};

use common::{World, split};
use directives::{Run, Snapshot};
use libfuzzer_sys::fuzz_target;

const CONF: &str = "ServerName www.example.org
Listen 80
DocumentRoot /srv/htdocs
LogLevel warn rewrite:trace8
<Directory /srv/htdocs>
    Options All
    AllowOverride All
    Require all granted
</Directory>
#-- /srv/htdocs/index.html
x
#-- /srv/htdocs/a/page.html
y
";

static SITE: OnceLock<(World, Arc<Snapshot>)> = OnceLock::new();

fuzz_target!(|input: &[u8]| {
    let (world, snapshot) = SITE.get_or_init(|| {
        let world = World::parse(CONF);
        let snapshot = common::compiled(&world);
        (world, snapshot)
    });
    let (text, head) = split(input, 0).unwrap_or((input, b"GET /a/page.html?x=1"));
    let mut world = world.clone();
    world.add("/srv/htdocs/.htaccess", text);
    let Some(request) = common::request(snapshot, &Arc::new(world), head) else { return };
    common::serve(&mut Run::new(request), b"Content-Type: text/plain\n\n").expect("a reply");
});
