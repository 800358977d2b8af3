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
    /// `/…/` or `m#…#`, and whether an `i` stands behind it.
    Regex { source: Vec<u8>, ignore_case: bool },
    /// One of the other signs.
    Sign(&'static str),
    /// The brace that ends a variable.
    VariableEnd,
    /// What is none of these; the sentence says why.
    Wrong(String),
    /// The end.
    End,
}

/// What names that are no functions are called in messages.
const WORDS: [(&str, &str); 12] = [
    ("true", "T_TRUE"),
    ("false", "T_FALSE"),
    ("and", "T_OP_AND"),
    ("or", "T_OP_OR"),
    ("not", "T_OP_NOT"),
    ("in", "T_OP_IN"),
    ("eq", "T_OP_EQ"),
    ("ne", "T_OP_NE"),
    ("lt", "T_OP_LT"),
    ("le", "T_OP_LE"),
    ("gt", "T_OP_GT"),
    ("ge", "T_OP_GE"),
];

/// What signs are called in messages.
const SIGN_NAMES: [(&str, &str); 13] = [
    ("&&", "T_OP_AND"),
    ("||", "T_OP_OR"),
    ("!", "T_OP_NOT"),
    ("==", "T_OP_STR_EQ"),
    ("=", "T_OP_STR_EQ"),
    ("!=", "T_OP_STR_NE"),
    ("<", "T_OP_STR_LT"),
    ("<=", "T_OP_STR_LE"),
    (">", "T_OP_STR_GT"),
    (">=", "T_OP_STR_GE"),
    ("=~", "T_OP_REG"),
    ("!~", "T_OP_NRE"),
    (".", "T_OP_CONCAT"),
];

/// The name in messages of a word that has a meaning of its own.
fn word_name(name: &str) -> Option<&'static str> {
    WORDS.iter().find(|(word, _)| *word == name).map(|(_, shown)| *shown)
}

impl Token {
    /// Its name in messages: that of httpd's grammar.
    pub fn shown(&self) -> String {
        match self {
            Token::Name(name) => word_name(name).unwrap_or("T_ID").to_owned(),
            Token::Number(_) => "T_DIGIT".to_owned(),
            Token::Group(_) => "T_REGEX_BACKREF".to_owned(),
            Token::Variable => "T_VAR_BEGIN".to_owned(),
            Token::Quote(_) => "T_STR_BEGIN".to_owned(),
            Token::Dash(name) if name.len() == 1 => "T_OP_UNARY".to_owned(),
            Token::Dash(name) => word_name(name).unwrap_or("T_OP_BINARY").to_owned(),
            Token::Regex { ignore_case: false, .. } => "T_REGEX".to_owned(),
            Token::Regex { .. } => "T_REGEX_I".to_owned(),
            Token::Sign(sign) => match SIGN_NAMES.iter().find(|(this, _)| this == sign) {
                Some((_, name)) => (*name).to_owned(),
                None => format!("'{sign}'"),
            },
            Token::VariableEnd => "T_VAR_END".to_owned(),
            Token::Wrong(_) => "T_ERROR".to_owned(),
            Token::End => "$end".to_owned(),
        }
    }

    /// Is it a word that cannot be a function?
    pub fn is_reserved(&self) -> bool {
        matches!(self, Token::Name(name) if word_name(name).is_some())
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
    /// What is none of these; the sentence says why.
    Wrong(String),
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
    pub fn next(&mut self) -> Token {
        self.take_while(|b| matches!(b, b' ' | b'\t' | b'\n'));
        let rest = self.rest();
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match rest {
            [] => Token::End,
            [b'%', b'{', ..] => {
                self.at += 2;
                Token::Variable
            }
            [b'$', digit, ..] if digit.is_ascii_digit() => {
                self.at += 2;
                Token::Group(usize::from(digit - b'0'))
            }
            [quote @ (b'"' | b'\''), ..] => {
                self.at += 1;
                Token::Quote(*quote)
            }
            [b'/', ..] => self.regex(1, b'/'),
            [b'm', separator, ..] if SEPARATORS.contains(separator) => {
                self.regex(2, *separator)
            }
            [b'-', first, ..] if first.is_ascii_alphabetic() || *first == b'_' => {
                self.at += 1;
                Token::Dash(text(self.take_while(word)))
            }
            [b'-', digit, ..] if digit.is_ascii_digit() => {
                self.at += 1;
                let digits = self.take_while(|b| b.is_ascii_digit());
                Token::Number(format!("-{}", text(digits)))
            }
            [first, ..] if first.is_ascii_digit() => {
                Token::Number(text(self.take_while(|b| b.is_ascii_digit())))
            }
            [first, ..] if first.is_ascii_alphabetic() => {
                Token::Name(text(self.take_while(word)))
            }
            [first, ..] => {
                match SIGNS.iter().find(|sign| rest.starts_with(sign.as_bytes())) {
                    Some(sign) => {
                        self.at += sign.len();
                        Token::Sign(sign)
                    }
                    None => Token::Wrong(match first {
                        b' '..=b'~' => {
                            format!("Parse error near '{}'", char::from(*first))
                        }
                        _ => format!("Parse error near '\\x{first:02x}'"),
                    }),
                }
            }
        }
    }

    /// A token of a variable's name, where no blank may stand.
    pub fn next_of_variable(&mut self) -> Token {
        match self.rest() {
            [] => Token::Wrong("Unterminated string or variable".to_owned()),
            [b'}', ..] => {
                self.at += 1;
                Token::VariableEnd
            }
            [b':', ..] => {
                self.at += 1;
                Token::Sign(":")
            }
            [first, ..] if first.is_ascii_alphabetic() => {
                let name = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_');
                Token::Name(String::from_utf8_lossy(name).into_owned())
            }
            [other, ..] => Token::Wrong(match other {
                b' '..=b'~' => {
                    format!("Invalid character in variable name '{}'", char::from(*other))
                }
                _ => format!("Invalid character in variable name '\\x{other:02x}'"),
            }),
        }
    }

    /// The next piece of a string.
    pub fn piece(&mut self, until: Until) -> Piece {
        let mut out = Vec::new();
        loop {
            let rest = self.rest();
            let done = match (rest, until) {
                ([], Until::End) => Some(Piece::End),
                ([] | [b'\n', ..], _) => {
                    return Piece::Wrong("Unterminated string or variable".to_owned());
                }
                ([byte, ..], Until::Quote(quote)) if *byte == quote => Some(Piece::End),
                ([b'}', ..], Until::Brace) => Some(Piece::End),
                ([b'%', b'{', ..], _) => Some(Piece::Variable),
                ([b'$', digit, ..], _) if digit.is_ascii_digit() => {
                    Some(Piece::Group(usize::from(digit - b'0')))
                }
                _ => None,
            };
            match done {
                Some(_) if !out.is_empty() => return Piece::Text(out),
                Some(piece) => {
                    self.at += match piece {
                        Piece::End if until == Until::End => 0,
                        Piece::End => 1,
                        _ => 2,
                    };
                    return piece;
                }
                None if rest[0] == b'\\' && rest.len() > 1 => match self.escape() {
                    Ok(byte) => out.push(byte),
                    Err(why) => return Piece::Wrong(why.to_owned()),
                },
                None => {
                    out.push(rest[0]);
                    self.at += 1;
                }
            }
            if out.len() > MAX_STRING {
                return Piece::Wrong("String too long".to_owned());
            }
        }
    }

    /// A backslash and what follows.
    fn escape(&mut self) -> Result<u8, &'static str> {
        self.at += 1;
        let rest = self.rest();
        let octal = rest.iter().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
        if octal > 0 {
            let value =
                rest[..octal].iter().fold(0_u32, |n, b| n * 8 + u32::from(b - b'0'));
            self.at += octal;
            return u8::try_from(value).map_err(|_| "Escape sequence out of bound");
        }
        self.at += 1;
        match rest[0] {
            b'0'..=b'9' => Err("Bad escape sequence"),
            b'n' => Ok(b'\n'),
            b'r' => Ok(b'\r'),
            b't' => Ok(b'\t'),
            b'b' => Ok(8),
            b'f' => Ok(12),
            other => Ok(other),
        }
    }

    /// A regular expression, from behind its first separator to its flag.
    fn regex(&mut self, begin: usize, separator: u8) -> Token {
        self.at += begin;
        let rest = self.rest();
        let Some(end) = rest.iter().position(|b| *b == separator) else {
            self.at = self.text.len();
            return Token::End;
        };
        self.at += end + 1;
        let ignore_case = self.rest().first() == Some(&b'i');
        self.at += usize::from(ignore_case);
        Token::Regex { source: rest[..end].to_vec(), ignore_case }
    }
}

/// The longest string, bytes.
const MAX_STRING: usize = 8190;

/// What may stand in place of the slashes of a regular expression.
const SEPARATORS: &[u8] = b"/#$%^|?!'\",;:._-";
