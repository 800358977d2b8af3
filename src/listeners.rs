//! The listening sockets that a configuration wants, in an order that both halves of the
//! server agree on.

use directives::Snapshot;
use directives::modules::core::Listen;

/// The `Listen` directives, each address once.
pub fn wanted(snapshot: &Snapshot) -> Vec<Listen> {
    let mut wanted: Vec<Listen> = Vec::new();
    for listen in &snapshot.process.core.listen {
        if !wanted.iter().any(|old| old.ip == listen.ip && old.port == listen.port) {
            wanted.push(listen.clone());
        }
    }
    wanted
}
