//! Applications that decide: access checkers, authenticators, authorizers. The probe, and
//! real programs.

mod again;
mod consent;
mod denial;
mod digest;
mod error_document;
mod failure;
mod libfcgi;
mod passwords;
mod phase;
mod php;
