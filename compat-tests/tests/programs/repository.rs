//! A repository for programs that show one.

use std::process::Command;

use anyhow::{Context, Result};
use compat_tests::application::{program, run};
use compat_tests::root::{Root, is_root};

/// Makes `repositories/project.git` with one commit, `the first commit`, and gives it to the
/// server's user: git trusts nobody else's.
pub fn repository(root: &Root) -> Result<()> {
    let git = program("/usr/bin/git", "git")?;
    let directory = root.join("repositories");
    let bare = directory.join("project.git");
    let mut init = Command::new(&git);
    run(init.args(["init", "--quiet", "--bare", "--initial-branch=main"]).arg(&bare))?;
    let commit = "commit refs/heads/main\n\
        committer A Committer <committer@example.org> 1700000000 +0000\n\
        data 16\nthe first commit\n\
        M 100644 inline file\ndata 13\nfile content\n\n";
    let stream = root.write("tmp/stream", commit.as_bytes())?;
    let mut import = Command::new("/bin/sh");
    import.args(["-c", "exec \"$0\" --git-dir \"$1\" fast-import --quiet < \"$2\""]);
    run(import.arg(&git).arg(&bare).arg(stream)).context("making a commit")?;
    if is_root() {
        run(Command::new("/bin/chown").args(["-R", "www-data"]).arg(directory))?;
    }
    Ok(())
}
