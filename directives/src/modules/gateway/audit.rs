//! `GatewayLog`: one line for each decision. What could open a door again is not in it:
//! values of queries, cookies, credentials.

use std::sync::Arc;

use bytes::Bytes;

use super::Decision;
use crate::modules::log_config::{self, Target, escape, zoned};
use crate::request::Request;
use crate::schema::{Context, Directive, Problem, Set};

/// One log of decisions.
#[derive(Clone, Debug)]
pub struct AuditLog {
    /// Where its lines go.
    pub target: Target,
    format: Arc<[Piece]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Letter(char),
    Header(String),
}

const DEFAULT: &str = "%t %d %s %a \"%u\" \"%m %v%U\" %p \"%A\" %C %D";

pub(super) static GATEWAY_LOG: Directive = Directive {
    name: "GatewayLog",
    syntax: "file|pipe [format]",
    context: Context::SERVERS,
    summary: "a file or a program for lines about decisions, and their format",
    docs: r#"
A line for each decision: for every request to a `GatewayService`, and for every other one that
a section with rules let in or refused. A virtual host with a log of its own does not
write to the main server's. In the format stand

| | |
|---|---|
| `%a` | the client's address |
| `%c` | the address of the server that asked, `-` for none |
| `%g` | its dialect, `-` for none |
| `%u` | the user, `-` for none |
| `%m` | the method |
| `%v` | the virtual host |
| `%U` | the path, and the names in the query: `/a?token=…` |
| `%p` | the phase that ended it: `access`, `authentication`, `authorization`, `preflight`; `request` for what came before |
| `%A` | the application that was asked last, `-` for none |
| `%d` | `allow`, `deny`, `redirect` or `error` |
| `%s` | the status of a refusal, 200 for none |
| `%C` | `hit` or `miss` where answers are kept, else `-` |
| `%D` | milliseconds until then, with three decimals |
| `%t` | the time, in UTC |
| `%{name}i` | a request header; cookies and credentials are shown as `…` |
| `%%` | a per cent sign |

The default is `%t %d %s %a "%u" "%m %v%U" %p "%A" %C %D`.

## Example
    GatewayLog logs/decisions
    GatewayLog "|/usr/bin/logger -t gateway" "%d %u %A %{User-Agent}i"
"#,
    set: Set::OneOrTwo(|at, file, format| {
        let target = log_config::target(at, file)?;
        let format = match format {
            Some(word) => {
                parse(word.text()?).map_err(|why| Problem::from(why).at(word.span))?
            }
            None => parse(DEFAULT)?,
        };
        at.server.gateway().logs.push(AuditLog { target, format: format.into() });
        Ok(())
    }),
    ..Directive::EXACT
};

fn parse(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            plain.push('%');
            rest = after;
            continue;
        }
        pieces.push(Piece::Text(std::mem::take(&mut plain)));
        if let Some(after) = rest.strip_prefix('{') {
            let (name, after) =
                after.split_once("}i").ok_or("GatewayLog: %{name}i is not complete")?;
            http::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("GatewayLog: \"{name}\" is no header's name"))?;
            pieces.push(Piece::Header(name.to_owned()));
            rest = after;
            continue;
        }
        let letter =
            rest.chars().next().filter(|letter| "acgumvUpAdsCDt".contains(*letter));
        let letter = letter.ok_or_else(|| {
            format!("GatewayLog: unknown format %{}", rest.chars().next().unwrap_or(' '))
        })?;
        pieces.push(Piece::Letter(letter));
        rest = &rest[1..];
    }
    plain.push_str(rest);
    plain.push('\n');
    pieces.push(Piece::Text(plain));
    Ok(pieces)
}

/// Calls `write` with every log's target and line, if something was decided.
pub fn audit(r: &Request, mut write: impl FnMut(&Target, Vec<u8>)) {
    let Some(decision) = &r.decision else { return };
    for log in &r.server.config.gateway.logs {
        write(&log.target, line(&log.format, r, decision));
    }
}

fn line(format: &[Piece], r: &Request, decision: &Decision) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    // An error document has not been asked for.
    let asked = r.first();
    for piece in format {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Letter(letter) => value(*letter, asked, r, decision, &mut out),
            Piece::Header(name) => header(asked, name, &mut out),
        }
    }
    out
}

fn value(
    letter: char,
    asked: &Request,
    last: &Request,
    decision: &Decision,
    out: &mut Vec<u8>,
) {
    let mut text = |text: &str| escape(text.as_bytes(), out);
    match letter {
        'a' => text(&asked.useragent_ip.to_string()),
        'c' => text(&decision.caller.map_or("-".to_owned(), |(_, ip)| ip.to_string())),
        'g' => text(decision.caller.map_or("-", |(dialect, _)| dialect)),
        'u' => match user(asked).or_else(|| user(last)) {
            Some(user) => escape(&user, out),
            None => text("-"),
        },
        'm' => text(asked.original_method.as_str()),
        'v' => text(asked.server.config.core.server_name.as_deref().unwrap_or("-")),
        'U' => escape_uri(&asked.unparsed_uri, out),
        'p' => text(decision.phase),
        'A' => escape(decision.application.as_deref().unwrap_or(b"-"), out),
        'd' => text(decision.outcome()),
        's' => text(&decision.status.to_string()),
        'C' => text(match decision.cached {
            Some(true) => "hit",
            Some(false) => "miss",
            None => "-",
        }),
        'D' => text(&format!("{:.3}", decision.took as f64 / 1000.0)),
        _ => {
            let time = zoned(asked.request_time, 0);
            let shown =
                time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string());
            text(&shown.unwrap_or_default());
        }
    }
}

fn user(r: &Request) -> Option<Bytes> {
    r.user.clone().or_else(|| r.env.get(b"REMOTE_USER").cloned())
}

/// The path and the names of the query.
fn escape_uri(uri: &[u8], out: &mut Vec<u8>) {
    let (path, query) = match uri.iter().position(|&b| b == b'?') {
        Some(mark) => (&uri[..mark], Some(&uri[mark + 1..])),
        None => (uri, None),
    };
    escape(path, out);
    let Some(query) = query else { return };
    for (i, pair) in query.split(|&b| b == b'&').enumerate() {
        out.push(if i == 0 { b'?' } else { b'&' });
        match pair.iter().position(|&b| b == b'=') {
            Some(end) => {
                escape(&pair[..end], out);
                out.extend_from_slice("=…".as_bytes());
            }
            // A query without names may be a secret itself.
            None if pair.is_empty() => {}
            None => out.extend_from_slice("…".as_bytes()),
        }
    }
}

fn header(r: &Request, name: &str, out: &mut Vec<u8>) {
    let lower = name.to_ascii_lowercase();
    let is_secret = ["authorization", "cookie", "token", "secret", "password", "api-key"]
        .iter()
        .any(|word| lower.contains(word));
    match r.header(&lower) {
        None => out.push(b'-'),
        Some(_) if is_secret => out.extend_from_slice("…".as_bytes()),
        // A URL that somebody came from has a query as well.
        Some(value) if lower == "referer" => escape_uri(&value, out),
        Some(value) => escape(&value, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_checked() {
        assert!(parse(DEFAULT).is_ok());
        assert_eq!(parse("100%% %d").unwrap().len(), 3);
        for wrong in ["%", "%Z", "%{a", "%{a}x", "%{a b}i"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_of_queries_are_not_shown() {
        let shown = |uri: &str| {
            let mut out = Vec::new();
            escape_uri(uri.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown("/a?b=secret&c=&secret&d=1=2"), "/a?b=…&c=…&…&d=…");
        assert_eq!(shown("/a?"), "/a?");
        assert_eq!(shown("/a\n\"b"), "/a\\n\\\"b");
    }
}
