//! What other servers are told of the configurations of `testdata/sites`: every directive
//! of every file is accounted for, and `testdata/carried.txt` is the table of what each
//! server could be told.

#[path = "sites/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use directives::bundle::Entry;
use directives::convert::ledger::Entry as Line;
use directives::convert::target::Target;
use directives::convert::to;
use directives::expand::Item;
use directives::syntax::{FileId, Node, parse};
use directives::{Compiled, compile};

use tree::Tree;

const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata");

const MAIN: [(&str, &str); 2] = [
    ("/etc/apache2/apache2.conf", "/etc/apache2"),
    ("/etc/httpd/conf/httpd.conf", "/etc/httpd"),
];

fn sites() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(TESTDATA).join("sites")).expect("sites");
    let mut sites: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    sites.sort();
    sites
}

fn compiled(site: &Path) -> Compiled {
    let (file, root) = MAIN
        .iter()
        .find(|(file, _)| site.join(&file[1..]).exists())
        .expect("a main file");
    let entry = Entry {
        file: file.as_bytes().to_vec(),
        server_root: root.as_bytes().to_vec(),
        ..Entry::default()
    };
    compile(&entry, &Tree::new(site))
}

/// Where every directive stands: those that are live, and those that are only written.
fn all(compiled: &Compiled) -> Vec<(String, u32, u32)> {
    fn items(list: &[Item], found: &mut Vec<(FileId, u32)>) {
        for item in list {
            found.push((item.name_span.file, item.name_span.start));
            items(item.body.as_deref().unwrap_or_default(), found);
        }
    }
    fn nodes(list: &[Node], found: &mut Vec<(FileId, u32)>) {
        for node in list {
            match node {
                Node::Trivia(_) => {}
                Node::Directive(d) => found.push((d.name_span.file, d.name_span.start)),
                Node::Section(s) => {
                    found.push((s.open.name_span.file, s.open.name_span.start));
                    nodes(&s.body, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    items(&compiled.items, &mut found);
    let mut names = Vec::new();
    for (index, source) in compiled.sources.iter().enumerate() {
        // A file that is read twice is one file.
        if source.is_file && !names.contains(&&source.name) {
            names.push(&source.name);
            nodes(&parse(FileId(index as u32), &source.bytes).0.nodes, &mut found);
        }
    }
    found.sort_unstable();
    found.dedup();
    let place = |(file, start): (FileId, u32)| {
        let line = compiled.sources.line(file, start);
        (compiled.sources.name(file).to_owned(), line, start)
    };
    found.into_iter().map(place).collect()
}

#[test]
fn every_directive_is_accounted_for() {
    let mut total = 0;
    for site in sites() {
        let compiled = compiled(&site);
        let all = all(&compiled);
        total += all.len();
        for target in Target::ALL {
            let carried = to::carry(&compiled, target, &Tree::new(&site));
            let found: Vec<(String, u32)> = carried
                .entries
                .iter()
                .map(|line| (line.place.file.clone(), line.place.line))
                .collect();
            let wanted: Vec<(String, u32)> =
                all.iter().map(|(file, line, _)| (file.clone(), *line)).collect();
            assert_eq!(found, wanted, "{} to {}", site.display(), target.name());
            for line in &carried.entries {
                let silent = line.fate.why().is_empty();
                assert_eq!(silent, line.fate.name() == "carried", "{line:?}");
                // What is not told stands at the head of the file.
                if line.fate.name() == "not carried" {
                    let head = format!("#   {}: {}\n", line.place, line.text);
                    assert!(carried.text.contains(&head), "{head}");
                }
            }
        }
    }
    assert!(total > 300, "{total}");
}

#[test]
fn the_table_is_as_expected() {
    let mut out = String::from("# What each server could be told, in directives.\n");
    for site in sites() {
        let name = site.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let compiled = compiled(&site);
        out += &format!("\n{name}\n");
        for target in Target::ALL {
            let carried = to::carry(&compiled, target, &Tree::new(&site));
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for line in &carried.entries {
                *counts.entry(line.fate.name()).or_default() += 1;
            }
            let count = |name| counts.get(name).copied().unwrap_or_default();
            out += &format!(
                "    {:<9} {:>3} carried {:>3} partly {:>3} not needed {:>3} not carried\n",
                target.name(),
                count("carried"),
                count("partly carried"),
                count("not needed"),
                count("not carried")
            );
            let lost = |line: &&Line| line.fate.name() == "not carried";
            for line in carried.entries.iter().filter(lost) {
                out += &format!("        {}: {}\n", line.text, line.fate.why());
            }
        }
    }
    expect_test::expect_file![Path::new(TESTDATA).join("carried.txt")].assert_eq(&out);
}

/// Whatever a section lets in less than everybody is denied where it cannot be said.
#[test]
fn what_protects_is_never_left_open() {
    let site = Path::new(TESTDATA).join("sites/13-authorizers");
    let compiled = compiled(&site);
    let text = |target| to::carry(&compiled, target, &Tree::new(&site)).text;
    let nginx = text(Target::Nginx);
    for prefix in ["/private", "/shop", "/staff"] {
        let open = format!("location ^~ \"{prefix}/\" {{\n            deny all;");
        assert!(nginx.contains(&open), "{prefix}\n{nginx}");
        let place = text(Target::Lighttpd);
        let denied = format!("\"^{prefix}(/|$)\" {{\n    url.access-deny = ( \"\" )");
        assert!(place.contains(&denied), "{prefix}\n{place}");
        let place = text(Target::Caddy);
        let at = place.find(&format!("`^{prefix}(/.*)?$`")).expect("a matcher");
        let rest: String = place[at..].lines().take(4).collect();
        assert!(rest.contains("respond 403"), "{prefix}\n{place}");
    }
    let httpd = text(Target::Httpd);
    assert_eq!(httpd.matches("Require all denied").count(), 4, "{httpd}");
    assert!(!httpd.contains("valid-user\n    Require"), "{httpd}");
}
