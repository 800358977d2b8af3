//! Look-up by a path or a name that stands in the configuration.

use std::collections::HashMap;

use bytes::Bytes;
use rustc_hash::FxBuildHasher;

/// Values by byte strings of the configuration. Most look-ups, one for each slash in a
/// path, find nothing; the lengths of the keys tell so before anything is hashed. The
/// keys are the administrator's, so that a fast hash is safe.
#[derive(Clone, Debug)]
pub struct Table<V> {
    map: HashMap<Bytes, V, FxBuildHasher>,
    /// A bit for each length that a key has; the last one is for all that are longer.
    lengths: [u64; 4],
}

impl<V> Default for Table<V> {
    fn default() -> Table<V> {
        Table { map: HashMap::default(), lengths: [0; 4] }
    }
}

fn bit(length: usize) -> (usize, u64) {
    let length = length.min(255);
    (length / 64, 1 << (length % 64))
}

impl<V> Table<V> {
    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        let (word, bit) = bit(key.len());
        if self.lengths[word] & bit == 0 {
            return None;
        }
        self.map.get(key)
    }

    /// Sets a value.
    pub fn insert(&mut self, key: Bytes, value: V) {
        let (word, bit) = bit(key.len());
        self.lengths[word] |= bit;
        self.map.insert(key, value);
    }

    /// The length of the shortest key, or one below it.
    pub fn shortest(&self) -> usize {
        let first = self.lengths.iter().position(|bits| *bits != 0);
        first.map_or(0, |word| 64 * word + self.lengths[word].trailing_zeros() as usize)
    }

    /// No keys?
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

impl<V: Default> Table<V> {
    /// The value of a key, which is there afterwards.
    pub fn entry(&mut self, key: Bytes) -> &mut V {
        let (word, bit) = bit(key.len());
        self.lengths[word] |= bit;
        self.map.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_length_are_found_and_no_others() {
        let mut table = Table::default();
        for length in (1..300).step_by(3) {
            table.insert(Bytes::from(vec![b'k'; length]), length);
            *table.entry(Bytes::from(vec![b'e'; length])) = length + 1;
        }
        for length in 0..320 {
            let expected = (length % 3 == 1 && length < 300).then_some(length);
            assert_eq!(table.get(&vec![b'k'; length]).copied(), expected, "{length}");
            let other = table.get(&vec![b'e'; length]).copied();
            assert_eq!(other, expected.map(|n| n + 1), "{length}");
            assert!(table.get(&vec![b'n'; length]).is_none());
        }
        assert_eq!(table.shortest(), 1);
        let mut long = Table::default();
        for (length, shortest) in [(300, 255), (200, 200), (64, 64), (63, 63), (70, 63)] {
            long.insert(Bytes::from(vec![b'k'; length]), ());
            assert_eq!(long.shortest(), shortest);
        }
    }
}
