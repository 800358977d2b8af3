//! Files and directories that directives name, and that are not there when they are needed.

use super::Placed;
use crate::Compiled;
use crate::bundle::{Files, Kind};
use crate::diagnostic::{Diagnostic, codes};
use crate::path;

/// Files that a request would need: with them missing it is refused.
const READ: [&str; 3] = ["authuserfile", "authgroupfile", "authdbmuserfile"];

/// Files that the server makes, in directories that it does not make.
const MADE: [&str; 5] =
    ["errorlog", "customlog", "transferlog", "pidfile", "fastcgiipcdir"];

pub(super) fn missing(
    compiled: &Compiled,
    all: &[Placed],
    files: &dyn Files,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for one in all {
        let Some(file) =
            path::server_relative(&compiled.server_root, one.word(0).as_bytes())
        else {
            continue;
        };
        let shown = String::from_utf8_lossy(&file).into_owned();
        if READ.contains(&one.name.as_str()) {
            if let Err(error) = files.stat(&file) {
                let message = format!("{shown}: {}", error.text);
                let help = "whoever has to be found in it is refused until it is there";
                found.push(one.found(&codes::CHECK_FILE, message).help(help));
            }
        } else if MADE.contains(&one.name.as_str()) {
            // Programs, the system's log, and providers are no files.
            let is_file =
                !one.word(0).starts_with(['|', '$']) && !one.word(0).contains(':');
            if !is_file || one.word(0).starts_with("syslog") || one.word(0).is_empty() {
                continue;
            }
            let parent = match file.iter().rposition(|&b| b == b'/') {
                Some(0) | None => continue,
                Some(end) => &file[..end],
            };
            let is_there =
                files.stat(parent).is_ok_and(|meta| meta.kind == Kind::Directory);
            if !is_there {
                let parent = String::from_utf8_lossy(parent);
                let message = format!("{shown}: there is no directory {parent}");
                found.push(one.found(&codes::CHECK_FILE, message));
            }
        }
    }
    found
}
