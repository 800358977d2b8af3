//! What `fcgi-conf check` finds besides what keeps a server from starting: traps that
//! people who come from httpd, mod_fastcgi and php fall into. Each has a number of its own.
//! The world is looked at through [`Files`]; what needs sockets or a clock is the tool's.

mod certificates;
mod files;
mod htaccess;
mod traps;

pub use certificates::certificates;
pub use htaccess::htaccess;

use crate::Compiled;
use crate::bundle::Files;
use crate::convert::{name_of, words_of};
use crate::diagnostic::{Code, Diagnostic};
use crate::expand::Item;

/// All traps, in the order of the texts.
pub fn traps(compiled: &Compiled, files: &dyn Files) -> Vec<Diagnostic> {
    let all = places(&compiled.items);
    let mut found = traps::find(compiled, &all, files);
    found.extend(files::missing(compiled, &all, files));
    found.sort_by_key(|found| found.span.map(|span| (span.file, span.start)));
    found
}

/// A directive and the sections that it stands in, the outermost first.
struct Placed<'a> {
    item: &'a Item,
    name: String,
    words: Vec<String>,
    around: Vec<&'a Item>,
}

impl Placed<'_> {
    fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    /// A finding about the directive.
    fn found(&self, code: &'static Code, message: String) -> Diagnostic {
        Diagnostic::new(code, message, self.item.name_span, self.item.line)
    }
}

fn words(item: &Item) -> Vec<String> {
    words_of(&item.args).iter().map(crate::schema::word::Word::lossy).collect()
}

/// All directives and sections, in order.
fn places(items: &[Item]) -> Vec<Placed<'_>> {
    fn add<'a>(items: &'a [Item], around: &[&'a Item], out: &mut Vec<Placed<'a>>) {
        for item in items {
            out.push(Placed {
                item,
                name: name_of(item),
                words: words(item),
                around: around.to_vec(),
            });
            if let Some(body) = &item.body {
                add(body, &[around, &[item]].concat(), out);
            }
        }
    }
    let mut out = Vec::new();
    add(items, &[], &mut out);
    out
}
