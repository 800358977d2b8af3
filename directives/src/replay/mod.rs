//! The same requests to two servers: reading them, and comparing what comes back. Sending
//! them is the tool's.

pub mod compare;
pub mod requests;

pub use compare::{Answer, Difference, Rules};
pub use requests::{Asked, requests};
