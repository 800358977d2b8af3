//! Real programs that our server starts itself: each of them answers, goes through reloads
//! without a failed request, is killed and started again, and ends with the server.

mod cgit;
mod gitweb;
mod iipsrv;
mod life;
mod node;
mod perl;
mod php;
mod repository;
mod ruby;
