//! From the text of an expression to its parts. `!` binds closest, then `&&`, then `||`.

use bytes::Bytes;

use super::function::Function;
use super::lexer::{Lexer, Piece, Token, Until};
use super::variable::Variable;
use super::{Cond, Glob, Ordering, Rules, Test, Word};
use crate::modules::authz_host::Address;
use crate::pattern::Pattern;

/// How deep conditions may be nested.
const MAX_DEPTH: u32 = 100;

type Result<T> = std::result::Result<T, String>;

/// Reads a condition.
pub fn condition(text: &[u8], rules: Rules) -> Result<Cond> {
    let mut parser = Parser::new(text, rules);
    let cond = parser.or()?;
    match parser.token {
        Token::End => Ok(cond),
        _ => Err(parser.unexpected("$end")),
    }
}

/// Reads a text with variables in it.
pub fn template(text: &[u8], rules: Rules) -> Result<Word> {
    let mut parser =
        Parser { lexer: Lexer::new(text), token: Token::End, rules, depth: 0 };
    parser.string(Until::End)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    rules: Rules,
    depth: u32,
}

impl<'a> Parser<'a> {
    /// What functions of other names are in a page: `include_expr_lookup`.
    fn page_function(&self, name: &str) -> Option<Function> {
        let names = ["v", "reqenv", "env"];
        let known = names.iter().any(|known| name.eq_ignore_ascii_case(known));
        (self.rules.page && known).then_some(Function::ReqEnv)
    }

    fn new(text: &'a [u8], rules: Rules) -> Parser<'a> {
        let mut lexer = Lexer::new(text);
        let token = lexer.next();
        Parser { lexer, token, rules, depth: 0 }
    }

    fn advance(&mut self) -> Token {
        let next = self.lexer.next();
        std::mem::replace(&mut self.token, next)
    }

    /// What is wrong about the token at hand; `wanted` says what could stand there, if
    /// that is not too much to say.
    fn unexpected(&self, wanted: &str) -> String {
        unexpected(&self.token, wanted)
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(&self.token, Token::Sign(this) if *this == sign)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(&self.token, Token::Name(this) if this == name)
    }

    fn expect(&mut self, sign: &'static str, wanted: &str) -> Result<()> {
        if !self.is_sign(sign) {
            return Err(self.unexpected(wanted));
        }
        self.advance();
        Ok(())
    }

    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("nested too deep".to_owned());
        }
        Ok(())
    }

    fn or(&mut self) -> Result<Cond> {
        let mut left = self.and()?;
        while self.is_sign("||") || self.is_name("or") {
            self.advance();
            left = Cond::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Cond> {
        let mut left = self.not()?;
        while self.is_sign("&&") || self.is_name("and") {
            self.advance();
            left = Cond::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Cond> {
        self.deeper()?;
        let cond = match &self.token {
            Token::Sign("!") => {
                self.advance();
                Cond::Not(Box::new(self.not()?))
            }
            Token::Name(name) if name == "not" => {
                self.advance();
                Cond::Not(Box::new(self.not()?))
            }
            Token::Name(name) if name == "true" || name == "false" => {
                let known = name == "true";
                self.advance();
                Cond::Known(known)
            }
            Token::Sign("(") => {
                self.advance();
                let inner = self.or()?;
                self.expect(")", "T_OP_OR or T_OP_AND or ')'")?;
                inner
            }
            // Where a condition may begin, httpd says no more than what is wrong.
            Token::Wrong(why) => return Err(why.clone()),
            Token::Dash(name) if name.len() == 1 => {
                let name = name.clone();
                self.advance();
                self.test(&name)?
            }
            _ => self.comparison()?,
        };
        self.depth -= 1;
        Ok(cond)
    }

    /// A test of one argument.
    fn test(&mut self, name: &str) -> Result<Cond> {
        let word = self.word()?;
        let test = match name {
            "d" => Test::Directory,
            "e" => Test::Exists,
            "f" => Test::File,
            "s" => Test::NotEmptyFile,
            "L" | "h" => Test::Link,
            "x" => Test::Executable,
            "F" => Test::AccessibleFile,
            "U" | "A" => Test::AccessibleUrl,
            "n" => Test::NotEmpty,
            "z" => Test::Empty,
            "T" => Test::True,
            "R" => return Ok(Cond::Client(range("R", &word)?)),
            _ => return Err(format!("Unary operator '-{name}' does not exist")),
        };
        Ok(Cond::Test(test, word))
    }

    fn comparison(&mut self) -> Result<Cond> {
        let left = self.word()?;
        let operator = match &self.token {
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Name(name) if self.token.is_reserved() => name.clone(),
            Token::Dash(name) if name.len() > 1 => format!("-{name}"),
            _ => return Err(self.unexpected("")),
        };
        if matches!(operator.as_str(), "=~" | "!~") {
            self.advance();
            let Token::Regex { source, ignore_case } = self.token.clone() else {
                return Err(self.unexpected("T_REGEX or T_REGEX_I"));
            };
            self.advance();
            let pattern = Pattern::with(&source, ignore_case, self.rules.regex)
                .map_err(|_| "Failed to compile regular expression".to_owned())?;
            let matches = Cond::Matches(left, pattern);
            return Ok(match operator.as_str() {
                "=~" => matches,
                _ => Cond::Not(Box::new(matches)),
            });
        }
        let before = self.advance();
        let strings = |ordering, right| Cond::Strings(ordering, left.clone(), right);
        let numbers = |ordering, right| Cond::Numbers(ordering, left.clone(), right);
        match operator.as_str() {
            "==" | "=" => Ok(strings(Ordering::Equal, self.word()?)),
            "!=" => Ok(strings(Ordering::Unequal, self.word()?)),
            "<" => Ok(strings(Ordering::Less, self.word()?)),
            "<=" => Ok(strings(Ordering::LessEqual, self.word()?)),
            ">" => Ok(strings(Ordering::Greater, self.word()?)),
            ">=" => Ok(strings(Ordering::GreaterEqual, self.word()?)),
            "-eq" | "eq" => Ok(numbers(Ordering::Equal, self.word()?)),
            "-ne" | "ne" => Ok(numbers(Ordering::Unequal, self.word()?)),
            "-lt" | "lt" => Ok(numbers(Ordering::Less, self.word()?)),
            "-le" | "le" => Ok(numbers(Ordering::LessEqual, self.word()?)),
            "-gt" | "gt" => Ok(numbers(Ordering::Greater, self.word()?)),
            "-ge" | "ge" => Ok(numbers(Ordering::GreaterEqual, self.word()?)),
            "-in" | "in" => self.list(left),
            _ => self.binary(left, &before),
        }
    }

    /// An operator with a name.
    fn binary(&mut self, left: Word, operator: &Token) -> Result<Cond> {
        let Token::Dash(name) = operator else { return Err(unexpected(operator, "")) };
        let right = self.word()?;
        match name.to_ascii_lowercase().as_str() {
            "ipmatch" => Ok(Cond::InRange(left, range(name, &right)?)),
            "strmatch" => Ok(Cond::Glob(Glob::Plain, left, right)),
            "strcmatch" => Ok(Cond::Glob(Glob::IgnoreCase, left, right)),
            "fnmatch" => Ok(Cond::Glob(Glob::Path, left, right)),
            _ => Err(format!("Binary operator '-{name}' does not exist")),
        }
    }

    /// What follows `in`.
    fn list(&mut self, left: Word) -> Result<Cond> {
        if self.is_sign("{") {
            self.advance();
            let mut words = vec![self.word()?];
            while self.is_sign(",") {
                self.advance();
                words.push(self.word()?);
            }
            self.expect("}", "'}' or ','")?;
            return Ok(Cond::In(left, words));
        }
        let Token::Name(name) = self.token.clone() else {
            return Err(self.unexpected("T_ID or '{'"));
        };
        self.advance();
        self.expect("(", "'('")?;
        self.word()?;
        self.expect(")", CLOSE)?;
        // The only one that there is belongs to mod_ssl.
        Err(format!("List-returning function '{name}' does not exist"))
    }

    /// A value, or several joined by periods.
    fn word(&mut self) -> Result<Word> {
        self.deeper()?;
        let mut words = vec![self.one_word()?];
        while self.is_sign(".") {
            self.advance();
            words.push(self.one_word()?);
        }
        self.depth -= 1;
        Ok(joined(words))
    }

    fn one_word(&mut self) -> Result<Word> {
        match self.token.clone() {
            Token::Number(digits) => {
                self.advance();
                Ok(Word::Literal(digits.into()))
            }
            Token::Group(n) => {
                self.advance();
                Ok(Word::Group(n))
            }
            Token::Quote(quote) => {
                let word = self.string(Until::Quote(quote))?;
                self.token = self.lexer.next();
                Ok(word)
            }
            Token::Variable => {
                let word = self.variable()?;
                self.token = self.lexer.next();
                Ok(word)
            }
            Token::Name(name) if !self.token.is_reserved() => {
                self.advance();
                self.expect("(", "'('")?;
                let argument = self.word()?;
                self.expect(")", CLOSE)?;
                self.call(&name, argument)
            }
            _ => Err(self.unexpected("")),
        }
    }

    fn call(&self, name: &str, argument: Word) -> Result<Word> {
        let function = self.page_function(name).or_else(|| Function::named(name));
        let function =
            function.ok_or_else(|| format!("Function '{name}' does not exist"))?;
        if function.looks_at_files() && self.rules.restricted {
            return Err(format!("{name} not available in restricted context"));
        }
        Ok(Word::Call(function, Box::new(argument)))
    }

    /// What follows `%{`, up to its brace.
    fn variable(&mut self) -> Result<Word> {
        self.deeper()?;
        let name = match self.lexer.next_of_variable() {
            Token::Name(name) => name,
            other => return Err(unexpected(&other, "T_ID")),
        };
        let word = match self.lexer.next_of_variable() {
            Token::VariableEnd => {
                let variable = Variable::named(&name);
                Word::Variable(
                    variable
                        .ok_or_else(|| format!("Variable '{name}' does not exist"))?,
                )
            }
            Token::Sign(":") => {
                let argument = self.string(Until::Brace)?;
                self.call(&name, argument)?
            }
            other => return Err(unexpected(&other, "T_VAR_END or ':'")),
        };
        self.depth -= 1;
        Ok(word)
    }

    fn string(&mut self, until: Until) -> Result<Word> {
        let mut words = Vec::new();
        loop {
            match self.lexer.piece(until) {
                Piece::Text(text) => words.push(Word::Literal(text.into())),
                Piece::Group(n) => words.push(Word::Group(n)),
                Piece::Variable => words.push(self.variable()?),
                Piece::End if words.is_empty() && until == Until::Brace => {
                    let wanted = "T_ERROR or T_STRING or T_REGEX_BACKREF or T_VAR_BEGIN";
                    return Err(unexpected(&Token::VariableEnd, wanted));
                }
                Piece::End => return Ok(joined(words)),
                Piece::Wrong(why) if words.is_empty() => return Err(why),
                Piece::Wrong(why) => {
                    return Err(unexpected(
                        &Token::Wrong(why),
                        match until {
                            Until::End => "$end",
                            Until::Quote(_) => {
                                "T_STRING or T_REGEX_BACKREF or T_STR_END or T_VAR_BEGIN"
                            }
                            Until::Brace => {
                                "T_STRING or T_REGEX_BACKREF or T_VAR_BEGIN or T_VAR_END"
                            }
                        },
                    ));
                }
            }
        }
    }
}

/// What may stand behind a function's argument.
const CLOSE: &str = "T_OP_CONCAT or ')'";

fn unexpected(token: &Token, wanted: &str) -> String {
    let expecting =
        if wanted.is_empty() { String::new() } else { format!(", expecting {wanted}") };
    let why = match token {
        Token::Wrong(why) => format!(": {why}"),
        _ => String::new(),
    };
    format!("syntax error, unexpected {}{expecting}{why}", token.shown())
}

fn joined(mut words: Vec<Word>) -> Word {
    match words.len() {
        0 => Word::Literal(Bytes::new()),
        1 => words.swap_remove(0),
        _ => Word::Concat(words),
    }
}

/// A range of addresses, which has to be written out.
fn range(name: &str, word: &Word) -> Result<Address> {
    let Word::Literal(text) = word else {
        return Err(format!("-{name} requires subnet/netmask as constant argument"));
    };
    match Address::parse(&String::from_utf8_lossy(text)) {
        Ok(range) => Ok(range),
        Err(_) => Err("parsing of subnet/netmask failed".to_owned()),
    }
}
