//! The value of an expression for a request.

use bytes::Bytes;

use super::variable::Variable;
use super::{Cond, Condition, Glob, Ordering, Rules, Template, Test, Word};
use crate::bundle::{Kind, Meta};
use crate::fnmatch;
use crate::pattern::Groups;
use crate::phase;
use crate::request::Request;

/// What has to be found out before there is a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Whether a URL or a file can be had.
    Lookup(phase::Lookup),
    /// The client's host name.
    Name,
    /// The addresses of a host.
    Addresses(String),
}

/// What an expression is evaluated for.
pub struct Context<'a> {
    /// The request.
    pub r: &'a mut Request,
    rules: Rules,
    /// The last match of a regular expression that had groups.
    matched: Option<(Bytes, Groups)>,
    /// Header fields that were looked at.
    vary: Vec<Bytes>,
    error: Option<String>,
}

impl Condition {
    /// Does it hold? An error is logged by the caller, who decides what it means.
    pub fn holds(&self, r: &mut Request) -> Result<Result<bool, String>, Want> {
        let mut at = Context::new(r, self.rules);
        let holds = at.cond(&self.root)?;
        Ok(at.done(holds))
    }

    /// The same, with the groups of the last regular expression that matched.
    pub fn holds_with(
        &self,
        r: &mut Request,
        matched: &mut Option<(Bytes, Groups)>,
    ) -> Result<Result<bool, String>, Want> {
        let mut at = Context::new(r, self.rules);
        at.matched = matched.take();
        let holds = at.cond(&self.root)?;
        *matched = at.matched.take();
        Ok(at.done(holds))
    }
}

impl Template {
    /// The text with its variables filled in.
    pub fn fill(&self, r: &mut Request) -> Result<Result<Bytes, String>, Want> {
        self.fill_with(r, None)
    }

    /// The same, with `$0` to `$9` from a match.
    pub fn fill_with(
        &self,
        r: &mut Request,
        matched: Option<(Bytes, Groups)>,
    ) -> Result<Result<Bytes, String>, Want> {
        if let Some(text) = self.constant() {
            return Ok(Ok(text.clone()));
        }
        let mut at = Context::new(r, self.rules);
        at.matched = matched;
        let text = at.word(&self.root)?;
        // A text is not what a response depends on in httpd's eyes.
        at.vary.clear();
        Ok(at.done(text))
    }
}

/// Where the answer to a look-up is remembered.
fn memory(lookup: &phase::Lookup) -> Vec<u8> {
    let (kind, name) = match lookup {
        phase::Lookup::Uri(name) => (&b"expr:-U:"[..], name),
        phase::Lookup::File(name) => (&b"expr:-F:"[..], name),
        phase::Lookup::Translate(name) => (&b"expr:-T:"[..], name),
        phase::Lookup::Entry { name, .. } => (&b"expr:-E:"[..], name),
    };
    [kind, name].concat()
}

/// Remembers what a look-up for [`Want::Lookup`] found.
pub fn looked_up(r: &mut Request, lookup: &phase::Lookup, found: &Request) {
    let good = match lookup {
        phase::Lookup::File(_) => {
            found.status < 300 && r.files.stat(&found.filename).is_ok()
        }
        _ => found.status < 400,
    };
    r.notes.set(memory(lookup), Bytes::from_static(if good { b"1" } else { b"" }));
}

/// The value of a variable; `None` if there is none of that name.
pub fn variable(name: &[u8], r: &mut Request) -> Result<Option<Bytes>, Want> {
    let Some(variable) = std::str::from_utf8(name).ok().and_then(Variable::named) else {
        return Ok(None);
    };
    let mut at = Context::new(r, Rules::default());
    let value = variable.value(&mut at)?;
    // A variable cannot fail.
    let _ = at.done(());
    Ok(Some(value))
}

impl<'a> Context<'a> {
    fn new(r: &'a mut Request, rules: Rules) -> Context<'a> {
        Context { r, rules, matched: None, vary: Vec::new(), error: None }
    }

    fn done<T>(self, value: T) -> Result<T, String> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if !self.vary.is_empty() && !self.rules.dont_vary {
            let names = self.vary.join(&b","[..]);
            self.r.headers_out.merge("Vary", &names);
        }
        Ok(value)
    }

    /// The value is worth nothing.
    pub fn fail(&mut self, why: String) {
        self.error.get_or_insert(why);
    }

    /// A request field's value.
    pub fn field(&self, name: &[u8]) -> Bytes {
        let name = String::from_utf8_lossy(name);
        self.r.header(&*name).unwrap_or_default().into_owned().into()
    }

    /// The same; the response depends on it.
    pub fn header(&mut self, name: &[u8]) -> Bytes {
        if !name.eq_ignore_ascii_case(b"host") {
            self.vary.push(Bytes::copy_from_slice(name));
        }
        self.field(name)
    }

    /// A moment (microseconds since 1970) as local time.
    pub fn time(&self, micros: i64, format: &str) -> Bytes {
        let offset = jiff::tz::Offset::from_seconds(self.r.files.utc_offset(micros));
        let zone = offset.map_or(jiff::tz::TimeZone::UTC, jiff::tz::TimeZone::fixed);
        match jiff::Timestamp::from_microsecond(micros) {
            Ok(time) => time.to_zoned(zone).strftime(format).to_string().into(),
            Err(_) => Bytes::new(),
        }
    }

    fn word(&mut self, word: &Word) -> Result<Bytes, Want> {
        Ok(match word {
            Word::Literal(text) => text.clone(),
            Word::Variable(variable) => variable.value(self)?,
            Word::Call(function, argument) => {
                let argument = self.word(argument)?;
                function.value(self, &argument)
            }
            Word::Group(n) => match &self.matched {
                Some((subject, groups)) => match groups.range(*n) {
                    Some((start, end)) => subject.slice(start..end),
                    None => Bytes::new(),
                },
                None => Bytes::new(),
            },
            Word::Concat(words) => {
                let mut joined = Vec::new();
                for word in words {
                    joined.extend_from_slice(&self.word(word)?);
                }
                joined.into()
            }
        })
    }

    fn cond(&mut self, cond: &Cond) -> Result<bool, Want> {
        Ok(match cond {
            Cond::Known(known) => *known,
            Cond::Not(inner) => !self.cond(inner)?,
            Cond::And(left, right) => self.cond(left)? && self.cond(right)?,
            Cond::Or(left, right) => self.cond(left)? || self.cond(right)?,
            Cond::Strings(ordering, left, right) => {
                let (left, right) = (self.word(left)?, self.word(right)?);
                ordering.holds(left.cmp(&right))
            }
            Cond::Numbers(ordering, left, right) => {
                let (left, right) = (self.word(left)?, self.word(right)?);
                ordering.holds(number(&left).cmp(&number(&right)))
            }
            Cond::Matches(word, pattern) => {
                let subject = self.word(word)?;
                match pattern.captures(&subject) {
                    // Groups are kept until another pattern has some.
                    found @ Some(_) if pattern.has_groups() => {
                        self.matched = found.map(|groups| (subject, groups));
                        true
                    }
                    Some(_) => true,
                    None if pattern.has_groups() => {
                        self.matched = None;
                        false
                    }
                    None => false,
                }
            }
            Cond::In(word, list) => {
                let needle = self.word(word)?;
                for item in list {
                    if self.word(item)? == needle {
                        return Ok(true);
                    }
                }
                false
            }
            Cond::Test(test, word) => {
                let argument = self.word(word)?;
                return self.test(*test, argument);
            }
            Cond::Client(range) => range.contains(self.r.useragent_ip),
            Cond::InRange(word, range) => {
                let text = self.word(word)?;
                let ip =
                    std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
                ip.is_some_and(|ip| range.contains(ip))
            }
            Cond::Glob(kind, text, glob) => {
                let (text, glob) = (self.word(text)?, self.word(glob)?);
                let rules = fnmatch::Rules {
                    path: *kind == Glob::Path,
                    period: false,
                    ignore_case: *kind == Glob::IgnoreCase,
                };
                fnmatch::matches(&glob, &text, rules)
            }
        })
    }

    fn test(&mut self, test: Test, argument: Bytes) -> Result<bool, Want> {
        let stat = |r: &Request| r.files.stat(&argument).ok();
        let is = |meta: Option<Meta>, kind| meta.is_some_and(|meta| meta.kind == kind);
        Ok(match test {
            Test::Directory => is(stat(self.r), Kind::Directory),
            Test::Exists => stat(self.r).is_some(),
            Test::File => is(stat(self.r), Kind::File),
            Test::NotEmptyFile => {
                stat(self.r).is_some_and(|meta| meta.kind == Kind::File && meta.size > 0)
            }
            Test::Link => is(self.r.files.lstat(&argument).ok(), Kind::Link),
            Test::Executable => {
                let meta = self.r.files.lstat(&argument).ok();
                meta.is_some_and(|meta| meta.mode & 0o111 != 0)
            }
            Test::NotEmpty => !argument.is_empty(),
            Test::Empty => argument.is_empty(),
            Test::True => {
                let falsehoods = [&b""[..], b"off", b"no", b"false", b"0"];
                !falsehoods.iter().any(|word| argument.eq_ignore_ascii_case(word))
            }
            Test::AccessibleUrl => {
                // Looking at itself would never end.
                if self.r.main.as_ref().is_some_and(|main| main.uri[..] == self.r.uri[..])
                {
                    return Ok(false);
                }
                return self.lookup(phase::Lookup::Uri(argument));
            }
            Test::AccessibleFile => return self.lookup(phase::Lookup::File(argument)),
        })
    }

    fn lookup(&mut self, lookup: phase::Lookup) -> Result<bool, Want> {
        match self.r.notes.get(&memory(&lookup)) {
            Some(known) => Ok(!known.is_empty()),
            None => Err(Want::Lookup(lookup)),
        }
    }
}

impl Ordering {
    fn holds(self, found: std::cmp::Ordering) -> bool {
        match self {
            Ordering::Equal => found.is_eq(),
            Ordering::Unequal => found.is_ne(),
            Ordering::Less => found.is_lt(),
            Ordering::LessEqual => found.is_le(),
            Ordering::Greater => found.is_gt(),
            Ordering::GreaterEqual => found.is_ge(),
        }
    }
}

/// The number at the beginning of a text; 0 if there is none: `apr_atoi64`.
fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut value: i64 = 0;
    for digit in digits.iter().take_while(|b| b.is_ascii_digit()) {
        value = value.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    }
    if negative { -value } else { value }
}
