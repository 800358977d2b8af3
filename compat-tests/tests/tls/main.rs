//! TLS and HTTP/2 from outside, with curl, openssl and nghttp2's tools; where apache2
//! answers the same question, its answer is the one that is expected.

mod authority;
mod clients;
mod configuration;
mod gateway;
mod names;
mod relay;
mod reload;
mod site;
mod streams;
mod together;
mod upgrade;
mod upstreams;
mod variables;
mod versions;
mod websocket;
