//! `fcgi-conf bundle`: the configuration as one file.

use directives::bundle::single;
use directives::{compile, diagnostic};
use lexopt::Parser;

use crate::disk;
use crate::options::{self, Problem, configuration_options};

/// The command.
pub fn run(parser: &mut Parser) -> Result<bool, Problem> {
    let mut entry = options::configuration();
    while let Some(word) = options::next(parser)? {
        if !options::names(&mut entry, &word, parser)? {
            return word.unexpected();
        }
    }
    let compiled = compile(&entry, &disk::Disk);
    crate::print(&mut std::io::stdout(), &single(&compiled));
    // What could not be read is not in it.
    for found in compiled.diagnostics.iter().filter(|found| found.is_error()) {
        let text = diagnostic::terminal(found, &compiled.sources, false);
        crate::print(&mut std::io::stderr(), &(text + "\n\n"));
    }
    Ok(!compiled.failed())
}

/// The page.
pub const USAGE: &str = concat!(
    "\
Usage: fcgi-conf bundle [-f file] [-d directory] [-D name] [-T]
                        [-C \"directive\"] [-c \"directive\"]
Shows the configuration as one file: includes, macros, conditions and variables are
resolved, and every piece says which file it is from. Secrets are blanked: values of
variables and fields whose names speak of passwords, keys or tokens, and passwords in URLs.
",
    configuration_options!(),
    "\
Exit status: 0, 1 if the configuration has errors, 2 if the command line is wrong.
"
);
