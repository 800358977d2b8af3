//! What the FastCGI auth phases let through: every combination of configuration, answers
//! and credentials against rules in words ([`oracle`]), and whatever a client may send
//! against what only a phase may say ([`client`]); and the same for servers that ask us
//! ([`gateway`]).

mod case;
mod client;
mod combinations;
mod exchange;
mod gateway;
mod oracle;
#[path = "../common/world.rs"]
mod world;
