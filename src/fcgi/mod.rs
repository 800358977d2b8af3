//! FastCGI, the client's side: records, parameters, one request on one connection.

pub mod connect;
pub mod exchange;
pub mod params;
pub mod pool;
pub mod record;
mod stderr;
#[cfg(test)]
mod wire;

pub use exchange::{Event, Exchange};
