//! Texts with `$1`, `%1`, `%{NAME}` and `${map:key|default}` in them: `do_expand`.

use bytes::Bytes;

use super::map;
use super::program::Question;
use crate::expr::{self, Want};
use crate::modules::ssl;
use crate::pattern::Groups;
use crate::phase::Lookup;
use crate::request::Request;

/// A text, cut into pieces when the configuration is read.
#[derive(Clone, Debug, Default)]
pub struct Text(Vec<Piece>);

/// A piece of a text.
#[derive(Clone, Debug)]
enum Piece {
    Plain(Bytes),
    /// `$N`.
    Rule(usize),
    /// `%N`.
    Cond(usize),
    Variable(Variable),
    /// `${name:key|default}`.
    Map {
        name: Bytes,
        key: Text,
        default: Text,
    },
}

/// `%{…}`.
#[derive(Clone, Debug)]
enum Variable {
    Named(Bytes),
    Env(Bytes),
    Http(Bytes),
    /// `LA-U:` and `LA-F:`: a variable of the request that would come.
    Ahead {
        by_file: bool,
        variable: Box<Variable>,
    },
    /// `SSL:`: one of mod_ssl's variables.
    Ssl(ssl::Name),
    /// What is not known here is empty.
    Empty,
}

/// What has to be found out before rewriting can go on.
#[derive(Clone, Debug)]
pub enum Need {
    /// For an expression.
    Expr(Want),
    /// A request that would come.
    Ahead(Lookup),
    /// What a map's program says.
    Program(Question),
}

/// What a text is filled from.
pub struct From<'a> {
    /// The subject of the rule's pattern, and its groups.
    pub rule: (&'a [u8], &'a Groups),
    /// The same of the last condition that matched.
    pub cond: (&'a [u8], &'a Groups),
    /// How values of `$N` and `%N` are escaped.
    pub escape: Option<&'a Escape>,
}

/// The flags `B`, `BNP`, `BCTLS` and `BNE`.
#[derive(Clone, Debug, Default)]
pub struct Escape {
    /// Only these; all that are no letters, digits or underscores if empty.
    pub only: Vec<u8>,
    /// Never these.
    pub never: Vec<u8>,
    /// Blanks as `%20` and not as `+`.
    pub no_plus: bool,
    /// Only control characters and blanks, and `only`.
    pub controls: bool,
}

impl Escape {
    fn escape(&self, value: &[u8], out: &mut Vec<u8>) {
        for &byte in value {
            let graphic = byte > b' ' && byte != 0x7f;
            let wanted = if self.controls {
                !graphic || self.only.contains(&byte)
            } else {
                self.only.is_empty() || self.only.contains(&byte)
            };
            if !wanted
                || self.never.contains(&byte)
                || byte.is_ascii_alphanumeric()
                || byte == b'_'
            {
                out.push(byte);
            } else if byte == b' ' && !self.no_plus {
                out.push(b'+');
            } else {
                out.extend_from_slice(format!("%{byte:02x}").as_bytes());
            }
        }
    }
}

impl Text {
    /// Cuts a text into pieces.
    pub fn parse(text: &[u8]) -> Text {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut i = 0;
        while i < text.len() {
            let (piece, length) = match (text[i], text.get(i + 1)) {
                (b'\\', Some(&next)) => {
                    plain.push(next);
                    i += 2;
                    continue;
                }
                (b'$', Some(digit @ b'0'..=b'9')) => {
                    (Piece::Rule(usize::from(digit - b'0')), 2)
                }
                (b'%', Some(digit @ b'0'..=b'9')) => {
                    (Piece::Cond(usize::from(digit - b'0')), 2)
                }
                (sign @ (b'$' | b'%'), Some(b'{')) => match closing(&text[i + 2..]) {
                    Some(end) => {
                        let inner = &text[i + 2..i + 2 + end];
                        let piece = if sign == b'%' {
                            Some(Piece::Variable(Variable::parse(inner)))
                        } else {
                            map_piece(inner)
                        };
                        match piece {
                            Some(piece) => (piece, end + 3),
                            None => {
                                plain.push(sign);
                                i += 1;
                                continue;
                            }
                        }
                    }
                    None => {
                        plain.push(sign);
                        i += 1;
                        continue;
                    }
                },
                (byte, _) => {
                    plain.push(byte);
                    i += 1;
                    continue;
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Plain(std::mem::take(&mut plain).into()));
            }
            pieces.push(piece);
            i += length;
        }
        if !plain.is_empty() {
            pieces.push(Piece::Plain(plain.into()));
        }
        Text(pieces)
    }

    /// Does it begin with something that the client may have a say in?
    pub fn begins_variable(&self) -> bool {
        self.0.first().is_some_and(|piece| !matches!(piece, Piece::Plain(_)))
    }

    /// May something have to be found out before it can be filled? A host name, or a
    /// request that would come.
    pub fn may_ask(&self) -> bool {
        self.0.iter().any(|piece| match piece {
            Piece::Variable(Variable::Ahead { .. }) => true,
            Piece::Variable(Variable::Named(name)) => {
                name.eq_ignore_ascii_case(b"REMOTE_HOST")
            }
            Piece::Map { key, default, .. } => key.may_ask() || default.may_ask(),
            _ => false,
        })
    }

    /// Does it ask maps?
    pub fn asks_maps(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Map { .. }))
    }

    /// The text for a request.
    pub fn fill(&self, r: &mut Request, from: &From<'_>) -> Result<Vec<u8>, Need> {
        let mut out = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(text) => out.extend_from_slice(text),
                Piece::Rule(n) => group(from.rule, *n, from.escape, &mut out),
                Piece::Cond(n) => group(from.cond, *n, from.escape, &mut out),
                Piece::Variable(variable) => {
                    out.extend_from_slice(&variable.value(r)?);
                }
                Piece::Map { name, key, default } => {
                    let key = key.fill(r, from)?;
                    match map::look_up(r, name, &key)? {
                        Some(value) => out.extend_from_slice(&value),
                        None => out.extend_from_slice(&default.fill(r, from)?),
                    }
                }
            }
        }
        Ok(out)
    }
}

fn group(
    (subject, groups): (&[u8], &Groups),
    n: usize,
    escape: Option<&Escape>,
    out: &mut Vec<u8>,
) {
    let value = groups.get(n, subject).unwrap_or_default();
    match escape {
        Some(escape) => escape.escape(value, out),
        None => out.extend_from_slice(value),
    }
}

/// Where the brace closes that stands before `text`: `find_closing_curly`.
fn closing(text: &[u8]) -> Option<usize> {
    let mut depth = 1;
    let mut i = 0;
    while i < text.len() {
        match text[i] {
            b'\\' if text.get(i + 1).is_some() => i += 1,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
        i += 1;
    }
    None
}

/// `name:key|default`; `None` without a colon. A bar within braces is none.
fn map_piece(inner: &[u8]) -> Option<Piece> {
    let colon = inner.iter().position(|&b| b == b':')?;
    let (name, rest) = (&inner[..colon], &inner[colon + 1..]);
    let mut depth = 0;
    let bar = rest.iter().position(|&b| {
        match b {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        b == b'|' && depth == 0
    });
    let (key, default) = match bar {
        Some(bar) => (&rest[..bar], &rest[bar + 1..]),
        None => (rest, &b""[..]),
    };
    let name = Bytes::copy_from_slice(name);
    Some(Piece::Map { name, key: Text::parse(key), default: Text::parse(default) })
}

impl Variable {
    fn parse(name: &[u8]) -> Variable {
        let rest = |prefix: &[u8]| {
            let head = name.get(..prefix.len())?;
            let same = head.eq_ignore_ascii_case(prefix);
            same.then(|| Bytes::copy_from_slice(&name[prefix.len()..]))
        };
        if let Some(name) = rest(b"ENV:") {
            Variable::Env(name)
        } else if let Some(name) = rest(b"HTTP:") {
            Variable::Http(name)
        } else if let Some(name) = rest(b"LA-U:") {
            Variable::Ahead { by_file: false, variable: Box::new(Variable::parse(&name)) }
        } else if let Some(name) = rest(b"LA-F:") {
            Variable::Ahead { by_file: true, variable: Box::new(Variable::parse(&name)) }
        } else if let Some(name) = rest(b"SSL:") {
            let name = ssl::Name::parse(&String::from_utf8_lossy(&name));
            name.map_or(Variable::Empty, Variable::Ssl)
        } else if name.contains(&b':') {
            Variable::Empty
        } else {
            Variable::Named(Bytes::copy_from_slice(name))
        }
    }

    /// `lookup_variable`.
    fn value(&self, r: &mut Request) -> Result<Bytes, Need> {
        Ok(match self {
            Variable::Named(name) => {
                expr::variable(name, r).map_err(Need::Expr)?.unwrap_or_default()
            }
            Variable::Env(name) => {
                let known = r.notes.get(name).or_else(|| r.env.get(name)).cloned();
                let own = || r.files.env(name).map(Bytes::from);
                known.or_else(own).unwrap_or_default()
            }
            Variable::Http(name) => {
                let field = String::from_utf8_lossy(name).into_owned();
                if !name.eq_ignore_ascii_case(b"host") {
                    r.headers_out.merge("Vary", name);
                }
                r.header(&field).unwrap_or_default().into_owned().into()
            }
            Variable::Ahead { by_file, variable } => {
                return ahead(r, *by_file, variable);
            }
            Variable::Ssl(name) => ssl::variable(r, *name).unwrap_or_default(),
            Variable::Empty => Bytes::new(),
        })
    }
}

/// A variable of the request that the present file name or URL leads to.
fn ahead(r: &mut Request, by_file: bool, variable: &Variable) -> Result<Bytes, Need> {
    // Looking ahead within a look ahead would never end.
    if r.main.is_some() {
        return Ok(Bytes::new());
    }
    let lookup = if by_file {
        Lookup::File(Bytes::copy_from_slice(&r.filename))
    } else {
        Lookup::Uri(crate::path::escape_path(&r.filename).into())
    };
    let Some(i) = r.ahead.iter().position(|(known, _)| *known == lookup) else {
        return Err(Need::Ahead(lookup));
    };
    variable.value(&mut r.ahead[i].1.clone())
}
