//! Where a piece of configuration stands: file and byte range.

/// A source of configuration text: a file, the `-c`/`-C` directives of the command
/// line, or the lines that a macro made. Indexes [`crate::bundle::Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A byte range of one source. `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The source.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range as slice indices.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One-based line of byte `at` in `text`.
pub fn line_of(text: &[u8], at: usize) -> u32 {
    let at = at.min(text.len());
    text[..at].iter().filter(|&&b| b == b'\n').count() as u32 + 1
}
