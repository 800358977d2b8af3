//! The request's environment: `subprocess_env`. Names keep their case and their order of
//! first insertion; a later value takes the earlier one's place.

use bytes::Bytes;
use indexmap::IndexMap;

/// Names and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env(IndexMap<Bytes, Bytes>);

impl Env {
    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.insert(name.into(), value.into());
    }

    /// Removes a variable; the others keep their order.
    pub fn unset(&mut self, name: &[u8]) {
        self.0.shift_remove(name);
    }

    /// A variable's value.
    pub fn get(&self, name: &[u8]) -> Option<&Bytes> {
        self.0.get(name)
    }

    /// Is it set?
    pub fn has(&self, name: &[u8]) -> bool {
        self.0.contains_key(name)
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
