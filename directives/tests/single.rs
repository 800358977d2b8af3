//! A configuration as one file says what its files said, and no secrets.

#[path = "common/mod.rs"]
mod common;

use directives::bundle::{BLANK, single};
use directives::expand::Item;
use directives::{Compiled, compile};

use common::world::World;

const CASES: [&str; 5] = ["merge", "run", "explain", "convert", "errors"];

/// Names and words, without places.
fn said(items: &[Item]) -> Vec<String> {
    let mut out = Vec::new();
    for item in items {
        let words = String::from_utf8_lossy(item.args.bytes()).trim().to_owned();
        let name = String::from_utf8_lossy(&item.name).into_owned();
        // Its own line says it.
        if !name.eq_ignore_ascii_case("serverroot") {
            out.push(format!("{name} {words}"));
        }
        out.extend(said(item.body.as_deref().unwrap_or_default()));
    }
    out
}

fn compiled(world: &World) -> Compiled {
    compile(&World::entry(&[]), world)
}

/// Over all configurations of the tests that can be read.
#[test]
fn one_file_says_the_same() {
    let mut seen = 0;
    for suite in CASES {
        let directory = format!("{}/{suite}", common::TESTDATA);
        for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "conf") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a file");
            let world = World::parse(&text);
            let before = compiled(&world);
            let one = single(&before);
            if before.failed() || one.contains(BLANK) {
                continue;
            }
            seen += 1;
            let mut alone = world.clone();
            alone.add("/srv/conf/httpd.conf", one.as_bytes());
            let after = compiled(&alone);
            assert!(
                !after.failed(),
                "{}\n{one}\n{:?}",
                path.display(),
                after.diagnostics
            );
            assert_eq!(said(&before.items), said(&after.items), "{}", path.display());
            // And one file of one file is the same file, but for where it is from.
            let lines = |text: &str| -> Vec<String> {
                let lines =
                    text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
                lines.map(str::to_owned).collect()
            };
            assert_eq!(lines(&single(&after)), lines(&one));
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn secrets_are_blanked() {
    let text = "Define WORD hush\nSetEnv DB_PASSWORD ${WORD}\nSetEnv LANG C\n\
                FastCgiServer /srv/app -initial-env API_TOKEN=hush -initial-env A=b\n\
                RequestHeader set Authorization \"Basic hush\"\nHeader always set X-Key hush\n\
                RewriteRule ^/x$ http://user:hush@example.org/ [R]\n\
                SetEnv DATABASE mysql://user:hush@db/x\nSetEnvIf Host ^a SECRET=hush\n";
    let world = World::parse(text);
    let one = single(&compiled(&world));
    assert!(!one.contains("hush"), "{one}");
    for kept in
        ["SetEnv LANG C", "API_TOKEN=BLANKED", "-initial-env A=b", "DB_PASSWORD BLANKED"]
    {
        assert!(one.contains(kept), "{kept}\n{one}");
    }
}
