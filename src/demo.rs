//! The built-in demonstration.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use anyhow::{Result, bail};

/// Was this program started as the demonstration's application?
pub fn is_application(program: &OsStr) -> bool {
    std::path::Path::new(program).file_name() == Some(OsStr::new("demo.fcgi"))
}

/// The demonstration's application.
pub fn application() -> Result<ExitCode> {
    bail!("not yet")
}

/// Serves the demonstration.
pub fn serve(_: &[OsString]) -> Result<ExitCode> {
    bail!("not yet")
}
