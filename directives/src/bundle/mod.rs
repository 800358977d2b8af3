//! Reading configuration without touching a disk: the questions that the crate asks
//! ([`Files`]), the texts that came in ([`Sources`]), and a recording of both that
//! another process can compile again ([`Bundle`]).

mod files;
mod record;
mod single;
mod sources;

pub use files::{Files, Group, Kind, Meta, OsError, Secret, User, Who};
pub use record::{Bundle, Recorder};
pub use single::{BLANK, single};
pub(crate) use single::{is_secret, shown_args};
pub use sources::{Entry, HTTPD_ROOT, Origin, SERVER_CONFIG_FILE, Source, Sources};
