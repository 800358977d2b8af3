//! lighttpd's grammar: settings, variables, conditions, includes.

use std::collections::HashMap;

use crate::bundle::Files;
use crate::explain::Place;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    /// With keys, or without any.
    List(Vec<(Option<String>, Value, u32)>),
}

impl Value {
    /// What a copy costs, bytes.
    fn size(&self) -> usize {
        let own = size_of::<(Option<String>, Value, u32)>();
        own + match self {
            Value::Text(text) => text.len(),
            Value::Number(_) => 0,
            Value::List(list) => list
                .iter()
                .map(|(key, value, _)| key.as_ref().map_or(0, String::len) + value.size())
                .sum(),
        }
    }
}

/// What a configuration says.
#[derive(Clone, Debug)]
pub(super) enum Statement {
    /// `name = value`, `+=`, `:=`.
    Set { name: String, value: Value, place: Place },
    /// `$FIELD["name"] == "value" { … }`.
    If {
        field: String,
        operator: String,
        value: String,
        place: Place,
        body: Vec<Statement>,
        is_else: bool,
    },
    /// What is done outside: a program's output.
    Other { text: String, place: Place },
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(i64),
    Sign(&'static str),
    Field(String),
}

/// Files within each other at most.
const DEEPEST: usize = 16;

/// Conditions and lists within each other at most.
const MOST_NESTED: usize = 100;

/// What files and the uses of variables may come to, bytes: variables that are made of
/// themselves, and files that include each other, double each time.
const MOST: usize = 64 << 20;

/// What all files share.
#[derive(Default)]
struct Shared {
    variables: HashMap<String, Value>,
    /// Of `MOST`.
    spent: usize,
}

impl Shared {
    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.spent = self.spent.saturating_add(bytes);
        (self.spent <= MOST).then_some(())
    }
}

pub(super) fn parse(
    name: &str,
    bytes: &[u8],
    files: &dyn Files,
) -> Result<Vec<Statement>, String> {
    of_file(name, bytes, files, &mut Shared::default(), 0)
}

fn of_file(
    name: &str,
    bytes: &[u8],
    files: &dyn Files,
    shared: &mut Shared,
    depth: usize,
) -> Result<Vec<Statement>, String> {
    if depth > DEEPEST {
        return Err(format!("{name}: files include each other without end"));
    }
    if shared.spend(bytes.len() + 1000).is_none() {
        return Err(format!("{name}: with what it includes this is too much"));
    }
    let text = String::from_utf8_lossy(bytes).into_owned();
    let tokens = tokens(name, &text)?;
    let mut parser = Parser { name, tokens, at: 0, files, shared, depth, nested: 0 };
    parser.statements(false)
}

const SIGNS: [&str; 18] = [
    "=>", "==", "!=", "=~", "!~", "=^", "=$", "+=", ":=", "=", "+", "(", ")", "{", "}",
    ",", "[", "]",
];

fn tokens(name: &str, text: &str) -> Result<Vec<(Token, u32)>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    let (mut at, mut counted) = (1, text);
    while let Some(c) = rest.chars().next() {
        let passed = &counted[..counted.len() - rest.len()];
        at += passed.bytes().filter(|b| *b == b'\n').count() as u32;
        counted = rest;
        if c.is_whitespace() {
            rest = rest.trim_start();
        } else if c == '#' {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if c == '"' || c == '\'' {
            let mut value = String::new();
            let mut chars = rest[1..].char_indices();
            let end = loop {
                match chars.next() {
                    None => return Err(format!("{name}:{at}: a text does not end")),
                    Some((i, found)) if found == c => break i + 2,
                    // Only what would end the text, and itself, is hidden by it.
                    Some((_, '\\')) => match chars.next() {
                        Some((_, next)) if next == c || next == '\\' => value.push(next),
                        Some((_, next)) => value.extend(['\\', next]),
                        None => {}
                    },
                    Some((_, found)) => value.push(found),
                }
            };
            out.push((Token::Text(value), at));
            rest = &rest[end..];
        } else if c == '$' {
            let end = rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let end = end.map_or(rest.len(), |end| end + 1);
            out.push((Token::Field(rest[1..end].to_owned()), at));
            rest = &rest[end..];
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            out.push((Token::Sign(sign), at));
            rest = &rest[sign.len()..];
        } else if c.is_ascii_alphanumeric() || c == '_' {
            let end =
                rest.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c));
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            out.push((
                match word.parse() {
                    Ok(number) => Token::Number(number),
                    Err(_) => Token::Name(word.to_owned()),
                },
                at,
            ));
            rest = after;
        } else {
            return Err(format!("{name}:{at}: what is {c} for?"));
        }
    }
    Ok(out)
}

struct Parser<'a> {
    name: &'a str,
    tokens: Vec<(Token, u32)>,
    at: usize,
    files: &'a dyn Files,
    shared: &'a mut Shared,
    depth: usize,
    /// Conditions and lists around this place.
    nested: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn line(&self) -> u32 {
        let last = self.tokens.last().map_or(1, |(_, line)| *line);
        self.tokens.get(self.at).map_or(last, |(_, line)| *line)
    }

    fn place(&self) -> Place {
        Place { file: self.name.to_owned(), line: self.line() }
    }

    fn error<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("{}:{}: {what}", self.name, self.line()))
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(found);
        found
    }

    /// What stands in a condition or a list.
    fn inside<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        if self.nested >= MOST_NESTED {
            return self.error("this is nested too deep");
        }
        self.nested += 1;
        let found = read(self);
        self.nested -= 1;
        found
    }

    fn statements(&mut self, within: bool) -> Result<Vec<Statement>, String> {
        let mut out = Vec::new();
        loop {
            let place = self.place();
            match self.peek().cloned() {
                None if within => return self.error("a condition does not end"),
                None => return Ok(out),
                Some(Token::Sign("}")) if within => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(Token::Field(field)) => {
                    self.at += 1;
                    out.push(self.condition(field, place, false)?);
                }
                Some(Token::Name(name)) if name == "else" => {
                    self.at += 1;
                    // `else if $FIELD`, `else $FIELD`, or `else { … }`.
                    if matches!(self.peek(), Some(Token::Name(word)) if word == "if") {
                        self.at += 1;
                    }
                    match self.peek().cloned() {
                        Some(Token::Field(field)) => {
                            self.at += 1;
                            out.push(self.condition(field, place, true)?);
                        }
                        _ => {
                            if !self.takes("{") {
                                return self.error("else wants a condition or {");
                            }
                            let body = self.inside(|p| p.statements(true))?;
                            out.push(Statement::If {
                                field: String::new(),
                                operator: String::new(),
                                value: String::new(),
                                place,
                                body,
                                is_else: true,
                            });
                        }
                    }
                }
                Some(Token::Name(name)) if name.starts_with("include") => {
                    self.at += 1;
                    let value = self.value()?;
                    self.include(&name, &value, place, &mut out)?;
                }
                Some(Token::Name(name)) => {
                    self.at += 1;
                    out.extend(self.setting(name, place)?);
                }
                Some(_) => return self.error("a setting or a condition is wanted"),
            }
        }
    }

    fn setting(
        &mut self,
        name: String,
        place: Place,
    ) -> Result<Option<Statement>, String> {
        // `=>` typed for `=` is taken by lighttpd as well.
        let adds = self.takes("+=");
        if !adds && !self.takes("=") && !self.takes(":=") && !self.takes("=>") {
            return self.error("= is wanted");
        }
        let value = self.value()?;
        if name.starts_with("var.") || !name.contains('.') && name != "include" {
            let value = match self.shared.variables.remove(&name) {
                Some(old) if adds => sum(old, value),
                _ => value,
            };
            self.shared.variables.insert(name, value);
            return Ok(None);
        }
        Ok(Some(Statement::Set { name, value, place }))
    }

    fn condition(
        &mut self,
        field: String,
        place: Place,
        is_else: bool,
    ) -> Result<Statement, String> {
        let mut whole = field;
        if self.takes("[") {
            match self.value()? {
                Value::Text(name) => whole = format!("{whole}[{name}]"),
                _ => return self.error("a name in quotes is wanted"),
            }
            if !self.takes("]") {
                return self.error("] is wanted");
            }
        }
        let operator =
            ["==", "!=", "=~", "!~", "=^", "=$"].into_iter().find(|o| self.takes(o));
        let Some(operator) = operator else {
            return self.error("a comparison is wanted");
        };
        let value = match self.value()? {
            Value::Text(text) => text,
            Value::Number(number) => number.to_string(),
            Value::List(_) => return self.error("a text is wanted"),
        };
        if !self.takes("{") {
            return self.error("{ is wanted");
        }
        let body = self.inside(|p| p.statements(true))?;
        Ok(Statement::If {
            field: whole,
            operator: operator.to_owned(),
            value,
            place,
            body,
            is_else,
        })
    }

    fn include(
        &mut self,
        how: &str,
        value: &Value,
        place: Place,
        out: &mut Vec<Statement>,
    ) -> Result<(), String> {
        let Value::Text(path) = value else { return self.error("a path is wanted") };
        if how == "include_shell" {
            out.push(Statement::Other {
                text: format!("include_shell \"{path}\""),
                place,
            });
            return Ok(());
        }
        let base = crate::path::dir_name(self.name.as_bytes()).to_vec();
        let path = if path.starts_with('/') {
            path.as_bytes().to_vec()
        } else {
            crate::path::join(&base, path.as_bytes())
        };
        let mut paths = vec![path.clone()];
        if crate::fnmatch::is_glob(&path) {
            let dir = crate::path::dir_name(&path).to_vec();
            let glob = crate::path::base_name(&path).to_vec();
            let mut names = self.files.list(&dir).unwrap_or_default();
            names.retain(|name| {
                crate::fnmatch::matches(&glob, name, crate::fnmatch::Rules::PATH)
            });
            names.sort();
            paths = names.iter().map(|name| crate::path::join(&dir, name)).collect();
        }
        for path in paths {
            let name = String::from_utf8_lossy(&path).into_owned();
            match self.files.read(&path) {
                Ok(bytes) => {
                    let depth = self.depth + 1;
                    out.extend(of_file(&name, &bytes, self.files, self.shared, depth)?);
                }
                Err(error) => return self.error(&format!("{name}: {}", error.text)),
            }
        }
        Ok(())
    }

    fn value(&mut self) -> Result<Value, String> {
        let mut value = self.one()?;
        while self.takes("+") {
            value = sum(value, self.one()?);
        }
        Ok(value)
    }

    fn one(&mut self) -> Result<Value, String> {
        let token = self.peek().cloned();
        self.at += 1;
        match token {
            Some(Token::Text(text)) => Ok(Value::Text(text)),
            Some(Token::Number(number)) => Ok(Value::Number(number)),
            Some(Token::Name(name)) => match self.shared.variables.get(&name).cloned() {
                Some(value) => match self.shared.spend(value.size()) {
                    Some(()) => Ok(value),
                    None => self.error("the variables here come to too much"),
                },
                // What is known only when lighttpd runs keeps its name.
                None => Ok(Value::Text(format!("${{{name}}}"))),
            },
            Some(Token::Sign("(")) => self.inside(Self::list).map(Value::List),
            _ => {
                self.at -= 1;
                self.error("a value is wanted")
            }
        }
    }

    /// The values of a list, behind its parenthesis.
    fn list(&mut self) -> Result<Vec<(Option<String>, Value, u32)>, String> {
        let mut list = Vec::new();
        loop {
            if self.takes(")") {
                return Ok(list);
            }
            let line = self.line();
            let pair = match self.value()? {
                // `=` typed for `=>` is taken by lighttpd as well.
                Value::Text(key) if self.takes("=>") || self.takes("=") => {
                    (Some(key), self.value()?, line)
                }
                Value::Number(key) if self.takes("=>") => {
                    (Some(key.to_string()), self.value()?, line)
                }
                value => (None, value, line),
            };
            list.push(pair);
            if !self.takes(",") && !matches!(self.peek(), Some(Token::Sign(")"))) {
                return self.error(", or ) is wanted");
            }
        }
    }
}

fn sum(a: Value, b: Value) -> Value {
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::List(_) => String::new(),
    };
    match (a, b) {
        (Value::List(mut a), Value::List(b)) => {
            a.extend(b);
            Value::List(a)
        }
        (Value::Number(a), Value::Number(b)) => Value::Number(a.saturating_add(b)),
        (a, b) => Value::Text(text(&a) + &text(&b)),
    }
}
