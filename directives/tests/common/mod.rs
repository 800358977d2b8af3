//! What the tests of this crate share.

pub mod world;

/// The directory of data files.
pub const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata");
