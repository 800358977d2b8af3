//! Whole configurations as people write them, one for each shape of deployment: what is
//! said about them, which applications they define, and what their requests come to.
//!
//! A directory of `testdata/sites` stands for the root of a file system. Beside the files
//! of the site it has `environment` (variables of the server, where it needs some),
//! `requests` (a line `METHOD URL` each) and `expected.txt`, which
//! `UPDATE_EXPECT=1` writes anew.

mod ask;
mod show;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use directives::bundle::Entry;
use directives::compile;

use tree::Tree;

/// One for each shape of deployment that the census found.
const SHAPES: usize = 15;

/// Where the main file of a configuration may be: the file, and the server root.
const MAIN: [(&str, &str); 2] = [
    ("/etc/apache2/apache2.conf", "/etc/apache2"),
    ("/etc/httpd/conf/httpd.conf", "/etc/httpd"),
];

#[test]
fn sites_are_as_expected() {
    let sites = sites();
    assert_eq!(sites.len(), SHAPES, "{sites:?}");
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut different = String::new();
    for site in sites {
        let found = report(&site);
        let file = site.join("expected.txt");
        if update {
            std::fs::write(&file, &found).expect("writing expected.txt");
            continue;
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            different +=
                &format!("{}:\n{}", site.display(), show::difference(&expected, &found));
        }
    }
    assert!(different.is_empty(), "{different}UPDATE_EXPECT=1 takes over what was found");
}

fn sites() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/sites");
    let entries = std::fs::read_dir(directory).expect("testdata/sites").flatten();
    let mut sites: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    sites.sort();
    sites
}

/// What a site comes to, as text.
fn report(site: &Path) -> String {
    let tree = Arc::new(Tree::new(site));
    let is_main = |(file, _): &&(&str, &str)| site.join(&file[1..]).exists();
    let (file, root) = MAIN.iter().find(is_main).expect("a main file");
    let entry = Entry {
        file: file.as_bytes().to_vec(),
        server_root: root.as_bytes().to_vec(),
        ..Entry::default()
    };
    let compiled = compile(&entry, &*tree);
    let mut out = show::diagnostics(&compiled);
    let Some(snapshot) = compiled.snapshot else {
        return out + "\nIt does not start.\n";
    };
    out += &show::applications(&snapshot);
    let requests = std::fs::read_to_string(site.join("requests")).unwrap_or_default();
    for line in requests.lines() {
        out += &ask::ask(line, &snapshot, &tree);
    }
    out
}
