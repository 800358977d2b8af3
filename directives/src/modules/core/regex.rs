//! `RegexDefaultOptions`: what holds for every regular expression behind it.

use crate::pattern::Options;
use crate::schema::{Compat, Context, Directive, Problem, Set};

pub static REGEX_DEFAULT_OPTIONS: Directive = Directive {
    name: "RegexDefaultOptions",
    syntax: "[none] [+|-]option ...",
    context: Context::SERVER,
    default: "DOTALL DOLLAR_ENDONLY",
    summary: "default options for regexes (prefixed by '+' to add, '-' to del)",
    docs: r"
What holds for every regular expression of the directives behind it, those in `.htaccess`
files too: `ICASE` (case does not matter), `EXTENDED` (blanks and comments in a pattern do
not count), `DOTALL` (a period matches a newline), `DOLLAR_ENDONLY` (`$` matches at the very
end only, not before a final newline). `+` adds an option and `-` takes one away; without a
sign an option takes the place of all others. `none` takes all of them away.

## Example
    RegexDefaultOptions +ICASE
    RegexDefaultOptions -DOLLAR_ENDONLY
",
    compat: Compat::Differs("`EXTENDED`, which httpd documents, is known"),
    set: Set::Words(|at, words| {
        for word in words {
            let text = word.lossy();
            let (sign, name) = match text.as_bytes().first() {
                Some(b'+') => (Some(true), &text[1..]),
                Some(b'-') => (Some(false), &text[1..]),
                _ => (None, &text[..]),
            };
            let options = &mut at.process().core.regex;
            if name.eq_ignore_ascii_case("none") {
                *options = Options::NONE;
                continue;
            }
            if sign.is_none() {
                *options = Options::NONE;
            }
            let on = sign != Some(false);
            match name.to_ascii_uppercase().as_str() {
                "ICASE" => options.ignore_case = on,
                "EXTENDED" => options.extended = on,
                "DOTALL" => options.dot_all = on,
                "DOLLAR_ENDONLY" => options.dollar_end_only = on,
                _ => {
                    let message = format!("RegexDefaultOptions: option '{name}' unknown");
                    return Err(Problem::from(message).at(word.span));
                }
            }
        }
        Ok(())
    }),
    ..Directive::EXACT
};
