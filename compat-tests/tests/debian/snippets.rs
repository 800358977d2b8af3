//! What Debian's packages of web applications drop into apache2's configuration, or show as
//! an example: their own files in Debian's own tree, started by apache2 and by us, and asked
//! the same. The packages are unpacked, not installed; only where their files are is changed.

use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use compat_tests::server::Kind;
use compat_tests::{normal, packages};

use crate::{ask, start, tree};

/// A package, its file, and what is asked of it. None of the answers is a program's own.
struct Snippet {
    package: &'static str,
    file: &'static str,
    /// What stands before and behind it, where it is part of a text.
    between: Option<(&'static str, &'static str)>,
    targets: &'static [&'static str],
}

const SNIPPETS: [Snippet; 5] = [
    Snippet {
        package: "phpmyadmin",
        file: "etc/phpmyadmin/apache.conf",
        between: None,
        targets: &[
            "/phpmyadmin",
            "/phpmyadmin/favicon.ico",
            "/phpmyadmin/robots.txt",
            "/phpmyadmin/none",
            "/phpmyadmin/templates/",
            "/phpmyadmin/templates/none",
            "/phpmyadmin/libraries/advisory_rules_generic.php",
            "/phpmyadmin/libraries",
            "/phpmyadmin/themes/",
        ],
    },
    Snippet {
        package: "munin",
        file: "etc/munin/apache24.conf",
        between: None,
        targets: &[
            "/munin",
            "/munin/",
            "/munin/none.html",
            "/munin/static/",
            "/munin/static/none.css",
            "/munin-cgi/none",
        ],
    },
    Snippet {
        package: "smokeping",
        file: "etc/apache2/conf-available/smokeping.conf",
        between: None,
        targets: &[
            "/smokeping",
            "/smokeping/none",
            "/smokeping/css/smokeping-print.css",
            "/smokeping/js/",
            "/smokeping/.htaccess",
        ],
    },
    Snippet {
        package: "cgit",
        file: "etc/apache2/conf-available/cgit.conf",
        between: None,
        targets: &["/cgit", "/cgit-css/cgit.css", "/cgit-css/", "/cgit-css/robots.txt"],
    },
    Snippet {
        package: "wordpress",
        file: "usr/share/doc/wordpress/examples/apache.conf",
        between: Some(("## Without using Virtual host, hosted off /blog", "# Tips")),
        targets: &[
            "/blog",
            "/blog/readme.html",
            "/blog/wp-includes/css/admin-bar.css",
            "/blog/wp-includes/images/",
            "/blog/wp-content/none.css",
            "/blog/none/of/these",
        ],
    },
];

/// The snippet, with the package's files where they were unpacked.
fn text(snippet: &Snippet, files: &Path) -> Result<String> {
    let mut text = std::fs::read_to_string(files.join(snippet.file))
        .with_context(|| format!("{} of {}", snippet.file, snippet.package))?;
    if let Some((before, behind)) = snippet.between {
        let (_, rest) = text.split_once(before).context("the example's beginning")?;
        text = rest.split_once(behind).context("the example's end")?.0.to_owned();
    }
    for place in ["/usr/share/", "/usr/lib/", "/var/cache/", "/var/lib/"] {
        for mark in [" ", "\""] {
            let there = format!("{mark}{}{place}", files.display());
            text = text.replace(&format!("{mark}{place}"), &there);
        }
    }
    Ok(text)
}

/// What one server answers with all of them.
fn heard(kind: Kind) -> Result<Vec<String>> {
    let root = tree()?;
    for module in ["cgid.load", "cgid.conf"] {
        let link = root.join("mods-enabled").join(module);
        if !link.exists() {
            symlink(format!("../mods-available/{module}"), link)?;
        }
    }
    for snippet in &SNIPPETS {
        let package = snippet.package;
        let name = format!("snippet-{package}");
        let files = packages::unpacked(
            &packages::programs(env!("CARGO_TARGET_TMPDIR"))?,
            &name,
            &[package],
            |_, _| Ok(()),
        )?;
        let name = format!("conf-enabled/{package}.conf");
        // That a package is installed here is no reason to read its file twice.
        let _ = std::fs::remove_file(root.join(&name));
        root.write(&name, text(snippet, &files)?.as_bytes())?;
    }
    let server = start(kind, &root)?;
    let mut answers = Vec::new();
    for target in SNIPPETS.iter().flat_map(|snippet| snippet.targets) {
        let answer = ask(&root, &format!("GET {target}"), &[])?;
        ensure!(answer.status != 500, "{target}: {answer}");
        answers.push(normal::without_framing(&normal::response(&answer, &root)));
    }
    server.stop()?;
    Ok(answers)
}

#[test]
fn packages_files_are_served_as_apache_serves_them() -> Result<()> {
    let (theirs, ours) = (heard(Kind::Apache)?, heard(Kind::Ours)?);
    let targets = SNIPPETS.iter().flat_map(|snippet| snippet.targets);
    let mut differences = String::new();
    for ((target, theirs), ours) in targets.zip(&theirs).zip(&ours) {
        if theirs != ours {
            differences += &format!("{target}\napache2:\n{theirs}\nours:\n{ours}\n\n");
        }
    }
    ensure!(differences.is_empty(), "{differences}");
    // Some of it is there, and some is closed.
    for status in ["200", "301", "403", "404"] {
        let is_there = ours.iter().any(|answer| answer.starts_with(status));
        ensure!(is_there, "nothing is answered {status}: {ours:?}");
    }
    Ok(())
}
