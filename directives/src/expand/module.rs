//! `LoadModule` lines: what is built in needs none, what is absent is noted, and what
//! guards by its mere loading is refused.

use crate::diagnostic::{Code, codes};
use crate::known;
use crate::schema::lookup;

/// What there is to say about loading module `id`: kind, sentence, advice. Nothing for
/// a module that is built in, or that httpd needs and we do not.
pub fn judge(id: &str) -> Option<(&'static Code, String, String)> {
    if lookup::module(id).is_some() || known::is_served_module(id) {
        return None;
    }
    if let Some(reason) = known::guarding_module(id) {
        let message =
            format!("module {id} is not available, and without it nothing {reason}");
        let help = "remove the line once something else does this";
        return Some((&codes::MODULE_GUARD, message, help.to_owned()));
    }
    let message = format!("module {id} is not available here");
    let help =
        format!("<IfModule {id}> is false; its directives are refused where they stand");
    Some((&codes::MODULE_MISSING, message, help))
}
