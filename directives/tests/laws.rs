//! Laws over the table of directives and the list of diagnostics, and what is made from
//! them. `UPDATE_EXPECT=1` writes the files anew.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use common::TESTDATA;
use common::world::World;
use directives::diagnostic::codes;
use directives::known::{self, Known};
use directives::modules::MODULES;
use directives::schema::lookup;
use directives::schema::{Args, Context, Directive, Override, Set, render};
use directives::{Diagnostic, compile};
use expect_test::expect_file;

fn all() -> impl Iterator<Item = &'static Directive> {
    MODULES.iter().flat_map(|module| module.directives).copied()
}

#[test]
fn names_are_unique_without_regard_to_case() {
    let mut seen = BTreeSet::new();
    for directive in all() {
        for name in std::iter::once(&directive.name).chain(directive.aliases) {
            assert!(seen.insert(name.to_ascii_lowercase()), "{name} stands twice");
        }
    }
    assert!(!seen.is_empty());
}

#[test]
fn declarations_are_complete() {
    for directive in all() {
        let name = directive.name;
        let no_words = matches!(directive.set, Set::None(_));
        // Containers of requirements, and what is left, have nothing behind their names.
        let bare = name.starts_with("<Require") || name == "<Else";
        assert!(no_words || bare || !directive.syntax.is_empty(), "{name} has no syntax");
        assert!(directive.context.allows(Context::ANYWHERE), "{name} may stand nowhere");
        let overridden = directive.overrides != Override::NONE;
        let in_htaccess = directive.context.allows(Context::HTACCESS);
        assert_eq!(overridden, in_htaccess, "{name}: .htaccess and AllowOverride");
        let docs = directive.docs;
        assert!(docs.trim().len() > 20, "{name} has no documentation");
        assert!(!example(directive).is_empty(), "{name} has no example");
    }
}

/// The lines of a declaration's example.
fn example(directive: &Directive) -> String {
    let (_, behind) = directive.docs.split_once("## Example\n").unwrap_or_default();
    let lines = behind.lines().take_while(|l| l.is_empty() || l.starts_with("    "));
    lines.map(|line| format!("{}\n", line.trim_start_matches("    "))).collect()
}

#[test]
fn examples_are_valid() {
    let mut wrong = String::new();
    for directive in all() {
        let text = example(directive);
        // An example may show what is announced, and not there yet.
        let error = first_error(&text).filter(|error| *error.code != codes::REFUSED);
        if let Some(error) = error {
            writeln!(wrong, "{}: {}", directive.name, error.message).expect("a string");
        }
    }
    assert_eq!(wrong, "");
}

/// The first error of a configuration.
fn first_error(text: &str) -> Option<Diagnostic> {
    // Behind it, what the examples name.
    let named = "#-- /srv/bin/sh mode=755\n#-- /usr/bin/php-cgi mode=755\n\
        #-- /usr/lib/fcgi-bin/auth.fcgi mode=755\n#-- /srv/run/\n#-- /dev/null\n\
        #-- /usr/bin/users mode=755\n\
        #-- /etc/ssl/certs/ssl-cert-snakeoil.pem\n-\n#-- /etc/ssl/certs/chain.pem\n-\n\
        #-- /etc/ssl/private/ssl-cert-snakeoil.key\n-\n#-- /etc/ssl/clients.pem\n-\n\
        #-- /etc/ssl/names.pem\n-\n#-- /etc/ssl/revoked.pem\n-\n#-- /etc/ssl/clients/\n\
        #-- /etc/ssl/private/machine.pem\n-\n#-- /etc/ssl/certs/ca-certificates.crt\n-\n\
        #-- /etc/ssl/names/\n#-- /etc/ssl/revoked/\n";
    let world = World::parse(&format!("{text}{named}"));
    let entry = World::entry(&["User www-data", "Group www-data"]);
    compile(&entry, &world).diagnostics.into_iter().find(Diagnostic::is_error)
}

/// What compiling says of a directive with these arguments, where it may stand.
fn complaint(directive: &Directive, args: &str) -> String {
    let name = directive.name;
    let mut text = match name.strip_prefix('<') {
        Some(bare) => format!("{name}{args}>\n</{bare}>\n"),
        None => format!("{name}{args}\n"),
    };
    if !directive.context.allows(Context::SERVER) {
        let around = if directive.context.allows(Context::VHOST) {
            ("<VirtualHost *:80>", "</VirtualHost>")
        } else {
            ("<Directory />", "</Directory>")
        };
        text = format!("{}\n{text}{}\n", around.0, around.1);
    }
    first_error(&text).map_or("(fine)".to_owned(), |error| error.message)
}

/// The words of httpd's `invoke_cmd` for each shape of arguments.
fn usage(set: &Set) -> Option<&'static str> {
    Some(match set {
        Set::None(_) => " takes no arguments",
        Set::One(_) | Set::Read(Args::One, _) => " takes one argument",
        Set::OneOrTwo(_) | Set::Read(Args::OneOrTwo, _) => " takes 1-2 arguments",
        Set::Two(_) | Set::Read(Args::Two, _) => " takes two arguments",
        Set::TwoOrThree(_) => " takes two or three arguments",
        Set::UpToThree(_) => " takes one, two or three arguments",
        Set::Flag(_) => " must be On or Off",
        Set::Each(_) | Set::Read(Args::Each, _) => " requires at least one argument",
        Set::FirstThenEach(_) => " requires at least two arguments",
        Set::Words(_) | Set::Raw(_) | Set::Section(_) | Set::Read(Args::Raw, _) => {
            return None;
        }
    })
}

#[test]
fn usage_errors_are_those_of_httpd() {
    let mut out = String::new();
    for directive in all() {
        let none = complaint(directive, "");
        let nine = complaint(directive, " a b c d e f g h i");
        writeln!(out, "{}\n    {none}\n    {nine}", directive.name).expect("a string");
        let Some(words) = usage(&directive.set) else { continue };
        let summary = match directive.set {
            Set::Flag(_) | Set::None(_) => "",
            _ => directive.summary,
        };
        let comma = if summary.is_empty() { "" } else { ", " };
        let expected = format!("{}{words}{comma}{summary}", directive.name);
        let takes_none = matches!(directive.set, Set::None(_));
        let takes_nine = matches!(
            directive.set,
            Set::Each(_) | Set::FirstThenEach(_) | Set::Read(Args::Each, _)
        );
        assert!(takes_none || none == expected, "{none} is not {expected}");
        assert!(takes_nine || nine == expected, "{nine} is not {expected}");
    }
    expect_file![format!("{TESTDATA}/usage.txt")].assert_eq(&out);
}

#[test]
fn what_real_configurations_use_is_known() {
    let path = format!("{TESTDATA}/implement.txt");
    let names = std::fs::read_to_string(path).expect("the census");
    for name in names.lines() {
        let declared = lookup::directive(name.as_bytes()).is_some();
        let known = known::find(name).is_some_and(|entry| match entry.known {
            Known::Refused(why) => why == "this server does not do this yet",
            Known::Ignored(_) => false,
        });
        assert!(declared || known, "{name} is neither declared nor announced");
    }
    assert_eq!(names.lines().count(), 179);
}

#[test]
fn numbers_of_diagnostics_are_never_used_again() {
    let mut by_number = BTreeMap::new();
    for code in codes::ALL {
        let line = format!("FC{:04} {:?} {}\n", code.number, code.severity, code.title);
        assert!(by_number.insert(code.number, line).is_none(), "{} twice", code.number);
    }
    let list: String = by_number.into_values().collect();
    expect_file![format!("{TESTDATA}/codes.txt")].assert_eq(&list);
}

#[test]
fn the_reference_is_fresh() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/REFERENCE.md");
    expect_file![file].assert_eq(&render::reference());
}
