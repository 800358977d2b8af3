//! Filters that turn bytes into other bytes with a memory of what came before: codings.

use std::io::Write;
use std::rc::Rc;

use brotli::CompressorWriter;
use bytes::Bytes;
use directives::log::{Level, Line};
use directives::modules::brotli::Settings;
use directives::modules::deflate::Notes;
use directives::modules::substitute::{Substitution, TooLong};

use super::super::body::{Cut, Piece};
use super::{Next, Pipe, Stage};

/// What is packed or unpacked before others on the thread have their turn, bytes.
const TURN: usize = 32 * 1024;

/// A coding.
pub trait Codec {
    /// Takes some of `input`, at least a byte, and gives what comes of it.
    fn push(&mut self, input: &mut Bytes) -> Result<Bytes, Cut>;
    /// What is left of the input so far, so that the client can read all of it.
    fn flush(&mut self) -> Result<Bytes, Cut>;
    /// The end.
    fn finish(&mut self) -> Result<Bytes, Cut>;
}

/// A body that goes through a coding.
pub struct Packed<C> {
    inner: Box<dyn Stage>,
    codec: C,
    input: Bytes,
    flush: bool,
    /// What comes is cut off.
    broken: bool,
    ended: bool,
}

impl<C: Codec> Packed<C> {
    /// What comes from `inner`, coded.
    pub fn new(inner: Box<dyn Stage>, codec: C) -> Packed<C> {
        Packed {
            inner,
            codec,
            input: Bytes::new(),
            flush: false,
            broken: false,
            ended: false,
        }
    }

    async fn step(&mut self) -> Option<Result<Piece, Cut>> {
        loop {
            if !self.input.is_empty() {
                let bytes = self.codec.push(&mut self.input);
                if self.input.is_empty() && self.flush {
                    return Some(self.flushed(bytes));
                }
                // A fast client and a large body would keep the thread to themselves.
                tokio::task::yield_now().await;
                match bytes {
                    Ok(bytes) if bytes.is_empty() => continue,
                    bytes => {
                        return Some(bytes.map(|bytes| Piece { bytes, flush: false }));
                    }
                }
            }
            if self.ended {
                return None;
            }
            if self.broken {
                return Some(Err(Cut));
            }
            match self.inner.next().await {
                Some(Ok(piece)) => (self.input, self.flush) = (piece.bytes, piece.flush),
                // What came goes out all the same.
                Some(Err(_)) => {
                    self.broken = true;
                    let bytes = self.codec.flush();
                    return Some(bytes.map(|bytes| Piece { bytes, flush: true }));
                }
                None => {
                    self.ended = true;
                    let bytes = self.codec.finish();
                    return Some(bytes.map(|bytes| Piece { bytes, flush: false }));
                }
            }
        }
    }

    fn flushed(&mut self, before: Result<Bytes, Cut>) -> Result<Piece, Cut> {
        let bytes = [before?, self.codec.flush()?].concat().into();
        Ok(Piece { bytes, flush: true })
    }
}

impl<C: Codec> Stage for Packed<C> {
    fn next(&mut self) -> Next<'_> {
        Box::pin(self.step())
    }
}

/// Some of what is to be packed.
pub fn turn(input: &mut Bytes) -> Bytes {
    input.split_to(input.len().min(TURN))
}

/// Packs with Brotli.
pub struct Brotli {
    writer: CompressorWriter<Vec<u8>>,
    tally: Tally,
}

impl Brotli {
    /// As settings say.
    pub fn new(settings: &Settings, pipe: Rc<Pipe>) -> Brotli {
        let (quality, window) = (settings.quality.into(), settings.window.into());
        let writer = CompressorWriter::new(Vec::new(), 4096, quality, window);
        Brotli { writer, tally: Tally::new(settings.notes.clone(), pipe) }
    }
}

impl Codec for Brotli {
    fn push(&mut self, input: &mut Bytes) -> Result<Bytes, Cut> {
        let input = turn(input);
        self.writer.write_all(&input).map_err(|_| Cut)?;
        Ok(self.tally.count(input.len(), std::mem::take(self.writer.get_mut())))
    }

    fn flush(&mut self) -> Result<Bytes, Cut> {
        self.writer.flush().map_err(|_| Cut)?;
        Ok(self.tally.count(0, std::mem::take(self.writer.get_mut())))
    }

    fn finish(&mut self) -> Result<Bytes, Cut> {
        let empty = CompressorWriter::new(Vec::new(), 1, 0, 10);
        let last = std::mem::replace(&mut self.writer, empty).into_inner();
        let last = self.tally.count(0, last);
        self.tally.note();
        Ok(last)
    }
}

/// Replaces what matches.
pub struct Substitute {
    rules: Substitution,
    pipe: Rc<Pipe>,
}

impl Substitute {
    /// As rules say.
    pub fn new(rules: Substitution, pipe: Rc<Pipe>) -> Substitute {
        Substitute { rules, pipe }
    }

    fn said(&self, done: Result<Vec<u8>, TooLong>) -> Result<Bytes, Cut> {
        done.map(Bytes::from).map_err(|TooLong| {
            let text = self.rules.complaint();
            let (level, module, ah, error) = (Level::Error, "substitute", 1328, None);
            self.pipe.lines.borrow_mut().push(Line {
                level,
                module,
                ah,
                error,
                text,
                of_server: false,
            });
            Cut
        })
    }
}

impl Codec for Substitute {
    fn push(&mut self, input: &mut Bytes) -> Result<Bytes, Cut> {
        // httpd does not say how long what it replaces in is.
        self.pipe.open.set(true);
        let done = self.rules.push(&turn(input));
        self.said(done)
    }

    fn flush(&mut self) -> Result<Bytes, Cut> {
        Ok(Bytes::new())
    }

    fn finish(&mut self) -> Result<Bytes, Cut> {
        let done = self.rules.finish();
        self.said(done)
    }
}

/// How much came in and went out.
pub struct Tally {
    input: u64,
    output: u64,
    notes: Notes,
    pipe: Rc<Pipe>,
}

impl Tally {
    /// Nothing yet.
    pub fn new(notes: Notes, pipe: Rc<Pipe>) -> Tally {
        Tally { input: 0, output: 0, notes, pipe }
    }

    /// Counts, and passes the output on.
    pub fn count(&mut self, input: usize, output: Vec<u8>) -> Bytes {
        self.input += input as u64;
        self.output += output.len() as u64;
        output.into()
    }

    /// Leaves the notes for the access log.
    pub fn note(&self) {
        self.note_about(self.output);
    }

    /// The same, for an output that is counted otherwise.
    pub fn note_about(&self, output: u64) {
        self.pipe.notes.borrow_mut().extend(self.notes.about(self.input, output));
    }

    /// Bytes that went out.
    pub fn output(&self) -> u64 {
        self.output
    }
}
