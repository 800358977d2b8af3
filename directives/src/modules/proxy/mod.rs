//! mod_proxy: requests that other servers answer. What goes where, with which fields, and
//! what an answer becomes is decided here; `Effect::Upstream` and `Effect::FastCgi` carry
//! it out.

mod answer;
pub mod balancer;
mod canon;
mod define;
mod directives;
mod fcgi;
mod forward;
mod handler;
pub mod params;
mod pass;
mod reverse;
mod section;
pub mod upstream;
mod url;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use fcgi::failure_line;
pub use handler::{Attempt, own_port};
pub use upstream::{Forward, Framing, Heard};
pub use worker::Hold;

use crate::merge::Merge;
use crate::phase::{Phase, first};
use crate::request::Request;
use crate::schema::Module;
use crate::section::Section;
use balancer::Balancer;
use pass::Pass;
use reverse::Reverse;
use worker::Worker;

/// `ProxyVia`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// Untouched.
    #[default]
    Off,
    /// This server is added.
    On,
    /// With its version.
    Full,
    /// Requests get none.
    Block,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    /// `ProxyPass` of a `<Location>`.
    pass: Option<Arc<Pass>>,
    /// `ProxyPassReverse`.
    reverses: Vec<Reverse>,
    /// `ProxyPassReverseCookiePath`.
    cookie_paths: Vec<Reverse>,
    /// `ProxyPassReverseCookieDomain`.
    cookie_domains: Vec<Reverse>,
    preserve_host: Option<bool>,
    /// `ProxyErrorOverride`, and the statuses if not all errors are meant.
    error_override: Option<bool>,
    error_codes: Vec<u16>,
    add_headers: Option<bool>,
    /// `Proxy100Continue`.
    forward_100: Option<bool>,
}

impl Merge for Dir {
    // See merge_proxy_dir_config.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let chain = |outer: &[Reverse], inner: &[Reverse]| {
            outer.iter().chain(inner).cloned().collect()
        };
        Dir {
            pass: inner.pass.clone().or_else(|| outer.pass.clone()),
            reverses: chain(&outer.reverses, &inner.reverses),
            cookie_paths: chain(&outer.cookie_paths, &inner.cookie_paths),
            cookie_domains: chain(&outer.cookie_domains, &inner.cookie_domains),
            preserve_host: inner.preserve_host.or(outer.preserve_host),
            error_override: inner.error_override.or(outer.error_override),
            error_codes: outer
                .error_codes
                .iter()
                .chain(&inner.error_codes)
                .copied()
                .collect(),
            add_headers: inner.add_headers.or(outer.add_headers),
            forward_100: inner.forward_100.or(outer.forward_100),
        }
    }
}

impl Dir {
    /// Is an answer with this status replaced by this server's own page?
    /// `ap_proxy_should_override`.
    fn overrides(&self, status: u16) -> bool {
        self.error_override == Some(true)
            && if self.error_codes.is_empty() {
                (400..600).contains(&status)
            } else {
                self.error_codes.contains(&status)
            }
    }
}

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    passes: Vec<Arc<Pass>>,
    /// Upstreams.
    workers: Vec<Arc<Worker>>,
    balancers: Vec<Arc<Balancer>>,
    /// `<Proxy>` sections.
    sections: Vec<Arc<Section>>,
    /// `ProxyBlock`.
    blocked: Vec<Bytes>,
    /// `ProxyPassInherit`.
    inherit: Option<bool>,
    timeout: Option<Duration>,
    via: Option<Via>,
    max_forwards: Option<i64>,
    /// `ProxyBadHeader Ignore`.
    ignore_bad_headers: Option<bool>,
}

impl Merge for Server {
    // See merge_proxy_config.
    fn merge(outer: &Server, inner: &Server) -> Server {
        let inherit = inner.inherit.or(outer.inherit);
        // Balancers of one name are one, with the settings of the inner.
        let mut balancers: Vec<Arc<Balancer>> = outer.balancers.clone();
        balancers.retain(|balancer| {
            inner.balancers.iter().all(|own| own.name != balancer.name)
        });
        balancers.extend(inner.balancers.iter().map(|own| {
            let main = outer.balancers.iter().find(|balancer| balancer.name == own.name);
            match main {
                Some(main) if own.members.is_empty() => Arc::new(own.with_members(main)),
                _ => own.clone(),
            }
        }));
        let passes = if inherit == Some(false) { &[][..] } else { &outer.passes };
        Server {
            passes: passes.iter().chain(&inner.passes).cloned().collect(),
            workers: outer.workers.iter().chain(&inner.workers).cloned().collect(),
            balancers,
            sections: outer.sections.iter().chain(&inner.sections).cloned().collect(),
            blocked: outer.blocked.iter().chain(&inner.blocked).cloned().collect(),
            inherit,
            timeout: inner.timeout.or(outer.timeout),
            via: inner.via.or(outer.via),
            max_forwards: inner.max_forwards.or(outer.max_forwards),
            ignore_bad_headers: inner.ignore_bad_headers.or(outer.ignore_bad_headers),
        }
    }
}

impl Server {
    fn balancer(&self, url: &[u8]) -> Option<&Arc<Balancer>> {
        let name = Balancer::name_of(url);
        self.balancers.iter().find(|balancer| balancer.name == name)
    }
}

/// The handler of what goes to an upstream.
pub const HANDLER: &[u8] = b"proxy-server";

/// Sends a request to a URL, from the phase that follows on.
pub fn send_to(r: &mut Request, url: &[u8]) {
    r.filename = [b"proxy:", url].concat();
    r.handler = Some(Bytes::from_static(HANDLER));
    r.proxyreq = true;
}

/// The URL that a request goes to.
fn url_of(r: &Request) -> Option<Vec<u8>> {
    r.filename.strip_prefix(b"proxy:").map(<[u8]>::to_vec)
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_proxy.c",
    id: "proxy_module",
    directives: directives::ALL,
    hooks: &[
        first(Phase::Translate, pass::translate).where_set(|at| {
            let passes = !at.server.config.proxy.passes.is_empty();
            passes || at.dir.proxy.pass.is_some()
        }),
        first(Phase::Map, section::map),
        first(Phase::Fixups, canon::fixups),
        first(Phase::Handle, handler::handle),
    ],
};

/// `mod_proxy_http.c`.
pub static HTTP: Module = Module {
    name: "mod_proxy_http.c",
    id: "proxy_http_module",
    directives: &[],
    hooks: &[],
};

/// `mod_proxy_wstunnel.c`.
pub static WSTUNNEL: Module = Module {
    name: "mod_proxy_wstunnel.c",
    id: "proxy_wstunnel_module",
    directives: &[],
    hooks: &[],
};

/// `mod_proxy_balancer.c`.
pub static BALANCER: Module = Module {
    name: "mod_proxy_balancer.c",
    id: "proxy_balancer_module",
    directives: &[],
    hooks: &[],
};

/// `mod_lbmethod_byrequests.c`.
pub static BY_REQUESTS: Module = Module {
    name: "mod_lbmethod_byrequests.c",
    id: "lbmethod_byrequests_module",
    directives: &[],
    hooks: &[],
};

/// `mod_lbmethod_bybusyness.c`.
pub static BY_BUSYNESS: Module = Module {
    name: "mod_lbmethod_bybusyness.c",
    id: "lbmethod_bybusyness_module",
    directives: &[],
    hooks: &[],
};
