//! Every combination again, asked about by another server: it is told yes where the handler
//! would have been reached, and nowhere else, whatever its dialect; and no handler is.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::case::{Case, Require, Setting};
use crate::combinations::{CREDENTIALS, branch, completions, configurations};
use crate::exchange::Server;
use crate::oracle;

/// A dialect, what it takes for consent, and the fields of its call.
type Way = (&'static str, u16, &'static [(&'static str, &'static str)]);

/// How the callers describe `GET /app`.
const DIALECTS: [Way; 3] = [
    (
        "nginx",
        204,
        &[
            ("x-original-method", "GET"),
            ("x-original-uri", "/app"),
            ("x-forwarded-host", "www.example.org"),
            ("x-forwarded-proto", "http"),
            ("x-real-ip", "203.0.113.7"),
        ],
    ),
    (
        "forward",
        200,
        &[
            ("x-forwarded-method", "GET"),
            ("x-forwarded-uri", "/app"),
            ("x-forwarded-host", "www.example.org"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-for", "203.0.113.7"),
        ],
    ),
    ("envoy", 200, &[("x-forwarded-proto", "http"), ("x-forwarded-for", "203.0.113.7")]),
];

#[test]
fn callers_are_told_what_clients_would_get() {
    let (mut runs, mut opened) = (0, 0);
    for (n, case) in configurations().enumerate() {
        // What the dialects differ in does not depend on who refused.
        let (dialect, yes, described) = DIALECTS[n % DIALECTS.len()];
        let lines = format!("GatewayService {dialect}\nGatewayTrust 192.0.2.1\n");
        let server = Server::new(&(lines + &case.configuration()));
        let fields: HeaderMap = described
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            })
            .collect();
        for credentials in CREDENTIALS {
            let case = Case { credentials, ..case };
            branch(&server, &case, &fields, |said, exchange| {
                let shown = || format!("{dialect} {case:?} {said:?}");
                assert!(exchange.handler.is_none(), "the handler is asked: {}", shown());
                let status = exchange.reply.status;
                let is_yes = status == yes;
                assert!(is_yes || status >= 300, "status {status}: {}", shown());
                for outcomes in completions(&case, said) {
                    // Where nothing is said, clients are let in and callers are not.
                    let should = oracle::opens(&case, outcomes) && says_something(&case);
                    assert!(is_yes == should, "{status}, should {should}: {}", shown());
                }
                runs += 1;
                opened += usize::from(is_yes);
            });
        }
    }
    assert!(opened > 0 && opened < runs, "{opened} of {runs}");
}

fn says_something(case: &Case) -> bool {
    case.require != Require::Nothing
        || case.settings.iter().any(|setting| *setting != Setting::Absent)
}
