//! The tool `fcgi-conf`: what it prints and how it ends, beside real programs where it
//! speaks to or for them.

mod back;
mod check;
mod convert;
mod debian;
mod explain;
mod protected;
mod replay;
mod request;
mod spawn;
mod ten_thousand;
mod tool;
mod traps;
