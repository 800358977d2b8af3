//! httpd's configuration language, its phases, and what they mean.
//!
//! **Invariant: this crate performs no I/O.** It asks through [`Files`] and [`Effect`];
//! its callers — the server, the tool, the tests — look. **It has no clock, no randomness
//! and no threads.**
//!
//! ```text
//! files ──► bundle ──► syntax ──► expand ──► compile ──► Snapshot
//! request head ──► Request ──► Run::step ──► Effect … Reply
//! ```

pub mod bundle;
pub mod cgi;
pub mod check;
pub mod compile;
pub mod content;
pub mod convert;
pub mod diagnostic;
pub mod effect;
pub mod env;
pub mod expand;
pub mod explain;
pub mod expr;
pub mod fcgi;
pub mod filter;
pub mod fnmatch;
pub mod hooks;
mod htaccess;
pub mod json;
pub mod known;
pub mod log;
pub mod merge;
pub mod modules;
pub mod path;
pub mod pattern;
pub mod phase;
pub mod replay;
pub mod reply;
pub mod request;
pub mod response;
pub mod run;
pub mod schema;
pub mod section;
pub mod snapshot;
pub mod status;
pub mod syntax;
pub mod table;
pub mod template;
pub mod version;
pub mod walk;

pub use bundle::{Bundle, Files};
pub use compile::{Compiled, compile};
pub use diagnostic::Diagnostic;
pub use effect::{Answer, Effect};
pub use request::Request;
pub use run::{Next, Run};
pub use snapshot::Snapshot;
