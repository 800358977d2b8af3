//! The auth-phase gateway: real servers that ask us, the contracts of others as they were
//! recorded, and what went wrong with such gateways before.

mod admin;
mod audit;
mod caddy;
mod contracts;
mod door;
mod explained;
mod figures;
mod grpc;
mod judge;
mod kept;
mod nginx;
mod pitfalls;
mod upstreams;
