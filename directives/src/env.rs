//! The request's environment: `subprocess_env`. Names keep the case and the place of their
//! first insertion; a later value takes the earlier one's place. As in every table of
//! httpd, names that differ in case only are one name.

use bytes::Bytes;

/// Names and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env(Vec<(Bytes, Bytes)>);

impl Env {
    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (name, value) = (name.into(), value.into());
        match self.position(&name) {
            Some(at) => self.0[at].1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// Removes a variable; the others keep their order.
    pub fn unset(&mut self, name: &[u8]) {
        if let Some(at) = self.position(name) {
            self.0.remove(at);
        }
    }

    /// A variable's value.
    pub fn get(&self, name: &[u8]) -> Option<&Bytes> {
        self.position(name).map(|at| &self.0[at].1)
    }

    /// Is it set?
    pub fn has(&self, name: &[u8]) -> bool {
        self.position(name).is_some()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.0.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_tells_no_names_apart() {
        let mut env = Env::default();
        env.set("Path", "1");
        env.set("A", "2");
        env.set("PATH", "3");
        let all: Vec<_> = env.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        assert_eq!(all, [(&b"Path"[..], &b"3"[..]), (b"A", b"2")]);
        env.unset(b"path");
        assert!(!env.has(b"Path") && env.len() == 1);
    }
}
