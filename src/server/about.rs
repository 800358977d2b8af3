//! What a connection's requests have in common.

use std::net::SocketAddr;
use std::sync::Arc;

use directives::modules::ssl::Security;
use directives::request::Connection;
use directives::snapshot::Server;

use super::live::Generation;
use super::socket::Shared;

/// What is known of a connection from its beginning.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The client's address.
    pub client: SocketAddr,
    /// The address that it came to.
    pub local: SocketAddr,
    /// The client that a PROXY header names.
    pub reported: Option<SocketAddr>,
    /// See [`Connection::id`].
    pub id: u64,
}

impl About {
    /// For a request, behind so many others.
    pub fn connection(self, shared: &Shared, keepalives: u32) -> Arc<Connection> {
        let mut latest = shared.connection.borrow_mut();
        // As a rule nothing is left of the request before.
        if let Some(known) = latest.as_mut().and_then(Arc::get_mut) {
            known.keepalives = keepalives;
        } else {
            *latest = None;
        }
        latest.get_or_insert_with(|| self.new_connection(shared, keepalives)).clone()
    }

    fn new_connection(self, shared: &Shared, keepalives: u32) -> Arc<Connection> {
        let About { client, local, reported, id } = self;
        let security = shared.security.clone();
        let secure = matches!(security, Security::Tls(_));
        Arc::new(Connection { client, local, reported, secure, security, keepalives, id })
    }

    /// The server of its address, for a client that named no host.
    pub fn default_server(&self, generation: &Generation) -> Arc<Server> {
        generation.snapshot.default_server(self.local)
    }
}
