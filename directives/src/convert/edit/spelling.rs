//! Older names of directives and options, and IBM's spelling.

use super::{Change, each_directive, files};
use crate::Compiled;
use crate::modules::fastcgi::options::{DYNAMIC, EXTERNAL, OPTIONS, STATIC};
use crate::schema::Word;
use crate::schema::lookup;
use crate::schema::option::{self, Arg};
use crate::syntax::{Directive, Span};

pub(super) fn changes(compiled: &Compiled) -> Vec<Change> {
    let mut changes = Vec::new();
    for (_, nodes) in files(compiled) {
        each_directive(&nodes, &mut |directive| {
            let Some(found) = lookup::directive(&directive.name) else { return };
            let name = found.directive.name;
            if found.name != name {
                let why = format!("{} is an older name of {name}", found.name);
                changes.push(safe(directive.name_span, name, why));
            }
            let (kind, skip) = match name {
                "FastCgiServer" => (STATIC, 1),
                "FastCgiExternalServer" => (EXTERNAL, 1),
                "FastCgiConfig" => (DYNAMIC, 0),
                _ => return,
            };
            options(directive, kind, skip, &mut changes);
        });
    }
    changes
}

fn options(directive: &Directive, kind: u8, skip: usize, changes: &mut Vec<Change>) {
    let words = Word::all(&directive.args);
    let mut words = words.iter().skip(skip);
    while let Some(word) = words.next() {
        let Some(opt) = option::find(OPTIONS, kind, word) else { return };
        let typed = word.lossy();
        // Quotes around an option's name are somebody's taste.
        if typed != opt.name && !word.quoted {
            let why = if word.is(opt.alias) {
                format!("{typed} is IBM's spelling of {}", opt.name)
            } else {
                format!("the manual writes {}", opt.name)
            };
            changes.push(safe(word.span, opt.name, why));
        }
        if opt.arg != Arg::Flag {
            words.next();
        }
    }
}

fn safe(span: Span, text: &str, why: String) -> Change {
    Change { span, text: text.to_owned(), safe: true, why }
}
