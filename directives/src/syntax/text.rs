//! The text of a logical line: continuations joined, variables replaced, and for
//! every byte the place in the file that it came from.

use super::span::{FileId, Span};

/// A stretch of [`Text`] and its source.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Offset in the text.
    at: u32,
    /// Offset in the file.
    src: u32,
    /// Bytes in the file. Equal to the run's own length for verbatim runs.
    len: u32,
    /// Byte for byte the file's text; otherwise a replacement of the whole source range.
    verbatim: bool,
}

/// Bytes that know where they came from.
#[derive(Clone, Debug)]
pub struct Text {
    file: FileId,
    bytes: Vec<u8>,
    runs: Vec<Run>,
}

impl Text {
    /// An empty text of `file`.
    pub fn new(file: FileId) -> Text {
        Text { file, bytes: Vec::new(), runs: Vec::new() }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The source.
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Appends bytes that stand in the file at `src`.
    pub fn push_verbatim(&mut self, bytes: &[u8], src: u32) {
        if bytes.is_empty() {
            return;
        }
        let (at, len) = (self.bytes.len() as u32, bytes.len() as u32);
        self.runs.push(Run { at, src, len, verbatim: true });
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends what stands for `source`, such as the value of a variable.
    pub fn push_replaced(&mut self, bytes: &[u8], source: Span) {
        let at = self.bytes.len() as u32;
        let len = source.end - source.start;
        self.runs.push(Run { at, src: source.start, len, verbatim: false });
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a part of another text of the same file, keeping its sources.
    pub fn push_part(&mut self, other: &Text, range: std::ops::Range<usize>) {
        for (i, run) in other.runs.iter().enumerate() {
            let start = run.at as usize;
            let end = other.runs.get(i + 1).map_or(other.bytes.len(), |n| n.at as usize);
            let (from, to) = (start.max(range.start), end.min(range.end));
            if from >= to {
                continue;
            }
            let piece = &other.bytes[from..to];
            if run.verbatim {
                self.push_verbatim(piece, run.src + (from - start) as u32);
            } else {
                let source =
                    Span { file: self.file, start: run.src, end: run.src + run.len };
                self.push_replaced(piece, source);
            }
        }
    }

    /// The part `range` as a text of its own.
    #[must_use]
    pub fn part(&self, range: std::ops::Range<usize>) -> Text {
        let mut part = Text::new(self.file);
        part.push_part(self, range.clone());
        if part.runs.is_empty() {
            // An empty part still has a place to point at.
            let span = self.span(range);
            part.push_replaced(b"", span);
        }
        part
    }

    /// The source of `range`: from where its first byte came to where its last did.
    pub fn span(&self, range: std::ops::Range<usize>) -> Span {
        let start = self.source_of(range.start).0;
        let end =
            if range.end > range.start { self.source_of(range.end - 1).1 } else { start };
        Span { file: self.file, start, end: end.max(start) }
    }

    /// The whole text's source.
    pub fn whole(&self) -> Span {
        self.span(0..self.bytes.len())
    }

    fn source_of(&self, at: usize) -> (u32, u32) {
        let index = self.runs.partition_point(|run| run.at as usize <= at);
        match index.checked_sub(1).map(|i| self.runs[i]) {
            None => (0, 0),
            Some(run) if run.verbatim => {
                let offset = (at as u32 - run.at).min(run.len);
                (run.src + offset, (run.src + offset + 1).min(run.src + run.len))
            }
            Some(run) => (run.src, run.src + run.len),
        }
    }
}
