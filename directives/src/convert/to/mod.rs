//! What another server is told.

mod caddy;
mod httpd;
mod lighttpd;
mod nginx;
mod plan;

pub(super) use plan::of_name;

use super::edit::Change;
use super::ledger::{Entry, Fate};
use super::model::Site;
use super::target::Target;
use crate::Compiled;
use crate::bundle::Files;

/// A configuration for another server.
#[derive(Debug)]
pub struct Carried {
    /// Its text.
    pub text: String,
    /// Every directive of the original, and what became of it.
    pub entries: Vec<Entry>,
}

/// Carries a configuration over. `files` has the documents: what `.htaccess` files among
/// them close is closed in the other server.
pub fn carry(compiled: &Compiled, target: Target, files: &dyn Files) -> Carried {
    if target == Target::Httpd {
        return httpd::carry(compiled, files);
    }
    let (site, ledger) = super::read::read(compiled, target, files);
    let entries = ledger.entries(compiled);
    let body = match target {
        Target::Nginx => nginx::text(&site),
        Target::Caddy => caddy::text(&site),
        Target::Lighttpd | Target::Httpd => lighttpd::text(&site),
    };
    let commands = if target == Target::Lighttpd { Vec::new() } else { commands(&site) };
    Carried { text: head(&entries, &commands) + &body, entries }
}

/// mod_fastcgi's directives as mod_proxy_fcgi's, in files that stay httpd's.
pub fn to_proxy_fcgi(compiled: &Compiled, files: &dyn Files) -> Vec<Change> {
    httpd::edits(compiled, files)
}

/// How what httpd started is started now.
fn commands(site: &Site) -> Vec<String> {
    let led = |index: usize| {
        site.hosts.iter().flat_map(|host| &host.routes).any(|route| route.app == index)
    };
    let apps = site.apps.iter().enumerate().filter(|(index, _)| led(*index));
    apps.filter_map(|(_, app)| app.start()).collect()
}

/// The beginning of the text: what it is, what has to run, what it does not say.
fn head(entries: &[Entry], commands: &[String]) -> String {
    let mut out = "# Made by fcgi-conf convert.\n".to_owned();
    if !commands.is_empty() {
        out += "#\n# httpd started these; something else has to do it now:\n";
        for command in commands {
            out += &format!("#   {command}\n");
        }
    }
    let lost: Vec<&Entry> = entries
        .iter()
        .filter(|entry| matches!(entry.fate, Fate::Lost(_) | Fate::Partly(_)))
        .collect();
    if !lost.is_empty() {
        out += "#\n# This is not carried over, or not all of it:\n";
        for entry in lost {
            let why = entry.fate.why();
            out += &format!("#   {}: {}\n#       {why}\n", entry.place, entry.text);
        }
    }
    out + "\n"
}
