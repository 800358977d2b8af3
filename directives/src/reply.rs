//! Headers of a response, in order and with their case, and the whole reply.

use bytes::Bytes;

use crate::filter::Filter;
use crate::modules::ratelimit::Rate;

/// A list of header fields. CGI's and httpd's: names compare without regard to case,
/// and keep the case and the place in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Bytes, Bytes)>);

impl Headers {
    /// An empty list with room for so many fields.
    pub fn with_capacity(fields: usize) -> Headers {
        Headers(Vec::with_capacity(fields))
    }

    /// The value of the first field called `name`.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.0
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, v)| v)
    }

    /// Is there such a field?
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets a field: the first one's value is replaced in place, further ones go.
    pub fn set(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        let name = name.into();
        let is_same = |(n, _): &(Bytes, Bytes)| n.eq_ignore_ascii_case(&name);
        let Some(first) = self.0.iter().position(is_same) else {
            return self.add(name, value);
        };
        self.0[first].1 = value.into();
        let mut place = 0;
        self.0.retain(|field| {
            place += 1;
            place <= first + 1 || !is_same(field)
        });
    }

    /// Puts fields before all others.
    pub fn put_first(&mut self, fields: [(Bytes, Bytes); 2]) {
        let [first, second] = fields;
        self.0.reserve(2);
        self.0.insert(0, second);
        self.0.insert(0, first);
    }

    /// Adds a field beside others of its name.
    pub fn add(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        if self.0.capacity() == 0 {
            // Room for what most responses have, at once.
            self.0.reserve(8);
        }
        self.0.push((name.into(), value.into()));
    }

    /// Removes all fields called `name`.
    pub fn unset(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name.as_bytes()));
    }

    /// Appends to the value of a field with `, `, or adds it: `apr_table_merge`.
    pub fn merge(&mut self, name: impl Into<Bytes>, value: &[u8]) {
        let name = name.into();
        match self.0.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(&name)) {
            Some((_, old)) => *old = [old, value].join(&b", "[..]).into(),
            None => self.0.push((name, Bytes::copy_from_slice(value))),
        }
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(Bytes, Bytes)> {
        self.0.iter()
    }

    /// Keeps the fields for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.0.retain(|(n, v)| keep(n, v));
    }

    /// All fields, to change their values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut (Bytes, Bytes)> {
        self.0.iter_mut()
    }

    /// Appends another list's fields.
    pub fn extend(&mut self, other: Headers) {
        self.0.extend(other.0);
    }

    /// No fields?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all fields.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// The reason, where it is not the standard one.
    pub reason: Option<Bytes>,
    /// The fields.
    pub headers: Headers,
    /// What follows.
    pub body: Body,
    /// Fields behind the body; there are none with HTTP/1.
    pub trailers: &'static [(&'static str, &'static str)],
    /// What is to be done with it on its way, in order. Where this is not empty, the
    /// fields say nothing about the length.
    pub filters: Vec<Filter>,
    /// How fast it is sent, behind all filters.
    pub rate: Option<Rate>,
    /// The connection ends after this response.
    pub close: bool,
    /// No body is sent whatever there is: HEAD.
    pub header_only: bool,
}

/// What the body of a reply is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// These bytes.
    Bytes(Bytes),
    /// The file that was opened, or ranges of it; for several ranges each part's head stands
    /// before it.
    File {
        /// Its size when it was looked at, bytes.
        size: u64,
        /// What to send.
        parts: Vec<Part>,
    },
    /// What the application that answered sends after its head.
    Stream,
    /// What the application sends, to the client's socket as it is: `-nph`.
    Raw,
    /// The upstream has changed protocols: bytes in both directions.
    Tunnel,
    /// The client has asked for HTTP/2, and gets it: its request is asked once more, as the
    /// first stream. What the client's settings are: the payload of a SETTINGS frame.
    Http2(Bytes),
}

/// A piece of a file, after some bytes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Sent first; empty for a single range.
    pub head: Bytes,
    /// First byte of the file; the length is `end - start`.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}
