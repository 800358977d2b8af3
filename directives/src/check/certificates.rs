//! Certificates: until when they are good, and whether their keys are theirs.

use crate::Snapshot;
use crate::diagnostic::{Diagnostic, codes};
use crate::modules::ssl::{self, Given, pem};

/// How long before its end a certificate is worth a warning: seconds.
const SOON: i64 = 14 * 24 * 3600;

/// What is wrong with the certificates of a configuration at a moment, seconds since 1970.
pub fn certificates(snapshot: &Snapshot, now: i64) -> Vec<Diagnostic> {
    let mut out: Vec<Diagnostic> = Vec::new();
    for server in &snapshot.servers {
        if !ssl::is_on(snapshot, server) {
            continue;
        }
        let ssl = &server.config.ssl;
        for (index, given) in ssl.certificates.iter().enumerate() {
            let blocks = pem::blocks(&given.bytes);
            let Some(first) = blocks.iter().find(|block| block.label == "CERTIFICATE")
            else {
                out.push(found(given, "holds no certificate".to_owned()));
                continue;
            };
            let Some((since, until)) = ssl::validity(&first.contents) else {
                out.push(found(
                    given,
                    "holds no certificate that can be read".to_owned(),
                ));
                continue;
            };
            let date = |seconds: i64| {
                jiff::Timestamp::from_second(seconds)
                    .map_or_else(|_| seconds.to_string(), |time| time.to_string())
            };
            if now < since {
                out.push(found(given, format!("is not good before {}", date(since))));
            } else if now >= until {
                out.push(found(
                    given,
                    format!("has not been good since {}", date(until)),
                ));
            } else if until - now < SOON {
                let days = (until - now) / (24 * 3600);
                out.push(found(
                    given,
                    format!("is good until {}: {days} more days", date(until)),
                ));
            }
            // Without a key of its own it is in the same file.
            let key = match ssl.keys.get(index) {
                Some(key) => pem::blocks(key.secret.bytes()),
                None => blocks.clone(),
            };
            let key = key.iter().find(|block| block.label.ends_with("PRIVATE KEY"));
            match key.map(|key| ssl::fits(&first.contents, &key.contents)) {
                Some(Some(false)) => {
                    out.push(found(
                        given,
                        "is not of the key that it is used with".to_owned(),
                    ));
                }
                None => out.push(found(given, "has no private key".to_owned())),
                Some(_) => {}
            }
        }
    }
    // Hosts inherit them.
    out.dedup_by_key(|found| (found.span.map(|span| span.start), found.message.clone()));
    out
}

fn found(given: &Given, what: String) -> Diagnostic {
    let name = String::from_utf8_lossy(&given.path);
    let message = format!("the certificate {name} {what}");
    Diagnostic::new(&codes::CHECK_CERTIFICATE, message, given.span, given.line)
}
