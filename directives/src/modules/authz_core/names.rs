//! The words of conditions such as `Require user`: a text with expressions in it.

use std::sync::Arc;

use bytes::Bytes;

use super::Outcome;
use crate::compile::Scope;
use crate::expr::Template;
use crate::log::Level;
use crate::request::Request;
use crate::schema::{Problem, Result, Word};
use crate::syntax::lexer;

/// Words of a condition, which a text with expressions becomes for each request.
#[derive(Clone, Debug)]
pub struct Names(Arc<Template>);

impl Names {
    /// Reads the text behind the condition's name.
    pub fn parse(at: &Scope, text: &[u8], kind: &Word) -> Result<Names> {
        match Template::parse(text, at.rules()) {
            Ok(template) => Ok(Names(Arc::new(template))),
            Err(why) => Err(unreadable(&why, kind)),
        }
    }

    /// The words for a request. `who` asks, for whose log line there is a number.
    pub fn of(
        &self,
        r: &mut Request,
        (module, kind, ah): (&'static str, &str, u32),
    ) -> std::result::Result<Vec<Bytes>, Outcome> {
        match self.0.fill(r) {
            Ok(Ok(text)) => {
                let words = lexer::words(&text).into_iter();
                let words = words.map(|word| Bytes::from(word.bytes));
                Ok(words.take_while(|word| !word.is_empty()).collect())
            }
            Ok(Err(why)) => {
                let text = format!(
                    "{module} authorize: require {kind}: Can't evaluate require expression: {why}"
                );
                r.log(Level::Error, module, ah, text);
                Err(Outcome::Denied)
            }
            Err(want) => Err(Outcome::Wants(want)),
        }
    }
}

/// What is said of a text or condition that cannot be read.
pub fn unreadable(why: &str, kind: &Word) -> Problem {
    Problem::from(format!("Cannot parse expression in require line: {why}")).at(kind.span)
}
