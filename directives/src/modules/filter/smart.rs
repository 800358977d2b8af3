//! A filter with providers, and which of them a response goes through: `filter_harness` and
//! `filter_lookup`.

use bytes::Bytes;

use crate::expr::{Condition, Want};
use crate::filter::Kind;
use crate::log::Level;
use crate::request::Request;

/// A filter that takes the first of its providers that is for a response: one of httpd's
/// smart filters.
#[derive(Debug)]
pub struct Smart {
    /// Its name as it was written.
    pub name: Bytes,
    /// Its place in the chain, httpd's `ftype`.
    pub place: u8,
    /// What it may be, the one that was named last first.
    pub providers: Vec<Provider>,
    /// What `FilterProtocol` says of the filter itself.
    pub protocol: Protocol,
    /// `FilterTrace`.
    pub trace: bool,
}

/// What a smart filter may be.
#[derive(Debug)]
pub struct Provider {
    /// The filter.
    pub kind: Kind,
    /// For which responses.
    pub test: Test,
    /// What `FilterProtocol` says of it.
    pub protocol: Protocol,
}

/// Which responses a provider is for.
#[derive(Debug)]
pub enum Test {
    /// Those of these media types: `AddOutputFilterByType`.
    Types(Vec<Bytes>),
    /// Those that this holds for: `FilterProvider`.
    Expr(Condition),
}

/// What a filter does to a response, as far as caches and clients are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    /// It changes the content.
    pub changes: bool,
    /// And its length.
    pub changes_length: bool,
    /// It cannot be asked for parts.
    pub no_ranges: bool,
    /// It is not for what an upstream says.
    pub no_proxy: bool,
    /// Nor for that where it is not to be transformed.
    pub transforms: bool,
    /// What it makes is not to be kept.
    pub no_cache: bool,
}

impl Smart {
    /// Must the rest of the request not see `Range`?
    pub fn hides_ranges(&self) -> bool {
        self.protocol.no_ranges || self.protocol.changes_length
    }

    /// May it become this filter?
    pub fn may_be(&self, kind: Kind) -> bool {
        self.providers.iter().any(|provider| provider.kind == kind)
    }

    /// What it is for this response, if anything. Anything but 200 is left alone unless the
    /// variable `filter-errordocs` is set.
    pub fn choose(&self, r: &mut Request) -> Result<Option<Kind>, Want> {
        if r.status != 200 && !r.env.has(b"filter-errordocs") {
            return Ok(None);
        }
        if r.proxyreq
            && (self.protocol.no_proxy || self.protocol.transforms && is_fixed(r))
        {
            return Ok(None);
        }
        for provider in &self.providers {
            if provider.is_for(r)? && provider.protocol.apply(r) {
                if self.trace {
                    let name = String::from_utf8_lossy(&self.name).into_owned();
                    r.log(Level::Notice, "filter", 1375, name);
                }
                return Ok(Some(provider.kind));
            }
        }
        Ok(None)
    }
}

impl Provider {
    fn is_for(&self, r: &mut Request) -> Result<bool, Want> {
        let condition = match &self.test {
            Test::Expr(condition) => condition,
            Test::Types(types) => {
                let Some(kind) = &r.content_type else { return Ok(false) };
                let end =
                    kind.iter().position(|b| b"; \t".contains(b)).unwrap_or(kind.len());
                return Ok(types.iter().any(|wanted| wanted[..] == kind[..end]));
            }
        };
        Ok(condition.holds(r)?.unwrap_or_else(|why| {
            let text = format!("Error evaluating filter dispatch condition: {why}");
            r.log(Level::Error, "filter", 1377, text);
            false
        }))
    }
}

impl Protocol {
    /// Tells caches and clients; says whether it may be done at all.
    fn apply(self, r: &mut Request) -> bool {
        if r.proxyreq {
            if self.no_proxy || self.transforms && is_fixed(r) {
                return false;
            }
            if self.transforms {
                let warning = format!("214 {} Transformation applied", r.server_name());
                r.headers_out.add("Warning", warning);
            }
        }
        if self.changes {
            r.headers_out.unset("Content-MD5");
            r.headers_out.unset("ETag");
            if self.changes_length {
                r.headers_out.unset("Content-Length");
            }
        }
        if self.no_cache {
            r.headers_out.unset("Last-Modified");
            r.headers_out.add("Cache-Control", "no-cache");
        }
        if self.no_ranges {
            r.headers_out.set("Accept-Ranges", "none");
        }
        true
    }

    /// Reads the flags of `FilterProtocol`; httpd takes no notice of others.
    pub fn parse(flags: &[u8]) -> Protocol {
        let mut read = Protocol::default();
        for flag in flags.split(|&b| b == b' ') {
            match &flag.to_ascii_lowercase()[..] {
                b"change=yes" => (read.changes, read.changes_length) = (true, true),
                b"change=no" => (read.changes, read.changes_length) = (false, false),
                b"change=1:1" => read.changes = true,
                b"byteranges=no" => read.no_ranges = true,
                b"proxy=no" => read.no_proxy = true,
                b"proxy=transform" => read.transforms = true,
                b"cache=no" => read.no_cache = true,
                _ => {}
            }
        }
        read
    }
}

/// Does the upstream say that nothing is to be changed?
fn is_fixed(r: &Request) -> bool {
    let said = r.headers_out.get("Cache-Control");
    said.is_some_and(|said| {
        said.windows(12).any(|part| part.eq_ignore_ascii_case(b"no-transform"))
    })
}
