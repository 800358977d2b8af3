//! The harness's site, and where further programs are.

use std::path::PathBuf;

use anyhow::Result;
pub use compat_tests::site::{Site, bytes, variable};

/// Where programs are kept that no package installs.
pub fn programs() -> Result<PathBuf> {
    compat_tests::packages::programs(env!("CARGO_TARGET_TMPDIR"))
}
