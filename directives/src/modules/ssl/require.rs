//! `SSLRequire`: conditions in the older language of mod_ssl, which is read as one of
//! httpd's expressions.

use std::sync::Arc;

use crate::diagnostic::codes;
use crate::expr::Condition;
use crate::schema::{Compat, Context, Directive, Override, Problem, Set};

/// One requirement.
#[derive(Debug)]
pub struct Requirement {
    /// What has to hold.
    pub condition: Condition,
    /// As it was written.
    pub text: String,
}

pub static REQUIRE: Directive = Directive {
    name: "SSLRequire",
    syntax: "expression",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    summary: "Require a boolean expression to evaluate to true for granting access(arbitrary \
              complex boolean expression - see manual)",
    docs: r#"
A condition for access; all of them have to hold. `Require expr` is its successor. Words
are compared with `==` (`eq`), `!=` (`ne`), `in` and `=~`. The signs `<`, `>` and their words
are refused, because they compare otherwise here than in httpd's expressions: numbers are
compared with `-lt`, `-ge` and the like.

## Example
    <Location /intern>
        SSLRequire %{SSL_CLIENT_S_DN_O} eq "Snake Oil" and %{TIME_HOUR} -ge 8
    </Location>
"#,
    compat: Compat::Differs("`<` and `>` are refused"),
    set: Set::Raw(|at, text| {
        let shown = String::from_utf8_lossy(text.bytes().trim_ascii()).into_owned();
        if shown.is_empty() {
            return Err(Problem::from("SSLRequire needs an expression"));
        }
        let text = modern(&shown).map_err(|word| {
            let message = format!(
                "SSLRequire with {word} is refused: write -lt, -le, -gt or -ge for numbers"
            );
            Problem::new(&codes::REFUSED, message)
        })?;
        let condition = Condition::parse(text.as_bytes(), at.rules()).map_err(|why| {
            Problem::from(format!("Cannot parse condition in SSLRequire: {why}"))
        })?;
        let requirement = Requirement { condition, text: shown };
        at.dir.ssl().requires.push(Arc::new(requirement));
        Ok(())
    }),
    ..Directive::EXACT
};

/// The same condition in the language of httpd's expressions: there `eq` compares numbers.
/// The error is a word that has no counterpart.
fn modern(text: &str) -> Result<String, String> {
    // `SSLRequire "..."`: the quotes around all of it are not the expression's.
    let text = match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) if !inner.contains('"') => inner,
        _ => text,
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' | '\'' => rest[1..].find(c).map_or(rest.len(), |end| end + 2),
            c if c.is_whitespace() => c.len_utf8(),
            _ => rest
                .find(|c: char| c.is_whitespace() || "\"'()".contains(c))
                .unwrap_or(rest.len())
                .max(1),
        };
        let (word, behind) = rest.split_at(length);
        out += match word {
            "eq" => "==",
            "ne" => "!=",
            "lt" | "le" | "gt" | "ge" | "<" | "<=" | ">" | ">=" => {
                return Err(word.to_owned());
            }
            // Regular expressions stand between these.
            word if word.contains(['<', '>'])
                && !word.contains(['/', '#', '"', '\'']) =>
            {
                return Err(word.to_owned());
            }
            word => word,
        };
        rest = behind;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::modern;

    #[test]
    fn words_become_signs_outside_of_texts() {
        assert_eq!(modern(r#"%{A} eq "x eq y""#).unwrap(), r#"%{A} == "x eq y""#);
        assert_eq!(modern("(%{A} ne 'b')").unwrap(), "(%{A} != 'b')");
        assert_eq!(modern("\"%{A} eq 'b'\"").unwrap(), "%{A} == 'b'");
        assert_eq!(modern("%{A} >= 8"), Err(">=".to_owned()));
        assert_eq!(modern("%{A}<8"), Err("%{A}<8".to_owned()));
        assert_eq!(modern("%{A} =~ m/<x>/").unwrap(), "%{A} =~ m/<x>/");
        assert_eq!(modern("%{A} -ge 8").unwrap(), "%{A} -ge 8");
    }
}
