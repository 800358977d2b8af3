//! Upstreams: what takes time, more than one connection, or another protocol. What one
//! request shows is side by side with apache2 on the pages.

mod bodies;
mod connections;
mod php;
mod site;
mod websocket;
