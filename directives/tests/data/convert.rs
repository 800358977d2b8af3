//! `testdata/convert`: a configuration, and behind `#-- changes` what `fcgi-conf convert`
//! makes of it: the diff of what is safe, then the diff of what is not, then the reasons.

use std::path::Path;
use std::sync::Arc;

use directives::bundle::Files;
use directives::compile;
use directives::convert::diff;
use directives::convert::edit::{Change, applied, changes};
use directives::explain::{Answers, Question, explain};
use directives::syntax::FileId;

use crate::common::world::World;

const CHANGES: &str = "#-- changes\n";

/// The changes are the expected ones, and the laws hold.
pub fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("a configuration");
    let case = text.split(CHANGES).next().unwrap_or_default();
    let world = World::parse(case);
    let (safe, first) = step(&world, |change| change.safe);
    let (all, second) = step(&safe, |_| true);
    let mut out = format!("{case}{CHANGES}{first}# not applied\n{second}");
    let (again, nothing) = step(&safe, |change| change.safe);
    assert_eq!(nothing, "", "converting twice changes more");
    let (_, nothing) = step(&all, |_| true);
    assert_eq!(nothing, "", "converting everything twice changes more");
    drop(again);
    let compiled = compile(&World::entry(&[]), &world);
    for change in changes(&compiled) {
        let line = compiled.sources.line(change.span.file, change.span.start);
        let name = compiled.sources.name(change.span.file);
        let sign = if change.safe { "safe" } else { "shown" };
        out += &format!("# {name}:{line}: {sign}: {}\n", change.why);
    }
    let_in_the_same(&world, &safe);
    // What was translated in full is a configuration of this server.
    let compiled = compile(&World::entry(&["ServerName h"]), &all);
    for found in compiled.diagnostics.iter().filter(|found| found.is_error()) {
        out += &format!("# then {}\n", found.message);
    }
    expect_test::expect_file![path].assert_eq(&out);
}

/// Clients from everywhere come as far as they came before.
fn let_in_the_same(before: &World, after: &World) {
    let statuses = |world: &World| -> Option<Vec<String>> {
        let files: Arc<dyn Files> = Arc::new(world.clone());
        let compiled = compile(&World::entry(&["ServerName h"]), &*files);
        let mut out = Vec::new();
        for path in ["", "inside/x", "some", "most/x", ".htaccess", "app", "x.php"] {
            for client in
                ["127.0.0.1", "10.1.2.3", "10.0.0.1", "10.0.0.7", "192.0.2.9", "::1"]
            {
                for name in ["", "a.example.org", "b.example.com"] {
                    let mut answers = Answers::default();
                    answers.add(&format!("name={name}")).expect("a name");
                    answers.add(&format!("address.{name}={client}")).expect("an address");
                    let url = format!("http://h/{path}");
                    let mut question = Question::new("GET", &url, &[]).expect("a URL");
                    question.client = client.parse().expect("an address");
                    let told = explain(&compiled, &files, &question, &answers, 0)?;
                    out.push(format!("{path} {client} {name}: {}", told.status));
                }
            }
        }
        Some(out)
    };
    assert_eq!(statuses(before), statuses(after));
}

/// The world with some changes, and the diff that leads to it.
fn step(world: &World, wanted: fn(&Change) -> bool) -> (World, String) {
    let compiled = compile(&World::entry(&[]), world);
    let all = changes(&compiled);
    let (mut next, mut out) = (world.clone(), String::new());
    for (index, source) in compiled.sources.iter().enumerate().filter(|(_, s)| s.is_file)
    {
        let new = applied(&source.bytes, FileId(index as u32), &all, wanted);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        out += &diff::unified(&source.name, &text(&source.bytes), &text(&new));
        next.add(&source.name, &new);
    }
    (next, out)
}
