//! gzip, both ways.

use std::io::Write;
use std::rc::Rc;

use bytes::{Buf, Bytes};
use directives::modules::deflate::{InflateLimits, Settings};
use flate2::write::{GzDecoder, GzEncoder};
use flate2::{Compression, GzBuilder};

use super::super::body::Cut;
use super::Pipe;
use super::packed::{Codec, Tally, turn};

/// gzip's header and trailer, bytes: httpd's figures are about what is between them.
const FRAME: u64 = 10 + 8;
/// The number of the operating system in the header: Unix.
const UNIX: u8 = 3;
/// How much is unpacked at a time, bytes: it becomes a thousand times that at the most.
const MORSEL: usize = 256;
/// Unpacked bytes that are passed on at once.
const ENOUGH: usize = 64 * 1024;

/// Packs with gzip.
pub struct Deflate {
    encoder: GzEncoder<Vec<u8>>,
    tally: Tally,
}

impl Deflate {
    /// As settings say.
    pub fn new(settings: &Settings, pipe: Rc<Pipe>) -> Deflate {
        let level = Compression::new(settings.level.into());
        let encoder = GzBuilder::new().operating_system(UNIX).write(Vec::new(), level);
        Deflate { encoder, tally: Tally::new(settings.notes.clone(), pipe) }
    }

    fn taken(&mut self, input: usize) -> Bytes {
        self.tally.count(input, std::mem::take(self.encoder.get_mut()))
    }
}

impl Codec for Deflate {
    fn push(&mut self, input: &mut Bytes) -> Result<Bytes, Cut> {
        let input = turn(input);
        self.encoder.write_all(&input).map_err(|_| Cut)?;
        Ok(self.taken(input.len()))
    }

    fn flush(&mut self) -> Result<Bytes, Cut> {
        self.encoder.flush().map_err(|_| Cut)?;
        Ok(self.taken(0))
    }

    fn finish(&mut self) -> Result<Bytes, Cut> {
        self.encoder.try_finish().map_err(|_| Cut)?;
        let last = self.taken(0);
        self.tally.note_about(self.tally.output().saturating_sub(FRAME));
        Ok(last)
    }
}

/// Unpacks gzip.
pub struct Inflate {
    decoder: GzDecoder<Vec<u8>>,
    /// What stands behind the packed data is nobody's.
    ended: bool,
}

impl Default for Inflate {
    fn default() -> Inflate {
        Inflate { decoder: GzDecoder::new(Vec::new()), ended: false }
    }
}

impl Inflate {
    /// Takes a morsel and says how many bytes it was.
    fn morsel(&mut self, input: &mut Bytes) -> Result<usize, Cut> {
        if self.ended {
            input.clear();
            return Ok(0);
        }
        let taken = self.decoder.write(&input[..input.len().min(MORSEL)]);
        let taken = taken.map_err(|_| Cut)?;
        self.ended = taken == 0;
        input.advance(taken);
        Ok(taken)
    }
}

impl Codec for Inflate {
    fn push(&mut self, input: &mut Bytes) -> Result<Bytes, Cut> {
        while !input.is_empty() && self.decoder.get_ref().len() < ENOUGH {
            self.morsel(input)?;
        }
        Ok(std::mem::take(self.decoder.get_mut()).into())
    }

    fn flush(&mut self) -> Result<Bytes, Cut> {
        Ok(Bytes::new())
    }

    fn finish(&mut self) -> Result<Bytes, Cut> {
        self.decoder.try_finish().map_err(|_| Cut)?;
        Ok(std::mem::take(self.decoder.get_mut()).into())
    }
}

/// Unpacks a request's body, within bounds.
pub struct Unpacker {
    inflate: Inflate,
    limits: InflateLimits,
    input: u64,
    output: u64,
    /// Morsels in a row that became too much.
    bursts: u64,
}

/// What came of a piece of a request's body.
pub enum Unpacked {
    /// These bytes.
    Bytes(Bytes),
    /// More than the bounds allow.
    TooMuch,
    /// It is no gzip.
    Bad,
}

impl Unpacker {
    /// Within `limits`.
    pub fn new(limits: InflateLimits) -> Unpacker {
        Unpacker { inflate: Inflate::default(), limits, input: 0, output: 0, bursts: 0 }
    }

    /// Unpacks a piece: `deflate_in_filter`, with `check_ratio`.
    pub fn push(&mut self, mut input: Bytes) -> Unpacked {
        while !input.is_empty() {
            let before = self.inflate.decoder.get_ref().len();
            let Ok(taken) = self.inflate.morsel(&mut input) else { return Unpacked::Bad };
            let grown = (self.inflate.decoder.get_ref().len() - before) as u64;
            self.input += taken as u64;
            self.output += grown;
            let too_large = self.limits.size.is_some_and(|size| self.output > size);
            let ratio = self.output / self.input.max(1);
            if ratio > self.limits.ratio {
                self.bursts += 1;
            } else {
                self.bursts = 0;
            }
            if too_large || self.bursts > self.limits.burst {
                return Unpacked::TooMuch;
            }
        }
        Unpacked::Bytes(std::mem::take(self.inflate.decoder.get_mut()).into())
    }

    /// The end: `Bad` if there should be more.
    pub fn finish(&mut self) -> Unpacked {
        match self.inflate.finish() {
            Ok(bytes) => Unpacked::Bytes(bytes),
            Err(Cut) => Unpacked::Bad,
        }
    }
}
