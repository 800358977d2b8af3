//! What all commands have in common: their pages, and what a wrong command line is told.

use std::process::{Command, Output};

use compat_tests::server::built;

/// Runs the tool as it is.
pub fn run(args: &[&str]) -> Output {
    let program = built("fcgi-conf");
    assert!(program.exists(), "{} is not there: cargo build", program.display());
    Command::new(program).args(args).output().expect("fcgi-conf")
}

/// Standard output, which has to be text.
pub fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for args in [
        &["check", "-x"][..],
        &["check", "--format", "xml"],
        &["check", "-f"],
        &["check", "file"],
        &["explain", "GET"],
        &["explain", "GET", "/x"],
        &["explain", "GET", "http://h/", "--answer", "access"],
        &["chek"],
        &[],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let command = args.first().filter(|name| **name != "chek").unwrap_or(&"command");
        assert!(said.contains(&format!("Usage: fcgi-conf {command}")), "{said}");
    }
}

/// Every command of the overview has a page, which says what it is called by.
#[test]
fn every_command_has_a_page() {
    let overview = run(&["--help"]);
    assert_eq!(
        (overview.status.code(), text(&overview)),
        (Some(0), text(&run(&["help"])))
    );
    let overview = text(&overview);
    let lines = overview.lines().filter_map(|line| line.strip_prefix("  "));
    let names: Vec<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"check") && names.contains(&"explain"), "{overview}");
    for name in names {
        let page = run(&[name, "--help"]);
        assert_eq!(page.status.code(), Some(0), "{name}");
        assert!(text(&page).starts_with(&format!("Usage: fcgi-conf {name}")), "{name}");
        assert_eq!(text(&page), text(&run(&["help", name])));
    }
}
