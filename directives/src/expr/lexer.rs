//! The words and signs of an expression, from its text. What a string holds depends on
//! where it stands, so the parser asks for the next token in the way that fits.

/// A sign or word outside of strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A name: of a function, or a word such as `and`.
    Name(String),
    /// Digits.
    Number(String),
    /// `$0` to `$9`.
    Group(usize),
    /// `%{`.
    Variable,
    /// A quote, which begins a string.
    Quote(u8),
    /// `-x`, or `-name`.
    Dash(String),
    /// One of the other signs.
    Sign(&'static str),
    /// The end.
    End,
}

impl Token {
    /// For messages.
    pub fn shown(&self) -> String {
        match self {
            Token::Name(name) => format!("'{name}'"),
            Token::Number(digits) => format!("number {digits}"),
            Token::Group(n) => format!("'${n}'"),
            Token::Variable => "'%{'".to_owned(),
            Token::Quote(_) => "a string".to_owned(),
            Token::Dash(name) => format!("'-{name}'"),
            Token::Sign(sign) => format!("'{sign}'"),
            Token::End => "the end".to_owned(),
        }
    }
}

/// The signs, the longer ones first.
const SIGNS: [&str; 19] = [
    "&&", "||", "==", "=~", "!=", "!~", "<=", ">=", "=", "!", "<", ">", "(", ")", "{",
    "}", ",", ".", ":",
];

/// A piece of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Text(Vec<u8>),
    /// `%{` begins a variable.
    Variable,
    /// `$0` to `$9`.
    Group(usize),
    /// The string is over.
    End,
}

/// What ends a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The end of the text.
    End,
    /// This quote.
    Quote(u8),
    /// The brace that ends a variable.
    Brace,
}

/// The text of an expression, and how far it was read.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    /// At the beginning.
    pub fn new(text: &'a [u8]) -> Lexer<'a> {
        Lexer { text, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at.min(self.text.len())..]
    }

    fn take_while(&mut self, good: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|&b| !good(b)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// The next token of an expression.
    pub fn next(&mut self) -> Result<Token, String> {
        self.take_while(|b| matches!(b, b' ' | b'\t' | b'\n'));
        let rest = self.rest();
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match rest {
            [] => Ok(Token::End),
            [b'%', b'{', ..] => {
                self.at += 2;
                Ok(Token::Variable)
            }
            [b'$', digit, ..] if digit.is_ascii_digit() => {
                self.at += 2;
                Ok(Token::Group(usize::from(digit - b'0')))
            }
            [quote @ (b'"' | b'\''), ..] => {
                self.at += 1;
                Ok(Token::Quote(*quote))
            }
            [b'-', first, ..] if first.is_ascii_alphabetic() || *first == b'_' => {
                self.at += 1;
                Ok(Token::Dash(text(self.take_while(word))))
            }
            [first, ..] if first.is_ascii_digit() => {
                Ok(Token::Number(text(self.take_while(|b| b.is_ascii_digit()))))
            }
            [first, ..] if first.is_ascii_alphabetic() => {
                Ok(Token::Name(text(self.take_while(word))))
            }
            [first, ..] => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(sign.as_bytes()));
                let sign = sign.ok_or_else(|| match first {
                    b' '..=b'~' => {
                        format!("Parse error near character '{}'", char::from(*first))
                    }
                    _ => format!("Parse error near character '\\x{first:02X}'"),
                })?;
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
        }
    }

    /// The next piece of a string.
    pub fn piece(&mut self, until: Until) -> Result<Piece, String> {
        let mut out = Vec::new();
        loop {
            let rest = self.rest();
            let done = match (rest, until) {
                ([], Until::End) => Some(Piece::End),
                ([], _) => return Err("Unterminated string or variable".to_owned()),
                ([byte, ..], Until::Quote(quote)) if *byte == quote => Some(Piece::End),
                ([b'}', ..], Until::Brace) => Some(Piece::End),
                ([b'%', b'{', ..], _) => Some(Piece::Variable),
                ([b'$', digit, ..], _) if digit.is_ascii_digit() => {
                    Some(Piece::Group(usize::from(digit - b'0')))
                }
                _ => None,
            };
            match done {
                Some(_) if !out.is_empty() => return Ok(Piece::Text(out)),
                Some(piece) => {
                    self.at += match piece {
                        Piece::End if until == Until::End => 0,
                        Piece::End => 1,
                        _ => 2,
                    };
                    return Ok(piece);
                }
                None if rest[0] == b'\\' && rest.len() > 1 => out.push(self.escape()?),
                None if rest[0] == b'\n' => {
                    return Err("Unterminated string or variable".to_owned());
                }
                None => {
                    out.push(rest[0]);
                    self.at += 1;
                }
            }
            if out.len() > MAX_STRING {
                return Err("String too long".to_owned());
            }
        }
    }

    /// A backslash and what follows.
    fn escape(&mut self) -> Result<u8, String> {
        self.at += 1;
        let rest = self.rest();
        let octal = rest.iter().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
        if octal > 0 {
            let value =
                rest[..octal].iter().fold(0_u32, |n, b| n * 8 + u32::from(b - b'0'));
            self.at += octal;
            return u8::try_from(value)
                .map_err(|_| "Bad character escape sequence".to_owned());
        }
        self.at += 1;
        match rest[0] {
            b'0'..=b'9' => Err("Bad character escape sequence".to_owned()),
            b'n' => Ok(b'\n'),
            b'r' => Ok(b'\r'),
            b't' => Ok(b'\t'),
            b'b' => Ok(8),
            b'f' => Ok(12),
            other => Ok(other),
        }
    }

    /// A regular expression, and its flags: `/…/i` or `m#…#i`.
    pub fn regex(&mut self) -> Result<(&'a [u8], &'a [u8]), String> {
        self.take_while(|b| matches!(b, b' ' | b'\t' | b'\n'));
        let separator = match self.rest() {
            [b'/', ..] => {
                self.at += 1;
                b'/'
            }
            [b'm', separator, ..] if SEPARATORS.contains(separator) => {
                self.at += 2;
                *separator
            }
            _ => return Err("Expected a regular expression".to_owned()),
        };
        let rest = self.rest();
        let end = rest.iter().position(|b| *b == separator || *b == b'\n');
        let Some(end) = end.filter(|end| rest[*end] == separator) else {
            return Err("Unterminated regexp".to_owned());
        };
        self.at += end + 1;
        let flags = self.take_while(|b| b.is_ascii_alphanumeric());
        if flags.iter().any(|flag| !b"ismg".contains(flag)) {
            return Err("Invalid regexp flag(s)".to_owned());
        }
        Ok((&rest[..end], flags))
    }
}

/// The longest string, bytes.
const MAX_STRING: usize = 8190;

/// What may stand in place of the slashes of a regular expression.
const SEPARATORS: &[u8] = b"/#$%^|?!'\",;:._-";
