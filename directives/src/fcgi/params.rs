//! Name-value pairs onto a buffer: BEGIN_REQUEST, PARAMS and their end, ready to be sent.

use super::record::{HEADER, MAX_CONTENT, header, kind};

/// The beginning of a request on the wire, while it is written.
#[derive(Debug)]
pub struct Opening {
    out: Vec<u8>,
}

/// Bytes before the first pair: BEGIN_REQUEST, and the header of the first PARAMS record.
const FRONT: usize = 2 * HEADER + HEADER;

impl Opening {
    /// A request in a role; with `keep` the application is asked to leave the connection
    /// open.
    pub fn new(role: u16, keep: bool, mut scratch: Vec<u8>) -> Opening {
        scratch.clear();
        scratch.extend_from_slice(&header(kind::BEGIN_REQUEST, 8));
        let [high, low] = role.to_be_bytes();
        scratch.extend_from_slice(&[high, low, u8::from(keep), 0, 0, 0, 0, 0]);
        scratch.extend_from_slice(&[0; HEADER]);
        Opening { out: scratch }
    }

    /// Appends one pair. Lengths under 128 take one byte, others four.
    pub fn pair(&mut self, name: &[u8], value: &[u8]) {
        put(name, value, &mut self.out);
    }

    /// Appends pairs that were encoded before.
    pub fn pairs(&mut self, pairs: &Pairs) {
        self.out.extend_from_slice(&pairs.0);
    }

    /// The bytes, with the empty record that ends the parameters.
    pub fn finish(mut self) -> Vec<u8> {
        let content = self.out.len() - FRONT;
        if content == 0 {
            self.out.truncate(2 * HEADER);
        } else if content <= MAX_CONTENT {
            self.out[2 * HEADER..FRONT]
                .copy_from_slice(&header(kind::PARAMS, content as u16));
        } else {
            // More than fits into one record: pairs may go on in the next one.
            let pairs = self.out.split_off(FRONT);
            self.out.truncate(2 * HEADER);
            for piece in pairs.chunks(MAX_CONTENT) {
                self.out.extend_from_slice(&header(kind::PARAMS, piece.len() as u16));
                self.out.extend_from_slice(piece);
            }
        }
        self.out.extend_from_slice(&header(kind::PARAMS, 0));
        self.out
    }
}

/// Pairs that are encoded already, since they are sent with many requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(Vec<u8>);

impl Pairs {
    /// Appends one pair.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        put(name, value, &mut self.0);
    }

    /// Calls `emit` with each pair.
    pub fn each(&self, mut emit: impl FnMut(&[u8], &[u8])) {
        let mut rest = &self.0[..];
        while let (Some(name), Some(value)) =
            (take_length(&mut rest), take_length(&mut rest))
        {
            let Some((pair, behind)) = rest.split_at_checked(name + value) else {
                return;
            };
            let (name, value) = pair.split_at(name);
            emit(name, value);
            rest = behind;
        }
    }
}

fn put(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    if name.len() < 128 && value.len() < 128 {
        // Nearly all of them are.
        out.extend_from_slice(&[name.len() as u8, value.len() as u8]);
    } else {
        length(name.len(), out);
        length(value.len(), out);
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// The length that `rest` begins with, which is taken off.
fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let (&first, behind) = rest.split_first()?;
    if first < 128 {
        *rest = behind;
        return Some(first.into());
    }
    let (&four, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_be_bytes(four) as usize & 0x7fff_ffff)
}

fn length(length: usize, out: &mut Vec<u8>) {
    if length < 128 {
        out.push(length as u8);
    } else {
        out.extend_from_slice(&(length as u32 | 0x8000_0000).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pairs of the PARAMS records in `bytes`.
    fn pairs(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (mut content, mut at) = (Vec::new(), 16);
        loop {
            let length = usize::from(u16::from_be_bytes([bytes[at + 4], bytes[at + 5]]));
            assert_eq!(bytes[at + 1], kind::PARAMS);
            content.extend_from_slice(&bytes[at + 8..at + 8 + length]);
            at += 8 + length;
            if length == 0 {
                break;
            }
        }
        assert_eq!(at, bytes.len());
        let mut found = Vec::new();
        let mut rest = &content[..];
        let number = |rest: &mut &[u8]| {
            if rest[0] < 128 {
                let n = usize::from(rest[0]);
                *rest = &rest[1..];
                n
            } else {
                let n = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]])
                    & 0x7fff_ffff;
                *rest = &rest[4..];
                n as usize
            }
        };
        while !rest.is_empty() {
            let (name, value) = (number(&mut rest), number(&mut rest));
            found.push((rest[..name].to_vec(), rest[name..name + value].to_vec()));
            rest = &rest[name + value..];
        }
        found
    }

    #[test]
    fn pairs_of_every_size_arrive() {
        for size in [0, 1, 127, 128, 65_000, 65_535, 65_536, 200_000] {
            let value = vec![b'x'; size];
            let expected = vec![(b"A".to_vec(), value), (b"B".to_vec(), b"2".to_vec())];
            let (mut opening, mut known) =
                (Opening::new(1, false, Vec::new()), Pairs::default());
            for (name, value) in &expected {
                opening.pair(name, value);
                known.push(name, value);
            }
            assert_eq!(pairs(&opening.finish()), expected, "{size}");
            let mut opening = Opening::new(1, false, Vec::new());
            opening.pairs(&known);
            assert_eq!(pairs(&opening.finish()), expected, "{size}");
            let mut each = Vec::new();
            known.each(|name, value| each.push((name.to_vec(), value.to_vec())));
            assert_eq!(each, expected, "{size}");
        }
        assert!(pairs(&Opening::new(2, true, Vec::new()).finish()).is_empty());
    }
}
