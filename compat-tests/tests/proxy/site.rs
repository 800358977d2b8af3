//! A server in front of an upstream.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::http::{Client, Response};
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};
use compat_tests::upstream::Upstream;

/// A running server, and the upstream behind it.
pub struct Site {
    pub root: Root,
    pub server: Server,
    pub upstream: Option<Upstream>,
    pub port: u16,
}

/// The modules that apache2 needs for it.
const MODULES: &str = "LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so\n\
    LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so\n\
    LoadModule proxy_wstunnel_module /usr/lib/apache2/modules/mod_proxy_wstunnel.so\n\
    LoadModule proxy_balancer_module /usr/lib/apache2/modules/mod_proxy_balancer.so\n\
    LoadModule slotmem_shm_module /usr/lib/apache2/modules/mod_slotmem_shm.so\n\
    LoadModule lbmethod_byrequests_module /usr/lib/apache2/modules/mod_lbmethod_byrequests.so\n";

/// Starts a server with a configuration in which `{up}` is the upstream's port.
pub fn site(kind: Kind, conf: &str) -> Result<Site> {
    let root = Root::new()?;
    let port = root.port_named("up")?;
    let upstream = Upstream::start("up", port)?;
    let preamble = include_str!("../../side-by-side/preamble.conf");
    let text = root.fill(&format!("{preamble}{MODULES}{conf}"));
    root.write("conf/httpd.conf", text.as_bytes())?;
    let server = Server::start(kind, &root)?;
    Ok(Site { root, server, upstream: Some(upstream), port })
}

impl Site {
    /// A connection to the server.
    pub fn client(&self) -> Result<Client> {
        Client::connect(self.root.port)
    }

    /// One answer.
    pub fn get(&self, target: &str) -> Result<Response> {
        let mut client = self.client()?;
        let head = format!("GET {target} HTTP/1.1\r\nHost: www.example.org\r\n");
        client.send(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
        client.response("GET")
    }

    /// The upstream.
    pub fn upstream(&self) -> &Upstream {
        self.upstream.as_ref().expect("it runs")
    }
}

/// Waits until something holds.
pub fn until(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        ensure!(Instant::now() < deadline, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
