//! The harness's site, and where further programs are.

use std::path::PathBuf;

use anyhow::Result;
pub use compat_tests::site::{Site, bytes, variable};

/// Where programs are kept that no package installs: beside the tests' own, so that they
/// go with them.
pub fn programs() -> Result<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("programs");
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}
