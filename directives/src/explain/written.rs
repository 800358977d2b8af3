//! What the lines of a configuration say.

use crate::bundle::{Sources, shown_args};
use crate::expand::Item;

/// A configuration as it was read.
pub(super) struct Written<'a> {
    /// The live directives.
    pub items: &'a [Item],
    /// The texts that they stand in.
    pub sources: &'a Sources,
    /// Secrets are replaced: the lines are not shown to who has the files.
    pub blanked: bool,
}

impl Written<'_> {
    /// What follows a directive's name.
    pub fn args(&self, item: &Item) -> String {
        if self.blanked {
            return shown_args(item);
        }
        String::from_utf8_lossy(item.args.bytes()).trim().to_owned()
    }
}
