//! Two answers to one request: what differs, after what is bound to differ was taken out.

use std::collections::BTreeMap;

use fancy_regex::Regex;

/// What a server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields, in order.
    pub fields: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `status`, `header`, `body`, `variable` or `failure`.
    pub kind: &'static str,
    /// The field or variable; empty for others.
    pub name: String,
    /// What the old server said; empty for nothing.
    pub old: String,
    /// What the new one said.
    pub new: String,
}

/// What is not compared.
#[derive(Debug, Default)]
pub struct Rules {
    /// Fields besides [`FIELDS`], in lower case.
    pub ignored: Vec<String>,
    /// Pieces of values and bodies that do not count.
    pub masks: Vec<Regex>,
    /// How the servers name themselves: `host:port` of each.
    pub bases: [String; 2],
    /// The bodies are environments, a line `NAME=value` each.
    pub environment: bool,
}

/// Fields that say something about the moment, the connection, or the program.
pub const FIELDS: [&str; 7] = [
    "date",
    "server",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "age",
];

/// Variables that do.
pub const VARIABLES: [&str; 7] = [
    "REMOTE_PORT",
    "SERVER_SOFTWARE",
    "SERVER_SIGNATURE",
    "PATH",
    "UNIQUE_ID",
    "REQUEST_TIME",
    "REQUEST_TIME_FLOAT",
];

impl Rules {
    /// The rules, a sentence each.
    pub fn shown(&self) -> Vec<String> {
        let mut out = vec![
            format!("fields that are not compared: {}", FIELDS.join(", ")),
            "fields are compared whatever their order and the case of their names"
                .to_owned(),
            "the values of cookies are not compared, their names and attributes are"
                .to_owned(),
            "Allow and Vary are compared as sets".to_owned(),
            "a server's own host and port count as the other's".to_owned(),
            "the line of the server's signature on its own pages is not compared"
                .to_owned(),
        ];
        if !self.ignored.is_empty() {
            out.push(format!("fields that were named: {}", self.ignored.join(", ")));
        }
        for mask in &self.masks {
            out.push(format!("what matches {} is not compared", mask.as_str()));
        }
        if self.environment {
            let names = VARIABLES.join(", ");
            out.push(format!("bodies are environments; variables not compared: {names}"));
        }
        out
    }

    /// All differences of two answers.
    pub fn compare(&self, old: &Answer, new: &Answer) -> Vec<Difference> {
        let mut out = Vec::new();
        if old.status != new.status {
            out.push(Difference {
                kind: "status",
                name: String::new(),
                old: old.status.to_string(),
                new: new.status.to_string(),
            });
        }
        let (a, b) = (self.fields(old), self.fields(new));
        differences("header", &a, &b, &mut out);
        if self.environment {
            let (a, b) = (self.variables(old), self.variables(new));
            differences("variable", &a, &b, &mut out);
            return out;
        }
        let (a, b) = (self.body(old), self.body(new));
        if a != b {
            let (old, new) = first_difference(&a, &b);
            out.push(Difference { kind: "body", name: String::new(), old, new });
        }
        out
    }

    fn fields(&self, answer: &Answer) -> BTreeMap<String, Vec<String>> {
        let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &answer.fields {
            let name = name.to_ascii_lowercase();
            if FIELDS.contains(&name.as_str()) || self.ignored.contains(&name) {
                continue;
            }
            let value = match name.as_str() {
                "set-cookie" => cookie(value),
                // Sets, whatever their order.
                "allow" | "vary" => {
                    let mut words: Vec<&str> = value.split(',').map(str::trim).collect();
                    words.sort_unstable();
                    words.join(", ")
                }
                _ => value.clone(),
            };
            out.entry(name).or_default().push(self.masked(&value));
        }
        for values in out.values_mut() {
            values.sort();
        }
        out
    }

    fn variables(&self, answer: &Answer) -> BTreeMap<String, Vec<String>> {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            if !VARIABLES.contains(&name) {
                out.entry(name.to_owned()).or_default().push(self.masked(value));
            }
        }
        out
    }

    /// What is no text is compared byte for byte.
    fn body(&self, answer: &Answer) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(&answer.body) else {
            return answer.body.clone();
        };
        let text = self.masked(text);
        let kept = text.split_inclusive('\n').filter(|line| {
            !(line.starts_with("<address>") && line.contains("Server at"))
        });
        kept.collect::<String>().into_bytes()
    }

    fn masked(&self, text: &str) -> String {
        let mut out = text.to_owned();
        // Both are told the same Host, and one of them is not the one that it names.
        for base in self.bases.iter().filter(|base| !base.is_empty()) {
            out = out.replace(base, "{server}");
        }
        for mask in &self.masks {
            out = mask.replace_all(&out, "{masked}").into_owned();
        }
        out
    }
}

/// A cookie without its value.
fn cookie(value: &str) -> String {
    let (pair, rest) = value.split_once(';').unwrap_or((value, ""));
    let name = pair.split('=').next().unwrap_or_default();
    // The moment of its end depends on the moment of its beginning.
    let rest = rest.split(';').map(|part| {
        let is_moment = part.trim_start().to_ascii_lowercase().starts_with("expires=");
        if is_moment { " expires" } else { part }
    });
    format!("{name}={{value}};{}", rest.collect::<Vec<_>>().join(";"))
}

fn differences(
    kind: &'static str,
    a: &BTreeMap<String, Vec<String>>,
    b: &BTreeMap<String, Vec<String>>,
    out: &mut Vec<Difference>,
) {
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for name in names {
        let shown = |of: &BTreeMap<String, Vec<String>>| {
            of.get(name).map(|values| values.join(" | ")).unwrap_or_default()
        };
        if a.get(name) != b.get(name) {
            let (old, new) = (shown(a), shown(b));
            out.push(Difference { kind, name: name.clone(), old, new });
        }
    }
}

/// How much of a line is shown.
const SHOWN: usize = 200;

/// The first lines that differ, with their numbers.
fn first_difference(a: &[u8], b: &[u8]) -> (String, String) {
    let (a, b) = (a.split(|b| *b == b'\n'), b.split(|b| *b == b'\n'));
    let (a, b): (Vec<_>, Vec<_>) = (a.collect(), b.collect());
    let longest = a.len().max(b.len());
    let at = (0..longest).find(|i| a.get(*i) != b.get(*i)).unwrap_or(0);
    let shown = |lines: &[&[u8]]| match lines.get(at) {
        None => format!("line {}: (end)", at + 1),
        Some(line) => {
            let text: String =
                String::from_utf8_lossy(line).chars().take(SHOWN).collect();
            format!("line {}: {text}", at + 1)
        }
    };
    (shown(&a), shown(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, fields: &[(&str, &str)], body: &str) -> Answer {
        let fields =
            fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Answer { status, fields, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn what_has_to_differ_does_not_count() {
        let bases = ["old:1".to_owned(), "new:2".to_owned()];
        let rules = Rules { bases, ..Rules::default() };
        let old = answer(
            302,
            &[
                ("Date", "x"),
                ("A", "1"),
                ("location", "http://old:1/x"),
                ("Set-Cookie", "s=1; Path=/"),
            ],
            "a\n<address>Apache Server at old:1</address>\n",
        );
        let new = answer(
            302,
            &[("Set-Cookie", "s=2; Path=/"), ("Location", "http://new:2/x"), ("a", "1")],
            "a\n<address>fcgi-httpd Server at new:2</address>\n",
        );
        assert_eq!(rules.compare(&old, &new), []);
        let worse = answer(200, &[("Set-Cookie", "t=2; Path=/"), ("a", "2")], "a\nb");
        let found: Vec<String> = rules
            .compare(&old, &worse)
            .iter()
            .map(|d| format!("{} {}: {} -> {}", d.kind, d.name, d.old, d.new))
            .collect();
        assert_eq!(
            found,
            [
                "status : 302 -> 200",
                "header a: 1 -> 2",
                "header location: http://{server}/x -> ",
                "header set-cookie: s={value}; Path=/ -> t={value}; Path=/",
                "body : line 2:  -> line 2: b",
            ]
        );
    }

    #[test]
    fn environments_and_masks() {
        let masks = vec![Regex::new("id-[0-9]+").expect("a pattern")];
        let rules = Rules { environment: true, masks, ..Rules::default() };
        let old = answer(200, &[], "A=id-1\nREMOTE_PORT=1\nGONE=1\n");
        let new = answer(200, &[], "NEW=2\nREMOTE_PORT=2\nA=id-2\n");
        let names: Vec<String> = rules
            .compare(&old, &new)
            .iter()
            .map(|d| format!("{} {}", d.kind, d.name))
            .collect();
        assert_eq!(names, ["variable GONE", "variable NEW"]);
    }
}
