//! What is said at the start about `FcgidMaxRequestLen`, where it is not set.

use super::HANDLER;
use super::numbers::MAX_REQUEST_LENGTH;
use crate::diagnostic::{Diagnostic, codes};
use crate::expand::Item;
use crate::schema::Word;

/// The warning about a configuration that runs commands and sets no limit of its own: uploads
/// are what mod_fcgid's default surprises.
pub(crate) fn warning(items: &[Item]) -> Option<Diagnostic> {
    let mut found = None;
    let mut is_set = false;
    look(items, &mut found, &mut is_set);
    let item = found.filter(|_| !is_set)?;
    let message = format!(
        "requests to fcgid-script may have a body of {MAX_REQUEST_LENGTH} bytes at most, which is \
         mod_fcgid's default; longer ones are answered 500"
    );
    let found = Diagnostic::new(&codes::FCGID_LIMIT, message, item.name_span, item.line);
    let help = "FcgidMaxRequestLen sets another limit, or this one without a warning";
    Some(Diagnostic { help: Some(help.to_owned()), ..found })
}

fn look<'a>(items: &'a [Item], found: &mut Option<&'a Item>, is_set: &mut bool) {
    for item in items {
        let is = |name: &str| item.name.eq_ignore_ascii_case(name.as_bytes());
        *is_set |= is("FcgidMaxRequestLen") || is("MaxRequestLen");
        let names = || {
            let words = Word::all(&item.args);
            words.first().is_some_and(|word| word.bytes.eq_ignore_ascii_case(HANDLER))
        };
        if found.is_none() && (is("AddHandler") || is("SetHandler")) && names() {
            *found = Some(item);
        }
        look(item.body.as_deref().unwrap_or_default(), found, is_set);
    }
}
