//! What we do where a recording of the original shows something else: the tests that
//! `deviations.toml` names.

mod auth;
mod config;
mod processes;
mod requests;
mod responses;
