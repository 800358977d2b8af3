//! HTTP upstreams: connections that are used again, one request on one of them, and what
//! becomes of a connection whose protocol changes.
//!
//! hyper's connection of a client is used below its own pool (hyper-util's legacy client):
//! that one moves connections between threads and tasks of its own, and here a connection
//! has to end with the request that it serves, and nothing moves between threads.

pub mod exchange;
mod io;
pub mod pool;
pub mod sent;
