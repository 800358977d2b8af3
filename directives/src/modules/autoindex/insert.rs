//! Headers and readmes that something has to be done for: a program's output, or a page
//! behind filters, goes into a listing while that is sent.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::request::Request;

/// What follows the beginning of a listing.
#[derive(Clone, Debug)]
pub enum Part {
    /// Text of the listing itself.
    Text(Bytes),
    /// The answer to a sub-request that was looked up: [`crate::run::Run::looked`].
    Page(Page),
}

/// A sub-request within a listing.
#[derive(Clone)]
pub struct Page {
    /// What was found.
    pub found: Box<Request>,
    /// What takes its place if it fails.
    pub otherwise: Bytes,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = String::from_utf8_lossy(&self.found.filename);
        f.debug_struct("Page").field("file", &file).finish_non_exhaustive()
    }
}

/// The rest of a listing, in order.
pub type Parts = VecDeque<Part>;

/// Is a request no more than its file, as it is?
pub(super) fn is_file(found: &Request) -> bool {
    found.handler.as_deref().is_none_or(|name| name == b"default-handler")
        && found.filters.is_empty()
        && found.dir.core.output_filters.as_ref().is_none_or(|all| all.is_empty())
        && found.dir.filter.is_empty()
}
