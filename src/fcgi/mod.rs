//! FastCGI, the client's side: records, parameters, one request on one connection.

pub mod connect;
pub mod exchange;
pub mod pool;
pub mod spare;
mod stderr;
mod unix;
#[cfg(test)]
mod wire;

pub use directives::fcgi::{params, record};
pub use exchange::{Event, Exchange, Voice};
