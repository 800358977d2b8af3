//! What a server is called in what it sends: `UseCanonicalName`, `ServerSignature`,
//! `HostnameLookups`.

use crate::effect::{Answer, Effect};
use crate::modules::DirConfig;
use crate::phase::{DECLINED, Verdict};
use crate::request::{Lookup, Request};
use crate::schema::{Context, Directive, Override, Problem, Set};

/// `UseCanonicalName`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanonicalName {
    /// The name that the configuration gives.
    On,
    /// The name that the client used.
    Off,
    /// The name of the address.
    Dns,
}

/// `ServerSignature`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// No line.
    #[default]
    Off,
    /// Server and port.
    On,
    /// With a link to `ServerAdmin`.
    Email,
}

/// `HostnameLookups`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookups {
    /// Addresses are not looked up.
    #[default]
    Off,
    /// They are.
    On,
    /// And the names are looked up again.
    Double,
}

/// Are clients' names looked up, for whoever wants them?
pub fn looks_up(dir: &DirConfig) -> bool {
    dir.core.hostname_lookups.is_some_and(|lookups| lookups != Lookups::Off)
}

pub static USE_CANONICAL_NAME: Directive = Directive {
    name: "UseCanonicalName",
    syntax: "On|Off|DNS",
    context: Context::CONFIG,
    default: "Off",
    summary: "How to work out the ServerName : Port when constructing URLs",
    docs: r"
Which name SERVER_NAME and URLs that lead back here carry: `ServerName` (On), or what the
client called this server (Off).

## Example
    UseCanonicalName On
",
    set: Set::One(|at, word| {
        at.dir.core().use_canonical_name = Some(match word.flag() {
            Some(true) => CanonicalName::On,
            Some(false) => CanonicalName::Off,
            None if word.is("dns") => CanonicalName::Dns,
            None => {
                let message = "parameter must be 'on', 'off', or 'dns'";
                return Err(Problem::from(message).at(word.span));
            }
        });
        Ok(())
    }),
    ..Directive::EXACT
};

pub static USE_CANONICAL_PHYSICAL_PORT: Directive = Directive {
    name: "UseCanonicalPhysicalPort",
    syntax: "On|Off",
    context: Context::CONFIG,
    default: "Off",
    summary: "Whether to use the physical Port when constructing URLs",
    docs: r"
May the port of the connection stand in for a port that nobody named?

## Example
    UseCanonicalPhysicalPort On
",
    set: Set::One(|at, word| {
        let message = "parameter must be 'on' or 'off'";
        let on = word.flag().ok_or_else(|| Problem::from(message).at(word.span))?;
        at.dir.core().use_canonical_phys_port = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static SERVER_SIGNATURE: Directive = Directive {
    name: "ServerSignature",
    syntax: "On|Off|EMail",
    context: Context::ANYWHERE,
    overrides: Override::ALL,
    default: "Off",
    summary: "En-/disable server signature (on|off|email)",
    docs: r"
A line with the server's name under pages that the server makes itself.

## Example
    ServerSignature Off
",
    set: Set::One(|at, word| {
        at.dir.core().server_signature = Some(match word.flag() {
            Some(true) => Signature::On,
            Some(false) => Signature::Off,
            None if word.is("email") => Signature::Email,
            None => {
                let message = "ServerSignature: use one of: off | on | email";
                return Err(Problem::from(message).at(word.span));
            }
        });
        Ok(())
    }),
    ..Directive::EXACT
};

pub static HOSTNAME_LOOKUPS: Directive = Directive {
    name: "HostnameLookups",
    syntax: "On|Off|Double",
    context: Context::CONFIG,
    default: "Off",
    summary: "\"on\" to enable, \"off\" to disable reverse DNS lookups, or \"double\" to enable \
              double-reverse DNS lookups",
    docs: r"
Look up the names of clients for REMOTE_HOST and the logs.

## Example
    HostnameLookups Off
",
    set: Set::One(|at, word| {
        at.dir.core().hostname_lookups = Some(match word.flag() {
            Some(true) => Lookups::On,
            Some(false) => Lookups::Off,
            None if word.is("double") => Lookups::Double,
            None => {
                let message = "parameter must be 'on', 'off', or 'double'";
                return Err(Problem::from(message).at(word.span));
            }
        });
        Ok(())
    }),
    ..Directive::EXACT
};

/// Looks the client's name up where `HostnameLookups` says so. httpd does so when the name
/// is used first; here it is known by then.
pub fn names(r: &mut Request) -> Verdict {
    if r.remote_host != Lookup::Unasked || !r.looks_up_names() {
        return DECLINED;
    }
    let confirm = r.dir.core.hostname_lookups == Some(Lookups::Double);
    Verdict::Ask(Effect::Resolve { ip: r.useragent_ip, confirm }, named)
}

fn named(r: &mut Request, answer: Answer) -> Verdict {
    r.remember_name(answer);
    DECLINED
}
