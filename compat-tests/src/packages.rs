//! Programs out of Debian packages that need not be installed: fetched by apt, unpacked
//! beside the tests' own programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::application::{php_fpm, program, run};

/// Where programs are kept that no package installs: beside the tests' own, so that they go
/// with them. `directory` is the `CARGO_TARGET_TMPDIR` of the test.
pub fn programs(directory: &str) -> Result<PathBuf> {
    let directory = Path::new(directory).join("programs");
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// The packages' files below `directory/name`, unpacked there once; tests run beside each
/// other. `prepare` is given the unpacked files, and where they will stand in the end.
/// Links that name files of the packages by their place in the system lead to the unpacked
/// ones.
///
/// # Errors
/// If apt has no such packages, or they cannot be prepared; nothing is left behind then.
pub fn unpacked(
    directory: &Path,
    name: &str,
    packages: &[&str],
    prepare: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<PathBuf> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let ready = directory.join(name);
    if ready.exists() {
        return Ok(ready);
    }
    let making = tempfile::tempdir_in(directory)?;
    let apt = program("/usr/bin/apt-get", "apt")?;
    let mut download = Command::new(apt);
    download.arg("download").args(packages).current_dir(making.path());
    run(&mut download).with_context(|| {
        format!("the Debian packages {} are missing", packages.join(", "))
    })?;
    let root = making.path().join("root");
    let entries = std::fs::read_dir(making.path())?.flatten();
    let mut archives: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    archives.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    archives.sort();
    for path in archives {
        run(Command::new("/usr/bin/dpkg").arg("-x").arg(path).arg(&root))?;
        // phpseclib's first package has a link where the other has its directory.
        let link = root.join("usr/share/php/phpseclib");
        if link.is_symlink() {
            std::fs::remove_file(link)?;
        }
    }
    lead_home(&root, &root, &ready)?;
    prepare(&root, &ready)?;
    // Whoever runs the tests next may be another user.
    run(Command::new("/bin/chmod").args(["-R", "a+rX"]).arg(&root))?;
    std::fs::rename(root, &ready)?;
    Ok(ready)
}

/// Absolute links below `directory` that have their target below `root`: to where that
/// will be.
fn lead_home(directory: &Path, root: &Path, ready: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            lead_home(&path, root, ready)?;
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&path)?;
            let Ok(inner) = target.strip_prefix("/") else { continue };
            if root.join(inner).symlink_metadata().is_ok() {
                std::fs::remove_file(&path)?;
                std::os::unix::fs::symlink(ready.join(inner), &path)?;
            }
        }
    }
    Ok(())
}

/// PHP's packages have its version in their names, as php-fpm has: `php8.2-xml` for `xml`.
pub fn php_package(extension: &str) -> Result<String> {
    let fpm = php_fpm()?;
    let version = fpm.display().to_string().replace("/usr/sbin/php-fpm", "");
    Ok(format!("php{version}-{extension}"))
}

/// Copies a tree with everything that files have.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("/bin/cp").arg("-a").arg(from).arg(to))
}
