//! `testdata/explain`: a configuration, and for each question behind `#-- questions` what
//! `fcgi-conf explain` says. A question is `METHOD URL`, then behind bars fields of the
//! request, answers (`answer what=…`) and the client's address (`client …`).

use std::path::Path;
use std::sync::Arc;

use directives::bundle::Files;
use directives::compile;
use directives::explain::{Answers, Explanation, Question, explain};

use crate::common::world::World;

const QUESTIONS: &str = "#-- questions\n";

/// The words are the expected ones, and the other forms are sound.
pub fn check(path: &Path) {
    let text = std::fs::read_to_string(path).expect("a configuration");
    let (case, questions) = text.split_once(QUESTIONS).expect("questions");
    let world: Arc<dyn Files> = Arc::new(World::parse(case));
    let compiled = compile(&World::entry(&[]), &*world);
    assert!(!compiled.failed(), "{:?}", compiled.diagnostics);
    let mut out = format!("{case}{QUESTIONS}");
    for line in questions.lines().filter(|line| line.starts_with(char::is_alphabetic)) {
        let (question, answers) = asked(line);
        let told = explain(&compiled, &world, &question, &answers, 1_600_000_000_000_000);
        let told = told.expect("a configuration that compiles");
        links_lead_somewhere(&told.html());
        is_json(&told);
        out += &format!("{line}\n");
        for line in told.text().lines() {
            out += if line.is_empty() { "\n" } else { "    " };
            if !line.is_empty() {
                out += &format!("{line}\n");
            }
        }
    }
    expect_test::expect_file![path].assert_eq(&out);
}

fn asked(line: &str) -> (Question, Answers) {
    let mut parts = line.split(" | ");
    let (method, url) =
        parts.next().and_then(|part| part.split_once(' ')).expect("a question");
    let (mut fields, mut answers, mut client) = (Vec::new(), Answers::default(), None);
    for part in parts {
        match part.split_once(' ') {
            Some(("answer", answer)) => answers.add(answer).expect("an answer"),
            Some(("client", address)) => {
                client = Some(address.parse().expect("an address"));
            }
            _ => fields.push(part.to_owned()),
        }
    }
    let mut question = Question::new(method, url, &fields).expect("a question");
    question.client = client.unwrap_or(question.client);
    (question, answers)
}

/// Every link of the page leads to a line on it, and no line is there twice.
fn links_lead_somewhere(page: &str) {
    let after = |mark: &str| -> Vec<String> {
        let parts = page.split(mark).skip(1);
        parts.map(|part| part.split('"').next().unwrap_or_default().to_owned()).collect()
    };
    let (mut ids, links) = (after(" id=\""), after("href=\"#"));
    assert!(!links.is_empty());
    for link in &links {
        assert!(ids.contains(link), "{link} leads nowhere");
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "a line is there twice");
    assert!(!page.contains("http-equiv") && !page.contains("src="), "it needs others");
}

fn is_json(told: &Explanation) {
    let value: serde_json::Value = serde_json::from_str(&told.json()).expect("JSON");
    assert_eq!(value["calls"].as_array().map(Vec::len), Some(told.calls.len()));
    assert_eq!(value["answer"]["status"], *told.status);
}
