//! The harness of the tests from outside. It links neither of the product's crates: it
//! knows the server by its command line and its sockets, so that another server can stand
//! in its place.

pub mod application;
pub mod browser;
pub mod digest;
pub mod family;
pub mod figures;
pub mod front;
pub mod guarded;
pub mod http;
pub mod load;
pub mod normal;
pub mod packages;
pub mod page;
pub mod play;
pub mod processes;
pub mod root;
pub mod server;
pub mod site;
pub mod upstream;
