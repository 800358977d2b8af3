//! Tests of `disk.rs`, which other programs include without them.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use directives::bundle::Files;

use crate::disk::Disk;

#[test]
fn a_glance_is_believed_for_a_second_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    let name = path.as_os_str().as_bytes();
    let is_there = || Disk.glance(name, false).is_ok();
    assert!(!is_there());
    std::fs::write(&path, "").unwrap();
    assert!(Disk.lstat(name).is_ok());
    // The clock's second may end meanwhile.
    std::thread::sleep(Duration::from_millis(1100));
    assert!(is_there());
    std::fs::remove_file(&path).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    assert!(!is_there());
}

/// Clients name such directories.
#[test]
fn a_directory_that_is_not_there_is_not_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("later");
    let name = path.as_os_str().as_bytes();
    assert!(Disk.glance(name, true).is_err());
    std::fs::create_dir(&path).unwrap();
    assert!(Disk.glance(name, true).is_ok());
}
