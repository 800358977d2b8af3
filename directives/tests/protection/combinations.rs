//! Every combination. What nobody asks cannot matter, so a run branches only where an
//! application is asked, and stands for all answers that were not; the rules have to say
//! the same for all of them.

use std::time::Instant;

use http::{HeaderMap, HeaderValue, header};

use crate::case::{Case, Credentials, Outcome, PHASES, Require, Setting};
use crate::exchange::{Asked, Exchange, Server, nonce, password, response};
use crate::oracle;

const SETTINGS: [Setting; 3] =
    [Setting::Absent, Setting::Authoritative, Setting::NotAuthoritative];
const REQUIRES: [Require; 5] = [
    Require::Nothing,
    Require::AllGranted,
    Require::AllDenied,
    Require::ValidUser,
    Require::OtherUser,
];
pub const CREDENTIALS: [Credentials; 3] =
    [Credentials::Nothing, Credentials::RightPassword, Credentials::WrongPassword];

/// What says the same of the user as Basic does.
const DIGEST: &str = "Digest username=\"user\", realm=\"realm\", uri=\"/app\", \
    nonce=\"AAAAAAAAAAA=0123456789012345678901234567890123456789\", \
    response=\"0123456789abcdef0123456789abcdef\", qop=auth, nc=00000001, cnonce=\"x\"";

/// How many of what.
#[derive(Debug, Default)]
struct Tally {
    configurations: usize,
    runs: usize,
    combinations: usize,
    opened: usize,
}

#[test]
#[expect(clippy::print_stdout, reason = "how much was tried belongs to the result")]
fn only_consent_opens_and_consent_does() {
    let began = Instant::now();
    let mut tally = Tally::default();
    for case in configurations() {
        tally.configurations += 1;
        let server = Server::new(&case.configuration());
        for credentials in CREDENTIALS {
            let case = Case { credentials, ..case };
            branch(&server, &case, &HeaderMap::new(), |said, exchange| {
                judge(&case, said, exchange, &mut tally);
            });
        }
    }
    println!("{tally:?} in {:?}", began.elapsed());
    assert!(tally.opened > 0 && tally.opened < tally.combinations);
}

pub fn configurations() -> impl Iterator<Item = Case> {
    let kinds = [(false, false), (true, false), (true, true)];
    let switches = kinds.map(|kind| [(false, kind), (true, kind)]).concat();
    (0..27).flat_map(move |n| {
        let settings = [SETTINGS[n / 9], SETTINGS[n / 3 % 3], SETTINGS[n % 3]];
        // Passing on what applications say makes no difference where there are none.
        let passing: &[bool] = if n == 0 { &[false] } else { &[false, true] };
        let switches = switches.clone();
        passing.iter().flat_map(move |&pass_response| {
            let switches = switches.clone();
            switches.into_iter().flat_map(move |(satisfy_any, (typed, digest))| {
                REQUIRES.into_iter().map(move |require| Case {
                    settings,
                    pass_response,
                    satisfy_any,
                    typed,
                    digest,
                    require,
                    credentials: Credentials::Nothing,
                })
            })
        })
    })
}

/// Runs a case with every series of answers that it asks for, and has each run judged;
/// requests have these fields besides.
pub fn branch(
    server: &Server,
    case: &Case,
    fields: &HeaderMap,
    mut judge: impl FnMut([Option<Outcome>; 3], &Exchange),
) {
    let mut fields = fields.clone();
    if case.credentials != Credentials::Nothing {
        // user:password
        let value = if case.digest { DIGEST } else { "Basic dXNlcjpwYXNzd29yZA==" };
        let value = HeaderValue::from_static(value);
        fields.insert(header::AUTHORIZATION, value);
    }
    // The answers so far, as indices.
    let mut answers: Vec<usize> = Vec::new();
    loop {
        let mut said = [None; 3];
        let mut asked = 0;
        let exchange = server.get(&fields, |question| match question {
            Asked::Password => password(case.credentials == Credentials::RightPassword),
            // Wrong is in one half of all cases the response, in the other one the nonce.
            Asked::Response => {
                let is_right = case.credentials == Credentials::RightPassword;
                response(is_right || !case.pass_response)
            }
            Asked::Nonce => nonce(case.credentials == Credentials::RightPassword),
            Asked::Rest(phase) => said[phase as usize].map_or_else(
                || panic!("{phase:?} has said nothing"),
                |outcome: Outcome| outcome.rest(),
            ),
            Asked::Phase(phase, ..) => {
                if asked == answers.len() {
                    answers.push(0);
                }
                let outcome = Outcome::ALL[answers[asked]];
                asked += 1;
                let before = said[phase as usize].replace(outcome);
                assert_eq!(before, None, "{phase:?} is asked twice: {case:?}");
                outcome.answer()
            }
        });
        assert_eq!(asked, answers.len(), "the same answers, other questions: {case:?}");
        judge(said, &exchange);
        // The next series.
        while let Some(last) = answers.last_mut() {
            *last += 1;
            if *last < Outcome::ALL.len() {
                break;
            }
            answers.pop();
        }
        if answers.is_empty() {
            return;
        }
    }
}

/// Compares what happened with what the rules say, for all answers that were not asked.
fn judge(
    case: &Case,
    said: [Option<Outcome>; 3],
    exchange: &Exchange,
    tally: &mut Tally,
) {
    tally.runs += 1;
    let status = exchange.reply.status;
    let is_open = exchange.handler.is_some();
    let shown = || format!("{case:?} {said:?}\n{}", case.configuration());
    assert_eq!(is_open, status == 200, "status {status}: {}", shown());
    for outcomes in completions(case, said) {
        tally.combinations += 1;
        tally.opened += usize::from(is_open);
        let opens = oracle::opens(case, outcomes);
        assert!(opens == is_open, "opens: {is_open}, should: {opens}, {}", shown());
    }
    let Some(variables) = &exchange.handler else { return };
    for name in ["REMOTE_PASSWD", "FCGI_APACHE_ROLE"] {
        let leaks = variables.iter().any(|(known, _)| known == name.as_bytes());
        assert!(!leaks, "{name} leaks: {}", shown());
    }
    for name in ["X-Denied", "Location", "WWW-Authenticate"] {
        let headers = &exchange.reply.headers;
        assert!(!headers.has(name), "{name} of a denial in a success: {}", shown());
    }
    // Failing open is said in the log.
    for phase in PHASES {
        let refused = said[phase as usize].is_some_and(Outcome::refuses);
        if refused && case.settings[phase as usize] == Setting::NotAuthoritative {
            let line =
                format!("FastCgi{phase:?} did not agree, and is not authoritative");
            let is_logged =
                exchange.log.iter().any(|known| known.text.starts_with(line.as_bytes()));
            assert!(is_logged, "nothing is logged of {phase:?}: {}", shown());
        }
    }
}

/// All combinations that a run stands for: any answer of applications that are there and
/// were not asked.
pub fn completions(case: &Case, said: [Option<Outcome>; 3]) -> Vec<[Outcome; 3]> {
    let answers = |phase: usize| match (said[phase], case.settings[phase]) {
        (Some(outcome), _) => &Outcome::ALL[outcome as usize..=outcome as usize],
        (None, Setting::Absent) => &Outcome::ALL[..1],
        (None, _) => &Outcome::ALL[..],
    };
    let mut found = Vec::new();
    for &first in answers(0) {
        for &second in answers(1) {
            found.extend(answers(2).iter().map(|&third| [first, second, third]));
        }
    }
    found
}
